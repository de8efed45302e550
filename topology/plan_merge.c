/*
 * Joins neighbouring shards until there are few enough.
 *
 * Each step joins the two nearest; of equally near pairs the one with the fewest CPUs, so that
 * eight equal nodes become four equal pairs and not one heap and six nodes. The joined shard lives
 * in the memory of its larger part. What follows from CPUs and homes is then found again from the
 * draft, so a joined plan is exactly what a file with the same shards would give.
 */
#include "topology/plan_draft.h"
#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

struct pair {
    unsigned a, b; /* a < b */
};

/* `sizes` are the groups' numbers of CPUs: counting them for every pair takes most of the time. */
static struct pair nearest_pair(const struct npi_draft *draft, const struct npi_draft_group *groups,
                                const size_t *sizes, unsigned count)
{
    struct pair best = {0, 1};
    unsigned best_distance = UINT32_MAX;
    size_t best_cpus = SIZE_MAX;
    for (unsigned a = 0; a < count; a++)
        for (unsigned b = a + 1; b < count; b++) {
            unsigned distance = npi_draft_distance(draft, &groups[a], &groups[b]);
            if (distance > best_distance)
                continue;
            size_t cpus = sizes[a] + sizes[b];
            if (distance < best_distance || cpus < best_cpus) {
                best = (struct pair){a, b};
                best_distance = distance;
                best_cpus = cpus;
            }
        }
    return best;
}

static struct npi_draft_group *copy_groups(const struct npi_draft *draft)
{
    struct npi_draft_group *groups = calloc(draft->group_count, sizeof *groups);
    bool done = groups != NULL;
    for (unsigned i = 0; done && i < draft->group_count; i++) {
        groups[i] = draft->groups[i];
        groups[i].cpus = groups[i].owned = (struct npi_cpuset){0};
        done = npi_cpuset_copy(&groups[i].cpus, &draft->groups[i].cpus);
        done = npi_cpuset_copy(&groups[i].owned, &draft->groups[i].owned) && done;
        if (!done) {
            npi_draft_groups_free(groups, i + 1);
            return NULL;
        }
    }
    return groups;
}

/* What a file may say at most; joined shards must still fit one. */
#define WORKERS_MAX 32768u
#define MEMORY_MAX (UINT64_C(1) << 50)

/* Either part may have no bound of its own; then neither has the whole. */
static uint64_t sum_or_none(uint64_t a, uint64_t b, uint64_t most)
{
    if (a == 0 || b == 0)
        return 0;
    return a + b < most ? a + b : most;
}

/* Joins b into a and closes the gap. */
static bool join(const struct npi_draft *draft, struct npi_draft_group *groups, unsigned count,
                 struct pair pair)
{
    struct npi_draft_group *into = &groups[pair.a], *from = &groups[pair.b];
    bool first_is_larger = npi_cpuset_count(&into->cpus) >= npi_cpuset_count(&from->cpus);
    if (!npi_cpuset_union(&into->cpus, &from->cpus) ||
        !npi_cpuset_union(&into->owned, &from->owned))
        return false;
    if (draft->smt == NUMAPOOL_SMT_ONE && !npi_draft_one_per_core(draft, &into->cpus))
        return false;
    into->home = first_is_larger ? into->home : from->home;
    into->parts += from->parts;
    /* CPUs may be fewer than those of the parts, whose threads may be siblings. */
    size_t workers_most =
        draft->pinning == NUMAPOOL_PIN_CPU ? npi_cpuset_count(&into->cpus) : WORKERS_MAX;
    into->workers_max =
        (unsigned)sum_or_none(into->workers_max, from->workers_max,
                              workers_most < WORKERS_MAX ? workers_most : WORKERS_MAX);
    into->memory_bytes = sum_or_none(into->memory_bytes, from->memory_bytes, MEMORY_MAX);
    npi_draft_describe(draft, &into->cpus, into);
    npi_cpuset_fini(&from->cpus);
    npi_cpuset_fini(&from->owned);
    for (unsigned i = pair.b; i + 1 < count; i++)
        groups[i] = groups[i + 1];
    return true;
}

static void swap_groups(struct npi_draft *draft, struct npi_draft_group **groups, unsigned *count)
{
    struct npi_draft_group *old_groups = draft->groups;
    unsigned old_count = draft->group_count;
    draft->groups = *groups;
    draft->group_count = *count;
    *groups = old_groups;
    *count = old_count;
    npi_draft_number_cpus(draft);
}

int npi_plan_merge(struct npi_plan *plan, unsigned shard_max)
{
    struct npi_draft *draft = plan->draft;
    unsigned before = draft->group_count, count = before;
    if (shard_max == 0)
        shard_max = 1;
    if (before <= shard_max)
        return NUMAPOOL_OK;
    struct npi_draft_group *groups = copy_groups(draft);
    size_t *sizes = calloc((size_t)count + 1, sizeof *sizes);
    bool done = groups != NULL && sizes != NULL;
    for (unsigned i = 0; done && i < count; i++)
        sizes[i] = npi_cpuset_count(&groups[i].cpus);
    while (done && count > shard_max) {
        struct pair pair = nearest_pair(draft, groups, sizes, count);
        done = join(draft, groups, count, pair);
        if (!done)
            break;
        count--;
        sizes[pair.a] = npi_cpuset_count(&groups[pair.a].cpus);
        memmove(sizes + pair.b, sizes + pair.b + 1, (count - pair.b) * sizeof *sizes);
    }
    free(sizes);
    if (!done) {
        if (groups != NULL)
            npi_draft_groups_free(groups, count);
        return NUMAPOOL_E_NOMEM;
    }
    swap_groups(draft, &groups, &count);
    struct npi_plan *merged = npi_draft_to_plan(draft);
    if (merged == NULL ||
        !npi_notes_add(&merged->notes, &merged->note_count,
                       "%u shards were joined into %u with their nearest neighbours, as there is "
                       "not a worker or a CPU's worth of time for each",
                       before, shard_max)) {
        swap_groups(draft, &groups, &count);
        npi_draft_groups_free(groups, count);
        npi_plan_free(merged);
        return NUMAPOOL_E_NOMEM;
    }
    npi_draft_groups_free(groups, count);
    struct npi_plan old = *plan;
    *plan = *merged;
    plan->draft = draft;
    *merged = old;
    merged->draft = NULL;
    npi_plan_free(merged);
    return NUMAPOOL_OK;
}
