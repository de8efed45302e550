/*
 * The address range of a pool's memory: reserved, cut into a slice per memory node, bound, and the
 * byte budget that everything handed out of it is charged to. Called when a pool begins and ends,
 * and for the budget by flow and by the rest of this folder.
 */
#include "memory/space.h"

#include "base/check.h"
#include "memory/cache.h"
#include "memory/latch.h"
#include "memory/poison.h"
#include "os/os.h"
#include "topology/place.h"

#include <stdlib.h>
#include <string.h>

/* A slice may have to hold the whole budget, the idle runs of workers on top of it, and holes.
   Twice the budget leaves the latter two half of the addresses, and addresses cost next to nothing.
 */
#define SLICE_FLOOR_BYTES (UINT64_C(64) << 20)
#define SLICE_SHIFT_MIN 24u /* below 16 MiB the tables and guards would be most of a slice */
#define SLICE_SHIFT_MAX 44u /* chunk numbers, and the kernel's 47 bits shared by all nodes */

/* A pool with a small budget gains little from huge pages, and rounding to 2 MiB what 32 workers
   touch could make the resident memory a multiple of what was asked for. */
#define HUGE_BUDGET_MIN (UINT64_C(256) << 20)

/* Where the tables of a slice lie, as offsets from its start. */
struct layout {
    size_t heaps, used, full, dirty, touched, broken, chunks;
    uint32_t chunk_count, data_first;
};

static struct layout plan_slice(unsigned shift, uint32_t heap_count, size_t page_bytes)
{
    struct layout at;
    at.chunk_count = (uint32_t)1 << (shift - NPI_CHUNK_SHIFT);
    uint32_t word_count = at.chunk_count / 64;
    /* The first chunk is a guard: nothing runs down into the tables from below. */
    size_t end = NPI_CHUNK_BYTES + npi_round_up(sizeof(struct npi_slice), NPI_APART_BYTES);
    at.heaps = end;
    end += heap_count * sizeof(struct npi_heap);
    at.used = end;
    end += word_count * sizeof(uint64_t);
    at.full = end;
    end += npi_runmap_full_words(word_count) * sizeof(uint64_t);
    at.dirty = end;
    end += word_count * sizeof(uint64_t);
    at.touched = end;
    end += at.chunk_count;
    at.broken = end;
    end += at.chunk_count / NPI_UNIT_CHUNKS;
    at.chunks = npi_round_up(end, page_bytes);
    end = at.chunks + at.chunk_count * sizeof(struct npi_chunk);
    /* At least one chunk between the tables and the data stays inaccessible, too. */
    at.data_first = (uint32_t)npi_round_up(npi_chunks_for(end) + 1, NPI_UNIT_CHUNKS);
    return at;
}

static void list_classes(struct npi_class *classes)
{
    for (uint32_t i = 0; i < NPI_BLOCK_CLASSES; i++) {
        uint32_t step = i < 8 ? 4 : 5 + (i - 8) / 4; /* log2 of the class's step */
        uint32_t bytes = i < 8 ? (i + 1) << step : (5 + (i - 8) % 4) << step;
        /* As few chunks as leave at most a sixteenth of the span unused. */
        uint32_t span_bytes = NPI_CHUNK_BYTES;
        while (span_bytes % bytes > span_bytes / 16)
            span_bytes += (uint32_t)NPI_CHUNK_BYTES;
        classes[i].bytes = bytes;
        classes[i].span_chunks = span_bytes >> NPI_CHUNK_SHIFT;
        classes[i].span_blocks = span_bytes / bytes;
        classes[i].inverse = (UINT64_C(1) << NPI_INVERSE_SHIFT) / bytes + 1;
    }
}

/* Threads that allocate at once on a node are about as many as its CPUs; a preempted one keeps its
   heap, so one CPU has two. */
static uint32_t heap_count_of(const struct npi_plan_node *node)
{
    size_t cpus = npi_cpuset_count(&node->cpus);
    uint32_t count = 2;
    while (count < NPI_HEAPS_MAX && count < cpus)
        count *= 2;
    return count;
}

static void init_heap(struct npi_heap *heap)
{
    npi_a32_init(&heap->latch, NPI_LATCH_FREE);
    npi_return_list_init(&heap->returned);
}

