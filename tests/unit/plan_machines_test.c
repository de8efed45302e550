/*
 * Plans for the machines in tests/machines, through hwloc. What each has to be was worked out from
 * the description of the machine (tests/machines/README.md) and the planning rules. Distances in
 * braces follow the neighbours, nearest first.
 */
#include "unit/topology_support.h"

#include "topology/discover.h"
#include "topology/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wanted_shard {
    unsigned home; /* OS index */
    bool borrowed;
    const char *cpus, *owned, *far;
    const char *neighbours; /* "1(20) 3(20) 2(30)" */
};

struct wanted {
    const char *file;
    unsigned nodes, caches; /* plan nodes; shards by last-level cache */
    unsigned packages;      /* shards by package */
    bool measured;
    unsigned shard_count;
    struct wanted_shard shards[8];
};

#define FAR_N72 "4-71"

static const struct wanted machines[] = {
    {"q4-square",
     4,
     4,
     4,
     true,
     4,
     {{0, false, "0-1", "0-1", "", "1(20) 3(20) 2(30)"},
      {1, false, "2-3", "2-3", "", "2(20) 0(20) 3(30)"},
      {2, false, "4-5", "4-5", "", "3(20) 1(20) 0(30)"},
      {3, false, "6-7", "6-7", "", "0(20) 2(20) 1(30)"}}},
    {"q8",
     8,
     8,
     8,
     true,
     8,
     {{0, false, "0-1", "0-1", "", "1(20) 2(20) 3(20) 4(20) 5(20) 6(20) 7(20)"},
      {1, false, "2-3", "2-3", "", "2(20) 3(20) 4(20) 5(20) 6(20) 7(20) 0(20)"},
      {2, false, "4-5", "4-5", "", "3(20) 4(20) 5(20) 6(20) 7(20) 0(20) 1(20)"},
      {3, false, "6-7", "6-7", "", "4(20) 5(20) 6(20) 7(20) 0(20) 1(20) 2(20)"},
      {4, false, "8-9", "8-9", "", "5(20) 6(20) 7(20) 0(20) 1(20) 2(20) 3(20)"},
      {5, false, "10-11", "10-11", "", "6(20) 7(20) 0(20) 1(20) 2(20) 3(20) 4(20)"},
      {6, false, "12-13", "12-13", "", "7(20) 0(20) 1(20) 2(20) 3(20) 4(20) 5(20)"},
      {7, false, "14-15", "14-15", "", "0(20) 1(20) 2(20) 3(20) 4(20) 5(20) 6(20)"}}},
    /* More than 64 nodes; those without CPUs are equally far from everybody. */
    {"n72",
     4,
     4,
     4,
     true,
     4,
     {{0, false, "0", "0", FAR_N72, "1(20) 2(20) 3(20)"},
      {1, false, "1", "1", FAR_N72, "2(20) 3(20) 0(20)"},
      {2, false, "2", "2", FAR_N72, "3(20) 0(20) 1(20)"},
      {3, false, "3", "3", FAR_N72, "0(20) 1(20) 2(20)"}}},
    /* CPUs 2-3 are in no node. hwloc has put their package into a group with node 2's. */
    {"memless-cpuless",
     2,
     3,
     3,
     true,
     3,
     {{0, false, "0-1", "0-1", "3", "1(30) 2(30)"},
      {2, false, "4-5", "4-5", "", "2(20) 0(30)"},
      {2, true, "2-3", "2-3", "", "1(20) 0(30)"}}},
    /* The same, and nothing says whom they are near: node 0 has more memory. */
    {"lopsided",
     2,
     3,
     3,
     true,
     3,
     {{0, false, "0-1", "0-1", "3", "1(20) 2(30)"},
      {0, true, "2-3", "2-3", "", "0(20) 2(30)"},
      {2, false, "4-5", "4-5", "", "0(30) 1(30)"}}},
    /* Node numbers with a hole, the second node without CPUs. One node over two packages. */
    {"gap-cpuless", 1, 2, 2, false, 1, {{0, false, "0-3", "0-3", "2", ""}}},
    /* Two threads of a core next to each other: the first one works, both are callers' homes. */
    {"intel-smt-dies",
     2,
     4,
     2,
     true,
     2,
     {{0, false, "0,2,4,6", "0-7", "", "1(20)"}, {1, false, "8,10,12,14", "8-15", "", "0(20)"}}},
    /* One cache over two nodes gives a shard to each all the same. */
    {"snc2",
     4,
     4,
     2,
     true,
     4,
     {{0, false, "0,2", "0-3", "", "1(11) 2(21) 3(21)"},
      {1, false, "4,6", "4-7", "", "0(11) 2(21) 3(21)"},
      {2, false, "8,10", "8-11", "", "3(11) 0(21) 1(21)"},
      {3, false, "12,14", "12-15", "", "2(11) 0(21) 1(21)"}}},
    {"l3-split", 1, 4, 1, false, 1, {{0, false, "0-7", "0-7", "", ""}}},
    /* Slow memory 17 from node 1, 28 from node 0. */
    {"hmat-sidecache",
     2,
     2,
     2,
     true,
     2,
     {{0, false, "0-1", "0-1", "", "1(21)"}, {1, false, "2-3", "2-3", "2", "0(21)"}}},
    /* CPUs 1, 4, 5 are off: node 2 has none left and lies between 1 and 3. */
    {"cpus-offline",
     3,
     3,
     3,
     true,
     3,
     {{0, false, "0", "0", "", "1(20) 2(20)"},
      {1, false, "2-3", "2-3", "2", "0(20) 2(30)"},
      {3, false, "6-7", "6-7", "2", "0(20) 1(30)"}}},
    {"cpuset",
     2,
     2,
     2,
     true,
     2,
     {{1, false, "2-3", "2-3", "", "1(20)"}, {2, false, "4-5", "4-5", "", "0(20)"}}},
    /* CPUs of nodes 1 and 2, memory of 0 and 3: both packages borrow, and of the larger node, as
       the export does not tell whom they are near. */
    {"cpuset-split",
     1,
     2,
     2,
     false,
     2,
     {{3, true, "2-3", "2-3", "0", "1(20)"}, {3, true, "4-5", "4-5", "0", "0(20)"}}},
    /* One node with 0 bytes: unknown, not empty. */
    {"no-sysfs", 1, 4, 4, false, 1, {{0, false, "0-7", "0-7", "", ""}}},
};

