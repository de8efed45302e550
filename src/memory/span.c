/*
 * Spans of equal blocks. Free blocks are linked through their first word, newest first, because the
 * newest is the likeliest to be in a cache; blocks above `carved` were never handed out and their
 * pages never touched.
 */
#include "memory/span.h"

#include "base/check.h"
#include "memory/chunk.h"
#include "memory/poison.h"

#include <string.h>

/* What a freed block begins with; the smallest block is just as large. */
struct freed {
    void *next;
    uint64_t key;
};
_Static_assert(sizeof(struct freed) <= 16, "fits the smallest block");

static uint64_t freed_key(const struct npi_slice *slice, const void *block)
{
    return slice->space->key ^ (uint64_t)(uintptr_t)block;
}

uint32_t npi_span_create(struct npi_slice *slice, uint32_t class, uint32_t heap)
{
    uint32_t count = slice->space->classes[class].span_chunks;
    uint32_t first = npi_chunk_take(slice, count, npi_tag(NPI_CHUNK_SPAN, class | heap << 8));
    if (first == NPI_RUN_NONE)
        return 0;
    npi_chunk_touch(slice, first, 0, (uint64_t)count << NPI_CHUNK_SHIFT);
    struct npi_chunk *run = &slice->chunks[first];
    run->span.free = NULL;
    run->span.used = 0;
    npi_a32_store_relaxed(&run->span.carved, 0);
    run->span.listed = false;
    for (uint32_t i = 1; i < count; i++)
        npi_a32_store_relaxed(&slice->chunks[first + i].tag, npi_tag(NPI_CHUNK_INSIDE, i));
    NPI_POISON(npi_chunk_address(slice, first), (size_t)count << NPI_CHUNK_SHIFT);
    return first;
}

void npi_span_destroy(struct npi_slice *slice, uint32_t chunk)
{
    NPI_DEBUG_CHECK(slice->chunks[chunk].span.used == 0 && !slice->chunks[chunk].span.listed);
    for (uint32_t i = 1; i < slice->chunks[chunk].chunks; i++)
        npi_a32_store_relaxed(&slice->chunks[chunk + i].tag, NPI_CHUNK_FREE);
    npi_chunk_give(slice, chunk);
}

/* Somebody wrote to a block after freeing it: its link leads out of the span, or its filling
 * changed. */
static bool link_is_sound(const struct npi_slice *slice, uint32_t chunk, const void *link)
{
    size_t offset = (size_t)((const char *)link - npi_chunk_address(slice, chunk));
    return link == NULL || offset < (size_t)slice->chunks[chunk].chunks << NPI_CHUNK_SHIFT;
}

#if NUMAPOOL_CHECKS >= 2
static bool filling_is_intact(const unsigned char *block, size_t bytes)
{
    for (size_t i = sizeof(struct freed); i < bytes; i++) {
        if (block[i] != NPI_FREED_BYTE)
            return false;
    }
    return true;
}
#endif

void *npi_span_take(struct npi_slice *slice, uint32_t chunk, const struct npi_class *class)
{
    struct npi_chunk *run = &slice->chunks[chunk];
    void *block = run->span.free;
    if (block) {
        NPI_UNPOISON(block, class->bytes);
#if NUMAPOOL_CHECKS >= 2
        NPI_EXPENSIVE_CHECK(filling_is_intact(block, class->bytes));
#endif
        void *next = ((struct freed *)block)->next;
        /* A damaged link costs the span's free blocks, not the process. */
        run->span.free = NPI_LIKELY(link_is_sound(slice, chunk, next)) ? next : NULL;
    } else {
        uint32_t carved = npi_a32_load_relaxed(&run->span.carved);
        NPI_DEBUG_CHECK(carved < class->span_blocks);
        block = npi_chunk_address(slice, chunk) + (size_t)carved * class->bytes;
        npi_a32_store_relaxed(&run->span.carved, carved + 1);
        NPI_UNPOISON(block, class->bytes);
    }
    run->span.used++;
    ((struct freed *)block)->key = 0;
    return block;
}

bool npi_span_full(const struct npi_slice *slice, uint32_t chunk, const struct npi_class *class)
{
    const struct npi_chunk *run = &slice->chunks[chunk];
    return run->span.free == NULL && npi_a32_load_relaxed(&run->span.carved) == class->span_blocks;
}

void npi_span_put(struct npi_slice *slice, uint32_t chunk, void *block,
                  const struct npi_class *class)
{
    struct npi_chunk *run = &slice->chunks[chunk];
    NPI_DEBUG_CHECK(run->span.used > 0);
    ((struct freed *)block)->next = run->span.free;
    NPI_POISON(block, class->bytes);
    run->span.free = block;
    run->span.used--;
}

bool npi_span_find(const struct npi_slice *slice, const void *block, struct npi_span *span)
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

bool npi_span_mark_freed(const struct npi_slice *slice, void *block, const struct npi_class *class)
{
    struct freed *freed = block;
    if (NPI_IS_POISONED(block) || freed->key == freed_key(slice, block))
        return false;
#if NUMAPOOL_CHECKS >= 1
    memset(freed + 1, NPI_FREED_BYTE, class->bytes - sizeof(*freed));
#endif
    freed->key = freed_key(slice, block);
    /* Its first two words stay open until it is on its span's list: they are still to be written.
     */
    NPI_POISON(freed + 1, class->bytes - sizeof(*freed));
    return true;
}
