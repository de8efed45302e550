/*
 * Scratch: pieces of a task do not overlap, cost what was promised, and are gone with it; runs are
 * kept while that is cheap, shared when a worker parks, and given up when memory is short.
 */
#include "unit/memory_support.h"

#include "base/prng.h"
#include "memory/warm.h"

#include <pthread.h>

static struct npi_scratch new_scratch(struct npi_space *space, unsigned node)
{
    struct npi_scratch scratch;
    memset(&scratch, 0, sizeof(scratch));
    scratch.space = space;
    scratch.node = node;
    return scratch;
}

/* A task that takes one piece and writes all of it. */
static bool run_task(struct npi_scratch *scratch, uint64_t granted_bytes, size_t bytes)
{
    npi_scratch_begin(scratch, granted_bytes);
    void *piece = npi_scratch_take(scratch, bytes);
    if (piece)
        memset(piece, 0xa5, bytes);
    npi_scratch_end(scratch);
    return piece != NULL;
}

static void pieces_are_apart_and_aligned(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, 64 * MIB, NPI_PAGES_SMALL);
    struct npi_scratch scratch = new_scratch(space, 1);
    struct npi_prng prng;
    npi_prng_seed(&prng, 7);
    for (unsigned task = 0; task < 50; task++) {
        unsigned char *pieces[200];
        size_t sizes[200];
        uint64_t taken = 0;
        npi_scratch_begin(&scratch, 0);
        for (unsigned i = 0; i < 200; i++) {
            sizes[i] = 1 + npi_prng_below(&prng, 1u << npi_prng_below(&prng, 15));
            pieces[i] = npi_scratch_take(&scratch, sizes[i]);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % 64, 0);
            assert_int_equal(npi_space_node_of(space, pieces[i]), 1);
            memset(pieces[i], (int)(i + 1), sizes[i]);
            taken += npi_round_up(sizes[i], 64);
            assert_int_equal(npi_space_in_use(space), taken);
            assert_int_equal(npi_space_in_use_of(space, 1), taken);
        }
        for (unsigned i = 0; i < 200; i++) {
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(pieces[i][k], i + 1);
        }
        npi_scratch_end(&scratch);
        assert_int_equal(npi_space_in_use(space), 0);
        assert_null(scratch.extra);
    }
    npi_scratch_cool(&scratch);
    npi_space_trim(space);
    assert_int_equal(test_chunks_in_use(space, 1), 0);
    assert_int_equal(npi_space_backed(space), 0);
    npi_space_destroy(space);
}

static void what_the_task_brought_comes_first(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 1 * MIB, NPI_PAGES_SMALL);
    struct npi_scratch scratch = new_scratch(space, 0);
    /* Exactly what was brought, for sizes that are no multiple of anything. */
    for (uint64_t granted = 1; granted < 9000; granted += 13) {
        assert_true(npi_space_reserve(space, granted));
        npi_scratch_begin(&scratch, granted);
        assert_non_null(npi_scratch_take(&scratch, granted));
        assert_int_equal(npi_space_in_use(space), granted);
        assert_non_null(npi_scratch_take(&scratch, 100));
        assert_int_equal(npi_space_in_use(space), granted + 128);
        npi_scratch_end(&scratch);
        assert_int_equal(npi_space_in_use(space), granted);
        npi_space_unreserve(space, granted);
    }
    /* All of the budget is the task's: its own bytes are still to be had, no more. */
    assert_true(npi_space_reserve(space, 1 * MIB));
    npi_scratch_begin(&scratch, 1 * MIB);
    assert_non_null(npi_scratch_take(&scratch, 1 * MIB - 64));
    assert_null(npi_scratch_take(&scratch, 65));
    assert_non_null(npi_scratch_take(&scratch, 1));
    assert_null(npi_scratch_take(&scratch, 1));
    npi_scratch_end(&scratch);
    assert_int_equal(npi_space_in_use(space), 1 * MIB);
    npi_space_unreserve(space, 1 * MIB);

    npi_scratch_begin(&scratch, 0);
    assert_null(npi_scratch_take(&scratch, 0));
    assert_null(npi_scratch_take(&scratch, 1 * MIB + 1));
    assert_null(npi_scratch_take(&scratch, SIZE_MAX));
    assert_null(npi_scratch_take(&scratch, SIZE_MAX - 62));
    assert_non_null(npi_scratch_take(&scratch, 1 * MIB));
    assert_null(npi_scratch_take(&scratch, 1));
    npi_scratch_end(&scratch);
    assert_int_equal(npi_space_in_use(space), 0);
    npi_scratch_cool(&scratch);
    npi_space_destroy(space);
}

