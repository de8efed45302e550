/*
 * Giving memory back to the kernel: all that is idle when the pool has been idle (npi_space_trim),
 * as much as is over the limit when the budget is in use (npi_space_settle), and addresses rather
 * than pages when a slice has no run left (npi_space_squeeze). Called by flow's control loop, and
 * by whoever in this folder added backing.
 */
#include "memory/block.h"
#include "memory/chunk.h"
#include "memory/warm.h"

#include "base/check.h"

/* What may be given up, the least missed first. */
enum source {
    FREE_UNITS, /* what is free already; with huge pages, where a whole one is */
    WARM_RUNS,
    EMPTY_SPANS,
    FREE_CHUNKS, /* parts of huge pages: the kernel breaks them up, and slowly gets to use the parts
                  */
    IDLE_RUNS,   /* that hot workers keep for their next task */
    SOURCE_COUNT,
};

static void make_free(struct npi_slice *slice, enum source source, uint64_t wanted_bytes)
{
    switch (source) {
    case WARM_RUNS:
        npi_warm_free(slice, wanted_bytes);
        break;
    case EMPTY_SPANS:
        npi_block_collect(slice);
        break;
    case IDLE_RUNS:
        npi_warm_steal(slice, wanted_bytes);
        break;
    case FREE_UNITS:
    case FREE_CHUNKS:
    case SOURCE_COUNT:
        break;
    }
}

/* Returns the bytes given back, of any node: memory of one node is as resident as that of another.
 */
static uint64_t make_room(struct npi_space *space, uint64_t wanted_bytes)
{
    uint64_t done_bytes = 0;
    for (enum source source = FREE_UNITS; source < SOURCE_COUNT; source++) {
        bool whole_units = space->huge && source < FREE_CHUNKS;
        for (unsigned i = 0; i < space->node_count && done_bytes < wanted_bytes; i++) {
            struct npi_slice *slice = space->slices[i];
            make_free(slice, source, wanted_bytes - done_bytes);
            done_bytes += npi_chunk_return(slice, wanted_bytes - done_bytes, whole_units);
        }
    }
    return done_bytes;
}

void npi_space_settle(struct npi_space *space)
{
    uint64_t limit_bytes = space->backed_bytes_limit;
    if (NPI_LIKELY(npi_a64_load_relaxed(&space->backed_bytes) <= limit_bytes))
        return;
    /* One at a time: several would each give back what is over the limit. */
    uint32_t idle = 0;
    if (!npi_a32_cas_acq_rel(&space->trimming, &idle, 1))
        return;
    for (;;) {
        uint64_t backed_bytes = npi_a64_load_relaxed(&space->backed_bytes);
        /* Some more than needed, so that not every new page begins the search again. */
        if (backed_bytes <= limit_bytes ||
            make_room(space, backed_bytes - limit_bytes + space->budget_bytes / 64) == 0)
            break;
    }
    npi_a32_store_release(&space->trimming, 0);
}

void npi_space_squeeze(struct npi_slice *slice)
{
    npi_block_collect(slice);
    npi_warm_free(slice, UINT64_MAX);
    npi_warm_steal(slice, UINT64_MAX);
}

void npi_space_trim(struct npi_space *space)
{
    for (unsigned i = 0; i < space->node_count; i++) {
        struct npi_slice *slice = space->slices[i];
        npi_block_collect(slice);
        npi_warm_free(slice, UINT64_MAX);
        npi_chunk_return(slice, UINT64_MAX, false);
    }
}
