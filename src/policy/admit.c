/*
 * Admission: shares, predicted wait, deadlines, standing queues.
 *
 * Latency-gradient limiters were not chosen: they infer queueing from a drifting round-trip
 * baseline, while this pool sees its queues. Rejecting at submit is the rule; what was accepted is
 * dropped only for its own deadline, or by npi_admit_slough() where the task allows it.
 */
#include "policy/admit.h"

/* Most windows that double a retry hint; the hint itself is bounded by retry_ns_max times this
 * power. */
static const uint32_t retry_doublings_max = 5;

uint32_t npi_admit_share(uint32_t capacity_tasks, uint32_t share_permille)
{
    if (capacity_tasks == 0)
        return 0;
    uint64_t share = ((uint64_t)capacity_tasks * share_permille + 999) / 1000;
    if (share < 1)
        share = 1;
    return share < capacity_tasks ? (uint32_t)share : capacity_tasks;
}

uint32_t npi_admit_reach(uint32_t limit_workers, uint32_t reach_workers, double growth_ratio)
{
    uint32_t limit = limit_workers > 0 ? limit_workers : 1;
    double by_cpu = growth_ratio > 1.0 ? (double)limit * growth_ratio : (double)limit;
    double reach = (double)reach_workers < by_cpu ? (double)reach_workers : by_cpu;
    return reach > (double)limit ? (uint32_t)reach : limit;
}

static uint32_t add_saturated(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* Least whole depth whose predicted wait exceeds the bound. */
static uint32_t depth_beyond(double wait_ns_per_task, uint64_t wait_ns_max)
{
    if (wait_ns_max == NPI_NEVER_NS || !(wait_ns_per_task > 0.0))
        return UINT32_MAX;
    double bound = (double)wait_ns_max;
    double depth = bound / wait_ns_per_task;
    if (depth >= (double)(UINT32_MAX - 2))
        return UINT32_MAX;
    uint32_t tasks = (uint32_t)depth;
    while (tasks > 0 && (double)(tasks - 1) * wait_ns_per_task > bound)
        tasks--;
    while (!((double)tasks * wait_ns_per_task > bound))
        tasks++;
    return tasks;
}

static uint64_t wait_bound(const struct npi_policy_params *params,
                           const struct npi_admit_view *view, int task_class)
{
    uint64_t bound = params->queue_delay_ns[task_class];
    uint64_t standing = params->standing_targets[task_class] * params->codel_target_ns;
    if (view->standing_windows[task_class] > 0 && standing > 0 && standing < bound)
        bound = standing;
    return bound;
}

void npi_admit_gates(const struct npi_policy_params *params, const struct npi_admit_view *view,
                     struct npi_admit_gates *gates)
{
    uint32_t workers =
        view->reach_workers > view->limit_workers ? view->reach_workers : view->limit_workers;
    double per_task = 0.0;
    if (view->service_ns > 0.0)
        per_task = view->service_ns / (double)(workers > 0 ? workers : 1);
    uint32_t guest_workers = view->guest_reach_workers > view->limit_workers
                                 ? view->guest_reach_workers
                                 : view->limit_workers;
    gates->guest_wait_ratio = workers > guest_workers && guest_workers > 0
                                  ? (double)workers / (double)guest_workers
                                  : 1.0;
    gates->task_ns = view->task_ns;
    gates->limit_workers = view->limit_workers;
    gates->capacity_tasks = view->capacity_tasks;

    double better_per_ns = 0.0;
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        struct npi_admit_gate *gate = &gates->by_class[c];
        /* Strict priority: what better classes bring meanwhile is served first, but for the turns of
         * overdue tasks. */
        double rho_max = 1.0 - 1.0 / (double)params->overdue_turn;
        double rho = better_per_ns * per_task;
        if (!(rho < rho_max))
            rho = rho_max;
        gate->wait_ns_per_task = per_task / (1.0 - rho);
        gate->wait_ns_max = wait_bound(params, view, c);
        gate->share_tasks = npi_admit_share(view->capacity_tasks, params->share_permille[c]);
        gate->delay_tasks = depth_beyond(gate->wait_ns_per_task, gate->wait_ns_max);
        gate->free_tasks =
            gate->share_tasks < gate->delay_tasks ? gate->share_tasks : gate->delay_tasks;
        gate->refuse_tasks = gate->share_tasks;
        if (c == NPI_CLASS_COUNT - 1) { /* behind everybody: all that wait are ahead of it */
            uint32_t surely = add_saturated(gate->delay_tasks, view->limit_workers);
            if (surely < gate->refuse_tasks)
                gate->refuse_tasks = surely;
        }
        better_per_ns += view->accepted_per_ns[c];
    }
}

