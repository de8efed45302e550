/*
 * Which CPUs form a shard, and on which of them its workers run. Pure.
 *
 * Every CPU ends in exactly one group. A group whose CPUs are all reserved or dropped has nowhere
 * to run workers, so it is dissolved: callers there belong to the nearest group that has.
 */
#include "topology/plan_draft.h"
#include "topology/text.h"

#include <stdlib.h>

/* One queue each, and a table of distances that grows with the square: beyond this it is a mistake.
 */
#define SHARDS_MAX 1024u

/* What CPUs of one group have in common. */
struct key {
    int borrowed, home, seat, package, cache;
};

static struct key key_of(const struct npi_draft *draft, unsigned slot)
{
    const struct npi_draft_cpu *cpu = &draft->cpus[slot];
    const struct npi_machine_cpu *machine_cpu = &draft->machine.cpus[slot];
    struct key key = {0};
    if (draft->shards_by == NUMAPOOL_SINGLE)
        return key;
    if (draft->shards_by == NUMAPOOL_PER_PACKAGE) {
        key.package = machine_cpu->package;
        return key;
    }
    key.home = cpu->home;
    if (cpu->borrowed) {
        /* Joined over a package, or they would crumble into single cores. */
        key.borrowed = 1;
        key.seat = cpu->seat;
        key.package = machine_cpu->package;
    }
    /* One cache may serve several nodes, so it only ever divides a node. */
    if (draft->shards_by == NUMAPOOL_PER_L3) {
        key.cache = machine_cpu->cache;
        key.package = machine_cpu->package;
    }
    return key;
}

static bool same_key(struct key a, struct key b)
{
    return a.borrowed == b.borrowed && a.home == b.home && a.seat == b.seat &&
           a.package == b.package && a.cache == b.cache;
}

/* The index with most votes, the lowest of equals; -1 when nobody voted. */
static int elect(const unsigned *votes, unsigned count)
{
    int chosen = -1;
    for (unsigned i = 0; i < count; i++)
        if (votes[i] > 0 && (chosen < 0 || votes[i] > votes[chosen]))
            chosen = (int)i;
    return chosen;
}

void npi_draft_describe(const struct npi_draft *draft, const struct npi_cpuset *cpus,
                        struct npi_draft_group *group)
{
    const struct npi_machine *machine = &draft->machine;
    unsigned *own = draft->votes, *lent = own + machine->node_count,
             *seats = lent + machine->node_count;
    for (unsigned i = 0; i < 3 * machine->node_count; i++)
        own[i] = 0;
    bool first = true;
    group->package = -1;
    for (int id = npi_cpuset_next(cpus, -1); id >= 0; id = npi_cpuset_next(cpus, id)) {
        int slot = npi_machine_cpu_slot(machine, (unsigned)id);
        const struct npi_draft_cpu *cpu = &draft->cpus[slot];
        if (cpu->home >= 0)
            (cpu->borrowed ? lent : own)[cpu->home]++;
        if (cpu->seat >= 0)
            seats[cpu->seat]++;
        int package = machine->cpus[slot].package;
        group->package = first || package == group->package ? package : -1;
        first = false;
    }
    if (group->home < 0)
        group->home = elect(own, machine->node_count);
    if (group->home < 0)
        group->home = elect(lent, machine->node_count);
    group->borrowed = group->home >= 0 && own[group->home] == 0;
    group->seat = group->borrowed ? elect(seats, machine->node_count) : group->home;
    unsigned homes = 0;
    for (unsigned i = 0; i < machine->node_count; i++)
        homes += own[i] + lent[i] > 0;
    group->spans_nodes = homes > 1;
}

unsigned npi_draft_distance(const struct npi_draft *draft, const struct npi_draft_group *a,
                            const struct npi_draft_group *b)
{
    bool packages_known = a->package >= 0 && b->package >= 0;
    bool same_package = packages_known && a->package == b->package;
    unsigned distance = 0;
    if (a->seat >= 0 && b->seat >= 0)
        distance = npi_machine_distance(&draft->machine, (unsigned)a->seat, (unsigned)b->seat);
    if (distance == 0)
        distance = a->seat == b->seat ? NPI_DISTANCE_NODE
                   : same_package     ? NPI_DISTANCE_PACKAGE
                                      : NPI_DISTANCE_FAR;
    /* One node over several packages, or CPUs that borrow: the table knows only of memory. */
    unsigned least = NPI_DISTANCE_NODE;
    if (a->seat == b->seat && packages_known && !same_package)
        least = NPI_DISTANCE_FAR;
    else if (a->seat == b->seat && a->borrowed != b->borrowed)
        least = NPI_DISTANCE_PACKAGE;
    return distance > least ? distance : least;
}

