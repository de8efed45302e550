/*
 * F15: the end of a pool or of the process comes in the middle of the work: drain beside submitters,
 * destroy with full queues and tasks that submit more, exit() with a pool alive, pools destroyed by
 * exit handlers.
 */
#include "fault/halt.h"
#include "fault/load.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUND_TASKS UINT64_C(20000)

static void for_all_tasks(void (*body)(unsigned round))
{
    uint64_t rounds = load_tasks() / (ROUND_TASKS / 2);
    for (unsigned round = 0; round < rounds; round++) {
        body(round);
    }
}

/* ---------------------------------------------------------------------------------- drain */

/* Whatever anybody got accepted has ended when drain returns. */
static void drain_beside(unsigned round)
{
    load_begin(&(struct load_shape){.nodes = 1u << round % 3, .mix = LOAD_ALL, .producers = 4},
               ROUND_TASKS);
    uint64_t some = ROUND_TASKS / 2 + round * 61 % (ROUND_TASKS / 4);
    EVENTUALLY(load_ended() >= some || !load_goes_on());
    assert_int_equal(numapool_drain(load_pool, FOREVER), NUMAPOOL_OK);
    uint64_t ended = load_ended();
    assert_int_equal(numapool_submit(load_pool, count_run, NULL), NUMAPOOL_E_CLOSED);
    load_await_producers();
    assert_int_equal(load_ended(), ended);
    load_end();
}

static void drain_races_submitters(void **state)
{
    (void)state;
    for_all_tasks(drain_beside);
    load_report("F15", "drain beside four submitting threads");
}

/* One of them stopped after it was let in and before its task can be seen: there is no end before that
   task has run. */
static void drain_awaits_a_frozen_submitter(void **state)
{
    (void)state;
    for (unsigned round = 0; round < TIMES(50u, 5u); round++) {
        enum halt_place place = round % 2 == 0 ? HALT_CLAIMED : HALT_WRITTEN;
        halt_at(place, HALT_PRODUCER, 1);
        load_begin(&(struct load_shape){.nodes = 1u << round % 3, .mix = LOAD_ALL}, ROUND_TASKS);
        EVENTUALLY(halt_standing(place) == 1 && load_ended() > 100);
        load_stop();
        EVENTUALLY(at_rest(load_pool));
        assert_int_equal(numapool_drain(load_pool, 0), NUMAPOOL_E_TIMEDOUT);
        assert_int_equal(numapool_drain(load_pool, 2 * MS), NUMAPOOL_E_TIMEDOUT);
        uint64_t ended = load_ended();
        halt_release();
        assert_int_equal(numapool_drain(load_pool, FOREVER), NUMAPOOL_OK);
        assert_true(load_ended() > ended);
        load_end();
    }
    load_report("F15", "drain beside a submitter that stands still");
}

/* -------------------------------------------------------------------------------- destroy */

/* Submitters are gone, as the contract wants it; tasks and drops of the pool go on submitting. */
static void destroy_beside(unsigned round)
{
    load_begin(&(struct load_shape){.nodes = 1u << round % 3,
                                    .workers = 4,
                                    .mode = (int)(round % 2),
                                    .queue_tasks = 20000,
                                    .mix = LOAD_ALL | LOAD_LEAVE | LOAD_DROP_ALL},
               ROUND_TASKS);
    uint64_t some = ROUND_TASKS / 2 + round * 61 % (ROUND_TASKS / 4);
    EVENTUALLY(load_ended() >= some || !load_goes_on());
    load_stop();
    load_await_producers();
    load_destroy();
}

static void destroy_drops_what_waits(void **state)
{
    (void)state;
    for_all_tasks(destroy_beside);
    load_report("F15", "destroy with tasks queued and tasks submitting");
}

/* ----------------------------------------------------------------------------------- exit */

/* What a child process that leaves by exit() tells: its status, or -1 if a signal ended it. */
static int status_of_child(void (*body)(void))
{
    (void)fflush(stdout);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        (void)alarm(300);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(99);
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void begin_in_child(void)
{
    load_begin(&(struct load_shape){.nodes = 2, .mix = LOAD_ALL | LOAD_DROP_ALL}, ROUND_TASKS);
}

static void exit_with_a_busy_pool(void)
{
    begin_in_child();
    EVENTUALLY(load_ended() > 100);
    exit(42);
}

static void destroy_at_exit(void)
{
    load_stop();
    load_await_producers();
    load_destroy();
}

static void exit_and_destroy(void)
{
    MUST(atexit(destroy_at_exit) == 0);
    begin_in_child();
    EVENTUALLY(load_ended() > 100);
    exit(43);
}

static void destroy_from_a_task(void)
{
    MUST(numapool_drain(load_pool, FOREVER) == NUMAPOOL_E_DEADLOCK);
    MUST(numapool_destroy(load_pool) == NUMAPOOL_E_DEADLOCK);
}

static void exit_in_task(void *arg)
{
    (void)arg;
    exit(44);
}

static void exit_from_a_task(void)
{
    MUST(atexit(destroy_from_a_task) == 0);
    begin_in_child();
    struct numapool_task task = {.run = exit_in_task, .task_class = NUMAPOOL_CRITICAL};
    MUST(numapool_submit_wait(load_pool, &task, FOREVER) == NUMAPOOL_OK);
    for (;;) {
        pause_us(1000);
    }
}

static void exit_keeps_its_status(void **state)
{
    (void)state;
    if (!LOAD_CHILDREN) {
        skip();
    }
    for (int i = 0; i < TIMES(20, 3); i++) {
        assert_int_equal(status_of_child(exit_with_a_busy_pool), 42);
        assert_int_equal(status_of_child(exit_and_destroy), 43);
        assert_int_equal(status_of_child(exit_from_a_task), 44);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drain_races_submitters),
        cmocka_unit_test(drain_awaits_a_frozen_submitter),
        cmocka_unit_test(destroy_drops_what_waits),
        cmocka_unit_test(exit_keeps_its_status),
    };
    return FAULT_RUN(tests);
}
