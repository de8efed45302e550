/*
 * The planner's rules, one at a time, on machines written down here. What is expected was worked out
 * by hand from the rules in topology/README.md, not copied from the planner's output.
 */
#include "unit/topology_support.h"

#include "topology/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *label;

static struct npi_plan *checked(const struct npi_machine *machine,
                                const struct numapool_config *config)
{
    struct npi_plan *plan = plan_of(machine, config);
    check_plan(plan, machine, label);
    return plan;
}

static bool has_note(const struct npi_plan *plan, const char *part)
{
    for (unsigned i = 0; i < plan->note_count; i++)
        if (strstr(plan->notes[i], part) != NULL)
            return true;
    return false;
}

static void expect_shard(const struct npi_plan *plan, unsigned index, unsigned home_os_index,
                         const char *cpus, const char *owned)
{
    assert_true(index < plan->shard_count);
    const struct npi_plan_shard *shard = &plan->shards[index];
    assert_int_equal(plan->nodes[shard->node].os_index, home_os_index);
    assert_set(&shard->cpus, cpus);
    assert_set(&shard->owned_cpus, owned);
}

static void expect_mistake(const struct npi_machine *machine, const struct numapool_config *config,
                           const char *text)
{
    struct npi_plan *plan = (struct npi_plan *)&label; /* must stay as it is */
    struct numapool_error error = {0};
    assert_int_equal(npi_plan_build(&plan, machine, config, false, &error), NUMAPOOL_E_CONFIG);
    assert_string_equal(error.text, text);
    assert_ptr_equal(plan, &label);
}

static void say(struct numapool_placement *placement, enum npi_said said, int line)
{
    placement->where[said] = npi_text_format("f:%d", line);
}

static struct numapool_placement *new_placement(struct numapool_config *config)
{
    config->placement = calloc(1, sizeof *config->placement);
    assert_non_null(config->placement);
    return config->placement;
}

static void add_shard(struct numapool_placement *placement, const char *cpus, const char *callers,
                      int node)
{
    placement->shards = realloc(placement->shards,
                                (placement->shard_count + 1) * sizeof *placement->shards);
    assert_non_null(placement->shards);
    placement->shards[placement->shard_count] =
        (struct npi_placed_shard){.cpus = set_of(cpus),
                                  .callers = set_of(callers),
                                  .node = node,
                                  .where = npi_text_format("f:%u", 10 + placement->shard_count)};
    placement->shard_count++;
}

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
    assert_true(has_note(plan, "one memory node covers 4 packages"));
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
    set_distances(&machine, (const unsigned[]){10, 20, 30, 20, 20, 10, 20, 30,
                                               30, 20, 10, 20, 20, 30, 20, 10});
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
    check_plan(plan, &machine, label);
    assert_int_equal(plan->shard_count, 1);
    assert_true(plan->discovery_failed && plan->live);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

/* ----------------------------------------------------------------- which CPUs workers may use */

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
    set_distances(&machine, (const unsigned[]){10, 20, 30, 20, 20, 10, 20, 30,
                                               30, 20, 10, 20, 20, 30, 20, 10});
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
    assert_true(has_note(plan, "does not tell its cores apart"));
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
    assert_true(has_note(plan, "CPUs 64-65 of the configuration are not on this machine"));
    assert_true(has_note(plan, "node 7 of the configuration is not on this machine"));
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
    expect_mistake(&machine, &config,
                   "f:1: expect.nodes: the file is for a machine with 8, this one has 4; use the "
                   "file of this machine, or correct the number\n"
                   "f:2: expect.packages: the file is for a machine with 1, this one has 2; use the "
                   "file of this machine, or correct the number\n"
                   "f:3: expect.cpus: the file is for a machine with 15, this one has 16; use the "
                   "file of this machine, or correct the number");
    npi_placement_free(placement);
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
    assert_true(has_note(plan, "node 5 is not on this machine"));
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
    assert_true(has_note(plan, "shard[0] is left out"));
    assert_true(plan->shards[0].spans_nodes);
    npi_plan_free(plan);
    npi_cpuset_fini(&placement->shards[1].cpus);
    placement->shards[1].cpus = set_of("99");
    expect_mistake(&machine, &config,
                   "f:10: shard: no explicit shard has a CPU that can run workers here; `numapool plan` "
                   "without them shows what there is");
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

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
    check_plan(plan, &machine, label);
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
    check_plan(plan, &machine, label);
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
    set_distances(&machine, (const unsigned[]){10, 30, 30, 11, 30, 10, 20, 30,
                                               30, 20, 10, 30, 11, 30, 30, 10});
    forbid_cpus(&machine, "0"); /* node 0 has two CPUs left, node 3 three */
    struct npi_plan *plan = checked(&machine, &config);
    assert_int_equal(npi_plan_merge(plan, 3), NUMAPOOL_OK);
    check_plan(plan, &machine, label);
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
    assert_true(has_note(plan, "cpu.max grants 2.5"));
    assert_true(has_note(plan, "8 shards were joined into 2"));
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

int main(void)
{
    label = "plan_test";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_shard_for_each_node),
        cmocka_unit_test(a_cache_divides_a_node_and_a_node_divides_a_cache),
        cmocka_unit_test(a_shard_over_several_nodes_leaves_them_their_memory),
        cmocka_unit_test(the_larger_part_decides_the_home_of_a_package),
        cmocka_unit_test(hidden_nodes_are_told),
        cmocka_unit_test(too_many_shards_are_a_mistake),
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
        cmocka_unit_test(reserved_cpus_keep_their_callers),
        cmocka_unit_test(only_and_drop_choose_cpus_and_nodes),
        cmocka_unit_test(the_fastest_cores_can_be_asked_for),
        cmocka_unit_test(what_is_missing_is_told_or_refused),
        cmocka_unit_test(another_machine_is_recognised),
        cmocka_unit_test(explicit_shards_are_as_the_file_says),
        cmocka_unit_test(explicit_nodes_must_have_memory),
        cmocka_unit_test(an_explicit_shard_without_cpus_is_left_out),
        cmocka_unit_test(equal_shards_are_joined_in_pairs),
        cmocka_unit_test(the_nearest_are_joined_and_the_larger_keeps_its_memory),
        cmocka_unit_test(bounds_of_joined_shards_add_up),
        cmocka_unit_test(cpu_max_scales_and_joins),
        cmocka_unit_test(a_described_machine_has_this_ones_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