static struct npi_draft_group *new_group(struct npi_draft *draft, int placed)
{
    struct npi_draft_group *groups =
        realloc(draft->groups, (draft->group_count + 1) * sizeof *groups);
    if (groups == NULL)
        return NULL;
    draft->groups = groups;
    groups[draft->group_count] = (struct npi_draft_group){
        .home = -1, .seat = -1, .package = -1, .placed = placed, .parts = 1};
    return &groups[draft->group_count++];
}

static bool group_by_key(struct npi_draft *draft)
{
    const struct npi_machine *machine = &draft->machine;
    unsigned *first_of_group = calloc((size_t)machine->cpu_count + 1, sizeof *first_of_group);
    if (first_of_group == NULL)
        return false;
    bool done = true;
    for (unsigned slot = 0; done && slot < machine->cpu_count; slot++) {
        struct key key = key_of(draft, slot);
        unsigned group = 0;
        while (group < draft->group_count && !same_key(key, key_of(draft, first_of_group[group])))
            group++;
        if (group == draft->group_count) {
            first_of_group[group] = slot;
            done = new_group(draft, -1) != NULL;
        }
        done = done && npi_cpuset_add(&draft->groups[group].owned, machine->cpus[slot].os_index);
        draft->cpus[slot].group = (int)group;
    }
    free(first_of_group);
    return done;
}

/* Adds those of a list that are here and nobody's yet. */
static bool own_cpus(struct npi_draft *draft, int group, const struct npi_cpuset *cpus)
{
    for (int id = npi_cpuset_next(cpus, -1); id >= 0; id = npi_cpuset_next(cpus, id)) {
        int slot = npi_machine_cpu_slot(&draft->machine, (unsigned)id);
        if (slot < 0 || draft->cpus[slot].group >= 0)
            continue;
        if (!npi_cpuset_add(&draft->groups[group].owned, (unsigned)id))
            return false;
        draft->cpus[slot].group = group;
    }
    return true;
}

static bool group_as_placed(struct npi_draft *draft)
{
    const struct numapool_placement *placement = draft->placement;
    for (unsigned i = 0; i < placement->shard_count; i++)
        if (new_group(draft, (int)i) == NULL ||
            !own_cpus(draft, (int)i, &placement->shards[i].cpus))
            return false;
    return true;
}

/* Callers are added once every shard has its own CPUs: those come first. */
static bool add_placed_callers(struct npi_draft *draft)
{
    for (unsigned i = 0; i < draft->group_count; i++)
        if (draft->groups[i].placed >= 0 &&
            !own_cpus(draft, (int)i, &draft->placement->shards[draft->groups[i].placed].callers))
            return false;
    return true;
}

bool npi_draft_one_per_core(const struct npi_draft *draft, struct npi_cpuset *cpus)
{
    const struct npi_machine *machine = &draft->machine;
    struct npi_cpuset kept = {0}, cores = {0};
    bool done = true;
    for (int id = npi_cpuset_next(cpus, -1); done && id >= 0; id = npi_cpuset_next(cpus, id)) {
        int core = machine->cpus[npi_machine_cpu_slot(machine, (unsigned)id)].core;
        if (core >= 0 && npi_cpuset_has(&cores, (unsigned)core))
            continue;
        done = npi_cpuset_add(&kept, (unsigned)id) &&
               (core < 0 || npi_cpuset_add(&cores, (unsigned)core));
    }
    npi_cpuset_fini(&cores);
    if (!done) {
        npi_cpuset_fini(&kept);
        return false;
    }
    npi_cpuset_fini(cpus);
    *cpus = kept;
    return true;
}

/* The CPUs of each group that workers run on: those that work, one thread of a core if so asked. */
static bool choose_worker_cpus(struct npi_draft *draft)
{
    for (unsigned i = 0; i < draft->machine.cpu_count; i++) {
        int group = draft->cpus[i].group;
        if (group >= 0 && draft->cpus[i].works &&
            !npi_cpuset_add(&draft->groups[group].cpus, draft->machine.cpus[i].os_index))
            return false;
    }
    for (unsigned g = 0; draft->smt == NUMAPOOL_SMT_ONE && g < draft->group_count; g++)
        if (!npi_draft_one_per_core(draft, &draft->groups[g].cpus))
            return false;
    return true;
}

