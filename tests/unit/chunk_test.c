/*
 * Runs of chunks: first fit against a naive search, nothing lost to fragmentation, and backing that
 * is counted as the kernel sees it.
 */
#include "unit/memory_support.h"

#include "base/prng.h"
#include "memory/chunk.h"

#include <errno.h>
#include <sys/syscall.h>

/* ------------------------------------------------------------------------------------- the map */

enum { MAP_CHUNKS = 64 * 70 }; /* more than one word of `full`, the last one not whole */

struct map_under_test {
    struct npi_runmap map;
    uint64_t used[MAP_CHUNKS / 64], full[2];
    bool taken[MAP_CHUNKS]; /* the naive one */
};

static void map_init(struct map_under_test *test)
{
    memset(test, 0, sizeof(*test));
    npi_runmap_init(&test->map, test->used, test->full, MAP_CHUNKS);
}

static uint32_t naive_find(const struct map_under_test *test, uint32_t count)
{
    uint32_t length = 0;
    for (uint32_t chunk = 0; chunk < MAP_CHUNKS; chunk++) {
        length = test->taken[chunk] ? 0 : length + 1;
        if (length == count)
            return chunk + 1 - count;
    }
    return NPI_RUN_NONE;
}

static void map_set(struct map_under_test *test, uint32_t first, uint32_t count, bool taken)
{
    for (uint32_t i = 0; i < count; i++)
        test->taken[first + i] = taken;
    if (taken)
        npi_runmap_take(&test->map, first, count);
    else
        npi_runmap_give(&test->map, first, count);
}

static void first_fit_agrees_with_a_naive_search(void **state)
{
    (void)state;
    static struct map_under_test test;
    struct {
        uint32_t first, count;
    } runs[500] = {0};
    struct npi_prng prng;
    npi_prng_seed(&prng, 11);
    map_init(&test);
    unsigned misses = 0;
    for (unsigned step = 0; step < 40000; step++) {
        unsigned slot = npi_prng_below(&prng, 500);
        if (runs[slot].count) {
            map_set(&test, runs[slot].first, runs[slot].count, false);
            runs[slot].count = 0;
            continue;
        }
        /* All lengths up to beyond a word, short ones most. */
        uint32_t count = 1 + npi_prng_below(&prng, 1u << npi_prng_below(&prng, 9));
        uint32_t first = npi_runmap_find(&test.map, count);
        assert_int_equal(first, naive_find(&test, count));
        if (first == NPI_RUN_NONE) {
            misses++;
            continue;
        }
        map_set(&test, first, count, true);
        runs[slot].first = first;
        runs[slot].count = count;
    }
    assert_true(misses > 100); /* it was full often enough to matter */
    for (unsigned slot = 0; slot < 500; slot++) {
        if (runs[slot].count)
            map_set(&test, runs[slot].first, runs[slot].count, false);
    }
    assert_int_equal(npi_runmap_find(&test.map, MAP_CHUNKS), 0);
    assert_int_equal(npi_runmap_find(&test.map, MAP_CHUNKS + 1), NPI_RUN_NONE);
}

/* Every way a free run can lie across words. */
static void runs_cross_words(void **state)
{
    (void)state;
    static struct map_under_test test;
    map_init(&test);
    map_set(&test, 0, MAP_CHUNKS, true);
    assert_int_equal(npi_runmap_find(&test.map, 1), NPI_RUN_NONE);
    for (uint32_t first = 0; first < 130; first++) {
        for (uint32_t count = 1; count < 200; count += 1 + count / 16) {
            map_set(&test, first, count, false);
            assert_int_equal(npi_runmap_find(&test.map, count), first);
            assert_int_equal(npi_runmap_find(&test.map, count + 1), NPI_RUN_NONE);
            map_set(&test, first, count, true);
        }
    }
}

/* ------------------------------------------------------------------------------------- a slice */

