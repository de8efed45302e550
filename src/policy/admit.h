/*
 * May this task queue at this shard: class shares, predicted wait, deadlines, standing queues,
 * retry hints.
 *
 * Once per tick npi_admit_gates() turns the law into depths, so that the common submit is two
 * integer comparisons; npi_admit_judge() is the exact decision for one task against the same gates.
 * Both always agree (unit/admit_test.c). Byte budgets are plain counters and not judged here.
 * Called by submit (gates, judge), by workers at dequeue (npi_admit_expired, npi_admit_slough) and
 * by the tick (gates, codel).
 */
#ifndef NPI_POLICY_ADMIT_H
#define NPI_POLICY_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/params.h"

/* Ordered by how far a task got. A refusal by several shards is reported by the largest of their
 * verdicts. */
enum npi_verdict {
    NPI_VERDICT_ACCEPT,
    NPI_VERDICT_FULL,    /* the shard holds as many tasks as it can */
    NPI_VERDICT_SHARE,   /* the class may not fill the rest */
    NPI_VERDICT_DELAY,   /* predicted wait beyond the bound, or a standing queue */
    NPI_VERDICT_DEADLINE /* would end after its deadline, or that has passed */
};

/* One shard at one tick. */
struct npi_admit_view {
    uint32_t capacity_tasks;
    uint32_t limit_workers; /* in force */
    /* What growth may reach, npi_admit_reach(); the larger of it and limit_workers counts. */
    uint32_t reach_workers;
    /* The same for guests, whose demand brings this shard no budget: npi_admit_reach() of its quota. */
    uint32_t guest_reach_workers;
    /* npi_scale_result.service_ns; 0 = nothing completed yet, every prediction is then 0. */
    double service_ns;
    double task_ns; /* npi_scale_result.task_ns */
    /* Smoothed arrivals that were accepted. */
    double accepted_per_ns[NPI_CLASS_COUNT];
    /* npi_codel.standing_windows */
    uint32_t standing_windows[NPI_CLASS_COUNT];
};

struct npi_admit_gate {
    /* Fewer tasks of all classes waiting: accepted without further question, deadlines apart. */
    uint32_t free_tasks;
    /* This many or more waiting: refused without further question. */
    uint32_t refuse_tasks;
    /* Class share of the capacity. */
    uint32_t share_tasks;
    /* Tasks ahead, less free permits, from which the wait bound is exceeded; UINT32_MAX = none. */
    uint32_t delay_tasks;
    /* Predicted wait per task ahead. */
    double wait_ns_per_task;
    /* Bound in force on predicted wait; NPI_NEVER_NS = none. */
    uint64_t wait_ns_max;
};

struct npi_admit_gates {
    struct npi_admit_gate by_class[NPI_CLASS_COUNT];
    double task_ns;
    /* A guest's wait over that of a task at home with as many ahead, >= 1. */
    double guest_wait_ratio;
    uint32_t limit_workers;
    uint32_t capacity_tasks;
};

void npi_admit_gates(const struct npi_policy_params *params, const struct npi_admit_view *view,
                     struct npi_admit_gates *gates);

/* What growth may reach: the budget side from npi_balance(), which for guests is the quota in force;
   the CPU side from npi_scale_step(). */
uint32_t npi_admit_reach(uint32_t limit_workers, uint32_t reach_workers, double growth_ratio);

/* Live numbers for one task at one shard. */
struct npi_admit_ask {
    enum npi_class task_class;
    uint64_t now_ns;
    uint64_t deadline_ns;  /* 0 = none */
    uint32_t queued_tasks; /* all classes */
    uint32_t ahead_tasks;  /* its class and better ones; <= queued_tasks */
    uint32_t busy_workers;
    /* Asked at a shard that is not its home: the bounds are then tighter, see npi_admit_judge(). */
    bool guest;
    double penalty_ns; /* of a guest: npi_forward_penalty_ns() */
};
/*
 * A guest may use overflow_fill_permille of the wait bound and pays its penalty, as it may fill
 * only that part of the queue. Otherwise shards that are all overloaded would trade tasks at the
 * price of remote memory. Its wait is predicted for the quota the shard has: what it needs counts at
 * its home, so no budget follows it here.
 */
enum npi_verdict npi_admit_judge(const struct npi_policy_params *params,
                                 const struct npi_admit_gates *gates,
                                 const struct npi_admit_ask *ask);
double npi_admit_wait_ns(const struct npi_admit_gates *gates, const struct npi_admit_ask *ask);
enum npi_verdict npi_admit_combine(enum npi_verdict so_far, enum npi_verdict next);

/* Tasks a class may see waiting: max(1, ceil(share * capacity)), never above capacity; 0 if
 * capacity is 0. */
uint32_t npi_admit_share(uint32_t capacity_tasks, uint32_t share_permille);

/* At dequeue: it would end late, so it is dropped rather than run. */
bool npi_admit_expired(uint64_t now_ns, uint64_t deadline_ns, double task_ns);

/*
 * At dequeue: the wait from which a task of a worse class is overdue. One in overdue_turn tasks that a
 * worker takes is then the longest overdue, before better classes: whoever keeps a shard busy with
 * CRITICAL tasks slows the others down, but does not starve them. NPI_NEVER_NS = never overdue.
 */
uint64_t npi_admit_overdue_ns(const struct npi_policy_params *params, int task_class);

/* At dequeue, only for tasks that allow it: a standing queue is sloughed off from its old end. */
bool npi_admit_slough(const struct npi_policy_params *params, uint32_t standing_windows,
                      uint64_t age_ns);

/* Standing queue of one class: the least sojourn of a window exceeds the target. Zeroed by the
 * caller. */
struct npi_codel {
    uint64_t window_end_ns; /* 0 = not started */
    uint64_t sojourn_ns_min;
    uint32_t standing_windows; /* 0 = no standing queue; else for how many windows in a row */
};
/*
 * Per tick. sojourn_ns_min: least wait of the class's tasks taken since the last call, NPI_NEVER_NS
 * = none was taken. head_age_ns: age of its oldest waiting task, read only if queued_tasks > 0.
 * Returns standing_windows.
 */
uint32_t npi_admit_codel(const struct npi_policy_params *params, struct npi_codel *codel,
                         uint64_t now_ns, uint64_t sojourn_ns_min, uint32_t queued_tasks,
                         uint64_t head_age_ns);

/* When to try again after a refusal, jittered by 32 random bits. */
uint64_t npi_admit_retry_ns(const struct npi_policy_params *params, double wait_ns,
                            uint32_t standing_windows, uint32_t random);

#endif
