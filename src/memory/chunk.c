/*
 * Runs of chunks. Everything here is the slow path: one lock per slice, held for bit operations and
 * for what costs the kernel little, never while it clears or takes pages.
 *
 * What may be resident is followed page by page (touched), because that, and not the address space,
 * is what the budget is meant to bound. With huge pages the first touch of an untouched unit brings
 * in all of it, so all of it is counted then; once any page of the unit has been given back the
 * kernel serves the unit with small pages, and so do we count. It has to be told: otherwise it collects
 * them into a huge page again when it finds the time (khugepaged), and what was given back is back.
 */
#include "memory/chunk.h"

#include "base/check.h"
#include "memory/poison.h"
#include "os/os.h"

#include <string.h>

/* Usable address space grows by an eighth, so that a growing pool makes few system calls, within
   these bounds; 64 MiB of it cost a machine that charges for it a promise, not memory. */
#define GROW_CHUNKS_MAX 1024u

static char *page_up(const struct npi_slice *slice, void *address)
{
    return (char *)npi_round_up((size_t)(uintptr_t)address, slice->space->page_bytes);
}

static bool commit_range(const struct npi_slice *slice, uint32_t from, uint32_t to)
{
    char *table = page_up(slice, &slice->chunks[from]);
    char *table_end = page_up(slice, &slice->chunks[to]);
    return npi_pages_commit(npi_chunk_address(slice, from), (size_t)(to - from)
                                                                << NPI_CHUNK_SHIFT) == 0 &&
           (table == table_end || npi_pages_commit(table, (size_t)(table_end - table)) == 0);
}

/* Makes chunks usable up to `end`. Under the lock. */
static bool commit_to(struct npi_slice *slice, uint32_t end)
{
    uint32_t committed = npi_a32_load_relaxed(&slice->committed);
    if (end <= committed)
        return true;
    uint32_t grow = committed / 8 < GROW_CHUNKS_MAX ? committed / 8 : GROW_CHUNKS_MAX;
    uint32_t need = (uint32_t)npi_round_up(end, NPI_UNIT_CHUNKS);
    uint32_t want = (uint32_t)npi_round_up(committed + grow, NPI_UNIT_CHUNKS);
    uint32_t limit = slice->chunk_count - NPI_UNIT_CHUNKS; /* the guard at the end */
    NPI_DEBUG_CHECK(need <= limit);
    if (want > limit)
        want = limit;
    if (want < need || !commit_range(slice, committed, want)) {
        want = need;
        if (!commit_range(slice, committed, want))
            return false;
    }
    npi_a32_store_relaxed(&slice->committed, want);
    return true;
}

/* Forgets which chunks of a run are dirty: they are no longer free. Under the lock. */
static void clear_dirty(struct npi_slice *slice, uint32_t first, uint32_t count)
{
    uint32_t cleared = 0;
    while (count) {
        unsigned from = first % 64;
        unsigned here = count < 64 - from ? count : 64 - from;
        uint64_t mask = npi_run_mask(from, here);
        cleared += (uint32_t)__builtin_popcountll(slice->dirty[first / 64] & mask);
        slice->dirty[first / 64] &= ~mask;
        first += here;
        count -= here;
    }
    npi_a32_store_relaxed(&slice->dirty_count, npi_a32_load_relaxed(&slice->dirty_count) - cleared);
}

/* Marks the touched chunks of a run as dirty: it is about to become free. Under the lock. */
static void set_dirty(struct npi_slice *slice, uint32_t first, uint32_t count)
{
    uint32_t set = 0;
    for (uint32_t chunk = first; chunk < first + count; chunk++) {
        if (!slice->touched[chunk])
            continue;
        slice->dirty[chunk / 64] |= UINT64_C(1) << (chunk % 64);
        set++;
    }
    npi_a32_store_relaxed(&slice->dirty_count, npi_a32_load_relaxed(&slice->dirty_count) + set);
}

uint32_t npi_chunk_take(struct npi_slice *slice, uint32_t count, uint32_t tag)
{
    if (count > slice->chunk_count)
        return NPI_RUN_NONE;
    pthread_mutex_lock(&slice->lock);
    uint32_t first = npi_runmap_find(&slice->map, count);
    if (first != NPI_RUN_NONE && !commit_to(slice, first + count))
        first = NPI_RUN_NONE;
    if (first != NPI_RUN_NONE) {
        npi_runmap_take(&slice->map, first, count);
        clear_dirty(slice, first, count);
    }
    pthread_mutex_unlock(&slice->lock);
    if (first == NPI_RUN_NONE)
        return NPI_RUN_NONE;
    struct npi_chunk *run = &slice->chunks[first];
    run->chunks = count;
    run->next = run->prev = 0;
    npi_a32_store_relaxed(&run->tag, tag);
    NPI_UNPOISON(npi_chunk_address(slice, first), (size_t)count << NPI_CHUNK_SHIFT);
    return first;
}