static void a_slice_is_used_to_the_last_run(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    struct npi_slice *slice = space->slices[0];
    uint32_t total = slice->chunk_count - slice->data_first - NPI_UNIT_CHUNKS;
    uint32_t *runs = calloc(total + 1, sizeof(*runs));
    assert_non_null(runs);
    uint32_t taken = 0;
    while ((runs[taken] = npi_chunk_take(slice, 1, NPI_CHUNK_SCRATCH)) != NPI_RUN_NONE)
        taken++;
    assert_int_equal(taken, total);
    for (uint32_t i = 0; i < total; i++)
        assert_int_equal(runs[i], slice->data_first + i); /* lowest first, no gaps */
    /* Its last byte is usable, the next is a guard. */
    char *last = npi_chunk_address(slice, runs[total - 1]) + NPI_CHUNK_BYTES - 1;
    *last = 1;
    assert_ptr_equal(last + 1, slice->base + ((size_t)1 << space->slice_shift) - NPI_UNIT_BYTES);

    /* Every other chunk free: single ones are to be had, two in a row not. */
    for (uint32_t i = 0; i < total; i += 2)
        npi_chunk_give(slice, runs[i]);
    assert_int_equal(npi_chunk_take(slice, 2, NPI_CHUNK_SCRATCH), NPI_RUN_NONE);
    assert_int_equal(npi_chunk_take(slice, 1, NPI_CHUNK_SCRATCH), runs[0]);
    npi_chunk_give(slice, runs[0]);
    /* One more gives three. */
    npi_chunk_give(slice, runs[101]);
    assert_int_equal(npi_chunk_take(slice, 3, NPI_CHUNK_SCRATCH), runs[100]);
    npi_chunk_give(slice, runs[100]);
    for (uint32_t i = 1; i < total; i += 2) {
        if (i != 101)
            npi_chunk_give(slice, runs[i]);
    }
    assert_int_equal(npi_chunk_take(slice, total + 1, NPI_CHUNK_SCRATCH), NPI_RUN_NONE);
    assert_int_equal(npi_chunk_take(slice, UINT32_MAX, NPI_CHUNK_SCRATCH), NPI_RUN_NONE);
    uint32_t whole = npi_chunk_take(slice, total, NPI_CHUNK_SCRATCH);
    assert_int_equal(whole, slice->data_first);
    npi_chunk_give(slice, whole);
    free(runs);
    npi_space_destroy(space);
}

/* Small pages: what is counted is what the kernel has, page by page, whatever is taken and given.
 */
static void backing_is_counted_to_the_page(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, 64 * MIB, NPI_PAGES_SMALL);
    assert_false(npi_space_huge(space));
    struct {
        uint32_t chunk, count;
        unsigned node;
    } runs[60] = {0};
    struct npi_prng prng;
    npi_prng_seed(&prng, 5);
    for (unsigned step = 0; step < 3000; step++) {
        unsigned slot = npi_prng_below(&prng, 60);
        struct npi_slice *slice = space->slices[runs[slot].node];
        if (runs[slot].count) {
            npi_chunk_give(slice, runs[slot].chunk);
            runs[slot].count = 0;
        } else {
            runs[slot].node = npi_prng_below(&prng, 2);
            slice = space->slices[runs[slot].node];
            runs[slot].count = 1 + npi_prng_below(&prng, 12);
            runs[slot].chunk = npi_chunk_take(slice, runs[slot].count, NPI_CHUNK_SCRATCH);
            assert_true(runs[slot].chunk != NPI_RUN_NONE);
            uint64_t bytes = 1 + npi_prng_below(&prng, runs[slot].count << NPI_CHUNK_SHIFT);
            uint64_t marked = 0;
            /* In two steps, as scratch does. */
            for (uint64_t to = bytes / 2 + 1; marked < bytes; to = bytes) {
                if (to > marked)
                    marked = npi_chunk_touch(slice, runs[slot].chunk, marked, to);
                assert_true(marked >= to);
                assert_true(marked <= (uint64_t)runs[slot].count << NPI_CHUNK_SHIFT);
            }
            memset(npi_chunk_address(slice, runs[slot].chunk), 1, bytes);
        }
        if (step % 100 == 99) {
            uint64_t resident =
                test_slice_resident_bytes(space, 0) + test_slice_resident_bytes(space, 1);
            assert_int_equal(npi_space_backed(space), resident);
        }
        if (step % 500 == 499) {
            /* Some of it back, by so much does the count sink. */
            uint64_t before = npi_space_backed(space);
            uint64_t back = npi_chunk_return(space->slices[0], 256 * KIB, false);
            assert_int_equal(npi_space_backed(space), before - back);
        }
    }
    for (unsigned slot = 0; slot < 60; slot++) {
        if (runs[slot].count)
            npi_chunk_give(space->slices[runs[slot].node], runs[slot].chunk);
    }
    npi_space_trim(space);
    for (unsigned node = 0; node < 2; node++) {
        assert_int_equal(test_slice_resident_bytes(space, node), 0);
        assert_int_equal(test_chunks_in_use(space, node), 0);
    }
    assert_int_equal(npi_space_backed(space), 0);
    npi_space_destroy(space);
}

