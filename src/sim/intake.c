/*
 * A task's way into a queue, to another shard, and out to a worker: the order in which the policy
 * is asked.
 *
 * This is the only file of the simulator that mirrors what submit and workers of the real pool do;
 * a change of order there belongs here too.
 */
#include <string.h>

#include "sim/pool.h"

static bool adaptive(const struct sim_pool *pool)
{
    return pool->spec->law == SIM_LAW_ADAPTIVE;
}

uint32_t sim_ahead(const struct sim_shard *shard, int task_class)
{
    uint32_t ahead = 0;
    for (int c = 0; c <= task_class; c++)
        ahead += shard->queue[c].count;
    return ahead;
}

static bool has_permit(struct sim_pool *pool, const struct sim_shard *shard)
{
    if (shard->plant.busy >= shard->limit_workers)
        return false;
    if (pool->running_workers < pool->budget_workers)
        return true;
    pool->permit_denied = true;
    return false;
}

static void append(struct sim_pool *pool, struct sim_shard *shard, uint32_t index, uint32_t id)
{
    struct sim_task *task = &pool->tasks[id];
    struct sim_list *list = &shard->queue[task->task_class];
    task->next = SIM_NONE;
    task->phase = TASK_QUEUED;
    if (list->count++ > 0)
        pool->tasks[list->last].next = id;
    else
        list->first = id;
    list->last = id;
    if (task->home != index)
        shard->guest_tasks++;
    if (++shard->queued_tasks > shard->capacity_tasks)
        sim_fault(pool, "a queue holds more than its capacity");
}

static uint32_t detach(struct sim_pool *pool, uint32_t index, int task_class)
{
    struct sim_shard *shard = &pool->shards[index];
    struct sim_list *list = &shard->queue[task_class];
    uint32_t id = list->first;
    list->first = pool->tasks[id].next;
    list->count--;
    shard->queued_tasks--;
    if (pool->tasks[id].home != index)
        shard->guest_tasks--;
    return id;
}

static int best_class(const struct sim_shard *shard)
{
    for (int c = 0; c < NPI_CLASS_COUNT; c++)
        if (shard->queue[c].count > 0)
            return c;
    return -1;
}

/* Overdue tasks have their turn before better classes. */
static int next_class(struct sim_pool *pool, struct sim_shard *shard)
{
    if (!adaptive(pool) || ++shard->turn < pool->params.overdue_turn)
        return best_class(shard);
    shard->turn = 0;
    int oldest = -1;
    uint64_t oldest_ns = 0;
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        uint64_t bound_ns = npi_admit_overdue_ns(&pool->params, c);
        if (!shard->queue[c].count || bound_ns == NPI_NEVER_NS)
            continue;
        uint64_t age_ns = pool->now_ns - pool->tasks[shard->queue[c].first].arrived_ns;
        if (age_ns > bound_ns && age_ns > oldest_ns) {
            oldest = c;
            oldest_ns = age_ns;
        }
    }
    return oldest >= 0 ? oldest : best_class(shard);
}

/* Next task that is still worth running, or SIM_NONE; late ones are dropped on the way. */
static uint32_t take(struct sim_pool *pool, uint32_t index)
{
    struct sim_shard *shard = &pool->shards[index];
    int c;
    while ((c = next_class(pool, shard)) >= 0) {
        uint32_t id = detach(pool, index, c);
        struct sim_task *task = &pool->tasks[id];
        uint64_t sojourn = pool->now_ns - task->arrived_ns;
        if (sojourn < shard->sojourn_ns_min[c])
            shard->sojourn_ns_min[c] = sojourn;
        if (!adaptive(pool) ||
            !npi_admit_expired(pool->now_ns, task->deadline_ns, shard->admit.task_ns))
            return id;
        pool->result->dropped++;
        task->phase = TASK_FREE;
        task->next = pool->free_task;
        pool->free_task = id;
    }
    return SIM_NONE;
}

/* ---- steal ---- */

static uint32_t head_of(const struct sim_shard *shard)
{
    int c = best_class(shard);
    return c < 0 ? SIM_NONE : shard->queue[c].first;
}

static bool may_steal(const struct sim_pool *pool, uint32_t thief, uint32_t from, uint32_t distance)
{
    const struct sim_shard *victim = &pool->shards[from];
    uint32_t head = head_of(victim);
    if (head == SIM_NONE || pool->tasks[head].stolen)
        return false;
    struct npi_steal_view view = {
        .queued_tasks = victim->queued_tasks,
        .busy_workers = victim->plant.busy,
        .limit_workers = victim->limit_workers,
        .head_age_ns = pool->now_ns - pool->tasks[head].arrived_ns,
        .wait_ns_per_task = victim->forward.wait_ns_per_task,
        .task_cpu_ns = victim->last.task_cpu_ns,
        .distance = distance,
        .affinity = NPI_AFFINITY_CALLER,
        .thief_cpu_free = pool->shards[thief].last.cpu_free,
    };
    return npi_forward_may_steal(&pool->params, &view);
}

