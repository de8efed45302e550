/*
 * How many workers one shard should run: the worker law.
 *
 * It limits workers by CPU saturation and run-queue wait, not by queue length. The result is a
 * permission, not a number of threads: workers start when tasks arrive and leave at task
 * boundaries. The balancer calls npi_scale_step() once per tick and shard; nothing here reads a
 * clock or keeps a static. README.md in this folder has the formulas.
 */
#ifndef NPI_POLICY_SCALE_H
#define NPI_POLICY_SCALE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/params.h"

/* Largest value of a sliding window, kept in slots: a peak is forgotten after 7/8 to 1 window. */
#define NPI_PEAK_SLOTS 8
struct npi_peak {
    uint64_t slot_index;
    double slot[NPI_PEAK_SLOTS];
};

/* What one tick saw of one shard. Integrals cover the `elapsed_ns` before `now_ns`. */
struct npi_scale_sample {
    uint64_t now_ns;
    /* 0 = nothing to learn: the step repeats its last answer. */
    uint64_t elapsed_ns;
    /* CPUs the shard may use: set, allowed mask and cgroup quota applied; fractions are fine. */
    double cpus;
    uint64_t completed_tasks;
    /* Sum of in-task time of those completed tasks. */
    double completed_run_ns;
    /* Worker time inside tasks, blocked or not. */
    double busy_ns;
    /* CPU time of these workers. */
    double cpu_ns;
    /* Their time runnable but not running, and how often they were woken: each wake is a delay, too,
     * on CPUs that stand still. */
    double delay_ns;
    uint64_t wakes;
    /* Idle time summed over all CPUs of the shard's set. */
    double idle_ns;
    /* false: no run-delay source; the law then probes the knee from above. */
    bool delay_known;
    /* false: others on the same CPUs are seen only through run delay. */
    bool idle_known;
    /* Live at now_ns, blocked workers included. */
    uint32_t queued_tasks, busy_workers;
    /* Those of the queued tasks whose home is another shard: their demand counts there. */
    uint32_t guest_tasks;
    /* In force during the tick. */
    uint32_t limit_workers;
    /* Busy workers attributed to this home, see npi_balance_own(). */
    double own_workers;
};

/* Throughput guard: completions against workers; see scale.c. */
struct npi_scale_guard {
    uint64_t tail_start_ns, epoch_end_ns;
    /* Measured over the last third of the epoch, when the last change has shown. */
    double tail_ns, bound_ns, busy_ns, done_tasks;
    /* Most completions seen while the limit binds, and the workers that gave them. */
    double best_per_ns, best_workers;
    /* While trying fewer workers: what came before the try, and where to return to. */
    double before_per_ns, before_cap_workers;
    uint64_t rest_until_ns; /* growth rests: fewer workers were better */
    uint64_t off_until_ns;  /* the guard rests: fewer workers were not better */
    uint32_t strikes;       /* rests in a row; each is twice as long */
    bool trying;
    bool careful; /* fewer workers were better once: growth is slow */
};

/* Owned by the caller, one per shard, started by npi_scale_init(). Fields are private to scale.c.
 */
struct npi_scale {
    double cap_workers;                          /* learned limit, fractional */
    double age_ns;                               /* time seen */
    double busy, cpu, runnable, foreign, waking; /* smoothed, in workers or CPUs */
    double done_per_ns, done_run; /* smoothed completions and their in-task time, per ns */
    double service_ns, task_ns, task_cpu_ns; /* as last seen at a completion; 0 = none yet */
    double held_workers;                     /* last result */
    double mean_workers;                     /* smoothed over mean_tau_ns */
    double probe_ticks;                      /* saturated ticks in a row without run delay */
    struct npi_peak need, held;
    struct npi_scale_guard guard;
};

enum npi_scale_move { NPI_SCALE_HOLD, NPI_SCALE_GROW, NPI_SCALE_SHRINK, NPI_SCALE_UNDO };

struct npi_scale_result {
    /* Learned limit, >= 1. */
    uint32_t cap_workers;
    /* What the shard can use now, peak held for need_hold_ns: level 1 of balance. */
    double need_workers;
    /* What it used lately, peak held for held_hold_ns: level 2 of balance. */
    double held_workers;
    /* What it can use on average over a second: tells lasting shortage from noise. */
    double mean_workers;
    /* How far the CPUs say the limit could still grow, >= 1; 1 when saturated. */
    double growth_ratio;
    /* N/X, worker time per completion, for predictions; 0 before the first completion. */
    double service_ns;
    /* Mean in-task time and CPU time per completed task; 0 before the first completion. */
    double task_ns, task_cpu_ns;
    /* CPUs in use by this shard, and these plus what others use of its CPUs; smoothed. */
    double cpu_used, cpu_taken;
    /* cpu_taken >= cpu_saturated * cpus: more workers cannot help this home. */
    bool saturated;
    /* cpu_taken < cpu_full * cpus: it may take work of others. */
    bool cpu_free;
    /* Others hold the CPUs: quota, throttling, neighbours. */
    bool starved;
    enum npi_scale_move move;
};

/* cap_workers: where to start. The shard's CPUs are a good value. */
void npi_scale_init(struct npi_scale *scale, double cap_workers);

void npi_scale_step(const struct npi_policy_params *params, struct npi_scale *scale,
                    const struct npi_scale_sample *sample, struct npi_scale_result *result);

/* The limit in force: at least one worker, whatever cap and quota say. */
uint32_t npi_scale_limit(uint32_t cap_workers, uint32_t quota_workers);

#endif
