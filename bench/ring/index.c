/*
 * Two rings of slot numbers in the manner of SCQ (Nikolaev, "A Scalable, Portable, and
 * Memory-Efficient Lock-Free FIFO Queue", DISC 2019), written from the paper: one holds the free
 * slots, one those with tasks. A producer owns its slot alone while it fills it, so whoever stops
 * keeps one slot and nothing else.
 *
 * A ring has twice as many entries as there are slot numbers. Head and tail are taken by adding,
 * never by comparing; an entry that the other side came too late for is used in a later cycle. The
 * threshold tells a consumer when it has looked often enough to call the ring empty.
 */
#include "contender.h"

#include <stdlib.h>

/* An entry: cycle in the high 31 bits, then one bit "safe", then the slot number. */
#define NO_SLOT UINT64_C(0xffffffff)
#define SAFE (UINT64_C(1) << 32)
#define CYCLE_SHIFT 33
#define CYCLE_MASK (~((UINT64_C(1) << CYCLE_SHIFT) - 1))

struct number_ring {
    npi_a64 *entries;
    unsigned order; /* log2 of the entries */
    int64_t threshold_full;
    NPI_APART npi_a64 head;
    NPI_APART npi_a64 tail;
    NPI_APART npi_a64 threshold; /* signed */
};

struct slot {
    npi_a64 word[NPI_ITEM_HOT_WORDS];
};

struct index_queue {
    struct number_ring used, spare;
    struct slot *slots;
};

static uint64_t cycle_bits(const struct number_ring *ring, uint64_t position)
{
    return position >> ring->order << CYCLE_SHIFT;
}

/* Neighbouring positions lie in different lines. */
static npi_a64 *entry_at(const struct number_ring *ring, uint64_t position)
{
    uint64_t entry = position & ((UINT64_C(1) << ring->order) - 1);
    if (ring->order > 3) {
        entry = (entry << 3 | entry >> (ring->order - 3)) & ((UINT64_C(1) << ring->order) - 1);
    }
    return &ring->entries[entry];
}

static bool number_ring_init(struct number_ring *ring, uint64_t capacity, bool filled)
{
    uint64_t count = 2 * capacity;
    ring->order = 63u - (unsigned)__builtin_clzll(count);
    ring->threshold_full = (int64_t)(3 * capacity - 1);
    ring->entries = calloc(count, sizeof *ring->entries);
    if (ring->entries == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        npi_a64_init(&ring->entries[i], SAFE | NO_SLOT);
    }
    npi_a64_init(&ring->head, count);
    npi_a64_init(&ring->tail, filled ? count + capacity : count);
    npi_a64_init(&ring->threshold, filled ? (uint64_t)ring->threshold_full : UINT64_MAX);
    for (uint64_t i = 0; filled && i < capacity; i++) {
        npi_a64_init(entry_at(ring, count + i), cycle_bits(ring, count + i) | SAFE | i);
    }
    return true;
}

/* Puts a slot number at a position that was taken from tail; false: too late for it. */
static bool place(struct number_ring *ring, uint64_t position, uint64_t slot)
{
    npi_a64 *place = entry_at(ring, position);
    uint64_t cycle = cycle_bits(ring, position);
    uint64_t entry = npi_a64_load_acquire(place);
    do {
        if ((int64_t)((entry & CYCLE_MASK) - cycle) >= 0 || (entry & NO_SLOT) != NO_SLOT ||
            ((entry & SAFE) == 0 && (int64_t)(npi_a64_load_sc(&ring->head) - position) > 0)) {
            return false;
        }
    } while (!npi_a64_cas_sc(place, &entry, cycle | SAFE | slot));
    if ((int64_t)npi_a64_load_sc(&ring->threshold) != ring->threshold_full) {
        npi_a64_store_sc(&ring->threshold, (uint64_t)ring->threshold_full);
    }
    return true;
}

/* There is always room: there are fewer slots than entries. */
static void put_number(struct number_ring *ring, uint64_t slot)
{
    while (!place(ring, npi_a64_add_sc(&ring->tail, 1), slot)) {
    }
}

/* Consumers that looked past the tail move it behind them. */
static void catch_up(struct number_ring *ring, uint64_t tail, uint64_t head)
{
    while (!npi_a64_cas_sc(&ring->tail, &tail, head)) {
        head = npi_a64_load_sc(&ring->head);
        tail = npi_a64_load_sc(&ring->tail);
        if ((int64_t)(tail - head) >= 0) {
            return;
        }
    }
}

