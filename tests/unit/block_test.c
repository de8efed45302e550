/*
 * Blocks: what comes back has the promised size and place, what is charged is exact, nothing is
 * lost, whoever frees it.
 */
#include "unit/memory_support.h"

#include "base/prng.h"
#include "memory/latch.h"

#include <pthread.h>
#include <sched.h>

/* Every byte tells to which block it belongs. */
static void fill(unsigned char *block, size_t bytes, uint64_t cookie)
{
    for (size_t i = 0; i < bytes; i++)
        block[i] = (unsigned char)(cookie >> (i % 8 * 8)) ^ (unsigned char)i;
}

static bool holds(const unsigned char *block, size_t bytes, uint64_t cookie)
{
    for (size_t i = 0; i < bytes; i++) {
        if (block[i] != ((unsigned char)(cookie >> (i % 8 * 8)) ^ (unsigned char)i))
            return false;
    }
    return true;
}

static void every_size_has_its_class(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    size_t before = 0;
    for (size_t bytes = 1; bytes <= 70 * KIB; bytes += bytes < 1024 ? 1 : 61) {
        unsigned char *block = npi_block_alloc(space, 0, bytes, 0);
        assert_non_null(block);
        size_t usable = npi_block_size(space, block);
        assert_true(usable >= bytes);
        assert_true(usable >= before); /* sizes never go down as requests go up */
        /* 16-byte steps, then four classes a doubling, then pages. */
        size_t waste = bytes <= 128 ? 15 : bytes <= 32 * KIB ? (bytes - 1) / 4 : 4095;
        assert_true(usable - bytes <= waste);
        assert_int_equal((uintptr_t)block % 16, 0);
        assert_int_equal(npi_space_in_use(space), usable);
        assert_int_equal(npi_space_in_use_of(space, 0), usable);
        fill(block, usable, bytes);
        assert_true(holds(block, usable, bytes));
        assert_true(npi_block_free(space, block));
        assert_int_equal(npi_space_in_use(space), 0);
        before = usable;
    }
    npi_space_trim(space);
    assert_int_equal(test_chunks_in_use(space, 0), 0);
    npi_space_destroy(space);
}

static void a_span_is_filled_by_its_blocks(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    for (uint32_t i = 0; i < NPI_BLOCK_CLASSES; i++) {
        const struct npi_class *class = &space->classes[i];
        size_t span_bytes = class->span_chunks * NPI_CHUNK_BYTES;
        assert_true(class->span_chunks <= 8);
        assert_true(span_bytes - (size_t) class->span_blocks * class->bytes <= span_bytes / 16);
        char *blocks[4096];
        assert_true(class->span_blocks <= 4096);
        for (uint32_t k = 0; k < class->span_blocks; k++) {
            blocks[k] = npi_block_alloc(space, 0, class->bytes, 0);
            assert_non_null(blocks[k]);
            assert_int_equal(blocks[k] - blocks[0], (ptrdiff_t)k * class->bytes);
        }
        assert_int_equal(test_chunks_in_use(space, 0), class->span_chunks);
        /* Every other address of the span is nobody's. */
        for (size_t offset = 8; offset < span_bytes; offset += 4088) {
            if (offset % class->bytes)
                assert_false(npi_block_free(space, blocks[0] + offset));
        }
        for (uint32_t k = 0; k < class->span_blocks; k++)
            assert_true(npi_block_free(space, blocks[k]));
        npi_space_trim(space);
        assert_int_equal(test_chunks_in_use(space, 0), 0);
    }
    npi_space_destroy(space);
}

static void blocks_live_on_their_node(void **state)
{
    (void)state;
    struct npi_space *space = test_space(4, 64 * MIB, NPI_PAGES_SMALL);
    for (unsigned node = 0; node < 4; node++) {
        for (size_t bytes = 1; bytes <= 8 * MIB; bytes *= 2) {
            char *block = npi_block_alloc(space, node, bytes, node);
            assert_non_null(block);
            assert_int_equal(npi_space_node_of(space, block), (int)node);
            assert_int_equal(npi_space_node_of(space, block + bytes - 1), (int)node);
            assert_int_equal(npi_space_in_use_of(space, node), npi_block_size(space, block));
            assert_int_equal(npi_space_in_use_of(space, (node + 1) % 4), 0);
            assert_true(npi_block_free(space, block));
        }
    }
    assert_null(npi_block_alloc(space, 4, 1, 0));
    npi_space_destroy(space);
}

