/*
 * Which CPUs form a shard, one rule at a time, on machines written down here. What is expected was
 * worked out by hand from the rules in topology/README.md, not copied from the planner's output.
 */
#include "unit/plan_support.h"

/* ------------------------------------------------------------------------------- granularity */

static void one_shard_for_each_node(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 2, 1, 1, 18, 2);
    set_distances(&machine, (const unsigned[]){10, 21, 21, 10});
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    expect_shard(plan, 0, 0, "0-17", "0-17,36-53");
    expect_shard(plan, 1, 1, "18-35", "18-35,54-71");
    assert_int_equal(plan->distance[1], 21);
    assert_true(plan->distance_measured);
    assert_set(&plan->nodes[1].cpus, "18-35,54-71");
    assert_int_equal(plan->shards[1].package, 1);
    assert_false(plan->shards[0].borrowed || plan->shards[0].spans_nodes);
    npi_plan_free(plan);

    config.smt = NUMAPOOL_SMT_ALL;
    plan = checked(&machine, &config);
    expect_shard(plan, 0, 0, "0-17,36-53", "0-17,36-53");
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void a_cache_divides_a_node_and_a_node_divides_a_cache(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    config.shards = NUMAPOOL_PER_L3;
    build_machine(&machine, 1, 2, 2, 2, 1); /* two caches in each of two nodes */
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 4);
    expect_shard(plan, 0, 0, "0-1", "0-1");
    expect_shard(plan, 1, 0, "2-3", "2-3");
    expect_shard(plan, 2, 1, "4-5", "4-5");
    expect_shard(plan, 3, 1, "6-7", "6-7");
    assert_int_equal(plan->node_count, 2);
    assert_int_equal(plan->distance[0 * 4 + 1], 10);
    assert_int_equal(plan->distance[0 * 4 + 2], 12); /* another node of the same package */
    npi_plan_free(plan);

    for (unsigned i = 0; i < machine.cpu_count; i++)
        machine.cpus[i].cache = 0; /* one cache over both nodes */
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    expect_shard(plan, 0, 0, "0-3", "0-3");
    expect_shard(plan, 1, 1, "4-7", "4-7");
    npi_plan_free(plan);

    for (unsigned i = 0; i < machine.cpu_count; i++)
        machine.cpus[i].cache = -1; /* none known: as by node */
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void a_shard_over_several_nodes_leaves_them_their_memory(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    config.shards = NUMAPOOL_PER_PACKAGE;
    build_machine(&machine, 2, 2, 1, 2, 1);
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    assert_int_equal(plan->node_count, 4);
    expect_shard(plan, 0, 0, "0-3", "0-3");
    expect_shard(plan, 1, 2, "4-7", "4-7");
    assert_true(plan->shards[0].spans_nodes && plan->shards[1].spans_nodes);
    assert_int_equal(plan->nodes[1].shard, 0);
    assert_int_equal(plan->nodes[3].shard, 1);
    assert_set(&plan->nodes[3].cpus, "6-7");
    assert_int_equal(plan->distance[1], 20);
    npi_plan_free(plan);

    config.shards = NUMAPOOL_SINGLE;
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 1);
    assert_int_equal(plan->node_count, 4);
    expect_shard(plan, 0, 0, "0-7", "0-7");
    assert_int_equal(plan->shards[0].package, -1);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(plan->nodes[n].shard, 0);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void the_larger_part_decides_the_home_of_a_package(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    config.shards = NUMAPOOL_PER_PACKAGE;
    build_machine(&machine, 1, 2, 1, 4, 1);
    forbid_cpus(&machine, "0-1");
    struct npi_plan *plan = checked(&machine, &config);
    expect_shard(plan, 0, 1, "2-7", "2-7");
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void hidden_nodes_are_told(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 4, 1, 1, 2, 2);
    for (unsigned i = 1; i < 4; i++) {
        assert_true(npi_cpuset_union(&machine.nodes[0].cpus, &machine.nodes[i].cpus));
        npi_cpuset_fini(&machine.nodes[i].cpus);
    }
    machine.node_count = 1;
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 1);
    assert_true(plan_has_note(plan, "one memory node covers 4 packages"));
    npi_plan_free(plan);

    /* The table only says that the one node is local to itself; packages are still apart. */
    set_distances(&machine, (const unsigned[]){10});
    config.shards = NUMAPOOL_PER_PACKAGE;
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 4);
    assert_int_equal(plan->node_count, 1);
    assert_int_equal(plan->distance[1], 20);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void too_many_shards_are_a_mistake(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    config.shards = NUMAPOOL_PER_L3;
    build_machine(&machine, 1, 1, 1025, 1, 1);
    expect_mistake(&machine, &config,
                   "pool.shards: this machine would get 1025 shards; at most 1024 are possible, "
                   "choose \"node\", \"package\" or \"single\"");
    forbid_cpus(&machine, "7");
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 1024);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

