/*
 * Tasks that end their thread, by pthread_exit or by cancellation: they count as run, everything they
 * held comes back, and the worker is replaced.
 */
#include "contract.h"

enum how { BY_RETURN, BY_EXIT, BY_CANCEL, BY_ASYNCHRONOUS_CANCEL, HOWS };

struct leaver {
    enum how how;
    bool blocks, scratches, has_data;
    atomic_int begun, cleaned;
};

static pthread_key_t data_key;
static atomic_int data_destroyed;

static void destroy_data(void *data)
{
    (void)data;
    atomic_fetch_add(&data_destroyed, 1);
}

static void clean(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void leave(struct leaver *leaver)
{
    switch (leaver->how) {
    case BY_EXIT:
        pthread_exit(NULL);
    case BY_ASYNCHRONOUS_CANCEL:
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
        /* fall through */
    case BY_CANCEL:
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        pthread_cancel(pthread_self());
        pthread_testcancel();
        check_failed(__FILE__, __LINE__, "a cancelled task does not come here");
        break;
    default:
        break;
    }
}

static void run_and_leave(void *arg)
{
    struct leaver *leaver = arg;
    atomic_fetch_add(&leaver->begun, 1);
    if (leaver->scratches) {
        char *memory = numapool_scratch(100000);
        CHECK(memory != NULL);
        if (memory != NULL) {
            memset(memory, 1, 100000);
        }
    }
    if (leaver->has_data) {
        CHECK(pthread_setspecific(data_key, leaver) == 0);
    }
    if (leaver->blocks) {
        numapool_block_begin();
        numapool_block_begin();
    }
    pthread_cleanup_push(clean, &leaver->cleaned);
    leave(leaver);
    pthread_cleanup_pop(1);
    if (leaver->has_data) {
        CHECK(pthread_setspecific(data_key, NULL) == 0);
    }
}

static void drop_and_leave(void *arg, int why)
{
    CHECK(why == NUMAPOOL_E_CANCELLED);
    run_and_leave(arg);
}

static void a_thousand_threads_are_ended(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct leaver leavers[COUNT];
    int threads = threads_now(), descriptors = descriptors_now();
    for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
        for (int mode = 0; mode < 2; mode++) {
            memset(leavers, 0, sizeof leavers);
            atomic_store(&data_destroyed, 0);
            int with_data = 0;
            numapool *pool = make(&(struct kind){
                .machine = machine_of(nodes), .workers_max = 8, .queue_tasks = 500, .mode = mode});
            numapool_group *group = NULL;
            assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
            const int count = TIMES(COUNT / 4, COUNT / 20); /* times six: more than a thousand */
            for (int i = 0; i < count; i++) {
                struct leaver *leaver = &leavers[i];
                leaver->how = (enum how)(i % HOWS);
                leaver->blocks = i / 4 % 3 == 0;
                leaver->scratches = i / 4 % 2 == 0;
                leaver->has_data = i / 4 % 5 == 0;
                with_data += leaver->has_data && leaver->how != BY_RETURN;
                struct numapool_task task = {.run = run_and_leave,
                                             .arg = leaver,
                                             .group = i % 3 == 0 ? NULL : group,
                                             .bytes = i % 7 == 0 ? 5000 : 0,
                                             .node = i % (int)nodes,
                                             .flags = NUMAPOOL_ON_NODE,
                                             .task_class = NUMAPOOL_CRITICAL};
                assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
            }
            assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
            assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
            struct numapool_stats stats = stats_of(pool);
            assert_int_equal(stats.run, count);
            assert_int_equal(stats.dropped, 0);
            assert_int_equal(stats.bytes_in_use, 0);
            assert_int_equal(stats.workers_blocked, 0);
            for (int i = 0; i < count; i++) {
                assert_int_equal(atomic_load(&leavers[i].begun), 1);
                assert_int_equal(atomic_load(&leavers[i].cleaned), 1);
            }
            assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
            finish(pool);
            assert_int_equal(atomic_load(&data_destroyed), with_data);
        }
    }
    EVENTUALLY(threads_now() <= threads);
    assert_int_equal(descriptors_now(), descriptors);
}

/* With one worker only: every task after one that left needs the next thread. */
static void the_only_worker_is_replaced(void **state)
{
    (void)state;
    for (int how = BY_EXIT; how < HOWS; how++) {
        numapool *pool = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
        static struct leaver leavers[50];
        memset(leavers, 0, sizeof leavers);
        atomic_int ran = 0;
        for (int i = 0; i < 50; i++) {
            leavers[i].how = (enum how)how;
            leavers[i].blocks = i % 2;
            struct numapool_task task = {
                .run = run_and_leave, .arg = &leavers[i], .task_class = NUMAPOOL_CRITICAL};
            assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
            task.run = count_run;
            task.arg = &ran;
            assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
            if (i % 4 == 0) {
                EVENTUALLY(atomic_load(&ran) == i + 1); /* from rest */
            }
        }
        EVENTUALLY(at_rest(pool));
        assert_int_equal(atomic_load(&ran), 50);
        EVENTUALLY(stats_of(pool).threads_exited >= 50); /* a thread counts after its task */
        finish(pool);
    }
}