/* Homes and bounds of placed shards are as the file says; the rest follows from the CPUs. */
static void describe_groups(struct npi_draft *draft)
{
    for (unsigned i = 0; i < draft->group_count; i++) {
        struct npi_draft_group *group = &draft->groups[i];
        const struct npi_placed_shard *placed =
            group->placed >= 0 ? &draft->placement->shards[group->placed] : NULL;
        group->memory_bytes = draft->placement->shard_memory_bytes;
        if (placed != NULL && placed->memory_bytes != 0)
            group->memory_bytes = placed->memory_bytes;
        if (placed != NULL)
            group->workers_max = placed->workers_max;
        int node = placed != NULL ? placed->node : -1;
        int slot = node >= 0 ? npi_machine_node_slot(&draft->machine, (unsigned)node) : -1;
        group->home = slot >= 0 && npi_draft_usable_node(draft, (unsigned)slot) ? slot : -1;
        npi_draft_describe(draft, &group->cpus, group);
    }
}

/* Takes groups without worker CPUs out; their CPUs are nobody's for now. */
static bool dissolve_idle_groups(struct npi_draft *draft)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < draft->group_count; i++) {
        struct npi_draft_group *group = &draft->groups[i];
        if (npi_cpuset_count(&group->cpus) > 0) {
            draft->groups[kept++] = *group;
            continue;
        }
        bool done = true;
        if (group->placed >= 0) {
            const char *where = draft->placement->shards[group->placed].where;
            if (draft->placement->on_missing == NPI_MISSING_FAIL)
                npi_mistakes_add_at(&draft->mistakes, where,
                                    "shard[%d].cpus: none of these CPUs can run workers here; name "
                                    "some that can",
                                    group->placed);
            else
                done = npi_notes_add(&draft->notes, &draft->note_count,
                                     "shard[%d] is left out: none of its CPUs can run workers here "
                                     "(%s: shard[%d].cpus)",
                                     group->placed, where, group->placed);
        }
        npi_cpuset_fini(&group->cpus);
        npi_cpuset_fini(&group->owned);
        if (!done) {
            for (i++; i < draft->group_count; i++)
                draft->groups[kept++] = draft->groups[i];
            draft->group_count = kept;
            return false;
        }
    }
    draft->group_count = kept;
    return true;
}

/* Found groups in a stable order: by node, own CPUs before borrowed memory, by lowest CPU. */
static int compare_groups(const void *a, const void *b)
{
    const struct npi_draft_group *x = a, *y = b;
    if (x->placed != y->placed)
        return x->placed < y->placed ? -1 : 1;
    if (x->placed < 0 && x->home != y->home)
        return x->home < y->home ? -1 : 1;
    if (x->placed < 0 && x->borrowed != y->borrowed)
        return x->borrowed ? 1 : -1;
    int low_x = npi_cpuset_next(&x->cpus, -1), low_y = npi_cpuset_next(&y->cpus, -1);
    return (low_x > low_y) - (low_x < low_y);
}

void npi_draft_number_cpus(struct npi_draft *draft)
{
    for (unsigned i = 0; i < draft->machine.cpu_count; i++)
        draft->cpus[i].group = -1;
    for (unsigned g = 0; g < draft->group_count; g++) {
        const struct npi_cpuset *owned = &draft->groups[g].owned;
        for (int id = npi_cpuset_next(owned, -1); id >= 0; id = npi_cpuset_next(owned, id))
            draft->cpus[npi_machine_cpu_slot(&draft->machine, (unsigned)id)].group = (int)g;
    }
}

/* How near a group is to a CPU that is nobody's: its core's group, then by distance, then cache. */
struct claim {
    bool other_core;
    unsigned distance;
    bool other_cache;
};

static bool better_claim(struct claim a, struct claim b)
{
    if (a.other_core != b.other_core)
        return b.other_core;
    if (a.distance != b.distance)
        return a.distance < b.distance;
    return !a.other_cache && b.other_cache;
}

