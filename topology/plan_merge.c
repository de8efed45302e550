/*
 * Joins neighbouring shards until there are few enough. Works on the finished plan alone.
 *
 * Each step joins the two nearest shards; of equally near pairs the one with the fewest CPUs, so that
 * eight equal nodes become four equal pairs and not one heap and six nodes. The joined shard keeps
 * the memory node of the larger part, and its distances, as those are distances between memories.
 */
#include "topology/plan_draft.h"
#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

struct pair {
    unsigned a, b; /* a < b */
};

static struct pair nearest_pair(const struct npi_plan *plan)
{
    struct pair best = {0, 1};
    unsigned best_distance = UINT32_MAX, best_cpus = UINT32_MAX;
    for (unsigned a = 0; a < plan->shard_count; a++)
        for (unsigned b = a + 1; b < plan->shard_count; b++) {
            unsigned distance = plan->distance[(size_t)a * plan->shard_count + b];
            unsigned cpus = plan->shards[a].cpu_count + plan->shards[b].cpu_count;
            if (distance < best_distance || (distance == best_distance && cpus < best_cpus)) {
                best = (struct pair){a, b};
                best_distance = distance;
                best_cpus = cpus;
            }
        }
    return best;
}

/* Removes row and column `gone` of the table of distances, in place. */
static void shrink_distances(struct npi_plan *plan, unsigned gone)
{
    unsigned count = plan->shard_count;
    size_t to = 0;
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < count; j++)
            if (i != gone && j != gone)
                plan->distance[to++] = plan->distance[(size_t)i * count + j];
}

/* A plan of the same content whose shards may be joined; its reasons and cpus are its own. */
static struct npi_plan *copy_shards(const struct npi_plan *plan)
{
    unsigned count = plan->shard_count;
    struct npi_plan *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return NULL;
    copy->live = plan->live;
    copy->shards = calloc(count, sizeof *copy->shards);
    copy->distance = calloc((size_t)count * count, sizeof *copy->distance);
    bool done = copy->shards != NULL && copy->distance != NULL;
    if (done)
        memcpy(copy->distance, plan->distance, (size_t)count * count * sizeof *copy->distance);
    for (unsigned i = 0; done && i < count; i++) {
        const struct npi_plan_shard *from = &plan->shards[i];
        struct npi_plan_shard *to = &copy->shards[copy->shard_count++];
        *to = *from;
        to->cpus = to->owned_cpus = (struct npi_cpuset){0};
        to->neighbours = NULL;
        to->reason = npi_text_format("%s", from->reason);
        done = to->reason != NULL && npi_cpuset_copy(&to->cpus, &from->cpus) &&
               npi_cpuset_copy(&to->owned_cpus, &from->owned_cpus);
    }
    if (!done) {
        npi_plan_free(copy);
        return NULL;
    }
    return copy;
}

/* Either part may have no bound of its own; then neither has the whole. */
static uint64_t sum_or_none(uint64_t a, uint64_t b)
{
    return a != 0 && b != 0 ? a + b : 0;
}

static char *joined_reason(const struct npi_plan_shard *larger,
                           const struct npi_plan_shard *smaller)
{
    struct npi_text text = {0};
    npi_text_add(&text, "%s Joined with its nearest, CPUs ", larger->reason);
    npi_text_add_set(&text, &smaller->cpus);
    npi_text_add(&text, ".");
    return npi_text_take(&text);
}

static bool join(struct npi_plan *plan, struct pair pair)
{
    struct npi_plan_shard *into = &plan->shards[pair.a], *from = &plan->shards[pair.b];
    bool keep_first = into->cpu_count >= from->cpu_count;
    char *reason = joined_reason(keep_first ? into : from, keep_first ? from : into);
    if (reason == NULL || !npi_cpuset_union(&into->cpus, &from->cpus) ||
        !npi_cpuset_union(&into->owned_cpus, &from->owned_cpus)) {
        free(reason);
        return false;
    }
    free(into->reason);
    into->reason = reason;
    into->spans_nodes = into->spans_nodes || from->spans_nodes || into->node != from->node;
    into->borrowed = into->borrowed && from->borrowed;
    into->node = keep_first ? into->node : from->node;
    into->package = into->package == from->package ? into->package : -1;
    into->cpu_count += from->cpu_count;
    into->capacity += from->capacity;
    into->workers_max = (unsigned)sum_or_none(into->workers_max, from->workers_max);
    into->memory_bytes = sum_or_none(into->memory_bytes, from->memory_bytes);
    if (!keep_first) {
        unsigned count = plan->shard_count;
        for (unsigned i = 0; i < count; i++) {
            plan->distance[(size_t)pair.a * count + i] = plan->distance[(size_t)pair.b * count + i];
            plan->distance[(size_t)i * count + pair.a] = plan->distance[(size_t)i * count + pair.b];
        }
        plan->distance[(size_t)pair.a * count + pair.a] = NPI_DISTANCE_NODE;
    }
    npi_cpuset_fini(&from->cpus);
    npi_cpuset_fini(&from->owned_cpus);
    free(from->reason);
    shrink_distances(plan, pair.b);
    memmove(from, from + 1, (plan->shard_count - pair.b - 1) * sizeof *from);
    plan->shard_count--;
    return true;
}

/* Moves the shards over; nothing here can fail. */
static void adopt_shards(struct npi_plan *plan, struct npi_plan *merged)
{
    struct npi_plan old = *plan;
    plan->shards = merged->shards;
    plan->shard_count = merged->shard_count;
    plan->distance = merged->distance;
    plan->shard_of_cpu = merged->shard_of_cpu;
    plan->cpu_slots = merged->cpu_slots;
    merged->shards = old.shards;
    merged->shard_count = old.shard_count;
    merged->distance = old.distance;
    merged->shard_of_cpu = old.shard_of_cpu;
    npi_plan_settle_nodes(plan);
}

int npi_plan_merge(struct npi_plan *plan, unsigned shard_max)
{
    unsigned before = plan->shard_count;
    if (shard_max == 0)
        shard_max = 1;
    if (before <= shard_max)
        return NUMAPOOL_OK;
    struct npi_plan *merged = copy_shards(plan);
    bool done = merged != NULL;
    while (done && merged->shard_count > shard_max)
        done = join(merged, nearest_pair(merged));
    done = done && npi_plan_order_neighbours(merged) && npi_plan_map_cpus(merged) &&
           npi_notes_add(&plan->notes, &plan->note_count,
                         "%u shards were joined into %u with their nearest neighbours, as there is "
                         "not one worker's or CPU's worth for each",
                         before, shard_max);
    if (done)
        adopt_shards(plan, merged);
    npi_plan_free(merged);
    return done ? NUMAPOOL_OK : NUMAPOOL_E_NOMEM;
}
