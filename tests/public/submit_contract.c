/* Submitting: arguments, batches, hints, codes. */
#include "contract.h"

#include <limits.h>

/* ----------------------------------------------------------------------------- arguments */

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(2), .workers_max = 4});
    numapool *other = make(&(struct kind){.workers_max = 2});
    numapool_group *strange = NULL;
    assert_int_equal(numapool_group_create(&strange, other), NUMAPOOL_OK);
    atomic_int ran = 0;
    const struct numapool_task good = {.run = count_run, .arg = &ran};
    struct numapool_task bad[32];
    size_t count = 0;
#define BAD(field_, value_)                                                                        \
    do {                                                                                           \
        bad[count] = good;                                                                         \
        bad[count].field_ = value_;                                                                \
        count++;                                                                                   \
    } while (0)
    BAD(run, NULL);
    BAD(group, strange);
    BAD(task_class, -1);
    BAD(task_class, 3);
    BAD(task_class, INT_MAX);
    BAD(task_class, INT_MIN);
    BAD(flags, 1u << 3);
    BAD(flags, UINT_MAX);
    for (int i = 0; i < 4; i++) {
        BAD(reserved[i], 1);
        BAD(reserved[i], UINT64_MAX);
    }
    const int nodes[] = {-1, 2, 3, 64, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        BAD(node, nodes[i]);
        bad[count - 1].flags = NUMAPOOL_ON_NODE;
    }
#undef BAD
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(numapool_submit_task(pool, &bad[i]), NUMAPOOL_E_INVALID);
        assert_int_equal(numapool_submit_wait(pool, &bad[i], FOREVER), NUMAPOOL_E_INVALID);
        size_t accepted = 77;
        assert_int_equal(numapool_submit_batch(pool, &bad[i], 1, &accepted), NUMAPOOL_E_INVALID);
        assert_int_equal(accepted, 0);
    }
    struct numapool_stats stats = stats_of(pool);
    assert_int_equal(stats.submitted, 0);

    /* What is not read is not judged. */
    struct numapool_task task = good;
    task.node = -5;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    task.node = INT_MAX;
    task.flags = NUMAPOOL_STRICT_NODE | NUMAPOOL_DROP_OK;
    task.near_data = &task;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    task.near_data = (const void *)(uintptr_t)UINTPTR_MAX;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    finish(pool);
    assert_int_equal(atomic_load(&ran), 3);
    assert_int_equal(numapool_group_destroy(strange), NUMAPOOL_OK);
    finish(other);
}

static void a_task_is_copied(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 1, 100);
    struct fate fate = {.run = 0};
    struct numapool_task task = fate_task(&fate);
    task.bytes = 1000;
    task.deadline_ns = now_ns() + UINT64_C(3600000) * MS;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    memset(&task, 0xff, sizeof task);
    door_open(&blocker.door);
    finish(pool);
    assert_int_equal(atomic_load(&fate.run), 1);
}

/* ------------------------------------------------------------------------------- batches */

