/*
 * All load on one of four nodes serves as well as load that is spread: the budget goes where tasks wait,
 * other nodes take what home cannot, and nothing is refused while one of them has room. Time does not
 * count here, only how many tasks are served at once: tasks stay until all of a round are inside, so each
 * round is one service time, whatever the machine is busy with.
 */
#include "contract.h"

#define NODES 4
#define BUDGET 40
#define LOAD (BUDGET * 9 / 10)
#define ROUNDS TIMES(60, 20)

static uint64_t refused(numapool *pool)
{
    struct numapool_stats stats = stats_of(pool);
    return stats.submitted - stats.accepted;
}

/* ------------------------------------------------------------------------- as many at once */

/* Rounds of nine tenths of the budget. A pool that serves fewer of them at once ends none. */
static void serve_rounds(numapool *pool, bool skewed, bool in_batches)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct blocker blocker = BLOCKER;
        struct numapool_task tasks[LOAD];
        size_t accepted = 0;
        for (int i = 0; i < LOAD; i++) {
            tasks[i] = (struct numapool_task){.run = block,
                                              .arg = &blocker,
                                              .node = skewed ? round / 10 % NODES : i % NODES,
                                              .flags = NUMAPOOL_ON_NODE};
            if (!in_batches) {
                assert_int_equal(numapool_submit_task(pool, &tasks[i]), NUMAPOOL_OK);
            }
        }
        if (in_batches) {
            assert_int_equal(numapool_submit_batch(pool, tasks, LOAD, &accepted), NUMAPOOL_OK);
            assert_int_equal(accepted, LOAD);
        }
        EVENTUALLY(atomic_load(&blocker.inside) == LOAD);
        door_open(&blocker.door);
        EVENTUALLY(atomic_load(&blocker.left) == LOAD); /* nobody looks at it any more */
        EVENTUALLY(at_rest(pool));
    }
}

static void one_node_is_served_like_all(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        bool skewed = how / 2 == 0;
        numapool *pool = make(&(struct kind){
            .machine = machine_of(NODES), .workers_max = BUDGET, .queue_tasks = 1000});
        serve_rounds(pool, skewed, how % 2 != 0);
        struct numapool_stats stats = stats_of(pool);
        assert_int_equal(stats.run, ROUNDS * LOAD);
        assert_int_equal(refused(pool), 0);
        print_message("%s: %d rounds, of %d tasks %llu forwarded, %llu stolen\n",
                      skewed ? "one node" : "all nodes", ROUNDS, ROUNDS * LOAD,
                      (unsigned long long)stats.forwarded_in, (unsigned long long)stats.stolen_in);
        finish(pool);
    }
}

/* ------------------------------------------------------------------- nothing refused in vain */

#define QUEUE_TASKS 256
#define PLACES (QUEUE_TASKS / NODES)
#define GUESTS (PLACES / 2) /* half of a queue may be taken by tasks of other homes */
/* What a pool holds of tasks that are all of one home: normal ones may use nine tenths of that. */
#define ROOM_CRITICAL (PLACES + (NODES - 1) * GUESTS)
#define ROOM ((PLACES * 9 + 9) / 10 + (NODES - 1) * GUESTS)