/* ---------------------------------------------------------------------------- explicit shards */

static void explicit_shards_are_as_the_file_says(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    build_machine(&machine, 2, 1, 1, 4, 2); /* node 0: 0-3,8-11; node 1: 4-7,12-15 */
    add_shard(placement, "4-6,12-14", "", -1);
    add_shard(placement, "0-1", "7", 1);
    placement->shards[0].workers_max = 3;
    placement->shards[1].memory_bytes = 1 << 20;
    placement->shard_memory_bytes = 2 << 20;
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    assert_int_equal(plan->shards_by, -1);
    /* 15 is the sibling of 7, so it goes where 7 went; 8-9 follow their cores, 2-3 the distance. */
    expect_shard(plan, 0, 1, "4-6", "4-6,12-14");
    expect_shard(plan, 1, 1, "0-1", "0-3,7-11,15");
    assert_true(plan->shards[1].borrowed);
    assert_int_equal(plan->shards[0].workers_max, 3);
    assert_int_equal(plan->shards[0].memory_bytes, 2 << 20);
    assert_int_equal(plan->shards[1].memory_bytes, 1 << 20);
    npi_plan_free(plan);

    config.pinning = NUMAPOOL_PIN_CPU;
    placement->shards[0].workers_max = 4;
    expect_mistake(&machine, &config,
                   "f:10: shard[0].workers: 4 workers on 3 CPUs cannot each have one; ask for at "
                   "most 3, or set pool.pinning to \"shard\"");
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static void explicit_nodes_must_have_memory(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    build_machine(&machine, 2, 1, 1, 2, 1);
    machine.nodes[1].memoryless = true;
    add_shard(placement, "0-1", "", 1);
    add_shard(placement, "2-3", "", 5);
    expect_mistake(&machine, &config,
                   "f:10: shard[0].node: node 1 has no memory that the pool may use; nodes with "
                   "memory to use here: 0");
    placement->on_missing = NPI_MISSING_FAIL;
    expect_mistake(&machine, &config,
                   "f:10: shard[0].node: node 1 has no memory that the pool may use; nodes with "
                   "memory to use here: 0\n"
                   "f:11: shard[1].node: node 5 is not on this machine or not allowed; nodes with "
                   "memory to use here: 0");
    placement->on_missing = NPI_MISSING_WARN;
    placement->shards[0].node = 0;
    struct npi_plan *plan = checked(&machine, &config);
    expect_shard(plan, 1, 0, "2-3", "2-3");
    assert_true(plan_has_note(plan, "node 5 is not on this machine"));
    npi_plan_free(plan);
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static void an_explicit_shard_without_cpus_is_left_out(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    build_machine(&machine, 2, 1, 1, 2, 1);
    add_shard(placement, "64-65", "", -1);
    add_shard(placement, "0-3", "", -1);
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 1);
    assert_true(plan_has_note(plan, "shard[0] is left out"));
    assert_true(plan->shards[0].spans_nodes);
    npi_plan_free(plan);
    npi_cpuset_fini(&placement->shards[1].cpus);
    placement->shards[1].cpus = set_of("99");
    expect_mistake(
        &machine, &config,
        "f:10: shard: no explicit shard has a CPU that can run workers here; `numapool plan` "
        "without them shows what there is");
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_shard_for_each_node),
        cmocka_unit_test(a_cache_divides_a_node_and_a_node_divides_a_cache),
        cmocka_unit_test(a_shard_over_several_nodes_leaves_them_their_memory),
        cmocka_unit_test(the_larger_part_decides_the_home_of_a_package),
        cmocka_unit_test(hidden_nodes_are_told),
        cmocka_unit_test(too_many_shards_are_a_mistake),
        cmocka_unit_test(explicit_shards_are_as_the_file_says),
        cmocka_unit_test(explicit_nodes_must_have_memory),
        cmocka_unit_test(an_explicit_shard_without_cpus_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