enum { MACHINE_COUNT = sizeof machines / sizeof *machines };

static void load(struct npi_machine *machine, const char *name)
{
    char *path = npi_text_format("%s/machines/%s.xml", NUMAPOOL_TESTS_DIR, name);
    struct npi_discover_options options = {0};
    char *why = NULL;
    assert_non_null(path);
    if (npi_discover_text(machine, path, &options, &why) != 0)
        fail_msg("%s: %s", name, why != NULL ? why : "not loaded");
    free(path);
}

static char *neighbours_text(const struct npi_plan *plan, unsigned shard)
{
    struct npi_text text = {0};
    for (unsigned i = 0; i + 1 < plan->shard_count; i++) {
        unsigned other = plan->shards[shard].neighbours[i];
        npi_text_add(&text, "%s%u(%u)", i > 0 ? " " : "", other,
                     plan->distance[shard * plan->shard_count + other]);
    }
    return npi_text_take(&text);
}

static void expect_plan(const struct npi_plan *plan, const struct wanted *wanted)
{
    print_message("%s\n", wanted->file);
    assert_int_equal(plan->shard_count, wanted->shard_count);
    assert_int_equal(plan->node_count, wanted->nodes);
    assert_int_equal(plan->distance_measured, wanted->measured);
    for (unsigned s = 0; s < plan->shard_count; s++) {
        const struct wanted_shard *want = &wanted->shards[s];
        const struct npi_plan_shard *shard = &plan->shards[s];
        assert_int_equal(plan->nodes[shard->node].os_index, want->home);
        assert_int_equal(shard->borrowed, want->borrowed);
        assert_set(&shard->cpus, want->cpus);
        assert_set(&shard->owned_cpus, want->owned);
        if (!want->borrowed || *want->far != '\0')
            assert_set(&plan->nodes[shard->node].far_nodes, want->far);
        char *neighbours = neighbours_text(plan, s);
        assert_string_equal(neighbours, want->neighbours);
        free(neighbours);
    }
}

