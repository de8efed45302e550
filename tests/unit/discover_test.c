/*
 * Looking at a machine: the real one under guard, trees of /sys made here (hidden, empty, large,
 * with nodes lacking memory or CPUs). Nothing may stop the process or move the caller. Texts and
 * files are in discover_text_test.c.
 */
#include "unit/topology_support.h"

#include "topology/discover.h"
#include "topology/place.h"
#include "topology/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *root;
static unsigned moves; /* calls that would move a thread, by anybody in this process */

/* In front of the C library's, also for hwloc. */
__attribute__((visibility("default"))) int sched_setaffinity(pid_t tid, size_t bytes,
                                                             const cpu_set_t *mask)
{
    moves++;
    return (int)syscall(SYS_sched_setaffinity, tid, bytes, mask);
}

static int make_root(void **state)
{
    (void)state;
    root = make_tree();
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    remove_tree(root);
    return 0;
}

static bool has_note(const struct npi_machine *machine, const char *part)
{
    for (unsigned i = 0; i < machine->note_count; i++)
        if (strstr(machine->notes[i], part) != NULL)
            return true;
    return false;
}

/* The fallback: the allowed CPUs, why, and nothing else; a plan of one shard comes of it. */
static void expect_fallback(const struct npi_discover_options *options, const char *why)
{
    struct npi_machine machine = {0};
    struct npi_cpuset allowed = {0}, found = {0};
    struct numapool_config config = plain_config();
    struct npi_plan *plan = NULL;
    bool failed = false;
    assert_int_equal(npi_discover_live(&machine, options, &failed), 0);
    assert_true(failed);
    assert_true(has_note(&machine, why));
    assert_int_equal(machine.node_count, 0);
    assert_int_equal(npi_place_allowed_cpus(&allowed), 0);
    assert_true(npi_machine_cpuset(&machine, &found));
    assert_true(npi_cpuset_equal(&allowed, &found));
    assert_int_equal(npi_plan_build(&plan, &machine, &config, failed, NULL), NUMAPOOL_OK);
    check_plan(plan, &machine, "fallback");
    assert_int_equal(plan->shard_count, 1);
    npi_plan_free(plan);
    npi_cpuset_fini(&allowed);
    npi_cpuset_fini(&found);
    npi_machine_fini(&machine);
}

static void this_machine_is_found_and_the_caller_not_moved(void **state)
{
    (void)state;
    struct npi_machine machine = {0};
    struct npi_discover_options options = {.want_kinds = true};
    struct npi_cpuset before = {0}, after = {0}, found = {0};
    bool failed = true;
    const char *why;
    assert_int_equal(npi_place_thread_get(0, &before), 0);
    moves = 0;
    assert_int_equal(npi_place_thread(0, &before), 0);
    assert_int_equal(moves, 1); /* they are really counted */
    assert_int_equal(npi_discover_live(&machine, &options, &failed), 0);
    assert_int_equal(moves, 1);
    assert_int_equal(npi_place_thread_get(0, &after), 0);
    assert_true(npi_cpuset_equal(&before, &after));
    assert_true(npi_machine_valid(&machine, &why));
    assert_true(npi_machine_cpuset(&machine, &found));
    assert_true(npi_cpuset_equal(&before, &found));
    assert_true(machine.live);
    assert_string_equal(machine.source, "this machine");
    assert_int_equal(machine.cpus_here, machine.cpu_count);
    npi_cpuset_fini(&before);
    npi_cpuset_fini(&after);
    npi_cpuset_fini(&found);
    npi_machine_fini(&machine);
}

static void affinity_narrows_the_machine(void **state)
{
    (void)state;
    struct npi_cpuset before = {0}, one = {0};
    struct npi_machine machine = {0};
    struct npi_discover_options options = {0};
    bool failed;
    assert_int_equal(npi_place_thread_get(0, &before), 0);
    unsigned cpu = (unsigned)npi_cpuset_next(&before, -1);
    assert_true(npi_cpuset_add(&one, cpu));
    assert_int_equal(npi_place_thread(0, &one), 0);
    assert_int_equal(npi_discover_live(&machine, &options, &failed), 0);
    assert_int_equal(npi_place_thread(0, &before), 0);
    assert_int_equal(machine.cpu_count, 1);
    assert_int_equal(machine.cpus[0].os_index, cpu);
    for (unsigned i = 0; i < machine.node_count; i++)
        assert_true(npi_cpuset_contains(&one, &machine.nodes[i].cpus));
    npi_cpuset_fini(&before);
    npi_cpuset_fini(&one);
    npi_machine_fini(&machine);
}

