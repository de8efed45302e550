/*
 * Stop 7: the control loop of the whole pool. tick(now) of one shard: what happened -> worker law ->
 * gates for submitters; then, once per period for all shards: demands -> quotas -> limits.
 * The decisions are policy/scale.h, admit.h, forward.h, idle.h and balance.h; the thread that calls
 * tick is flow/control.h.
 *
 * Limits never add up to more than the budget at any instant, counting workers that still run under
 * an older, higher limit: those who lose are lowered first, and only what is free then is given.
 */
#ifndef NPI_FLOW_BALANCER_H
#define NPI_FLOW_BALANCER_H

#include "flow/pool.h"

/* What a shard's tick remembers; only its control thread uses it. */
struct npi_tick {
    struct npi_scale scale;
    struct npi_scale_result result;
    struct npi_codel codel[NPI_CLASS_COUNT];
    uint64_t last_ns;
    uint64_t accepted_before[NPI_CLASS_COUNT];
    uint64_t taken_before;
    uint64_t wakes_before;
    double waking_ns; /* what a woken worker waited for a CPU lately; 0 = not known */
    uint32_t busy_before;
    double accepted_per_ns[NPI_CLASS_COUNT];
    uint64_t gap_ns;    /* between tasks that were accepted since the last tick */
    uint64_t oldest_ns; /* how long the oldest waiting task has waited */
    uint64_t idle_before_ns;
    uint64_t idle_read_ns; /* when idle_before_ns was read */
    double idle_cpus;      /* of the shard's processors, at the last reading */
    bool idle_known;
    double cpus;           /* allowed just now */
    uint32_t sample_first; /* rotates over the workers when there are too many to ask all */
    uint32_t sample_stride;
    uint64_t sample_turn;
};

void npi_tick_init(struct npi_tick *tick, const struct npi_shard *shard);

/* The loop was asleep: what happened meanwhile is not a sample. */
void npi_tick_resume(struct npi_tick *tick, struct npi_shard *shard, uint64_t now_ns);

/* One shard's step, then the pool's if it is due. */
void npi_tick(struct npi_tick *tick, struct npi_shard *shard, uint64_t now_ns);

/* Publishes gates for a shard that has not run yet. */
void npi_tick_publish_first(struct npi_tick *tick, struct npi_shard *shard);

/* First quotas and limits, and again after the budget changed. */
void npi_balancer_apply_budget(struct numapool *pool);

/* Takes a permit beyond the shard's limit out of what no shard holds of the budget, neither by its limit nor
   by its workers. False: nothing is left. Limits are raised under the same lock, so the sum stands. */
bool npi_balancer_lend(struct npi_shard *shard);

#endif
