/*
 * Which CPUs workers may use, and what is not on the machine, one rule at a time, on machines
 * written down here. What is expected was worked out by hand from the rules in topology/README.md,
 * not copied from the planner's output.
 */
#include "unit/plan_support.h"

static void reserved_cpus_keep_their_callers(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    build_machine(&machine, 2, 1, 1, 2, 2); /* node 0: 0,1,4,5; node 1: 2,3,6,7 */
    placement->reserve = set_of("0,4");
    say(placement, NPI_SAID_RESERVE, 1);
    struct npi_plan *plan = checked(&machine, &config);
    expect_shard(plan, 0, 0, "1", "0-1,4-5");
    assert_set(&plan->nodes[0].cpus, "1,5");
    npi_plan_free(plan);

    /* Reserving one thread leaves the core's other one to work. */
    npi_cpuset_fini(&placement->reserve);
    placement->reserve = set_of("0");
    plan = checked(&machine, &config);
    expect_shard(plan, 0, 0, "1,4", "0-1,4-5");
    npi_plan_free(plan);

    /* A node that is reserved whole has no shard; its callers go to the nearest. */
    npi_cpuset_fini(&placement->reserve);
    placement->reserve = set_of("0-1,4-5");
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 1);
    assert_int_equal(plan->node_count, 1);
    expect_shard(plan, 0, 1, "2-3", "0-7");
    assert_set(&plan->nodes[0].far_nodes, ""); /* node 0 is kept for others, not far memory */
    npi_plan_free(plan);

    npi_cpuset_fini(&placement->reserve);
    placement->reserve = set_of("0-7");
    expect_mistake(&machine, &config,
                   "f:1: pool.reserve: it leaves no CPU for workers; leave some");
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static void only_and_drop_choose_cpus_and_nodes(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    build_machine(&machine, 4, 1, 1, 2, 1);
    set_distances(&machine, (const unsigned[]){10, 20, 30, 20, 20, 10, 20, 30, 30, 20, 10, 20, 20,
                                               30, 20, 10});
    placement->cpus_only = set_of("0-5");
    placement->cpus_drop = set_of("1");
    placement->nodes_drop = set_of("1");
    say(placement, NPI_SAID_CPUS_ONLY, 1);
    say(placement, NPI_SAID_CPUS_DROP, 2);
    say(placement, NPI_SAID_NODES_DROP, 3);
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    /* Node 1 is as near to 0 as to 2, node 3 also; the first of equals takes the callers. */
    expect_shard(plan, 0, 0, "0", "0-3,6-7");
    expect_shard(plan, 1, 2, "4-5", "4-5");
    npi_plan_free(plan);

    npi_placement_free(placement);
    placement = new_placement(&config);
    placement->nodes_only = set_of("3");
    say(placement, NPI_SAID_NODES_ONLY, 1);
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 1);
    expect_shard(plan, 0, 3, "6-7", "0-7");
    assert_set(&plan->nodes[0].far_nodes, "");
    npi_plan_free(plan);

    npi_cpuset_fini(&placement->nodes_only);
    placement->nodes_only = set_of("9");
    struct npi_plan *none = NULL;
    struct numapool_error error;
    assert_int_equal(npi_plan_build(&none, &machine, &config, false, &error), NUMAPOOL_E_CONFIG);
    assert_string_equal(error.text,
                        "f:1: pool.nodes_only: it leaves no node with memory; leave some");
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static void the_fastest_cores_can_be_asked_for(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    placement->cpu_kind = NPI_CPU_KIND_FASTEST;
    build_machine(&machine, 1, 1, 2, 2, 1);
    struct npi_plan *plan = checked(&machine, &config);
    assert_true(plan_has_note(plan, "does not tell its cores apart"));
    assert_set(&plan->shards[0].cpus, "0-3");
    npi_plan_free(plan);
    for (unsigned i = 0; i < 4; i++)
        machine.cpus[i].kind = i < 2 ? 0 : 1;
    plan = checked(&machine, &config);
    expect_shard(plan, 0, 0, "2-3", "0-3");
    npi_plan_free(plan);
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static void what_is_missing_is_told_or_refused(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    build_machine(&machine, 2, 1, 1, 2, 1);
    placement->reserve = set_of("0,64-65");
    placement->nodes_drop = set_of("7");
    say(placement, NPI_SAID_RESERVE, 4);
    say(placement, NPI_SAID_NODES_DROP, 5);
    struct npi_plan *plan = checked(&machine, &config);
    assert_true(plan_has_note(plan, "CPUs 64-65 of the configuration are not on this machine"));
    assert_true(plan_has_note(plan, "node 7 of the configuration is not on this machine"));
    expect_shard(plan, 0, 0, "1", "0-1");
    npi_plan_free(plan);
    placement->on_missing = NPI_MISSING_FAIL;
    expect_mistake(&machine, &config,
                   "f:4: pool.reserve: CPUs 64-65 of the configuration are not on this machine or "
                   "not allowed\n"
                   "f:5: pool.nodes_drop: node 7 of the configuration is not on this machine or "
                   "not allowed");
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static void another_machine_is_recognised(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = new_placement(&config);
    build_machine(&machine, 2, 2, 1, 2, 2);
    placement->expect_nodes = 4;
    placement->expect_packages = 2;
    placement->expect_cpus = 16;
    say(placement, NPI_SAID_EXPECT_NODES, 1);
    say(placement, NPI_SAID_EXPECT_PACKAGES, 2);
    say(placement, NPI_SAID_EXPECT_CPUS, 3);
    npi_plan_free(checked(&machine, &config));
    placement->expect_nodes = 8;
    placement->expect_packages = 1;
    placement->expect_cpus = 15;
    expect_mistake(
        &machine, &config,
        "f:1: expect.nodes: the file is for a machine with 8, this one has 4; use the "
        "file of this machine, or correct the number\n"
        "f:2: expect.packages: the file is for a machine with 1, this one has 2; use the "
        "file of this machine, or correct the number\n"
        "f:3: expect.cpus: the file is for a machine with 15, this one has 16; use the "
        "file of this machine, or correct the number");
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_cpus_keep_their_callers),
        cmocka_unit_test(only_and_drop_choose_cpus_and_nodes),
        cmocka_unit_test(the_fastest_cores_can_be_asked_for),
        cmocka_unit_test(what_is_missing_is_told_or_refused),
        cmocka_unit_test(another_machine_is_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