static void the_budget_is_exact(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, 1 * MIB, NPI_PAGES_SMALL);
    void *blocks[1024];
    assert_null(npi_block_alloc(space, 0, 0, 0));
    assert_null(npi_block_alloc(space, 0, 1 * MIB + 1, 0));
    assert_null(npi_block_alloc(space, 0, SIZE_MAX, 0));
    assert_null(npi_block_alloc(space, 0, SIZE_MAX - 4095, 0));
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 1024; i++) {
            blocks[i] = npi_block_alloc(space, i % 2, 1024, i);
            assert_non_null(blocks[i]);
        }
        assert_int_equal(npi_space_in_use(space), 1 * MIB);
        assert_null(npi_block_alloc(space, 0, 1, 0));
        assert_true(npi_block_free(space, blocks[77]));
        assert_null(npi_block_alloc(space, 0, 1025, 0));
        blocks[77] = npi_block_alloc(space, 1, 1024, 3);
        assert_non_null(blocks[77]);
        for (unsigned i = 0; i < 1024; i++)
            assert_true(npi_block_free(space, blocks[i]));
        assert_int_equal(npi_space_in_use(space), 0);
    }
    void *all = npi_block_alloc(space, 1, 1 * MIB, 0);
    assert_non_null(all);
    assert_null(npi_block_alloc(space, 0, 1, 0));
    assert_true(npi_block_free(space, all));
    assert_int_equal(npi_space_in_use(space), 0);
    npi_space_destroy(space);
}

static void what_is_not_ours_is_refused(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, 64 * MIB, NPI_PAGES_SMALL);
    char outside[64];
    char *small = npi_block_alloc(space, 0, 100, 0);
    char *large = npi_block_alloc(space, 1, 300 * KIB, 0);
    assert_non_null(small);
    assert_non_null(large);
    uint64_t in_use = npi_space_in_use(space);

    assert_false(npi_block_free(space, NULL));
    assert_false(npi_block_free(space, outside));
    assert_false(npi_block_free(space, small + 1));
    assert_false(npi_block_free(space, small + 16));
    assert_false(npi_block_free(space, small + npi_block_size(space, small))); /* not carved yet */
    assert_false(npi_block_free(space, large + 1));
    assert_false(npi_block_free(space, large + 64 * KIB));
    assert_false(npi_block_free(space, large + 512 * KIB));
    /* Guards, tables, never used addresses, one past the end. */
    assert_false(npi_block_free(space, space->base));
    assert_false(npi_block_free(space, space->slices[0]));
    assert_false(npi_block_free(space, space->slices[1]->chunks));
    assert_false(npi_block_free(space, space->base + space->bytes - 64 * KIB));
    assert_false(npi_block_free(space, space->base + space->bytes));
    assert_int_equal(npi_block_size(space, outside), 0);
    assert_int_equal(npi_block_size(space, large + 64 * KIB), 0);
    assert_int_equal(npi_space_in_use(space), in_use);

    assert_true(npi_block_free(space, small));
    assert_false(npi_block_free(space, small));
    assert_true(npi_block_free(space, large));
    assert_false(npi_block_free(space, large));
    assert_int_equal(npi_space_in_use(space), 0);
    npi_space_destroy(space);
}

/* A block is freed while its heap is busy: it must count as free at once and be handed out again.
 */