/* The budget is whole again afterwards: as many run at once as before. */
static void no_permit_is_lost(void **state)
{
    (void)state;
    numapool *pool =
        make(&(struct kind){.machine = machine_of(2), .workers_max = 6, .mode = NUMAPOOL_FIXED});
    static struct leaver leavers[120];
    memset(leavers, 0, sizeof leavers);
    for (int i = 0; i < 120; i++) {
        leavers[i].how = (enum how)(1 + i % 3);
        leavers[i].blocks = i % 2;
        struct numapool_task task = {.run = run_and_leave,
                                     .arg = &leavers[i],
                                     .node = i % 2,
                                     .flags = NUMAPOOL_ON_NODE,
                                     .task_class = NUMAPOOL_CRITICAL};
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
    EVENTUALLY(at_rest(pool));
    struct blocker blocker = BLOCKER;
    for (int i = 0; i < 6; i++) {
        struct numapool_task task = {.run = block,
                                     .arg = &blocker,
                                     .node = i % 2,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    EVENTUALLY(atomic_load(&blocker.inside) == 6);
    door_open(&blocker.door);
    finish(pool);
}

static void a_drop_may_end_its_thread_too(void **state)
{
    (void)state;
    static struct leaver leavers[100];
    memset(leavers, 0, sizeof leavers);
    numapool *pool = make(&(struct kind){.workers_max = 2, .mode = NUMAPOOL_FIXED});
    struct blocker blocker = BLOCKER;
    block_workers(pool, &blocker, 2);
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    for (int i = 0; i < 100; i++) {
        leavers[i].how = (enum how)(i % HOWS);
        struct numapool_task task = {.run = run_and_leave,
                                     .arg = &leavers[i],
                                     .drop = drop_and_leave,
                                     .group = group,
                                     .bytes = 100};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
    door_open(&blocker.door);
    assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
    struct numapool_stats stats = stats_of(pool);
    assert_int_equal(stats.dropped, 100);
    assert_int_equal(stats.bytes_in_use, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(atomic_load(&leavers[i].begun), 1);
        assert_int_equal(atomic_load(&leavers[i].cleaned), 1);
    }
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    finish(pool);
}

/* A destructor that takes its time keeps its own thread, and nobody else, from going on. */
static struct blocker slow_blocker = BLOCKER;

static void destroy_slowly(void *data)
{
    (void)data;
    block(&slow_blocker);
}

static void slow_destructors_hold_up_nobody(void **state)
{
    (void)state;
    pthread_key_t slow_key;
    assert_int_equal(pthread_key_create(&slow_key, destroy_slowly), 0);
    pthread_key_t fast_key = data_key;
    data_key = slow_key;
    struct leaver leaver = {.how = BY_EXIT, .has_data = true};
    numapool *pool = make(&(struct kind){.workers_max = 4, .mode = NUMAPOOL_FIXED});
    assert_int_equal(numapool_submit(pool, run_and_leave, &leaver), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&slow_blocker.inside) == 1);
    atomic_int ran = 0;
    for (int i = 0; i < 1000; i++) {
        struct numapool_task task = {.run = count_run, .arg = &ran};
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
    struct blocker blocker = BLOCKER;
    block_workers(pool, &blocker, 4); /* the whole budget, beside the one that does not go away */
    door_open(&blocker.door);
    assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
    assert_int_equal(atomic_load(&ran), 1000);
    door_open(&slow_blocker.door);
    finish(pool);
    assert_int_equal(atomic_load(&slow_blocker.left), 1);
    data_key = fast_key;
    pthread_key_delete(slow_key);
}

/* At a budget below the threads that are kept, one shard's threads all end: the other's, which are kept
   and as many as the pool may have, make room for new ones. */
static void kept_threads_make_room(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    static struct leaver leavers[COUNT];
    struct numapool_config config;
    config_of(&config, &(struct kind){.machine = "pack:2 [numa] core:4 pu:1",
                                      .workers_max = 8,
                                      .mode = NUMAPOOL_FIXED});
    config.workers_min = 8;
    numapool *pool = make_with(&config);
    assert_int_equal(stats_of(pool).workers, 8);
    assert_int_equal(numapool_set_budget(pool, 2), NUMAPOOL_OK);
    for (int i = 0; i < COUNT; i++) {
        leavers[i].how = BY_EXIT;
        struct numapool_task task = {.run = run_and_leave,
                                     .arg = &leavers[i],
                                     .node = i < COUNT / 2,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE,
                                     .task_class = NUMAPOOL_CRITICAL};
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
        /* One by one: another shard's threads that end make room, too. */
        EVENTUALLY(atomic_load(&leavers[i].cleaned) == 1);
    }
    finish(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_threads_are_ended),
        cmocka_unit_test(the_only_worker_is_replaced),
        cmocka_unit_test(no_permit_is_lost),
        cmocka_unit_test(a_drop_may_end_its_thread_too),
        cmocka_unit_test(slow_destructors_hold_up_nobody),
        cmocka_unit_test(kept_threads_make_room),
    };
    if (pthread_key_create(&data_key, destroy_data) != 0) {
        return 1;
    }
    return RUN(tests);
}
