/*
 * F11: tasks end their threads, by pthread_exit and by cancellation, blocked or not. They count as
 * run, and the worker is replaced.
 */
#include "fault/load.h"

static void leave(unsigned round, uint64_t tasks)
{
    load_begin(&(struct load_shape){.nodes = 1u << round % 3,
                                    .mode = (int)(round % 2),
                                    .mix = LOAD_ALL | LOAD_LEAVE},
               tasks);
    load_await_producers();
    EVENTUALLY(at_rest(load_pool));
    assert_true(stats_of(load_pool).threads_exited >= tasks / 256);
    load_end();
}

static void tasks_end_their_threads(void **state)
{
    (void)state;
    load_rounds(leave);
    load_report("F11", "every 128th task ends its thread");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tasks_end_their_threads)};
    return FAULT_RUN(tests);
}
