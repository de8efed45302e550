/* F2: a control group's pids.max is reached while the pool grows. Needs leave to make such a group. */
#include "fault/cage.h"
#include "fault/load.h"

static void within_a_limit(void)
{
    static struct blocker blocker = BLOCKER;
    MUST(cage_enter() == 0);
    MUST(cage_set("pids.max", "8") == 0); /* this one, three producers, and little for a pool */
    load_begin(&(struct load_shape){.nodes = 1,
                                    .workers = 60,
                                    .mode = NUMAPOOL_FIXED,
                                    .mix = LOAD_ALL,
                                    .queue_tasks = 1000},
               load_tasks() / 4);
    for (int i = 0; i < 40; i++) { /* more than there may be threads, until the kernel says no */
        struct numapool_task task = {
            .run = block, .arg = &blocker, .task_class = NUMAPOOL_CRITICAL};
        MUST(numapool_submit_wait(load_pool, &task, FOREVER) == NUMAPOOL_OK);
    }
    EVENTUALLY(inject_refused_threads() > 0);
    int inside = atomic_load(&blocker.inside);
    MUST(cage_set("pids.max", "18") == 0); /* some more may start now */
    EVENTUALLY(atomic_load(&blocker.inside) > inside);
    door_open(&blocker.door);
    load_foreign(40);
    load_end();
    load_report("F2", "pids.max reached");
}

static void the_group_refuses(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        assert_true(load_in_child(within_a_limit));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_group_refuses)};
    if (!LOAD_CHILDREN) {
        return load_skip("a child with threads", 0);
    }
    int error = cage_make("pids");
    if (error != 0) {
        return load_skip("a control group with the pids controller", error);
    }
    int status = FAULT_RUN(tests);
    cage_remove();
    return status;
}
