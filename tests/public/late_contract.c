/* Tasks that come too late: deadlines, and delay that stands in the queue. */
#include "contract.h"

/* ----------------------------------------------------------------------------- deadlines */

static void passed_deadlines_are_refused(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    struct fate fate = {.run = 0};
    struct numapool_task task = fate_task(&fate);
    const uint64_t passed[] = {1, now_ns() - 1, now_ns()};
    for (size_t i = 0; i < 3; i++) {
        task.deadline_ns = passed[i];
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_DEADLINE);
    }
    assert_int_equal(stats_of(pool).refused_deadline, 3);
    const uint64_t far[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63,
                            now_ns() + UINT64_C(1000000000000)};
    for (size_t i = 0; i < 4; i++) {
        task.deadline_ns = far[i];
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    finish(pool);
    assert_int_equal(atomic_load(&fate.run), 4);
    assert_int_equal(atomic_load(&fate.dropped), 0);
}

static void deadlines_that_pass_in_the_queue_drop_the_task(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 1, 100);
    struct fate late = {.run = 0}, far = {.run = 0};
    struct numapool_task task = fate_task(&late);
    assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
    task.bytes = 1000;
    uint64_t deadline = 0;
    int accepted = 0;
    while (accepted < 20) { /* a slow machine may take longer than that to submit */
        deadline = now_ns() + 30 * MS;
        task.deadline_ns = deadline;
        int result = numapool_submit_task(pool, &task);
        assert_true(result == NUMAPOOL_OK || result == NUMAPOOL_E_DEADLINE);
        accepted += result == NUMAPOOL_OK;
    }
    struct numapool_task patient = fate_task(&far);
    patient.deadline_ns = deadline + UINT64_C(3600000) * MS;
    assert_int_equal(numapool_submit_task(pool, &patient), NUMAPOOL_OK);
    EVENTUALLY(now_ns() > deadline);
    assert_int_equal(atomic_load(&late.dropped), 0); /* at their turn, not before */
    door_open(&blocker.door);
    assert_int_equal(numapool_group_wait(task.group, FOREVER), NUMAPOOL_OK);
    assert_int_equal(atomic_load(&late.dropped), 20);
    assert_int_equal(atomic_load(&late.run), 0);
    assert_int_equal(atomic_load(&late.why), NUMAPOOL_E_DEADLINE);
    assert_int_equal(stats_of(pool).dropped, 20);
    assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
    finish(pool);
    assert_int_equal(atomic_load(&far.run), 1);
    assert_int_equal(atomic_load(&far.dropped), 0);
}

struct retry {
    numapool *pool;
    struct fate second;
    atomic_int dropped;
};

static void submit_again(void *arg, int why)
{
    struct retry *retry = arg;
    CHECK(why == NUMAPOOL_E_DEADLINE);
    struct numapool_task task = fate_task(&retry->second);
    CHECK(numapool_submit_task(retry->pool, &task) == NUMAPOOL_OK);
    atomic_fetch_add(&retry->dropped, 1);
}

static void never(void *arg)
{
    (void)arg;
    check_failed(__FILE__, __LINE__, "a task ran whose deadline had passed");
}

static void a_drop_may_submit(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 1, 100);
    static struct retry retries[COUNT];
    memset(retries, 0, sizeof retries);
    uint64_t deadline = 0;
    for (int i = 0; i < COUNT; i++) {
        retries[i].pool = pool;
        struct numapool_task task = {.run = never, .arg = &retries[i], .drop = submit_again};
        do { /* a slow machine may take longer than that to submit */
            deadline = now_ns() + 30 * MS;
            task.deadline_ns = deadline;
        } while (numapool_submit_task(pool, &task) != NUMAPOOL_OK);
    }
    EVENTUALLY(now_ns() > deadline);
    door_open(&blocker.door);
    EVENTUALLY(stats_of(pool).accepted == 1 + 2 * COUNT && at_rest(pool));
    finish(pool);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(atomic_load(&retries[i].dropped), 1);
        assert_int_equal(atomic_load(&retries[i].second.run), 1);
        assert_int_equal(atomic_load(&retries[i].second.dropped), 0);
    }
}

