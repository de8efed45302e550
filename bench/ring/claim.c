/* numapool's own ring, without the shard around it: one of its classes, its whole capacity the
 * bound. */
#include "contender.h"

#include <stdlib.h>

#define RANK 1

struct claim_queue {
    struct npi_ring ring;
    uint64_t capacity;
    void *memory;
};

static void *create(uint64_t capacity)
{
    struct claim_queue *queue = aligned_alloc(NPI_APART_BYTES, sizeof *queue);
    void *memory = calloc(1, npi_ring_bytes(capacity));
    if (queue == NULL || memory == NULL) {
        free(queue);
        free(memory);
        return NULL;
    }
    npi_ring_init(&queue->ring, capacity, memory, 0);
    queue->capacity = capacity;
    queue->memory = memory;
    return queue;
}

static void destroy(void *arg)
{
    struct claim_queue *queue = arg;
    free(queue->memory);
    free(queue);
}

static bool publish(struct claim_queue *queue, const struct npi_item *item)
{
    struct npi_ring *ring = &queue->ring;
    bool room = npi_ring_depth_cached(ring) < queue->capacity ||
                npi_ring_depth_refreshed(ring) < queue->capacity;
    if (room) {
        npi_ring_put(ring, RANK, 0, item);
        npi_ring_publish(ring, RANK, 1);
    }
    npi_ring_unclaim(ring);
    return room;
}

static bool push(void *arg, const struct npi_item *item)
{
    struct claim_queue *queue = arg;
    return npi_ring_claim(&queue->ring, 1) && publish(queue, item);
}

static bool pop(void *arg, struct npi_item *item)
{
    struct claim_queue *queue = arg;
    return npi_ring_take(&queue->ring, RANK, 0, item, 1) != 0;
}

static void stop(void *arg, uint64_t *ticket)
{
    struct claim_queue *queue = arg;
    *ticket = npi_ring_claim(&queue->ring, 1);
}

static void resume(void *arg, uint64_t ticket, const struct npi_item *item)
{
    (void)ticket;
    (void)publish(arg, item);
}

const struct contender contender_claim = {
    .name = "claim",
    .create = create,
    .destroy = destroy,
    .push = push,
    .pop = pop,
    .stop = stop,
    .resume = resume,
};