/* Huge pages: the first touch of a unit brings all of it; whole units are returned first. */
static void a_unit_is_counted_whole(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 512 * MIB, NPI_PAGES_THP);
    struct npi_slice *slice = space->slices[0];
    if (!npi_space_huge(space)) {
        print_message("skipped: no huge pages here\n");
        npi_space_destroy(space);
        skip();
    }
    uint32_t runs[16]; /* 8 chunks each: four to a unit */
    for (unsigned i = 0; i < 16; i++) {
        runs[i] = npi_chunk_take(slice, 8, NPI_CHUNK_SCRATCH);
        assert_int_equal(runs[i], slice->data_first + 8 * i);
        uint64_t marked = npi_chunk_touch(slice, runs[i], 0, 1);
        assert_int_equal(marked, 512 * KIB);
        *npi_chunk_address(slice, runs[i]) = 1;
        assert_int_equal(npi_space_backed(space), (i / 4 + 1) * NPI_UNIT_BYTES);
        assert_true(test_slice_resident_bytes(space, 0) <= npi_space_backed(space));
    }
    /* A unit whose runs are all free, and one with one of four in use. */
    for (unsigned i = 0; i < 7; i++)
        npi_chunk_give(slice, runs[i]);
    assert_int_equal(npi_chunk_return(slice, UINT64_MAX, true), NPI_UNIT_BYTES);
    assert_int_equal(npi_space_backed(space), 3 * NPI_UNIT_BYTES);
    assert_int_equal(npi_chunk_return(slice, UINT64_MAX, true), 0);
    assert_int_equal(npi_chunk_return(slice, UINT64_MAX, false), NPI_UNIT_BYTES / 4 * 3);
    /* What is left of a broken unit comes back in small pages. */
    uint64_t before = npi_space_backed(space);
    uint32_t again = npi_chunk_take(slice, 40, NPI_CHUNK_SCRATCH);
    assert_int_equal(again, runs[0]);
    npi_chunk_touch(slice, again, NPI_UNIT_BYTES, NPI_UNIT_BYTES + 100);
    assert_int_equal(npi_space_backed(space), before + space->page_bytes);
    npi_chunk_give(slice, again);
    for (unsigned i = 7; i < 16; i++)
        npi_chunk_give(slice, runs[i]);
    npi_space_trim(space);
    assert_int_equal(npi_space_backed(space), 0);
    assert_int_equal(test_slice_resident_bytes(space, 0), 0);
    npi_space_destroy(space);
}

/* Part of a unit is given back before anybody wrote to it: what is written then must not bring in
   more than is counted. */
