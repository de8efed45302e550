/*
 * Stop 5: memory for a task's lifetime (scratch) and beyond it (blocks), from the right node. The
 * public memory calls and what a task asks about itself; the work is done in memory/.
 */
#include "flow/group.h"
#include "flow/pool.h"
#include "flow/submit.h"
#include "flow/worker.h"
#include "os/os.h"
#include "topology/place.h"

void *numapool_scratch(size_t bytes)
{
    struct npi_worker *self = npi_worker_self;
    if (self == NULL || !npi_worker_in_task(self) || bytes == 0 ||
        npi_pool_forked(self->shard->pool)) {
        return NULL; /* in a child another thread of the parent may hold a lock for ever */
    }
    return npi_scratch_take(&self->scratch, bytes);
}

void *numapool_alloc(numapool *pool, int node, size_t bytes)
{
    if (pool == NULL || bytes == 0 || node < -1 || npi_pool_forked(pool)) {
        return NULL;
    }
    unsigned at;
    if (node == -1) {
        at = pool->shards[npi_submit_caller_shard(pool)]->node;
    } else {
        at = (unsigned)node;
        if (at >= pool->node_count) {
            return NULL;
        }
    }
    return npi_cache_alloc(pool->space, at, bytes);
}

static NPI_APART_FROM_PATH void tell_no_block(const numapool *pool, const void *memory)
{
    npi_pool_log(pool, NUMAPOOL_LOG_ERROR,
                 "numapool_free: %p is no block of this pool, or was freed already", memory);
}

void numapool_free(numapool *pool, void *memory)
{
    if (pool == NULL || memory == NULL || npi_pool_forked(pool)) {
        return;
    }
    if (NPI_UNLIKELY(!npi_cache_free(pool->space, memory))) {
        tell_no_block(pool, memory);
    }
}

int numapool_node_of(numapool *pool, const void *memory)
{
    if (pool == NULL || memory == NULL || npi_pool_forked(pool)) {
        return -1;
    }
    int node = npi_space_node_of(pool->space, memory);
    if (node >= 0 || !pool->plan->live) {
        return node;
    }
    int os_index = npi_place_node_of(memory);
    for (unsigned i = 0; os_index >= 0 && i < pool->node_count; i++) {
        if (pool->plan->nodes[i].os_index == (unsigned)os_index) {
            return (int)i;
        }
    }
    return -1;
}

int numapool_current_node(void)
{
    const struct npi_worker *self = npi_worker_self;
    return self == NULL || !npi_worker_in_task(self) ? -1 : (int)self->shard->node;
}

bool numapool_cancelled(void)
{
    const struct npi_worker *self = npi_worker_self;
    if (self == NULL || !npi_worker_in_task(self)) {
        return false;
    }
    const numapool_group *group = npi_item_group(&self->item);
    uint64_t deadline = npi_item_deadline_ticks(&self->item);
    return (group != NULL && npi_group_is_cancelled(group)) ||
           (deadline != 0 && npi_clock_ticks() >= deadline);
}

void numapool_block_begin(void)
{
    struct npi_worker *self = npi_worker_self;
    if (self != NULL && npi_worker_in_task(self)) {
        (void)npi_worker_block_begin(self);
    }
}

void numapool_block_end(void)
{
    struct npi_worker *self = npi_worker_self;
    if (self != NULL && npi_worker_in_task(self)) {
        npi_worker_block_end(self);
    }
}
