/* The pool of rig.h. */
#include "model/rig.h"

#include <string.h>

struct rig rig;
int model_claim_turns = 2;

static _Alignas(128) struct npi_times times[RIG_SHARDS]; /* nobody looks at them */

static void init_shard(unsigned index, const struct rig_shape *shape)
{
    struct npi_shard *shard = &rig.shards[index];
    shard->pool = &rig.pool;
    shard->index = index;
    shard->node = index;
    shard->plan = &rig.plan_shards[index];
    shard->capacity_tasks = shape->capacity_tasks;
    /* Without control nobody would start more. */
    shard->worker_slots = shape->control ? RIG_WORKERS : shape->workers[index];
    shard->workers_kept = shape->workers[index];
    shard->workers = rig.workers[index];
    shard->times = &times[index];
    shard->times_count = 1; /* shared: recorded by world.c, which does not */
    shard->order = rig.order[index];
    shard->classes = rig.classes[index];
    shard->control = &rig.controls[index];
    shard->stack_stride_bytes = 8192;
    uint32_t row[RIG_SHARDS];
    for (unsigned other = 0; other < rig.pool.shard_count; other++) {
        row[other] = rig.distance[index * rig.pool.shard_count + other];
    }
    shard->class_count =
        npi_forward_order(row, rig.pool.shard_count, index, shard->order, shard->classes);
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        npi_a64_init(&shard->sojourn_ticks_min[rank], UINT64_MAX);
    }
    MODEL_CHECK(npi_ring_bytes(shape->capacity_tasks) <= sizeof rig.memory[0][0]);
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        npi_ring_init(&shard->lanes[lane], shape->capacity_tasks, rig.memory[index][lane], 0);
    }
    npi_gate_init(&shard->gate, rig.sleepers[index], shape->limit[index]);
}

static void init_plan(unsigned shards)
{
    for (unsigned i = 0; i < shards; i++) {
        rig.plan_shards[i].node = i;
        rig.plan_shards[i].cpu_count = 1;
        rig.plan_shards[i].capacity = 1.0;
        rig.shard_of_cpu[i] = (uint16_t)i;
        rig.routes[i].first_shard = (uint16_t)i;
        rig.routes[i].shard_count = 1;
        rig.balance[i].weight = 1.0;
        rig.balance[i].cap_workers = 1;
        for (unsigned other = 0; other < shards; other++) {
            rig.distance[i * shards + other] = i == other ? 10 : 20;
        }
    }
    rig.plan.pinning = NUMAPOOL_PIN_NONE;
    rig.plan.node_count = rig.plan.shard_count = shards;
    rig.plan.shards = rig.plan_shards;
    rig.plan.distance = rig.distance;
    rig.plan.cpu_slots = shards;
    rig.plan.shard_of_cpu = rig.shard_of_cpu;
}

static void run_worker(void *arg)
{
    (void)npi_worker_main(arg);
}

/* As control starts one, without control. */
static void start_worker(struct npi_shard *shard, uint32_t slot)
{
    static const char *const names[RIG_SHARDS][RIG_WORKERS] = {{"worker 0", "worker 1", "worker 2"},
                                                               {"other 0", "other 1", "other 2"}};
    struct npi_worker *worker = &shard->workers[slot];
    npi_worker_init(worker, shard, slot);
    npi_a32_init(&shard->slots_used, slot + 1);
    npi_a32_init(&shard->gate.sleepers[slot].word, NPI_SLEEPER_AWAKE);
    MODEL_CHECK(npi_gate_reserve(&shard->gate, false) && npi_shard_count_thread(shard));
    worker->thread = (pthread_t)model_spawn_daemon(names[shard->index][slot], run_worker, worker);
    worker->joinable = true;
}

