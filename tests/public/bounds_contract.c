/*
 * How much may wait: class shares of the queue and the byte budget, to the task and to the byte. All
 * workers are held, so what is accepted stays in the queue and can be counted.
 */
#include "contract.h"

static const int classes[] = {NUMAPOOL_NORMAL, NUMAPOOL_CRITICAL, NUMAPOOL_SHEDDABLE};
static const uint64_t sizes[] = {1, 2, 3, 4, 5, 7, 9, 10, 11, 16, 19, 33, 64, 100, 101, 257};

/* Submits until refused; returns how many were accepted and the refusal. */
static uint64_t fill(numapool *pool, const struct numapool_task *task, int *refusal)
{
    uint64_t accepted = 0;
    for (;;) {
        *refusal = numapool_submit_task(pool, task);
        if (*refusal != NUMAPOOL_OK) {
            return accepted;
        }
        accepted++;
    }
}

static uint64_t fill_by_batch(numapool *pool, const struct numapool_task *task, int *refusal)
{
    static struct numapool_task tasks[300];
    for (size_t i = 0; i < 300; i++) {
        tasks[i] = *task;
    }
    size_t accepted = 0;
    *refusal = numapool_submit_batch(pool, tasks, 300, &accepted);
    return accepted;
}

typedef uint64_t fill_fn(numapool *pool, const struct numapool_task *task, int *refusal);

static void shares_are_exact_with(fill_fn *filler)
{
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint64_t capacity = sizes[s];
        for (size_t c = 0; c < 3; c++) {
            struct blocker blocker = BLOCKER;
            atomic_int ran = 0;
            numapool *pool = make(
                &(struct kind){.workers_max = 2, .queue_tasks = capacity, .mode = NUMAPOOL_FIXED});
            block_workers(pool, &blocker, 2);
            struct numapool_task task = {.run = count_run, .arg = &ran, .task_class = classes[c]};
            int refusal = 0;
            uint64_t accepted = filler(pool, &task, &refusal);
            assert_int_equal(accepted, share_of(capacity, classes[c]));
            assert_int_equal(refusal, accepted == capacity ? NUMAPOOL_E_FULL : NUMAPOOL_E_SHED);
            struct numapool_stats stats = stats_of(pool);
            assert_int_equal(stats.queue_depth, accepted);
            assert_int_equal(stats.queue_capacity, capacity);

            /* What better classes may add is what is left of their share. */
            for (int better = 0; better < 2; better++) {
                task.task_class = better == 0 ? NUMAPOOL_NORMAL : NUMAPOOL_CRITICAL;
                uint64_t more = filler(pool, &task, &refusal);
                uint64_t share = share_of(capacity, task.task_class);
                assert_int_equal(more, share > accepted ? share - accepted : 0);
                accepted += more;
                assert_int_equal(refusal, accepted == capacity ? NUMAPOOL_E_FULL : NUMAPOOL_E_SHED);
            }
            assert_int_equal(accepted, capacity);
            task.task_class = NUMAPOOL_SHEDDABLE;
            assert_int_equal(filler(pool, &task, &refusal), 0);
            assert_int_equal(refusal, NUMAPOOL_E_FULL);
            door_open(&blocker.door);
            finish(pool);
            assert_int_equal(atomic_load(&ran), accepted);
        }
    }
}

static void shares_are_exact(void **state)
{
    (void)state;
    shares_are_exact_with(fill);
}

static void shares_are_exact_for_batches(void **state)
{
    (void)state;
    shares_are_exact_with(fill_by_batch);
}

/* A shard holds ceil(n / shards). */
static void shares_are_exact_per_shard(void **state)
{
    (void)state;
    for (unsigned nodes = 2; nodes <= 4; nodes *= 2) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            struct blocker blocker = BLOCKER;
            atomic_int ran = 0;
            uint64_t capacity = (sizes[s] + nodes - 1) / nodes;
            numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                                 .workers_max = nodes,
                                                 .queue_tasks = sizes[s],
                                                 .mode = NUMAPOOL_FIXED});
            struct numapool_task task = {
                .run = block, .arg = &blocker, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
            for (task.node = 0; task.node < (int)nodes; task.node++) {
                assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
                EVENTUALLY(atomic_load(&blocker.inside) == task.node + 1);
            }
            task.run = count_run;
            task.arg = &ran;
            uint64_t total = 0;
            for (task.node = 0; task.node < (int)nodes; task.node++) {
                uint64_t here = 0;
                const int order[] = {NUMAPOOL_SHEDDABLE, NUMAPOOL_NORMAL, NUMAPOOL_CRITICAL};
                for (size_t c = 0; c < 3; c++) {
                    int refusal = 0;
                    task.task_class = order[c];
                    here += fill(pool, &task, &refusal);
                    assert_int_equal(here, share_of(capacity, order[c]));
                }
                assert_int_equal(shard_stats_of(pool, (size_t)task.node).queue_depth, here);
                total += here;
            }
            door_open(&blocker.door);
            finish(pool);
            assert_int_equal(atomic_load(&ran), total);
        }
    }
}

