/*
 * From groups of CPUs to the finished plan: nodes, distances, order of neighbours, capacity. Pure.
 */
#include "topology/plan_draft.h"
#include "topology/text.h"

#include <stdlib.h>

/* Index in the plan of each home in use; -1 for other nodes. */
static int *number_nodes(const struct npi_draft *draft, unsigned *count)
{
    const struct npi_machine *machine = &draft->machine;
    int *index = calloc(machine->node_count + 1u, sizeof *index);
    if (index == NULL)
        return NULL;
    for (unsigned g = 0; g < draft->group_count; g++) {
        const struct npi_draft_group *group = &draft->groups[g];
        if (group->home >= 0)
            index[group->home] = 1;
        /* A shard over several nodes leaves each of them its memory. */
        for (unsigned i = 0; group->spans_nodes && i < machine->cpu_count; i++)
            if (draft->cpus[i].home >= 0 && npi_cpuset_has(&group->cpus, machine->cpus[i].os_index))
                index[draft->cpus[i].home] = 1;
    }
    *count = 0;
    for (unsigned slot = 0; slot < machine->node_count; slot++)
        index[slot] = index[slot] ? (int)(*count)++ : -1;
    return index;
}

static bool fill_nodes(const struct npi_draft *draft, struct npi_plan *plan, const int *index)
{
    const struct npi_machine *machine = &draft->machine;
    if (plan->node_count == 0) { /* nothing is known of memory: one node stands for all of it */
        plan->node_count = 1;
        plan->nodes = calloc(1, sizeof *plan->nodes);
        return plan->nodes != NULL;
    }
    plan->nodes = calloc(plan->node_count, sizeof *plan->nodes);
    for (unsigned slot = 0; plan->nodes != NULL && slot < machine->node_count; slot++) {
        if (index[slot] < 0)
            continue;
        struct npi_plan_node *node = &plan->nodes[index[slot]];
        node->os_index = machine->nodes[slot].os_index;
        node->memory_bytes = machine->nodes[slot].memory_bytes;
        node->free_bytes = machine->nodes[slot].free_bytes;
    }
    return plan->nodes != NULL;
}

static bool fill_shard(struct npi_plan_shard *shard, const struct npi_draft_group *group,
                       const int *index)
{
    shard->node = group->home >= 0 ? (unsigned)index[group->home] : 0;
    shard->spans_nodes = group->spans_nodes;
    shard->borrowed = group->borrowed;
    shard->package = group->package;
    shard->cpu_count = (unsigned)npi_cpuset_count(&group->cpus);
    shard->workers_max = group->workers_max;
    shard->memory_bytes = group->memory_bytes;
    return npi_cpuset_copy(&shard->cpus, &group->cpus) &&
           npi_cpuset_copy(&shard->owned_cpus, &group->owned);
}

/* Which CPUs each node has, and which shard stands for it. */
static bool settle_nodes(const struct npi_draft *draft, struct npi_plan *plan, const int *index)
{
    const struct npi_machine *machine = &draft->machine;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        const struct npi_draft_cpu *cpu = &draft->cpus[i];
        const struct npi_plan_shard *shard = &plan->shards[cpu->group];
        unsigned node = shard->node;
        if (shard->spans_nodes && cpu->home >= 0 && index[cpu->home] >= 0)
            node = (unsigned)index[cpu->home];
        if (cpu->works && !npi_cpuset_add(&plan->nodes[node].cpus, machine->cpus[i].os_index))
            return false;
    }
    for (unsigned n = 0; n < plan->node_count; n++)
        plan->nodes[n].shard = plan->shard_count;
    for (unsigned s = plan->shard_count; s-- > 0;)
        plan->nodes[plan->shards[s].node].shard = s;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        const struct npi_draft_cpu *cpu = &draft->cpus[i];
        struct npi_plan_node *node = cpu->home >= 0 && index[cpu->home] >= 0
                                         ? &plan->nodes[index[cpu->home]]
                                         : &plan->nodes[plan->shards[cpu->group].node];
        bool works = npi_cpuset_has(&plan->shards[cpu->group].cpus, machine->cpus[i].os_index);
        if (node->shard == plan->shard_count && works)
            node->shard = (unsigned)cpu->group;
    }
    return true;
}