static uint32_t steal_victim(struct sim_pool *pool, uint32_t index)
{
    const struct sim_shard *shard = &pool->shards[index];
    for (size_t k = 0; k < shard->class_count; k++) {
        const struct npi_forward_class *class = &shard->classes[k];
        size_t pick[2];
        size_t picks = npi_forward_draw(class->count, (uint32_t)npi_prng_next(&pool->prng), pick);
        uint32_t best = SIM_NONE;
        for (size_t i = 0; i < picks; i++) {
            uint32_t from = shard->order[class->first + pick[i]];
            if (may_steal(pool, index, from, class->distance) &&
                (best == SIM_NONE ||
                 pool->shards[from].queued_tasks > pool->shards[best].queued_tasks))
                best = from;
        }
        if (best == SIM_NONE && class->count > 2) { /* the hint: the longest queue last published */
            uint32_t hint = shard->order[class->first];
            for (uint16_t i = 1; i < class->count; i++) {
                uint32_t other = shard->order[class->first + i];
                if (pool->shards[other].published.queued_tasks >
                    pool->shards[hint].published.queued_tasks)
                    hint = other;
            }
            if (may_steal(pool, index, hint, class->distance))
                best = hint;
        }
        if (best != SIM_NONE)
            return best;
    }
    return SIM_NONE;
}

/* Takes a batch: the first task is returned to be run, the others queue here. */
static uint32_t steal(struct sim_pool *pool, uint32_t index)
{
    struct sim_shard *shard = &pool->shards[index];
    if (!adaptive(pool) || pool->spec->no_steal || !shard->last.cpu_free)
        return SIM_NONE;
    uint32_t from = steal_victim(pool, index);
    if (from == SIM_NONE)
        return SIM_NONE;
    struct sim_shard *victim = &pool->shards[from];
    uint32_t batch =
        npi_forward_steal_batch(&pool->params, victim->last.task_cpu_ns, victim->queued_tasks,
                                shard->limit_workers - shard->plant.busy);
    uint32_t first = SIM_NONE;
    for (uint32_t k = 0; k < batch; k++) {
        uint32_t head = head_of(victim);
        if (head == SIM_NONE || pool->tasks[head].stolen)
            break;
        uint32_t id = take(pool, from);
        if (id == SIM_NONE)
            break;
        pool->tasks[id].stolen = true;
        pool->tasks[id].hops++;
        pool->result->stolen++;
        if (first == SIM_NONE)
            first = id;
        else
            append(pool, shard, index, id);
    }
    return first;
}

void sim_pull(struct sim_pool *pool, uint32_t index)
{
    struct sim_shard *shard = &pool->shards[index];
    while (has_permit(pool, shard)) {
        uint32_t id = take(pool, index);
        if (id == SIM_NONE)
            id = steal(pool, index);
        if (id == SIM_NONE)
            return;
        sim_start(pool, index, id);
    }
}

/* ---- submit ---- */

static uint32_t new_task(struct sim_pool *pool)
{
    if (pool->free_task != SIM_NONE) {
        uint32_t id = pool->free_task;
        pool->free_task = pool->tasks[id].next;
        return id;
    }
    pool->tasks = sim_grow(pool->tasks, pool->task_count, &pool->task_space, sizeof *pool->tasks);
    pool->work = sim_grow(pool->work, pool->task_count, &pool->work_space, sizeof *pool->work);
    return (uint32_t)pool->task_count++;
}

static enum npi_verdict judge(const struct sim_pool *pool, uint32_t index,
                              const struct sim_task *task, double penalty_ns)
{
    const struct sim_shard *shard = &pool->shards[index];
    struct npi_admit_ask ask = {
        .task_class = (enum npi_class)task->task_class,
        .now_ns = pool->now_ns,
        .deadline_ns = task->deadline_ns,
        .queued_tasks = shard->queued_tasks,
        .ahead_tasks = sim_ahead(shard, task->task_class),
        .busy_workers = shard->plant.busy,
        .guest = index != task->home,
        .penalty_ns = penalty_ns,
    };
    return npi_admit_judge(&pool->params, &shard->admit, &ask);
}

static void look(const struct sim_pool *pool, uint32_t index, struct npi_forward_target *target)
{
    const struct sim_shard *shard = &pool->shards[index];
    *target = shard->published;
    if (pool->spec->stale)
        return;
    target->queued_tasks = shard->queued_tasks;
    target->guest_tasks = shard->guest_tasks;
    target->busy_workers = shard->plant.busy;
}

static bool has_place(const struct sim_shard *shard)
{
    return shard->queued_tasks < shard->capacity_tasks;
}

