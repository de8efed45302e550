/* The event loop, and a task's life between start and end. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/pool.h"

#define MS UINT64_C(1000000)

void sim_fault(struct sim_pool *pool, const char *what)
{
    if (pool->result->faults++ == 0)
        (void)snprintf(pool->result->fault, sizeof pool->result->fault, "%s at %.3f s", what,
                       (double)pool->now_ns * 1e-9);
}

static const struct sim_shard_spec *shard_spec(const struct sim_spec *spec, size_t i)
{
    return &spec->shards[spec->alike ? 0 : i];
}

static double remote_factor(const struct sim_pool *pool, size_t home, size_t at)
{
    if (home == at)
        return 1.0;
    double distance =
        pool->spec->distance ? (double)pool->spec->distance[home * pool->count + at] : 20.0;
    return 1.0 + (distance / NPI_DISTANCE_LOCAL - 1.0) * pool->params.memory_bound_share;
}

static void use_cpu(struct sim_pool *pool, uint32_t id, enum task_phase phase, double share)
{
    struct sim_task *task = &pool->tasks[id];
    task->phase = (uint8_t)phase;
    pool->work[id].left_ns = task->cpu_ns * remote_factor(pool, task->home, task->at) * share;
    sim_plant_run(&pool->shards[task->at].plant, pool->work, id, pool->now_ns, &pool->heap);
}

void sim_start(struct sim_pool *pool, uint32_t at, uint32_t id)
{
    struct sim_shard *shard = &pool->shards[at];
    struct sim_task *task = &pool->tasks[id];
    sim_plant_advance(&shard->plant, pool->now_ns);
    shard->plant.busy++;
    if (++pool->running_workers > pool->budget_workers)
        sim_fault(pool, "more permits in use than the budget");
    task->started_ns = pool->now_ns;
    task->at = (uint16_t)at;
    task->lent = task->home != at && !pool->shards[task->home].last.saturated;
    if (task->lent) {
        shard->lent_in++;
        pool->shards[task->home].lent_out++;
    }
    use_cpu(pool, id, TASK_FIRST_CPU, task->cpu_before);
}

struct sim_slot *sim_slot(struct sim_pool *pool)
{
    struct sim_result *result = pool->result;
    if (result->slot_count == 0 || pool->end_ns == 0)
        return NULL;
    size_t at = (size_t)((double)pool->now_ns / (double)pool->end_ns * (double)result->slot_count);
    return &result->slots[at < result->slot_count ? at : result->slot_count - 1];
}

static void add_time(struct npi_histogram_sum *times, uint64_t ns)
{
    times->bucket[npi_histogram_index(ns)]++;
    times->count++;
    if (ns > times->max)
        times->max = ns;
}

static void record(struct sim_pool *pool, const struct sim_task *task)
{
    struct sim_result *result = pool->result;
    unsigned c = task->task_class;
    uint64_t wait_ns = task->started_ns - task->arrived_ns;
    uint64_t total_ns = pool->now_ns - task->arrived_ns;
    add_time(&result->times->wait[c], wait_ns);
    add_time(&result->times->total[c], total_ns);
    struct sim_slot *slot = sim_slot(pool);
    if (slot) {
        slot->done++;
        add_time(&slot->wait[c], wait_ns);
    }
    bool away = task->at != task->home;
    result->completed++;
    result->completed_by[c]++;
    result->away += away;
    result->shards[task->home].done++;
    result->shards[task->home].away += away;
    result->shards[task->at].ran++;
    result->shards[task->at].guests += away;
    if (task->deadline_ns == 0 || pool->now_ns <= task->deadline_ns)
        result->in_time++;
    if (task->hops > result->hops_max)
        result->hops_max = task->hops;
    if (pool->spec->brief)
        return;
    result->done =
        sim_grow(result->done, result->done_count, &result->done_space, sizeof *result->done);
    struct sim_done *done = &result->done[result->done_count++];
    done->end_s = (float)((double)pool->now_ns * 1e-9);
    done->total_ms = (float)((double)total_ns * 1e-6);
    done->inside_ms = (float)((double)(total_ns - wait_ns) * 1e-6);
    done->home = task->home;
    done->at = task->at;
    done->task_class = task->task_class;
    done->hops = task->hops;
}

/* Somebody else may have waited for the permit that just came back. */
static void pass_permit(struct sim_pool *pool)
{
    pool->permit_denied = false;
    for (size_t step = 0; step < pool->count; step++) {
        uint32_t i = (uint32_t)((pool->turn + step) % pool->count);
        const struct sim_shard *shard = &pool->shards[i];
        if (shard->queued_tasks > 0 && shard->plant.busy < shard->limit_workers) {
            pool->turn = i + 1;
            sim_pull(pool, i);
            if (pool->running_workers >= pool->budget_workers)
                return;
        }
    }
}

