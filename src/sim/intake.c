/*
 * A task's way into a queue, to another shard, and out to a worker: the order in which the policy
 * is asked.
 *
 * This is the only file of the simulator that mirrors what submit and workers of the real pool do;
 * a change of order there belongs here too.
 */
#include <string.h>

#include "sim/pool.h"

/* As in flow/overflow.c. */
static const size_t scan_max = 32;

bool sim_policy_places(const struct sim_pool *pool)
{
    return pool->spec->law == SIM_LAW_ADAPTIVE || pool->spec->law == SIM_LAW_EVEN;
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
    if (!sim_policy_places(pool) || ++shard->turn < pool->params.overdue_turn)
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

static void drop(struct sim_pool *pool, const struct sim_task *task)
{
    struct sim_slot *slot = sim_slot(pool);
    pool->result->dropped++;
    pool->result->dropped_by[task->task_class]++;
    pool->result->shards[task->home].dropped++;
    if (slot)
        slot->dropped++;
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
        if (!sim_policy_places(pool) ||
            !npi_admit_expired(pool->now_ns, task->deadline_ns, shard->admit.task_ns))
            return id;
        drop(pool, task);
        task->phase = TASK_FREE;
        task->next = pool->free_task;
        pool->free_task = id;
    }
    return SIM_NONE;
}

/* ---- steal ---- */

static size_t draw(struct sim_pool *pool, const struct npi_forward_class *class, size_t pick[2])
{
    return npi_forward_draw(class->count, (uint32_t)(npi_prng_next(&pool->prng) >> 32), pick);
}

/* Age of the oldest task that is next in its class. */
static uint64_t head_age_ns(const struct sim_pool *pool, const struct sim_shard *shard)
{
    uint64_t age_ns = 0;
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        if (shard->queue[c].count == 0)
            continue;
        uint64_t its = pool->now_ns - pool->tasks[shard->queue[c].first].arrived_ns;
        age_ns = its > age_ns ? its : age_ns;
    }
    return age_ns;
}

static bool may_steal(const struct sim_pool *pool, uint32_t thief, uint32_t from, uint32_t distance)
{
    const struct sim_shard *victim = &pool->shards[from];
    if (victim->queued_tasks == 0)
        return false;
    struct npi_steal_view view = {
        .queued_tasks = victim->queued_tasks,
        .busy_workers = victim->plant.busy,
        .limit_workers = victim->limit_workers,
        .head_age_ns = head_age_ns(pool, victim),
        .wait_ns_per_task = victim->forward.wait_ns_per_task,
        .task_cpu_ns = victim->last.task_cpu_ns,
        .distance = distance,
        .affinity = NPI_AFFINITY_CALLER,
        .thief_cpu_free = pool->shards[thief].last.cpu_free,
    };
    return npi_forward_may_steal(&pool->params, &view);
}

