/* The ring's operations; the protocol and its edges stand in ring.h. */
#define NPI_RING_BODIES
#include "queue/ring.h"

#include "base/check.h"

/* A claim is held for some twenty instructions and a few cache misses. Someone who holds it through
   this many pauses is not running. The interleaving checker has its own number. */
#ifndef CLAIM_TURNS
#define CLAIM_TURNS 200
#endif

size_t npi_ring_bytes(uint64_t capacity)
{
    uint64_t slots = 1;
    while (slots < capacity) {
        slots *= 2;
    }
    return (size_t)(slots * NPI_RING_CLASSES *
                    (sizeof(struct npi_ring_slot) + sizeof(struct npi_ring_more)));
}

void npi_ring_init(struct npi_ring *ring, uint64_t capacity, void *memory, uint64_t start)
{
    uint64_t slots = 1;
    while (slots < capacity) {
        slots *= 2;
    }
    ring->mask = slots - 1;
    struct npi_ring_slot *slot = memory;
    struct npi_ring_more *more = (void *)(slot + NPI_RING_CLASSES * slots);
    for (unsigned c = 0; c < NPI_RING_CLASSES; c++) {
        ring->slots[c] = slot + c * slots;
        ring->mores[c] = more + c * slots;
        npi_a64_init(&ring->tail[c], start);
        npi_a64_init(&ring->head[c], start);
    }
    npi_a64_init(&ring->claim, 0);
    npi_a64_init(&ring->newest, 0);
    ring->tail_sum = start * NPI_RING_CLASSES;
    ring->head_sum_seen = ring->tail_sum;
}

bool npi_ring_claim(struct npi_ring *ring, uint64_t count)
{
    for (int turn = 0; turn < CLAIM_TURNS; turn++) {
        /* Looking does not take the line away from the holder, as trying would. */
        if (npi_a64_load_relaxed(&ring->claim) == 0 && npi_ring_claim_once(ring, count)) {
            return true;
        }
        npi_pause();
    }
    return false;
}

uint64_t npi_ring_depth_refreshed(struct npi_ring *ring)
{
    uint64_t sum = 0;
    for (unsigned c = 0; c < NPI_RING_CLASSES; c++) {
        sum += npi_a64_load_sc(&ring->head[c]); /* @ring-emptied: pairs with take; @room-relied */
    }
    NPI_PLAIN_WRITE(&ring->head_sum_seen);
    ring->head_sum_seen = sum;
    return ring->tail_sum - sum;
}

void npi_ring_amend(struct npi_ring *ring, unsigned rank, uint64_t offset, unsigned word,
                    uint64_t value)
{
    uint64_t at = (npi_a64_load_relaxed(&ring->tail[rank]) + offset) & ring->mask;
    npi_a64_store_relaxed(&ring->slots[rank][at].word[word], value);
}

unsigned npi_ring_copy(const struct npi_ring *ring, unsigned rank, uint64_t head, uint64_t refuse,
                       struct npi_item *items, unsigned max)
{
    uint64_t tail = NPI_MUTANT(copy_relaxed, npi_a64_load_acquire(&ring->tail[rank]),
                               npi_a64_load_relaxed(&ring->tail[rank])); /* @ring-filled */
    unsigned count = NPI_MUTANT(copy_past_tail, tail - head < max, tail < head + max)
                         ? (unsigned)(tail - head)
                         : max;
    for (unsigned n = 0; n < count; n++) {
        npi_ring_read(ring, rank, head + n, &items[n]);
        if (NPI_MUTANT(refused_taken, (items[n].hot[NPI_ITEM_META] & refuse) != 0, false)) {
            return n;
        }
    }
    return count;
}

unsigned npi_ring_take(struct npi_ring *ring, unsigned rank, uint64_t refuse,
                       struct npi_item *items, unsigned max)
{
    for (;;) {
        uint64_t head = npi_ring_head(ring, rank);
        unsigned count = npi_ring_copy(ring, rank, head, refuse, items, max);
        if (count == 0 || npi_ring_take_copied(ring, rank, head, count)) {
            return count;
        }
    }
}

bool npi_ring_oldest(const struct npi_ring *ring, unsigned rank, unsigned word, uint64_t *head,
                     uint64_t *value)
{
    for (;;) {
        *head = npi_ring_head(ring, rank);
        if (npi_a64_load_acquire(&ring->tail[rank]) == *head) { /* @ring-filled */
            return false;
        }
        /* Acquire: the head is read again after it. */
        *value = npi_a64_load_acquire(&ring->slots[rank][*head & ring->mask].word[word]);
        if (npi_ring_head(ring, rank) == *head) {
            return true;
        }
    }
}

uint64_t npi_ring_waiting(const struct npi_ring *ring, unsigned rank)
{
    /* The head first: the tail read later is never behind it. */
    uint64_t head = npi_a64_load_sc(&ring->head[rank]); /* @room-relied */
    return npi_a64_load_acquire(&ring->tail[rank]) - head;
}

uint64_t npi_ring_depth(const struct npi_ring *ring)
{
    uint64_t depth = npi_a64_load_sc(&ring->claim);
    for (unsigned c = 0; c < NPI_RING_CLASSES; c++) {
        depth += npi_ring_waiting(ring, c);
    }
    return depth;
}

bool npi_ring_quiet(const struct npi_ring *ring)
{
    /* Claim before tails: a claim seen free was either given up, then its tail is visible, or comes
       later, then its holder sees the announced sleeper. @sleep-announced */
    if (NPI_MUTANT(quiet_ignores_claim, npi_a64_load_sc(&ring->claim) != 0, false)) {
        return false;
    }
    for (unsigned c = 0; c < NPI_RING_CLASSES; c++) {
        if (npi_a64_load_sc(&ring->tail[c]) != npi_a64_load_sc(&ring->head[c])) {
            return false;
        }
    }
    return true;
}