/* The slice's own struct and tables, in its own, bound memory. False: no memory for them. */
static bool init_slice(struct npi_space *space, unsigned index, uint32_t heap_count, bool want_huge)
{
    char *base = space->base + ((size_t)index << space->slice_shift);
    struct layout at = plan_slice(space->slice_shift, heap_count, space->page_bytes);
    size_t table_bytes = npi_round_up(at.data_first * sizeof(struct npi_chunk), space->page_bytes);
    if (npi_pages_commit(base + NPI_CHUNK_BYTES, at.chunks + table_bytes - NPI_CHUNK_BYTES) != 0)
        return false;
    npi_pages_hugepages(base, (size_t)at.data_first << NPI_CHUNK_SHIFT, false);
    /* The kernel may not know the advice at all; then it gives small pages only. */
    char *data = base + ((size_t)at.data_first << NPI_CHUNK_SHIFT);
    size_t data_bytes = (size_t)(at.chunk_count - at.data_first) << NPI_CHUNK_SHIFT;
    if (npi_pages_hugepages(data, data_bytes, want_huge) != 0)
        space->huge = false;

    struct npi_slice *slice = (struct npi_slice *)(void *)(base + NPI_CHUNK_BYTES);
    slice->space = space;
    slice->base = base;
    slice->chunks = (struct npi_chunk *)(void *)(base + at.chunks);
    slice->touched = (uint8_t *)base + at.touched;
    slice->dirty = (uint64_t *)(void *)(base + at.dirty);
    slice->broken = (bool *)base + at.broken;
    slice->data_first = at.data_first;
    slice->chunk_count = at.chunk_count;
    slice->heap_mask = heap_count - 1;
    slice->heaps = (struct npi_heap *)(void *)(base + at.heaps);
    for (uint32_t i = 0; i < heap_count; i++)
        init_heap(&slice->heaps[i]);
    pthread_mutex_init(&slice->lock, NULL);
    npi_runmap_init(&slice->map, (uint64_t *)(void *)(base + at.used),
                    (uint64_t *)(void *)(base + at.full), at.chunk_count);
    npi_runmap_take(&slice->map, 0, at.data_first);
    npi_runmap_take(&slice->map, at.chunk_count - NPI_UNIT_CHUNKS, NPI_UNIT_CHUNKS);
    npi_a32_init(&slice->committed, at.data_first);
    space->slices[index] = slice;
    return true;
}

static unsigned slice_shift_for(uint64_t budget_bytes)
{
    uint64_t bytes = budget_bytes > SLICE_FLOOR_BYTES ? budget_bytes : SLICE_FLOOR_BYTES;
    unsigned shift = SLICE_SHIFT_MIN;
    /* Some more for tables and guards, so that budgets of 2^n do not come out a hair short. */
    while (shift < SLICE_SHIFT_MAX && ((UINT64_C(1) << shift) / 2 < bytes ||
                                       (UINT64_C(1) << shift) / 2 - bytes < SLICE_FLOOR_BYTES / 2))
        shift++;
    return shift;
}

/* Reserves, binds and prepares slices of 2^shift bytes. */
static bool make_slices(struct npi_space *space, const struct npi_plan *plan, unsigned shift,
                        uint64_t *denied_count)
{
    /* Aligned to a unit, for huge pages; the node of an address is a subtraction and a shift, so
       the range needs no alignment to a slice, which would take twice its addresses to find. */
    void *start;
    size_t bytes = (size_t)plan->node_count << shift;
    if (bytes >> shift != plan->node_count || npi_pages_reserve(&start, bytes, NPI_UNIT_BYTES) != 0)
        return false;
    space->base = start;
    space->bytes = bytes;
    space->slice_shift = shift;
    *denied_count = 0;
    bool made = true;
    for (unsigned i = 0; made && i < plan->node_count; i++) {
        char *base = space->base + ((size_t)i << shift);
        if (plan->live && plan->memory_policy != NPI_MEMORY_LOCAL &&
            npi_place_range(base, (size_t)1 << shift, plan->memory_policy,
                            plan->nodes[i].os_index) != 0)
            ++*denied_count;
        made = init_slice(space, i, heap_count_of(&plan->nodes[i]), space->huge);
    }
    if (!made)
        npi_pages_release(space->base, space->bytes);
    return made;
}

