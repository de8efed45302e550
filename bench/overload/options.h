/*
 * The command line of numapool-overload, parsed once. The process that measures a contender is a
 * fresh copy of the program with the same command line, so this struct is all that crosses the
 * exec.
 */
#ifndef OVERLOAD_OPTIONS_H
#define OVERLOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum contender_bit {
    CONTENDER_NAIVE = 1u << 0,
    CONTENDER_FIXED = 1u << 1,
    CONTENDER_NUMAPOOL = 1u << 2,
};

/* Decimal units: 1 KB = 1000 bytes, 1 MB = 1000000 bytes. */
struct options {
    uint64_t window_ns; /* how long requests are offered */
    uint64_t rate;      /* requests offered per second, all nodes together */
    uint64_t service_ns;
    uint64_t touch_bytes;
    unsigned workers_max;
    unsigned contenders; /* enum contender_bit */
    const char *machine; /* NULL = this one */
    double skew;         /* share of the load on node 0, negative = even */
    const char *json;    /* NULL = none, "-" = stdout */

    uint64_t memory_bytes;      /* numapool: budget for task bytes */
    uint64_t naive_limit_bytes; /* naive: where it stops; 0 = derived from the host */
    uint64_t queue_tasks;       /* fixed and numapool: bound on waiting tasks; 0 = derived */
    unsigned fixed_workers;     /* 0 = workers_max */
    bool fixed_reuse;           /* fixed: memory of its own for each thread */
    unsigned generators;        /* per node */
    bool usual_priority;        /* generators as any thread, not real-time */
    uint64_t bound_ns;          /* how long the cost of a bare request is measured, 0 = not */
    int64_t rewarm_bytes;       /* touched before each contender; -1 = derived from the host */
    bool plain;                 /* numapool: numapool_submit() and nothing reserved */

    const char *child; /* hidden: measure this contender here ... */
    int result_fd;     /* ... and write the result to this descriptor */
};

/* Parses the command line; prints usage and exits on a mistake, as argp does. */
void options_parse(struct options *options, int argc, char **argv);

/* How many of them are named. */
unsigned options_contender_count(const struct options *options);

#endif
