/* The control loop's arithmetic and its effects; see balancer.h. */
#include "flow/balancer.h"

#include "base/ewma.h"
#include "flow/overflow.h"
#include "flow/usage.h"
#include "flow/worker.h"
#include "os/os.h"

/* Reading /proc/stat costs a line per processor; on large machines it is read less often. */
#define IDLE_PERIOD_NS_LARGE UINT64_C(50000000)
#define LARGE_MACHINE_CPUS 64

/* A shard that meets its quota with a queue may have the budget dealt anew this soon. */
#define KICK_NS UINT64_C(1000000)

/* Fewer wakes in a tick say little of what one costs. */
#define WAKES_LEAST 10

void npi_tick_init(struct npi_tick *tick, const struct npi_shard *shard)
{
    memset(tick, 0, sizeof *tick);
    tick->cpus = shard->plan->capacity;
    npi_scale_init(&tick->scale, tick->cpus > 1.0 ? tick->cpus : 1.0);
    tick->result.cap_workers = tick->cpus > 1.0 ? (uint32_t)tick->cpus : 1;
    tick->result.growth_ratio = 1.0;
}

static uint32_t busy_now(const struct npi_shard *shard)
{
    return npi_shard_busy(shard) + npi_a32_load_relaxed(&shard->blocked);
}

/* Tasks whose run began on this shard's workers. */
static uint64_t begun_here(const struct npi_shard *shard)
{
    return npi_shard_taken(shard) + npi_a64_load_relaxed(&shard->stolen_in) -
           npi_a64_load_relaxed(&shard->stolen_out);
}

static void read_idle(struct npi_tick *tick, const struct npi_shard *shard, uint64_t now_ns)
{
    const struct npi_plan *plan = shard->pool->plan;
    uint64_t period = plan->cpu_slots > LARGE_MACHINE_CPUS ? IDLE_PERIOD_NS_LARGE : 0;
    if (!plan->live || (tick->idle_read_ns != 0 && now_ns - tick->idle_read_ns < period)) {
        return;
    }
    uint64_t idle_ns = 0;
    const struct npi_cpuset *cpus = &shard->plan->cpus;
    if (npi_machine_idle_ns(cpus->words, cpus->word_count, &idle_ns) != 0) {
        tick->idle_known = false;
        tick->idle_read_ns = 0;
        return;
    }
    if (tick->idle_read_ns != 0 && now_ns > tick->idle_read_ns && idle_ns >= tick->idle_before_ns) {
        tick->idle_cpus =
            (double)(idle_ns - tick->idle_before_ns) / (double)(now_ns - tick->idle_read_ns);
        tick->idle_known = true;
    }
    tick->idle_before_ns = idle_ns;
    tick->idle_read_ns = now_ns;
}

void npi_tick_resume(struct npi_tick *tick, struct npi_shard *shard, uint64_t now_ns)
{
    tick->last_ns = now_ns;
    tick->wakes_before = npi_a64_load_relaxed(&shard->gate.wakes);
    tick->taken_before = begun_here(shard);
    tick->busy_before = busy_now(shard);
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        tick->accepted_before[rank] = npi_shard_accepted(shard, (enum npi_class)rank);
    }
    tick->idle_read_ns = 0;
    tick->idle_known = false;
    read_idle(tick, shard, now_ns);
    npi_usage_forget(shard);
}

static double own_workers(const struct npi_shard *shard, uint32_t busy)
{
    return npi_balance_own(busy, npi_a32_load_relaxed(&shard->lent_in),
                           npi_a32_load_relaxed(&shard->lent_out));
}

/* The mean over a few ticks. Of a tick with few wakes the wait is mostly that of running workers. */
static void learn_waking(struct npi_tick *tick, const struct npi_usage *usage, uint64_t wakes)
{
    if (!usage->delay_known || wakes < WAKES_LEAST) {
        return;
    }
    double waking_ns = usage->delay_ns / (double)wakes;
    tick->waking_ns =
        tick->waking_ns > 0.0 ? npi_ewma_mix(tick->waking_ns, 0.25, waking_ns) : waking_ns;
}

