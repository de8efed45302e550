/*
 * A bounded many-to-many queue of tasks in three classes, with one claim word for its producers.
 *
 * Why not one sequence number per slot (the usual many-to-many ring): there a producer that is
 * preempted between taking its slot and filling it hides every task behind it. Here a producer
 * claims the whole ring for the few instructions it takes to write its tasks, and publishes them
 * by one store of the tail; a second producer that finds the claim held for longer than such a
 * write takes goes to another ring of the same shard ("lane", flow/shard.h). So a preempted producer
 * delays its own task alone, a batch is published at once, and the claim is the one atomic
 * read-modify-write of a submit. src/queue/README.md has the comparison.
 *
 * Consumers copy first and take by moving the head afterwards, so a preempted consumer delays nobody.
 *
 *   word        written by         read by      why this order
 *   claim       producers          producers,   sc: also the first half of @sleep-announced (gate.h)
 *                                  sleepers
 *   newest      claim holder       anybody      relaxed: flow/shard.h says what for
 *   tail[c]     claim holder       consumers    release: carries @ring-filled
 *   head[c]     consumers          all          acq_rel: carries @ring-emptied, decides who took
 *   slot words  claim holder       consumers    relaxed: published by tail; a reader that lost the
 *                                               race for the head throws its copy away
 *
 * @ring-claimed   unlock, release claim  ->  claim, sc        the producers' own words are passed on
 * @ring-filled    publish, release tail  ->  take, acquire    payload is complete before it is taken
 * @ring-emptied   take, acq_rel head     ->  room, acquire    payload was copied before it is overwritten
 *
 * Beside: any producers, consumers and sleepers beside each other; init and fini beside nobody.
 * Takes effect at: the tail store (publish), the head CAS (take).
 * Progress: a producer that stops inside its claim stops this ring's other producers, not its
 * consumers; claim() then gives up after a bounded wait. Everything else is lock-free.
 */
#ifndef NPI_QUEUE_RING_H
#define NPI_QUEUE_RING_H

#include "base/atomic.h"
#include "base/cacheline.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NPI_RING_CLASSES 3

/* Slots by which a producer asks for lines before it writes them: two lines. Four were as good. */
#define NPI_RING_AHEAD 4

/* A task as the queue carries it. The first four words travel with every task, the rest only when
   NPI_ITEM_FULL is set in `meta`; their meaning is flow/task.h's business. */
#define NPI_ITEM_HOT_WORDS 4
#define NPI_ITEM_MORE_WORDS 4
#define NPI_ITEM_META 3 /* index of the meta word */
#define NPI_ITEM_FULL (UINT64_C(1) << 63)

struct npi_item {
    uint64_t hot[NPI_ITEM_HOT_WORDS];
    uint64_t more[NPI_ITEM_MORE_WORDS];
};

struct npi_ring_slot {
    npi_a64 word[NPI_ITEM_HOT_WORDS];
};

struct npi_ring_more {
    npi_a64 word[NPI_ITEM_MORE_WORDS];
};

struct npi_ring {
    /* set once */
    struct npi_ring_slot *slots[NPI_RING_CLASSES];
    struct npi_ring_more *mores[NPI_RING_CLASSES];
    uint64_t mask;

    /* producers */
    NPI_APART npi_a64 claim; /* tasks about to be published, 0 = free */
    npi_a64 tail[NPI_RING_CLASSES];
    uint64_t tail_sum; /* owned by the claim holder, as the next word */
    uint64_t head_sum_seen;
    npi_a64 newest; /* the user's: written by the claim holder, read by anybody */

    /* consumers */
    NPI_APART npi_a64 head[NPI_RING_CLASSES];
};

NPI_ASSERT_APART(struct npi_ring, mask, claim);
NPI_ASSERT_APART(struct npi_ring, newest, head);

/* Bytes of memory a ring of a capacity needs beside its struct. */
size_t npi_ring_bytes(uint64_t capacity);