static void a_busy_heap_is_not_waited_for(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    struct npi_slice *slice = space->slices[0];
    void *blocks[64];
    for (unsigned i = 0; i < 64; i++)
        blocks[i] = npi_block_alloc(space, 0, 1024, 0);
    uint64_t in_use = npi_space_in_use(space);
    assert_int_equal(in_use, 64 * KIB);
    assert_int_equal(test_chunks_in_use(space, 0), 1);

    assert_true(npi_latch_try(&slice->heaps[0].latch));
    for (unsigned i = 0; i < 64; i++)
        assert_true(npi_block_free(space, blocks[i]));
    assert_false(npi_block_free(space, blocks[63]));
    assert_int_equal(npi_space_in_use(space), 0);
    assert_int_equal(npi_space_in_use_of(space, 0), 0);
    assert_false(npi_return_list_seems_empty(&slice->heaps[0].returned));
    /* An allocation goes to another heap. */
    void *other = npi_block_alloc(space, 0, 1024, 0);
    assert_non_null(other);
    assert_int_equal(test_chunks_in_use(space, 0), 2);
    npi_latch_release(&slice->heaps[0].latch);

    /* The span is full as far as its heap knows: what was returned is all it has. */
    for (unsigned i = 0; i < 64; i++)
        blocks[i] = npi_block_alloc(space, 0, 1024, 0);
    assert_int_equal(test_chunks_in_use(space, 0), 2);
    assert_true(npi_return_list_seems_empty(&slice->heaps[0].returned));

    /* Nobody uses the heap any more: trimming finds what was returned. */
    assert_true(npi_latch_try(&slice->heaps[0].latch));
    for (unsigned i = 0; i < 64; i++)
        assert_true(npi_block_free(space, blocks[i]));
    npi_latch_release(&slice->heaps[0].latch);
    assert_true(npi_block_free(space, other));
    npi_space_trim(space);
    assert_int_equal(test_chunks_in_use(space, 0), 0);
    assert_int_equal(npi_space_backed(space), 0);
    npi_space_destroy(space);
}

/* All heaps of a node are busy: the allocation waits for one, and gets it. */
struct waiter {
    struct npi_space *space;
    void *block;
};

static void *wait_for_heap(void *arg)
{
    struct waiter *waiter = arg;
    waiter->block = npi_block_alloc(waiter->space, 0, 48, 1);
    return NULL;
}

static void an_allocation_outlasts_busy_heaps(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    struct npi_slice *slice = space->slices[0];
    assert_int_equal(slice->heap_mask, 3);
    for (uint32_t i = 0; i <= slice->heap_mask; i++)
        assert_true(npi_latch_try(&slice->heaps[i].latch));
    struct waiter waiter = {.space = space};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_heap, &waiter), 0);
    /* It tried them all and waits for the one of its choice. */
    while (npi_a32_load_relaxed(&slice->heaps[1].latch) != NPI_LATCH_HELD_AND_WAITED)
        sched_yield();
    for (uint32_t i = 0; i <= slice->heap_mask; i++)
        npi_latch_release(&slice->heaps[i].latch);
    pthread_join(thread, NULL);
    assert_non_null(waiter.block);
    assert_true(npi_block_free(space, waiter.block));
    npi_space_destroy(space);
}