static void finish(struct sim_pool *pool, uint32_t id)
{
    struct sim_task *task = &pool->tasks[id];
    uint32_t at = task->at;
    struct sim_shard *shard = &pool->shards[at];
    sim_plant_advance(&shard->plant, pool->now_ns);
    shard->plant.busy--;
    pool->running_workers--;
    shard->done_tasks++;
    shard->done_run_ns += (double)(pool->now_ns - task->started_ns);
    if (task->lent) {
        shard->lent_in--;
        pool->shards[task->home].lent_out--;
    }
    record(pool, task);
    task->phase = TASK_FREE;
    task->next = pool->free_task;
    pool->free_task = id;
    sim_pull(pool, at);
    if (pool->permit_denied && pool->running_workers < pool->budget_workers)
        pass_permit(pool);
}

static void work_done(struct sim_pool *pool, uint32_t id)
{
    struct sim_task *task = &pool->tasks[id];
    if (task->phase == TASK_LAST_CPU) {
        finish(pool, id);
        return;
    }
    if (task->block_ns > 0) {
        const struct sim_shard *shard = &pool->shards[task->at];
        double block = (double)task->block_ns;
        if (shard->contention_workers > 0.0) {
            double crowd = shard->plant.busy / shard->contention_workers;
            block *= 1.0 + crowd * crowd;
        }
        task->phase = TASK_BLOCKED;
        sim_event_push(&pool->heap, pool->now_ns + (uint64_t)block, SIM_EVENT_WAKE, id, 0);
    } else if (task->cpu_before < 1.0) {
        use_cpu(pool, id, TASK_LAST_CPU, 1.0 - task->cpu_before);
    } else {
        finish(pool, id);
    }
}

static void change(struct sim_pool *pool, uint32_t index, bool seen)
{
    const struct sim_change *its = &pool->spec->changes[index];
    struct sim_plant *plant = &pool->shards[its->shard].plant;
    sim_plant_advance(plant, pool->now_ns);
    if (seen) {
        plant->cpus_seen = its->value;
        return;
    }
    switch (its->kind) {
    case SIM_CHANGE_FOREIGN:
        sim_plant_others(plant, its->value, pool->now_ns, &pool->heap);
        return;
    case SIM_CHANGE_CPUS:
        sim_event_push(&pool->heap, pool->now_ns + 100 * MS, SIM_EVENT_SEEN, index, 0);
        plant->cpus = its->value;
        break;
    case SIM_CHANGE_CPUS_HIDDEN:
        plant->cpus = its->value;
        break;
    case SIM_CHANGE_SPEED:
        plant->speed = its->value;
        break;
    case SIM_CHANGE_SUBMIT:
        for (uint32_t k = 0; k < (uint32_t)its->value; k++) {
            struct sim_job job = {its->cpu_ms * 1e6, (uint64_t)(its->block_ms * 1e6), 0, 1.0,
                                  NPI_CLASS_NORMAL};
            sim_submit(pool, its->shard, &job);
        }
        return;
    }
    sim_plant_changed(plant, pool->work, pool->now_ns, &pool->heap);
}

/* Fetches the next arrival, if there is one. */
static void expect_arrival(struct sim_pool *pool)
{
    if (sim_source_next(&pool->source, &pool->arrival))
        sim_event_push(&pool->heap, pool->arrival.at_ns, SIM_EVENT_ARRIVAL, 0, 0);
}

static void handle(struct sim_pool *pool, const struct sim_event *event)
{
    struct sim_plant *plant = event->a < pool->count ? &pool->shards[event->a].plant : NULL;
    uint32_t done = SIM_NONE;
    switch (event->kind) {
    case SIM_EVENT_ARRIVAL:
        sim_submit(pool, pool->arrival.home, &pool->arrival.job);
        expect_arrival(pool);
        break;
    case SIM_EVENT_SLICE:
        done = sim_plant_slice(plant, pool->work, event->b, pool->now_ns, &pool->heap);
        break;
    case SIM_EVENT_SHARED:
        done = sim_plant_shared(plant, event->b, pool->now_ns, &pool->heap);
        break;
    case SIM_EVENT_FOREIGN:
        sim_plant_foreign(plant, pool->work, event->b, pool->now_ns, &pool->heap);
        break;
    case SIM_EVENT_WAKE:
        if (pool->tasks[event->a].cpu_before < 1.0)
            use_cpu(pool, event->a, TASK_LAST_CPU, 1.0 - pool->tasks[event->a].cpu_before);
        else
            finish(pool, event->a);
        break;
    case SIM_EVENT_TICK:
        sim_tick(pool);
        break;
    case SIM_EVENT_CHANGE:
        change(pool, event->a, false);
        break;
    case SIM_EVENT_SEEN:
        change(pool, event->a, true);
        break;
    }
    if (done != SIM_NONE)
        work_done(pool, done);
}