static void an_empty_node_directory_is_survived(void **state)
{
    (void)state;
    struct npi_discover_options options = {.root = root};
    write_file(root, "/sys/devices/system/cpu/cpu0/topology/core_id", "0\n");
    write_file(root, "/sys/devices/system/node/possible", "0\n");
    expect_fallback(&options, "/sys/devices/system/node is there but names no node");
}

static void hidden_cpus_are_survived(void **state)
{
    (void)state;
    struct npi_discover_options options = {.root = root};
    expect_fallback(&options, "/sys/devices/system/cpu is hidden");
    write_file(root, "/sys/devices/system/node/node0/cpulist", "0\n");
    expect_fallback(&options, "/sys/devices/system/cpu is hidden");
    write_file(root, "/sys/devices/system/cpu/online", "0-1\n");
    expect_fallback(&options, "/sys/devices/system/cpu is hidden");
}

static void another_machine_from_hwlocs_environment_is_not_ours(void **state)
{
    (void)state;
    struct npi_discover_options options = {0};
    assert_int_equal(setenv("HWLOC_SYNTHETIC", "pack:4 core:4 pu:2", 1), 0);
    expect_fallback(&options, "hwloc's own environment variables");
    assert_int_equal(unsetenv("HWLOC_SYNTHETIC"), 0);
}

/* ------------------------------------------------------------- whole machines made of files */

static void make_cpu(unsigned cpu, unsigned package, unsigned core, const char *siblings)
{
    char path[128];
    const struct {
        const char *name;
        unsigned value;
    } numbers[] = {{"core_id", core}, {"physical_package_id", package}};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/%s", cpu,
                 numbers[i].name);
        write_file(root, path, "%u\n", numbers[i].value);
    }
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings", cpu);
    write_file(root, path, "%s\n", siblings);
}

/* A mask as the kernel writes it: words of 32 bits, the highest first. */
static void mask_text(const struct npi_cpuset *set, unsigned words, char *text, size_t size)
{
    size_t used = 0;
    for (unsigned word = words; word-- > 0;) {
        unsigned value = 0;
        for (unsigned bit = 0; bit < 32; bit++)
            value |= npi_cpuset_has(set, word * 32 + bit) ? 1u << bit : 0;
        used += (size_t)snprintf(text + used, size - used, "%08x%s", value, word > 0 ? "," : "");
    }
}

static void make_node(unsigned node, const char *cpus, unsigned words, unsigned long kilobytes,
                      const char *distances)
{
    char path[128], mask[1024];
    struct npi_cpuset set = set_of(cpus);
    mask_text(&set, words, mask, sizeof mask);
    npi_cpuset_fini(&set);
    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/cpumap", node);
    write_file(root, path, "%s\n", mask);
    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/cpulist", node);
    write_file(root, path, "%s\n", cpus);
    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/distance", node);
    write_file(root, path, "%s\n", distances);
    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/meminfo", node);
    write_file(root, path,
               "Node %u MemTotal:       %lu kB\nNode %u MemFree:        %lu kB\n"
               "Node %u Inactive(file): %lu kB\n",
               node, kilobytes, node, kilobytes / 2, node, kilobytes / 4);
}

