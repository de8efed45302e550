/* The tick: sample each shard, ask the law, share out the budget, publish gates. */
#include <stdlib.h>

#include "base/ewma.h"
#include "sim/pool.h"

static void publish(struct sim_pool *pool, size_t i)
{
    struct sim_shard *shard = &pool->shards[i];
    struct npi_forward_view forward = {
        .service_ns = shard->last.service_ns,
        .task_cpu_ns = shard->last.task_cpu_ns,
        .limit_workers = shard->limit_workers,
        .capacity_tasks = shard->capacity_tasks,
        .distance_min = shard->class_count ? shard->classes[0].distance : 0,
    };
    npi_forward_gates(&pool->params, &forward, &shard->forward);
    struct npi_admit_view admit = {
        .capacity_tasks = shard->capacity_tasks,
        .limit_workers = shard->limit_workers,
        .reach_workers =
            npi_admit_reach(shard->limit_workers, pool->reach[i], shard->last.growth_ratio),
        .guest_reach_workers =
            npi_admit_reach(shard->limit_workers, pool->quota[i], shard->last.growth_ratio),
        .service_ns = shard->last.service_ns,
        .task_ns = shard->last.task_ns,
    };
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        admit.accepted_per_ns[c] = shard->accepted_per_ns[c];
        admit.standing_windows[c] = shard->codel[c].standing_windows;
    }
    npi_admit_gates(&pool->params, &admit, &shard->admit);
    shard->published = (struct npi_forward_target){
        .queued_tasks = shard->queued_tasks,
        .capacity_tasks = shard->capacity_tasks,
        .guest_tasks = shard->guest_tasks,
        .busy_workers = shard->plant.busy,
        .limit_workers = shard->limit_workers,
        .cpus = (float)shard->plant.cpus_seen,
        .cpu_free = shard->last.cpu_free,
    };
}

void sim_control_init(struct sim_pool *pool)
{
    const struct sim_spec *spec = pool->spec;
    pool->balance = sim_zeroed(pool->count, sizeof *pool->balance);
    pool->scratch = sim_zeroed(pool->count, sizeof *pool->scratch);
    pool->quota = sim_zeroed(pool->count, sizeof *pool->quota);
    pool->reach = sim_zeroed(pool->count, sizeof *pool->reach);
    uint32_t *distance = sim_zeroed(pool->count, sizeof *distance);
    for (size_t i = 0; i < pool->count; i++) {
        struct sim_shard *shard = &pool->shards[i];
        for (size_t j = 0; j < pool->count; j++)
            distance[j] = spec->distance ? spec->distance[i * pool->count + j]
                                         : (i == j ? NPI_DISTANCE_LOCAL : 20u);
        shard->order = sim_zeroed(pool->count, sizeof *shard->order);
        shard->classes = sim_zeroed(pool->count, sizeof *shard->classes);
        shard->class_count =
            npi_forward_order(distance, pool->count, i, shard->order, shard->classes);
        npi_scale_init(&shard->scale, (double)shard->limit_workers);
        shard->last.cpu_free = true;
        pool->quota[i] = pool->reach[i] = shard->quota_workers = shard->limit_workers;
        publish(pool, i);
    }
    free(distance);
}

static double noisy(struct sim_pool *pool, double value)
{
    double factor = 1.0 + pool->spec->noise * sim_gauss(&pool->noise);
    return factor > 0.0 ? value * factor : 0.0;
}

/* A shard that only computes must not keep many more workers than CPUs. */
static void check_crowd(struct sim_pool *pool, struct sim_shard *shard,
                        const struct sim_meters *meters)
{
    bool crowded = meters->runnable_ns > 0.9 * meters->busy_ns && shard->last.cpu_used > 0.5 &&
                   (double)shard->plant.busy > 1.25 * shard->plant.cpus_seen + 1.0;
    if (!crowded)
        shard->over_since_ns = 0;
    else if (shard->over_since_ns == 0)
        shard->over_since_ns = pool->now_ns;
    else if (pool->now_ns - shard->over_since_ns > 300000000)
        sim_fault(pool, "CPU-bound shard kept more than 1.25 C workers for 0.3 s");
}

