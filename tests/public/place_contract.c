/* Where tasks run: strict, idle, overflowing, and in whose queue they wait. */
#include "contract.h"

struct spot {
    int wanted;
    atomic_int right, wrong;
};

static void note_spot(void *arg)
{
    struct spot *spot = arg;
    atomic_fetch_add(numapool_current_node() == spot->wanted ? &spot->right : &spot->wrong, 1);
}

static void strict_tasks_never_leave_their_node(void **state)
{
    (void)state;
    numapool *pool =
        make(&(struct kind){.machine = machine_of(4), .workers_max = 8, .queue_tasks = 400});
    struct spot spots[4];
    int accepted[4] = {0};
    for (int i = 0; i < 4; i++) {
        spots[i] = (struct spot){.wanted = i};
    }
    /* Most of it on node 0, so that others are idle and would help if they might. */
    for (int i = 0; i < TIMES(20000, 3000); i++) {
        int node = i % 10 == 0 ? i / 10 % 4 : 0;
        struct numapool_task task = {.run = note_spot,
                                     .arg = &spots[node],
                                     .node = node,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        accepted[node] += numapool_submit_task(pool, &task) == NUMAPOOL_OK;
    }
    finish(pool);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(atomic_load(&spots[i].wrong), 0);
        assert_int_equal(atomic_load(&spots[i].right), accepted[i]);
        assert_true(accepted[i] > 0);
    }
}

static void idle_nodes_run_their_own_tasks(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(4), .workers_max = 16});
    void *memory[4];
    for (int i = 0; i < 4; i++) {
        memory[i] = numapool_alloc(pool, i, 1000);
        assert_non_null(memory[i]);
    }
    /* One task at a time: nobody has a reason to help, but for a worker that wakes up late. */
    uint64_t wrong = 0;
    for (int i = 0; i < 200; i++) {
        struct spot spot = {.wanted = i % 4};
        struct numapool_task task = {.run = note_spot, .arg = &spot};
        if (i % 3 == 0) {
            task.node = i % 4;
            task.flags = NUMAPOOL_ON_NODE;
            task.near_data = memory[(i + 1) % 4]; /* what is said beats what is hinted */
        } else {
            task.near_data = (char *)memory[i % 4] + i % 1000;
        }
        uint64_t before = shard_stats_of(pool, (size_t)i % 4).accepted;
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        assert_int_equal(shard_stats_of(pool, (size_t)i % 4).accepted, before + 1); /* its home */
        EVENTUALLY(atomic_load(&spot.right) + atomic_load(&spot.wrong) == 1);
        wrong += (uint64_t)atomic_load(&spot.wrong);
    }
    struct numapool_stats stats = stats_of(pool);
    assert_true(wrong <= stats.stolen_in + stats.forwarded_in);
    assert_true(wrong < 100);
    for (int i = 0; i < 4; i++) {
        numapool_free(pool, memory[i]);
    }
    finish(pool);
}

static void overflow_goes_to_other_nodes(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make(&(struct kind){
        .machine = machine_of(2), .workers_max = 2, .queue_tasks = 40, .mode = NUMAPOOL_FIXED});
    struct numapool_task task = {
        .run = block, .arg = &blocker, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&blocker.inside) == 1);
    task = (struct numapool_task){.run = count_run, .arg = &ran, .flags = NUMAPOOL_ON_NODE};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
    /* Node 0 runs nothing; what it could not hold ran on node 1, and idle workers there take more. */
    EVENTUALLY(atomic_load(&ran) >= 80);
    struct numapool_shard_stats there = shard_stats_of(pool, 1);
    assert_true(there.forwarded_in + there.stolen_in >= 80);
    door_open(&blocker.door);
    finish(pool);
    assert_int_equal(atomic_load(&ran), 100);
}

/* Tasks that were queued elsewhere and dropped there must not count as guests for ever: their place
   can be used by others again and again. */
