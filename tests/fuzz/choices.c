/* Random machines and configurations; see choices.h. */
#include "fuzz/choices.h"

#include "fuzz/fuzz.h"
#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

static unsigned next_byte(struct choices *choices)
{
    if (choices->left == 0)
        return 0;
    choices->left--;
    return *choices->bytes++;
}

unsigned choose(struct choices *choices, unsigned sides)
{
    if (sides <= 1)
        return 0;
    if (choices->bytes != NULL) {
        unsigned number = next_byte(choices);
        if (sides > 256)
            number = number << 8 | next_byte(choices);
        return number % sides;
    }
    /* splitmix64 */
    uint64_t z = (choices->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ (z >> 31)) >> 32) % sides;
}

bool choose_rarely(struct choices *choices, unsigned percent)
{
    return choose(choices, 100) >= 100 - percent;
}

/* How a machine is built before anything is taken from it. */
struct shape {
    unsigned packages, nodes, caches, cores, threads; /* each in one of the former */
    unsigned cpu_step, cpu_first, node_step, node_first;
    bool siblings_apart; /* second threads are numbered after all first ones */
};

/* Mostly small, sometimes as large as there can be; the bound holds for all nodes together. */
static unsigned choose_count(struct choices *choices, unsigned usual, unsigned most)
{
    unsigned count = 1 + choose(choices, usual);
    if (choose_rarely(choices, 3))
        count = 1 + choose(choices, most);
    return count < most ? count : most;
}

static unsigned at_most(unsigned count, unsigned bound)
{
    return count < bound ? count : bound > 0 ? bound : 1;
}

static struct shape choose_shape(struct choices *choices, struct machine_bounds bounds)
{
    struct shape shape = {0};
    shape.packages = choose_count(choices, 4, bounds.nodes);
    shape.nodes = choose_count(choices, 4, bounds.nodes / shape.packages);
    if (bounds.large) {
        shape.packages = at_most(1 + choose(choices, 64), bounds.nodes);
        shape.nodes = bounds.nodes / shape.packages;
    }
    unsigned left = bounds.cpus / (shape.packages * shape.nodes);
    shape.caches = at_most(1 + choose(choices, 3), left);
    shape.cores = at_most(1 + choose(choices, 5), left / shape.caches);
    shape.threads = at_most(1 + choose(choices, 4), left / shape.caches / shape.cores);
    shape.cpu_step = 1 + choose(choices, 3);
    shape.cpu_first = choose_rarely(choices, 20) ? choose(choices, 500) : 0;
    /* Up to the largest number a node can have: 1023. */
    unsigned room = 1023 / (shape.packages * shape.nodes);
    shape.node_step = at_most(1 + choose(choices, 3), room);
    shape.node_first = choose_rarely(choices, 20)
                           ? choose(choices, 1024 - shape.packages * shape.nodes * shape.node_step)
                           : 0;
    shape.siblings_apart = choose(choices, 2) == 0;
    return shape;
}

static void *make_array(size_t count, size_t size)
{
    void *array = calloc(count + 1, size);
    fuzz_check(array != NULL);
    return array;
}

static unsigned cpu_id(const struct shape *shape, unsigned core, unsigned thread)
{
    unsigned core_count = shape->packages * shape->nodes * shape->caches * shape->cores;
    unsigned dense =
        shape->siblings_apart ? thread * core_count + core : core * shape->threads + thread;
    return shape->cpu_first + dense * shape->cpu_step;
}

static int compare_cpus(const void *a, const void *b)
{
    unsigned x = ((const struct npi_machine_cpu *)a)->os_index;
    unsigned y = ((const struct npi_machine_cpu *)b)->os_index;
    return (x > y) - (x < y);
}

