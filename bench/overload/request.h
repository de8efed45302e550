/*
 * What a request does, the same for every contender: take memory, touch each page of it, sleep,
 * and record when. A request is one word, its generator and its number there, from which its
 * intended time follows, so nothing is allocated for it.
 */
#ifndef OVERLOAD_REQUEST_H
#define OVERLOAD_REQUEST_H

#include "histogram.h"

#include <stddef.h>
#include <stdint.h>

struct generator;
struct options;

_Static_assert(sizeof(void *) == 8, "a request must fit into a task's argument");

#define REQUEST_INDEX_BITS 44

static inline uint64_t request_id(unsigned generator, uint64_t index)
{
    return (uint64_t)generator << REQUEST_INDEX_BITS | index;
}

/* Before the first request. Returns 0, or -1 when there is no memory for it. */
int request_setup(const struct options *options, struct generator *generators);

/* Serves a request that began at begin_ns with the memory it was given. NULL means it got none: the
   request then ends at once and is counted as such. */
void request_serve(uint64_t id, uint64_t begin_ns, void *memory);

/* The contender dropped a request it had accepted. */
void request_dropped(uint64_t id);

enum request_time {
    REQUEST_IN_TASK,
    REQUEST_END_TO_END,
    REQUEST_WAIT,
    REQUEST_TIMES,
};

struct request_totals {
    uint64_t completed;
    uint64_t no_memory;
    uint64_t dropped;
    uint64_t twice;   /* came to an end that had come to one before */
    uint64_t last_ns; /* when the last one ended */
};

/* Both may be called at any time; they are exact once nothing runs any more. */
void request_read_totals(struct request_totals *totals);
void request_read_times(enum request_time which, struct histogram_view *view);

#endif