static void dropped_guests_leave_their_place(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){
        .machine = machine_of(2), .workers_max = 2, .queue_tasks = 20, .mode = NUMAPOOL_FIXED});
    for (int round = 0; round < 10; round++) {
        struct blocker blocker = BLOCKER;
        struct numapool_task hold = {
            .run = block, .arg = &blocker, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        for (hold.node = 0; hold.node < 2; hold.node++) {
            assert_int_equal(numapool_submit_task(pool, &hold), NUMAPOOL_OK);
            EVENTUALLY(atomic_load(&blocker.inside) == hold.node + 1);
        }
        struct fate fate = {.run = 0};
        struct numapool_task task = fate_task(&fate);
        task.flags = NUMAPOOL_ON_NODE;
        task.task_class = NUMAPOOL_CRITICAL;
        assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
        uint64_t before = shard_stats_of(pool, 1).forwarded_in;
        int accepted = 0;
        while (numapool_submit_task(pool, &task) == NUMAPOOL_OK) {
            accepted++;
        }
        assert_int_equal(shard_stats_of(pool, 1).forwarded_in - before, accepted - 10);
        assert_int_equal(accepted, 15); /* half of the other's ten places are for guests */
        assert_int_equal(numapool_group_cancel(task.group), NUMAPOOL_OK);
        door_open(&blocker.door);
        assert_int_equal(numapool_group_wait(task.group, FOREVER), NUMAPOOL_OK);
        assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
        assert_int_equal(atomic_load(&fate.dropped), accepted);
        EVENTUALLY(at_rest(pool));
    }
    finish(pool);
}

/* Two shards on each of two nodes: strict tasks may use both of their node's, and no other. */
static void strict_tasks_move_within_their_node(void **state)
{
    (void)state;
    for (int node = 0; node < 2; node++) {
        struct numapool_config config;
        struct blocker blocker = BLOCKER;
        config_of(&config, &(struct kind){.machine = "pack:2 [numa] l3:2 core:2 pu:1",
                                          .workers_max = 4,
                                          .queue_tasks = 40,
                                          .mode = NUMAPOOL_FIXED});
        config.shards = NUMAPOOL_PER_L3;
        numapool *pool = make_with(&config);
        assert_int_equal(numapool_node_count(pool), 2);
        assert_int_equal(numapool_shard_count(pool), 4);
        size_t own[2], count = 0;
        for (size_t i = 0; i < 4; i++) {
            if (shard_stats_of(pool, i).node == (uint64_t)node) {
                assert_true(count < 2);
                own[count++] = i;
            }
        }
        assert_int_equal(count, 2);
        struct numapool_task task = {.run = block,
                                     .arg = &blocker,
                                     .node = node,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        for (int i = 0; i < 2; i++) { /* one worker each; the second task finds or is taken by it */
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        }
        EVENTUALLY(atomic_load(&blocker.inside) == 2);
        struct spot spot = {.wanted = node};
        task.run = note_spot;
        task.arg = &spot;
        task.task_class = NUMAPOOL_CRITICAL;
        int accepted = 0;
        while (numapool_submit_task(pool, &task) == NUMAPOOL_OK) {
            accepted++;
        }
        assert_true(accepted > 10); /* more than one of them holds */
        assert_int_equal(shard_stats_of(pool, own[0]).queue_depth +
                             shard_stats_of(pool, own[1]).queue_depth,
                         accepted);
        door_open(&blocker.door);
        finish(pool);
        assert_int_equal(atomic_load(&spot.right), accepted);
        assert_int_equal(atomic_load(&spot.wrong), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_tasks_never_leave_their_node),
        cmocka_unit_test(idle_nodes_run_their_own_tasks),
        cmocka_unit_test(overflow_goes_to_other_nodes),
        cmocka_unit_test(dropped_guests_leave_their_place),
        cmocka_unit_test(strict_tasks_move_within_their_node),
    };
    return RUN(tests);
}
