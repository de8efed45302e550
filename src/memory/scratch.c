/*
 * Scratch: memory of the running task, taken by moving a pointer and gone when the task returns.
 * One per worker, used by its owner only. Called by flow (worker.c) and, through it, by
 * numapool_scratch().
 *
 * A worker keeps one *warm run* from task to task. A task that takes more gets *extra* runs, each
 * about as large as all before it, which go back when it ends; next time the warm run is large
 * enough. Pages of a run are counted as backed when they are first given out, not when the run is
 * taken: a run of which a task uses little costs addresses only.
 *
 * The first bytes are covered by what the task brought. Both that and every piece taken are rounded
 * up to 64, so that a task that brought n bytes gets one piece of n bytes, whatever n is.
 */
#include "memory/memory.h"

#include "base/check.h"
#include "memory/chunk.h"
#include "memory/poison.h"
#include "memory/warm.h"

#include <string.h>

#define ALIGN_BYTES 64u

/* A run larger than this is not kept from task to task: holding a rare large piece idle costs
   others more than one search for a run costs the task. */
#define KEEP_BYTES_MAX (UINT64_C(8) << 20)

/* Extra runs stop doubling here. */
#define EXTRA_BYTES_MAX (UINT64_C(4) << 20)

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct npi_slice *slice_of(const struct npi_scratch *scratch)
{
    return scratch->space->slices[scratch->node];
}

static bool is_open(const struct npi_scratch *scratch)
{
    return scratch->taken_bytes != 0;
}

static void forget_run(struct npi_scratch *scratch)
{
    scratch->base = NULL;
    scratch->size_bytes = 0;
    scratch->used_bytes = 0;
    scratch->marked_bytes = 0;
    npi_a32_store_relaxed(&scratch->state, NPI_WARM_BUSY);
}

/* Makes the warm run ours again, if it still is. */
static bool claim_run(struct npi_scratch *scratch)
{
    if (!scratch->base)
        return false;
    uint32_t state = NPI_WARM_IDLE;
    /* Relaxed: idle was last written by ourselves, and of a stolen run nothing is looked at. */
    if (npi_a32_cas_relaxed(&scratch->state, &state, NPI_WARM_BUSY))
        return true;
    forget_run(scratch);
    return false;
}

static void put_run(struct npi_scratch *scratch)
{
    struct npi_slice *slice = slice_of(scratch);
    npi_warm_put(slice, npi_chunk_of(slice, scratch->base), scratch->marked_bytes);
    forget_run(scratch);
}

static void use_run(struct npi_scratch *scratch, uint32_t chunk)
{
    struct npi_slice *slice = slice_of(scratch);
    const struct npi_chunk *run = &slice->chunks[chunk];
    scratch->base = npi_chunk_address(slice, chunk);
    scratch->size_bytes = (size_t)run->chunks << NPI_CHUNK_SHIFT;
    scratch->used_bytes = 0;
    scratch->marked_bytes = run->scratch.marked_bytes;
    npi_a32_store_relaxed(&scratch->state, NPI_WARM_BUSY);
    NPI_POISON(scratch->base, scratch->size_bytes);
}

/* A fresh run of `bytes`, or, where there is none, of the `least` that will do. */
static uint32_t fresh_run(struct npi_slice *slice, uint64_t bytes, uint64_t least)
{
    const uint32_t tag = npi_tag(NPI_CHUNK_SCRATCH, 0);
    uint32_t chunk = npi_chunk_take(slice, npi_chunks_for(bytes), tag);
    if (chunk == NPI_RUN_NONE && least < bytes)
        chunk = npi_chunk_take(slice, npi_chunks_for(least), tag);
    if (chunk == NPI_RUN_NONE) {
        npi_space_squeeze(slice);
        chunk = npi_chunk_take(slice, npi_chunks_for(least), tag);
    }
    return chunk == NPI_RUN_NONE ? 0 : chunk;
}

/*
 * First take of a task: a warm run that suits. What the task brought is charged to it already, so a
 * run of that size is no luxury; what earlier tasks took is a guess, and not made when memory is
 * tight.
 */
