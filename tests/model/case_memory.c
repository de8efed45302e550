/*
 * Blocks of one node (src/memory: block, span, chunk, runmap, latch; src/queue/return_list): freed by
 * threads that find the heap busy, while its holder allocates and somebody sweeps.
 */
#include "model/cases.h"

#include "memory/block.h"
#include "memory/chunk.h"
#include "memory/latch.h"
#include "memory/span.h"

#include <string.h>

#define CHUNKS 64
#define BLOCK_BYTES 1024u
#define SPAN_BLOCKS 2 /* so that spans fill and empty */
#define BLOCKS 4

static struct npi_space space;
static struct npi_slice slice, *slices[] = {&slice};
static struct npi_chunk chunks[CHUNKS];
static struct npi_heap heap;
static uint64_t used[1], full[1], dirty[1];
static uint8_t touched[CHUNKS];
static _Alignas(NPI_CHUNK_BYTES) char memory[CHUNKS][NPI_CHUNK_BYTES];

/* Trimming is another matter. */
void npi_space_settle(struct npi_space *of)
{
    (void)of;
}

void npi_space_squeeze(struct npi_slice *of)
{
    (void)of;
}

static void *given[BLOCKS]; /* blocks that threads hold, NULL = none */
static bool refused;

static void make_space(void)
{
    memset(&space, 0, sizeof space);
    memset(&slice, 0, sizeof slice);
    memset(&heap, 0, sizeof heap);
    memset(chunks, 0, sizeof chunks);
    memset(used, 0, sizeof used);
    memset(full, 0, sizeof full);
    memset(dirty, 0, sizeof dirty);
    memset(touched, 0, sizeof touched);
    memset(given, 0, sizeof given);
    refused = false;
    for (unsigned i = 1; i < 4; i++) {
        memset(memory[i], 0, (SPAN_BLOCKS + 1) * BLOCK_BYTES);
    }
    space.base = memory[0];
    space.bytes = sizeof memory;
    space.slice_shift = 22;
    space.node_count = 1;
    space.slices = slices;
    space.page_bytes = 4096;
    space.request_bytes_max = sizeof memory;
    space.key = 0x1234567890abcdef;
    for (unsigned i = 0; i < NPI_BLOCK_CLASSES; i++) {
        space.classes[i].bytes = BLOCK_BYTES;
        space.classes[i].span_chunks = 1;
        space.classes[i].span_blocks = SPAN_BLOCKS;
        space.classes[i].inverse =
            ((UINT64_C(1) << NPI_INVERSE_SHIFT) + BLOCK_BYTES - 1) / BLOCK_BYTES;
    }
    slice.space = &space;
    slice.base = memory[0];
    slice.chunks = chunks;
    slice.touched = touched;
    slice.dirty = dirty;
    slice.data_first = 1;
    slice.chunk_count = CHUNKS;
    slice.heaps = &heap;
    npi_runmap_init(&slice.map, used, full, CHUNKS);
    npi_runmap_take(&slice.map, 0, 1);
    npi_a32_init(&slice.committed, CHUNKS);
    npi_return_list_init(&heap.returned);
}

/* The block is the caller's alone, and all others have done with it. */
static void hold(unsigned n, void *block)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        MODEL_CHECK(given[i] != block);
    }
    model_plain_write(block);
    memset((char *)block + 16, (int)n, BLOCK_BYTES - 16);
    given[n] = block;
}

static void give_back(unsigned n)
{
    char *block = given[n];
    model_plain_read(block);
    MODEL_CHECK(block[16] == (char)n && block[BLOCK_BYTES - 1] == (char)n);
    given[n] = NULL;
    MODEL_CHECK(npi_block_free(&space, block));
}

static void free_one(void *arg)
{
    give_back((unsigned)(uintptr_t)arg);
}

static void allocate(void *arg)
{
    unsigned n = (unsigned)(uintptr_t)arg;
    void *block = npi_block_alloc(&space, 0, BLOCK_BYTES, 0);
    MODEL_CHECK(block != NULL);
    hold(n, block);
}

static void sweep(void *arg)
{
    (void)arg;
    npi_block_collect(&slice);
}

/* Two blocks fill a span; both are freed from outside while a third is wanted and somebody sweeps. */
static void setup_remote_free(void)
{
    make_space();
    allocate((void *)0);
    allocate((void *)1);
    (void)model_spawn("freer 0", free_one, (void *)0);
    (void)model_spawn("freer 1", free_one, (void *)1);
    (void)model_spawn("owner", allocate, (void *)2);
    (void)model_spawn("sweeper", sweep, NULL);
}

/* Every block is on one list: all of them can be had again, each once, and then all go back. */
static void check_remote_free(void)
{
    model_reach(npi_a64_load_relaxed(&heap.returned_beside_bytes) != 0);
    allocate((void *)0);
    allocate((void *)1);
    allocate((void *)3);
    for (unsigned n = 0; n < BLOCKS; n++) {
        MODEL_CHECK(given[n] != NULL);
        give_back(n);
    }
    npi_block_collect(&slice);
    for (unsigned chunk = 1; chunk < CHUNKS; chunk++) {
        MODEL_CHECK(npi_tag_kind(npi_a32_load_relaxed(&chunks[chunk].tag)) == NPI_CHUNK_FREE);
    }
    MODEL_CHECK(used[0] == 1);
    MODEL_CHECK(npi_a32_load_relaxed(&heap.empty_spans) == 0);
    MODEL_CHECK(npi_a64_load_relaxed(&heap.given_bytes) ==
                npi_a64_load_relaxed(&heap.returned_bytes) +
                    npi_a64_load_relaxed(&heap.returned_beside_bytes));
}

const struct model_case model_case_remote_free = {
    .name = "remote_free",
    .about = "two threads free blocks of a busy heap while one allocates and one sweeps it",
    .setup = setup_remote_free,
    .check = check_remote_free,
    .reach = 3, /* all found the heap free; somebody did not */
};

/* ------------------------------------------------------------------------------- the latch */

static npi_a32 latch;
static uint64_t guarded;
static unsigned inside;

static void with_latch(void *arg)
{
    if (arg != NULL && !npi_latch_try(&latch)) {
        refused = true;
        return;
    }
    if (arg == NULL) {
        npi_latch_wait(&latch);
    }
    MODEL_CHECK(++inside == 1);
    model_plain_write(&guarded);
    guarded++;
    inside--;
    npi_latch_release(&latch);
}

static void setup_latch(void)
{
    npi_a32_init(&latch, NPI_LATCH_FREE);
    guarded = 0;
    inside = 0;
    refused = false;
    (void)model_spawn("waiter 0", with_latch, NULL);
    (void)model_spawn("waiter 1", with_latch, NULL);
    (void)model_spawn("waiter 2", with_latch, NULL);
    (void)model_spawn("trier", with_latch, &latch);
}

static void check_latch(void)
{
    MODEL_CHECK(guarded == (refused ? 3 : 4));
    MODEL_CHECK(npi_a32_load_relaxed(&latch) == NPI_LATCH_FREE);
    model_reach(refused);
}

const struct model_case model_case_latch = {
    .name = "latch",
    .about = "three threads wait for a heap's latch, one only tries",
    .setup = setup_latch,
    .check = check_latch,
    .reach = 3, /* the trier got it, or not */
};