/* The slot number at a position that was taken from head; false: none is there. */
static bool look(struct number_ring *ring, uint64_t position, uint64_t *slot)
{
    npi_a64 *place = entry_at(ring, position);
    uint64_t cycle = cycle_bits(ring, position);
    uint64_t entry = npi_a64_load_acquire(place);
    for (;;) {
        int64_t ahead = (int64_t)((entry & CYCLE_MASK) - cycle);
        if (ahead == 0) {
            /* Ours alone now; an "or" suffices, and keeps what another side sets meanwhile. */
            (void)__atomic_fetch_or(&place->value_, NO_SLOT, __ATOMIC_ACQ_REL);
            *slot = entry & NO_SLOT;
            return true;
        }
        if (ahead > 0) {
            return false;
        }
        uint64_t skipped =
            (entry & NO_SLOT) == NO_SLOT ? cycle | (entry & SAFE) | NO_SLOT : entry & ~SAFE;
        if (npi_a64_cas_sc(place, &entry, skipped)) {
            return false;
        }
    }
}

static bool take_number(struct number_ring *ring, uint64_t *slot)
{
    if ((int64_t)npi_a64_load_sc(&ring->threshold) < 0) {
        return false;
    }
    for (;;) {
        uint64_t head = npi_a64_add_sc(&ring->head, 1);
        if (look(ring, head, slot)) {
            return true;
        }
        uint64_t tail = npi_a64_load_sc(&ring->tail);
        if ((int64_t)(tail - (head + 1)) <= 0) {
            catch_up(ring, tail, head + 1);
            (void)npi_a64_add_sc(&ring->threshold, UINT64_MAX);
            return false;
        }
        if ((int64_t)npi_a64_add_sc(&ring->threshold, UINT64_MAX) <= 0) {
            return false;
        }
    }
}

/* ----------------------------------------------------------------------------- the queue */

static void destroy(void *arg)
{
    struct index_queue *queue = arg;
    free(queue->used.entries);
    free(queue->spare.entries);
    free(queue->slots);
    free(queue);
}

static void *create(uint64_t capacity)
{
    size_t size = npi_round_up(sizeof(struct index_queue), NPI_APART_BYTES);
    struct index_queue *queue = aligned_alloc(NPI_APART_BYTES, size);
    if (queue == NULL) {
        return NULL;
    }
    queue->used.entries = queue->spare.entries = NULL;
    queue->slots = calloc(capacity, sizeof *queue->slots);
    if (queue->slots == NULL || !number_ring_init(&queue->used, capacity, false) ||
        !number_ring_init(&queue->spare, capacity, true)) {
        destroy(queue);
        return NULL;
    }
    return queue;
}

static void fill(struct index_queue *queue, uint64_t slot, const struct npi_item *item)
{
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        npi_a64_store_relaxed(&queue->slots[slot].word[i], item->hot[i]);
    }
}

static bool push(void *arg, const struct npi_item *item)
{
    struct index_queue *queue = arg;
    uint64_t slot;
    if (!take_number(&queue->spare, &slot)) {
        return false;
    }
    fill(queue, slot, item);
    put_number(&queue->used, slot);
    return true;
}

static bool pop(void *arg, struct npi_item *item)
{
    struct index_queue *queue = arg;
    uint64_t slot;
    if (!take_number(&queue->used, &slot)) {
        return false;
    }
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        item->hot[i] = npi_a64_load_relaxed(&queue->slots[slot].word[i]);
    }
    put_number(&queue->spare, slot);
    return true;
}

/* With a slot and a position of its own. */
static void stop(void *arg, uint64_t *ticket)
{
    struct index_queue *queue = arg;
    uint64_t slot = 0;
    (void)take_number(&queue->spare, &slot);
    *ticket = npi_a64_add_sc(&queue->used.tail, 1) << 16 | slot; /* capacity up to 65536 here */
}

static void resume(void *arg, uint64_t ticket, const struct npi_item *item)
{
    struct index_queue *queue = arg;
    uint64_t slot = ticket & 0xffff;
    fill(queue, slot, item);
    if (!place(&queue->used, ticket >> 16, slot)) {
        put_number(&queue->used, slot);
    }
}

const struct contender contender_index = {
    .name = "index",
    .create = create,
    .destroy = destroy,
    .push = push,
    .pop = pop,
    .stop = stop,
    .resume = resume,
};