static void the_run_follows_what_tasks_take(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 256 * MIB, NPI_PAGES_SMALL);
    struct npi_scratch scratch = new_scratch(space, 0);
    assert_true(run_task(&scratch, 0, 1000));
    char *base = scratch.base;
    assert_int_equal(scratch.size_bytes, 64 * KIB);
    assert_true(run_task(&scratch, 0, 64 * KIB));
    assert_ptr_equal(scratch.base, base); /* the same warm run, task after task */

    /* Three pieces do not fit; the next time they do. */
    for (unsigned task = 0; task < 2; task++) {
        npi_scratch_begin(&scratch, 0);
        for (unsigned i = 0; i < 3; i++)
            assert_non_null(npi_scratch_take(&scratch, 100 * KIB));
        assert_int_equal(scratch.extra != NULL, task == 0);
        npi_scratch_end(&scratch);
    }
    assert_true(scratch.size_bytes >= 300 * KIB);

    /* 500 KiB cost eight chunks and no more. */
    assert_true(run_task(&scratch, 500 * KIB, 500 * KIB));
    assert_int_equal(scratch.size_bytes, 512 * KIB);

    /* Many small tasks later it is small again. */
    for (unsigned task = 0; task < 200; task++)
        assert_true(run_task(&scratch, 0, 1000));
    assert_int_equal(scratch.size_bytes, 64 * KIB);

    /* A rare large one is not kept at all. */
    assert_true(run_task(&scratch, 0, 40 * MIB));
    assert_null(scratch.base);
    assert_true(run_task(&scratch, 0, 1000));
    npi_scratch_cool(&scratch);
    npi_space_trim(space);
    assert_int_equal(test_chunks_in_use(space, 0), 0);
    npi_space_destroy(space);
}

/* Many small pieces beyond the warm run must not take a run each. */
static void small_pieces_share_extra_runs(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    struct npi_scratch scratch = new_scratch(space, 0);
    npi_scratch_begin(&scratch, 0);
    for (unsigned i = 0; i < 100000; i++)
        assert_non_null(npi_scratch_take(&scratch, 64));
    assert_true(test_chunks_in_use(space, 0) <= 2 * npi_chunks_for(6400000));
    npi_scratch_end(&scratch);
    npi_scratch_cool(&scratch);
    npi_space_trim(space);
    assert_int_equal(test_chunks_in_use(space, 0), 0);
    npi_space_destroy(space);
}

static void a_cooled_run_serves_the_next_worker(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, 64 * MIB, NPI_PAGES_SMALL);
    struct npi_scratch workers[4];
    char *bases[4];
    for (unsigned i = 0; i < 4; i++) {
        workers[i] = new_scratch(space, 0);
        assert_true(run_task(&workers[i], 0, 200 * KIB));
        bases[i] = workers[i].base;
    }
    uint64_t backed = npi_space_backed(space);
    for (unsigned i = 0; i < 4; i++)
        npi_scratch_cool(&workers[i]);
    assert_int_equal(npi_space_backed(space), backed);
    /* Last in, first out; another node has none of it. */
    struct npi_scratch there = new_scratch(space, 1);
    assert_true(run_task(&there, 0, 200 * KIB));
    assert_int_equal(npi_space_node_of(space, there.base), 1);
    struct npi_scratch next[3];
    for (unsigned i = 0; i < 3; i++) {
        next[i] = new_scratch(space, 0);
        assert_true(run_task(&next[i], 0, 200 * KIB));
        assert_ptr_equal(next[i].base, bases[3 - i]);
        /* Parks and comes back at once: nobody was there before it. */
        npi_scratch_cool(&next[i]);
        assert_null(next[i].base);
        assert_true(run_task(&next[i], 0, 200 * KIB));
        assert_ptr_equal(next[i].base, bases[3 - i]);
    }
    assert_int_equal(npi_space_backed(space), backed + npi_round_up(200 * KIB, 4096));
    for (unsigned i = 0; i < 3; i++)
        npi_scratch_cool(&next[i]);
    npi_scratch_cool(&there);
    npi_space_trim(space);
    assert_int_equal(npi_space_backed(space), 0);
    npi_space_destroy(space);
}