static void build(struct npi_machine *machine, const struct shape *shape)
{
    unsigned node_count = shape->packages * shape->nodes;
    unsigned core_count = node_count * shape->caches * shape->cores;
    machine->cpu_count = core_count * shape->threads;
    machine->cpus = make_array(machine->cpu_count, sizeof *machine->cpus);
    machine->node_count = node_count;
    /* Room for the odd nodes that may come. */
    machine->nodes = make_array(node_count + 8, sizeof *machine->nodes);
    machine->domains = make_array(shape->packages + 8, sizeof *machine->domains);
    machine->domain_count = shape->packages;
    for (unsigned n = 0; n < node_count; n++)
        machine->nodes[n] =
            (struct npi_machine_node){.os_index = shape->node_first + n * shape->node_step,
                                      .memory_bytes = UINT64_C(1) << 30};
    unsigned filled = 0;
    for (unsigned core = 0; core < core_count; core++)
        for (unsigned thread = 0; thread < shape->threads; thread++) {
            unsigned node = core / (shape->caches * shape->cores), package = node / shape->nodes;
            unsigned id = cpu_id(shape, core, thread);
            machine->cpus[filled++] = (struct npi_machine_cpu){
                .os_index = id,
                .core = (int)core,
                .cache = (int)(core / shape->cores),
                .package = (int)package,
                .kind = -1,
            };
            fuzz_check(npi_cpuset_add(&machine->nodes[node].cpus, id) &&
                       npi_cpuset_add(&machine->domains[package], id));
        }
    qsort(machine->cpus, machine->cpu_count, sizeof *machine->cpus, compare_cpus);
}

static struct npi_machine_node *insert_node(struct npi_machine *machine, unsigned os_index)
{
    unsigned at = machine->node_count;
    if (npi_machine_node_slot(machine, os_index) >= 0)
        return NULL;
    for (; at > 0 && machine->nodes[at - 1].os_index > os_index; at--)
        machine->nodes[at] = machine->nodes[at - 1];
    machine->nodes[at] = (struct npi_machine_node){.os_index = os_index};
    machine->node_count++;
    return &machine->nodes[at];
}

/* Memory of other kinds, near the CPUs of some node, over two of them, or nowhere. */
static void add_odd_nodes(struct npi_machine *machine, struct choices *choices, unsigned bound)
{
    unsigned count = choose_rarely(choices, 30) ? 1 + choose(choices, 7) : 0;
    for (; count > 0 && machine->node_count < bound; count--) {
        const struct npi_cpuset *near = &machine->nodes[choose(choices, machine->node_count)].cpus;
        struct npi_cpuset cpus = {0};
        if (choose(choices, 3) > 0)
            fuzz_check(npi_cpuset_copy(&cpus, near));
        near = &machine->nodes[choose(choices, machine->node_count)].cpus;
        if (choose_rarely(choices, 30))
            fuzz_check(npi_cpuset_union(&cpus, near));
        struct npi_machine_node *node = insert_node(machine, choose(choices, 1024));
        if (node == NULL) {
            npi_cpuset_fini(&cpus);
            continue;
        }
        node->cpus = cpus;
        node->kind = (enum npi_node_kind)choose(choices, 4);
        node->memory_bytes =
            choose_rarely(choices, 20) ? 0 : UINT64_C(1) << (20 + choose(choices, 30));
        node->cpuless = choose(choices, 2) == 1;
    }
}

static void spoil_nodes(struct npi_machine *machine, struct choices *choices)
{
    bool all_unknown = choose_rarely(choices, 4), any = choose_rarely(choices, 40);
    for (unsigned n = 0; n < machine->node_count; n++) {
        struct npi_machine_node *node = &machine->nodes[n];
        unsigned fate = any ? choose(choices, 16) : 0;
        if (fate == 15) {
            node->memoryless = true;
            node->memory_bytes = 0;
        } else if (fate == 14)
            npi_cpuset_fini(&node->cpus);
        else if (fate == 13)
            node->memory_bytes = 0;
        else if (fate == 12)
            node->free_bytes = node->memory_bytes / 2;
        if (all_unknown)
            node->memory_bytes = 0;
    }
    if (choose_rarely(choices, 2)) {
        for (unsigned n = 0; n < machine->node_count; n++)
            npi_cpuset_fini(&machine->nodes[n].cpus);
        machine->node_count = 0;
    }
}

static void spoil_cpus(struct npi_machine *machine, struct choices *choices)
{
    bool no_cores = choose_rarely(choices, 5), no_caches = choose_rarely(choices, 10);
    bool no_packages = choose_rarely(choices, 10), some = choose_rarely(choices, 10);
    unsigned kinds = choose_rarely(choices, 20) ? 1 + choose(choices, 3) : 0;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        struct npi_machine_cpu *cpu = &machine->cpus[i];
        unsigned fate = some ? choose(choices, 32) : 0;
        if (no_cores || fate == 31)
            cpu->core = -1;
        if (no_caches || fate == 30)
            cpu->cache = -1;
        if (no_packages || fate == 29)
            cpu->package = -1;
        if (kinds > 0)
            cpu->kind = (int)choose(choices, kinds);
    }
}

