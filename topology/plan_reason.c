/*
 * The sentences of a plan: for every shard why these CPUs and this memory, and for the whole what a
 * reader would otherwise wonder about. Written from the draft, which still knows the machine.
 */
#include "topology/plan_draft.h"
#include "topology/text.h"

#include <stdlib.h>

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void add_node(struct npi_text *text, const struct npi_machine_node *node)
{
    npi_text_add(text, "OS node %u", node->os_index);
    if (node->memory_bytes > 0) {
        npi_text_add(text, " (");
        npi_text_add_bytes(text, node->memory_bytes);
        npi_text_add(text, "%s)", node->kind == NPI_NODE_HBM ? " of high-bandwidth memory" : "");
    }
}

/* What held these CPUs together. */
static void add_grouping(const struct npi_draft *draft, const struct npi_draft_group *group,
                         struct npi_text *text)
{
    if (group->parts > 1) {
        npi_text_add(text, "%u neighbouring shards in one", group->parts);
        return;
    }
    if (group->placed >= 0) {
        npi_text_add(text, "as %s says", draft->placement->shards[group->placed].where);
        return;
    }
    switch (draft->shards_by) {
    case NUMAPOOL_SINGLE:
        npi_text_add(text, "the whole machine, as configured");
        break;
    case NUMAPOOL_PER_PACKAGE:
        if (group->package >= 0)
            npi_text_add(text, "all of package %d", group->package);
        else
            npi_text_add(text, "all CPUs, as no package is known");
        break;
    case NUMAPOOL_PER_L3:
        npi_text_add(text, "one last-level cache");
        break;
    default:
        if (group->home < 0)
            npi_text_add(text, "all CPUs, as no memory node is known");
        else if (group->borrowed)
            npi_text_add(text, "the CPUs near OS node %u that have no memory of their own",
                         draft->machine.nodes[group->home].os_index);
        else
            npi_text_add(text, "all CPUs of OS node %u",
                         draft->machine.nodes[group->home].os_index);
    }
}

/* Where the memory is and why there. */
static void add_memory(const struct npi_draft *draft, const struct npi_draft_group *group,
                       struct npi_text *text)
{
    if (group->home < 0) {
        npi_text_add(text, " Memory is wherever it is first touched.");
        return;
    }
    const struct npi_machine_node *home = &draft->machine.nodes[group->home];
    bool named = group->placed >= 0 && draft->placement->shards[group->placed].node >= 0;
    npi_text_add(text, " Memory on ");
    add_node(text, home);
    if (named)
        npi_text_add(text, ", as the file says%s",
                     group->borrowed ? "; none of the CPUs is there" : "");
    else if (group->borrowed && group->seat >= 0 && group->seat != group->home)
        npi_text_add(
            text, ", the nearest to OS node %u by the kernel's table (%u)",
            draft->machine.nodes[group->seat].os_index,
            npi_machine_distance(&draft->machine, (unsigned)group->seat, (unsigned)group->home));
    else if (group->borrowed)
        npi_text_add(text, ", the nearest by the machine's structure");
    else if (group->spans_nodes)
        npi_text_add(text, ", where most of its CPUs are");
    npi_text_add(text, ".");
}

/* What keeps workers off CPUs that callers have here. */
static void add_unused(const struct npi_draft *draft, const struct npi_draft_group *group,
                       struct npi_text *text)
{
    size_t siblings = 0, kept_off = 0;
    for (int id = npi_cpuset_next(&group->owned, -1); id >= 0;
         id = npi_cpuset_next(&group->owned, id)) {
        int slot = npi_machine_cpu_slot(&draft->machine, (unsigned)id);
        if (!draft->cpus[slot].works)
            kept_off++;
        else if (!npi_cpuset_has(&group->cpus, (unsigned)id))
            siblings++;
    }
    if (siblings > 0)
        npi_text_add(text, " One hardware thread of each core; %zu sibling%s left idle.", siblings,
                     plural(siblings));
    if (kept_off > 0)
        npi_text_add(text, " %zu CPU%s kept for others by the configuration.", kept_off,
                     plural(kept_off));
}