/* Rules 2 and 4 over all distance classes; SIM_NONE = nobody takes it. */
static uint32_t other_shard(struct sim_pool *pool, uint32_t home, const struct sim_task *task,
                            bool idle_only, enum npi_verdict *verdict)
{
    const struct sim_shard *shard = &pool->shards[home];
    double wait = npi_forward_wait_ns(shard->queued_tasks, shard->plant.busy, shard->limit_workers,
                                      shard->forward.wait_ns_per_task);
    for (size_t k = 0; k < shard->class_count; k++) {
        const struct npi_forward_class *class = &shard->classes[k];
        struct npi_forward_target targets[2];
        size_t pick[2];
        size_t picks = npi_forward_draw(class->count, (uint32_t)npi_prng_next(&pool->prng), pick);
        for (size_t i = 0; i < picks; i++)
            look(pool, shard->order[class->first + pick[i]], &targets[i]);
        double penalty = npi_forward_penalty_ns(&pool->params, shard->last.task_cpu_ns,
                                                class->distance, NPI_AFFINITY_CALLER);
        int best;
        if (idle_only) {
            best = npi_forward_idle(&pool->params, wait, penalty, targets, picks);
        } else {
            best = npi_forward_room(&pool->params, targets, picks);
        }
        if (best < 0)
            continue;
        uint32_t to = shard->order[class->first + pick[best]];
        enum npi_verdict its = judge(pool, to, task, penalty);
        if (its == NPI_VERDICT_ACCEPT && has_place(&pool->shards[to]))
            return to;
        *verdict = npi_admit_combine(*verdict, its);
    }
    if (idle_only)
        return SIM_NONE;
    for (size_t k = 0; k < shard->class_count; k++) {
        const struct npi_forward_class *class = &shard->classes[k];
        double penalty = npi_forward_penalty_ns(&pool->params, shard->last.task_cpu_ns,
                                                class->distance, NPI_AFFINITY_CALLER);
        for (uint16_t i = 0; i < class->count; i++) {
            struct npi_forward_target target;
            uint32_t to = shard->order[class->first + i];
            look(pool, to, &target);
            if (!npi_forward_has_room(&pool->params, &target))
                continue;
            enum npi_verdict its = judge(pool, to, task, penalty);
            if (its == NPI_VERDICT_ACCEPT && has_place(&pool->shards[to]))
                return to;
            *verdict = npi_admit_combine(*verdict, its);
        }
    }
    return SIM_NONE;
}

static void accept(struct sim_pool *pool, uint32_t home, uint32_t to, uint32_t id)
{
    struct sim_shard *shard = &pool->shards[to];
    pool->result->accepted++;
    shard->accepted_tasks[pool->tasks[id].task_class]++;
    if (to != home) {
        pool->tasks[id].hops++;
        pool->result->forwarded++;
    }
    if (shard->queued_tasks == 0 && has_permit(pool, shard)) {
        sim_start(pool, to, id);
        return;
    }
    append(pool, shard, to, id);
    sim_pull(pool, to);
}

/* The simple pools: home if it has room, else the first shard that does. */
static uint32_t place_simply(const struct sim_pool *pool, uint32_t home)
{
    for (size_t step = 0; step < pool->count; step++) {
        uint32_t to = step ? pool->shards[home].order[step - 1] : home;
        if (has_place(&pool->shards[to]))
            return to;
        if (pool->spec->no_forward)
            break;
    }
    return SIM_NONE;
}

void sim_submit(struct sim_pool *pool, uint32_t home, const struct sim_job *job)
{
    struct sim_result *result = pool->result;
    size_t ms = (size_t)(pool->now_ns / 1000000);
    result->offered++;
    result->offered_at[home]++;
    result->offered_by[job->task_class]++;
    if (ms < result->ms_count)
        result->arrived_per_ms[ms]++;

    uint32_t id = new_task(pool);
    struct sim_task *task = &pool->tasks[id];
    memset(task, 0, sizeof *task);
    task->arrived_ns = pool->now_ns;
    task->deadline_ns = job->deadline_ns ? pool->now_ns + job->deadline_ns : 0;
    task->cpu_ns = job->cpu_ns;
    task->block_ns = job->block_ns;
    task->cpu_before = job->cpu_before;
    task->home = (uint16_t)home;
    task->task_class = (uint8_t)job->task_class;

    const struct sim_shard *shard = &pool->shards[home];
    uint32_t to = SIM_NONE;
    if (!adaptive(pool)) {
        to = place_simply(pool, home);
    } else {
        enum npi_verdict verdict = judge(pool, home, task, 0.0);
        bool runs_now = shard->queued_tasks == 0 && shard->plant.busy < shard->limit_workers;
        bool look_around = !pool->spec->no_forward && pool->count > 1;
        if (!runs_now && look_around && shard->queued_tasks >= shard->forward.soft_tasks)
            to = other_shard(pool, home, task, true, &verdict);
        if (to == SIM_NONE && verdict == NPI_VERDICT_ACCEPT)
            to = home;
        if (to == SIM_NONE && look_around)
            to = other_shard(pool, home, task, false, &verdict);
    }
    if (to != SIM_NONE) {
        accept(pool, home, to, id);
        return;
    }
    result->refused[job->task_class]++;
    task->phase = TASK_FREE;
    task->next = pool->free_task;
    pool->free_task = id;
}