/* Lays a ring over zeroed memory of npi_ring_bytes(). start: where the free-running positions begin,
   0 but for tests of their wrap-around. */
void npi_ring_init(struct npi_ring *ring, uint64_t capacity, void *memory, uint64_t start);

/* What is on every task's way is inlined. Tests that stop a thread between two of these steps need
   calls: with NPI_WRAPPABLE they are functions of ring.c. */
#ifdef NPI_WRAPPABLE
#define NPI_RING_PATH
#else
#define NPI_RING_PATH static inline
#endif

/* Tries to become the producer once. count: tasks to come, at least 1. */
NPI_RING_PATH bool npi_ring_claim_once(struct npi_ring *ring, uint64_t count);

/* The same for at most about 200 turns. */
bool npi_ring_claim(struct npi_ring *ring, uint64_t count);

/* --- with the claim held */
/* Tasks of all classes in this ring, by the cached heads: never below the truth. */
static inline uint64_t npi_ring_depth_cached(const struct npi_ring *ring)
{
    return NPI_MUTANT(depth_short_by_one, ring->tail_sum - ring->head_sum_seen,
                      ring->tail_sum - ring->head_sum_seen -
                          (ring->tail_sum != ring->head_sum_seen));
}
uint64_t npi_ring_depth_refreshed(struct npi_ring *ring); /* exact when nobody takes meanwhile */
NPI_RING_PATH void npi_ring_put(struct npi_ring *ring, unsigned rank, uint64_t offset,
                                const struct npi_item *item);
/* One hot word of a task that was put and is not published yet. */
void npi_ring_amend(struct npi_ring *ring, unsigned rank, uint64_t offset, unsigned word,
                    uint64_t value);
NPI_RING_PATH void npi_ring_publish(struct npi_ring *ring, unsigned rank, uint64_t count);
NPI_RING_PATH void npi_ring_unclaim(struct npi_ring *ring);

/* --- anybody */
/* Copies up to max of the oldest tasks of a class and takes them. Stops before a task whose meta word
   has any bit of `refuse` set. Returns how many. */
unsigned npi_ring_take(struct npi_ring *ring, unsigned rank, uint64_t refuse,
                       struct npi_item *items, unsigned max);

/* One task out of its slot, at a position below a tail that was read before. */
NPI_RING_PATH void npi_ring_read(const struct npi_ring *ring, unsigned rank, uint64_t position,
                                 struct npi_item *item);

/* The two halves of take, for who has to look at something in between. What is copied from a head
   that is out of date is rubbish, and taking it fails. */
static inline uint64_t npi_ring_head(const struct npi_ring *ring, unsigned rank)
{
    return npi_a64_load_acquire(&ring->head[rank]);
}
unsigned npi_ring_copy(const struct npi_ring *ring, unsigned rank, uint64_t head, uint64_t refuse,
                       struct npi_item *items, unsigned max);
static inline bool npi_ring_take_copied(struct npi_ring *ring, unsigned rank, uint64_t head,
                                        unsigned count)
{
    /* Success says the head did not move while we copied, so no producer could reuse the slots; its
       release half keeps the copying before it. @ring-emptied. sc: @room-relied */
    return NPI_MUTANT(take_relaxed,
                      NPI_MUTANT(take_without_cas,
                                 npi_a64_cas_sc(&ring->head[rank], &head, head + count),
                                 (npi_a64_store_sc(&ring->head[rank], head + count), true)),
                      npi_a64_cas_relaxed(&ring->head[rank], &head, head + count));
}

/* The position and one hot word of the task that was the oldest at some moment of the call; false
   when there was none. */
bool npi_ring_oldest(const struct npi_ring *ring, unsigned rank, unsigned word, uint64_t *head,
                     uint64_t *value);
static inline bool npi_ring_peek(const struct npi_ring *ring, unsigned rank, unsigned word,
                                 uint64_t *value)
{
    uint64_t head;
    return npi_ring_oldest(ring, rank, word, &head, value);
}

