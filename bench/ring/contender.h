/*
 * What is compared: bounded many-to-many queues of tasks of four words, each as a producer and a
 * consumer see it, and as it looks when a producer stops in the middle of a push.
 */
#ifndef RING_CONTENDER_H
#define RING_CONTENDER_H

#include "queue/ring.h"

#include <stdbool.h>
#include <stdint.h>

struct contender {
    const char *name;
    void *(*create)(uint64_t capacity); /* a power of two; NULL = no memory */
    void (*destroy)(void *queue);
    bool (*push)(void *queue,
                 const struct npi_item *item);       /* false: full, or held by a stopped one */
    bool (*pop)(void *queue, struct npi_item *item); /* false: nothing to be had */

    /* A push that stops where it hurts others most, and what it does when it runs again. NULL where
       that stops everybody: such a one is not asked about it. */
    void (*stop)(void *queue, uint64_t *ticket);
    void (*resume)(void *queue, uint64_t ticket, const struct npi_item *item);
};

extern const struct contender contender_claim; /* src/queue/ring.c alone */
extern const struct contender contender_shard; /* the same as a shard uses it, with all its lanes */
extern const struct contender contender_sequence; /* one state per slot; consumers go past holes */
extern const struct contender contender_index;    /* two rings of slot numbers */

/* Beside them, in the suite alone: */
extern const struct contender contender_staged; /* moves its ends in two stages */
#ifdef BENCH_CK
extern const struct contender contender_ck; /* Concurrency Kit's */
#endif

#endif
