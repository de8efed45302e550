/*
 * Blocks: memory of a node that outlives a task. Small ones come from spans on one of the node's
 * heaps, large ones are runs of their own. Called by api (numapool_alloc, numapool_free) on any
 * thread, and by trim.c.
 *
 * A heap is used under its latch, and everybody tries before waiting: an allocation goes to the
 * next heap, a free puts the block on the heap's return list and goes. Only an allocation that
 * finds all heaps of the node busy waits, asleep, for the one of its choice; whoever holds it does
 * a bounded number of steps.
 *
 * Freed blocks of a busy heap are on one list per heap, not one per span: a span whose blocks all
 * came back that way has nobody who looks at it, and the heap would have to search its spans for
 * the lists that are not empty. Here one swap tells, and whoever gets the heap next takes them all.
 */
#include "memory/block.h"

#include "base/check.h"
#include "memory/chunk.h"
#include "memory/latch.h"
#include "memory/span.h"

#include <string.h>

static void add_owned(npi_a64 *counter, uint64_t value)
{
    /* Written under the heap's latch only, so no read-modify-write; readers want any recent value.
     */
    npi_a64_store_relaxed(counter, npi_a64_load_relaxed(counter) + value);
}

static void list_span(struct npi_slice *slice, struct npi_heap *heap, const struct npi_span *span)
{
    npi_run_list_push(slice, &heap->spans[span->class], span->chunk);
    slice->chunks[span->chunk].span.listed = true;
}

static void unlist_span(struct npi_slice *slice, struct npi_heap *heap, const struct npi_span *span)
{
    npi_run_list_remove(slice, &heap->spans[span->class], span->chunk);
    slice->chunks[span->chunk].span.listed = false;
}

static void count_empty(struct npi_heap *heap, uint32_t change)
{
    npi_a32_store_relaxed(&heap->empty_spans, npi_a32_load_relaxed(&heap->empty_spans) + change);
}

/* Empty spans that a heap keeps whatever their class. Blocks of 32 KiB are two to a span: a batch of
   them, allocated and freed, would take and give a run for every other one. Counted as backed, and given
   back when the pool is idle or memory is short. */
#define EMPTY_SPANS_KEPT 16

/* A block comes back to its span. An empty span goes back to the slice, unless it is the last of
   its class that has blocks, or one of a few: else a thread that allocates and frees one block would take
   and give a run each time. */
static void put_block(struct npi_slice *slice, struct npi_heap *heap, const struct npi_span *span,
                      void *block)
{
    npi_span_put(slice, span->chunk, block, &slice->space->classes[span->class]);
    struct npi_chunk *run = &slice->chunks[span->chunk];
    if (!run->span.listed)
        list_span(slice, heap, span);
    if (run->span.used > 0)
        return;
    if (heap->spans[span->class].count == 1 ||
        npi_a32_load_relaxed(&heap->empty_spans) < EMPTY_SPANS_KEPT) {
        count_empty(heap, 1);
    } else {
        unlist_span(slice, heap, span);
        npi_span_destroy(slice, span->chunk);
    }
}

/* Puts away what was freed while the heap was busy. Under its latch. */
static void take_returned(struct npi_slice *slice, struct npi_heap *heap)
{
    struct npi_return_link *link = npi_return_list_take_all(&heap->returned);
    while (link) {
        NPI_PLAIN_READ(link);
        struct npi_return_link *next = link->next;
        struct npi_span span;
        if (npi_span_find(slice, link, &span))
            put_block(slice, heap, &span, link);
        link = next;
    }
}

static void *take_block(struct npi_slice *slice, struct npi_heap *heap, uint32_t class_index,
                        bool *grown)
{
    const struct npi_class *class = &slice->space->classes[class_index];
    struct npi_span span = {.class = class_index, .heap = (uint32_t)(heap - slice->heaps)};
    span.chunk = heap->spans[class_index].first;
    if (!span.chunk) {
        take_returned(slice, heap);
        span.chunk = heap->spans[class_index].first;
    }
    if (!span.chunk) {
        span.chunk = npi_span_create(slice, class_index, span.heap);
        if (!span.chunk)
            return NULL;
        list_span(slice, heap, &span);
        count_empty(heap, 1);
        *grown = true;
    }
    if (slice->chunks[span.chunk].span.used == 0)
        count_empty(heap, (uint32_t)-1);
    void *block = npi_span_take(slice, span.chunk, class);
    if (npi_span_full(slice, span.chunk, class))
        unlist_span(slice, heap, &span);
    add_owned(&heap->given_bytes, class->bytes);
    return block;
}

