/* Spans of equal blocks: what is done once for many blocks. The rest is in the header. */
#include "memory/span.h"

#include "memory/chunk.h"

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