/* Attaches memory that is no home to the homes it is near: those whose CPUs it covers, else
 * nearest. */
static bool attach_far_node(const struct npi_draft *draft, struct npi_plan *plan, unsigned slot,
                            const int *index)
{
    const struct npi_machine *machine = &draft->machine;
    const struct npi_machine_node *far = &machine->nodes[slot];
    bool covers = false;
    unsigned nearest = UINT32_MAX;
    for (unsigned home = 0; home < machine->node_count; home++) {
        if (index[home] < 0)
            continue;
        covers |= npi_cpuset_intersects(&far->cpus, &machine->nodes[home].cpus);
        unsigned distance = npi_machine_distance(machine, home, slot);
        if (distance > 0 && distance < nearest)
            nearest = distance;
    }
    for (unsigned home = 0; home < machine->node_count; home++) {
        if (index[home] < 0)
            continue;
        bool near =
            covers ? npi_cpuset_intersects(&far->cpus, &machine->nodes[home].cpus)
                   : nearest == UINT32_MAX || npi_machine_distance(machine, home, slot) == nearest;
        if (near && !npi_cpuset_add(&plan->nodes[index[home]].far_nodes, far->os_index))
            return false;
    }
    return true;
}

static bool attach_far_nodes(const struct npi_draft *draft, struct npi_plan *plan, const int *index)
{
    for (unsigned slot = 0; slot < draft->machine.node_count; slot++)
        if (index[slot] < 0 && !draft->is_home[slot] && npi_draft_usable_node(draft, slot) &&
            !attach_far_node(draft, plan, slot, index))
            return false;
    return true;
}

static bool order_neighbours(struct npi_plan *plan)
{
    for (unsigned s = 0; s < plan->shard_count; s++) {
        struct npi_plan_shard *shard = &plan->shards[s];
        /* One more than needed: a lone shard has no neighbours, but a pointer. */
        unsigned *order = calloc(plan->shard_count, sizeof *order);
        if (order == NULL)
            return false;
        npi_nearest_order(plan->distance, plan->shard_count, s, order);
        shard->neighbours = order;
    }
    return true;
}

static bool fill_distances(const struct npi_draft *draft, struct npi_plan *plan)
{
    unsigned count = plan->shard_count;
    plan->distance = calloc((size_t)count * count, sizeof *plan->distance);
    if (plan->distance == NULL)
        return false;
    bool measured = false;
    for (unsigned a = 0; a < count; a++)
        for (unsigned b = 0; b < count; b++) {
            const struct npi_draft_group *from = &draft->groups[a], *to = &draft->groups[b];
            plan->distance[(size_t)a * count + b] =
                a == b ? NPI_DISTANCE_NODE : npi_draft_distance(draft, from, to);
            measured |=
                a != b && from->seat >= 0 && to->seat >= 0 && from->seat != to->seat &&
                npi_machine_distance(&draft->machine, (unsigned)from->seat, (unsigned)to->seat) > 0;
        }
    plan->distance_measured = measured;
    return order_neighbours(plan);
}

/*
 * How much work the shards' CPUs are worth. Here: less where cpu.max grants fewer CPUs than there
 * are. On a machine that is only described: less where this one is smaller.
 */