static int nearest_group(const struct npi_draft *draft, unsigned slot, struct claim *claims)
{
    const struct npi_machine *machine = &draft->machine;
    const struct npi_machine_cpu *cpu = &machine->cpus[slot];
    uint64_t words[(NPI_CPU_ID_MAX + 1) / 64];
    size_t word_count = cpu->os_index / 64 + 1;
    for (size_t i = 0; i < word_count; i++)
        words[i] = 0;
    words[word_count - 1] = UINT64_C(1) << (cpu->os_index % 64);
    struct npi_cpuset alone = {words, word_count};
    struct npi_draft_group self = {.home = -1};
    npi_draft_describe(draft, &alone, &self);

    for (unsigned g = 0; g < draft->group_count; g++)
        claims[g] = (struct claim){true, npi_draft_distance(draft, &self, &draft->groups[g]), true};
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        int group = draft->cpus[i].group;
        if (group < 0)
            continue;
        if (cpu->core >= 0 && machine->cpus[i].core == cpu->core)
            claims[group].other_core = false;
        if (cpu->cache >= 0 && machine->cpus[i].cache == cpu->cache)
            claims[group].other_cache = false;
    }
    int best = 0;
    for (unsigned g = 1; g < draft->group_count; g++)
        if (better_claim(claims[g], claims[best]))
            best = (int)g;
    return best;
}

static bool give_away_lone_cpus(struct npi_draft *draft)
{
    unsigned cpu_count = draft->machine.cpu_count;
    int *owner = calloc(cpu_count, sizeof *owner);
    struct claim *claims = calloc(draft->group_count, sizeof *claims);
    bool done = owner != NULL && claims != NULL;
    /* All are judged before any is given, so that the outcome does not depend on their order. */
    for (unsigned i = 0; done && i < cpu_count; i++)
        owner[i] = draft->cpus[i].group < 0 ? nearest_group(draft, i, claims) : -1;
    for (unsigned i = 0; done && i < cpu_count; i++)
        if (owner[i] >= 0) {
            draft->cpus[i].group = owner[i];
            done = npi_cpuset_add(&draft->groups[owner[i]].owned, draft->machine.cpus[i].os_index);
        }
    free(owner);
    free(claims);
    return done;
}

/* With threads bound to single CPUs a file must not ask for more workers than CPUs. */
static void check_worker_counts(struct npi_draft *draft)
{
    for (unsigned i = 0; i < draft->group_count; i++) {
        const struct npi_draft_group *group = &draft->groups[i];
        if (group->placed < 0 || draft->pinning != NUMAPOOL_PIN_CPU)
            continue;
        const struct npi_placed_shard *shard = &draft->placement->shards[group->placed];
        size_t cpu_count = npi_cpuset_count(&group->cpus);
        if (shard->workers_max > cpu_count)
            npi_mistakes_add_at(&draft->mistakes, shard->where,
                                "shard[%d].workers: %u workers on %zu CPUs cannot each have one; "
                                "ask for at most %zu, or set pool.pinning to \"shard\"",
                                group->placed, shard->workers_max, cpu_count, cpu_count);
    }
}

bool npi_draft_form_groups(struct npi_draft *draft)
{
    for (unsigned i = 0; i < draft->machine.cpu_count; i++)
        draft->cpus[i].group = -1;
    bool done = draft->shards_by < 0 ? group_as_placed(draft) : group_by_key(draft);
    if (!done || !choose_worker_cpus(draft) || !dissolve_idle_groups(draft))
        return false;
    if (draft->group_count == 0) {
        if (draft->mistakes.count == 0)
            npi_mistakes_add_at(&draft->mistakes, draft->placement->shards[0].where,
                                "shard: no explicit shard has a CPU that can run workers here; "
                                "`numapool plan` without them shows what there is");
        return true;
    }
    if (draft->group_count > SHARDS_MAX) {
        npi_mistakes_add(&draft->mistakes, 0,
                         "pool.shards: this machine would get %u shards; at most %u are possible, "
                         "choose \"node\", \"package\" or \"single\"",
                         draft->group_count, SHARDS_MAX);
        return true;
    }
    describe_groups(draft);
    qsort(draft->groups, draft->group_count, sizeof *draft->groups, compare_groups);
    npi_draft_number_cpus(draft);
    check_worker_counts(draft);
    return add_placed_callers(draft) && give_away_lone_cpus(draft);
}
