/* Concurrency Kit's ring, for many to many. */
#include "contender.h"

#include <ck_ring.h>
#include <stdlib.h>
#include <string.h>

struct hot {
    uint64_t word[NPI_ITEM_HOT_WORDS];
};

CK_RING_PROTOTYPE(hot, hot)

struct ck_queue {
    ck_ring_t ring;
    struct hot *slots;
};

static void *create(uint64_t capacity)
{
    size_t size = npi_round_up(sizeof(struct ck_queue), NPI_APART_BYTES);
    struct ck_queue *queue = aligned_alloc(NPI_APART_BYTES, size);
    if (queue == NULL) {
        return NULL;
    }
    queue->slots = calloc(capacity, sizeof *queue->slots);
    if (queue->slots == NULL) {
        free(queue);
        return NULL;
    }
    ck_ring_init(&queue->ring, (unsigned)capacity);
    return queue;
}

static void destroy(void *arg)
{
    struct ck_queue *queue = arg;
    free(queue->slots);
    free(queue);
}

static bool push(void *arg, const struct npi_item *item)
{
    struct ck_queue *queue = arg;
    struct hot hot;
    memcpy(hot.word, item->hot, sizeof hot.word);
    return CK_RING_ENQUEUE_MPMC(hot, &queue->ring, queue->slots, &hot);
}

static bool pop(void *arg, struct npi_item *item)
{
    struct ck_queue *queue = arg;
    struct hot hot;
    if (!CK_RING_DEQUEUE_MPMC(hot, &queue->ring, queue->slots, &hot)) {
        return false;
    }
    memcpy(item->hot, hot.word, sizeof hot.word);
    return true;
}

const struct contender contender_ck = {
    .name = "ck",
    .create = create,
    .destroy = destroy,
    .push = push,
    .pop = pop,
};
