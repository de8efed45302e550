/* Draining and destroying: what is waited for, what is dropped, and who may not call them. */
#include "contract.h"

/* ------------------------------------------------------------------------------- destroy */

struct destroyer {
    numapool *pool;
    pthread_t thread;
    atomic_bool returned;
    int result;
};

static void *destroy_body(void *arg)
{
    struct destroyer *destroyer = arg;
    destroyer->result = numapool_destroy(destroyer->pool);
    atomic_store(&destroyer->returned, true);
    return NULL;
}

static void destroy_beside(struct destroyer *destroyer, numapool *pool)
{
    unwatch(pool);
    destroyer->pool = pool;
    atomic_init(&destroyer->returned, false);
    assert_int_equal(pthread_create(&destroyer->thread, NULL, destroy_body, destroyer), 0);
}

static void destroy_drops_what_waits_and_awaits_what_runs(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 2, 400);
    static struct fate fates[COUNT];
    memset(fates, 0, sizeof fates);
    atomic_int unwanted = 0;
    for (int i = 0; i < COUNT; i++) {
        struct numapool_task task = fate_task(&fates[i]);
        task.task_class = i % NUMAPOOL_CLASSES;
        task.bytes = (size_t)(i % 2) * 100;
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        /* One without a drop beside each: it just disappears. */
        assert_int_equal(numapool_submit(pool, count_run, &unwanted), NUMAPOOL_OK);
    }
    struct destroyer destroyer;
    destroy_beside(&destroyer, pool);
    /* The drops do not wait for the running tasks. */
    for (int i = 0; i < COUNT; i++) {
        EVENTUALLY(atomic_load(&fates[i].dropped) != 0);
    }
    assert_false(atomic_load(&destroyer.returned));
    assert_int_equal(atomic_load(&blocker.inside), 2);
    door_open(&blocker.door);
    pthread_join(destroyer.thread, NULL);
    assert_int_equal(destroyer.result, NUMAPOOL_OK);
    assert_int_equal(atomic_load(&blocker.left), 2);
    assert_int_equal(atomic_load(&unwanted), 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(atomic_load(&fates[i].run), 0);
        assert_int_equal(atomic_load(&fates[i].dropped), 1);
        assert_int_equal(atomic_load(&fates[i].why), NUMAPOOL_E_CLOSED);
    }
}

struct lender {
    numapool *pool;
    numapool_group *group;
    struct door *door;
    atomic_int *inside;
    struct fate child;
    int waited;
};

/* Waits for a child that cannot run any more. */
static void wait_for_child(void *arg)
{
    struct lender *lender = arg;
    struct numapool_task child = fate_task(&lender->child);
    child.group = lender->group;
    CHECK(numapool_submit_task(lender->pool, &child) == NUMAPOOL_OK);
    atomic_fetch_add(lender->inside, 1);
    door_wait(lender->door);
    lender->waited = numapool_group_wait(lender->group, FOREVER);
}

static void destroy_lets_a_waiting_task_go_on(void **state)
{
    (void)state;
    struct door door = DOOR;
    atomic_int inside = 0;
    numapool *pool = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
    struct lender lender = {.pool = pool, .door = &door, .inside = &inside};
    assert_int_equal(numapool_group_create(&lender.group, pool), NUMAPOOL_OK);
    assert_int_equal(numapool_submit(pool, wait_for_child, &lender), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&inside) == 1);
    struct destroyer destroyer;
    destroy_beside(&destroyer, pool);
    EVENTUALLY(atomic_load(&lender.child.dropped) == 1);
    door_open(&door);
    pthread_join(destroyer.thread, NULL);
    assert_int_equal(lender.waited, NUMAPOOL_OK);
    assert_int_equal(atomic_load(&lender.child.why), NUMAPOOL_E_CLOSED);
    assert_int_equal(atomic_load(&lender.child.run), 0);
    assert_int_equal(numapool_group_destroy(lender.group), NUMAPOOL_OK);
}

struct inside_call {
    numapool *pool;
    int drain, drain_at_once, destroy;
    atomic_int done;
};

static void call_from_inside(void *arg)
{
    struct inside_call *call = arg;
    call->drain = numapool_drain(call->pool, FOREVER);
    call->drain_at_once = numapool_drain(call->pool, 0);
    call->destroy = numapool_destroy(call->pool);
    atomic_store(&call->done, 1);
}

static void call_from_inside_a_drop(void *arg, int why)
{
    (void)why;
    call_from_inside(arg);
}

