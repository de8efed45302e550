/*
 * The address range and what is kept about it; private to src/memory. The layout is drawn in
 * README.md. A *chunk* is 64 KiB, the unit in which address space is handed out; a *run* is some
 * chunks in a row with one owner; a *unit* is 2 MiB, the unit in which address space is made usable
 * and the size of a huge page; a *span* is a run cut into equal blocks.
 *
 * Locks, in the order they may be taken: the lock of caches (cache.c), a heap's latch, a slice's lock.
 * Nobody waits for two of a kind.
 */
#ifndef NPI_MEMORY_SPACE_H
#define NPI_MEMORY_SPACE_H

#include "base/cacheline.h"
#include "memory/memory.h"
#include "memory/runmap.h"
#include "queue/return_list.h"

#include <pthread.h>

_Static_assert(sizeof(size_t) == 8, "slices need 64-bit addresses");

#define NPI_CHUNK_SHIFT 16
#define NPI_CHUNK_BYTES ((size_t)1 << NPI_CHUNK_SHIFT)
#define NPI_UNIT_CHUNKS 32u
#define NPI_UNIT_BYTES (NPI_UNIT_CHUNKS * NPI_CHUNK_BYTES)

/* 16-byte steps to 128, then four per doubling to 32 KiB. */
#define NPI_BLOCK_CLASSES 40u
#define NPI_BLOCK_BYTES_MAX ((size_t)32 << 10)
#define NPI_HEAPS_MAX 8u
#define NPI_INVERSE_SHIFT 40

enum npi_chunk_kind {
    NPI_CHUNK_FREE = 0, /* or inside a run other than a span */
    NPI_CHUNK_INSIDE,   /* of a span; detail = chunks back to its first */
    NPI_CHUNK_SPAN,     /* first of a span; detail = class and heap */
    NPI_CHUNK_LARGE,    /* first of a block that is a run of its own */
    NPI_CHUNK_SCRATCH,  /* first of a scratch run */
};

/* What is known about a chunk, or, at its first chunk, about a run. Out of band, so that blocks of
   2^n bytes fill their span, and in the slice itself, so that it is as near as the memory it
   describes. All but `tag` belong to the owner of the run: a heap, a scratch, or whoever has the
   slice's lock. */
struct npi_chunk {
    npi_a32
        tag; /* enum npi_chunk_kind | detail << 8; also read to refuse pointers that are not ours */
    uint32_t chunks; /* length of the run */
    uint32_t next,
        prev; /* in the list the run is on: spans of a heap, warm or held runs; 0 = none */
    union {
        struct {
            void *free;     /* freed blocks, linked through their first word */
            uint32_t used;  /* blocks handed out */
            npi_a32 carved; /* blocks ever handed out: those above were never touched */
            bool listed;    /* on its heap's list: has blocks to hand out */
        } span;
        struct {
            uint64_t bytes; /* as counted against the budget */
        } large;
        struct {
            struct npi_scratch *owner; /* NULL when the run is warm and nobody's */
            uint64_t marked_bytes;     /* the part from its start that is counted as backed */
        } scratch;
    };
};
_Static_assert(sizeof(struct npi_chunk) <= NPI_LINE_BYTES, "a chunk's entry is at most a line");

/* A list of runs by chunk number. Chunk 0 of a slice is never handed out, so 0 is the end. */
struct npi_run_list {
    uint32_t first, last, count;
};

struct npi_class {
    uint32_t bytes;
    uint32_t span_chunks;
    uint32_t span_blocks;
    uint64_t inverse; /* 2^NPI_INVERSE_SHIFT / bytes, rounded up: an offset in a span becomes a
                         number of a block */
    uint16_t cache_first, cache_max; /* its part of a cache's blocks */
};

static inline uint32_t npi_class_of(size_t bytes)
{
    if (bytes <= 128)
        return (uint32_t)((bytes - 1) / 16);
    size_t last = bytes - 1;
    unsigned log = 63u ^ (unsigned)__builtin_clzll(last);
    return 8 + (log - 7) * 4 + (uint32_t)(last >> (log - 2) & 3);
}

/* One of several equal heaps of a node: whoever allocates takes one that is not busy. */
struct npi_heap {
    NPI_APART npi_a32 latch; /* see latch.h */
    /* All of this under the latch; counters are read by anybody. */
    struct npi_run_list spans[NPI_BLOCK_CLASSES]; /* those with blocks to hand out */
    npi_a64 given_bytes;                          /* only grow */
    npi_a64 returned_bytes;
    npi_a32 empty_spans;

