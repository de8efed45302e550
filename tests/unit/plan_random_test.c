/*
 * What holds for every plan on every machine, tried on machines nobody has: thousands of random
 * ones, whole and crippled. Each plan also goes through a file and has to come back the same, and
 * through merging, where the same invariants hold.
 *
 * NPI_SEED=N replays one machine; a failure prints its seed.
 */
#include "unit/topology_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MACHINES = 4000 };

static unsigned roll(uint64_t *seed, unsigned sides)
{
    return next_random(seed) % sides;
}

static bool chance(uint64_t *seed, unsigned percent)
{
    return roll(seed, 100) < percent;
}

/* Gives every CPU another number, with holes, and sorts them again. */
static void renumber_cpus(struct npi_machine *machine, uint64_t *seed)
{
    unsigned count = machine->cpu_count, step = 1 + roll(seed, 3), first = roll(seed, 200);
    unsigned *new_id = calloc(count, sizeof *new_id);
    assert_non_null(new_id);
    for (unsigned i = 0; i < count; i++)
        new_id[i] = first + i * step;
    for (unsigned i = count; i > 1; i--) {
        unsigned j = roll(seed, i), swap = new_id[i - 1];
        new_id[i - 1] = new_id[j];
        new_id[j] = swap;
    }
    for (unsigned n = 0; n < machine->node_count + machine->domain_count; n++) {
        struct npi_cpuset *set = n < machine->node_count
                                     ? &machine->nodes[n].cpus
                                     : &machine->domains[n - machine->node_count];
        struct npi_cpuset fresh = {0};
        for (unsigned i = 0; i < count; i++)
            if (npi_cpuset_has(set, machine->cpus[i].os_index))
                assert_true(npi_cpuset_add(&fresh, new_id[i]));
        npi_cpuset_fini(set);
        *set = fresh;
    }
    for (unsigned i = 0; i < count; i++)
        machine->cpus[i].os_index = new_id[i];
    for (unsigned i = 1; i < count; i++)
        for (unsigned j = i; j > 0 && machine->cpus[j].os_index < machine->cpus[j - 1].os_index;
             j--) {
            struct npi_machine_cpu swap = machine->cpus[j];
            machine->cpus[j] = machine->cpus[j - 1];
            machine->cpus[j - 1] = swap;
        }
    free(new_id);
}

static void add_odd_nodes(struct npi_machine *machine, uint64_t *seed)
{
    unsigned count = roll(seed, 4);
    for (unsigned k = 0; k < count; k++) {
        unsigned id = 500 + 7 * k - roll(seed, 7);
        if (npi_machine_node_slot(machine, id) >= 0)
            continue;
        struct npi_machine_node *node = add_node(machine, id, "");
        node->kind = (enum npi_node_kind)roll(seed, 4);
        node->memory_bytes = chance(seed, 20) ? 0 : (uint64_t)(1 + roll(seed, 64)) << 30;
        node->cpuless = chance(seed, 50);
        if (chance(seed, 60)) {
            const struct npi_cpuset *near = &machine->nodes[roll(seed, machine->node_count)].cpus;
            assert_true(npi_cpuset_copy(&node->cpus, near));
        }
    }
}