int npi_space_create(struct npi_space **space, const struct npi_plan *plan, uint64_t budget_bytes,
                     npi_a64 *bind_denied)
{
    struct npi_space *made =
        aligned_alloc(NPI_APART_BYTES, npi_round_up(sizeof(struct npi_space), NPI_APART_BYTES));
    if (!made)
        return NUMAPOOL_E_NOMEM;
    memset(made, 0, sizeof(*made));
    made->slices = calloc(plan->node_count, sizeof(struct npi_slice *));
    made->page_bytes = npi_pages_size();
    /* No page may span two chunks' owners. */
    if (!made->slices || made->page_bytes > NPI_CHUNK_BYTES) {
        free(made->slices);
        free(made);
        return NUMAPOOL_E_NOMEM;
    }
    made->node_count = plan->node_count;
    made->budget_bytes = budget_bytes;
    uint64_t little = budget_bytes / 128 + 2 * NPI_UNIT_BYTES;
    made->backed_bytes_limit =
        budget_bytes > UINT64_MAX - little ? UINT64_MAX : budget_bytes + little;
    made->tight_bytes = budget_bytes - budget_bytes / 8;
    made->huge = made->page_bytes == 4096 && plan->pages != NPI_PAGES_SMALL &&
                 (plan->pages != NPI_PAGES_THP || budget_bytes >= HUGE_BUDGET_MIN);
    list_classes(made->classes);

    /* Address space may be short: ulimit -v, sanitizers, valgrind. A slice smaller than wished for
       only brings the point nearer where it is full before the budget is. */
    uint64_t denied_count = 0;
    unsigned shift = slice_shift_for(budget_bytes);
    bool huge = made->huge;
    while (!make_slices(made, plan, shift, &denied_count)) {
        made->huge = huge;
        if (shift-- == SLICE_SHIFT_MIN) {
            free(made->slices);
            free(made);
            return NUMAPOOL_E_NOMEM;
        }
    }
    uint64_t slice_bytes = UINT64_C(1) << made->slice_shift;
    made->request_bytes_max = budget_bytes < slice_bytes ? budget_bytes : slice_bytes;
    made->key = (uint64_t)(uintptr_t)made->base * UINT64_C(0x9e3779b97f4a7c15) | 1;
    if (denied_count)
        npi_a64_add_relaxed(bind_denied, denied_count);
    npi_caches_init(made);
    *space = made;
    return NUMAPOOL_OK;
}

void npi_space_destroy(struct npi_space *space)
{
    if (!space)
        return;
    npi_caches_fini(space);
    for (unsigned i = 0; i < space->node_count; i++) {
        struct npi_slice *slice = space->slices[i];
        pthread_mutex_destroy(&slice->lock);
        /* The addresses will serve somebody else. */
        NPI_UNPOISON(npi_chunk_address(slice, slice->data_first),
                     (size_t)(npi_a32_load_relaxed(&slice->committed) - slice->data_first)
                         << NPI_CHUNK_SHIFT);
    }
    npi_pages_release(space->base, space->bytes);
    free(space->slices);
    free(space);
}

int npi_space_node_of(const struct npi_space *space, const void *address)
{
    size_t offset = (size_t)((uintptr_t)address - (uintptr_t)space->base);
    return offset < space->bytes ? (int)(offset >> space->slice_shift) : -1;
}

/*
 * A compare-and-swap loop, not add-and-undo: the sum of a request that does not fit would for a
 * moment be visible, and refuse others that do fit. The test is written so that no size can wrap
 * it. Relaxed: the counter is about itself only; memory is handed over by the lists and locks it is
 * on.
 */
bool npi_space_reserve(struct npi_space *space, uint64_t bytes)
{
    uint64_t in_use = npi_a64_load_relaxed(&space->in_use_bytes);
    do {
        if (bytes > space->budget_bytes - in_use)
            return false;
    } while (!npi_a64_cas_relaxed(&space->in_use_bytes, &in_use, in_use + bytes));
    return true;
}

void npi_space_unreserve(struct npi_space *space, uint64_t bytes)
{
    uint64_t before = npi_a64_add_relaxed(&space->in_use_bytes, -bytes);
    NPI_DEBUG_CHECK(before >= bytes);
    (void)before;
}

uint64_t npi_space_in_use(const struct npi_space *space)
{
    uint64_t kept = 0;
    for (unsigned i = 0; i < space->node_count; i++)
        kept += npi_caches_kept(space, i);
    /* After what is kept (@cache-emptied): a block that is given back meanwhile may be taken off twice,
       but never shows as in use. */
    uint64_t charged = npi_a64_load_relaxed(&space->in_use_bytes);
    return charged > kept ? charged - kept : 0;
}

uint64_t npi_space_in_use_of(const struct npi_space *space, unsigned node)
{
    if (node >= space->node_count)
        return 0;
    const struct npi_slice *slice = space->slices[node];
    uint64_t given = npi_a64_load_relaxed(&slice->run_bytes);
    uint64_t returned = npi_caches_kept(space, node);
    for (uint32_t i = 0; i <= slice->heap_mask; i++) {
        const struct npi_heap *heap = &slice->heaps[i];
        returned += npi_a64_load_relaxed(&heap->returned_bytes) +
                    npi_a64_load_relaxed(&heap->returned_beside_bytes);
        given += npi_a64_load_relaxed(&heap->given_bytes);
    }
    /* Read one after the other: a block may be seen returned and not yet given. */
    return given > returned ? given - returned : 0;
}

uint64_t npi_space_budget(const struct npi_space *space)
{
    return space->budget_bytes;
}

uint64_t npi_space_backed(const struct npi_space *space)
{
    return npi_a64_load_relaxed(&space->backed_bytes);
}

bool npi_space_huge(const struct npi_space *space)
{
    return space->huge;
}
