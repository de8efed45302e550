/*
 * Many-to-one list: blocks freed by threads that must not touch the heap they belong to, until
 * whoever holds the heap takes them all. Not a queue: the order is nobody's, and nothing can be
 * taken singly, which is why no tag against reuse of an address is needed.
 *
 * The link lives in the block itself: a block on the list is memory nobody else uses. Used by
 * memory/block.c.
 *
 * word        written by        read by     why this order
 * list.head   pushers, taker    both        carries the edge below
 * link.next   the pusher        the taker   plain: handed over by the edge
 *
 * @returned  push, release CAS of head  ->  take_all, acquire swap of head
 *            the block's link, and everything its last user did to it, is complete before the heap
 *            hands the block out again. A take_all sees the last push; the earlier ones reach it
 *            because every push is a read-modify-write of the same word (one release sequence).
 *
 * Beside: push with push, push with take_all, take_all with take_all are fine; init with nothing.
 * Takes effect at: the CAS (push), the swap (take_all).
 * Progress: take_all never waits; a push is repeated only when another push or take_all succeeded.
 */
#ifndef NPI_QUEUE_RETURN_LIST_H
#define NPI_QUEUE_RETURN_LIST_H

#include "base/atomic.h"

#include <stdbool.h>

struct npi_return_link {
    struct npi_return_link *next;
};

struct npi_return_list {
    npi_a64 head; /* address of the last link pushed, 0 = none */
};

void npi_return_list_init(struct npi_return_list *list);

/* The link is the list's from here on. */
void npi_return_list_push(struct npi_return_list *list, struct npi_return_link *link);

/* Everything pushed so far, last in first, linked by next; NULL = nothing. The caller's from here
 * on. */
struct npi_return_link *npi_return_list_take_all(struct npi_return_list *list);

/* A glance without any order: whether take_all is worth its swap. */
static inline bool npi_return_list_seems_empty(const struct npi_return_list *list)
{
    return npi_a64_load_relaxed(&list->head) == 0;
}

#endif
