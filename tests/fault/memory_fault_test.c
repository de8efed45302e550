/*
 * F1: memory runs out while a pool works. Every allocation and every change of a mapping may fail;
 * tasks are accepted and run all the same, since no submit needs memory (load.c forbids it there).
 */
#include "fault/load.h"

static unsigned permille;
static enum inject_kind kind;

static void fail_some(unsigned round, uint64_t tasks)
{
    load_begin(&(struct load_shape){.nodes = 1u << round % 3,
                                    .mix = LOAD_ALL | LOAD_LEAVE_SELDOM,
                                    .mode = (int)(round % 2),
                                    .idle_exit_ns = 1000000},
               tasks);
    inject_share(kind, permille);
    while (load_goes_on()) {
        pause_us(500);
    }
    load_end(); /* under the fault, too */
    inject_nothing();
}

static void allocations_fail(void **state)
{
    (void)state;
    kind = INJECT_MEMORY;
    permille = 500;
    load_rounds(fail_some);
    load_report("F1", "half of all allocations fail");
}

/* Stacks, scratch and blocks have to be made writable. */
static void mappings_fail(void **state)
{
    (void)state;
    kind = INJECT_MAP;
    permille = 300;
    do { /* few calls are made, and chance may spare all of a short round's */
        load_rounds(fail_some);
    } while (inject_failed(kind) == 0);
    printf("%llu of %llu failed in the last round\n", (unsigned long long)inject_failed(kind),
           (unsigned long long)inject_calls(kind));
    load_report("F1", "3 of 10 mmap, mprotect and madvise fail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_fail),
        cmocka_unit_test(mappings_fail),
    };
    return FAULT_RUN(tests);
}
