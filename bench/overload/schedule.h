/*
 * The open loop: every request has an intended time fixed before the run, whatever becomes of the
 * requests before it. A generator sleeps until the next millisecond, then hands over all requests
 * that are due; one that wakes late or is held up hands over more, and nobody's intended time
 * moves. measure.c makes generators; request.c asks them when a request was intended.
 */
#ifndef OVERLOAD_SCHEDULE_H
#define OVERLOAD_SCHEDULE_H

#include "histogram.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

struct run;

struct generator {
    /* Set before the start. */
    struct run *run;
    unsigned index;
    int node;              /* node index the contender is told, where it takes one */
    int pin_os_index;      /* real node to run on, -1 = anywhere */
    uint64_t rate;         /* requests per second, not 0 */
    uint64_t count;        /* requests of the whole window */
    uint64_t start_ns;     /* intended time of request 0 */
    _Atomic uint64_t *ran; /* one bit per request: it has run or was dropped */
    pthread_t thread;

    /* Written by the generator's thread; the sampler reads the atomics meanwhile. */
    alignas(64) _Atomic uint64_t handed_over; /* = accepted + refused */
    _Atomic uint64_t refused;
    uint64_t cpu_ns;
    bool realtime; /* its priority */
    struct histogram lateness;
    struct histogram refusal; /* duration of a batch of SCHEDULE_BATCH refusals */
};

/* Requests handed over between two looks at the clock. Small enough that batches of refusals only
   are common when a few per cent are accepted, large enough that the clock costs little. */
#define SCHEDULE_BATCH 32

/* 128 bits, because nanoseconds × requests per second pass 64 bits within hours. */
__extension__ typedef unsigned __int128 schedule_wide;

static inline uint64_t schedule_intended_ns(const struct generator *generator, uint64_t index)
{
    return generator->start_ns + (uint64_t)((schedule_wide)index * 1000000000u / generator->rate);
}

/* How many requests of a generator fall into a window. */
static inline uint64_t schedule_count(uint64_t rate, uint64_t window_ns)
{
    return (uint64_t)((schedule_wide)rate * window_ns / 1000000000u);
}

/* Splits the rate over nodes (and evenly over the generators of each): node 0 gets the share skew,
   or as much as the others when skew is negative. The parts add up to the rate. */
void schedule_split(uint64_t *rates, unsigned nodes, unsigned per_node, uint64_t rate, double skew);

/* Thread of a generator. */
void *schedule_thread(void *generator);

#endif
