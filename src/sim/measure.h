/*
 * What a run leaves behind: counts, histograms, one record per tick and shard, and, unless the run is
 * brief, one per finished task.
 */
#ifndef SIM_MEASURE_H
#define SIM_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "policy/admit.h"

struct sim_done {
    float end_s;
    float total_ms;    /* submit to end */
    float inside_ms;   /* start to end */
    uint16_t home, at; /* whose it was, who ran it */
    uint8_t task_class;
    uint8_t hops;
};

struct sim_tick {
    float runnable;  /* mean over the tick */
    float used_cpus; /* likewise, by tasks */
    uint32_t limit_workers, quota_workers, busy_workers, queued_tasks, done_tasks;
};

/* Of one shard. Every task counts once in each line, whatever way it took. */
struct sim_share {
    uint64_t offered, refused, dropped, done; /* tasks it is the home of */
    uint64_t away;                            /* of those done: ran on another shard */
    uint64_t ran, guests;                     /* tasks that ran here; of other homes */
};

/* Times of tasks that ended, in nanoseconds. */
struct sim_times {
    struct npi_histogram_sum wait[NPI_CLASS_COUNT];  /* arrival to start */
    struct npi_histogram_sum total[NPI_CLASS_COUNT]; /* arrival to end */
};

/* What happened in one part of the run. */
struct sim_slot {
    uint64_t offered, refused, dropped, done;
    struct npi_histogram_sum wait[NPI_CLASS_COUNT];
};

struct sim_result {
    double seconds, tick_s;
    size_t shard_count;
    struct sim_done *done;
    size_t done_count, done_space;
    struct sim_tick *ticks; /* [tick * shard_count + shard] */
    size_t tick_count, tick_space;
    uint32_t *arrived_per_ms;
    size_t ms_count;
    struct sim_share *shards;
    struct sim_times *times;
    struct sim_slot *slots;
    size_t slot_count;
    uint64_t events;
    uint64_t offered, refused[NPI_CLASS_COUNT], offered_by[NPI_CLASS_COUNT];
    uint64_t refused_for[NPI_VERDICT_DEADLINE + 1];
    uint64_t completed, completed_by[NPI_CLASS_COUNT], dropped_by[NPI_CLASS_COUNT];
    uint64_t accepted, dropped, queued_at_end, running_at_end;
    uint64_t away; /* of the completed, those that ran on another shard than their home */
    uint64_t forwarded, stolen, in_time; /* in_time: ended by its deadline, or had none */
    double *moved_workers;               /* per tick */
    size_t moved_space;
    uint32_t hops_max;
    uint64_t faults; /* broken invariants, the first one described below */
    char fault[160];
};

/* Records with from_s <= end < until_s; task_class -1 = all. Fractions of percentile in [0, 1]. */
struct sim_range {
    double from_s, until_s;
    int task_class;
};
extern const struct sim_range SIM_ALL;
double sim_total_ms(const struct sim_result *result, struct sim_range range, double percentile);
double sim_wait_ms(const struct sim_result *result, struct sim_range range, double percentile);
double sim_inside_ms(const struct sim_result *result, struct sim_range range, double percentile);
double sim_inside_ms_mean(const struct sim_result *result, struct sim_range range);
double sim_done_per_s(const struct sim_result *result, double from_s, double until_s);
/* Start of the first 100 ms window that completes at least per_s, from from_s on; -1 = never. */
double sim_reached_s(const struct sim_result *result, double from_s, double per_s);
const struct sim_tick *sim_tick_at(const struct sim_result *result, size_t tick, size_t shard);
/* Limit of one shard over ticks in [from_s, until_s). */
struct sim_span {
    double low, mean, high;
};
struct sim_span sim_limit(const struct sim_result *result, size_t shard, double from_s,
                          double until_s);
struct sim_span sim_runnable(const struct sim_result *result, size_t shard, double from_s,
                             double until_s);
double sim_moved(const struct sim_result *result, double from_s, double until_s);
double sim_remote_share(const struct sim_result *result);

/*
 * Most that could have been completed: one global fluid queue of `capacity_tasks`, fed with the
 * arrivals that really happened and served at per_s(t). It knows the future and has no granularity,
 * so nothing can beat it.
 */
typedef double sim_rate(double t_s, const void *arg);
double sim_oracle(const struct sim_result *result, double capacity_tasks, sim_rate *per_s,
                  const void *arg);

#endif