static void ends_are_refused_to_tasks(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 2});
    for (int kind = 0; kind < 2; kind++) {
        struct inside_call call = {.pool = pool};
        struct numapool_task task = {.run = call_from_inside, .arg = &call};
        if (kind == 1) { /* a drop on a worker is no better place */
            assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
            task.drop = call_from_inside_a_drop;
        }
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        if (kind == 1) {
            assert_int_equal(numapool_group_cancel(task.group), NUMAPOOL_OK);
        }
        EVENTUALLY(atomic_load(&call.done) == 1);
        assert_int_equal(call.drain, NUMAPOOL_E_DEADLOCK);
        assert_int_equal(call.drain_at_once, NUMAPOOL_E_DEADLOCK);
        assert_int_equal(call.destroy, NUMAPOOL_E_DEADLOCK);
        /* no effect */
        atomic_int ran = 0;
        assert_int_equal(numapool_submit(pool, count_run, &ran), NUMAPOOL_OK);
        EVENTUALLY(atomic_load(&ran) == 1);
        if (kind == 1) {
            assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
        }
    }
    finish(pool);
}

static void one_pool_may_end_another_from_a_task(void **state)
{
    (void)state;
    numapool *outer = make(&(struct kind){.workers_max = 2});
    numapool *inner = make(&(struct kind){.workers_max = 2});
    unwatch(inner);
    struct inside_call call = {.pool = inner};
    assert_int_equal(numapool_submit(outer, call_from_inside, &call), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&call.done) == 1);
    assert_int_equal(call.drain, NUMAPOOL_OK);
    assert_int_equal(call.drain_at_once, NUMAPOOL_OK);
    assert_int_equal(call.destroy, NUMAPOOL_OK);
    finish(outer);
}

static void a_drop_may_use_the_pool_while_it_ends(void **state);

struct late {
    numapool *pool;
    void *memory;
    atomic_int submit, dropped;
};

static void use_pool_in_drop(void *arg, int why)
{
    struct late *late = arg;
    CHECK(why == NUMAPOOL_E_CLOSED);
    atomic_store(&late->submit, numapool_submit(late->pool, block, NULL));
    numapool_free(late->pool, late->memory);
    CHECK(numapool_current_node() == -1);
    CHECK(numapool_scratch(10) == NULL);
    atomic_fetch_add(&late->dropped, 1);
}

static void a_drop_may_use_the_pool_while_it_ends(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 1, 100);
    struct late late = {.pool = pool, .memory = numapool_alloc(pool, 0, 5000)};
    assert_non_null(late.memory);
    struct numapool_task task = {.run = block, .arg = &blocker, .drop = use_pool_in_drop};
    task.arg = &late;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    struct destroyer destroyer;
    destroy_beside(&destroyer, pool);
    EVENTUALLY(atomic_load(&late.dropped) == 1);
    assert_int_equal(atomic_load(&late.submit), NUMAPOOL_E_CLOSED);
    door_open(&blocker.door);
    pthread_join(destroyer.thread, NULL);
    assert_int_equal(destroyer.result, NUMAPOOL_OK);
}

/* --------------------------------------------------------------------------------- drain */

static void drain_closes_for_good(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(2), .workers_max = 8});
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    atomic_int ran = 0;
    for (int i = 0; i < 1000; i++) {
        struct numapool_task task = {.run = count_run, .arg = &ran, .group = group, .bytes = 64};
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
    assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
    assert_int_equal(atomic_load(&ran), 1000);
    struct numapool_stats stats = stats_of(pool);
    assert_int_equal(stats.run, 1000);
    assert_int_equal(stats.bytes_in_use, 0);
    assert_int_equal(stats.queue_depth, 0);
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_OK);

    assert_int_equal(numapool_drain(pool, 0), NUMAPOOL_OK);
    assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
    assert_int_equal(numapool_submit(pool, count_run, &ran), NUMAPOOL_E_CLOSED);
    struct numapool_task task = {.run = count_run, .arg = &ran};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_CLOSED);
    assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_E_CLOSED);
    struct numapool_task both[2] = {task, task};
    size_t accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, both, 2, &accepted), NUMAPOOL_E_CLOSED);
    assert_int_equal(accepted, 0);
    task.group = group;
    task.bytes = 100;
    task.deadline_ns = now_ns() + 1000 * MS;
    for (int c = 0; c < NUMAPOOL_CLASSES; c++) {
        task.task_class = c;
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_CLOSED);
    }
    assert_int_equal(numapool_set_budget(pool, 4), NUMAPOOL_E_CLOSED);
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_OK);
    stats = stats_of(pool);
    assert_int_equal(stats.bytes_in_use, 0);
    assert_int_equal(stats.accepted, 1000);
    assert_int_equal(atomic_load(&ran), 1000);
    assert_int_equal(stats.refused_other, 7);
    /* What is not a submit still works. */
    void *memory = numapool_alloc(pool, 1, 100);
    assert_non_null(memory);
    numapool_free(pool, memory);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    finish(pool);
}

