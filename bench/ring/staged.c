/*
 * A ring whose producers move its tail in two stages, as DPDK's rte_ring does (its programmer's guide,
 * "Ring Library"): a place is taken by moving the tail's head, and published by moving its tail, in the order
 * in which places were taken. Consumers do the same. Who stops between its two stages stops all
 * that come after it on its side.
 */
#include "contender.h"

#include <stdlib.h>

struct staged_side {
    NPI_APART npi_a64 head;
    npi_a64 tail;
};

struct staged_queue {
    uint64_t capacity;
    struct {
        npi_a64 word[NPI_ITEM_HOT_WORDS];
    } * slots;
    struct staged_side producers, consumers;
};

static void *create(uint64_t capacity)
{
    size_t size = npi_round_up(sizeof(struct staged_queue), NPI_APART_BYTES);
    struct staged_queue *queue = aligned_alloc(NPI_APART_BYTES, size);
    if (queue == NULL) {
        return NULL;
    }
    queue->slots = calloc(capacity, sizeof *queue->slots);
    if (queue->slots == NULL) {
        free(queue);
        return NULL;
    }
    queue->capacity = capacity;
    npi_a64_init(&queue->producers.head, 0);
    npi_a64_init(&queue->producers.tail, 0);
    npi_a64_init(&queue->consumers.head, 0);
    npi_a64_init(&queue->consumers.tail, 0);
    return queue;
}

static void destroy(void *arg)
{
    struct staged_queue *queue = arg;
    free(queue->slots);
    free(queue);
}

/* The first stage: a place on this side, of those the other side has left at `ahead` places more. */
static bool take_place(struct staged_side *side, const struct staged_side *other, uint64_t ahead,
                       uint64_t *position)
{
    *position = npi_a64_load_acquire(&side->head);
    do {
        /* After the head, so that the other side is never seen behind it. */
        if (npi_a64_load_acquire(&other->tail) + ahead - *position == 0) {
            return false;
        }
    } while (!npi_a64_cas_acq_rel(&side->head, position, *position + 1));
    return true;
}

/* The second: when all that took a place before have published theirs. */
static void publish(struct staged_side *side, uint64_t position)
{
    while (npi_a64_load_relaxed(&side->tail) != position) {
        npi_pause();
    }
    npi_a64_store_release(&side->tail, position + 1);
}

static bool push(void *arg, const struct npi_item *item)
{
    struct staged_queue *queue = arg;
    uint64_t position;
    if (!take_place(&queue->producers, &queue->consumers, queue->capacity, &position)) {
        return false;
    }
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        npi_a64_store_relaxed(&queue->slots[position & (queue->capacity - 1)].word[i],
                              item->hot[i]);
    }
    publish(&queue->producers, position);
    return true;
}

static bool pop(void *arg, struct npi_item *item)
{
    struct staged_queue *queue = arg;
    uint64_t position;
    if (!take_place(&queue->consumers, &queue->producers, 0, &position)) {
        return false;
    }
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        item->hot[i] =
            npi_a64_load_relaxed(&queue->slots[position & (queue->capacity - 1)].word[i]);
    }
    publish(&queue->consumers, position);
    return true;
}

const struct contender contender_staged = {
    .name = "staged",
    .create = create,
    .destroy = destroy,
    .push = push,
    .pop = pop,
};