static char *reason_of(const struct npi_draft *draft, const struct npi_draft_group *group)
{
    struct npi_text text = {0};
    npi_text_add(&text, "CPU%s ", plural(npi_cpuset_count(&group->cpus)));
    npi_text_add_set(&text, &group->cpus);
    npi_text_add(&text, ": ");
    add_grouping(draft, group, &text);
    npi_text_add(&text, ".");
    add_memory(draft, group, &text);
    add_unused(draft, group, &text);
    return npi_text_take(&text);
}

/* One node and several caches or packages: the machine may be hiding its nodes. */
static bool note_hidden_structure(const struct npi_draft *draft, struct npi_plan *plan)
{
    if (draft->shards_by != NUMAPOOL_PER_NODE || plan->shard_count != 1 ||
        draft->groups[0].home < 0)
        return true;
    struct npi_cpuset packages = {0}, caches = {0};
    bool done = true;
    for (unsigned i = 0; i < draft->machine.cpu_count; i++) {
        const struct npi_machine_cpu *cpu = &draft->machine.cpus[i];
        if (cpu->package >= 0 && cpu->package <= (int)NPI_CPU_ID_MAX)
            done = npi_cpuset_add(&packages, (unsigned)cpu->package) && done;
        if (cpu->cache >= 0 && cpu->cache <= (int)NPI_CPU_ID_MAX)
            done = npi_cpuset_add(&caches, (unsigned)cpu->cache) && done;
    }
    size_t package_count = npi_cpuset_count(&packages), cache_count = npi_cpuset_count(&caches);
    npi_cpuset_fini(&packages);
    npi_cpuset_fini(&caches);
    if (done && package_count > 1)
        done =
            npi_notes_add(&plan->notes, &plan->note_count,
                          "one memory node covers %zu packages: the firmware may hide the nodes; "
                          "shards = \"package\" gives one shard each",
                          package_count);
    else if (done && cache_count > 1)
        done = npi_notes_add(&plan->notes, &plan->note_count,
                             "one memory node covers %zu last-level caches; shards = \"l3\" gives "
                             "one shard each",
                             cache_count);
    return done;
}

static bool note_kinds(const struct npi_draft *draft, struct npi_plan *plan)
{
    int slowest = -1, fastest = -1;
    for (unsigned i = 0; i < draft->machine.cpu_count; i++) {
        int kind = draft->machine.cpus[i].kind;
        if (kind < 0)
            return true;
        slowest = slowest < 0 || kind < slowest ? kind : slowest;
        fastest = kind > fastest ? kind : fastest;
    }
    if (slowest == fastest)
        return true;
    return npi_notes_add(&plan->notes, &plan->note_count, "cores are of %d kinds; workers use %s",
                         fastest - slowest + 1,
                         draft->placement->cpu_kind == NPI_CPU_KIND_FASTEST ? "the fastest"
                                                                            : "all of them");
}

static bool note_circumstances(const struct npi_draft *draft, struct npi_plan *plan)
{
    const struct npi_machine *machine = &draft->machine;
    bool done = true;
    if (!plan->live)
        done = npi_notes_add(&plan->notes, &plan->note_count,
                             "this machine is only described: threads are not pinned and memory is "
                             "not bound; its %u CPUs stand on %u here",
                             machine->cpu_count, machine->cpus_here);
    if (done && plan->cpu_limit > 0)
        done = npi_notes_add(&plan->notes, &plan->note_count,
                             "cpu.max grants %.4g CPUs' worth of time", plan->cpu_limit);
    else if (done && machine->cpu_limit > 0)
        done = npi_notes_add(&plan->notes, &plan->note_count,
                             "cpu.max grants %.4g CPUs' worth of time, ignored as configured",
                             machine->cpu_limit);
    if (done && plan->shard_count > 1 && !plan->distance_measured)
        done = npi_notes_add(&plan->notes, &plan->note_count,
                             "the machine gives no distances: %d within a node, %d within a "
                             "package, else %d",
                             NPI_DISTANCE_NODE, NPI_DISTANCE_PACKAGE, NPI_DISTANCE_FAR);
    return done && note_hidden_structure(draft, plan) && note_kinds(draft, plan);
}

bool npi_draft_give_reasons(const struct npi_draft *draft, struct npi_plan *plan)
{
    for (unsigned s = 0; s < plan->shard_count; s++) {
        plan->shards[s].reason = reason_of(draft, &draft->groups[s]);
        if (plan->shards[s].reason == NULL)
            return false;
    }
    return note_circumstances(draft, plan);
}