void npi_chunk_give(struct npi_slice *slice, uint32_t first)
{
    struct npi_chunk *run = &slice->chunks[first];
    uint32_t count = run->chunks;
    NPI_POISON(npi_chunk_address(slice, first), (size_t)count << NPI_CHUNK_SHIFT);
    npi_a32_store_relaxed(&run->tag, NPI_CHUNK_FREE);
    pthread_mutex_lock(&slice->lock);
    set_dirty(slice, first, count);
    npi_runmap_give(&slice->map, first, count);
    pthread_mutex_unlock(&slice->lock);
}

/* With huge pages: if nothing of a unit is backed, its first touch backs all. Returns the pages
   this adds. Under the lock. */
static uint64_t touch_unit(struct npi_slice *slice, uint32_t unit_first)
{
    uint8_t *touched = &slice->touched[unit_first];
    uint8_t pages = (uint8_t)(NPI_CHUNK_BYTES / slice->space->page_bytes);
    for (uint32_t i = 0; i < NPI_UNIT_CHUNKS; i++) {
        if (touched[i])
            return 0;
    }
    memset(touched, pages, NPI_UNIT_CHUNKS);
    uint32_t free_count = 0;
    for (uint32_t chunk = unit_first; chunk < unit_first + NPI_UNIT_CHUNKS; chunk++) {
        uint64_t bit = UINT64_C(1) << (chunk % 64);
        if (slice->map.used[chunk / 64] & bit)
            continue;
        slice->dirty[chunk / 64] |= bit;
        free_count++;
    }
    npi_a32_store_relaxed(&slice->dirty_count,
                          npi_a32_load_relaxed(&slice->dirty_count) + free_count);
    return (uint64_t)pages * NPI_UNIT_CHUNKS;
}

uint64_t npi_chunk_touch(struct npi_slice *slice, uint32_t first, uint64_t from_bytes,
                         uint64_t to_bytes)
{
    struct npi_space *space = slice->space;
    uint32_t chunk = first + (uint32_t)(from_bytes >> NPI_CHUNK_SHIFT);
    uint32_t end = first + npi_chunks_for(to_bytes);
    uint32_t run_end = first + slice->chunks[first].chunks;
    uint32_t pages_full = (uint32_t)(NPI_CHUNK_BYTES / space->page_bytes);
    uint64_t added_pages = 0;
    NPI_DEBUG_CHECK(from_bytes <= to_bytes && end <= run_end);

    pthread_mutex_lock(&slice->lock);
    for (; chunk < end; chunk++) {
        if (space->huge && slice->touched[chunk] == 0)
            added_pages += touch_unit(slice, chunk & ~(NPI_UNIT_CHUNKS - 1));
        uint32_t pages = pages_full;
        if (chunk == end - 1) {
            uint64_t into = to_bytes - ((uint64_t)(chunk - first) << NPI_CHUNK_SHIFT);
            pages = (uint32_t)((into + space->page_bytes - 1) / space->page_bytes);
        }
        if (slice->touched[chunk] < pages) {
            added_pages += pages - slice->touched[chunk];
            slice->touched[chunk] = (uint8_t)pages;
        }
    }
    /* What is backed already needs no further call. */
    while (end < run_end && slice->touched[end - 1] == pages_full &&
           slice->touched[end] == pages_full)
        end++;
    uint64_t marked_bytes = to_bytes;
    if (slice->touched[end - 1] == pages_full)
        marked_bytes = (uint64_t)(end - first) << NPI_CHUNK_SHIFT;
    pthread_mutex_unlock(&slice->lock);

    if (added_pages)
        npi_a64_add_relaxed(&space->backed_bytes, added_pages * space->page_bytes);
    return marked_bytes;
}

/* Takes some free and backed chunks for ourselves, at or after *word. Under the lock. */
static bool claim_dirty(struct npi_slice *slice, uint32_t *word, bool whole_units, uint32_t *first,
                        uint32_t *count)
{
    const uint64_t low_unit = UINT32_MAX;
    uint32_t word_count = (npi_a32_load_relaxed(&slice->committed) + 63) / 64;
    for (; *word < word_count; (*word)++) {
        uint64_t dirty = slice->dirty[*word];
        if (dirty == 0)
            continue;
        unsigned from = 0;
        unsigned here = 0;
        if (whole_units) {
            uint64_t used = slice->map.used[*word];
            bool low = (dirty & low_unit) != 0 && (used & low_unit) == 0;
            bool high = (dirty & ~low_unit) != 0 && (used & ~low_unit) == 0;
            from = low ? 0 : NPI_UNIT_CHUNKS;
            here = low && high ? 2 * NPI_UNIT_CHUNKS : low || high ? NPI_UNIT_CHUNKS : 0;
        } else {
            from = (unsigned)__builtin_ctzll(dirty);
            uint64_t above = ~(dirty >> from);
            here = above ? (unsigned)__builtin_ctzll(above) : 64;
        }
        if (here == 0)
            continue;
        *first = *word * 64 + from;
        *count = here;
        npi_runmap_take(&slice->map, *first, here);
        clear_dirty(slice, *first, here);
        return true;
    }
    return false;
}