/* What an affinity mask or a control group leaves. */
static void restrict_cpus(struct npi_machine *machine, struct choices *choices)
{
    if (!choose_rarely(choices, 40))
        return;
    unsigned percent = choose(choices, 100), kept = 0;
    struct npi_cpuset gone = {0};
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        bool last = kept == 0 && i + 1 == machine->cpu_count;
        if (!last && choose_rarely(choices, percent))
            fuzz_check(npi_cpuset_add(&gone, machine->cpus[i].os_index));
        else
            machine->cpus[kept++] = machine->cpus[i];
    }
    machine->cpu_count = kept;
    for (unsigned n = 0; n < machine->node_count; n++)
        npi_cpuset_subtract(&machine->nodes[n].cpus, &gone);
    for (unsigned d = 0; d < machine->domain_count; d++)
        npi_cpuset_subtract(&machine->domains[d], &gone);
    npi_cpuset_fini(&gone);
}

/* The kernel's table: absent, on a ring, in levels, or nonsense with holes. */
static void choose_distances(struct npi_machine *machine, struct choices *choices)
{
    size_t count = machine->node_count;
    unsigned style = choose(choices, 5);
    if (style == 0 || count == 0)
        return;
    machine->distance = make_array(count * count, sizeof *machine->distance);
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < count; b++) {
            size_t apart = a > b ? a - b : b - a,
                   around = apart < count - apart ? apart : count - apart;
            unsigned distance = style == 1   ? 10 + 10 * (unsigned)around
                                : style == 2 ? (a == b           ? 10
                                                : a / 2 == b / 2 ? 12
                                                                 : 32)
                                : style == 3 ? 10
                                             : choose(choices, 3) * (10 + choose(choices, 245));
            machine->distance[a * count + b] = distance;
        }
}

void choose_machine(struct npi_machine *machine, struct choices *choices,
                    struct machine_bounds bounds)
{
    struct shape shape = choose_shape(choices, bounds);
    const char *why = NULL;
    *machine = (struct npi_machine){.live = choose(choices, 4) != 3};
    machine->summary = npi_text_format("a machine by chance");
    machine->source = npi_text_format("chance");
    build(machine, &shape);
    add_odd_nodes(machine, choices, bounds.nodes);
    spoil_nodes(machine, choices);
    spoil_cpus(machine, choices);
    restrict_cpus(machine, choices);
    choose_distances(machine, choices);
    machine->cpus_here = machine->live ? machine->cpu_count : 1 + choose(choices, 64);
    if (choose_rarely(choices, 25))
        machine->cpu_limit = 0.01 * (1 + choose(choices, 60000));
    if (!npi_machine_valid(machine, &why))
        fuzz_fail(__FILE__, __LINE__, why);
}

/* ------------------------------------------------------------------------- configurations */

static void say(struct numapool_placement *placement, enum npi_said said)
{
    free(placement->where[said]);
    placement->where[said] = npi_text_format("chance:%d", 10 + (int)said);
}

static void say_cpus(const struct npi_machine *machine, struct choices *choices,
                     struct numapool_placement *placement, enum npi_said said,
                     struct npi_cpuset *set)
{
    unsigned percent = choose(choices, 100);
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (choose_rarely(choices, percent))
            fuzz_check(npi_cpuset_add(set, machine->cpus[i].os_index));
    if (choose_rarely(choices, 10))
        fuzz_check(npi_cpuset_add(set, choose(choices, 65536)));
    if (npi_cpuset_count(set) > 0) /* a file has no empty lists */
        say(placement, said);
}

static void say_nodes(const struct npi_machine *machine, struct choices *choices,
                      struct numapool_placement *placement, enum npi_said said,
                      struct npi_cpuset *set)
{
    unsigned percent = choose(choices, 100);
    for (unsigned n = 0; n < machine->node_count; n++)
        if (choose_rarely(choices, percent))
            fuzz_check(npi_cpuset_add(set, machine->nodes[n].os_index));
    if (choose_rarely(choices, 10))
        fuzz_check(npi_cpuset_add(set, choose(choices, 1024)));
    if (npi_cpuset_count(set) > 0)
        say(placement, said);
}

