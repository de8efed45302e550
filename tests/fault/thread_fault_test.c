/*
 * F2: threads cannot be started: by chance, for a while not at all, or because the kernel has a limit
 * on them. The workers there are do the work; threads are tried again.
 */
#include "fault/load.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

static void create_without_threads(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config, &(struct kind){.machine = machine_of(4), .workers_max = 16});
    int threads = threads_now(), descriptors = descriptors_now();
    numapool *pool = NULL;
    struct numapool_error error = {.count = 0};
    inject_watch_begin();
    inject_share(INJECT_THREAD, 1000);
    assert_int_equal(numapool_create(&pool, &config, &error), NUMAPOOL_E_SYSTEM);
    inject_nothing();
    struct inject_held held = inject_watch_end();
    assert_null(pool);
    assert_int_equal(error.sys_errno, EAGAIN);
    assert_int_equal(held.blocks, 0);
    assert_int_equal(held.mapped_bytes, 0);
    assert_true(threads_now() <= threads);
    assert_int_equal(descriptors_now(), descriptors);
}

/* Threads end by tasks and by idleness all the time, and every second new one is refused. */
static void refuse_some(unsigned round, uint64_t tasks)
{
    load_begin(&(struct load_shape){.nodes = 1u << round % 3,
                                    .workers = 16,
                                    .mode = (int)(round % 2),
                                    .mix = LOAD_ALL | LOAD_LEAVE_SELDOM,
                                    .idle_exit_ns = 1000000},
               tasks);
    for (unsigned turn = 0; load_goes_on(); turn++) {
        inject_share(INJECT_THREAD, turn % 4 == 3 ? 1000 : 500);
        pause_us(2000);
    }
    inject_share(INJECT_THREAD, 500);
    load_end();
    inject_nothing();
}

static void some_are_refused(void **state)
{
    (void)state;
    load_rounds(refuse_some);
    load_report("F2", "half of all threads, and for a while all, refused with EAGAIN");
}

/* Holds more workers than there may be threads, until the kernel has said no. */
static void want_workers(void)
{
    static struct blocker blocker = BLOCKER;
    for (int i = 0; i < 40; i++) {
        struct numapool_task task = {
            .run = block, .arg = &blocker, .task_class = NUMAPOOL_CRITICAL};
        MUST(numapool_submit_wait(load_pool, &task, FOREVER) == NUMAPOOL_OK);
    }
    EVENTUALLY(inject_refused_threads() > 0);
    door_open(&blocker.door);
    load_foreign(40);
}

/* By the kernel: a user who may have 16 threads and wants 70. */
static void within_a_limit(void)
{
    const struct rlimit limit = {16, 16};
    MUST(setrlimit(RLIMIT_NPROC, &limit) == 0);
    MUST(setresuid(61234, 61234, 61234) == 0);
    load_begin(&(struct load_shape){.nodes = 1,
                                    .workers = 70,
                                    .mode = NUMAPOOL_FIXED,
                                    .mix = LOAD_ALL,
                                    .queue_tasks = 1000},
               load_tasks() / 4);
    want_workers();
    load_end();
    load_report("F2", "RLIMIT_NPROC reached");
}

static void the_kernel_refuses(void **state)
{
    (void)state;
    if (!LOAD_CHILDREN || geteuid() != 0) {
        printf("not as this user: one more is needed whose threads can be limited\n");
        skip();
    }
    for (int round = 0; round < 4; round++) {
        assert_true(load_in_child(within_a_limit));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_without_threads),
        cmocka_unit_test(some_are_refused),
        cmocka_unit_test(the_kernel_refuses),
    };
    return FAULT_RUN(tests);
}