static void plans_are_as_worked_out(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MACHINE_COUNT; i++) {
        struct npi_machine machine = {0};
        struct numapool_config config = plain_config();
        load(&machine, machines[i].file);
        struct npi_plan *plan = plan_of(&machine, &config);
        expect_plan(plan, &machines[i]);
        npi_plan_free(plan);
        npi_machine_fini(&machine);
    }
}

static void every_granularity_keeps_the_invariants(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MACHINE_COUNT; i++) {
        struct npi_machine machine = {0};
        load(&machine, machines[i].file);
        const unsigned counts[] = {machines[i].shard_count, machines[i].caches,
                                   machines[i].packages, 1};
        for (int shards = 0; shards < 4; shards++)
            for (int smt = 0; smt < 2; smt++) {
                struct numapool_config config = plain_config();
                config.shards = shards;
                config.smt = smt;
                struct npi_plan *plan = plan_of(&machine, &config);
                check_plan(plan, &machine, machines[i].file);
                if (plan->shard_count != counts[shards])
                    fail_msg("%s by %d: %u shards, not %u", machines[i].file, shards,
                             plan->shard_count, counts[shards]);
                while (plan->shard_count > 1) {
                    assert_int_equal(npi_plan_merge(plan, plan->shard_count - 1), NUMAPOOL_OK);
                    check_plan(plan, &machine, machines[i].file);
                }
                npi_plan_free(plan);
            }
        npi_machine_fini(&machine);
    }
}

/* The same machine as if we ran on it: with what the kernel says beyond the export. */
static void the_kernels_row_overrides_structure(void **state)
{
    (void)state;
    struct npi_machine machine = {0};
    struct numapool_config config = plain_config();
    load(&machine, "lopsided");
    struct npi_machine_node *node = add_node(&machine, 1, "2-3");
    node->memoryless = true;
    node->memory_bytes = 0;
    set_distances(&machine, (const unsigned[]){10, 25, 30, 17, 25, 10, 20, 28, 30, 20, 10, 28, 17,
                                               28, 28, 10});
    struct npi_plan *plan = plan_of(&machine, &config);
    check_plan(plan, &machine, "lopsided with rows");
    assert_int_equal(plan->nodes[plan->shards[2].node].os_index, 2);
    assert_set(&plan->shards[2].cpus, "2-3");
    char *neighbours = neighbours_text(plan, 2);
    assert_string_equal(neighbours, "1(20) 0(25)");
    free(neighbours);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

static void synthetic_texts_are_machines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned nodes, caches, packages;
        const char *first_cpus;
    } texts[] = {
        {"pack:4 [numa] core:8 pu:2", 4, 4, 4, "0,2,4,6,8,10,12,14"},
        {"pack:2 numa:2 l3:2 core:2 pu:1", 4, 8, 2, "0-3"},
        {"numa:1 pu:1", 1, 1, 1, "0"},
        {"pack:1 core:2 pu:1", 1, 1, 1, "0-1"},
        {"pack:8 [numa] l3:4 core:4 pu:2", 8, 32, 8, "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct numapool_config config = plain_config();
        config.machine = texts[i].text;
        const unsigned counts[] = {texts[i].nodes, texts[i].caches, texts[i].packages, 1};
        for (int shards = 0; shards < 4; shards++) {
            struct npi_plan *plan = NULL;
            struct numapool_error error = {0};
            config.shards = shards;
            if (npi_plan_make(&plan, &config, &error) != NUMAPOOL_OK)
                fail_msg("%s: %s", texts[i].text, error.text);
            if (plan->shard_count != counts[shards])
                fail_msg("%s by %d: %u shards, not %u", texts[i].text, shards, plan->shard_count,
                         counts[shards]);
            if (shards == 0)
                assert_set(&plan->shards[0].cpus, texts[i].first_cpus);
            assert_false(plan->live);
            assert_string_equal(plan->source, texts[i].text);
            npi_plan_free(plan);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_as_worked_out),
        cmocka_unit_test(every_granularity_keeps_the_invariants),
        cmocka_unit_test(the_kernels_row_overrides_structure),
        cmocka_unit_test(synthetic_texts_are_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
