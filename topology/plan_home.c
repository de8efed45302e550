/*
 * Which nodes are homes, and whose memory each CPU uses. Pure.
 *
 * A home is a node that has memory and is the first to cover some CPU. Several nodes may cover one
 * CPU (DRAM and HBM; memory without CPUs that is merely near): ordinary memory is asked first, and
 * within a kind a node with CPUs of its own. CPUs that no home covers borrow from the nearest.
 * Where no node covers any CPU (a control group may grant CPUs here and memory there) every node
 * may lend.
 */
#include "topology/plan_draft.h"

#include <stdlib.h>

bool npi_draft_usable_node(const struct npi_draft *draft, unsigned slot)
{
    const struct npi_machine_node *node = &draft->machine.nodes[slot];
    const struct numapool_placement *placement = draft->placement;
    if (node->memoryless || node->kind == NPI_NODE_DEVICE)
        return false;
    if (placement->where[NPI_SAID_NODES_ONLY] != NULL &&
        !npi_cpuset_has(&placement->nodes_only, node->os_index))
        return false;
    return !npi_cpuset_has(&placement->nodes_drop, node->os_index);
}

/* Hidden or unreadable sizes leave every node at 0 bytes; then 0 means unknown, not empty. */
static bool sizes_known(const struct npi_machine *machine)
{
    for (unsigned i = 0; i < machine->node_count; i++)
        if (machine->nodes[i].memory_bytes > 0)
            return true;
    return false;
}

/* Whether a is asked to be a home before b. */
static bool precedes(const struct npi_machine_node *a, const struct npi_machine_node *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind;
    if (a->cpuless != b->cpuless)
        return b->cpuless;
    return a->os_index < b->os_index;
}