/* Of the few newest runs the one that fits best is taken, and none that is far too large. */
static void the_best_warm_run_is_taken(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 256 * MIB, NPI_PAGES_SMALL);
    const size_t sizes[] = {128 * KIB, 1024 * KIB, 320 * KIB, 4096 * KIB};
    struct npi_scratch workers[4];
    char *bases[4];
    for (unsigned i = 0; i < 4; i++) {
        workers[i] = new_scratch(space, 0);
        assert_true(run_task(&workers[i], 0, sizes[i]));
        bases[i] = workers[i].base;
    }
    for (unsigned i = 0; i < 4; i++)
        npi_scratch_cool(&workers[i]);
    struct npi_scratch scratch = new_scratch(space, 0);
    assert_true(run_task(&scratch, 0, 300 * KIB));
    assert_ptr_equal(scratch.base, bases[2]);
    struct npi_scratch small = new_scratch(space, 0);
    assert_true(run_task(&small, 0, 20 * KIB));
    assert_ptr_equal(small.base, bases[0]);
    struct npi_scratch tiny = new_scratch(space, 0);
    assert_true(run_task(&tiny, 0, 64));
    assert_int_equal(tiny.size_bytes, 64 * KIB);
    struct npi_scratch large = new_scratch(space, 0);
    assert_true(run_task(&large, 0, 5 * MIB));
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_not_equal(large.base, bases[i]);
    npi_scratch_cool(&scratch);
    npi_scratch_cool(&small);
    npi_scratch_cool(&tiny);
    npi_scratch_cool(&large);
    npi_space_destroy(space);
}

/* Workers that hold idle runs do not keep others from the budget: what is resident stays near it.
 */
static void idle_runs_make_way(void **state)
{
    (void)state;
    enum { WORKERS = 400 };
    const size_t budget = 32 * MIB;
    const size_t bytes = 500 * KIB;
    struct npi_space *space = test_space(2, budget, NPI_PAGES_SMALL);
    struct npi_scratch *workers = calloc(WORKERS, sizeof(*workers));
    assert_non_null(workers);
    /* All together they would hold six times the budget; one at a time each may use it. */
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = new_scratch(space, i % 2);
        assert_true(npi_space_reserve(space, bytes));
        assert_true(run_task(&workers[i], bytes, bytes));
        npi_space_unreserve(space, bytes);
        assert_true(npi_space_backed(space) <= space->backed_bytes_limit);
    }
    /* As many at once as the budget admits, after everybody has had a turn. */
    unsigned running = 0;
    while (npi_space_reserve(space, bytes)) {
        struct npi_scratch *scratch = &workers[running * 5];
        npi_scratch_begin(scratch, bytes);
        void *piece = npi_scratch_take(scratch, bytes);
        assert_non_null(piece);
        memset(piece, (int)running, bytes);
        running++;
        assert_true(npi_space_backed(space) <= space->backed_bytes_limit);
    }
    assert_int_equal(running, budget / bytes);
    for (unsigned i = 0; i < running; i++) {
        const unsigned char *piece = (unsigned char *)workers[i * 5].base;
        assert_int_equal(piece[0], (unsigned char)i);
        assert_int_equal(piece[bytes - 1], (unsigned char)i);
        npi_scratch_end(&workers[i * 5]);
        npi_space_unreserve(space, bytes);
    }
    assert_int_equal(npi_space_in_use(space), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        npi_scratch_cool(&workers[i]);
    npi_space_trim(space);
    for (unsigned node = 0; node < 2; node++) {
        assert_int_equal(test_chunks_in_use(space, node), 0);
        assert_int_equal(space->slices[node]->held.count, 0);
        assert_int_equal(space->slices[node]->warm.count, 0);
    }
    assert_int_equal(npi_space_backed(space), 0);
    free(workers);
    npi_space_destroy(space);
}

/* Nor do they keep blocks from it, which have no use for a run of that length. */
static void idle_runs_make_way_for_blocks(void **state)
{
    (void)state;
    enum { WORKERS = 220, BLOCKS = 512 };
    struct npi_space *space = test_space(2, 32 * MIB, NPI_PAGES_SMALL);
    struct npi_scratch *workers = calloc(WORKERS, sizeof(*workers));
    void *blocks[BLOCKS];
    assert_non_null(workers);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = new_scratch(space, i % 2);
        assert_true(run_task(&workers[i], 0, 200 * KIB));
    }
    for (unsigned i = 0; i < WORKERS; i += 2)
        npi_scratch_cool(&workers[i]);
    assert_true(npi_space_backed(space) > 27 * MIB); /* held for nobody in particular */
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = npi_block_alloc(space, i / 2 % 2, 64 * KIB, i);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, 64 * KIB);
        assert_true(npi_space_backed(space) <= space->backed_bytes_limit);
    }
    assert_int_equal(npi_space_in_use(space), 32 * MIB);
    /* Those who lost their run get another one when there is room again. */
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_true(npi_block_free(space, blocks[i]));
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_true(run_task(&workers[i], 0, 200 * KIB));
        npi_scratch_cool(&workers[i]);
    }
    npi_space_trim(space);
    assert_int_equal(npi_space_backed(space), 0);
    free(workers);
    npi_space_destroy(space);
}