static void learn(struct npi_tick *tick, struct npi_shard *shard, uint64_t now_ns)
{
    uint64_t elapsed_ns = now_ns - tick->last_ns;
    uint32_t busy = busy_now(shard);
    uint64_t taken = begun_here(shard);
    int64_t finished = (int64_t)(taken - tick->taken_before) - ((int64_t)busy - tick->busy_before);
    uint64_t completed = finished > 0 ? (uint64_t)finished : 0;
    double busy_mean = 0.5 * ((double)busy + tick->busy_before);

    uint64_t wakes_ever = npi_a64_load_relaxed(&shard->gate.wakes);
    uint64_t wakes = wakes_ever - tick->wakes_before;
    struct npi_usage usage;
    npi_usage_sample(tick, shard, &usage);
    learn_waking(tick, &usage, wakes);
    read_idle(tick, shard, now_ns);
    if (usage.run_ns_per_task <= 0.0) {
        usage.run_ns_per_task = tick->result.task_ns; /* nobody who was asked finished one */
    }
    struct npi_scale_sample sample = {
        .now_ns = now_ns,
        .elapsed_ns = elapsed_ns,
        .cpus = tick->cpus,
        .completed_tasks = completed,
        .completed_run_ns = usage.run_ns_per_task * (double)completed,
        .busy_ns = busy_mean * (double)elapsed_ns,
        .cpu_ns = usage.cpu_ns - usage.spin_ns,
        .delay_ns = usage.delay_ns,
        .wakes = wakes,
        .idle_ns = tick->idle_cpus * (double)elapsed_ns + usage.spin_ns,
        .delay_known = usage.delay_known,
        .idle_known = tick->idle_known,
        .queued_tasks = (uint32_t)npi_shard_waiting(shard),
        .busy_workers = busy,
        .limit_workers = npi_permits_limit(npi_gate_permits(&shard->gate)),
        .own_workers = own_workers(shard, busy),
        .guest_tasks = npi_a32_load_relaxed(&shard->guests),
    };
    npi_scale_step(&shard->pool->params, &tick->scale, &sample, &tick->result);

    double weight = npi_ewma_weight((double)elapsed_ns, (double)shard->pool->params.rate_tau_ns);
    uint64_t arrived = 0;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        uint64_t accepted = npi_shard_accepted(shard, (enum npi_class)rank);
        arrived += accepted - tick->accepted_before[rank];
        double rate = (double)(accepted - tick->accepted_before[rank]) / (double)elapsed_ns;
        tick->accepted_per_ns[rank] = npi_ewma_mix(tick->accepted_per_ns[rank], weight, rate);
        tick->accepted_before[rank] = accepted;
    }
    tick->gap_ns = arrived != 0 ? elapsed_ns / arrived : NPI_NEVER_NS;
    tick->taken_before = taken;
    tick->wakes_before = wakes_ever;
    tick->busy_before = busy;
    tick->last_ns = now_ns;
}

static void look_for_standing_queues(struct npi_tick *tick, struct npi_shard *shard,
                                     uint64_t now_ns)
{
    uint64_t now_ticks = npi_clock_ticks();
    tick->oldest_ns = 0;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        uint64_t least = npi_a64_swap_acq_rel(&shard->sojourn_ticks_min[rank], UINT64_MAX);
        uint64_t stamp = now_ticks;
        uint32_t queued = (uint32_t)npi_shard_waiting_of(shard, (enum npi_class)rank);
        if (queued != 0 && !npi_shard_head_stamp(shard, (enum npi_class)rank, &stamp)) {
            queued = 0;
        }
        uint64_t age = (int64_t)(now_ticks - stamp) > 0 ? now_ticks - stamp : 0;
        uint64_t age_ns = npi_clock_ticks_to_ns(age);
        tick->oldest_ns = age_ns > tick->oldest_ns ? age_ns : tick->oldest_ns;
        (void)npi_admit_codel(&shard->pool->params, &tick->codel[rank], now_ns,
                              least == UINT64_MAX ? NPI_NEVER_NS : npi_clock_ticks_to_ns(least),
                              queued, age_ns);
    }
}