static void fill_capacity(const struct npi_draft *draft, struct npi_plan *plan)
{
    const struct npi_machine *machine = &draft->machine;
    if (draft->placement->quota == NPI_QUOTA_FOLLOW)
        plan->cpu_limit = machine->cpu_limit;
    unsigned cpu_count = 0;
    for (unsigned s = 0; s < plan->shard_count; s++)
        cpu_count += plan->shards[s].cpu_count;
    double scale = 1;
    if (plan->live && plan->cpu_limit > 0)
        scale = plan->cpu_limit / cpu_count;
    if (!plan->live) {
        double here = machine->cpus_here;
        if (plan->cpu_limit > 0 && plan->cpu_limit < here)
            here = plan->cpu_limit;
        scale = here > 0 ? here / cpu_count : 1;
    }
    for (unsigned s = 0; s < plan->shard_count; s++)
        plan->shards[s].capacity = plan->shards[s].cpu_count * (scale < 1 ? scale : 1);
}

static bool map_cpus(struct npi_plan *plan)
{
    int largest = -1;
    for (unsigned s = 0; s < plan->shard_count; s++) {
        const struct npi_cpuset *owned = &plan->shards[s].owned_cpus;
        for (int id = npi_cpuset_next(owned, -1); id >= 0; id = npi_cpuset_next(owned, id))
            if (id > largest)
                largest = id;
    }
    /* One more, so that no CPUs are not taken for no memory. */
    uint16_t *map = calloc((size_t)largest + 2, sizeof *map);
    if (map == NULL)
        return false;
    for (int id = 0; id <= largest; id++)
        map[id] = NPI_NO_SHARD;
    for (unsigned s = 0; plan->live && s < plan->shard_count; s++) {
        const struct npi_cpuset *owned = &plan->shards[s].owned_cpus;
        for (int id = npi_cpuset_next(owned, -1); id >= 0; id = npi_cpuset_next(owned, id))
            map[id] = (uint16_t)s;
    }
    plan->shard_of_cpu = map;
    plan->cpu_slots = (unsigned)(largest + 1);
    return true;
}

static bool copy_notes(struct npi_plan *plan, char *const *notes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!npi_notes_add(&plan->notes, &plan->note_count, "%s", notes[i]))
            return false;
    return true;
}

static bool fill_head(const struct npi_draft *draft, struct npi_plan *plan)
{
    const struct npi_machine *machine = &draft->machine;
    plan->live = machine->live;
    plan->discovery_failed = draft->discovery_failed;
    plan->shards_by = draft->shards_by;
    plan->smt = draft->smt;
    plan->pinning = machine->live ? draft->pinning : NUMAPOOL_PIN_NONE;
    plan->memory_policy = machine->live && draft->home_count > 0
                              ? (enum npi_memory_policy)draft->placement->memory_policy
                              : NPI_MEMORY_LOCAL;
    plan->pages = (enum npi_page_kind)draft->placement->pages;
    plan->machine = npi_text_format("%s", machine->summary != NULL ? machine->summary : "");
    plan->source = npi_text_format("%s", machine->source != NULL ? machine->source : "");
    return plan->machine != NULL && plan->source != NULL &&
           copy_notes(plan, machine->notes, machine->note_count) &&
           copy_notes(plan, draft->notes, draft->note_count);
}

bool npi_draft_finish(const struct npi_draft *draft, struct npi_plan *plan)
{
    int *index = number_nodes(draft, &plan->node_count);
    plan->shards = calloc(draft->group_count, sizeof *plan->shards);
    bool done = index != NULL && plan->shards != NULL && fill_head(draft, plan) &&
                fill_nodes(draft, plan, index);
    for (unsigned g = 0; done && g < draft->group_count; g++) {
        plan->shard_count++;
        done = fill_shard(&plan->shards[g], &draft->groups[g], index);
    }
    done = done && settle_nodes(draft, plan, index) && attach_far_nodes(draft, plan, index) &&
           fill_distances(draft, plan) && map_cpus(plan);
    if (done)
        fill_capacity(draft, plan);
    free(index);
    return done;
}

struct npi_plan *npi_draft_to_plan(const struct npi_draft *draft)
{
    struct npi_plan *plan = calloc(1, sizeof *plan);
    if (plan != NULL && npi_draft_finish(draft, plan) && npi_draft_give_reasons(draft, plan))
        return plan;
    npi_plan_free(plan);
    return NULL;
}