/* Tasks that may go anywhere fill their home first and then what others lend, and are refused when
   there is no more; nobody holds more than its bound. */
static void overflow_keeps_everybodys_bound(void **state)
{
    (void)state;
    for (unsigned nodes = 2; nodes <= 8; nodes *= 2) {
        struct blocker blocker = BLOCKER;
        atomic_int ran = 0;
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                             .workers_max = nodes,
                                             .queue_tasks = nodes * 20,
                                             .mode = NUMAPOOL_FIXED});
        struct numapool_task task = {
            .run = block, .arg = &blocker, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        for (task.node = 0; task.node < (int)nodes; task.node++) {
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
            EVENTUALLY(atomic_load(&blocker.inside) == task.node + 1);
        }
        task = (struct numapool_task){.run = count_run, .arg = &ran, .flags = NUMAPOOL_ON_NODE};
        int refusal = 0;
        task.task_class = NUMAPOOL_CRITICAL;
        uint64_t accepted = fill(pool, &task, &refusal);
        assert_int_equal(refusal, NUMAPOOL_E_FULL);
        assert_int_equal(shard_stats_of(pool, 0).queue_depth, 20);
        assert_true(accepted > 20); /* others helped */
        assert_int_equal(shard_stats_of(pool, 0).forwarded_out, accepted - 20);
        uint64_t depth = 0, forwarded_in = 0;
        for (unsigned i = 0; i < nodes; i++) {
            struct numapool_shard_stats stats = shard_stats_of(pool, i);
            assert_true(stats.queue_depth <= 20);
            depth += stats.queue_depth;
            forwarded_in += stats.forwarded_in;
        }
        assert_int_equal(depth, accepted);
        assert_int_equal(forwarded_in, accepted - 20);
        /* Their own submitters still have room there. */
        task.node = 1;
        task.flags |= NUMAPOOL_STRICT_NODE;
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        door_open(&blocker.door);
        finish(pool);
        assert_int_equal(atomic_load(&ran), accepted + 1);
    }
}

/* ---------------------------------------------------------------------- many submitters */

struct crowd {
    numapool *pool;
    pthread_barrier_t *start;
    atomic_int *ran;
    int task_class;
    int accepted;
    pthread_t thread;
};

static void *press(void *arg)
{
    struct crowd *crowd = arg;
    struct numapool_task task = {
        .run = count_run, .arg = crowd->ran, .task_class = crowd->task_class};
    pthread_barrier_wait(crowd->start);
    for (int i = 0; i < 400; i++) {
        crowd->accepted += numapool_submit_task(crowd->pool, &task) == NUMAPOOL_OK;
    }
    return NULL;
}

/* However many press in at once, not one more gets in than there is room for. */
static void a_crowd_finds_the_same_bound(void **state)
{
    (void)state;
    for (int round = 0; round < TIMES(60, 10); round++) {
        uint64_t capacity = 20 + (uint64_t)round;
        struct blocker blocker = BLOCKER;
        atomic_int ran = 0;
        numapool *pool =
            make(&(struct kind){.workers_max = 1, .queue_tasks = capacity, .mode = NUMAPOOL_FIXED});
        block_workers(pool, &blocker, 1);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, 6);
        struct crowd crowd[6];
        for (int i = 0; i < 6; i++) {
            crowd[i] = (struct crowd){
                .pool = pool, .start = &start, .ran = &ran, .task_class = classes[round % 3]};
            assert_int_equal(pthread_create(&crowd[i].thread, NULL, press, &crowd[i]), 0);
        }
        int accepted = 0;
        for (int i = 0; i < 6; i++) {
            pthread_join(crowd[i].thread, NULL);
            accepted += crowd[i].accepted;
        }
        pthread_barrier_destroy(&start);
        assert_int_equal(accepted, share_of(capacity, classes[round % 3]));
        assert_int_equal(stats_of(pool).queue_depth, accepted);
        door_open(&blocker.door);
        finish(pool);
        assert_int_equal(atomic_load(&ran), accepted);
    }
}

/* --------------------------------------------------------------------------------- bytes */

static void bytes_are_exact(void **state)
{
    (void)state;
    const uint64_t budget = UINT64_C(1) << 20;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make(&(struct kind){
        .workers_max = 1, .queue_tasks = 1000, .mode = NUMAPOOL_FIXED, .memory_bytes = budget});
    block_workers(pool, &blocker, 1);
    struct numapool_task task = {.run = count_run, .arg = &ran, .bytes = budget / 10 + 1};
    int refusal = 0;
    assert_int_equal(fill(pool, &task, &refusal), 9);
    assert_int_equal(refusal, NUMAPOOL_E_FULL);
    struct numapool_stats stats = stats_of(pool);
    assert_int_equal(stats.bytes_in_use, 9 * task.bytes);
    assert_int_equal(stats.refused_bytes, 1);
    assert_int_equal(stats.refused_full, 0);

    uint64_t left = budget - stats.bytes_in_use;
    task.bytes = left + 1;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_FULL);
    task.bytes = SIZE_MAX;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_FULL);
    task.bytes = left;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    assert_int_equal(stats_of(pool).bytes_in_use, budget);
    task.bytes = 1;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_FULL);
    assert_null(numapool_alloc(pool, 0, 1));
    task.bytes = 0;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK); /* brings none, needs none */
    stats = stats_of(pool);
    assert_int_equal(stats.bytes_in_use, budget);
    assert_int_equal(stats.refused_bytes, 4);
    door_open(&blocker.door);
    EVENTUALLY(at_rest(pool));
    EVENTUALLY(stats_of(pool).bytes_in_use == 0);
    finish(pool);
    assert_int_equal(atomic_load(&ran), 11);
}

