/*
 * Which nodes are homes and who borrows from whom, one rule at a time, on machines written down
 * here. What is expected was worked out by hand from the rules in topology/README.md, not copied
 * from the planner's output.
 */
#include "unit/plan_support.h"

#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------------------- home nodes */

static void ordinary_memory_is_home_before_fast_memory(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 1, 1, 1, 4, 1);
    machine.nodes[0].kind = NPI_NODE_HBM; /* the lower number */
    add_node(&machine, 5, "0-3");
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 1);
    expect_shard(plan, 0, 5, "0-3", "0-3");
    assert_set(&plan->nodes[0].far_nodes, "0");
    npi_plan_free(plan);

    /* Fast memory is home where there is no other, or where the other is forbidden. */
    struct numapool_placement *placement = new_placement(&config);
    placement->nodes_drop = set_of("5");
    say(placement, NPI_SAID_NODES_DROP, 1);
    plan = checked(&machine, &config);
    expect_shard(plan, 0, 0, "0-3", "0-3");
    npi_plan_free(plan);
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static void a_node_without_cpus_is_no_home_though_it_is_near(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 2, 1, 1, 2, 1);
    machine.nodes[0].os_index = 3;
    machine.nodes[1].os_index = 4;
    add_node(&machine, 0, "0-1")->cpuless = true;
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    expect_shard(plan, 0, 3, "0-1", "0-1");
    assert_set(&plan->nodes[0].far_nodes, "0");
    assert_set(&plan->nodes[1].far_nodes, "");
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void device_memory_is_never_used(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 1, 1, 1, 2, 1);
    add_node(&machine, 252, "0-1")->kind = NPI_NODE_DEVICE;
    struct npi_plan *plan = checked(&machine, &config);
    expect_shard(plan, 0, 0, "0-1", "0-1");
    assert_set(&plan->nodes[0].far_nodes, "");
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void no_bytes_means_unknown_only_when_no_node_has_any(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 1, 2, 1, 2, 1);
    machine.nodes[0].memory_bytes = machine.nodes[1].memory_bytes = 0;
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    npi_plan_free(plan);

    machine.nodes[1].memory_bytes = 4096;
    plan = checked(&machine, &config);
    assert_int_equal(plan->node_count, 1);
    expect_shard(plan, 0, 1, "2-3", "2-3");
    expect_shard(plan, 1, 1, "0-1", "0-1");
    assert_true(plan->shards[1].borrowed && !plan->shards[0].borrowed);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void far_memory_belongs_to_the_nearest_home(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 2, 1, 1, 1, 1);
    add_node(&machine, 2, "");
    struct npi_plan *plan = checked(&machine, &config);
    assert_set(&plan->nodes[0].far_nodes, "2"); /* nothing known: everybody's */
    assert_set(&plan->nodes[1].far_nodes, "2");
    npi_plan_free(plan);
    set_distances(&machine, (const unsigned[]){10, 21, 28, 21, 10, 17, 28, 17, 10});
    plan = checked(&machine, &config);
    assert_set(&plan->nodes[0].far_nodes, "");
    assert_set(&plan->nodes[1].far_nodes, "2");
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

/* ---------------------------------------------------------------------------- borrowed memory */

