/*
 * All results of one call of the program, and the three ways they are shown.
 */
#ifndef OVERLOAD_REPORT_H
#define OVERLOAD_REPORT_H

#include "host.h"
#include "options.h"
#include "result.h"

#include <stdbool.h>
#include <stdio.h>

#define REPORT_CONTENDERS 3

struct report {
    const struct options *options;
    struct host host; /* before the first contender */
    char time_utc[32];

    bool has_bound;
    double bare_cost_ns; /* CPU time of a bare request */
    unsigned bare_threads;
    double bound_per_s;   /* CPUs / cost */
    double memory_per_s;  /* memory budget / memory of a request / its time; 0 = none */
    double workers_per_s; /* most workers / time of a request; 0 = none */

    size_t result_count;
    struct result results[REPORT_CONTENDERS];
};

/* Fills what follows from the options, the host and the bare request (NULL = not measured). */
void report_bound(struct report *report, const struct result *bare);

/* Requests per second that ended well. */
double report_completed_per_s(const struct figures *figures);

/* CPU of one completed request, the generators' and the sampler's left out. 0 = unknown. */
double report_cost_ns(const struct figures *figures);

/* What the CPUs allow when the generators and the sampler have had theirs. 0 = unknown. */
double report_left_per_s(const struct report *report, const struct figures *figures);

/* Part of what a shard ran that was meant for another one. */
double report_remote_share(const struct numapool_shard_stats *shard);

/* True when the contender did not do what every contender must: an exit status of 1. */
bool report_failed(const struct figures *figures);

void report_table(FILE *out, const struct report *report);
void report_shards(FILE *out, const struct report *report); /* of numapool, if it ran */
void report_json(FILE *out, const struct report *report);

/* One sentence that says what the figures show, made of the figures. */
void report_sentence(FILE *out, const struct report *report);

#endif
