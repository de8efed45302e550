/*
 * Arrivals: who sends tasks to which shard, when, and what the tasks do.
 *
 * A load is plain data. Several loads add up, so a burst is a second load with a window. A source
 * merges loads, or reads a trace, and depends on nothing but them and its seed: every law, and the
 * real pool too, can be offered the very same tasks.
 */
#ifndef SIM_ARRIVALS_H
#define SIM_ARRIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prng.h"
#include "policy/params.h"

enum sim_shape {
    SIM_FIXED,
    SIM_EXPONENTIAL,
    SIM_LOGNORMAL, /* spread: standard deviation of its logarithm */
    SIM_BIMODAL    /* spread: share of tasks that take other_ms instead */
};

struct sim_time {
    double ms; /* the mean; of BIMODAL the usual one */
    enum sim_shape shape;
    double spread, other_ms;
};

/* How the rate moves while a load is active. */
enum sim_curve {
    SIM_STEADY,
    SIM_RAMP, /* from per_s at curve_from_s to peak_per_s curve_s later, and stays there */
    SIM_WAVE  /* lowest, per_s, at time 0, peak_per_s half a curve_s later, and so on */
};

struct sim_load {
    uint32_t home;       /* first of the shards the tasks are meant for */
    uint32_t home_count; /* how many, each as likely; 0 counts as 1 */
    double elsewhere;    /* share of the tasks that are meant for the other shards */
    double per_s;        /* arrivals while active */
    bool even_gaps;      /* all alike instead of Poisson */
    enum sim_curve curve;
    double peak_per_s, curve_from_s, curve_s;
    double from_s, until_s; /* active window; until 0 = to the end */
    double period_s;        /* 0 = always active in the window; else a square wave ... */
    double on_s, off_s;     /* ... active from on_s to off_s of each period, counted from time 0 */
    struct sim_time cpu, block;
    double cpu_before; /* share of the CPU work done before the task blocks; 0 counts as all */
    double mix[NPI_CLASS_COUNT]; /* shares of the classes; all 0 = only normal */
    double deadline_ms;          /* 0 = none */
};

struct sim_job {
    double cpu_ns; /* whole nanoseconds, so that a trace can say it exactly */
    uint64_t block_ns;
    uint64_t deadline_ns; /* after arrival; 0 = none */
    double cpu_before;
    enum npi_class task_class;
};

struct sim_arrival {
    uint64_t at_ns;
    uint32_t home;
    struct sim_job job;
};

struct sim_source {
    const struct sim_load *loads;
    size_t load_count, shard_count;
    const struct sim_arrival *trace; /* ascending; instead of loads */
    size_t trace_count, trace_at;
    uint64_t *next_ns; /* of each load, NPI_NEVER_NS = it has ended */
    struct npi_prng prng;
};

/* Loads and trace are borrowed. */
void sim_source_init(struct sim_source *source, const struct sim_load *loads, size_t load_count,
                     const struct sim_arrival *trace, size_t trace_count, size_t shard_count,
                     uint64_t seed);
void sim_source_fini(struct sim_source *source);
/* The next arrival; false = there is none. */
bool sim_source_next(struct sim_source *source, struct sim_arrival *arrival);

double sim_exponential(struct npi_prng *prng, double mean);
double sim_gauss(struct npi_prng *prng);

#endif