/* A heap nobody uses just now, the caller's favourite first; it comes back held. */
static struct npi_heap *hold_heap(struct npi_slice *slice, unsigned spread)
{
    for (uint32_t i = 0; i <= slice->heap_mask; i++) {
        struct npi_heap *heap = &slice->heaps[(spread + i) & slice->heap_mask];
        if (npi_latch_try(&heap->latch))
            return heap;
    }
    struct npi_heap *heap = &slice->heaps[spread & slice->heap_mask];
    npi_latch_wait(&heap->latch);
    return heap;
}

static void *alloc_small(struct npi_slice *slice, uint32_t class, unsigned spread, bool *grown)
{
    struct npi_heap *heap = hold_heap(slice, spread);
    void *block = take_block(slice, heap, class, grown);
    npi_latch_release(&heap->latch);
    return block;
}

unsigned npi_block_take(struct npi_slice *slice, uint32_t class, unsigned spread, void **blocks,
                        unsigned count)
{
    bool grown = false;
    unsigned taken = 0;
    struct npi_heap *heap = hold_heap(slice, spread);
    while (taken < count) {
        void *block = take_block(slice, heap, class, &grown);
        if (!block)
            break;
        blocks[taken++] = block;
    }
    npi_latch_release(&heap->latch);
    if (grown)
        npi_space_settle(slice->space);
    return taken;
}

static void *alloc_large(struct npi_slice *slice, uint64_t bytes, bool *grown)
{
    uint32_t first = npi_chunk_take(slice, npi_chunks_for(bytes), NPI_CHUNK_LARGE);
    if (first == NPI_RUN_NONE)
        return NULL;
    struct npi_chunk *run = &slice->chunks[first];
    run->large.bytes = bytes;
    npi_chunk_touch(slice, first, 0, bytes);
    *grown = true;
    npi_a64_add_relaxed(&slice->run_bytes, bytes);
    char *block = npi_chunk_address(slice, first);
    NPI_POISON(block + bytes, ((size_t)run->chunks << NPI_CHUNK_SHIFT) - bytes);
    return block;
}

void *npi_block_alloc(struct npi_space *space, unsigned node, size_t bytes, unsigned spread)
{
    if (bytes == 0 || bytes > space->request_bytes_max || node >= space->node_count)
        return NULL;
    struct npi_slice *slice = space->slices[node];
    bool small = bytes <= NPI_BLOCK_BYTES_MAX;
    uint32_t class = small ? npi_class_of(bytes) : 0;
    uint64_t size = small ? space->classes[class].bytes
                          : ((uint64_t)bytes + space->page_bytes - 1) & ~(space->page_bytes - 1);
    if (!npi_space_reserve(space, size))
        return NULL;
    bool grown = false;
    void *block =
        small ? alloc_small(slice, class, spread, &grown) : alloc_large(slice, size, &grown);
    if (NPI_UNLIKELY(!block)) {
        /* The slice is out of addresses, or the machine out of memory: idle runs may help. */
        npi_space_squeeze(slice);
        block =
            small ? alloc_small(slice, class, spread, &grown) : alloc_large(slice, size, &grown);
    }
    if (grown)
        npi_space_settle(space);
    if (NPI_UNLIKELY(!block))
        npi_space_unreserve(space, size);
    return block;
}

/* The run that begins at this address and is a large block of ours, 0 = none. */
static uint32_t find_large(const struct npi_slice *slice, const void *block)
{
    uint32_t chunk = npi_chunk_of(slice, block);
    if (chunk < slice->data_first || chunk >= npi_a32_load_relaxed(&slice->committed) ||
        block != npi_chunk_address(slice, chunk))
        return 0;
    uint32_t tag = npi_a32_load_relaxed(&slice->chunks[chunk].tag);
    return npi_tag_kind(tag) == NPI_CHUNK_LARGE ? chunk : 0;
}

