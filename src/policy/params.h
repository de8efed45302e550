/*
 * Every number the policy is tuned by, in one place, with its unit and where it came from.
 *
 * Not the user's configuration: the pool copies what a user may set (marked "user") over the defaults.
 * "sim N" names the row of the simulator table in src/policy/README.md that moves when the number is changed.
 */
#ifndef NPI_POLICY_PARAMS_H
#define NPI_POLICY_PARAMS_H

#include <stdint.h>

/* Task classes by rank, best first. The public names are NUMAPOOL_CRITICAL, _NORMAL, _SHEDDABLE; the pool translates. */
enum npi_class { NPI_CLASS_CRITICAL, NPI_CLASS_NORMAL, NPI_CLASS_SHEDDABLE, NPI_CLASS_COUNT };

/* Stands for "no bound" wherever a bound is in nanoseconds. */
#define NPI_NEVER_NS UINT64_MAX

struct npi_policy_params {
    /* signals */
    uint64_t tick_ns;     /* user. Period of the control loop; 5 to 50 ms gave 96.2 to 97.6 % of the CPU maximum. */
    uint64_t rate_tau_ns; /* Time constant of all smoothed rates: five ticks, so one noisy run-delay sample weighs 18 %. */

    /* scale: workers of one shard */
    double cpu_saturated;          /* Share of the shard's CPUs in use above which more workers cannot help (sim 1, 3). */
    double wait_share_max;         /* user (latency bias). Share of busy time workers may lose in the run queue once the CPUs
                                      are saturated; 0.05/0.10/0.15/0.20 gave 94/96/97/98.5 % throughput for +7/9/11/14 % time. */
    double wait_share_starved;     /* Above this share with CPUs apparently free, somebody else runs on them (sim 10, 18). */
    double limit_binding;          /* Busy share of the limit above which the limit is what holds work back. */
    uint64_t doubling_ns_max;      /* Slowest doubling while CPUs are far from used: bounds the damage of stuck tasks (sim 9). */
    uint64_t forget_tau_ns;        /* Time constant with which capacity that is no longer used is given up. */
    uint64_t need_hold_ns;         /* Peak hold of what a shard can use now; longer holds block returning budget (sim 5, 6). */
    uint64_t held_hold_ns;         /* Peak hold of what it used lately; shorter ones moved 1.5 budgets a second at rest (sim 12). */
    uint64_t backlog_clear_ns;     /* Time in which a backlog should be cleared: at most 5 service times of usual blocking. */
    double probe_per_tick;         /* Without run delay: fraction of the cap given back per 10 ms at saturation (sim 3). */
    double guard_throughput_loss;  /* Completions must fall by this share ... */
    double guard_workers_gain;     /* ... while busy workers rise by this share, before growth is undone (sim 19). */
    uint64_t guard_hold_ns;        /* How long growth rests after an undo that helped; doubles to 8 times. */

    /* balance: worker budget between shards */
    double held_headroom;          /* Factor on recent use kept for a shard before idle budget is spread. */
    double dead_band_share;        /* Under contention a quota vector stands while nobody would gain more than this share ... */
    uint32_t dead_band_workers;    /* ... or this many workers (sim 12). */

    /* forward: tasks between shards */
    double memory_bound_share;     /* Part of CPU time a task spends on memory, charged at the distance ratio when remote. */
    uint64_t move_cost_ns;         /* Fixed cost of running elsewhere: a few cold cache lines and a queue on another node. */
    uint64_t move_gain_ns_min;     /* Least gain that justifies a move: about a wake-up (measured 24 to 36 us across cores). */
    uint32_t data_penalty_factor;  /* Penalty multiplier for a task whose data is known to be at home. */
    uint32_t overflow_fill_permille; /* A shard takes overflow only below this fill, so its own submitters keep room. */
    uint32_t guest_permille;       /* Share of a shard's queue that tasks of other homes may hold. */
    uint64_t steal_batch_ns;       /* CPU time worth taking in one steal: long enough to pay the lock and the cold lines. */
    uint32_t steal_batch_tasks;    /* ... and never more tasks than this. */

    /* admit: what may queue */
    uint32_t share_permille[NPI_CLASS_COUNT];  /* user. Part of the bound a class may fill: 1000, 900, 500. */
    uint64_t queue_delay_ns[NPI_CLASS_COUNT];  /* user. Bound on predicted wait: none, 100 ms, 50 ms. */
    uint64_t codel_target_ns;      /* user. Standing delay that counts as a standing queue: 5 ms. */
    uint64_t codel_interval_ns;    /* user. Window of the minimum: at least the longest normal burst, 100 ms. */
    uint32_t standing_targets[NPI_CLASS_COUNT]; /* Predicted wait allowed while standing, in targets; 0 = no bound. */
    double deadline_margin;        /* Part of the time left that prediction may fill: 1.0 gave 91 % goodput, 0.8 gives 98 % (sim 14). */
    uint64_t retry_ns_max;         /* Longest retry hint before jitter. */

    /* idle: spin or park */
    uint64_t spin_ns;              /* user. Longest spin before parking: about the cost of a park and a wake; 0 = never. */
};

void npi_policy_defaults(struct npi_policy_params *params);

#endif