void rig_init(const struct rig_shape *shape)
{
    static struct npi_policy_params params;
    if (params.tick_ns == 0) {
        npi_policy_defaults(&params);
        params.tick_ns = UINT64_C(1) << 60; /* no ticks */
        params.spin_ns = 0;
    }
    memset(&rig, 0, sizeof rig);
    model_thread_local((void **)&npi_worker_self);
    model_claim_turns = shape->claim_turns != 0 ? shape->claim_turns : 2;
    unsigned shards = shape->shards != 0 ? shape->shards : 1;
    init_plan(shards);
    struct numapool *pool = &rig.pool;
    rig.alive = NPI_ALIVE;
    pool->alive = &rig.alive;
    pool->id = 1;
    pool->shard_count = pool->node_count = shards;
    pool->shards = rig.list;
    pool->routes = rig.routes;
    pool->plan = &rig.plan;
    pool->params = params;
    pool->config.idle_exit_ns = NUMAPOOL_OFF;
    pool->config.watchdog_ns = NUMAPOOL_OFF;
    pool->budget_max = RIG_WORKERS;
    npi_a32_init(&pool->budget, shape->budget);
    pool->balancer.shards = rig.balance;
    pool->balancer.scratch = rig.scratch;
    pool->balancer.quota = rig.quota;
    pool->balancer.reach = rig.reach;
    pool->only = shards == 1 ? &rig.shards[0] : NULL;
    for (unsigned i = 0; i < shards; i++) {
        rig.list[i] = &rig.shards[i];
        init_shard(i, shape);
    }
    for (unsigned i = 0; i < shards; i++) {
        struct npi_shard *shard = &rig.shards[i];
        if (shape->control) {
            MODEL_CHECK(npi_control_start(shard) == 0);
            continue;
        }
        npi_tick_init(&rig.controls[i].tick, shard);
        npi_tick_publish_first(&rig.controls[i].tick, shard);
        for (unsigned slot = 0; slot < shape->workers[i]; slot++) {
            start_worker(shard, slot);
        }
    }
}

/* ------------------------------------------------------------------------------- tasks */

void rig_run(void *arg)
{
    struct rig_task *task = arg;
    model_plain_read(&task->payload);
    MODEL_CHECK(task->payload == 1);
    task->number = rig.begun++;
    task->thread = model_self();
    if (++rig.running > rig.running_max) {
        rig.running_max = rig.running;
    }
    if (task->inside != NULL) {
        task->inside(task);
    }
    rig.running--;
    task->ran++;
}

void rig_drop(void *arg, int why)
{
    struct rig_task *task = arg;
    model_plain_read(&task->payload);
    task->dropped++;
    task->why = why;
}

static struct rig_task *prepare(unsigned n)
{
    struct rig_task *task = &rig.tasks[n];
    model_plain_write(&task->payload);
    task->payload = 1;
    return task;
}

int rig_submit(unsigned n)
{
    struct rig_task *task = prepare(n);
    task->result = numapool_submit(&rig.pool, rig_run, task);
    return task->result;
}

size_t rig_submit_batch(unsigned first, size_t count)
{
    struct numapool_task tasks[RIG_TASKS] = {{0}};
    for (size_t i = 0; i < count; i++) {
        tasks[i].run = rig_run;
        tasks[i].arg = prepare(first + (unsigned)i);
    }
    size_t accepted;
    int result = numapool_submit_batch(&rig.pool, tasks, count, &accepted);
    for (size_t i = 0; i < count; i++) {
        rig.tasks[first + i].result = i < accepted ? NUMAPOOL_OK : result;
    }
    return accepted;
}

int rig_submit_task(unsigned n, struct numapool_task *task)
{
    struct rig_task *record = prepare(n);
    task->run = rig_run;
    task->drop = rig_drop;
    task->arg = record;
    record->result = numapool_submit_task(&rig.pool, task);
    return record->result;
}

void rig_check_tasks(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct rig_task *task = &rig.tasks[i];
        if (task->ran + task->dropped != (task->result == NUMAPOOL_OK)) {
            model_fail("task %u: submit returned %d, ran %u times, dropped %u times", i,
                       task->result, task->ran, task->dropped);
        }
    }
}

void rig_check_rest(void)
{
    for (unsigned i = 0; i < rig.pool.shard_count; i++) {
        const struct npi_shard *shard = &rig.shards[i];
        uint64_t permits = npi_gate_permits(&shard->gate);
        MODEL_CHECK(npi_permits_active(permits) == 0);
        MODEL_CHECK(npi_permits_searching(permits) == 0);
        MODEL_CHECK(npi_shard_quiet(shard));
        MODEL_CHECK(npi_shard_depth(shard) == 0);
        MODEL_CHECK(npi_a32_load_sc(&shard->guests) == 0);
        MODEL_CHECK(npi_a32_load_sc(&shard->blocked) == 0);
    }
    MODEL_CHECK(npi_a32_load_sc(&rig.pool.blocked) == 0);
    MODEL_CHECK(rig.bytes_in_use == 0);
    MODEL_CHECK(rig.running == 0);
}
