/* Binary heap of events, and the simulator's memory: a simulation without memory has no result to
 * give. */
#include "sim/event.h"

#include <stdio.h>
#include <stdlib.h>

static void out_of_memory(void)
{
    (void)fputs("simulator: out of memory\n", stderr);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a simulation has one thread */
    exit(1);
}

void *sim_zeroed(size_t count, size_t element_bytes)
{
    void *block = calloc(count ? count : 1, element_bytes);
    if (!block)
        out_of_memory();
    return block;
}

void *sim_grow(void *array, size_t count, size_t *space, size_t element_bytes)
{
    if (count < *space)
        return array;
    size_t wanted = *space ? *space * 2 : 256;
    void *block = realloc(array, wanted * element_bytes);
    if (!block)
        out_of_memory();
    *space = wanted;
    return block;
}

static bool before(const struct sim_event *left, const struct sim_event *right)
{
    return left->at_ns < right->at_ns ||
           (left->at_ns == right->at_ns && left->order < right->order);
}

void sim_event_push(struct sim_event_heap *heap, uint64_t at_ns, enum sim_event_kind kind,
                    uint32_t a, uint32_t b)
{
    heap->events = sim_grow(heap->events, heap->count, &heap->space, sizeof *heap->events);
    struct sim_event event = {at_ns, heap->order++, kind, a, b};
    size_t at = heap->count++;
    while (at > 0 && before(&event, &heap->events[(at - 1) / 2])) {
        heap->events[at] = heap->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->events[at] = event;
}

bool sim_event_pop(struct sim_event_heap *heap, struct sim_event *event)
{
    if (heap->count == 0)
        return false;
    *event = heap->events[0];
    struct sim_event last = heap->events[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(&heap->events[child + 1], &heap->events[child]))
            child++;
        if (!before(&heap->events[child], &last))
            break;
        heap->events[at] = heap->events[child];
        at = child;
    }
    if (heap->count > 0)
        heap->events[at] = last;
    return true;
}

void sim_event_fini(struct sim_event_heap *heap)
{
    free(heap->events);
}