/* Tasks waiting in one class, and in all with those about to be published. */
uint64_t npi_ring_waiting(const struct npi_ring *ring, unsigned rank);
uint64_t npi_ring_depth(const struct npi_ring *ring);
/* True only when nothing is published and nobody holds the claim. The second half of
   @sleep-announced: to be asked after announcing sleep. */
bool npi_ring_quiet(const struct npi_ring *ring);

#if !defined(NPI_WRAPPABLE) || defined(NPI_RING_BODIES)
NPI_RING_PATH bool npi_ring_claim_once(struct npi_ring *ring, uint64_t count)
{
    uint64_t free = 0;
    if (!NPI_MUTANT(claim_relaxed,
                    NPI_MUTANT(claim_shared, npi_a64_cas_sc(&ring->claim, &free, count),
                               (npi_a64_store_sc(&ring->claim, count), true)),
                    npi_a64_cas_relaxed(&ring->claim, &free,
                                        count))) { /* @ring-claimed, @sleep-announced */
        return false;
    }
    NPI_PLAIN_READ(&ring->tail_sum);
    NPI_PLAIN_READ(&ring->head_sum_seen);
    return true;
}

NPI_RING_PATH void npi_ring_put(struct npi_ring *ring, unsigned rank, uint64_t offset,
                                const struct npi_item *item)
{
    uint64_t at = (npi_a64_load_relaxed(&ring->tail[rank]) + offset) & ring->mask;
    struct npi_ring_slot *slot = &ring->slots[rank][at];
    /* A consumer has read the lines to come and holds them. The next claim would wait for the stores
       of this put, and they for such a line: some 100 ns between two cores. */
    npi_prefetch_to_write(&ring->slots[rank][(at + NPI_RING_AHEAD) & ring->mask]);
#pragma GCC unroll 4
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        npi_a64_store_relaxed(&slot->word[i], item->hot[i]);
    }
    if ((item->hot[NPI_ITEM_META] & NPI_ITEM_FULL) != 0) {
        struct npi_ring_more *more = &ring->mores[rank][at];
        for (unsigned i = 0; i < NPI_ITEM_MORE_WORDS; i++) {
            npi_a64_store_relaxed(&more->word[i], item->more[i]);
        }
    }
}

NPI_RING_PATH void npi_ring_publish(struct npi_ring *ring, unsigned rank, uint64_t count)
{
    NPI_PLAIN_WRITE(&ring->tail_sum);
    ring->tail_sum += count;
    uint64_t tail = npi_a64_load_relaxed(&ring->tail[rank]);
    NPI_MUTANT(publish_relaxed, npi_a64_store_release(&ring->tail[rank], tail + count),
               npi_a64_store_relaxed(&ring->tail[rank], tail + count)); /* @ring-filled */
}

NPI_RING_PATH void npi_ring_unclaim(struct npi_ring *ring)
{
    NPI_MUTANT(unclaim_relaxed, npi_a64_store_release(&ring->claim, 0),
               npi_a64_store_relaxed(&ring->claim, 0)); /* @ring-claimed */
}

NPI_RING_PATH void npi_ring_read(const struct npi_ring *ring, unsigned rank, uint64_t position,
                                 struct npi_item *item)
{
    uint64_t at = position & ring->mask;
    const struct npi_ring_slot *slot = &ring->slots[rank][at];
#pragma GCC unroll 4
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        item->hot[i] = npi_a64_load_relaxed(&slot->word[i]);
    }
    if (NPI_MUTANT(further_words_left, (item->hot[NPI_ITEM_META] & NPI_ITEM_FULL) != 0, false)) {
        const struct npi_ring_more *more = &ring->mores[rank][at];
        for (unsigned i = 0; i < NPI_ITEM_MORE_WORDS; i++) {
            item->more[i] = npi_a64_load_relaxed(&more->word[i]);
        }
    }
}
#endif

#endif