static void a_part_returned_early_is_not_undone(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 512 * MIB, NPI_PAGES_THP);
    struct npi_slice *slice = space->slices[0];
    if (!npi_space_huge(space)) {
        print_message("skipped: no huge pages here\n");
        npi_space_destroy(space);
        skip();
    }
    uint32_t kept = npi_chunk_take(slice, 1, NPI_CHUNK_SCRATCH);
    npi_chunk_touch(slice, kept, 0, 1);
    assert_int_equal(npi_space_backed(space), NPI_UNIT_BYTES);
    assert_int_equal(npi_chunk_return(slice, UINT64_MAX, true), 0);
    assert_int_equal(npi_chunk_return(slice, UINT64_MAX, false), NPI_UNIT_BYTES - NPI_CHUNK_BYTES);
    assert_int_equal(npi_space_backed(space), NPI_CHUNK_BYTES);
    memset(npi_chunk_address(slice, kept), 1, NPI_CHUNK_BYTES);
    assert_int_equal(test_slice_resident_bytes(space, 0), NPI_CHUNK_BYTES);
    npi_chunk_give(slice, kept);
    npi_space_trim(space);
    assert_int_equal(test_slice_resident_bytes(space, 0), 0);
    npi_space_destroy(space);
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older headers lack it */
#endif

/* What was given back stays with the kernel: it must not collect a broken unit into a huge page again,
   which it does for itself when it finds the time, and at once when told. */
static void a_broken_unit_is_not_collected(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 512 * MIB, NPI_PAGES_THP);
    struct npi_slice *slice = space->slices[0];
    uint32_t runs[4];
    for (unsigned i = 0; i < 4; i++) {
        runs[i] = npi_chunk_take(slice, 8, NPI_CHUNK_SCRATCH);
        npi_chunk_touch(slice, runs[i], 0, 8 * NPI_CHUNK_BYTES);
        memset(npi_chunk_address(slice, runs[i]), 1, 8 * NPI_CHUNK_BYTES);
    }
    char *unit = npi_chunk_address(slice, runs[0]);
    if (!npi_space_huge(space) || madvise(unit, NPI_UNIT_BYTES, MADV_COLLAPSE) != 0) {
        print_message("skipped: no huge pages here, or none on demand: %s\n", strerror(errno));
        npi_space_trim(space);
        npi_space_destroy(space);
        skip();
    }
    /* Two gaps with a run between them, made one after the other. */
    npi_chunk_give(slice, runs[1]);
    assert_int_equal(npi_chunk_return(slice, UINT64_MAX, false), NPI_UNIT_BYTES / 4);
    npi_chunk_give(slice, runs[3]);
    assert_int_equal(npi_chunk_return(slice, UINT64_MAX, false), NPI_UNIT_BYTES / 4);
    assert_int_not_equal(madvise(unit, NPI_UNIT_BYTES, MADV_COLLAPSE), 0);
    assert_int_equal(test_slice_resident_bytes(space, 0), NPI_UNIT_BYTES / 2);
    assert_int_equal(npi_space_backed(space), NPI_UNIT_BYTES / 2);
    /* All of it given back, it is a unit as before. */
    npi_chunk_give(slice, runs[0]);
    npi_chunk_give(slice, runs[2]);
    assert_int_equal(npi_chunk_return(slice, UINT64_MAX, false), NPI_UNIT_BYTES / 2);
    assert_int_equal(npi_space_backed(space), 0);
    runs[0] = npi_chunk_take(slice, 1, NPI_CHUNK_SCRATCH);
    npi_chunk_touch(slice, runs[0], 0, 1);
    *unit = 1;
    assert_int_equal(npi_space_backed(space), NPI_UNIT_BYTES);
    assert_int_equal(madvise(unit, NPI_UNIT_BYTES, MADV_COLLAPSE), 0);
    assert_int_equal(test_slice_resident_bytes(space, 0), NPI_UNIT_BYTES);
    npi_chunk_give(slice, runs[0]);
    npi_space_trim(space);
    npi_space_destroy(space);
}