static bool open_run(struct npi_scratch *scratch, uint64_t step)
{
    struct npi_slice *slice = slice_of(scratch);
    struct npi_space *space = scratch->space;
    bool tight = npi_a64_load_relaxed(&space->backed_bytes) > space->tight_bytes;
    uint64_t wanted = larger(step, scratch->granted_bytes);
    if (!tight)
        wanted = larger(wanted, scratch->wanted_bytes);
    if (claim_run(scratch)) {
        if (scratch->size_bytes >= wanted &&
            !npi_warm_oversized(scratch->size_bytes, wanted, tight))
            return true;
        put_run(scratch);
    }
    uint32_t chunk = npi_warm_get(slice, scratch, wanted, tight);
    if (!chunk) {
        chunk = fresh_run(slice, wanted, step);
        if (!chunk)
            return false;
        npi_warm_hold(slice, scratch, chunk);
    }
    use_run(scratch, chunk);
    return true;
}

static bool add_extra(struct npi_scratch *scratch, uint64_t step)
{
    struct npi_slice *slice = slice_of(scratch);
    uint64_t so_far = larger(scratch->taken_bytes, scratch->size_bytes);
    uint64_t wanted = larger(step, so_far < EXTRA_BYTES_MAX ? so_far : EXTRA_BYTES_MAX);
    uint32_t chunk = fresh_run(slice, wanted, step);
    if (!chunk)
        return false;
    struct npi_chunk *run = &slice->chunks[chunk];
    run->next = scratch->extra ? npi_chunk_of(slice, scratch->extra) : 0;
    run->scratch.owner = NULL;
    scratch->extra = npi_chunk_address(slice, chunk);
    scratch->extra_size_bytes = (size_t)run->chunks << NPI_CHUNK_SHIFT;
    scratch->extra_used_bytes = 0;
    scratch->extra_marked_bytes = 0;
    NPI_POISON(scratch->extra, scratch->extra_size_bytes);
    return true;
}

static void free_extras(struct npi_scratch *scratch)
{
    struct npi_slice *slice = slice_of(scratch);
    uint32_t chunk = scratch->extra ? npi_chunk_of(slice, scratch->extra) : 0;
    while (chunk) {
        uint32_t next = slice->chunks[chunk].next;
        npi_chunk_give(slice, chunk);
        chunk = next;
    }
    scratch->extra = NULL;
    scratch->extra_size_bytes = scratch->extra_used_bytes = scratch->extra_marked_bytes = 0;
}

/* Moves the pointer of a run; NULL when it has no room. */
static void *bump(struct npi_slice *slice, char *base, size_t size_bytes, size_t *used_bytes,
                  size_t *marked_bytes, size_t step)
{
    if (step > size_bytes - *used_bytes)
        return NULL;
    char *piece = base + *used_bytes;
    *used_bytes += step;
    if (NPI_UNLIKELY(*used_bytes > *marked_bytes)) {
        *marked_bytes =
            npi_chunk_touch(slice, npi_chunk_of(slice, base), *marked_bytes, *used_bytes);
        npi_space_settle(slice->space);
    }
    return piece;
}

static void *bump_newest(struct npi_scratch *scratch, size_t step)
{
    struct npi_slice *slice = slice_of(scratch);
    if (scratch->extra)
        return bump(slice, scratch->extra, scratch->extra_size_bytes, &scratch->extra_used_bytes,
                    &scratch->extra_marked_bytes, step);
    return bump(slice, scratch->base, scratch->size_bytes, &scratch->used_bytes,
                &scratch->marked_bytes, step);
}