static void begin(struct sim_pool *pool, const struct sim_spec *spec)
{
    memset(pool, 0, sizeof *pool);
    pool->spec = spec;
    pool->params = spec->params;
    pool->count = spec->shard_count;
    pool->budget_workers = spec->budget_workers;
    pool->end_ns = (uint64_t)(spec->seconds * 1e9);
    pool->free_task = SIM_NONE;
    npi_prng_seed(&pool->prng, spec->seed);
    npi_prng_seed(&pool->noise, spec->seed + 7);
    pool->shards = sim_zeroed(pool->count, sizeof *pool->shards);
    pool->result = sim_zeroed(1, sizeof *pool->result);
    pool->result->seconds = spec->seconds;
    pool->result->tick_s = (double)spec->params.tick_ns * 1e-9;
    pool->result->shard_count = pool->count;
    pool->result->shards = sim_zeroed(pool->count, sizeof *pool->result->shards);
    pool->result->times = sim_zeroed(1, sizeof *pool->result->times);
    pool->result->slot_count = spec->slot_count;
    pool->result->slots = sim_zeroed(spec->slot_count, sizeof *pool->result->slots);
    pool->result->ms_count = (size_t)(spec->seconds * 1e3);
    pool->result->arrived_per_ms =
        sim_zeroed(pool->result->ms_count + 1, sizeof *pool->result->arrived_per_ms);
    for (size_t i = 0; i < pool->count; i++) {
        const struct sim_shard_spec *its = shard_spec(spec, i);
        struct sim_shard *shard = &pool->shards[i];
        sim_plant_init(&shard->plant, (uint32_t)i, its->cpus, its->speed, its->foreign_cpus,
                       spec->shared_cpus, &pool->heap);
        shard->capacity_tasks = its->capacity_tasks;
        shard->contention_workers = its->contention_workers;
        shard->min_workers = its->workers_min
                                 ? its->workers_min
                                 : npi_balance_min(spec->budget_workers, pool->count, its->cpus);
        shard->workers_max = its->workers_max;
        shard->limit_workers = its->workers_at_start ? its->workers_at_start : shard->min_workers;
        for (int c = 0; c < NPI_CLASS_COUNT; c++) {
            shard->queue[c].first = shard->queue[c].last = SIM_NONE;
            shard->sojourn_ns_min[c] = NPI_NEVER_NS;
        }
    }
    sim_control_init(pool);
    /* Its own random numbers: what is offered does not depend on what becomes of it. */
    sim_source_init(&pool->source, spec->loads, spec->load_count, spec->trace, spec->trace_count,
                    spec->shard_count, spec->seed);
    expect_arrival(pool);
    for (uint32_t i = 0; i < spec->change_count; i++)
        sim_event_push(&pool->heap, (uint64_t)(spec->changes[i].at_s * 1e9), SIM_EVENT_CHANGE, i,
                       0);
    sim_event_push(&pool->heap, spec->params.tick_ns, SIM_EVENT_TICK, 0, 0);
}

/* Whatever came in must be somewhere: this holds at any instant, so it is checked at the last one.
 */
static void account(struct sim_pool *pool)
{
    struct sim_result *result = pool->result;
    uint64_t refused = 0;
    for (int c = 0; c < NPI_CLASS_COUNT; c++)
        refused += result->refused[c];
    for (size_t i = 0; i < pool->count; i++) {
        result->queued_at_end += pool->shards[i].queued_tasks;
        result->running_at_end += pool->shards[i].plant.busy;
    }
    if (result->offered != result->accepted + refused)
        sim_fault(pool, "offered is not accepted + refused");
    if (result->accepted !=
        result->completed + result->dropped + result->queued_at_end + result->running_at_end)
        sim_fault(pool, "accepted is not done + dropped + queued + running");
    if (result->running_at_end != pool->running_workers)
        sim_fault(pool, "permits in use are not the running tasks");
    if (result->hops_max > 2)
        sim_fault(pool, "a task moved more than twice");
}

struct sim_result *sim_run(const struct sim_spec *spec)
{
    struct sim_pool pool;
    struct sim_event event;
    begin(&pool, spec);
    while (sim_event_pop(&pool.heap, &event) && event.at_ns <= pool.end_ns) {
        pool.now_ns = event.at_ns;
        pool.result->events++;
        handle(&pool, &event);
    }
    account(&pool);
    for (size_t i = 0; i < pool.count; i++) {
        sim_plant_fini(&pool.shards[i].plant);
        free(pool.shards[i].order);
        free(pool.shards[i].classes);
    }
    sim_event_fini(&pool.heap);
    sim_source_fini(&pool.source);
    free(pool.shards);
    free(pool.tasks);
    free(pool.work);
    free(pool.balance);
    free(pool.scratch);
    free(pool.quota);
    free(pool.reach);
    return pool.result;
}

void sim_result_free(struct sim_result *result)
{
    if (!result)
        return;
    free(result->done);
    free(result->ticks);
    free(result->moved_workers);
    free(result->arrived_per_ms);
    free(result->shards);
    free(result->times);
    free(result->slots);
    free(result);
}
