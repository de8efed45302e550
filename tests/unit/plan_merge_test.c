/*
 * Joining shards, and what their CPUs are worth, one rule at a time, on machines written down here.
 * What is expected was worked out by hand from the rules in topology/README.md, not copied from the
 * planner's output.
 */
#include "unit/plan_support.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- joining */

static void equal_shards_are_joined_in_pairs(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 8, 1, 1, 2, 1);
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(npi_plan_merge(plan, 8), NUMAPOOL_OK);
    assert_int_equal(plan->note_count, plan->draft->note_count + 1); /* only that of distances */
    assert_int_equal(npi_plan_merge(plan, 4), NUMAPOOL_OK);
    check_plan(plan, &machine, "a plan");
    assert_int_equal(plan->shard_count, 4);
    assert_int_equal(plan->node_count, 8);
    for (unsigned s = 0; s < 4; s++) {
        char cpus[16];
        snprintf(cpus, sizeof cpus, "%u-%u", 4 * s, 4 * s + 3);
        expect_shard(plan, s, 2 * s, cpus, cpus);
        assert_true(plan->shards[s].spans_nodes);
        assert_int_equal(plan->nodes[2 * s + 1].shard, s);
        assert_non_null(strstr(plan->shards[s].reason, "2 neighbouring shards in one"));
    }
    assert_int_equal(npi_plan_merge(plan, 0), NUMAPOOL_OK); /* at least one */
    check_plan(plan, &machine, "a plan");
    expect_shard(plan, 0, 0, "0-15", "0-15");
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void the_nearest_are_joined_and_the_larger_keeps_its_memory(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 4, 1, 1, 3, 1);
    set_distances(&machine, (const unsigned[]){10, 30, 30, 11, 30, 10, 20, 30, 30, 20, 10, 30, 11,
                                               30, 30, 10});
    forbid_cpus(&machine, "0"); /* node 0 has two CPUs left, node 3 three */
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(npi_plan_merge(plan, 3), NUMAPOOL_OK);
    check_plan(plan, &machine, "a plan");
    expect_shard(plan, 0, 3, "1-2,9-11", "1-2,9-11");
    expect_shard(plan, 1, 1, "3-5", "3-5");
    assert_int_equal(plan->distance[0 * 3 + 1], 30);
    assert_int_equal(plan->nodes[0].shard, 0);
    assert_int_equal(plan->nodes[3].shard, 0);
    assert_int_equal(npi_plan_merge(plan, 2), NUMAPOOL_OK);
    expect_shard(plan, 1, 1, "3-8", "3-8");
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void bounds_of_joined_shards_add_up(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    build_machine(&machine, 3, 1, 1, 2, 1);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const cpus[] = {"0-1", "2-3", "4-5"};
        add_shard(placement, cpus[i], "", (int)i);
        placement->shards[i].workers_max = i < 2 ? 5 : 0;
        placement->shards[i].memory_bytes = 1 << 20;
    }
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(npi_plan_merge(plan, 2), NUMAPOOL_OK);
    assert_int_equal(plan->shards[0].workers_max, 10);
    assert_int_equal(plan->shards[0].memory_bytes, 2 << 20);
    assert_int_equal(npi_plan_merge(plan, 1), NUMAPOOL_OK);
    assert_int_equal(plan->shards[0].workers_max, 0); /* one had no bound */
    assert_int_equal(plan->shards[0].memory_bytes, 3 << 20);
    npi_plan_free(plan);
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

/* ------------------------------------------------------------------------------------ capacity */

static double total_capacity(const struct npi_plan *plan)
{
    double sum = 0;
    for (unsigned s = 0; s < plan->shard_count; s++)
        sum += plan->shards[s].capacity;
    return sum;
}

static void cpu_max_scales_and_joins(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 8, 1, 1, 4, 1);
    machine.cpu_limit = 16;
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 8);
    assert_float_equal(plan->shards[3].capacity, 2.0, 1e-9);
    npi_plan_free(plan);

    machine.cpu_limit = 64; /* more than there are: no scaling */
    plan = checked(&machine, &config);
    assert_float_equal(total_capacity(plan), 32.0, 1e-9);
    npi_plan_free(plan);

    machine.cpu_limit = 2.5; /* two shards have a CPU each, three would not */
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    assert_int_equal(plan->node_count, 8);
    assert_float_equal(total_capacity(plan), 2.5, 1e-9);
    assert_true(plan_has_note(plan, "cpu.max grants 2.5"));
    assert_true(plan_has_note(plan, "8 shards were joined into 2"));
    npi_plan_free(plan);

    machine.cpu_limit = 0.5;
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 1);
    assert_float_equal(total_capacity(plan), 0.5, 1e-9);
    npi_plan_free(plan);

    struct numapool_placement *placement = new_placement(&config);
    placement->quota = NPI_QUOTA_IGNORE;
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 8);
    assert_float_equal(total_capacity(plan), 32.0, 1e-9);
    npi_plan_free(plan);
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static void a_described_machine_has_this_ones_capacity(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    config.pinning = NUMAPOOL_PIN_CPU;
    build_machine(&machine, 4, 1, 1, 8, 2);
    machine.live = false;
    machine.cpus_here = 2;
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 4);
    assert_float_equal(total_capacity(plan), 2.0, 1e-9);
    assert_int_equal(plan->pinning, NUMAPOOL_PIN_NONE);
    npi_plan_free(plan);
    machine.cpu_limit = 0.5; /* shards stay: they are what was asked for */
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 4);
    assert_float_equal(total_capacity(plan), 0.5, 1e-9);
    npi_plan_free(plan);
    machine.cpu_limit = 0;
    machine.cpus_here = 1000; /* never more than it has */
    plan = checked(&machine, &config);
    assert_float_equal(total_capacity(plan), 32.0, 1e-9);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

/* What a joined plan says has to be what a file may say: fewer workers, where CPUs are siblings. */
static void bounds_of_joined_shards_still_fit(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    config.pinning = NUMAPOOL_PIN_CPU;
    build_machine(&machine, 1, 1, 1, 4, 2);
    struct numapool_placement *placement = new_placement(&config);
    add_shard(placement, "0-3", "", -1);
    add_shard(placement, "4-7", "", -1);
    for (unsigned i = 0; i < 2; i++) {
        placement->shards[i].workers_max = 4;
        placement->shards[i].memory_bytes = UINT64_C(1) << 50;
    }
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(npi_plan_merge(plan, 1), NUMAPOOL_OK);
    assert_int_equal(plan->shards[0].cpu_count, 4);
    assert_int_equal(plan->shards[0].workers_max, 4);
    assert_int_equal(plan->shards[0].memory_bytes, UINT64_C(1) << 50);
    npi_plan_free(plan);

    config.pinning = NUMAPOOL_PIN_SHARD;
    placement->shards[0].workers_max = placement->shards[1].workers_max = 20000;
    plan = checked(&machine, &config);
    assert_int_equal(npi_plan_merge(plan, 1), NUMAPOOL_OK);
    assert_int_equal(plan->shards[0].workers_max, 32768);
    npi_plan_free(plan);
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_shards_are_joined_in_pairs),
        cmocka_unit_test(the_nearest_are_joined_and_the_larger_keeps_its_memory),
        cmocka_unit_test(bounds_of_joined_shards_add_up),
        cmocka_unit_test(bounds_of_joined_shards_still_fit),
        cmocka_unit_test(cpu_max_scales_and_joins),
        cmocka_unit_test(a_described_machine_has_this_ones_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
