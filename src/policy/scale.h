/*
 * How many workers one shard should run: the worker law.
 *
 * It limits workers by CPU saturation and run-queue wait, not by queue length. The result is a permission, not a
 * number of threads: workers start when tasks arrive and leave at task boundaries.
 * The balancer calls npi_scale_step() once per tick and shard; nothing here reads a clock or keeps a static.
 * README.md in this folder has the formulas.
 */
#ifndef NPI_POLICY_SCALE_H
#define NPI_POLICY_SCALE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/params.h"

/* Largest value of a window, in as many steps as there are slots; forgets between 7/8 and 1 window after the peak. */
#define NPI_PEAK_SLOTS 8
struct npi_peak {
    uint64_t slot_index;
    double slot[NPI_PEAK_SLOTS];
};

/* What one tick saw of one shard. Integrals cover the `elapsed_ns` before `now_ns`. */
struct npi_scale_sample {
    uint64_t now_ns;
    uint64_t elapsed_ns;        /* 0 = nothing to learn; the step then only repeats its last answer */
    double cpus;                /* CPUs this shard may use: its set, allowed mask and cgroup quota applied; fractions are fine */
    uint64_t completed_tasks;
    double completed_run_ns;    /* sum of in-task time of those completed tasks */
    double busy_ns;             /* worker time inside tasks, blocked or not */
    double cpu_ns;              /* CPU time of these workers */
    double delay_ns;            /* their time spent runnable but not running */
    double idle_ns;             /* idle time summed over all CPUs of the shard's set */
    bool delay_known;           /* false: no run-delay source; the law probes the knee from above instead */
    bool idle_known;            /* false: others on the same CPUs are seen only through run delay */
    uint32_t queued_tasks;      /* live, at now_ns */
    uint32_t busy_workers;      /* live, at now_ns, blocked ones included */
    uint32_t limit_workers;     /* the limit in force during the tick */
    double own_workers;         /* busy workers attributed to this home, see npi_balance_own() */
};

/* Owned by the caller, one per shard; zero it by npi_scale_init() only. */
struct npi_scale {
    double cap_workers;         /* learned limit, fractional */
    double busy, cpu, runnable, foreign; /* smoothed, in workers or CPUs */
    double done_per_ns;         /* smoothed completions */
    double done_run;            /* smoothed in-task time of completed tasks per ns */
    double service_ns;          /* last N/X seen at a completion; 0 = none yet */
    double task_ns;             /* last mean in-task time; 0 = none yet */
    struct npi_peak need, held;
    /* throughput guard */
    double guard_best_per_ns, guard_best_workers;
    double guard_before_per_ns;
    double guard_cap_workers;
    uint64_t guard_at_ns, guard_until_ns;
    uint32_t guard_phase, guard_strikes;
};

enum npi_scale_move { NPI_SCALE_HOLD, NPI_SCALE_GROW, NPI_SCALE_SHRINK, NPI_SCALE_UNDO };

struct npi_scale_result {
    uint32_t cap_workers;       /* learned limit, >= 1 */
    double need_workers;        /* what the shard can use now, peak held for need_hold_ns: balance level 1 */
    double held_workers;        /* what it used lately, peak held for held_hold_ns: balance level 2 */
    double growth_ratio;        /* how far the CPUs say the limit could still grow, >= 1; 1 when saturated */
    double service_ns;          /* N/X: worker time per completion, for predictions; 0 before the first completion */
    double task_ns;             /* mean in-task time of completed tasks; 0 before the first completion */
    double task_cpu_ns;         /* mean CPU time per task; 0 before the first completion */
    double cpu_used;            /* U, smoothed CPUs in use by this shard */
    double cpu_taken;           /* U plus what others use of the shard's CPUs */
    bool saturated;             /* cpu_taken >= cpu_saturated * cpus: stealing more work here is of no use */
    bool starved;               /* others hold the CPUs: quota, throttling, neighbours */
    enum npi_scale_move move;
};

/* `cap_workers`: where to start; the shard's CPUs is a good value, more if the caller knows its tasks block. */
void npi_scale_init(struct npi_scale *scale, double cap_workers);

void npi_scale_step(const struct npi_policy_params *params, struct npi_scale *scale,
                    const struct npi_scale_sample *sample, struct npi_scale_result *result);

/* The limit in force: at least one worker, whatever cap and quota say. */
uint32_t npi_scale_limit(uint32_t cap_workers, uint32_t quota_workers);

#endif