static void step(struct sim_pool *pool, size_t i)
{
    struct sim_shard *shard = &pool->shards[i];
    struct sim_meters meters = sim_plant_take(&shard->plant, pool->now_ns);
    struct sim_result *result = pool->result;
    struct sim_tick *record = &result->ticks[result->tick_count * pool->count + i];
    uint64_t elapsed = pool->params.tick_ns;
    struct npi_scale_sample sample = {
        .now_ns = pool->now_ns,
        .elapsed_ns = elapsed,
        .cpus = shard->plant.cpus_seen,
        .completed_tasks = shard->done_tasks,
        .completed_run_ns = shard->done_run_ns,
        .busy_ns = meters.busy_ns,
        .cpu_ns = pool->spec->noise > 0.0 ? noisy(pool, meters.cpu_ns) : meters.cpu_ns,
        .delay_ns = pool->spec->noise > 0.0 ? noisy(pool, meters.delay_ns) : meters.delay_ns,
        .idle_ns = meters.idle_ns,
        .delay_known = !pool->spec->delay_unknown,
        .idle_known = !pool->spec->idle_unknown,
        .queued_tasks = shard->queued_tasks,
        .guest_tasks = shard->guest_tasks,
        .busy_workers = shard->plant.busy,
        .limit_workers = shard->limit_workers,
        .own_workers = npi_balance_own(shard->plant.busy, shard->lent_in, shard->lent_out),
    };
    if (sim_policy_places(pool))
        npi_scale_step(&pool->params, &shard->scale, &sample, &shard->last);
    if (pool->spec->judged && pool->spec->law == SIM_LAW_ADAPTIVE)
        check_crowd(pool, shard, &meters);
    double weight = npi_ewma_weight((double)elapsed, (double)pool->params.rate_tau_ns);
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        uint32_t head = shard->queue[c].count ? shard->queue[c].first : SIM_NONE;
        uint64_t age = head == SIM_NONE ? 0 : pool->now_ns - pool->tasks[head].arrived_ns;
        npi_admit_codel(&pool->params, &shard->codel[c], pool->now_ns, shard->sojourn_ns_min[c],
                        shard->queue[c].count, age);
        shard->sojourn_ns_min[c] = NPI_NEVER_NS;
        shard->accepted_per_ns[c] = npi_ewma_mix(
            shard->accepted_per_ns[c], weight, (double)shard->accepted_tasks[c] / (double)elapsed);
        shard->accepted_tasks[c] = 0;
    }
    record->runnable = (float)(meters.runnable_ns / (double)elapsed);
    record->used_cpus = (float)(meters.cpu_ns / (double)elapsed);
    record->done_tasks = (uint32_t)shard->done_tasks;
    record->queued_tasks = shard->queued_tasks;
    record->busy_workers = shard->plant.busy;
    shard->done_tasks = 0;
    shard->done_run_ns = 0.0;
}

static void share_out(struct sim_pool *pool)
{
    struct npi_balance_result outcome;
    for (size_t i = 0; i < pool->count; i++) {
        const struct sim_shard *shard = &pool->shards[i];
        pool->balance[i] = (struct npi_balance_shard){
            .need_workers = shard->last.need_workers,
            .held_workers = shard->last.held_workers,
            .mean_workers = shard->last.mean_workers,
            .weight = shard->plant.cpus_seen,
            .min_workers = shard->min_workers,
            .cap_workers = shard->last.cap_workers,
            .quota_workers = pool->quota[i],
        };
        if (shard->workers_max && pool->balance[i].cap_workers > shard->workers_max)
            pool->balance[i].cap_workers = shard->workers_max;
    }
    npi_balance(&pool->params, pool->budget_workers, pool->balance, pool->count, pool->scratch,
                pool->quota, pool->reach, &outcome);
    pool->result->moved_workers[pool->result->tick_count] = outcome.moved_workers;
    uint64_t sum = 0;
    for (size_t i = 0; i < pool->count; i++) {
        struct sim_shard *shard = &pool->shards[i];
        shard->quota_workers = pool->quota[i];
        shard->limit_workers = npi_scale_limit(pool->balance[i].cap_workers, pool->quota[i]);
        sum += pool->quota[i];
    }
    if (sum > pool->budget_workers)
        sim_fault(pool, "quotas exceed the budget");
}

static void grow_by_threshold(struct sim_pool *pool)
{
    if (pool->now_ns < pool->next_growth_ns)
        return;
    pool->next_growth_ns = pool->now_ns + 1000000000;
    for (size_t i = 0; i < pool->count; i++) {
        struct sim_shard *shard = &pool->shards[i];
        uint64_t total = 0;
        for (size_t j = 0; j < pool->count; j++)
            total += pool->shards[j].limit_workers;
        if ((double)shard->queued_tasks < 0.7 * shard->capacity_tasks ||
            total >= pool->budget_workers)
            continue;
        uint64_t more = shard->limit_workers / 4 > 1 ? shard->limit_workers / 4 : 1;
        if (more > pool->budget_workers - total)
            more = pool->budget_workers - total;
        shard->limit_workers += (uint32_t)more;
    }
}

void sim_tick(struct sim_pool *pool)
{
    struct sim_result *result = pool->result;
    size_t needed = (result->tick_count + 1) * pool->count;
    while (result->tick_space < needed)
        result->ticks =
            sim_grow(result->ticks, result->tick_space, &result->tick_space, sizeof *result->ticks);
    result->moved_workers = sim_grow(result->moved_workers, result->tick_count,
                                     &result->moved_space, sizeof *result->moved_workers);
    result->moved_workers[result->tick_count] = 0.0;
    for (size_t i = 0; i < pool->count; i++)
        step(pool, i);
    if (pool->spec->law == SIM_LAW_ADAPTIVE)
        share_out(pool);
    else if (pool->spec->law == SIM_LAW_THRESHOLD)
        grow_by_threshold(pool);
    for (size_t i = 0; i < pool->count; i++) {
        struct sim_tick *record = &result->ticks[result->tick_count * pool->count + i];
        record->limit_workers = pool->shards[i].limit_workers;
        record->quota_workers = pool->shards[i].quota_workers;
        publish(pool, i);
    }
    result->tick_count++;
    for (uint32_t i = 0; i < pool->count; i++)
        sim_pull(pool, i);
    sim_event_push(&pool->heap, pool->now_ns + pool->params.tick_ns, SIM_EVENT_TICK, 0, 0);
}
