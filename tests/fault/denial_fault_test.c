/*
 * F3, F4: the kernel refuses to place memory or threads. On the machine as it is: with several nodes
 * that costs locality and is counted, with one node there is little to refuse.
 */
#include "fault/load.h"

#include "vm/denial.h"

static enum denial denial;

static void filtered(void)
{
    MUST(denial_install(denial) == 0);
    load_begin(&(struct load_shape){.mix = LOAD_ALL}, load_tasks() / 4);
    struct numapool_stats stats = stats_of(load_pool);
    if (denial == DENIAL_ALL && numapool_node_count(load_pool) > 1) {
        MUST(stats.bind_denied > 0);
    }
    load_end();
    load_report("F3", denial == DENIAL_ALL ? "seccomp: no NUMA call is allowed"
                                           : "seccomp: pages may not be found or moved");
}

static void a_filter_refuses(void **state)
{
    (void)state;
    if (!LOAD_CHILDREN) {
        skip();
    }
    for (int round = 0; round < 4; round++) {
        denial = round % 2 == 0 ? DENIAL_ALL : DENIAL_MOVE_ONLY;
        assert_true(load_in_child(filtered));
    }
}

static void refuse_memory(unsigned round, uint64_t tasks)
{
    inject_share(INJECT_BIND, round % 2 == 0 ? 1000 : 500);
    load_begin(&(struct load_shape){.mix = LOAD_ALL}, tasks);
    if (round % 2 == 0 && inject_calls(INJECT_BIND) != 0) {
        MUST(stats_of(load_pool).bind_denied > 0);
    }
    load_end();
    inject_nothing();
}

static void memory_is_not_bound(void **state)
{
    (void)state;
    load_rounds(refuse_memory);
    load_report("F3", "mbind refused with EPERM and ENOSYS");
}

static void refuse_threads(unsigned round, uint64_t tasks)
{
    inject_share(INJECT_AFFINITY, round % 2 == 0 ? 1000 : 500);
    load_begin(&(struct load_shape){.mix = LOAD_ALL | LOAD_LEAVE, .mode = (int)(round % 2)}, tasks);
    load_await_producers();
    MUST(inject_calls(INJECT_AFFINITY) != 0);
    if (round % 2 == 0) {
        MUST(stats_of(load_pool).bind_denied > 0);
    }
    load_end();
    inject_nothing();
}

static void threads_are_not_pinned(void **state)
{
    (void)state;
    load_rounds(refuse_threads);
    load_report("F4", "sched_setaffinity refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_refuses),
        cmocka_unit_test(memory_is_not_bound),
        cmocka_unit_test(threads_are_not_pinned),
    };
    return FAULT_RUN(tests);
}