static void advise_unit(const struct npi_slice *slice, uint32_t unit, bool huge)
{
    npi_pages_hugepages(npi_chunk_address(slice, unit * NPI_UNIT_CHUNKS), NPI_UNIT_BYTES, huge);
}

/*
 * Huge pages: before a part of a unit is given back the unit must be backed. It may be counted and
 * not be: then giving back would do nothing, and the next touch of what is left would bring in all
 * of it, uncounted. Once backed it is broken up by the kernel and served with small pages from then
 * on.
 */
static void break_units(struct npi_slice *slice, uint32_t first, uint32_t count)
{
    uint32_t end = first + count;
    while (first < end) {
        uint32_t unit = first / NPI_UNIT_CHUNKS;
        uint32_t unit_end = (unit + 1) * NPI_UNIT_CHUNKS;
        uint32_t part_end = end < unit_end ? end : unit_end;
        if (part_end - first < NPI_UNIT_CHUNKS) {
            npi_pages_populate(npi_chunk_address(slice, first), slice->space->page_bytes);
            pthread_mutex_lock(&slice->lock);
            if (!slice->broken[unit])
                advise_unit(slice, unit, false);
            slice->broken[unit] = true;
            pthread_mutex_unlock(&slice->lock);
        }
        first = part_end;
    }
}

/* Nothing of a broken unit is backed any more: its next touch brings in all of it again, and counts
   it so. Advised under the lock, which that touch needs. */
static void mend_units(struct npi_slice *slice, uint32_t first, uint32_t count)
{
    static const uint8_t untouched[NPI_UNIT_CHUNKS];
    for (uint32_t unit = first / NPI_UNIT_CHUNKS; unit * NPI_UNIT_CHUNKS < first + count; unit++) {
        if (slice->broken[unit] && memcmp(&slice->touched[(size_t)unit * NPI_UNIT_CHUNKS],
                                          untouched, sizeof(untouched)) == 0) {
            advise_unit(slice, unit, true);
            slice->broken[unit] = false;
        }
    }
}

uint64_t npi_chunk_return(struct npi_slice *slice, uint64_t wanted_bytes, bool whole_units)
{
    struct npi_space *space = slice->space;
    uint64_t returned_bytes = 0;
    uint32_t word = 0;
    bool refused = false;
    while (!refused && returned_bytes < wanted_bytes &&
           npi_a32_load_relaxed(&slice->dirty_count) != 0) {
        uint32_t first;
        uint32_t count;
        pthread_mutex_lock(&slice->lock);
        bool claimed = claim_dirty(slice, &word, whole_units, &first, &count);
        pthread_mutex_unlock(&slice->lock);
        if (!claimed)
            break;
        /* Ours meanwhile, so the kernel may take its time. It refuses locked pages. */
        if (space->huge)
            break_units(slice, first, count);
        refused = npi_pages_return(npi_chunk_address(slice, first),
                                   (size_t)count << NPI_CHUNK_SHIFT) != 0;
        uint64_t pages = 0;
        pthread_mutex_lock(&slice->lock);
        if (refused) {
            set_dirty(slice, first, count);
        } else {
            for (uint32_t chunk = first; chunk < first + count; chunk++) {
                pages += slice->touched[chunk];
                slice->touched[chunk] = 0;
            }
            if (space->huge)
                mend_units(slice, first, count);
        }
        npi_runmap_give(&slice->map, first, count);
        pthread_mutex_unlock(&slice->lock);
        npi_a64_add_relaxed(&space->backed_bytes, -(pages * space->page_bytes));
        returned_bytes += pages * space->page_bytes;
    }
    return returned_bytes;
}

void npi_run_list_push(struct npi_slice *slice, struct npi_run_list *list, uint32_t chunk)
{
    slice->chunks[chunk].prev = 0;
    slice->chunks[chunk].next = list->first;
    if (list->first)
        slice->chunks[list->first].prev = chunk;
    else
        list->last = chunk;
    list->first = chunk;
    list->count++;
}

void npi_run_list_remove(struct npi_slice *slice, struct npi_run_list *list, uint32_t chunk)
{
    struct npi_chunk *run = &slice->chunks[chunk];
    NPI_DEBUG_CHECK(list->count > 0);
    if (run->prev)
        slice->chunks[run->prev].next = run->next;
    else
        list->first = run->next;
    if (run->next)
        slice->chunks[run->next].prev = run->prev;
    else
        list->last = run->prev;
    run->next = run->prev = 0;
    list->count--;
}