static void wait_for_cancelled(void *arg)
{
    EVENTUALLY(numapool_cancelled());
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void a_running_task_learns_of_its_deadline(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    atomic_int learned = 0;
    struct numapool_task task = {.run = wait_for_cancelled, .arg = &learned};
    int result;
    do {
        task.deadline_ns = now_ns() + 20 * MS;
        result = numapool_submit_task(pool, &task);
    } while (result == NUMAPOOL_E_DEADLINE);
    assert_int_equal(result, NUMAPOOL_OK);
    EVENTUALLY(at_rest(pool)); /* ran, or was too late to begin with */
    assert_int_equal(stats_of(pool).run, atomic_load(&learned));
    finish(pool);
}

static void hold_a_millisecond(void *arg)
{
    (void)arg;
    rest();
    rest();
}

/* Once the pool knows how long tasks take, one that would come too late is refused at the door. */
static void predicted_lateness_is_refused(void **state)
{
    (void)state;
    numapool *pool =
        make(&(struct kind){.workers_max = 1, .queue_tasks = 400, .mode = NUMAPOOL_FIXED});
    struct fate fate = {.run = 0};
    struct numapool_task urgent = fate_task(&fate);
    urgent.task_class = NUMAPOOL_CRITICAL;
    struct numapool_task filler = {.run = hold_a_millisecond, .task_class = NUMAPOOL_CRITICAL};
    int accepted = 0, refused = 0;
    while (refused == 0) {
        for (int i = 0; i < 20; i++) {
            (void)!numapool_submit_task(pool, &filler);
        }
        urgent.deadline_ns = now_ns() + 2 * MS;
        int result = numapool_submit_task(pool, &urgent);
        accepted += result == NUMAPOOL_OK;
        refused += result == NUMAPOOL_E_DEADLINE && now_ns() < urgent.deadline_ns;
        rest();
    }
    finish(pool);
    assert_int_equal(atomic_load(&fate.run) + atomic_load(&fate.dropped), accepted);
}

/* --------------------------------------------------------------------------- standing delay */

static void too_long_a_wait_is_refused(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config,
              &(struct kind){.workers_max = 1, .queue_tasks = 10000, .mode = NUMAPOOL_FIXED});
    config.queue_delay_ns = 3 * MS;
    numapool *pool = make_with(&config);
    struct numapool_task task = {.run = hold_a_millisecond};
    int result;
    do {
        result = numapool_submit_task(pool, &task);
        if (result == NUMAPOOL_OK && stats_of(pool).queue_depth > 100) {
            rest();
        }
    } while (result == NUMAPOOL_OK);
    assert_int_equal(result, NUMAPOOL_E_SHED); /* and there is room for thousands */
    assert_true(stats_of(pool).queue_depth < 5000);
    assert_true(numapool_retry_after_ns(pool) > 0);
    /* What must not be refused is not. */
    task.task_class = NUMAPOOL_CRITICAL;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    unwatch(pool);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

static void a_standing_queue_sheds_what_may_be_dropped(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config,
              &(struct kind){.workers_max = 1, .queue_tasks = 2000, .mode = NUMAPOOL_FIXED});
    config.codel_target_ns = MS;
    config.codel_interval_ns = 5 * MS;
    config.queue_delay_ns = NUMAPOOL_OFF;
    numapool *pool = make_with(&config);
    struct fate may = {.run = 0}, must = {.run = 0};
    int may_accepted = 0, must_accepted = 0;
    while (atomic_load(&may.dropped) == 0) {
        struct numapool_task task = {.run = hold_a_millisecond};
        (void)!numapool_submit_task(pool, &task);
        task = fate_task(&may);
        task.flags = NUMAPOOL_DROP_OK;
        may_accepted += numapool_submit_task(pool, &task) == NUMAPOOL_OK;
        task = fate_task(&must);
        must_accepted += numapool_submit_task(pool, &task) == NUMAPOOL_OK;
        if (stats_of(pool).queue_depth > 300) {
            rest();
        }
    }
    assert_int_equal(atomic_load(&may.why), NUMAPOOL_E_SHED);
    finish(pool);
    assert_int_equal(atomic_load(&may.run) + atomic_load(&may.dropped), may_accepted);
    assert_int_equal(atomic_load(&must.run), must_accepted);
    assert_int_equal(atomic_load(&must.dropped), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passed_deadlines_are_refused),
        cmocka_unit_test(deadlines_that_pass_in_the_queue_drop_the_task),
        cmocka_unit_test(a_drop_may_submit),
        cmocka_unit_test(a_running_task_learns_of_its_deadline),
        cmocka_unit_test(predicted_lateness_is_refused),
        cmocka_unit_test(too_long_a_wait_is_refused),
        cmocka_unit_test(a_standing_queue_sheds_what_may_be_dropped),
    };
    return RUN(tests);
}