/* A slice too small for every worker's idle run: addresses are taken back, not refused. */
static void idle_runs_give_up_addresses(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    size_t slice_bytes = (size_t)1 << space->slice_shift;
    unsigned count = (unsigned)(slice_bytes / (4 * MIB)) + 50;
    struct npi_scratch *workers = calloc(count, sizeof(*workers));
    assert_non_null(workers);
    for (unsigned i = 0; i < count; i++) {
        workers[i] = new_scratch(space, 0);
        /* Takes little of much: addresses run out long before pages do. */
        assert_true(npi_space_reserve(space, 4 * MIB));
        assert_true(run_task(&workers[i], 4 * MIB, 64));
        npi_space_unreserve(space, 4 * MIB);
    }
    for (unsigned i = 0; i < count; i++)
        npi_scratch_cool(&workers[i]);
    npi_space_trim(space);
    assert_int_equal(test_chunks_in_use(space, 0), 0);
    free(workers);
    npi_space_destroy(space);
}

/* Threads as workers, a budget that is too small for all at once, and runs stolen from each other.
 */
enum { HANDS = 8, TASKS = 3000 };

struct load {
    struct npi_space *space;
    npi_a64 damaged, ran, refused;
    pthread_barrier_t start;
};

struct hand {
    struct load *load;
    unsigned number;
};

static bool is_all(const unsigned char *piece, size_t bytes, unsigned char value)
{
    for (size_t i = 0; i < bytes; i += 509) {
        if (piece[i] != value)
            return false;
    }
    return piece[bytes - 1] == value;
}

static void *work(void *arg)
{
    struct hand *hand = arg;
    struct load *load = hand->load;
    struct npi_prng prng;
    npi_prng_seed(&prng, 99 + hand->number);
    struct npi_scratch scratch = new_scratch(load->space, hand->number % 2);
    pthread_barrier_wait(&load->start);
    for (unsigned task = 0; task < TASKS; task++) {
        size_t bytes = 1 + npi_prng_below(&prng, 600 * 1024);
        uint64_t granted = npi_prng_below(&prng, 2) ? bytes : 0;
        if (!npi_space_reserve(load->space, granted)) {
            npi_a64_add_relaxed(&load->refused, 1);
            continue;
        }
        npi_scratch_begin(&scratch, granted);
        unsigned char *first = npi_scratch_take(&scratch, bytes);
        unsigned char *second = npi_scratch_take(&scratch, 5000);
        unsigned char mark = (unsigned char)(task + hand->number);
        if (first)
            memset(first, mark, bytes);
        if (second)
            memset(second, mark + 1, 5000);
        if ((first && !is_all(first, bytes, mark)) ||
            (second && !is_all(second, 5000, (unsigned char)(mark + 1))) || (granted && !first))
            npi_a64_add_relaxed(&load->damaged, 1);
        npi_scratch_end(&scratch);
        npi_space_unreserve(load->space, granted);
        npi_a64_add_relaxed(&load->ran, 1);
        if (npi_prng_below(&prng, 50) == 0)
            npi_scratch_cool(&scratch);
        if (npi_prng_below(&prng, 500) == 0)
            npi_space_trim(load->space);
    }
    npi_scratch_cool(&scratch);
    return NULL;
}

static void workers_share_a_small_budget(void **state)
{
    (void)state;
    struct load load;
    memset(&load, 0, sizeof(load));
    load.space = test_space(2, 2 * MIB, NPI_PAGES_SMALL);
    /* Without its allowance the limit is met all the time: trimming and stealing never rest. */
    load.space->backed_bytes_limit = 2 * MIB;
    pthread_barrier_init(&load.start, NULL, HANDS);
    pthread_t threads[HANDS];
    struct hand hands[HANDS];
    for (unsigned i = 0; i < HANDS; i++) {
        hands[i] = (struct hand){&load, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &hands[i]), 0);
    }
    for (unsigned i = 0; i < HANDS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(npi_a64_load_relaxed(&load.damaged), 0);
    assert_int_equal(npi_a64_load_relaxed(&load.ran) + npi_a64_load_relaxed(&load.refused),
                     HANDS * TASKS);
    assert_int_equal(npi_space_in_use(load.space), 0);
    npi_space_trim(load.space);
    for (unsigned node = 0; node < 2; node++)
        assert_int_equal(test_chunks_in_use(load.space, node), 0);
    assert_int_equal(npi_space_backed(load.space), 0);
    pthread_barrier_destroy(&load.start);
    npi_space_destroy(load.space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_apart_and_aligned),
        cmocka_unit_test(what_the_task_brought_comes_first),
        cmocka_unit_test(the_run_follows_what_tasks_take),
        cmocka_unit_test(small_pieces_share_extra_runs),
        cmocka_unit_test(a_cooled_run_serves_the_next_worker),
        cmocka_unit_test(the_best_warm_run_is_taken),
        cmocka_unit_test(idle_runs_make_way),
        cmocka_unit_test(idle_runs_make_way_for_blocks),
        cmocka_unit_test(idle_runs_give_up_addresses),
        cmocka_unit_test(workers_share_a_small_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