/* Every CPU goes to one shard, as worker or caller, or to none, as a file's checks see to. */
static void place_shards(const struct npi_machine *machine, struct choices *choices,
                         struct numapool_placement *placement)
{
    unsigned count = 1 + choose(choices, 9);
    bool bounded = choose_rarely(choices, 30);
    placement->shards = make_array(count, sizeof *placement->shards);
    placement->shard_count = count;
    for (unsigned s = 0; s < count; s++) {
        struct npi_placed_shard *shard = &placement->shards[s];
        shard->where = npi_text_format("chance:%u", 100 + s);
        shard->node = -1;
        if (choose_rarely(choices, 30))
            shard->node = machine->node_count > 0 && choose(choices, 8) != 7
                              ? (int)machine->nodes[choose(choices, machine->node_count)].os_index
                              : (int)choose(choices, 1024);
        if (bounded || choose_rarely(choices, 20))
            shard->workers_max = 1 + choose(choices, choose_rarely(choices, 30) ? 32768 : 4);
        if (bounded || choose_rarely(choices, 20))
            shard->memory_bytes = UINT64_C(1) << (16 + choose(choices, 35));
    }
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        struct npi_placed_shard *shard = &placement->shards[choose(choices, count)];
        unsigned role = choose(choices, 8);
        if (role < 7)
            fuzz_check(npi_cpuset_add(role < 6 ? &shard->cpus : &shard->callers,
                                      machine->cpus[i].os_index));
    }
    for (unsigned s = 0; s < count; s++) /* cpus is required; these are on no machine of ours */
        if (npi_cpuset_count(&placement->shards[s].cpus) == 0)
            fuzz_check(npi_cpuset_add(&placement->shards[s].cpus, 60000 + s));
}

static void expect_something(const struct npi_machine *machine, struct choices *choices,
                             struct numapool_placement *placement)
{
    placement->expect_cpus = machine->cpu_count + (choose_rarely(choices, 30) ? 1 : 0);
    say(placement, NPI_SAID_EXPECT_CPUS);
}

struct numapool_config choose_config(const struct npi_machine *machine, struct choices *choices)
{
    struct numapool_config config = fuzz_config();
    config.shards = (int)choose(choices, 4);
    config.smt = (int)choose(choices, 2);
    config.pinning = (int)choose(choices, 3);
    if (choose(choices, 2) == 0)
        return config;
    struct numapool_placement *placement = make_array(1, sizeof *placement);
    config.placement = placement;
    placement->cpu_kind = (int)choose(choices, 2);
    placement->quota = (int)choose(choices, 2);
    placement->on_missing = choose_rarely(choices, 20);
    placement->memory_policy = (int)choose(choices, 3);
    placement->pages = (int)choose(choices, 4);
    for (int said = NPI_SAID_CPU_KIND; said <= NPI_SAID_PAGES; said++)
        say(placement, (enum npi_said)said);
    if (choose_rarely(choices, 20)) {
        placement->shard_memory_bytes = UINT64_C(1) << (16 + choose(choices, 20));
        say(placement, NPI_SAID_SHARD_MEMORY);
    }
    if (choose_rarely(choices, 30))
        say_cpus(machine, choices, placement, NPI_SAID_RESERVE, &placement->reserve);
    if (choose_rarely(choices, 20))
        say_cpus(machine, choices, placement, NPI_SAID_CPUS_DROP, &placement->cpus_drop);
    if (choose_rarely(choices, 20))
        say_cpus(machine, choices, placement, NPI_SAID_CPUS_ONLY, &placement->cpus_only);
    if (choose_rarely(choices, 15))
        say_nodes(machine, choices, placement, NPI_SAID_NODES_DROP, &placement->nodes_drop);
    if (choose_rarely(choices, 15))
        say_nodes(machine, choices, placement, NPI_SAID_NODES_ONLY, &placement->nodes_only);
    if (choose_rarely(choices, 10))
        expect_something(machine, choices, placement);
    if (choose_rarely(choices, 25)) {
        place_shards(machine, choices, placement);
        config.shards = NUMAPOOL_PER_NODE;
    }
    return config;
}