static void drain_may_time_out_and_be_called_again(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 2, 100);
    static struct fate fates[20];
    memset(fates, 0, sizeof fates);
    for (int i = 0; i < 20; i++) {
        struct numapool_task task = fate_task(&fates[i]);
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    assert_int_equal(numapool_drain(pool, 0), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(numapool_drain(pool, 2 * MS), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(numapool_submit(pool, block, &blocker), NUMAPOOL_E_CLOSED);
    assert_int_equal(stats_of(pool).queue_depth, 20);
    door_open(&blocker.door);
    assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(atomic_load(&fates[i].run), 1);
        assert_int_equal(atomic_load(&fates[i].dropped), 0);
    }
    finish(pool);
}

static void *drain_body(void *pool)
{
    CHECK(numapool_drain(pool, FOREVER) == NUMAPOOL_OK);
    return NULL;
}

static void many_may_drain_at_once(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 2, 100);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, drain_body, pool), 0);
    }
    EVENTUALLY(numapool_submit(pool, block, &blocker) == NUMAPOOL_E_CLOSED);
    door_open(&blocker.door);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    finish(pool);
}

struct racer {
    numapool *pool;
    atomic_int *ran;
    unsigned nodes;
    int accepted;
    pthread_t thread;
};

static void *submit_until_closed(void *arg)
{
    struct racer *racer = arg;
    for (unsigned i = 0;; i++) {
        struct numapool_task task = {.run = count_run,
                                     .arg = racer->ran,
                                     .flags = NUMAPOOL_ON_NODE,
                                     .node = (int)(i % racer->nodes),
                                     .bytes = i % 3 * 64};
        int result = i % 4 == 0 ? numapool_submit(racer->pool, count_run, racer->ran)
                                : numapool_submit_task(racer->pool, &task);
        if (result == NUMAPOOL_E_CLOSED) {
            return NULL;
        }
        racer->accepted += result == NUMAPOOL_OK;
        CHECK(result == NUMAPOOL_OK || result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED);
    }
}

/* When drain returns, everything that anybody ever got accepted has run, without exception. */
static void drain_beside_submitters_is_exact(void **state)
{
    (void)state;
    const int rounds = TIMES(60, 15);
    for (int round = 0; round < rounds; round++) {
        unsigned nodes = 1u << (round % 3);
        numapool *pool = make(
            &(struct kind){.machine = machine_of(nodes), .workers_max = 8, .queue_tasks = 1000});
        atomic_int ran = 0;
        struct racer racers[4];
        for (int i = 0; i < 4; i++) {
            racers[i] = (struct racer){.pool = pool, .ran = &ran, .nodes = nodes};
            assert_int_equal(
                pthread_create(&racers[i].thread, NULL, submit_until_closed, &racers[i]), 0);
        }
        int some = round * 20;
        EVENTUALLY(atomic_load(&ran) >= some);
        assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
        int ran_at_drain = atomic_load(&ran);
        int accepted = 0;
        for (int i = 0; i < 4; i++) {
            pthread_join(racers[i].thread, NULL);
            accepted += racers[i].accepted;
        }
        assert_int_equal(ran_at_drain, accepted);
        assert_int_equal(stats_of(pool).accepted, accepted);
        finish(pool);
        assert_int_equal(atomic_load(&ran), accepted);
    }
}

/* The same with the queue thrown away: each task ran or was dropped. */
static void destroy_accounts_for_every_task(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    static struct fate fates[COUNT];
    for (int round = 0; round < TIMES(60, 15); round++) {
        memset(fates, 0, sizeof fates);
        bool accepted[COUNT];
        numapool *pool = make(&(struct kind){
            .machine = machine_of(1u << (round % 3)), .workers_max = 4, .queue_tasks = 1000});
        numapool_group *group = NULL;
        assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
        for (int i = 0; i < COUNT; i++) {
            struct numapool_task task = fate_task(&fates[i]);
            task.group = i % 2 ? group : NULL;
            accepted[i] = numapool_submit_task(pool, &task) == NUMAPOOL_OK;
        }
        unwatch(pool);
        assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
        assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(atomic_load(&fates[i].run) + atomic_load(&fates[i].dropped),
                             accepted[i] ? 1 : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destroy_drops_what_waits_and_awaits_what_runs),
        cmocka_unit_test(destroy_lets_a_waiting_task_go_on),
        cmocka_unit_test(ends_are_refused_to_tasks),
        cmocka_unit_test(one_pool_may_end_another_from_a_task),
        cmocka_unit_test(a_drop_may_use_the_pool_while_it_ends),
        cmocka_unit_test(drain_closes_for_good),
        cmocka_unit_test(drain_may_time_out_and_be_called_again),
        cmocka_unit_test(many_may_drain_at_once),
        cmocka_unit_test(drain_beside_submitters_is_exact),
        cmocka_unit_test(destroy_accounts_for_every_task),
    };
    return RUN(tests);
}