static void lose_things(struct npi_machine *machine, uint64_t *seed)
{
    for (unsigned n = 0; n < machine->node_count; n++) {
        struct npi_machine_node *node = &machine->nodes[n];
        if (chance(seed, 10)) {
            node->memoryless = true;
            node->memory_bytes = 0;
        } else if (chance(seed, 5))
            npi_cpuset_fini(&node->cpus);
        else if (chance(seed, 5))
            node->memory_bytes = 0;
    }
    if (chance(seed, 5))
        for (unsigned n = 0; n < machine->node_count; n++)
            machine->nodes[n].memory_bytes = 0;
    bool no_cores = chance(seed, 5), no_caches = chance(seed, 10), no_packages = chance(seed, 10);
    bool kinds = chance(seed, 20);
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        if (no_cores)
            machine->cpus[i].core = -1;
        if (no_caches)
            machine->cpus[i].cache = -1;
        if (no_packages || chance(seed, 1))
            machine->cpus[i].package = -1;
        if (kinds)
            machine->cpus[i].kind = (int)roll(seed, 3);
    }
    if (chance(seed, 3)) { /* no nodes at all */
        for (unsigned n = 0; n < machine->node_count; n++)
            npi_cpuset_fini(&machine->nodes[n].cpus);
        machine->node_count = 0;
    }
    if (chance(seed, 40)) { /* an affinity mask */
        struct npi_cpuset gone = {0};
        char list[8192];
        for (unsigned i = 1; i < machine->cpu_count; i++)
            if (chance(seed, 40))
                assert_true(npi_cpuset_add(&gone, machine->cpus[i].os_index));
        npi_cpuset_print(&gone, list, sizeof list);
        forbid_cpus(machine, list);
        npi_cpuset_fini(&gone);
    }
}

static void give_distances(struct npi_machine *machine, uint64_t *seed)
{
    unsigned count = machine->node_count;
    if (count == 0 || chance(seed, 25))
        return;
    unsigned *table = calloc((size_t)count * count, sizeof *table);
    assert_non_null(table);
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j <= i; j++) {
            unsigned distance = i == j ? 10 : 10 + roll(seed, 4) * 7;
            table[i * count + j] = distance;
            table[j * count + i] = chance(seed, 3) ? 0 : distance; /* a hole in the table */
        }
    set_distances(machine, table);
    free(table);
}

static void random_machine(struct npi_machine *machine, uint64_t *seed)
{
    build_machine(machine, 1 + roll(seed, 4), 1 + roll(seed, 3), 1 + roll(seed, 3),
                  1 + roll(seed, 4), 1 + roll(seed, 3));
    for (unsigned n = 0; n < machine->node_count; n++) {
        machine->nodes[n].os_index = n * (1 + roll(seed, 2)) + n * n;
        machine->nodes[n].memory_bytes = (uint64_t)(1 + roll(seed, 4)) << 30;
    }
    renumber_cpus(machine, seed);
    add_odd_nodes(machine, seed);
    lose_things(machine, seed);
    give_distances(machine, seed);
    machine->live = chance(seed, 70);
    machine->cpus_here = machine->live ? machine->cpu_count : 1 + roll(seed, 8);
    if (chance(seed, 25))
        machine->cpu_limit = 0.25 * (1 + roll(seed, 40));
}

/* Some CPUs of the machine, as a list that is said. */
static void say_cpus(struct npi_machine *machine, struct numapool_placement *placement,
                     enum npi_said said, struct npi_cpuset *set, unsigned percent, uint64_t *seed)
{
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (chance(seed, percent))
            assert_true(npi_cpuset_add(set, machine->cpus[i].os_index));
    if (npi_cpuset_count(set) > 0)
        placement->where[said] = strdup("random:1");
}

static struct numapool_config random_config(struct npi_machine *machine, uint64_t *seed)
{
    struct numapool_config config = plain_config();
    config.shards = (int)roll(seed, 4);
    config.smt = (int)roll(seed, 2);
    config.pinning = (int)roll(seed, 3);
    if (chance(seed, 50))
        return config;
    struct numapool_placement *placement = calloc(1, sizeof *placement);
    assert_non_null(placement);
    config.placement = placement;
    placement->cpu_kind = (int)roll(seed, 2);
    placement->quota = (int)roll(seed, 2);
    placement->where[NPI_SAID_CPU_KIND] = strdup("random:3");
    placement->where[NPI_SAID_QUOTA] = strdup("random:4");
    placement->memory_policy = (int)roll(seed, 3);
    placement->pages = (int)roll(seed, 4);
    if (chance(seed, 20))
        placement->shard_memory_bytes = UINT64_C(1) << (20 + roll(seed, 8));
    if (chance(seed, 40))
        say_cpus(machine, placement, NPI_SAID_RESERVE, &placement->reserve, 20, seed);
    if (chance(seed, 20))
        say_cpus(machine, placement, NPI_SAID_CPUS_DROP, &placement->cpus_drop, 30, seed);
    if (chance(seed, 20))
        say_cpus(machine, placement, NPI_SAID_CPUS_ONLY, &placement->cpus_only, 70, seed);
    if (chance(seed, 20) && machine->node_count > 1) {
        unsigned node = machine->nodes[roll(seed, machine->node_count)].os_index;
        assert_true(npi_cpuset_add(&placement->nodes_drop, node));
        placement->where[NPI_SAID_NODES_DROP] = strdup("random:2");
    }
    return config;
}

