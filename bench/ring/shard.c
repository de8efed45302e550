/* numapool's ring as a shard uses it: four lanes, three classes, one bound over all, pool still
 * open. */
#include "flow/shard.h"
#include "contender.h"
#include "flow/pool.h"

#include <stdlib.h>
#include <string.h>

struct shard_queue {
    struct npi_shard shard;
    struct numapool pool;
    uint64_t capacity;
    void *memory;
};

static void *create(uint64_t capacity)
{
    size_t bytes = npi_ring_bytes(capacity);
    size_t size = npi_round_up(sizeof(struct shard_queue), NPI_APART_BYTES);
    struct shard_queue *queue = aligned_alloc(NPI_APART_BYTES, size);
    char *memory = calloc(NPI_LANES, bytes);
    if (queue == NULL || memory == NULL) {
        free(queue);
        free(memory);
        return NULL;
    }
    memset(queue, 0, sizeof *queue);
    queue->shard.pool = &queue->pool;
    queue->capacity = capacity;
    queue->memory = memory;
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        npi_ring_init(&queue->shard.lanes[lane], capacity, memory + lane * bytes, 0);
    }
    return queue;
}

static void destroy(void *arg)
{
    struct shard_queue *queue = arg;
    free(queue->memory);
    free(queue);
}

static bool push(void *arg, const struct npi_item *item)
{
    struct shard_queue *queue = arg;
    return npi_shard_push(&queue->shard, NPI_CLASS_NORMAL, item, 1, queue->capacity) == 1;
}

static bool pop(void *arg, struct npi_item *item)
{
    struct shard_queue *queue = arg;
    return npi_shard_take(&queue->shard, 0, item, 1) != 0;
}

static void stop(void *arg, uint64_t *ticket)
{
    struct shard_queue *queue = arg;
    *ticket = npi_ring_claim(&queue->shard.lanes[0], 1);
}

static void resume(void *arg, uint64_t ticket, const struct npi_item *item)
{
    struct shard_queue *queue = arg;
    struct npi_ring *ring = &queue->shard.lanes[0];
    (void)ticket;
    npi_ring_put(ring, NPI_CLASS_NORMAL, 0, item);
    npi_ring_publish(ring, NPI_CLASS_NORMAL, 1);
    npi_ring_unclaim(ring);
}

const struct contender contender_shard = {
    .name = "shard",
    .create = create,
    .destroy = destroy,
    .push = push,
    .pop = pop,
    .stop = stop,
    .resume = resume,
};