/* Tasks ahead that no free permit is about to take. */
static uint32_t ahead_of(const struct npi_admit_gates *gates, const struct npi_admit_ask *ask)
{
    uint32_t free_workers =
        gates->limit_workers > ask->busy_workers ? gates->limit_workers - ask->busy_workers : 0;
    return ask->ahead_tasks > free_workers ? ask->ahead_tasks - free_workers : 0;
}

double npi_admit_wait_ns(const struct npi_admit_gates *gates, const struct npi_admit_ask *ask)
{
    return (double)ahead_of(gates, ask) * gates->by_class[ask->task_class].wait_ns_per_task;
}

enum npi_verdict npi_admit_judge(const struct npi_policy_params *params,
                                 const struct npi_admit_gates *gates,
                                 const struct npi_admit_ask *ask)
{
    const struct npi_admit_gate *gate = &gates->by_class[ask->task_class];
    if (ask->deadline_ns != 0 && ask->now_ns >= ask->deadline_ns)
        return NPI_VERDICT_DEADLINE;
    if (ask->queued_tasks >= gates->capacity_tasks)
        return NPI_VERDICT_FULL;
    if (ask->queued_tasks >= gate->share_tasks)
        return NPI_VERDICT_SHARE;
    double wait_ns = npi_admit_wait_ns(gates, ask);
    if (ask->guest)
        wait_ns =
            wait_ns * gates->guest_wait_ratio * 1000.0 / (double)params->overflow_fill_permille +
            ask->penalty_ns;
    if (ask->deadline_ns != 0) {
        double left_ns = (double)(ask->deadline_ns - ask->now_ns);
        if (wait_ns + gates->task_ns > params->deadline_margin * left_ns)
            return NPI_VERDICT_DEADLINE;
    }
    if (gate->wait_ns_max != NPI_NEVER_NS && wait_ns > (double)gate->wait_ns_max)
        return NPI_VERDICT_DELAY;
    return NPI_VERDICT_ACCEPT;
}

enum npi_verdict npi_admit_combine(enum npi_verdict so_far, enum npi_verdict next)
{
    return so_far > next ? so_far : next;
}

bool npi_admit_expired(uint64_t now_ns, uint64_t deadline_ns, double task_ns)
{
    return deadline_ns != 0 && (now_ns >= deadline_ns || task_ns > (double)(deadline_ns - now_ns));
}

uint64_t npi_admit_overdue_ns(const struct npi_policy_params *params, int task_class)
{
    if (task_class == NPI_CLASS_CRITICAL)
        return NPI_NEVER_NS;
    uint64_t bound = params->queue_delay_ns[task_class];
    return bound != NPI_NEVER_NS ? bound : params->overdue_ns;
}

bool npi_admit_slough(const struct npi_policy_params *params, uint32_t standing_windows,
                      uint64_t age_ns)
{
    return standing_windows > 0 && age_ns > 2 * params->codel_target_ns;
}

uint32_t npi_admit_codel(const struct npi_policy_params *params, struct npi_codel *codel,
                         uint64_t now_ns, uint64_t sojourn_ns_min, uint32_t queued_tasks,
                         uint64_t head_age_ns)
{
    if (codel->window_end_ns == 0) {
        codel->window_end_ns = now_ns + params->codel_interval_ns;
        codel->sojourn_ns_min = NPI_NEVER_NS;
    }
    if (queued_tasks == 0)
        sojourn_ns_min = 0; /* an empty queue is the shortest wait there is */
    if (sojourn_ns_min < codel->sojourn_ns_min)
        codel->sojourn_ns_min = sojourn_ns_min;
    if (now_ns < codel->window_end_ns)
        return codel->standing_windows;

    uint64_t least = codel->sojourn_ns_min;
    if (least == NPI_NEVER_NS)
        least = head_age_ns; /* nothing was taken: the oldest one tells */
    bool standing = least > params->codel_target_ns;
    if (standing && codel->standing_windows < UINT32_MAX)
        codel->standing_windows++;
    else if (!standing)
        codel->standing_windows = 0;
    codel->sojourn_ns_min = NPI_NEVER_NS;
    codel->window_end_ns = now_ns + params->codel_interval_ns;
    return codel->standing_windows;
}

uint64_t npi_admit_retry_ns(const struct npi_policy_params *params, double wait_ns,
                            uint32_t standing_windows, uint32_t random)
{
    double hint = wait_ns - (double)params->codel_target_ns;
    double least =
        (double)
            params->tick_ns; /* gates change once per tick: asking earlier gets the same answer */
    if (!(hint > least))
        hint = least;
    if (hint > (double)params->retry_ns_max)
        hint = (double)params->retry_ns_max;
    uint32_t doublings = standing_windows > 0 ? standing_windows - 1 : 0;
    if (doublings > retry_doublings_max)
        doublings = retry_doublings_max;
    hint *= (double)(1u << doublings);
    hint *= 1.0 + 0.5 * ((double)random * 0x1.0p-32);
    return (uint64_t)hint;
}