/* ---------------------------------------------------------------- a refusal has no effect */

struct effects {
    struct numapool_stats stats;
    int members;
};

static struct effects effects_of(numapool *pool, numapool_group *group)
{
    return (struct effects){stats_of(pool), numapool_group_wait(group, 0)};
}

static void refuse_without_effect(numapool *pool, struct numapool_task *task, int expected,
                                  bool counted)
{
    struct effects before = effects_of(pool, task->group);
    assert_int_equal(numapool_submit_task(pool, task), expected);
    struct effects after = effects_of(pool, task->group);
    assert_int_equal(after.members, before.members);
    assert_int_equal(after.stats.accepted, before.stats.accepted);
    assert_int_equal(after.stats.queue_depth, before.stats.queue_depth);
    assert_int_equal(after.stats.bytes_in_use, before.stats.bytes_in_use);
    assert_int_equal(after.stats.submitted, before.stats.submitted + counted);
    assert_int_equal(after.stats.dropped, before.stats.dropped);
    assert_int_equal(after.stats.run, before.stats.run);
    assert_int_equal(after.stats.forwarded_in, before.stats.forwarded_in);
    assert_int_equal(after.stats.forwarded_out, before.stats.forwarded_out);
}

static void refusals_have_no_effect(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 2; nodes++) {
        struct blocker blocker = BLOCKER;
        static struct fate fate;
        memset(&fate, 0, sizeof fate);
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                             .workers_max = nodes,
                                             .queue_tasks = 10 * nodes,
                                             .mode = NUMAPOOL_FIXED,
                                             .memory_bytes = UINT64_C(1) << 20});
        struct numapool_task hold = {
            .run = block, .arg = &blocker, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        for (hold.node = 0; hold.node < (int)nodes; hold.node++) {
            assert_int_equal(numapool_submit_task(pool, &hold), NUMAPOOL_OK);
            EVENTUALLY(atomic_load(&blocker.inside) == hold.node + 1);
        }
        numapool_group *group = NULL, *cancelled = NULL;
        assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
        assert_int_equal(numapool_group_create(&cancelled, pool), NUMAPOOL_OK);
        assert_int_equal(numapool_group_cancel(cancelled), NUMAPOOL_OK);
        struct numapool_task task = fate_task(&fate);
        task.group = group;
        task.bytes = 1000;

        task.bytes = 2 << 20;
        refuse_without_effect(pool, &task, NUMAPOOL_E_FULL, true);
        task.bytes = 1000;
        task.deadline_ns = now_ns() - 1;
        refuse_without_effect(pool, &task, NUMAPOOL_E_DEADLINE, true);
        task.deadline_ns = 0;
        task.group = cancelled;
        refuse_without_effect(pool, &task, NUMAPOOL_E_CANCELLED, true);
        task.group = group;
        task.reserved[3] = 1;
        refuse_without_effect(pool, &task, NUMAPOOL_E_INVALID, false);
        task.reserved[3] = 0;

        int refusal = 0;
        uint64_t accepted = fill(pool, &task, &refusal);
        assert_int_equal(refusal, NUMAPOOL_E_SHED);
        refuse_without_effect(pool, &task, NUMAPOOL_E_SHED, true);
        task.task_class = NUMAPOOL_CRITICAL;
        accepted += fill(pool, &task, &refusal);
        assert_int_equal(refusal, NUMAPOOL_E_FULL);
        refuse_without_effect(pool, &task, NUMAPOOL_E_FULL, true);

        assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_E_TIMEDOUT);
        door_open(&blocker.door);
        assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
        assert_int_equal(atomic_load(&fate.run), accepted);
        assert_int_equal(atomic_load(&fate.dropped), 0);
        assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
        assert_int_equal(numapool_group_destroy(cancelled), NUMAPOOL_OK);
        finish(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_exact),
        cmocka_unit_test(shares_are_exact_for_batches),
        cmocka_unit_test(shares_are_exact_per_shard),
        cmocka_unit_test(overflow_keeps_everybodys_bound),
        cmocka_unit_test(a_crowd_finds_the_same_bound),
        cmocka_unit_test(bytes_are_exact),
        cmocka_unit_test(refusals_have_no_effect),
    };
    return RUN(tests);
}