static void publish(struct npi_tick *tick, struct npi_shard *shard)
{
    const struct npi_policy_params *params = &shard->pool->params;
    const struct npi_scale_result *result = &tick->result;
    uint32_t limit = npi_permits_limit(npi_gate_permits(&shard->gate));
    uint32_t reach = (uint32_t)npi_a64_load_relaxed(&shard->reach);
    uint32_t quota = (uint32_t)npi_a64_load_relaxed(&shard->quota);
    struct npi_shard_view view;
    memset(&view, 0, sizeof view);

    struct npi_admit_view admit = {
        .capacity_tasks = shard->capacity_tasks,
        .limit_workers = limit,
        .reach_workers = npi_admit_reach(limit, reach, result->growth_ratio),
        .guest_reach_workers = npi_admit_reach(limit, quota, result->growth_ratio),
        .service_ns = result->service_ns,
        .task_ns = result->task_ns,
    };
    double arrivals_per_ns = 0.0;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        admit.accepted_per_ns[rank] = tick->accepted_per_ns[rank];
        admit.standing_windows[rank] = tick->codel[rank].standing_windows;
        view.standing_windows[rank] = tick->codel[rank].standing_windows;
        arrivals_per_ns += tick->accepted_per_ns[rank];
    }
    npi_admit_gates(params, &admit, &view.admit);

    struct npi_forward_view forward = {
        .service_ns = result->service_ns,
        .task_cpu_ns = result->task_cpu_ns,
        .limit_workers = limit,
        .capacity_tasks = shard->capacity_tasks,
        .distance_min = shard->class_count != 0 ? shard->classes[0].distance : 0,
    };
    npi_forward_gates(params, &forward, &view.forward);

    struct npi_idle_view idle = {
        .gap_ns = arrivals_per_ns > 0.0 && arrivals_per_ns > 1e-9
                      ? (uint64_t)(1.0 / arrivals_per_ns)
                      : NPI_NEVER_NS,
        .waking_ns = (uint64_t)tick->waking_ns,
        .tick_gap_ns = tick->gap_ns,
        .task_ns = result->task_ns,
        .cpus = tick->cpus,
        .busy_workers = tick->busy_before,
        .saturated = result->saturated,
        .starved = result->starved,
    };
    npi_idle_gates(params, &idle, &view.idle);
    view.task_cpu_ns = result->task_cpu_ns;
    view.cpus = (float)tick->cpus;
    view.cpu_free = result->cpu_free && !result->starved;
    npi_a64_store_relaxed(&shard->spare_tasks, view.idle.spare_tasks);
    npi_a64_store_relaxed(&shard->patience_ticks, npi_clock_ns_to_ticks(view.idle.patience_ns));
    npi_shard_view_publish(shard, &view);
    npi_pool_room_made(shard->pool);

    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        uint32_t fast = view.admit.by_class[rank].free_tasks;
        if (shard->class_count != 0 && view.forward.soft_tasks < fast) {
            fast = view.forward.soft_tasks;
        }
        npi_a64_store_relaxed(&shard->fast_tasks[rank], fast);
    }
}

void npi_tick_publish_first(struct npi_tick *tick, struct npi_shard *shard)
{
    tick->gap_ns = NPI_NEVER_NS;
    publish(tick, shard);
}

/* ---------------------------------------------------------------------- the whole pool */

/* Per shard: the limit it is to have, and what it holds of the budget before it gets more. */
struct npi_dealt {
    uint32_t limit, held;
};
_Static_assert(sizeof(struct npi_dealt) <= sizeof(struct npi_balance_scratch),
               "kept where the plan was made");

static uint32_t held_by(const struct npi_shard *shard)
{
    uint64_t permits = npi_gate_permits(&shard->gate);
    uint32_t limit = npi_permits_limit(permits), active = npi_permits_active(permits);
    return active > limit ? active : limit;
}

/* Lower first, then give what is free: see balancer.h. What a shard holds is read once: a worker that
   leaves meanwhile would make its part smaller and nobody's larger. */
static void set_limits(struct numapool *pool, struct npi_dealt *dealt)
{
    uint64_t held = 0;
    for (unsigned i = 0; i < pool->shard_count; i++) {
        struct npi_gate *gate = &pool->shards[i]->gate;
        uint32_t before = npi_permits_limit(npi_gate_permits(gate));
        if (dealt[i].limit < before) {
            NPI_PROBE4(resize, pool, i, before, dealt[i].limit);
            (void)npi_gate_set_limit(gate, dealt[i].limit);
        }
        dealt[i].held = held_by(pool->shards[i]);
        held += dealt[i].held;
    }
    uint32_t budget = npi_a32_load_relaxed(&pool->budget);
    uint64_t free = budget > held ? budget - held : 0;
    for (unsigned i = 0; i < pool->shard_count; i++) {
        struct npi_shard *shard = pool->shards[i];
        uint32_t limit = npi_permits_limit(npi_gate_permits(&shard->gate));
        uint64_t most = dealt[i].held + free;
        uint32_t raised = dealt[i].limit < most ? dealt[i].limit : (uint32_t)most;
        if (raised > limit) {
            NPI_PROBE4(resize, pool, i, limit, raised);
            (void)npi_gate_set_limit(&shard->gate, raised);
            free -= raised > dealt[i].held ? raised - dealt[i].held : 0;
            npi_shard_look(shard, NPI_GATE_NOBODY);
        }
    }
}

