/*
 * Whether a worker without work spins, and for how long, before it parks; and whether one that parks is
 * woken while another runs.
 *
 * Spinning at most as long as a park and a wake cost is never worse than twice the best choice; it
 * is worth anything only if tasks arrive that fast, and it does harm where the CPUs have other
 * work. Bounds are by time, never by count.
 */
#ifndef NPI_POLICY_IDLE_H
#define NPI_POLICY_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/params.h"

/* One shard at one tick. */
struct npi_idle_view {
    /* Smoothed time between tasks that arrive at the shard; NPI_NEVER_NS = none seen. */
    uint64_t gap_ns;
    uint64_t waking_ns; /* how long one that is woken waits for a CPU, measured; 0 = not yet */
    /* Time between tasks that arrived since the last tick; NPI_NEVER_NS = none. */
    uint64_t tick_gap_ns;
    double task_ns; /* npi_scale_result */
    double cpus;
    uint32_t busy_workers;
    bool saturated, starved; /* npi_scale_result */
};

/* Published per tick. */
struct npi_idle_gates {
    uint64_t spin_ns; /* 0 = park at once */
    uint32_t spinning_workers_max;
    /* Beside more workers than this a spinner would take the CPU of one that has a task. */
    uint32_t active_workers_max;
    /* Tasks are short and come in a stream: a running worker has done so many before another one is
       awake, so while fewer wait nobody else is woken. 0 = whoever submits wakes. */
    uint32_t spare_tasks;
    uint64_t patience_ns; /* how often that is looked at */
};
void npi_idle_gates(const struct npi_policy_params *params, const struct npi_idle_view *view,
                    struct npi_idle_gates *gates);

/* One per worker, zeroed at start: spins that find nothing make the next ones rarer. */
struct npi_idle {
    uint16_t misses; /* in a row */
    uint16_t skips;  /* parks left to do without spinning */
};
/* How long this worker spins now; 0 = park at once. Both live: spinning_workers without this one,
   active_workers with it. */
uint64_t npi_idle_spin_ns(const struct npi_idle_gates *gates, struct npi_idle *idle,
                          uint32_t spinning_workers, uint32_t active_workers);
/* After a spin of nonzero length. */
void npi_idle_note(struct npi_idle *idle, bool found);

#endif