/* Against a list of what was handed out: no two blocks overlap, no content changes, sums agree. */
static void random_use_agrees_with_a_list(void **state)
{
    (void)state;
    enum { SLOTS = 600, STEPS = 60000 };
    struct npi_space *space = test_space(3, 24 * MIB, NPI_PAGES_SMALL);
    struct {
        unsigned char *block;
        size_t usable, filled;
        unsigned node;
        uint64_t cookie;
    } slots[SLOTS] = {0};
    uint64_t in_use = 0;
    uint64_t in_use_of[3] = {0};
    unsigned refused = 0;
    struct npi_prng prng;
    npi_prng_seed(&prng, 20260714);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned slot = npi_prng_below(&prng, SLOTS);
        if (slots[slot].block) {
            assert_true(holds(slots[slot].block, slots[slot].filled, slots[slot].cookie));
            assert_true(npi_block_free(space, slots[slot].block));
            in_use -= slots[slot].usable;
            in_use_of[slots[slot].node] -= slots[slot].usable;
            slots[slot].block = NULL;
        } else {
            unsigned shift = npi_prng_below(&prng, 19);
            size_t bytes = 1 + npi_prng_below(&prng, 1u << shift);
            unsigned node = npi_prng_below(&prng, 3);
            unsigned char *block = npi_block_alloc(space, node, bytes, npi_prng_below(&prng, 16));
            if (!block) {
                /* Only ever for want of budget. */
                assert_true(in_use + bytes + bytes / 4 + 4096 > 24 * MIB);
                refused++;
                continue;
            }
            slots[slot].block = block;
            slots[slot].usable = npi_block_size(space, block);
            slots[slot].filled = slots[slot].usable < 512 ? slots[slot].usable : 512;
            slots[slot].node = node;
            slots[slot].cookie = npi_prng_next(&prng);
            fill(block, slots[slot].filled, slots[slot].cookie);
            in_use += slots[slot].usable;
            in_use_of[node] += slots[slot].usable;
            assert_int_equal(npi_space_node_of(space, block), (int)node);
        }
        assert_int_equal(npi_space_in_use(space), in_use);
        if (step % 5000 == 0)
            npi_space_trim(space);
    }
    for (unsigned node = 0; node < 3; node++)
        assert_int_equal(npi_space_in_use_of(space, node), in_use_of[node]);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        if (!slots[slot].block)
            continue;
        assert_true(holds(slots[slot].block, slots[slot].filled, slots[slot].cookie));
        assert_true(npi_block_free(space, slots[slot].block));
    }
    assert_int_equal(npi_space_in_use(space), 0);
    npi_space_trim(space);
    for (unsigned node = 0; node < 3; node++)
        assert_int_equal(test_chunks_in_use(space, node), 0);
    assert_int_equal(npi_space_backed(space), 0);
    npi_space_destroy(space);
}

/* AddressSanitizer is told what belongs to a caller: every neighbour of it and all of it once freed
   is out of bounds. */
static void a_sanitizer_knows_the_bounds(void **state)
{
    (void)state;
    if (!NPI_ASAN) {
        print_message("skipped: built without AddressSanitizer\n");
        skip();
    }
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    unsigned char *small = npi_block_alloc(space, 0, 96, 0);
    unsigned char *large = npi_block_alloc(space, 0, 100 * KIB, 0);
    assert_false(NPI_IS_POISONED(small));
    assert_false(NPI_IS_POISONED(small + 95));
    assert_true(NPI_IS_POISONED(small + 96));
    assert_false(NPI_IS_POISONED(large + 100 * KIB - 1));
    assert_true(NPI_IS_POISONED(large + 100 * KIB));
    assert_true(npi_block_free(space, small));
    assert_true(npi_block_free(space, large));
    assert_true(NPI_IS_POISONED(small));
    assert_true(NPI_IS_POISONED(small + 95));
    assert_true(NPI_IS_POISONED(large));

    struct npi_scratch scratch;
    memset(&scratch, 0, sizeof(scratch));
    scratch.space = space;
    npi_scratch_begin(&scratch, 0);
    unsigned char *first = npi_scratch_take(&scratch, 40);
    unsigned char *second = npi_scratch_take(&scratch, 100 * KIB);
    assert_false(NPI_IS_POISONED(first + 39));
    assert_true(NPI_IS_POISONED(first + 40));
    assert_false(NPI_IS_POISONED(second + 100 * KIB - 1));
    assert_true(NPI_IS_POISONED(second + 100 * KIB));
    npi_scratch_end(&scratch);
    assert_true(NPI_IS_POISONED(first));
    assert_true(NPI_IS_POISONED(second));
    npi_scratch_cool(&scratch);
    npi_space_destroy(space);
}

/* Blocks made by some threads, freed by others, through mailboxes that both sides swap. */
enum { HANDS = 6, MAILBOXES = 64, ROUNDS = 20000 };

struct crossing {
    struct npi_space *space;
    npi_a64 mailbox[MAILBOXES];
    npi_a64 damaged, refused_frees;
    pthread_barrier_t start;
};

struct hand {
    struct crossing *crossing;
    unsigned number;
};