/* Lets hwloc read the same tree and take it for this machine. */
static void discover_tree(struct npi_machine *machine, const char *allowed_list)
{
    struct npi_cpuset allowed = set_of(allowed_list);
    struct npi_discover_options options = {.root = root, .allowed = &allowed};
    bool failed = true;
    assert_int_equal(setenv("HWLOC_FSROOT", root, 1), 0);
    assert_int_equal(setenv("HWLOC_THISSYSTEM", "1", 1), 0);
    assert_int_equal(setenv("HWLOC_COMPONENTS", "linux,stop", 1), 0);
    assert_int_equal(npi_discover_live(machine, &options, &failed), 0);
    assert_int_equal(unsetenv("HWLOC_FSROOT"), 0);
    assert_int_equal(unsetenv("HWLOC_THISSYSTEM"), 0);
    assert_int_equal(unsetenv("HWLOC_COMPONENTS"), 0);
    npi_cpuset_fini(&allowed);
    if (failed)
        fail_msg("%s", machine->note_count > 0 ? machine->notes[0] : "discovery failed");
}

static void make_four_packages(void)
{
    static const char *const alone[] = {"01", "02", "04", "08", "10", "20", "40", "80"};
    write_file(root, "/sys/devices/system/cpu/online", "0-7\n");
    write_file(root, "/sys/devices/system/cpu/possible", "0-7\n");
    write_file(root, "/sys/devices/system/cpu/present", "0-7\n");
    write_file(root, "/sys/devices/system/node/online", "0-3\n");
    write_file(root, "/sys/devices/system/node/possible", "0-3\n");
    for (unsigned cpu = 0; cpu < 8; cpu++)
        make_cpu(cpu, cpu / 2, cpu % 2, alone[cpu]);
}

/* hwloc may keep a node without memory or leave it out; without this file it leaves it out. */
static void complete_nodes(bool hwloc_keeps)
{
    struct npi_machine machine = {0};
    char *map = npi_text_format("%s/sys/devices/system/node/node1/cpumap", root);
    make_four_packages();
    make_node(0, "0-1", 1, 400000, "10 28 30 17");
    /* CPUs only; or memory as well, but none that hwloc says we may use */
    make_node(1, "2-3", 1, hwloc_keeps ? 0 : 500000, "28 10 17 30");
    make_node(2, "4-7", 1, 300000, "30 17 10 28");
    make_node(3, "", 1, 200000, "17 30 28 10"); /* memory only */
    if (!hwloc_keeps)
        assert_int_equal(unlink(map), 0);
    free(map);
    discover_tree(&machine, "0-7");
    assert_int_equal(machine.node_count, 4);
    assert_true(machine.nodes[1].memoryless && !machine.nodes[0].memoryless);
    assert_set(&machine.nodes[1].cpus, "2-3");
    assert_true(machine.nodes[3].cpuless && !machine.nodes[2].cpuless);
    assert_int_equal(npi_machine_distance(&machine, 1, 2), 17);
    assert_int_equal(npi_machine_distance(&machine, 1, 0), 28);
    assert_int_equal(npi_machine_distance(&machine, 3, 1), 30);
    assert_int_equal(machine.nodes[0].free_bytes, (400000 / 2 + 400000 / 4) * 1024ull);
    assert_int_equal(machine.nodes[0].memory_bytes, 400000 * 1024ull);

    struct numapool_config config = plain_config();
    struct npi_plan *plan = plan_of(&machine, &config);
    check_plan(plan, &machine, "tree");
    assert_int_equal(plan->shard_count, 3);
    assert_int_equal(plan->nodes[plan->shards[2].node].os_index, 2);
    assert_set(&plan->shards[2].cpus, "2-3");
    assert_set(&plan->nodes[0].far_nodes, "3");
    npi_plan_free(plan);
    npi_machine_fini(&machine);

    /* An affinity that hwloc does not know of: the rest of the machine is not ours. */
    discover_tree(&machine, "3,6");
    assert_int_equal(machine.cpu_count, 2);
    plan = plan_of(&machine, &config);
    check_plan(plan, &machine, "narrowed tree");
    assert_int_equal(plan->shard_count, 2);
    assert_int_equal(plan->node_count, 1);
    assert_set(&plan->nodes[0].far_nodes, "0,3");
    npi_plan_free(plan);
    npi_machine_fini(&machine);

    /* CPUs the kernel allows and /sys does not show still belong to a shard. */
    discover_tree(&machine, "0-7,40");
    plan = plan_of(&machine, &config);
    check_plan(plan, &machine, "with a CPU from nowhere");
    npi_plan_free(plan);
    npi_machine_fini(&machine);

    /* A row that does not fit the online nodes is not believed. */
    write_file(root, "/sys/devices/system/node/node1/distance", "28 10 17\n");
    discover_tree(&machine, "0-7");
    assert_int_equal(machine.node_count, 4);
    assert_int_equal(npi_machine_distance(&machine, 1, 2), 0);
    npi_machine_fini(&machine);
}

