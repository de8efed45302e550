/*
 * Every number the policy is tuned by, in one place, with its unit and where it came from.
 *
 * Not the user's configuration: the pool copies what a user may set (marked "user") over the
 * defaults. "sim N" names the row of the simulator table in src/policy/README.md that moves when
 * the number is changed.
 */
#ifndef NPI_POLICY_PARAMS_H
#define NPI_POLICY_PARAMS_H

#include <stdint.h>

/* Task classes by rank, best first. The public names are NUMAPOOL_CRITICAL, _NORMAL, _SHEDDABLE;
 * the pool translates. */
enum npi_class { NPI_CLASS_CRITICAL, NPI_CLASS_NORMAL, NPI_CLASS_SHEDDABLE, NPI_CLASS_COUNT };

/* Stands for "no bound" wherever a bound is in nanoseconds. */
#define NPI_NEVER_NS UINT64_MAX

struct npi_policy_params {
    /* ---- signals ---- */

    /* user. Period of the control loop. 5 to 50 ms gave 96.2 to 97.6 % of the CPU maximum. */
    uint64_t tick_ns;
    /* Time constant of all smoothed rates: five ticks, so one noisy sample weighs 18 %. */
    uint64_t rate_tau_ns;

    /* ---- scale: workers of one shard ---- */

    /* Share of the shard's CPUs in use above which more workers cannot help (sim 1, 3). */
    double cpu_saturated;
    /* Share above which a shard takes no work of others: a little above cpu_saturated, or a shard
     * that its own law holds at saturation would never help (sim 4). */
    double cpu_full;
    /* user (latency bias). Share of busy time that workers may lose in the run queue once the CPUs
     * are saturated. 0.05/0.10/0.15/0.20 gave 94/96/97/98.5 % throughput for +7/9/11/14 % time. */
    double wait_share_max;
    /* Above this share while CPUs seem free, somebody else runs on them (sim 10, 18). */
    double wait_share_starved;
    /* So much of the wait after a wake is no sign of want: a CPU takes it to come out of its sleep; a virtual one has
     * to be fetched by the host. */
    uint64_t wake_excused_ns;
    /* Busy share of the limit above which the limit is what holds work back. */
    double limit_binding;
    /* Slowest doubling while CPUs are far from used: bounds the damage of stuck tasks (sim 9). */
    uint64_t doubling_ns_max;
    /* Time constant with which capacity that is no longer used is given up. */
    uint64_t forget_tau_ns;
    /* Peak hold of what a shard can use now; longer holds block returning budget (sim 5, 6). */
    uint64_t need_hold_ns;
    /* Peak hold of what it used lately; shorter ones moved 1.5 budgets a second at rest (sim 12).
     */
    uint64_t held_hold_ns;
    /* Time constant of mean use: long against the noise of arrivals, short against a user (sim 12).
     */
    uint64_t mean_tau_ns;
    /* Time in which a backlog should be cleared: at most five service times of usual blocking. */
    uint64_t backlog_clear_ns;
    /* Without run delay: fraction of the cap given back per 10 ms of saturation (sim 3). */
    double probe_per_tick;
    /* Growth is undone if completions fall by this share ... (sim 19) */
    double guard_throughput_loss;
    /* ... while busy workers rise by this share. */
    double guard_workers_gain;
    /* How long growth rests after an undo that helped; doubles up to 8 times as long. */
    uint64_t guard_hold_ns;

    /* ---- balance: worker budget between shards ---- */

    /* Factor on recent use that is kept for a shard before idle budget is spread. */
    double held_headroom;
    /* Under contention a quota vector stands while nobody would gain more than this share ... */
    double dead_band_share;
    /* ... or this many workers (sim 12). */
    uint32_t dead_band_workers;

    /* ---- forward: tasks between shards ---- */

    /* Part of CPU time a task spends on memory, charged at the distance ratio when remote. */
    double memory_bound_share;
    /* Fixed cost of running elsewhere: a few cold cache lines and a queue on another node. */
    uint64_t move_cost_ns;
    /* Least gain that justifies a move: about a wake-up (24 to 36 us across cores). */
    uint64_t move_gain_ns_min;
    /* Penalty multiplier for a task whose data is known to be at home. */
    uint32_t data_penalty_factor;
    /* A shard takes overflow only below this fill, so that its own submitters keep room. */
    uint32_t overflow_fill_permille;
    /* Share of a shard's queue that tasks of other homes may hold. */
    uint32_t guest_permille;

    /* ---- admit: what may queue ---- */

    /* user. Part of the queue bound that a class may fill: 1000, 900, 500. */
    uint32_t share_permille[NPI_CLASS_COUNT];
    /* user. Bound on predicted wait: none, 100 ms, 50 ms. */
    uint64_t queue_delay_ns[NPI_CLASS_COUNT];
    /* user. Delay that counts as a standing queue: 5 ms. */
    uint64_t codel_target_ns;
    /* user. Window of the minimum delay: at least the longest normal burst, 100 ms. */
    uint64_t codel_interval_ns;
    /* Predicted wait allowed while a queue stands, in targets: none (0), 4, 1. */
    uint32_t standing_targets[NPI_CLASS_COUNT];
    /* Part of the time left that prediction may fill: 1.0 gave 91 % goodput, 0.8 98 % (sim 14). */
    double deadline_margin;
    /* One in so many tasks that a worker takes may be an overdue one of a worse class: what strict
     * priority leaves the others at least. */
    uint32_t overdue_turn;
    /* Overdue is what waited beyond its class's queue_delay_ns, or this where that has no bound. */
    uint64_t overdue_ns;
    /* Longest retry hint before doubling and jitter. */
    uint64_t retry_ns_max;

    /* ---- idle: spin or park ---- */

    /* user. Longest spin before parking: about the cost of a park and a wake. 0 = never. */
    uint64_t spin_ns;
    /* It follows the measured cost of a wake up to this, where that is more: on virtual machines a CPU
     * that stands still has to be fetched by the host. The same as spin_ns when the user chose that. */
    uint64_t spin_measured_ns_max;
    /* What a wake costs the waker and the woken together: a system call and a switch. */
    uint64_t wake_ns;
    /* Tasks come in a stream when there is less than this between two of them over a whole tick. */
    uint64_t stream_gap_ns;
    /* In a stream, most tasks that may wait while nobody else is woken: bounds what a task that takes
     * long, among many that do not, can delay, to this many gaps. */
    uint32_t spare_tasks_max;
};

void npi_policy_defaults(struct npi_policy_params *params);

#endif
