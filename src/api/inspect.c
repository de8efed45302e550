/* Looking inside: counts, distances, statistics. */
#include "api/inspect.h"

#include "flow/stats.h"

#include <string.h>

size_t numapool_node_count(numapool *pool)
{
    return pool == NULL ? 0 : pool->node_count;
}

size_t numapool_shard_count(numapool *pool)
{
    return pool == NULL ? 0 : pool->shard_count;
}

int numapool_distance(numapool *pool, size_t shard_a, size_t shard_b)
{
    if (pool == NULL || shard_a >= pool->shard_count || shard_b >= pool->shard_count) {
        return -1;
    }
    return (int)pool->plan->distance[shard_a * pool->shard_count + shard_b];
}

void npi_inspect_shard(numapool *pool, unsigned index, struct numapool_shard_stats *stats,
                       struct npi_histogram_sum *wait, struct npi_histogram_sum *run)
{
    npi_stats_of(pool->shards[index], stats, wait, run);
    npi_stats_times(stats, wait, run);
}

void npi_inspect_pool(numapool *pool, struct numapool_shard_stats *stats,
                      struct npi_histogram_sum *wait, struct npi_histogram_sum *run)
{
    memset(stats, 0, sizeof *stats);
    for (unsigned i = 0; i < pool->shard_count; i++) {
        npi_stats_add(pool->shards[i], stats, wait, run);
    }
    npi_stats_times(stats, wait, run);
    stats->bytes_in_use = npi_space_in_use(pool->space);
    stats->bind_denied = npi_a64_load_relaxed(&pool->bind_denied);
}

/* Hands out as much as the caller's struct holds, keeping its struct_size. `from` begins with the first
   field after it. */
static int hand_out(void *to, size_t size, const void *from, size_t bytes)
{
    if (size < sizeof(size_t) + sizeof(uint64_t)) {
        return NUMAPOOL_E_INVALID;
    }
    size_t room = size - sizeof(size_t);
    memcpy((char *)to + sizeof(size_t), from, room < bytes ? room : bytes);
    return NUMAPOOL_OK;
}

int numapool_stats(numapool *pool, struct numapool_stats *stats)
{
    if (pool == NULL || stats == NULL) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    _Static_assert(sizeof(struct numapool_shard_stats) -
                           offsetof(struct numapool_shard_stats, submitted) ==
                       sizeof(struct numapool_stats) - offsetof(struct numapool_stats, submitted),
                   "both structs end with the same fields");
    struct numapool_shard_stats all;
    struct npi_histogram_sum wait = {0}, run = {0};
    npi_inspect_pool(pool, &all, &wait, &run);
    return hand_out(stats, stats->struct_size, &all.submitted,
                    sizeof *stats - offsetof(struct numapool_stats, submitted));
}

int numapool_shard_stats(numapool *pool, size_t shard, struct numapool_shard_stats *stats)
{
    if (pool == NULL || stats == NULL || shard >= pool->shard_count) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    struct numapool_shard_stats one;
    struct npi_histogram_sum wait, run;
    npi_inspect_shard(pool, (unsigned)shard, &one, &wait, &run);
    return hand_out(stats, stats->struct_size, &one.node,
                    sizeof one - offsetof(struct numapool_shard_stats, node));
}

int numapool_plan_write(numapool *pool, int fd)
{
    if (pool == NULL || fd < 0) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    return npi_plan_print(pool->plan, fd);
}
