/*
 * F6: a control group throttles the process to a fifth of a CPU: every thread of it is stopped for
 * most of each period, wherever it is. The pool is built for what the group grants. Needs
 * leave to make such a group.
 */
#include "fault/cage.h"
#include "fault/load.h"

#include "flow/pool.h"

static void throttled(void)
{
    MUST(cage_enter() == 0);
    /* For so little the nodes share one shard, which no task can be strict in. */
    load_begin(&(struct load_shape){.mix = LOAD_ALL & ~LOAD_NODE}, load_tasks() / 4);
    double cpus = 0.0;
    for (unsigned i = 0; i < load_pool->shard_count; i++) {
        struct npi_shard_view view;
        npi_shard_view_read(load_pool->shards[i], &view);
        cpus += (double)view.cpus;
    }
    MUST(cpus <= 1.0);
    load_end();
    load_report("F6", "CPU quota of a fifth of a CPU");
}

static void a_quota_is_kept(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        assert_true(load_in_child(throttled));
    }
}

static int set_quota(void)
{
    if (cage_is_v2()) {
        return cage_set("cpu.max", "4000 20000");
    }
    int error = cage_set("cpu.cfs_period_us", "20000");
    return error != 0 ? error : cage_set("cpu.cfs_quota_us", "4000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_quota_is_kept)};
    if (!LOAD_CHILDREN) {
        return load_skip("a child with threads", 0);
    }
    int error = cage_make("cpu");
    if (error == 0 && (error = set_quota()) != 0) {
        cage_remove();
    }
    if (error != 0) {
        return load_skip("a control group with the cpu controller", error);
    }
    int status = FAULT_RUN(tests);
    cage_remove();
    return status;
}