static bool free_large(struct npi_slice *slice, uint32_t chunk)
{
    struct npi_chunk *run = &slice->chunks[chunk];
    uint64_t bytes = run->large.bytes;
    /* Of two threads that free it, one gets through. */
    uint32_t tag = NPI_CHUNK_LARGE;
    if (!npi_a32_cas_relaxed(&run->tag, &tag, NPI_CHUNK_FREE))
        return false;
#if NUMAPOOL_CHECKS >= 1
    memset(npi_chunk_address(slice, chunk), NPI_FREED_BYTE, bytes);
#endif
    npi_chunk_give(slice, chunk);
    npi_a64_add_relaxed(&slice->run_bytes, -bytes);
    npi_space_unreserve(slice->space, bytes);
    return true;
}

void npi_block_give(struct npi_slice *slice, void *const *blocks, unsigned count)
{
    struct npi_heap *held = NULL;
    for (unsigned i = 0; i < count; i++) {
        struct npi_span span;
        if (!npi_span_find(slice, blocks[i], &span))
            continue;
        uint32_t bytes = slice->space->classes[span.class].bytes;
        struct npi_heap *heap = &slice->heaps[span.heap];
        if (heap != held) {
            if (held)
                npi_latch_release(&held->latch);
            held = npi_latch_try(&heap->latch) ? heap : NULL;
        }
        if (!held) {
            NPI_MUTANT(remote_free_lost, npi_return_list_push(&heap->returned, blocks[i]), (void)0);
            npi_a64_add_relaxed(&heap->returned_beside_bytes, bytes);
            continue;
        }
        put_block(slice, heap, &span, blocks[i]);
        add_owned(&heap->returned_bytes, bytes);
    }
    if (held) {
        if (!npi_return_list_seems_empty(&held->returned))
            take_returned(slice, held);
        npi_latch_release(&held->latch);
    }
}

bool npi_block_free(struct npi_space *space, void *block)
{
    struct npi_slice *slice = npi_slice_of(space, block);
    if (!slice)
        return false;
    struct npi_span span;
    if (!npi_span_find(slice, block, &span)) {
        uint32_t chunk = find_large(slice, block);
        return chunk != 0 && free_large(slice, chunk);
    }
    const struct npi_class *class = &space->classes[span.class];
    if (!NPI_MUTANT(freed_twice, npi_span_mark_freed(slice, block, class),
                    ((void)npi_span_mark_freed(slice, block, class), true)))
        return false;
    npi_block_give(slice, &block, 1);
    npi_space_unreserve(space, class->bytes);
    return true;
}

size_t npi_block_size(const struct npi_space *space, const void *block)
{
    const struct npi_slice *slice = npi_slice_of(space, block);
    if (!slice)
        return 0;
    struct npi_span span;
    if (npi_span_find(slice, block, &span))
        return space->classes[span.class].bytes;
    uint32_t chunk = find_large(slice, block);
    return chunk ? (size_t)slice->chunks[chunk].large.bytes : 0;
}

/* Gives back the empty spans of a heap, also those that become empty by what was returned. */
static void collect_heap(struct npi_slice *slice, struct npi_heap *heap)
{
    take_returned(slice, heap);
    for (uint32_t class = 0; class < NPI_BLOCK_CLASSES; class ++) {
        struct npi_span span = {.class = class};
        uint32_t next;
        for (span.chunk = heap->spans[class].first; span.chunk; span.chunk = next) {
            next = slice->chunks[span.chunk].next;
            if (slice->chunks[span.chunk].span.used > 0)
                continue;
            unlist_span(slice, heap, &span);
            npi_span_destroy(slice, span.chunk);
            count_empty(heap, (uint32_t)-1);
        }
    }
}

void npi_block_collect(struct npi_slice *slice)
{
    for (uint32_t i = 0; i <= slice->heap_mask; i++) {
        struct npi_heap *heap = &slice->heaps[i];
        if (npi_a32_load_relaxed(&heap->empty_spans) == 0 &&
            npi_return_list_seems_empty(&heap->returned))
            continue;
        /* A busy heap is in use: it will take care of itself. */
        if (!npi_latch_try(&heap->latch))
            continue;
        collect_heap(slice, heap);
        npi_latch_release(&heap->latch);
    }
}