/* Trimming is no bookkeeping: the process really becomes smaller, and only by what nobody uses. */
static void trimming_shrinks_the_process(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, 128 * MIB, NPI_PAGES_SMALL);
    size_t before = test_resident_bytes();
    char *kept = npi_block_alloc(space, 1, 10 * MIB, 0);
    char *blocks[40];
    assert_non_null(kept);
    memset(kept, 9, 10 * MIB);
    for (unsigned i = 0; i < 40; i++) {
        blocks[i] = npi_block_alloc(space, i % 2, 2 * MIB, 0);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, 2 * MIB);
    }
    struct npi_scratch scratch;
    memset(&scratch, 0, sizeof(scratch));
    scratch.space = space;
    npi_scratch_begin(&scratch, 0);
    memset(npi_scratch_take(&scratch, 4 * MIB), 1, 4 * MIB);
    npi_scratch_end(&scratch);
    npi_scratch_cool(&scratch);
    for (unsigned i = 0; i < 40; i++)
        assert_true(npi_block_free(space, blocks[i]));
    assert_int_equal(npi_space_backed(space), 94 * MIB);
    size_t resident = test_slice_resident_bytes(space, 0) + test_slice_resident_bytes(space, 1);
    assert_int_equal(resident, 94 * MIB);
    size_t full = test_resident_bytes();
    npi_space_trim(space);
    resident = test_slice_resident_bytes(space, 0) + test_slice_resident_bytes(space, 1);
    assert_int_equal(resident, 10 * MIB);
    assert_int_equal(npi_space_backed(space), 10 * MIB);
    if (!TEST_SANITIZED) {
        /* Whatever else this process did meanwhile is small beside it. */
        assert_true(full >= before + 90 * MIB);
        assert_true(test_resident_bytes() <= full - 80 * MIB);
    }
    for (size_t i = 0; i < 10 * MIB; i += 1000)
        assert_int_equal(kept[i], 9);
    assert_true(npi_block_free(space, kept));
    npi_space_destroy(space);
}

/* The kernel refuses to take locked pages: they stay counted, and nothing is lost or looped on. */
static void refused_returns_stay_counted(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    struct npi_slice *slice = space->slices[0];
    uint32_t run = npi_chunk_take(slice, 4, NPI_CHUNK_SCRATCH);
    char *bytes = npi_chunk_address(slice, run);
    npi_chunk_touch(slice, run, 0, 4 * NPI_CHUNK_BYTES);
    memset(bytes, 1, 4 * NPI_CHUNK_BYTES);
    if (syscall(SYS_mlock, bytes, 4 * NPI_CHUNK_BYTES) != 0) {
        print_message("skipped: mlock: %s\n", strerror(errno));
        npi_space_destroy(space);
        skip();
    }
    npi_chunk_give(slice, run);
    npi_space_trim(space);
    assert_int_equal(npi_space_backed(space), 4 * NPI_CHUNK_BYTES);
    assert_int_equal(npi_a32_load_relaxed(&slice->dirty_count), 4);
    assert_int_equal(syscall(SYS_munlock, bytes, 4 * NPI_CHUNK_BYTES), 0);
    npi_space_trim(space);
    assert_int_equal(npi_space_backed(space), 0);
    npi_space_destroy(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_fit_agrees_with_a_naive_search),
        cmocka_unit_test(runs_cross_words),
        cmocka_unit_test(a_slice_is_used_to_the_last_run),
        cmocka_unit_test(backing_is_counted_to_the_page),
        cmocka_unit_test(a_unit_is_counted_whole),
        cmocka_unit_test(a_part_returned_early_is_not_undone),
        cmocka_unit_test(a_broken_unit_is_not_collected),
        cmocka_unit_test(trimming_shrinks_the_process),
        cmocka_unit_test(refused_returns_stay_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