struct parcel {
    uint64_t bytes;
    uint64_t cookie;
    unsigned char content[];
};

static void open_parcel(struct crossing *crossing, struct parcel *parcel)
{
    if (!holds(parcel->content, parcel->bytes, parcel->cookie))
        npi_a64_add_relaxed(&crossing->damaged, 1);
    if (!npi_block_free(crossing->space, parcel))
        npi_a64_add_relaxed(&crossing->refused_frees, 1);
}

static void *pass_parcels(void *arg)
{
    struct hand *hand = arg;
    struct crossing *crossing = hand->crossing;
    struct npi_prng prng;
    npi_prng_seed(&prng, hand->number);
    pthread_barrier_wait(&crossing->start);
    for (unsigned round = 0; round < ROUNDS; round++) {
        /* One in two hundred is large; the rest are of few classes, so that heaps collide. */
        size_t bytes =
            npi_prng_below(&prng, 200) == 0 ? 100 * KIB : (size_t)16 << npi_prng_below(&prng, 6);
        struct parcel *parcel = npi_block_alloc(crossing->space, npi_prng_below(&prng, 2),
                                                sizeof(struct parcel) + bytes, hand->number / 2);
        if (parcel) {
            parcel->bytes = bytes > 512 ? 512 : bytes;
            parcel->cookie = npi_prng_next(&prng);
            fill(parcel->content, parcel->bytes, parcel->cookie);
        }
        npi_a64 *mailbox = &crossing->mailbox[npi_prng_below(&prng, MAILBOXES)];
        struct parcel *old =
            (struct parcel *)(uintptr_t)npi_a64_swap_acq_rel(mailbox, (uint64_t)(uintptr_t)parcel);
        if (old)
            open_parcel(crossing, old);
        if (round % 4000 == 3999)
            npi_space_trim(crossing->space);
    }
    return NULL;
}

static void blocks_cross_threads(void **state)
{
    (void)state;
    struct crossing *crossing = calloc(1, sizeof(*crossing));
    assert_non_null(crossing);
    crossing->space = test_space(2, 16 * MIB, NPI_PAGES_SMALL);
    pthread_barrier_init(&crossing->start, NULL, HANDS);
    pthread_t threads[HANDS];
    struct hand hands[HANDS];
    for (unsigned i = 0; i < HANDS; i++) {
        hands[i] = (struct hand){crossing, i};
        assert_int_equal(pthread_create(&threads[i], NULL, pass_parcels, &hands[i]), 0);
    }
    for (unsigned i = 0; i < HANDS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < MAILBOXES; i++) {
        struct parcel *left =
            (struct parcel *)(uintptr_t)npi_a64_load_acquire(&crossing->mailbox[i]);
        if (left)
            open_parcel(crossing, left);
    }
    assert_int_equal(npi_a64_load_relaxed(&crossing->damaged), 0);
    assert_int_equal(npi_a64_load_relaxed(&crossing->refused_frees), 0);
    assert_int_equal(npi_space_in_use(crossing->space), 0);
    for (unsigned node = 0; node < 2; node++)
        assert_int_equal(npi_space_in_use_of(crossing->space, node), 0);
    npi_space_trim(crossing->space);
    for (unsigned node = 0; node < 2; node++)
        assert_int_equal(test_chunks_in_use(crossing->space, node), 0);
    assert_int_equal(npi_space_backed(crossing->space), 0);
    pthread_barrier_destroy(&crossing->start);
    npi_space_destroy(crossing->space);
    free(crossing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_has_its_class),
        cmocka_unit_test(a_span_is_filled_by_its_blocks),
        cmocka_unit_test(blocks_live_on_their_node),
        cmocka_unit_test(the_budget_is_exact),
        cmocka_unit_test(what_is_not_ours_is_refused),
        cmocka_unit_test(a_busy_heap_is_not_waited_for),
        cmocka_unit_test(an_allocation_outlasts_busy_heaps),
        cmocka_unit_test(random_use_agrees_with_a_list),
        cmocka_unit_test(a_sanitizer_knows_the_bounds),
        cmocka_unit_test(blocks_cross_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
