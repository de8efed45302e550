/*
 * Event heap of the simulator: what happens next in virtual time.
 *
 * Events at the same instant come out in the order they went in, so a run depends on its seed
 * alone.
 */
#ifndef SIM_EVENT_H
#define SIM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_event_kind {
    SIM_EVENT_ARRIVAL, /* of sim_pool.arrival */
    SIM_EVENT_SLICE,   /* a: shard, b: thread whose time slice ends */
    SIM_EVENT_SHARED,  /* a: shard, b: version of its processor-sharing schedule */
    SIM_EVENT_WAKE,    /* a: task whose wait is over */
    SIM_EVENT_FOREIGN, /* a: shard, b: foreign thread that wakes */
    SIM_EVENT_TICK,
    SIM_EVENT_CHANGE, /* a: change */
    SIM_EVENT_SEEN    /* a: change that the pool notices now */
};

struct sim_event {
    uint64_t at_ns;
    uint64_t order;
    enum sim_event_kind kind;
    uint32_t a, b;
};

struct sim_event_heap {
    struct sim_event *events;
    size_t count, space;
    uint64_t order;
};

void sim_event_push(struct sim_event_heap *heap, uint64_t at_ns, enum sim_event_kind kind,
                    uint32_t a, uint32_t b);
bool sim_event_pop(struct sim_event_heap *heap, struct sim_event *event);
void sim_event_fini(struct sim_event_heap *heap);

/* Room for one more element in a growing array; ends the process when memory is out. */
void *sim_grow(void *array, size_t count, size_t *space, size_t element_bytes);
void *sim_zeroed(size_t count, size_t element_bytes);

#endif