static void batches_accept_a_prefix(void **state)
{
    (void)state;
    numapool *pool =
        make(&(struct kind){.machine = machine_of(2), .workers_max = 4, .queue_tasks = 4000});
    enum { COUNT = 200 };
    static struct numapool_task tasks[COUNT];
    static struct fate fates[COUNT];
    memset(fates, 0, sizeof fates);
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = fate_task(&fates[i]);
        tasks[i].task_class = i / 7 % NUMAPOOL_CLASSES;
        tasks[i].node = i / 5 % 2;
        tasks[i].flags = i % 3 == 0 ? NUMAPOOL_ON_NODE : 0;
        tasks[i].group = i % 11 == 0 ? group : NULL;
        tasks[i].bytes = i % 13 == 0 ? 500 : 0;
        tasks[i].deadline_ns = i % 17 == 0 ? now_ns() + UINT64_C(3600000) * MS : 0;
    }
    size_t accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, tasks, COUNT, &accepted), NUMAPOOL_OK);
    assert_int_equal(accepted, COUNT);
    assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
    EVENTUALLY(at_rest(pool));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(atomic_load(&fates[i].run), 1);
    }

    /* A mistake in the middle, at every place around the size of an inner step. */
    const size_t places[] = {0, 1, 31, 32, 33, 63, 64, 65, 100, COUNT - 1};
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
        memset(fates, 0, sizeof fates);
        for (int plain = 0; plain < 2; plain++) {
            for (int i = 0; i < COUNT; i++) {
                tasks[i] = fate_task(&fates[i]);
                tasks[i].bytes = plain ? 0 : 64;
            }
            tasks[places[p]].reserved[0] = 1;
            accepted = 77;
            assert_int_equal(numapool_submit_batch(pool, tasks, COUNT, &accepted),
                             NUMAPOOL_E_INVALID);
            assert_int_equal(accepted, places[p]);
        }
        EVENTUALLY(at_rest(pool));
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(atomic_load(&fates[i].run), i < places[p] ? 2 : 0);
            assert_int_equal(atomic_load(&fates[i].dropped), 0);
        }
    }

    accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, tasks, 0, &accepted), NUMAPOOL_OK);
    assert_int_equal(accepted, 0);
    accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, NULL, 0, &accepted), NUMAPOOL_OK);
    assert_int_equal(accepted, 0);
    accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, NULL, 1, &accepted), NUMAPOOL_E_INVALID);
    assert_int_equal(accepted, 77);
    assert_int_equal(numapool_submit_batch(pool, tasks, 1, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_batch(NULL, tasks, 1, &accepted), NUMAPOOL_E_INVALID);
    assert_int_equal(accepted, 77);

    /* A cancelled group ends the prefix. */
    assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = fate_task(&fates[i]);
    }
    tasks[40].group = group;
    assert_int_equal(numapool_submit_batch(pool, tasks, COUNT, &accepted), NUMAPOOL_E_CANCELLED);
    assert_int_equal(accepted, 40);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    finish(pool);
}

/* --------------------------------------------------------------------------------- hints */

static void *ask_for_hint(void *pool)
{
    CHECK(numapool_retry_after_ns(pool) == 0); /* this thread was never refused */
    return NULL;
}

static void hints_are_the_callers_own(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make_blocked(&blocker, 1, 1);
    numapool *other = make(&(struct kind){.workers_max = 1});
    assert_int_equal(numapool_retry_after_ns(pool), 0);
    assert_int_equal(numapool_submit(pool, count_run, &ran), NUMAPOOL_OK);
    assert_int_equal(numapool_retry_after_ns(pool), 0);
    assert_int_equal(numapool_submit(pool, count_run, &ran), NUMAPOOL_E_FULL);
    assert_true(numapool_retry_after_ns(pool) > 0);
    assert_int_equal(numapool_retry_after_ns(other), 0);
    assert_int_equal(numapool_retry_after_ns(NULL), 0);
    /* Jitter: a crowd does not come back together. */
    uint64_t first = numapool_retry_after_ns(pool);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        differs |= numapool_retry_after_ns(pool) != first;
    }
    assert_true(differs);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_for_hint, pool), 0);
    pthread_join(thread, NULL);
    /* Bytes are refused by another rule, and retried by the same hint. */
    struct numapool_task large = {.run = count_run, .arg = &ran, .bytes = UINT64_C(1) << 40};
    assert_int_equal(numapool_submit_task(other, &large), NUMAPOOL_E_FULL);
    assert_true(numapool_retry_after_ns(other) > 0);
    door_open(&blocker.door);
    finish(pool);
    finish(other);
}

static void every_code_has_a_sentence(void **state)
{
    (void)state;
    const char *unknown = numapool_strerror(1);
    assert_non_null(unknown);
    for (int code = NUMAPOOL_OK; code >= NUMAPOOL_E_SYSTEM; code--) {
        const char *text = numapool_strerror(code);
        assert_non_null(text);
        assert_true(strlen(text) > 0);
        assert_string_not_equal(text, unknown);
        for (int before = NUMAPOOL_OK; before > code; before--) {
            assert_string_not_equal(text, numapool_strerror(before));
        }
    }
    assert_non_null(numapool_strerror(INT_MAX));
    assert_non_null(numapool_strerror(INT_MIN));
    assert_non_null(numapool_strerror(NUMAPOOL_E_SYSTEM - 1));
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", NUMAPOOL_VERSION_MAJOR,
                   NUMAPOOL_VERSION_MINOR, NUMAPOOL_VERSION_PATCH);
    assert_string_equal(numapool_version(), version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused), cmocka_unit_test(a_task_is_copied),
        cmocka_unit_test(batches_accept_a_prefix),   cmocka_unit_test(hints_are_the_callers_own),
        cmocka_unit_test(every_code_has_a_sentence),
    };
    return RUN(tests);
}
