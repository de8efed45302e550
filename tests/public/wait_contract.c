/* Submitting that waits for room. */
#include "contract.h"

struct waiter {
    numapool *pool;
    struct numapool_task task;
    uint64_t timeout_ns;
    atomic_bool returned;
    int result;
    pthread_t thread;
};

static void *submit_and_wait(void *arg)
{
    struct waiter *waiter = arg;
    waiter->result = numapool_submit_wait(waiter->pool, &waiter->task, waiter->timeout_ns);
    atomic_store(&waiter->returned, true);
    return NULL;
}

static void waiting_ends_with_room_or_time(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make_blocked(&blocker, 1, 4);
    struct numapool_task task = {.run = count_run, .arg = &ran};
    for (int i = 0; i < 4; i++) { /* ceil(0.9 * 4) = 4 */
        assert_int_equal(numapool_submit_wait(pool, &task, 0), NUMAPOOL_OK);
    }
    assert_int_equal(numapool_submit_wait(pool, &task, 0), NUMAPOOL_E_FULL);
    assert_int_equal(numapool_submit_wait(pool, &task, 5 * MS), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(numapool_submit_wait(pool, &task, 1), NUMAPOOL_E_TIMEDOUT);
    task.task_class = NUMAPOOL_SHEDDABLE;
    assert_int_equal(numapool_submit_wait(pool, &task, 2 * MS), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(stats_of(pool).accepted, 5);

    struct waiter waiters[4];
    for (int i = 0; i < 4; i++) {
        waiters[i] = (struct waiter){.pool = pool, .task = task, .timeout_ns = FOREVER};
        waiters[i].task.task_class = i % NUMAPOOL_CLASSES;
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, submit_and_wait, &waiters[i]), 0);
    }
    /* Each of them was refused at least once before there is room. */
    uint64_t refused = stats_of(pool).refused_full + stats_of(pool).refused_shed;
    EVENTUALLY(stats_of(pool).refused_full + stats_of(pool).refused_shed >= refused + 8);
    for (int i = 0; i < 4; i++) {
        assert_false(atomic_load(&waiters[i].returned));
    }
    door_open(&blocker.door);
    for (int i = 0; i < 4; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].result, NUMAPOOL_OK);
    }
    finish(pool);
    assert_int_equal(atomic_load(&ran), 8);
}

static void waiting_ends_when_the_pool_closes(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make_blocked(&blocker, 1, 1);
    struct numapool_task task = {.run = count_run, .arg = &ran};
    assert_int_equal(numapool_submit_wait(pool, &task, 0), NUMAPOOL_OK);
    struct waiter waiter = {.pool = pool, .task = task, .timeout_ns = FOREVER};
    assert_int_equal(pthread_create(&waiter.thread, NULL, submit_and_wait, &waiter), 0);
    EVENTUALLY(stats_of(pool).refused_full >= 2);
    assert_int_equal(numapool_drain(pool, 0), NUMAPOOL_E_TIMEDOUT);
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.result, NUMAPOOL_E_CLOSED);
    door_open(&blocker.door);
    finish(pool);
}

static void waiting_returns_other_codes_at_once(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    struct numapool_task task = {.run = block, .deadline_ns = 1};
    assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_E_DEADLINE);
    task.deadline_ns = 0;
    assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
    assert_int_equal(numapool_group_cancel(task.group), NUMAPOOL_OK);
    assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_E_CANCELLED);
    assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
    finish(pool);
}

struct inner_submit {
    numapool *pool, *other;
    atomic_int *ran;
    int own[3], foreign, plain;
    atomic_bool done;
};

static void submit_from_inside(void *arg)
{
    struct inner_submit *inner = arg;
    struct numapool_task task = {.run = count_run, .arg = inner->ran};
    inner->own[0] = numapool_submit_wait(inner->pool, &task, 0);
    inner->own[1] = numapool_submit_wait(inner->pool, &task, MS);
    inner->own[2] = numapool_submit_wait(inner->pool, &task, FOREVER);
    inner->foreign = numapool_submit_wait(inner->other, &task, FOREVER);
    inner->plain = numapool_submit_task(inner->pool, &task);
    atomic_store(&inner->done, true);
}

static void a_worker_may_not_wait_for_its_own_pool(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    numapool *other = make(&(struct kind){.workers_max = 1});
    atomic_int ran = 0;
    struct inner_submit inner = {.pool = pool, .other = other, .ran = &ran};
    assert_int_equal(numapool_submit(pool, submit_from_inside, &inner), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&inner.done));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(inner.own[i], NUMAPOOL_E_DEADLOCK);
    }
    assert_int_equal(inner.foreign, NUMAPOOL_OK);
    assert_int_equal(inner.plain, NUMAPOOL_OK);
    finish(pool);
    finish(other);
    assert_int_equal(atomic_load(&ran), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_ends_with_room_or_time),
        cmocka_unit_test(waiting_ends_when_the_pool_closes),
        cmocka_unit_test(waiting_returns_other_codes_at_once),
        cmocka_unit_test(a_worker_may_not_wait_for_its_own_pool),
    };
    return RUN(tests);
}