/* Slots of the nodes that may become homes, in the order of asking. */
static unsigned list_candidates(const struct npi_draft *draft, unsigned *order)
{
    const struct npi_machine *machine = &draft->machine;
    bool known = sizes_known(machine);
    unsigned count = 0;
    for (unsigned slot = 0; slot < machine->node_count; slot++) {
        const struct npi_machine_node *node = &machine->nodes[slot];
        if (!npi_draft_usable_node(draft, slot) || (known && node->memory_bytes == 0))
            continue;
        unsigned at = count++;
        for (; at > 0 && precedes(node, &machine->nodes[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = slot;
    }
    return count;
}

/* Gives the node those of its CPUs that have no home yet. */
static void take_cpus(struct npi_draft *draft, unsigned slot)
{
    const struct npi_machine *machine = &draft->machine;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        struct npi_draft_cpu *cpu = &draft->cpus[i];
        if (cpu->home >= 0 ||
            !npi_cpuset_has(&machine->nodes[slot].cpus, machine->cpus[i].os_index))
            continue;
        cpu->home = cpu->seat = (int)slot;
        if (!draft->is_home[slot]) {
            draft->is_home[slot] = true;
            draft->home_count++;
        }
    }
}

static bool covers_homed_cpu(const struct npi_draft *draft, unsigned slot)
{
    const struct npi_machine *machine = &draft->machine;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (draft->cpus[i].home >= 0 &&
            npi_cpuset_has(&machine->nodes[slot].cpus, machine->cpus[i].os_index))
            return true;
    return false;
}

/* How a home compares for a CPU without memory: smaller is nearer. */
struct nearness {
    size_t distance;
    enum npi_node_kind kind;
    uint64_t memory_bytes; /* more is better */
};

static bool nearer(struct nearness a, struct nearness b)
{
    if (a.distance != b.distance)
        return a.distance < b.distance;
    return a.kind != b.kind ? a.kind < b.kind : a.memory_bytes > b.memory_bytes;
}

/*
 * The node that a CPU without a home sits on all the same: one without memory, or one that the
 * configuration forbids. -1 = none, as always in an hwloc file, which leaves such nodes out.
 */
static int find_seat(const struct npi_draft *draft, unsigned cpu)
{
    const struct npi_machine *machine = &draft->machine;
    int seat = -1;
    for (unsigned slot = 0; slot < machine->node_count; slot++)
        if (!draft->is_home[slot] &&
            npi_cpuset_has(&machine->nodes[slot].cpus, machine->cpus[cpu].os_index) &&
            (seat < 0 || machine->nodes[slot].memoryless))
            seat = (int)slot;
    return seat;
}

/* Size of the smallest domain that holds the CPU and some CPU of the node; the whole machine else.
 */
static size_t common_domain(const struct npi_machine *machine, unsigned cpu, unsigned slot)
{
    size_t smallest = machine->cpu_count;
    for (unsigned i = 0; i < machine->domain_count; i++) {
        const struct npi_cpuset *domain = &machine->domains[i];
        if (!npi_cpuset_has(domain, machine->cpus[cpu].os_index) ||
            !npi_cpuset_intersects(domain, &machine->nodes[slot].cpus))
            continue;
        size_t size = npi_cpuset_count(domain);
        if (size < smallest)
            smallest = size;
    }
    return smallest;
}

static void borrow(struct npi_draft *draft, unsigned cpu, const bool *lends)
{
    const struct npi_machine *machine = &draft->machine;
    int seat = find_seat(draft, cpu), chosen = -1;
    bool by_table = false;
    for (unsigned slot = 0; seat >= 0 && slot < machine->node_count; slot++)
        by_table |= lends[slot] && npi_machine_distance(machine, (unsigned)seat, slot) > 0;
    struct nearness best = {0};
    for (unsigned slot = 0; slot < machine->node_count; slot++) {
        if (!lends[slot])
            continue;
        unsigned distance = by_table ? npi_machine_distance(machine, (unsigned)seat, slot) : 0;
        const struct npi_machine_node *node = &machine->nodes[slot];
        struct nearness offer = {.kind = node->kind, .memory_bytes = node->memory_bytes};
        if (by_table)
            offer.distance = distance > 0 ? distance : SIZE_MAX;
        else
            offer.distance = common_domain(machine, cpu, slot);
        if (chosen < 0 || nearer(offer, best)) {
            best = offer;
            chosen = (int)slot;
        }
    }
    draft->cpus[cpu].home = chosen;
    draft->cpus[cpu].seat = by_table ? seat : chosen;
    draft->cpus[cpu].borrowed = chosen >= 0;
}

/* Whose memory CPUs without a home may use: that of homes, or of any node where there are none. */
static void list_lenders(const struct npi_draft *draft, const unsigned *candidates, unsigned count,
                         bool *lends)
{
    for (unsigned slot = 0; slot < draft->machine.node_count; slot++)
        lends[slot] = draft->is_home[slot];
    for (unsigned i = 0; draft->home_count == 0 && i < count; i++)
        lends[candidates[i]] = true;
}

static void find_lenders(struct npi_draft *draft, const bool *lends)
{
    const struct npi_machine *machine = &draft->machine;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (draft->cpus[i].home < 0)
            borrow(draft, i, lends);
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        int home = draft->cpus[i].home;
        if (home >= 0 && !draft->is_home[home]) {
            draft->is_home[home] = true;
            draft->home_count++;
        }
    }
}

bool npi_draft_find_homes(struct npi_draft *draft)
{
    const struct npi_machine *machine = &draft->machine;
    unsigned *order = calloc(machine->node_count + 1u, sizeof *order);
    bool *lends = calloc(machine->node_count + 1u, sizeof *lends);
    bool done = order != NULL && lends != NULL;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        draft->cpus[i].home = draft->cpus[i].seat = -1;
    if (done) {
        unsigned count = list_candidates(draft, order);
        /* First those that share no CPU with an earlier one, then those that still have one alone.
         */
        for (unsigned i = 0; i < count; i++)
            if (!covers_homed_cpu(draft, order[i]))
                take_cpus(draft, order[i]);
        for (unsigned i = 0; i < count; i++)
            if (!draft->is_home[order[i]])
                take_cpus(draft, order[i]);
        list_lenders(draft, order, count, lends);
        find_lenders(draft, lends);
    }
    free(order);
    free(lends);
    return done;
}