/* A task of another shard to run here, or SIM_NONE. Two of each distance are looked at. */
static uint32_t steal(struct sim_pool *pool, uint32_t index)
{
    const struct sim_shard *shard = &pool->shards[index];
    if (!sim_policy_places(pool) || pool->spec->no_steal || !shard->last.cpu_free)
        return SIM_NONE;
    for (size_t k = 0; k < shard->class_count; k++) {
        const struct npi_forward_class *class = &shard->classes[k];
        size_t pick[2];
        size_t picks = draw(pool, class, pick);
        for (size_t i = 0; i < picks; i++) {
            uint32_t from = shard->order[class->first + pick[i]];
            uint32_t id =
                may_steal(pool, index, from, class->distance) ? take(pool, from) : SIM_NONE;
            if (id == SIM_NONE)
                continue;
            pool->tasks[id].hops++;
            pool->result->stolen++;
            return id;
        }
    }
    return SIM_NONE;
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

static double penalty_of(const struct sim_pool *pool, const struct sim_shard *shard,
                         const struct npi_forward_class *class)
{
    return npi_forward_penalty_ns(&pool->params, shard->last.task_cpu_ns, class->distance,
                                  NPI_AFFINITY_CALLER);
}

/* Rule 2: an idle shard, nearest first; SIM_NONE = nobody is, or the move does not pay. */
static uint32_t idle_shard(struct sim_pool *pool, uint32_t home)
{
    const struct sim_shard *shard = &pool->shards[home];
    double wait_ns = npi_forward_wait_ns(shard->queued_tasks, shard->plant.busy,
                                         shard->limit_workers, shard->forward.wait_ns_per_task);
    for (size_t k = 0; k < shard->class_count; k++) {
        const struct npi_forward_class *class = &shard->classes[k];
        struct npi_forward_target targets[2];
        size_t pick[2];
        size_t picks = draw(pool, class, pick);
        for (size_t i = 0; i < picks; i++)
            look(pool, shard->order[class->first + pick[i]], &targets[i]);
        int best = npi_forward_idle(&pool->params, wait_ns, penalty_of(pool, shard, class), targets,
                                    picks);
        if (best >= 0)
            return shard->order[class->first + pick[best]];
    }
    return SIM_NONE;
}

/* Would this shard take overflow? Notes its verdict. */
static bool takes_overflow(struct sim_pool *pool, uint32_t index, const struct sim_task *task,
                           double penalty_ns, enum npi_verdict *verdict)
{
    struct npi_forward_target target;
    look(pool, index, &target);
    enum npi_verdict its = NPI_VERDICT_FULL;
    if (npi_forward_has_room(&pool->params, &target))
        its = judge(pool, index, task, penalty_ns);
    if (its == NPI_VERDICT_ACCEPT)
        return has_place(&pool->shards[index]);
    *verdict = npi_admit_combine(*verdict, its);
    return false;
}

/* Rule 4: of each distance the emptier of two, the other, then everybody up to a bound. */
static uint32_t roomy_shard(struct sim_pool *pool, uint32_t home, const struct sim_task *task,
                            enum npi_verdict *verdict)
{
    const struct sim_shard *shard = &pool->shards[home];
    for (size_t k = 0; k < shard->class_count; k++) {
        const struct npi_forward_class *class = &shard->classes[k];
        const uint16_t *ids = &shard->order[class->first];
        double penalty_ns = penalty_of(pool, shard, class);
        size_t pick[2];
        size_t picks = draw(pool, class, pick);
        if (picks == 2 &&
            pool->shards[ids[pick[1]]].queued_tasks < pool->shards[ids[pick[0]]].queued_tasks) {
            size_t first = pick[0];
            pick[0] = pick[1];
            pick[1] = first;
        }
        for (size_t i = 0; i < picks + class->count && i < scan_max; i++) {
            size_t at = i < picks ? pick[i] : i - picks;
            bool seen = i >= picks && (at == pick[0] || (picks == 2 && at == pick[1]));
            if (!seen && takes_overflow(pool, ids[at], task, penalty_ns, verdict))
                return ids[at];
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

/* Where the policy puts it; SIM_NONE = nowhere, for the reason in *verdict. */
static uint32_t place(struct sim_pool *pool, uint32_t home, const struct sim_task *task,
                      enum npi_verdict *verdict)
{
    const struct sim_shard *shard = &pool->shards[home];
    bool alone = pool->spec->no_forward || pool->count == 1;
    *verdict = judge(pool, home, task, 0.0);
    if (*verdict == NPI_VERDICT_ACCEPT) {
        bool runs_now = shard->queued_tasks == 0 && shard->plant.busy < shard->limit_workers;
        uint32_t idle = SIM_NONE;
        if (!runs_now && !alone && shard->queued_tasks >= shard->forward.soft_tasks)
            idle = idle_shard(pool, home);
        return idle == SIM_NONE ? home : idle;
    }
    return alone ? SIM_NONE : roomy_shard(pool, home, task, verdict);
}

static void refuse(struct sim_pool *pool, uint32_t id, enum npi_verdict verdict)
{
    struct sim_result *result = pool->result;
    struct sim_task *task = &pool->tasks[id];
    struct sim_slot *slot = sim_slot(pool);
    result->refused[task->task_class]++;
    result->refused_for[verdict]++;
    result->shards[task->home].refused++;
    if (slot)
        slot->refused++;
    task->phase = TASK_FREE;
    task->next = pool->free_task;
    pool->free_task = id;
}

void sim_submit(struct sim_pool *pool, uint32_t home, const struct sim_job *job)
{
    struct sim_result *result = pool->result;
    struct sim_slot *slot = sim_slot(pool);
    size_t ms = (size_t)(pool->now_ns / 1000000);
    result->offered++;
    result->shards[home].offered++;
    result->offered_by[job->task_class]++;
    if (slot)
        slot->offered++;
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

    enum npi_verdict verdict = NPI_VERDICT_FULL;
    uint32_t to =
        sim_policy_places(pool) ? place(pool, home, task, &verdict) : place_simply(pool, home);
    if (to != SIM_NONE)
        accept(pool, home, to, id);
    else
        refuse(pool, id, verdict);
}