/* Beyond what is covered, or beyond what is backed, or the first take of a task. */
static void *take_slowly(struct npi_scratch *scratch, size_t step)
{
    struct npi_space *space = scratch->space;
    uint64_t missing_bytes = 0;
    if (scratch->taken_bytes + step > scratch->covered_bytes) {
        missing_bytes = scratch->taken_bytes + step - scratch->covered_bytes;
        if (!npi_space_reserve(space, missing_bytes))
            return NULL;
    }
    void *piece = NULL;
    if (is_open(scratch) || open_run(scratch, step))
        piece = bump_newest(scratch, step);
    if (!piece && is_open(scratch) && add_extra(scratch, step))
        piece = bump_newest(scratch, step);
    if (NPI_UNLIKELY(!piece)) {
        npi_space_unreserve(space, missing_bytes);
        return NULL;
    }
    scratch->taken_bytes += step;
    if (missing_bytes) {
        scratch->reserved_bytes += missing_bytes;
        scratch->covered_bytes += missing_bytes;
        npi_a64_add_relaxed(&slice_of(scratch)->run_bytes, missing_bytes);
    }
    return piece;
}

void npi_scratch_begin(struct npi_scratch *scratch, uint64_t granted_bytes)
{
    NPI_DEBUG_CHECK(!is_open(scratch) && scratch->reserved_bytes == 0);
    scratch->granted_bytes = granted_bytes;
    scratch->covered_bytes = npi_round_up(granted_bytes, ALIGN_BYTES);
}

void *npi_scratch_take(struct npi_scratch *scratch, size_t bytes)
{
    if (NPI_UNLIKELY(bytes == 0 || bytes > scratch->space->request_bytes_max))
        return NULL;
    size_t step = npi_round_up(bytes, ALIGN_BYTES);
    void *piece;
    /* What is marked lies inside the run, so one comparison is room and backing in one. */
    if (NPI_LIKELY(is_open(scratch) && !scratch->extra &&
                   step <= scratch->marked_bytes - scratch->used_bytes &&
                   scratch->taken_bytes + step <= scratch->covered_bytes)) {
        piece = scratch->base + scratch->used_bytes;
        scratch->used_bytes += step;
        scratch->taken_bytes += step;
    } else {
        piece = take_slowly(scratch, step);
    }
    if (piece)
        NPI_UNPOISON(piece, bytes);
    return piece;
}

/* The warm run between two tasks: kept, or, when it is unusually large, given back. */
static void rest_run(struct npi_scratch *scratch)
{
#if NUMAPOOL_CHECKS >= 1
    NPI_UNPOISON(scratch->base, scratch->used_bytes);
    memset(scratch->base, NPI_FREED_BYTE, scratch->used_bytes);
#endif
    NPI_POISON(scratch->base, scratch->used_bytes);
    scratch->used_bytes = 0;
    if (scratch->size_bytes > larger(NPI_CHUNK_BYTES, scratch->space->budget_bytes / 8) ||
        scratch->size_bytes > KEEP_BYTES_MAX) {
        struct npi_slice *slice = slice_of(scratch);
        npi_warm_drop(slice, npi_chunk_of(slice, scratch->base));
        forget_run(scratch);
        return;
    }
    /* release @scratch-idle: pairs with steal() in warm.c */
    npi_a32_store_release(&scratch->state, NPI_WARM_IDLE);
}

void npi_scratch_end(struct npi_scratch *scratch)
{
    scratch->granted_bytes = 0;
    scratch->covered_bytes = 0;
    if (!is_open(scratch))
        return;
    /* The mark follows a larger task at once and forgets it in some dozens of smaller ones. */
    scratch->wanted_bytes =
        larger(scratch->taken_bytes, scratch->wanted_bytes - scratch->wanted_bytes / 32);
    scratch->taken_bytes = 0;
    free_extras(scratch);
    rest_run(scratch);
    /* Memory first, then its price: whoever is admitted for it finds the run free. */
    if (scratch->reserved_bytes) {
        npi_a64_add_relaxed(&slice_of(scratch)->run_bytes, -scratch->reserved_bytes);
        npi_space_unreserve(scratch->space, scratch->reserved_bytes);
        scratch->reserved_bytes = 0;
    }
}

void npi_scratch_cool(struct npi_scratch *scratch)
{
    NPI_DEBUG_CHECK(!is_open(scratch));
    if (claim_run(scratch))
        put_run(scratch);
}