    NPI_APART struct npi_return_list returned; /* blocks freed while the heap was busy */
    npi_a64 returned_beside_bytes;             /* their sizes, ever */
};
NPI_ASSERT_APART(struct npi_heap, empty_spans, returned);

struct npi_slice {
    /* set once */
    struct npi_space *space;
    char *base;
    struct npi_chunk *chunks; /* the table; committed as far as the chunks are */
    uint8_t *touched;         /* per chunk: pages from its start that may be backed */
    uint64_t *dirty;          /* bit per chunk: free, and touched is not 0 */
    bool *broken;             /* per unit: part of it was given back, it has small pages only */
    uint32_t data_first;      /* chunks below hold this struct and the tables */
    uint32_t chunk_count;
    uint32_t heap_mask;
    struct npi_heap *heaps;

    NPI_APART pthread_mutex_t lock;
    struct npi_runmap map;
    struct npi_run_list warm; /* scratch runs nobody holds, last in at the front */
    struct npi_run_list held; /* scratch runs of workers, last taken at the front */
    npi_a32 dirty_count;
    npi_a32 committed; /* chunks usable from the start of the slice; grows only */

    NPI_APART npi_a64 run_bytes; /* large blocks, and scratch beyond what its tasks brought */
};
NPI_ASSERT_APART(struct npi_slice, heap_mask, lock);
NPI_ASSERT_APART(struct npi_slice, committed, run_bytes);

struct npi_space {
    /* set once */
    char *base;
    size_t bytes;
    unsigned slice_shift;
    unsigned node_count;
    uint64_t budget_bytes;
    size_t request_bytes_max;    /* larger pieces fit no slice or no budget; far from wrapping */
    uint64_t backed_bytes_limit; /* above it whoever adds backing trims what is idle */
    uint64_t tight_bytes;        /* above it runs are fitted to the task at hand */
    size_t page_bytes;
    bool huge;
    uint64_t key; /* marks freed blocks */
    struct npi_class classes[NPI_BLOCK_CLASSES];
    struct npi_slice **slices;
    uint64_t id; /* differs between spaces of a process; 0 = without caches */
    struct npi_cache *caches;
    uint32_t cache_count;
    struct npi_space *next_living; /* of those with caches, under their lock */

    NPI_APART npi_a64 in_use_bytes;
    NPI_APART npi_a64 backed_bytes;
    npi_a32 trimming;
    npi_a32 caches_used; /* so many from the first were ever somebody's */
};
NPI_ASSERT_APART(struct npi_space, next_living, in_use_bytes);
NPI_ASSERT_APART(struct npi_space, in_use_bytes, backed_bytes);

static inline struct npi_slice *npi_slice_of(const struct npi_space *space, const void *address)
{
    size_t offset = (size_t)((uintptr_t)address - (uintptr_t)space->base);
    return offset < space->bytes ? space->slices[offset >> space->slice_shift] : NULL;
}

static inline uint32_t npi_chunk_of(const struct npi_slice *slice, const void *address)
{
    return (uint32_t)((size_t)((const char *)address - slice->base) >> NPI_CHUNK_SHIFT);
}

static inline char *npi_chunk_address(const struct npi_slice *slice, uint32_t chunk)
{
    return slice->base + ((size_t)chunk << NPI_CHUNK_SHIFT);
}

/* More chunks than any slice has, rather than a few by wrapping round. */
static inline uint32_t npi_chunks_for(uint64_t bytes)
{
    uint64_t count = (bytes >> NPI_CHUNK_SHIFT) + ((bytes & (NPI_CHUNK_BYTES - 1)) != 0);
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static inline uint32_t npi_tag(enum npi_chunk_kind kind, uint32_t detail)
{
    return (uint32_t)kind | detail << 8;
}

static inline enum npi_chunk_kind npi_tag_kind(uint32_t tag)
{
    return (enum npi_chunk_kind)(tag & 0xff);
}

static inline uint32_t npi_tag_detail(uint32_t tag)
{
    return tag >> 8;
}

/* Called with no lock held by whoever may have made memory backed: trims what is idle, of any node,
   when more is backed than the budget and a little allows. (trim.c) */
void npi_space_settle(struct npi_space *space);

/* Frees address space of a node that ran out of it: warm runs, and those that workers hold idle. */
void npi_space_squeeze(struct npi_slice *slice);

#endif
