/*
 * Everything that was measured of one contender. The measuring process fills it and writes it to a
 * pipe; the reporting process, which is the same program, reads it back. Nothing here decides.
 */
#ifndef OVERLOAD_RESULT_H
#define OVERLOAD_RESULT_H

#include <numapool/numapool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Summary of a histogram. count = 0: nothing was recorded. */
struct latency {
    uint64_t count;
    uint64_t mean_ns;
    uint64_t p50_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t max_ns;
};

/* One point in time of the whole process; totals since the start. */
struct sample {
    uint64_t time_ns; /* since the first intended request */
    uint64_t handed_over;
    uint64_t refused;
    uint64_t completed;
    uint64_t rss_bytes;
    uint64_t threads;
};

/* One point in time of the number of completed requests only, taken more often. */
struct tick {
    uint64_t time_ns;
    uint64_t completed;
};

/* One point in time of one shard; numapool only. */
struct shard_sample {
    uint64_t time_ns;
    uint64_t quota;
    uint64_t cap;
    uint64_t workers;
    uint64_t workers_running;
    uint64_t queue_depth;
    uint64_t run;
    uint64_t forwarded_out;
    uint64_t stolen_out;
};

/* The part with a fixed size. */
struct figures {
    char name[16];
    char note[512]; /* why it stopped, or could not be measured; empty = nothing to say */
    bool measured;
    bool stopped;     /* gave up before the end of the window */
    bool ended_badly; /* had figures, but its process did not end well */

    /* offered = completed + refused + dropped + unaccounted */
    uint64_t offered;
    uint64_t completed;
    uint64_t refused;
    uint64_t dropped;
    int64_t unaccounted;

    uint64_t refused_memory;   /* part of refused: accepted, but then no memory to run with */
    uint64_t dropped_unsent;   /* part of dropped: never handed over, the generator was too late */
    uint64_t dropped_accepted; /* part of dropped: accepted, then dropped by the contender */
    uint64_t completed_twice;  /* requests that ran more than once */
    bool pool_disagrees;       /* the pool's own counters do not add up to ours */

    uint64_t elapsed_ns; /* first intended request to the last completion, at least the window */
    uint64_t stopped_after_ns;
    uint64_t steady_after_ns; /* until 95 % of the steady completion rate, 0 = never */
    double steady_per_s;      /* completion rate in the second half of the window */

    struct latency in_task;    /* first instruction of the request to its last */
    struct latency end_to_end; /* intended time to last instruction */
    struct latency wait;       /* intended time to first instruction */
    struct latency lateness;   /* intended time to being handed over: how late generators were */
    struct latency refusal;    /* per refused request, averaged over batches of refusals only */

    uint64_t rss_peak_bytes;
    uint64_t rss_start_bytes; /* before the first request */
    uint64_t threads_peak;

    uint64_t cpu_ns; /* of the process, first intended request to the last completion */
    uint64_t cpu_generators_ns;
    uint64_t cpu_sampler_ns;
    uint64_t cpu_others_ns; /* other processes on this computer, meanwhile */
    uint64_t cpu_stolen_ns; /* taken by the hypervisor, meanwhile */

    uint64_t node_count;          /* nodes the load was offered on */
    uint64_t generators_realtime; /* generators that had real-time priority */
    bool emulated;
    bool has_pool; /* the two below, shards and the plan are filled */
    struct numapool_stats pool;
};

struct result {
    struct figures figures;

    size_t sample_count;
    struct sample *samples;
    size_t tick_count;
    struct tick *ticks;

    size_t shard_count;
    struct numapool_shard_stats *shards; /* at the end */
    size_t shard_sample_count;           /* per shard */
    struct shard_sample *shard_samples;  /* [index * shard_count + shard] */

    size_t plan_bytes; /* with the terminator, 0 = none */
    char *plan;        /* who runs where and why, in the pool's words */
};

/* Writes or reads a whole result. False when the other side went away or memory ran out; what was
   read so far is then freed. */
bool result_write(const struct result *result, int fd);
bool result_read(struct result *result, int fd);

void result_free(struct result *result);

struct histogram_view;
void result_summarize(struct latency *latency, const struct histogram_view *view);

#endif
