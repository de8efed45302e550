/*
 * A ring with a state in each slot, which says for which position it is free, filled or taken.
 * Producers take positions in order and fill them when they get to it; consumers take a slot by its
 * state, so they can go past one that is claimed and not filled yet (a hole).
 *
 *   word        written by             why this order
 *   tail        producers              relaxed: claims a position, publishes nothing
 *   cell.state  owner of the cell      release/acquire: carries the payload both ways
 *   first       consumers              a hint: every position below it has been taken
 */
#include "contender.h"

#include <stdlib.h>

enum { FREE, FILLED, TAKEN, STATES = 4 };

struct cell {
    alignas(NPI_LINE_BYTES) npi_a64 state; /* position * STATES + one of the above */
    npi_a64 word[NPI_ITEM_HOT_WORDS];
};

struct sequence_queue {
    struct cell *cells;
    uint64_t capacity;
    NPI_APART npi_a64 tail;
    NPI_APART npi_a64 first;
};

/* After this many steps a consumer asks how far it can jump. */
#define STEPS_MAX 8

static struct cell *cell_at(const struct sequence_queue *queue, uint64_t position)
{
    return &queue->cells[position & (queue->capacity - 1)];
}

static void *create(uint64_t capacity)
{
    struct sequence_queue *queue = aligned_alloc(NPI_APART_BYTES, sizeof *queue);
    struct cell *cells = aligned_alloc(NPI_LINE_BYTES, capacity * sizeof *cells);
    if (queue == NULL || cells == NULL) {
        free(queue);
        free(cells);
        return NULL;
    }
    queue->cells = cells;
    queue->capacity = capacity;
    npi_a64_init(&queue->tail, 0);
    npi_a64_init(&queue->first, 0);
    for (uint64_t position = 0; position < capacity; position++) {
        npi_a64_init(&cells[position].state, position * STATES + FREE);
    }
    return queue;
}

static void destroy(void *arg)
{
    struct sequence_queue *queue = arg;
    free(queue->cells);
    free(queue);
}

static bool claim_position(struct sequence_queue *queue, uint64_t *position)
{
    uint64_t tail = npi_a64_load_relaxed(&queue->tail);
    for (;;) {
        uint64_t state = npi_a64_load_acquire(&cell_at(queue, tail)->state);
        int64_t ahead = (int64_t)(state - tail * STATES);
        if (ahead < 0) {
            return false; /* its last task is still there */
        }
        if (ahead > 0) {
            tail = npi_a64_load_relaxed(&queue->tail);
        } else if (npi_a64_cas_relaxed(&queue->tail, &tail, tail + 1)) {
            *position = tail;
            return true;
        }
    }
}

static void fill(struct sequence_queue *queue, uint64_t position, const struct npi_item *item)
{
    struct cell *cell = cell_at(queue, position);
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        npi_a64_store_relaxed(&cell->word[i], item->hot[i]);
    }
    npi_a64_store_release(&cell->state, position * STATES + FILLED);
}

static bool push(void *arg, const struct npi_item *item)
{
    struct sequence_queue *queue = arg;
    uint64_t position;
    if (!claim_position(queue, &position)) {
        return false;
    }
    fill(queue, position, item);
    return true;
}

static void take(struct sequence_queue *queue, uint64_t position, struct npi_item *item)
{
    struct cell *cell = cell_at(queue, position);
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        item->hot[i] = npi_a64_load_relaxed(&cell->word[i]);
    }
    npi_a64_store_release(&cell->state, (position + queue->capacity) * STATES + FREE);
}

static bool pop(void *arg, struct npi_item *item)
{
    struct sequence_queue *queue = arg;
    uint64_t position = npi_a64_load_relaxed(&queue->first);
    bool hole = false;
    unsigned steps = 0;
    for (;;) {
        struct cell *cell = cell_at(queue, position);
        uint64_t state = npi_a64_load_acquire(&cell->state);
        int64_t ahead = (int64_t)(state - position * STATES);
        if (ahead == FILLED) {
            if (!npi_a64_cas_acq_rel(&cell->state, &state, position * STATES + TAKEN)) {
                continue;
            }
            take(queue, position, item);
            if (!hole) {
                npi_a64_store_relaxed(&queue->first, position + 1);
            }
            return true;
        }
        if (ahead <= FREE) {
            if ((int64_t)(npi_a64_load_acquire(&queue->tail) - position) <= 0) {
                return false;
            }
            hole = hole || ahead == FREE;
        }
        position++;
        if (++steps == STEPS_MAX) {
            /* Whoever claimed tail - 1 found the same cell free: all before it was taken. The hint
               may be far behind, when a slow consumer has written it. */
            uint64_t least = npi_a64_load_acquire(&queue->tail) - queue->capacity;
            position = (int64_t)(least - position) > 0 ? least : position;
        }
    }
}

static void stop(void *arg, uint64_t *ticket)
{
    (void)claim_position(arg, ticket);
}

static void resume(void *arg, uint64_t ticket, const struct npi_item *item)
{
    fill(arg, ticket, item);
}

const struct contender contender_sequence = {
    .name = "sequence",
    .create = create,
    .destroy = destroy,
    .push = push,
    .pop = pop,
    .stop = stop,
    .resume = resume,
};
