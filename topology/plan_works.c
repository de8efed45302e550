/*
 * Which CPUs workers may use: the configuration's only, drop, reserve and kind applied to the
 * machine. Also checks everything the configuration says about a machine against this one. Pure.
 */
#include "topology/plan_draft.h"
#include "topology/settings.h"
#include "topology/text.h"

#include <stdlib.h>

static bool note_or_mistake(struct npi_draft *draft, const char *where, const char *path,
                            const char *what)
{
    if (draft->placement->on_missing == NPI_MISSING_FAIL) {
        npi_mistakes_add_at(&draft->mistakes, where, "%s: %s", path, what);
        return true;
    }
    return npi_notes_add(&draft->notes, &draft->note_count, "%s (%s: %s)", what, where, path);
}

/* Tells of numbers that are named but not there. */
static bool check_present(struct npi_draft *draft, const char *where, const char *path,
                          const struct npi_cpuset *named, const struct npi_cpuset *present,
                          const char *noun)
{
    struct npi_cpuset missing = {0};
    struct npi_text text = {0};
    bool done = npi_cpuset_copy(&missing, named);
    npi_cpuset_subtract(&missing, present);
    if (done && npi_cpuset_count(&missing) > 0) {
        bool one = npi_cpuset_count(&missing) == 1;
        npi_text_add(&text, "%s%s ", noun, one ? "" : "s");
        npi_text_add_set(&text, &missing);
        npi_text_add(&text, " of the configuration %s not on this machine or not allowed",
                     one ? "is" : "are");
        char *what = npi_text_take(&text);
        done = what != NULL && note_or_mistake(draft, where, path, what);
        free(what);
    }
    npi_cpuset_fini(&missing);
    return done;
}

