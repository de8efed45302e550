/*
 * A shard's memory: one range of pages on its node for the queue, the workers' records and the
 * histograms, and one for the stacks. Nothing is touched here but the shard's own struct, so the
 * bound pages appear where the threads of the node first use them.
 */
#include "api/pool.h"
#include "base/cacheline.h"
#include "flow/control.h"
#include "flow/worker.h"
#include "os/os.h"
#include "topology/place.h"

#include <stdlib.h>
#include <string.h>

/* Workers beyond twice the shard's CPUs share one set of histograms: they run tasks that wait. */
#define OWN_TIMES_LEAST 8u

/* Hands out pieces of a range; with base NULL it only measures. */
struct carver {
    char *base;
    size_t used;
};

static void *carve(struct carver *carver, size_t bytes, size_t align)
{
    carver->used = npi_round_up(carver->used, align);
    void *piece = carver->base != NULL ? carver->base + carver->used : NULL;
    carver->used += bytes;
    return piece;
}

static void lay_out(struct npi_shard *shard, struct carver *carver)
{
    uint32_t slots = shard->worker_slots;
    size_t page = npi_pages_size();
    shard->workers = carve(carver, slots * sizeof *shard->workers, page);
    struct npi_sleeper *sleepers = carve(carver, slots * sizeof *sleepers, page);
    shard->times = carve(carver, shard->times_count * sizeof *shard->times, page);
    shard->control = carve(carver, sizeof *shard->control, page);
    size_t others = shard->pool->shard_count;
    shard->order = carve(carver, others * sizeof *shard->order, NPI_LINE_BYTES);
    shard->classes = carve(carver, others * sizeof *shard->classes, NPI_LINE_BYTES);
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        void *memory = carve(carver, npi_ring_bytes(shard->capacity_tasks), page);
        if (carver->base != NULL) {
            npi_ring_init(&shard->lanes[lane], shard->capacity_tasks, memory, 0);
        }
    }
    if (carver->base != NULL) {
        npi_gate_init(&shard->gate, sleepers, 0);
    }
}

static void bind(struct npi_shard *shard, void *start, size_t bytes)
{
    const struct npi_plan *plan = shard->pool->plan;
    if (plan->live && plan->memory_policy != NPI_MEMORY_LOCAL &&
        npi_place_range(start, bytes, plan->memory_policy, plan->nodes[shard->node].os_index) !=
            0) {
        (void)npi_a64_add_relaxed(&shard->pool->bind_denied, 1);
    }
}

static int make_pages(struct npi_shard *shard)
{
    struct carver measure = {0};
    lay_out(shard, &measure);
    size_t page = npi_pages_size();
    shard->pages_bytes = npi_round_up(measure.used, page);
    if (npi_pages_reserve(&shard->pages, shard->pages_bytes, 0) != 0) {
        shard->pages = NULL;
        return NUMAPOOL_E_NOMEM;
    }
    bind(shard, shard->pages, shard->pages_bytes);
    if (npi_pages_commit(shard->pages, shard->pages_bytes) != 0) {
        return NUMAPOOL_E_NOMEM;
    }
    struct carver carver = {shard->pages, 0};
    lay_out(shard, &carver);

    shard->stack_stride_bytes = npi_round_up(shard->pool->config.stack_bytes, page) + page;
    void *stacks = NULL;
    size_t bytes = (size_t)(shard->worker_slots + 1) * shard->stack_stride_bytes;
    if (npi_pages_reserve(&stacks, bytes, 0) != 0) {
        return NUMAPOOL_E_NOMEM;
    }
    shard->stacks = stacks;
    bind(shard, stacks, bytes);
    return NUMAPOOL_OK;
}

static int order_others(struct npi_shard *shard)
{
    const struct npi_plan *plan = shard->pool->plan;
    size_t n = plan->shard_count;
    uint32_t *row = calloc(n, sizeof *row);
    if (row == NULL) {
        return NUMAPOOL_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        row[i] = plan->distance[shard->index * n + i];
    }
    shard->class_count = npi_forward_order(row, n, shard->index, shard->order, shard->classes);
    free(row);
    return NUMAPOOL_OK;
}

int npi_shard_create(struct npi_shard **out, struct numapool *pool, unsigned index)
{
    struct npi_shard *shard = NULL;
    size_t struct_bytes = npi_round_up(sizeof *shard, npi_pages_size());
    void *pages = NULL;
    if (npi_pages_reserve(&pages, struct_bytes, 0) != 0) {
        return NUMAPOOL_E_NOMEM;
    }
    const struct npi_plan_shard *plan = &pool->plan->shards[index];
    if (pool->plan->live && pool->plan->memory_policy != NPI_MEMORY_LOCAL) {
        (void)npi_place_range(pages, struct_bytes, pool->plan->memory_policy,
                              pool->plan->nodes[plan->node].os_index); /* counted once, below */
    }
    if (npi_pages_commit(pages, struct_bytes) != 0) {
        (void)npi_pages_release(pages, struct_bytes);
        return NUMAPOOL_E_NOMEM;
    }
    shard = pages; /* zeroed by the kernel */
    shard->pool = pool;
    shard->index = index;
    shard->node = plan->node;
    shard->plan = plan;
    uint64_t n = pool->shard_count;
    uint64_t capacity = pool->config.queue_tasks / n + (pool->config.queue_tasks % n != 0);
    shard->capacity_tasks = (uint32_t)capacity;
    shard->worker_slots = npi_pool_threads_max(pool, pool->budget_max);
    shard->workers_kept = npi_pool_part(pool, pool->config.workers_min, index);
    if (shard->workers_kept == 0) {
        shard->workers_kept = 1;
    }
    uint32_t own = 2 * plan->cpu_count;
    shard->times_count = (own > OWN_TIMES_LEAST ? own : OWN_TIMES_LEAST) + 1;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        npi_a64_init(&shard->sojourn_ticks_min[rank], UINT64_MAX);
    }
    *out = shard; /* from here on npi_shard_destroy() knows what there is */

    int result = make_pages(shard);
    if (result == NUMAPOOL_OK) {
        result = order_others(shard);
    }
    return result;
}

void npi_shard_destroy(struct npi_shard *shard)
{
    if (shard == NULL) {
        return;
    }
    if (shard->stacks != NULL) {
        (void)npi_pages_release(shard->stacks,
                                (size_t)(shard->worker_slots + 1) * shard->stack_stride_bytes);
    }
    if (shard->pages != NULL) {
        (void)npi_pages_release(shard->pages, shard->pages_bytes);
    }
    (void)npi_pages_release(shard, npi_round_up(sizeof *shard, npi_pages_size()));
}