static void the_kernels_row_says_whom_to_borrow_from(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 3, 1, 1, 2, 1);
    machine.nodes[1].memoryless = true;
    machine.nodes[1].memory_bytes = 0;
    machine.nodes[0].memory_bytes *= 16;
    set_distances(&machine, (const unsigned[]){10, 28, 30, 28, 10, 17, 30, 17, 10});
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 3);
    expect_shard(plan, 0, 0, "0-1", "0-1");
    expect_shard(plan, 1, 2, "4-5", "4-5");
    expect_shard(plan, 2, 2, "2-3", "2-3");
    assert_true(plan->shards[2].borrowed);
    assert_set(&plan->nodes[1].cpus, "2-5");
    assert_int_equal(plan->distance[2 * 3 + 0], 28); /* from where its CPUs are */
    assert_int_equal(plan->distance[2 * 3 + 1], 17);
    assert_int_equal(plan->distance[1 * 3 + 0], 30);
    assert_non_null(strstr(plan->shards[2].reason, "nearest to OS node 1"));
    npi_plan_free(plan);

    /* Equally far: more memory. */
    set_distances(&machine, (const unsigned[]){10, 20, 20, 20, 10, 20, 20, 20, 10});
    plan = checked(&machine, &config);
    expect_shard(plan, 1, 0, "2-3", "2-3");
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void without_a_row_the_structure_says_whom_to_borrow_from(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 3, 1, 1, 2, 1);
    machine.nodes[0].memory_bytes *= 16;
    struct npi_cpuset pair = set_of("2-5"); /* packages 1 and 2 hang together */
    machine.domains = realloc(machine.domains, 4 * sizeof *machine.domains);
    assert_non_null(machine.domains);
    machine.domains[machine.domain_count++] = pair;
    npi_cpuset_fini(&machine.nodes[1].cpus);
    memmove(&machine.nodes[1], &machine.nodes[2], sizeof machine.nodes[1]);
    machine.node_count = 2; /* the node without memory is left out, as hwloc does */
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 3);
    expect_shard(plan, 2, 2, "2-3", "2-3");
    assert_true(plan->shards[2].borrowed);
    assert_int_equal(plan->distance[2 * 3 + 1], 20); /* same memory, another package */
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void borrowers_of_a_package_stay_together(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 2, 1, 4, 2, 2);
    npi_cpuset_fini(&machine.nodes[1].cpus);
    machine.node_count = 1;
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    expect_shard(plan, 1, 0, "8-15", "8-15,24-31");
    npi_plan_free(plan);
    config.shards = NUMAPOOL_PER_L3;
    plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 8);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void any_node_may_lend_where_none_covers_a_cpu(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 4, 1, 1, 2, 1);
    set_distances(&machine, (const unsigned[]){10, 20, 30, 20, 20, 10, 20, 30, 30, 20, 10, 20, 20,
                                               30, 20, 10});
    forbid_cpus(&machine, "0-1,6-7"); /* CPUs of nodes 1 and 2, memory of nodes 0 and 3 */
    machine.nodes[1].memoryless = machine.nodes[2].memoryless = true;
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(plan->shard_count, 2);
    expect_shard(plan, 0, 0, "2-3", "2-3");
    expect_shard(plan, 1, 3, "4-5", "4-5");
    assert_true(plan->shards[0].borrowed && plan->shards[1].borrowed);
    assert_int_equal(plan->distance[1], 20); /* from node 1 to node 2 */
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void a_machine_without_nodes_still_gets_a_shard(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    build_machine(&machine, 1, 1, 1, 3, 1);
    npi_cpuset_fini(&machine.nodes[0].cpus);
    machine.node_count = 0;
    for (int shards = 0; shards < 4; shards++) {
        config.shards = shards;
        struct npi_plan *plan = checked(&machine, &config);
        assert_int_equal(plan->shard_count, 1);
        assert_int_equal(plan->node_count, 1);
        assert_set(&plan->shards[0].cpus, "0-2");
        assert_int_equal(plan->memory_policy, NPI_MEMORY_LOCAL);
        npi_plan_free(plan);
    }
    npi_machine_fini(&machine);
}

static void failed_discovery_gives_one_shard_whatever_was_asked(void **state)
{
    (void)state;
    struct npi_machine machine;
    struct numapool_config config = plain_config();
    struct npi_plan *plan = NULL;
    config.shards = NUMAPOOL_PER_L3;
    build_machine(&machine, 1, 1, 4, 1, 1);
    npi_cpuset_fini(&machine.nodes[0].cpus);
    machine.node_count = 0;
    assert_int_equal(npi_plan_build(&plan, &machine, &config, true, NULL), NUMAPOOL_OK);
    check_plan(plan, &machine, "a plan");
    assert_int_equal(plan->shard_count, 1);
    assert_true(plan->discovery_failed && plan->live);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_memory_is_home_before_fast_memory),
        cmocka_unit_test(a_node_without_cpus_is_no_home_though_it_is_near),
        cmocka_unit_test(device_memory_is_never_used),
        cmocka_unit_test(no_bytes_means_unknown_only_when_no_node_has_any),
        cmocka_unit_test(far_memory_belongs_to_the_nearest_home),
        cmocka_unit_test(the_kernels_row_says_whom_to_borrow_from),
        cmocka_unit_test(without_a_row_the_structure_says_whom_to_borrow_from),
        cmocka_unit_test(borrowers_of_a_package_stay_together),
        cmocka_unit_test(any_node_may_lend_where_none_covers_a_cpu),
        cmocka_unit_test(a_machine_without_nodes_still_gets_a_shard),
        cmocka_unit_test(failed_discovery_gives_one_shard_whatever_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