static void nodes_without_memory_or_cpus_are_completed(void **state)
{
    (void)state;
    complete_nodes(false);
    complete_nodes(true);
}

static void cpu_max_is_part_of_the_machine(void **state)
{
    (void)state;
    struct npi_machine machine = {0};
    make_four_packages();
    for (unsigned node = 0; node < 4; node++) {
        static const char *const cpus[] = {"0-1", "2-3", "4-5", "6-7"};
        make_node(node, cpus[node], 1, 100000, "10 10 10 10");
    }
    write_file(root, "/proc/self/cgroup", "0::/g\n");
    write_file(root, "/proc/self/mountinfo", "29 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
    write_file(root, "/cg/g/cpu.max", "250000 100000\n");
    discover_tree(&machine, "0-7");
    assert_float_equal(machine.cpu_limit, 2.5, 1e-9);
    npi_machine_fini(&machine);
}

static void large_machines_fit(void **state)
{
    (void)state;
    enum {
        NODES = 72,
        CPUS = 1152,
        WORDS = CPUS / 32
    }; /* more than 64 nodes, more than 1024 CPUs */
    struct npi_machine machine = {0};
    char siblings[WORDS * 9 + 1], distances[NODES * 3 + 1] = "", cpus[32];
    write_file(root, "/sys/devices/system/cpu/online", "0-%d\n", CPUS - 1);
    write_file(root, "/sys/devices/system/cpu/possible", "0-%d\n", CPUS - 1);
    write_file(root, "/sys/devices/system/cpu/present", "0-%d\n", CPUS - 1);
    write_file(root, "/sys/devices/system/node/online", "0-%d\n", NODES - 1);
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        struct npi_cpuset alone = {0};
        assert_true(npi_cpuset_add(&alone, cpu));
        mask_text(&alone, WORDS, siblings, sizeof siblings);
        make_cpu(cpu, cpu / (CPUS / NODES), cpu % (CPUS / NODES), siblings);
        npi_cpuset_fini(&alone);
    }
    for (unsigned node = 0; node < NODES; node++) {
        char *at = distances;
        for (unsigned other = 0; other < NODES; other++)
            at += snprintf(at, 4, "%d ", other == node ? 10 : other / 2 == node / 2 ? 12 : 20);
        snprintf(cpus, sizeof cpus, "%u-%u", node * 16, node * 16 + 15);
        make_node(node, cpus, WORDS, 100000, distances);
    }
    snprintf(cpus, sizeof cpus, "0-%d", CPUS - 1);
    discover_tree(&machine, cpus);
    assert_int_equal(machine.cpu_count, CPUS);
    assert_int_equal(machine.node_count, NODES);
    struct numapool_config config = plain_config();
    struct npi_plan *plan = plan_of(&machine, &config);
    check_plan(plan, &machine, "72 nodes, 1152 CPUs");
    assert_int_equal(plan->shard_count, NODES);
    assert_int_equal(plan->shards[70].neighbours[0], 71);
    assert_int_equal(plan->shard_of_cpu[CPUS - 1], NODES - 1);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine_is_found_and_the_caller_not_moved),
        cmocka_unit_test(affinity_narrows_the_machine),
        cmocka_unit_test_setup_teardown(an_empty_node_directory_is_survived, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(hidden_cpus_are_survived, make_root, remove_root),
        cmocka_unit_test(another_machine_from_hwlocs_environment_is_not_ours),
        cmocka_unit_test_setup_teardown(nodes_without_memory_or_cpus_are_completed, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(cpu_max_is_part_of_the_machine, make_root, remove_root),
        cmocka_unit_test_setup_teardown(large_machines_fit, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