static void check_last_place(int home, int task_class, int room, int refusal)
{
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make(&(struct kind){.machine = machine_of(NODES),
                                         .workers_max = NODES,
                                         .queue_tasks = QUEUE_TASKS,
                                         .mode = NUMAPOOL_FIXED});
    for (int node = 0; node < NODES; node++) {
        struct numapool_task hold = {.run = block,
                                     .arg = &blocker,
                                     .node = node,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        assert_int_equal(numapool_submit_task(pool, &hold), NUMAPOOL_OK);
    }
    EVENTUALLY(atomic_load(&blocker.inside) == NODES); /* now nothing leaves a queue */
    struct numapool_task task = {.run = count_run,
                                 .arg = &ran,
                                 .node = home,
                                 .task_class = task_class,
                                 .flags = NUMAPOOL_ON_NODE};
    for (int i = 0; i < room; i++) {
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    assert_int_equal(numapool_submit_task(pool, &task), refusal);
    for (int i = 0; i < NODES; i++) {
        struct numapool_shard_stats stats = shard_stats_of(pool, (size_t)i);
        assert_int_equal(stats.forwarded_in, i == home ? 0 : GUESTS);
        assert_int_equal(stats.queue_depth, i == home ? room - (NODES - 1) * GUESTS : GUESTS);
    }
    door_open(&blocker.door);
    EVENTUALLY(atomic_load(&ran) == room);
    finish(pool);
}

static void the_last_place_is_found(void **state)
{
    (void)state;
    for (int home = 0; home < NODES; home++) {
        check_last_place(home, NUMAPOOL_CRITICAL, ROOM_CRITICAL, NUMAPOOL_E_FULL);
        check_last_place(home, NUMAPOOL_NORMAL, ROOM, NUMAPOOL_E_SHED); /* its class's share */
    }
}

/* What one thread submits, and everybody's unfinished tasks. */
#define SUBMITTERS 4
struct burst {
    numapool *pool;
    atomic_int *unfinished, *bursts;
    uint64_t seed;
    pthread_t thread;
    int refused;
};

static void finish_one(void *unfinished)
{
    atomic_fetch_sub((atomic_int *)unfinished, 1);
}

/* Takes part of what may be unfinished, if there is so much left. */
static bool take(atomic_int *unfinished, int count, int bound)
{
    int now = atomic_load(unfinished);
    while (now + count <= bound) {
        if (atomic_compare_exchange_weak(unfinished, &now, now + count)) {
            return true;
        }
    }
    return false;
}

static void *submit_bursts(void *arg)
{
    struct burst *burst = arg;
    for (int i = 0; i < TIMES(200, 50); i++) {
        struct numapool_task tasks[ROOM];
        int count = 1 + (int)(draw(&burst->seed) % (ROOM / 2));
        size_t accepted = 0;
        while (!take(burst->unfinished, count, ROOM * 9 / 10)) {
            rest();
        }
        int home = atomic_fetch_add(burst->bursts, 1) / (20 * SUBMITTERS) % NODES;
        for (int k = 0; k < count; k++) {
            tasks[k] = (struct numapool_task){.run = finish_one,
                                              .arg = burst->unfinished,
                                              .node = home,
                                              .flags = NUMAPOOL_ON_NODE};
            if (i % 2 == 0) {
                accepted += numapool_submit_task(burst->pool, &tasks[k]) == NUMAPOOL_OK;
            }
        }
        if (i % 2 != 0) {
            (void)!numapool_submit_batch(burst->pool, tasks, (size_t)count, &accepted);
        }
        burst->refused += count - (int)accepted;
        atomic_fetch_sub(burst->unfinished, count - (int)accepted);
    }
    return NULL;
}

/* Nine tenths of the room for one home, now one and now another, in bursts of several threads. */
static void bursts_within_the_room_are_not_refused(void **state)
{
    (void)state;
    atomic_int unfinished = 0, count = 0;
    struct burst bursts[SUBMITTERS];
    numapool *pool = make(&(struct kind){
        .machine = machine_of(NODES), .workers_max = 2 * NODES, .queue_tasks = QUEUE_TASKS});
    for (int i = 0; i < SUBMITTERS; i++) {
        bursts[i] = (struct burst){.pool = pool,
                                   .unfinished = &unfinished,
                                   .bursts = &count,
                                   .seed = seed_of_run() + (uint64_t)i};
        assert_int_equal(pthread_create(&bursts[i].thread, NULL, submit_bursts, &bursts[i]), 0);
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(bursts[i].thread, NULL);
        assert_int_equal(bursts[i].refused, 0);
    }
    EVENTUALLY(at_rest(pool));
    assert_int_equal(atomic_load(&unfinished), 0);
    assert_true(stats_of(pool).forwarded_in > 0); /* home alone has not the room */
    finish(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_node_is_served_like_all),
        cmocka_unit_test(the_last_place_is_found),
        cmocka_unit_test(bursts_within_the_room_are_not_refused),
    };
    return RUN(tests);
}
