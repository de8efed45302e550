/*
 * A span: a run cut into equal blocks. Hands blocks out and takes them back; which heap it is on
 * and what it is charged to is block.c's affair. Called by block.c, the only user, under the heap's
 * lock, but for npi_span_find and npi_span_mark_freed, which need only that the block is the
 * caller's. What is done for every block is inline.
 *
 * Free blocks are linked through their first word, newest first, because the newest is the
 * likeliest to be in a cache; blocks above `carved` were never handed out and their pages never
 * touched.
 */
#ifndef NPI_MEMORY_SPAN_H
#define NPI_MEMORY_SPAN_H

#include "base/check.h"
#include "memory/poison.h"
#include "memory/space.h"

#include <string.h>

struct npi_span {
    uint32_t chunk; /* its first */
    uint32_t class;
    uint32_t heap;
};

/* A new span for a heap, not yet listed. 0: no run could be had. */
uint32_t npi_span_create(struct npi_slice *slice, uint32_t class, uint32_t heap);
void npi_span_destroy(struct npi_slice *slice,
                      uint32_t chunk); /* no block of it is used or listed */

/* What a freed block begins with; the smallest block is just as large. */
struct npi_freed {
    void *next;
    uint64_t key;
};
_Static_assert(sizeof(struct npi_freed) <= 16, "fits the smallest block");

static inline uint64_t npi_freed_key(const struct npi_slice *slice, const void *block)
{
    return slice->space->key ^ (uint64_t)(uintptr_t)block;
}

/* The span of an address; false unless it is the begin of a block of one. */
static inline bool npi_span_find(const struct npi_slice *slice, const void *block,
                                 struct npi_span *span)
{
    uint32_t chunk = npi_chunk_of(slice, block);
    /* Tables exist as far as chunks are usable. */
    if (chunk < slice->data_first || chunk >= npi_a32_load_relaxed(&slice->committed))
        return false;
    uint32_t tag = npi_a32_load_relaxed(&slice->chunks[chunk].tag);
    if (npi_tag_kind(tag) == NPI_CHUNK_INSIDE) {
        chunk -= npi_tag_detail(tag);
        tag = npi_a32_load_relaxed(&slice->chunks[chunk].tag);
    }
    if (npi_tag_kind(tag) != NPI_CHUNK_SPAN)
        return false;
    span->chunk = chunk;
    span->class = npi_tag_detail(tag) & 0xff;
    span->heap = npi_tag_detail(tag) >> 8;
    const struct npi_class *class = &slice->space->classes[span->class];
    uint64_t offset = (uint64_t)((const char *)block - npi_chunk_address(slice, chunk));
    uint64_t index = offset * class->inverse >> NPI_INVERSE_SHIFT;
    /* Relaxed: whoever holds a block was told of it after it was carved. */
    return index * class->bytes == offset &&
           index < npi_a32_load_relaxed(&slice->chunks[chunk].span.carved);
}

/*
 * Marks a block as freed before it goes on any list; handing it out clears the mark. A freed block
 * is known by a key in its second word, and by its poison under AddressSanitizer: a second free of
 * it is refused while nobody else was given it.
 */
static inline bool npi_span_mark_freed(const struct npi_slice *slice, void *block,
                                       const struct npi_class *class)
{
    struct npi_freed *freed = block;
    if (NPI_IS_POISONED(block) || freed->key == npi_freed_key(slice, block))
        return false;
#if NUMAPOOL_CHECKS >= 1
    memset(freed + 1, NPI_FREED_BYTE, class->bytes - sizeof(*freed));
#endif
    freed->key = npi_freed_key(slice, block);
    /* Its first two words stay open until it is on its span's list: they are still to be written.
     */
    NPI_POISON(freed + 1, class->bytes - sizeof(*freed));
    return true;
}

/* Somebody wrote to a block after freeing it: its link leads out of the span, or its filling
 * changed. */
static inline bool npi_span_link_sound(const struct npi_slice *slice, uint32_t chunk,
                                       const void *link)
{
    if (link == NULL) {
        return true;
    }
    size_t offset = (size_t)((const char *)link - npi_chunk_address(slice, chunk));
    return offset < (size_t)slice->chunks[chunk].chunks << NPI_CHUNK_SHIFT;
}

#if NUMAPOOL_CHECKS >= 2
static inline bool npi_span_filling_intact(const unsigned char *block, size_t bytes)
{
    for (size_t i = sizeof(struct npi_freed); i < bytes; i++) {
        if (block[i] != NPI_FREED_BYTE)
            return false;
    }
    return true;
}
#endif

/* A block that was marked as freed is to be handed out: its words may be read and written again. */
static inline void npi_span_open(void *block, const struct npi_class *class)
{
    NPI_UNPOISON(block, class->bytes);
#if NUMAPOOL_CHECKS >= 2
    NPI_EXPENSIVE_CHECK(npi_span_filling_intact(block, class->bytes));
#endif
}

static inline void *npi_span_take(struct npi_slice *slice, uint32_t chunk,
                                  const struct npi_class *class)
{
    struct npi_chunk *run = &slice->chunks[chunk];
    void *block = run->span.free;
    if (block) {
        npi_span_open(block, class);
        void *next = ((struct npi_freed *)block)->next;
        /* A damaged link costs the span's free blocks, not the process. */
        run->span.free = NPI_LIKELY(npi_span_link_sound(slice, chunk, next)) ? next : NULL;
    } else {
        uint32_t carved = npi_a32_load_relaxed(&run->span.carved);
        NPI_DEBUG_CHECK(carved < class->span_blocks);
        block = npi_chunk_address(slice, chunk) + (size_t)carved * class->bytes;
        npi_a32_store_relaxed(&run->span.carved, carved + 1);
        NPI_UNPOISON(block, class->bytes);
    }
    run->span.used++;
    ((struct npi_freed *)block)->key = 0;
    return block;
}

static inline bool npi_span_full(const struct npi_slice *slice, uint32_t chunk,
                                 const struct npi_class *class)
{
    const struct npi_chunk *run = &slice->chunks[chunk];
    return run->span.free == NULL && npi_a32_load_relaxed(&run->span.carved) == class->span_blocks;
}

static inline void npi_span_put(struct npi_slice *slice, uint32_t chunk, void *block,
                                const struct npi_class *class)
{
    struct npi_chunk *run = &slice->chunks[chunk];
    NPI_DEBUG_CHECK(run->span.used > 0);
    ((struct npi_freed *)block)->next = run->span.free;
    NPI_POISON(block, class->bytes);
    run->span.free = block;
    run->span.used--;
}

#endif