/* The plan as a file, loaded, planned again on the same machine. */
static void check_file_round_trip(const struct npi_plan *plan, const struct npi_machine *machine,
                                  const char *label)
{
    struct numapool_config again = plain_config();
    struct numapool_error error = {0};
    struct npi_plan *same = NULL;
    char path[64];
    int fd = memfd_create("plan", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_int_equal(npi_plan_print_config(plan, fd), NUMAPOOL_OK);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (numapool_config_load(&again, path, &error) != NUMAPOOL_OK)
        fail_msg("%s: its own file does not load: %s", label, error.text);
    close(fd);
    if (npi_plan_build(&same, machine, &again, false, &error) != NUMAPOOL_OK)
        fail_msg("%s: its own file gives no plan: %s", label, error.text);
    assert_same_plan(plan, same, label);
    npi_plan_free(same);
    npi_placement_free(again.placement);
}

static bool file_support(void)
{
#ifdef NUMAPOOL_CONFIG_FILE
    return true;
#else
    return false;
#endif
}

/* One machine under one configuration. Returns whether there was a plan. */
static bool try_one(struct npi_machine *machine, struct numapool_config *config, uint64_t *seed,
                    const char *label)
{
    struct npi_plan *plan = NULL;
    struct numapool_error error = {0};
    int result = npi_plan_build(&plan, machine, config, false, &error);
    if (result == NUMAPOOL_E_CONFIG) {
        /* Only a configuration that takes everything away may fail. */
        if (config->placement == NULL || strstr(error.text, " leaves no ") == NULL)
            fail_msg("%s: %s", label, error.text);
        assert_null(plan);
        return false;
    }
    assert_int_equal(result, NUMAPOOL_OK);
    check_plan(plan, machine, label);
    if (file_support())
        check_file_round_trip(plan, machine, label);
    unsigned fewer = 1 + roll(seed, plan->shard_count), before = plan->shard_count;
    assert_int_equal(npi_plan_merge(plan, fewer), NUMAPOOL_OK);
    assert_int_equal(plan->shard_count, fewer < before ? fewer : before);
    check_plan(plan, machine, label);
    if (file_support())
        check_file_round_trip(plan, machine, label);
    npi_plan_free(plan);
    return true;
}

static void invariants_hold_on_random_machines(void **state)
{
    (void)state;
    const char *replay = getenv("NPI_SEED");
    uint64_t first = replay != NULL ? strtoull(replay, NULL, 10) : 1;
    uint64_t last = replay != NULL ? first : MACHINES;
    unsigned plans = 0;
    for (uint64_t number = first; number <= last; number++) {
        uint64_t seed = number;
        char label[64];
        struct npi_machine machine;
        const char *why;
        random_machine(&machine, &seed);
        snprintf(label, sizeof label, "NPI_SEED=%llu", (unsigned long long)number);
        if (!npi_machine_valid(&machine, &why))
            fail_msg("%s: the test's own machine is broken: %s", label, why);
        struct numapool_config config = random_config(&machine, &seed);
        plans += try_one(&machine, &config, &seed, label);
        npi_placement_free(config.placement);
        npi_machine_fini(&machine);
    }
    /* Most have to be real plans, or this would show nothing. */
    if (replay == NULL)
        assert_true(plans > MACHINES * 8 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invariants_hold_on_random_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