static bool check_cpu_lists(struct npi_draft *draft, const struct npi_cpuset *present)
{
    const struct numapool_placement *placement = draft->placement;
    const struct {
        enum npi_said said;
        const char *path;
        const struct npi_cpuset *set;
    } lists[] = {
        {NPI_SAID_CPUS_ONLY, "pool.cpus_only", &placement->cpus_only},
        {NPI_SAID_CPUS_DROP, "pool.cpus_drop", &placement->cpus_drop},
        {NPI_SAID_RESERVE, "pool.reserve", &placement->reserve},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (placement->where[lists[i].said] != NULL &&
            !check_present(draft, placement->where[lists[i].said], lists[i].path, lists[i].set,
                           present, "CPU"))
            return false;
    for (unsigned i = 0; i < placement->shard_count; i++) {
        const struct npi_placed_shard *shard = &placement->shards[i];
        char *path = npi_text_format("shard[%u].cpus", i);
        bool done =
            path != NULL && check_present(draft, shard->where, path, &shard->cpus, present, "CPU");
        free(path);
        if (!done)
            return false;
    }
    return true;
}

static bool check_node_lists(struct npi_draft *draft)
{
    const struct numapool_placement *placement = draft->placement;
    struct npi_cpuset present = {0};
    bool done = true;
    for (unsigned i = 0; i < draft->machine.node_count; i++)
        done = done && npi_cpuset_add(&present, draft->machine.nodes[i].os_index);
    if (placement->where[NPI_SAID_NODES_ONLY] != NULL)
        done = done && check_present(draft, placement->where[NPI_SAID_NODES_ONLY],
                                     "pool.nodes_only", &placement->nodes_only, &present, "node");
    if (placement->where[NPI_SAID_NODES_DROP] != NULL)
        done = done && check_present(draft, placement->where[NPI_SAID_NODES_DROP],
                                     "pool.nodes_drop", &placement->nodes_drop, &present, "node");
    npi_cpuset_fini(&present);
    return done;
}

/* A list of the nodes that have memory, for messages. NULL: no memory. */
static char *list_memory_nodes(const struct npi_draft *draft)
{
    struct npi_cpuset nodes = {0};
    struct npi_text text = {0};
    for (unsigned i = 0; i < draft->machine.node_count; i++)
        if (npi_draft_usable_node(draft, i))
            text.failed |= !npi_cpuset_add(&nodes, draft->machine.nodes[i].os_index);
    npi_text_add_set(&text, &nodes);
    npi_cpuset_fini(&nodes);
    return npi_text_take(&text);
}

/*
 * A node of an explicit shard must be there and have memory. Where it is not there and missing
 * things are tolerated, the shard's CPUs decide as if no node had been named.
 */
static bool check_shard_nodes(struct npi_draft *draft)
{
    const struct numapool_placement *placement = draft->placement;
    for (unsigned i = 0; i < placement->shard_count; i++) {
        const struct npi_placed_shard *shard = &placement->shards[i];
        if (shard->node < 0 || draft->machine.node_count == 0)
            continue;
        int slot = npi_machine_node_slot(&draft->machine, (unsigned)shard->node);
        if (slot >= 0 && npi_draft_usable_node(draft, (unsigned)slot))
            continue;
        char *nodes = list_memory_nodes(draft);
        char *path = npi_text_format("shard[%u].node", i);
        char *what =
            nodes != NULL
                ? npi_text_format("node %d %s; nodes with memory to use here: %s", shard->node,
                                  slot < 0 ? "is not on this machine or not allowed"
                                           : "has no memory that the pool may use",
                                  *nodes != '\0' ? nodes : "none")
                : NULL;
        bool done = path != NULL && what != NULL;
        if (done && slot >= 0)
            npi_mistakes_add_at(&draft->mistakes, shard->where, "%s: %s", path, what);
        else if (done)
            done = note_or_mistake(draft, shard->where, path, what);
        free(nodes);
        free(path);
        free(what);
        if (!done)
            return false;
    }
    return true;
}

static void expect(struct npi_draft *draft, enum npi_said said, const char *name, unsigned wanted,
                   size_t found)
{
    if (draft->placement->where[said] != NULL && wanted != found)
        npi_mistakes_add_at(&draft->mistakes, draft->placement->where[said],
                            "expect.%s: the file is for a machine with %u, this one has %zu; use "
                            "the file of this machine, or correct the number",
                            name, wanted, found);
}

static bool check_expectations(struct npi_draft *draft)
{
    const struct numapool_placement *placement = draft->placement;
    struct npi_cpuset packages = {0};
    for (unsigned i = 0; i < draft->machine.cpu_count; i++) {
        int package = draft->machine.cpus[i].package;
        if (package >= 0 && package <= (int)NPI_CPU_ID_MAX &&
            !npi_cpuset_add(&packages, (unsigned)package)) {
            npi_cpuset_fini(&packages);
            return false;
        }
    }
    expect(draft, NPI_SAID_EXPECT_NODES, "nodes", placement->expect_nodes, draft->home_count);
    expect(draft, NPI_SAID_EXPECT_PACKAGES, "packages", placement->expect_packages,
           npi_cpuset_count(&packages));
    expect(draft, NPI_SAID_EXPECT_CPUS, "cpus", placement->expect_cpus, draft->machine.cpu_count);
    npi_cpuset_fini(&packages);
    return true;
}

/* Nodes the configuration forbids take their CPUs with them. */
static bool on_forbidden_node(const struct npi_draft *draft, unsigned cpu)
{
    const struct npi_machine *machine = &draft->machine;
    for (unsigned slot = 0; slot < machine->node_count; slot++) {
        const struct npi_machine_node *node = &machine->nodes[slot];
        bool forbidden = npi_cpuset_has(&draft->placement->nodes_drop, node->os_index) ||
                         (draft->placement->where[NPI_SAID_NODES_ONLY] != NULL &&
                          !npi_cpuset_has(&draft->placement->nodes_only, node->os_index));
        if (forbidden && draft->cpus[cpu].borrowed &&
            npi_cpuset_has(&node->cpus, machine->cpus[cpu].os_index))
            return true;
    }
    return false;
}

/* The settings that together take everything away. false: none of them was said. */
static bool nothing_left(struct npi_draft *draft, const enum npi_said *about, size_t count,
                         const char *what)
{
    struct npi_text others = {0};
    const char *first = NULL, *first_name = NULL;
    unsigned said = 0;
    for (size_t i = 0; i < count; i++) {
        const char *where = draft->placement->where[about[i]];
        const char *name = npi_setting_said(about[i])->name;
        if (where == NULL)
            continue;
        if (said++ == 0) {
            first = where;
            first_name = name;
        } else
            npi_text_add(&others, "%s%s (%s)", said == 2 ? " with " : " and ", name, where);
    }
    char *rest = npi_text_take(&others);
    if (rest == NULL)
        draft->mistakes.no_memory = true;
    else if (said > 0)
        npi_mistakes_add_at(&draft->mistakes, first, "pool.%s:%s leaves %s; leave some", first_name,
                            *rest != '\0' ? rest : " it", what);
    free(rest);
    return said > 0;
}

bool npi_draft_find_works(struct npi_draft *draft)
{
    const struct npi_machine *machine = &draft->machine;
    const struct numapool_placement *placement = draft->placement;
    struct npi_cpuset present = {0};
    bool done = npi_machine_cpuset(machine, &present);
    done = done && check_cpu_lists(draft, &present);
    npi_cpuset_fini(&present);
    if (!done || !check_node_lists(draft) || !check_shard_nodes(draft) ||
        !check_expectations(draft))
        return false;

    int fastest = -1;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (machine->cpus[i].kind > fastest)
            fastest = machine->cpus[i].kind;
    if (placement->cpu_kind == NPI_CPU_KIND_FASTEST && fastest < 0 &&
        !npi_notes_add(&draft->notes, &draft->note_count,
                       "cpu_kind is fastest, but the machine does not tell its cores apart"))
        return false;

    bool only = placement->where[NPI_SAID_CPUS_ONLY] != NULL;
    bool any = false;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        unsigned id = machine->cpus[i].os_index;
        draft->cpus[i].works =
            (!only || npi_cpuset_has(&placement->cpus_only, id)) &&
            !npi_cpuset_has(&placement->cpus_drop, id) &&
            !npi_cpuset_has(&placement->reserve, id) && !on_forbidden_node(draft, i) &&
            (placement->cpu_kind != NPI_CPU_KIND_FASTEST || machine->cpus[i].kind == fastest);
        any |= draft->cpus[i].works;
    }
    static const enum npi_said about_nodes[] = {NPI_SAID_NODES_ONLY, NPI_SAID_NODES_DROP};
    static const enum npi_said about_cpus[] = {NPI_SAID_CPUS_ONLY,  NPI_SAID_CPUS_DROP,
                                               NPI_SAID_RESERVE,    NPI_SAID_NODES_ONLY,
                                               NPI_SAID_NODES_DROP, NPI_SAID_CPU_KIND};
    if (draft->home_count == 0 && nothing_left(draft, about_nodes, 2, "no node with memory"))
        return true;
    if (!any)
        nothing_left(draft, about_cpus, 6, "no CPU for workers");
    return true;
}