static void deal(struct numapool *pool)
{
    struct npi_balancer *balancer = &pool->balancer;
    uint32_t budget = npi_a32_load_relaxed(&pool->budget);
    for (unsigned i = 0; i < pool->shard_count; i++) {
        balancer->shards[i].quota_workers = balancer->quota[i];
        balancer->shards[i].min_workers =
            npi_balance_min(budget, pool->shard_count, pool->shards[i]->plan->capacity);
        unsigned most = pool->shards[i]->plan->workers_max;
        if (most != 0 && balancer->shards[i].cap_workers > most) {
            balancer->shards[i].cap_workers = most;
        }
    }
    struct npi_balance_result result;
    npi_balance(&pool->params, budget, balancer->shards, pool->shard_count, balancer->scratch,
                balancer->quota, balancer->reach, &result);
    struct npi_dealt *dealt = (void *)balancer->scratch; /* its contents are spent */
    for (unsigned i = 0; i < pool->shard_count; i++) {
        uint32_t limit = npi_scale_limit(balancer->shards[i].cap_workers, balancer->quota[i]);
        if (balancer->quota[i] != balancer->shards[i].quota_workers) {
            NPI_PROBE4(quota, pool, i, balancer->shards[i].quota_workers, balancer->quota[i]);
        }
        npi_a64_store_relaxed(&pool->shards[i]->quota, balancer->quota[i]);
        npi_a64_store_relaxed(&pool->shards[i]->reach, balancer->reach[i]);
        npi_a64_store_relaxed(&pool->shards[i]->cap, balancer->shards[i].cap_workers);
        dealt[i].limit = limit;
    }
    set_limits(pool, dealt);
}

void npi_balancer_apply_budget(struct numapool *pool)
{
    struct npi_balancer *balancer = &pool->balancer;
    (void)pthread_mutex_lock(&balancer->lock);
    uint32_t budget = npi_a32_load_relaxed(&pool->budget);
    if (pool->adaptive) {
        deal(pool);
    } else {
        struct npi_dealt *dealt = (void *)balancer->scratch;
        for (unsigned i = 0; i < pool->shard_count; i++) {
            uint32_t part = npi_pool_part(pool, budget, i);
            unsigned most = pool->shards[i]->plan->workers_max;
            uint32_t limit = most != 0 && part > most ? most : part;
            if (balancer->quota[i] != limit) {
                NPI_PROBE4(quota, pool, i, balancer->quota[i], limit);
            }
            dealt[i].limit = balancer->quota[i] = balancer->reach[i] = limit;
            npi_a64_store_relaxed(&pool->shards[i]->quota, limit);
            npi_a64_store_relaxed(&pool->shards[i]->reach, limit);
            npi_a64_store_relaxed(&pool->shards[i]->cap, limit);
        }
        set_limits(pool, dealt);
    }
    (void)pthread_mutex_unlock(&balancer->lock);
}

bool npi_balancer_lend(struct npi_shard *shard)
{
    struct numapool *pool = shard->pool;
    uint64_t held = 0;
    (void)pthread_mutex_lock(&pool->balancer.lock);
    for (unsigned i = 0; i < pool->shard_count; i++) {
        held += held_by(pool->shards[i]);
    }
    bool lent = NPI_MUTANT(lent_beyond_budget, held < npi_a32_load_relaxed(&pool->budget), true);
    if (lent) {
        npi_gate_enter(&shard->gate);
    }
    (void)pthread_mutex_unlock(&pool->balancer.lock);
    return lent;
}

static void balance(struct npi_tick *tick, struct npi_shard *shard, uint64_t now_ns)
{
    struct numapool *pool = shard->pool;
    struct npi_balancer *balancer = &pool->balancer;
    (void)pthread_mutex_lock(&balancer->lock);
    struct npi_balance_shard *mine = &balancer->shards[shard->index];
    mine->need_workers = tick->result.need_workers;
    mine->mean_workers = tick->result.mean_workers;
    mine->held_workers = tick->result.held_workers;
    mine->weight = tick->cpus;
    mine->cap_workers = tick->result.cap_workers;
    uint64_t permits = npi_gate_permits(&shard->gate);
    bool meets_quota = npi_permits_active(permits) >= balancer->quota[shard->index] &&
                       npi_shard_waiting(shard) != 0;
    uint64_t period = meets_quota ? KICK_NS : pool->params.tick_ns - pool->params.tick_ns / 8;
    if (pool->shard_count == 1 || now_ns - balancer->last_ns >= period) {
        balancer->last_ns = now_ns;
        deal(pool);
    }
    (void)pthread_mutex_unlock(&balancer->lock);
}

void npi_tick(struct npi_tick *tick, struct npi_shard *shard, uint64_t now_ns)
{
    if (now_ns <= tick->last_ns) {
        return;
    }
    learn(tick, shard, now_ns);
    look_for_standing_queues(tick, shard, now_ns);
    if (shard->pool->adaptive) {
        balance(tick, shard, now_ns);
    } else if (npi_permits_limit(npi_gate_permits(&shard->gate)) <
               npi_a64_load_relaxed(&shard->quota)) {
        npi_balancer_apply_budget(shard->pool); /* others held too much of it when it was dealt */
    }
    bool patient = npi_a64_load_relaxed(&shard->patience_ticks) != 0;
    publish(tick, shard);
    /* Submitters relied on workers that may be in a task that takes long. */
    if (patient && tick->oldest_ns > shard->pool->params.wake_ns * 16) {
        npi_shard_look(shard, NPI_GATE_NOBODY);
    }
    npi_overflow_call_help(shard);
}
