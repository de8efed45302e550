/*
 * The ring with several threads: every task comes out once, whole, in its producer's order, and the
 * bound holds; a producer that stops inside its claim stops other producers and nobody else.
 */
#include "unit/ring_support.h"

#define CONSUMERS_MAX 4u
#define PRODUCERS_MAX 4u

struct traffic {
    struct test_ring test;
    unsigned producers, consumers;
    uint32_t each; /* tasks per producer */
    npi_a64 left;
    npi_a32 *seen; /* [producers * each] how often a task came out */
};

static struct traffic *watched;

static void dump_traffic(void)
{
    const struct npi_ring *ring = &watched->test.ring;
    (void)dprintf(STDERR_FILENO, "left %llu, claim %llu, sum of tails %llu\n",
                  (unsigned long long)npi_a64_load_sc(&watched->left),
                  (unsigned long long)npi_a64_load_sc(&ring->claim),
                  (unsigned long long)ring->tail_sum);
    for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
        (void)dprintf(STDERR_FILENO, "class %u: tail %llu head %llu\n", rank,
                      (unsigned long long)npi_a64_load_sc(&ring->tail[rank]),
                      (unsigned long long)npi_a64_load_sc(&ring->head[rank]));
    }
}

static void produce(struct traffic *traffic, unsigned producer)
{
    struct npi_prng prng;
    npi_prng_seed(&prng, producer + 100);
    for (uint32_t next = 0; next < traffic->each;) {
        unsigned rank = npi_prng_below(&prng, NPI_RING_CLASSES);
        unsigned count = 1 + npi_prng_below(&prng, 4);
        count = count < traffic->each - next ? count : traffic->each - next;
        uint64_t value = (uint64_t)producer << 32 | next;
        int pushed = test_ring_push(&traffic->test, rank, value, count);
        if (pushed > 0) {
            next += (uint32_t)pushed;
        } else {
            (void)sched_yield();
        }
    }
}

static void consume(struct traffic *traffic, unsigned consumer)
{
    struct npi_prng prng;
    npi_prng_seed(&prng, consumer + 200);
    uint64_t after[PRODUCERS_MAX][NPI_RING_CLASSES] = {
        {0}}; /* the least value that may come next */
    while (npi_a64_load_relaxed(&traffic->left) != 0) {
        struct npi_item items[8];
        unsigned rank = npi_prng_below(&prng, NPI_RING_CLASSES);
        unsigned taken =
            npi_ring_take(&traffic->test.ring, rank, 0, items, 1 + npi_prng_below(&prng, 8));
        for (unsigned i = 0; i < taken; i++) {
            uint64_t producer = items[i].hot[0] >> 32, next = items[i].hot[0] & UINT32_MAX;
            thread_assert(test_item_is_whole(&items[i]));
            thread_assert(producer < traffic->producers && next < traffic->each);
            thread_assert(next >= after[producer][rank]);
            after[producer][rank] = next + 1;
            thread_assert(npi_a32_add_relaxed(&traffic->seen[producer * traffic->each + next], 1) ==
                          0);
        }
        if (taken == 0) {
            (void)sched_yield();
        }
        (void)npi_a64_add_relaxed(&traffic->left, 0 - (uint64_t)taken);
    }
}

/* Looks at the depth from within a claim, where it is exact enough to be held against the bound. */
static void measure(struct traffic *traffic)
{
    while (npi_a64_load_relaxed(&traffic->left) != 0) {
        if (npi_ring_claim(&traffic->test.ring, 1)) {
            uint64_t cached = npi_ring_depth_cached(&traffic->test.ring);
            uint64_t depth = npi_ring_depth_refreshed(&traffic->test.ring);
            npi_ring_unclaim(&traffic->test.ring);
            thread_assert(depth <= cached && depth <= traffic->test.capacity);
        }
        (void)sched_yield();
    }
}

static void take_part(void *context, unsigned index)
{
    struct traffic *traffic = context;
    if (index < traffic->producers) {
        produce(traffic, index);
    } else if (index < traffic->producers + traffic->consumers) {
        consume(traffic, index - traffic->producers);
    } else {
        measure(traffic);
    }
}

static void run_traffic(unsigned producers, unsigned consumers, uint64_t capacity, uint64_t start,
                        uint32_t each)
{
    struct traffic traffic = {.producers = producers, .consumers = consumers, .each = each};
    uint64_t total = (uint64_t)producers * each;
    test_ring_init(&traffic.test, capacity, start);
    npi_a64_init(&traffic.left, total);
    traffic.seen = calloc(total, sizeof *traffic.seen);
    assert_non_null(traffic.seen);
    watched = &traffic;
    test_watch("run_traffic", dump_traffic);
    test_run_threads(producers + consumers + 1, take_part, &traffic);
    test_watch_end();
    for (uint64_t i = 0; i < total; i++) {
        assert_int_equal(npi_a32_load_relaxed(&traffic.seen[i]), 1);
    }
    assert_true(npi_ring_quiet(&traffic.test.ring));
    assert_int_equal(npi_ring_depth(&traffic.test.ring), 0);
    free(traffic.seen);
    test_ring_fini(&traffic.test);
}

#define NEAR_32 ((UINT64_C(1) << 32) - 1000)
#define NEAR_64 (UINT64_MAX - 1000)

static void two_producers_two_consumers(void **state)
{
    (void)state;
    run_traffic(2, 2, 1, 0, 10000);
    run_traffic(2, 2, 4, NEAR_64, 20000);
    run_traffic(2, 2, 256, NEAR_32, 80000);
}

static void four_producers_one_consumer(void **state)
{
    (void)state;
    run_traffic(4, 1, 2, NEAR_32, 8000);
    run_traffic(4, 1, 64, NEAR_64, 20000);
}

static void one_producer_four_consumers(void **state)
{
    (void)state;
    run_traffic(1, 4, 3, NEAR_64, 20000);
    run_traffic(1, 4, 256, 0, 120000);
}

/* ---------------------------------------------------------------------- a producer stops */

#define WAITING 40u

struct frozen {
    struct test_ring test;
    npi_a32 claimed, thaw;
    npi_a32 refused;
    npi_a32 taken;
};

/* Thread 0 stops inside its claim, with half a batch written; 1 and 2 try to push; 3 and 4 consume.
 */
static void stop_or_go_on(void *context, unsigned index)
{
    struct frozen *frozen = context;
    struct npi_ring *ring = &frozen->test.ring;
    if (index == 0) {
        thread_assert(npi_ring_claim(ring, 3));
        struct npi_item item = test_item(1000);
        npi_ring_put(ring, 0, 0, &item);
        npi_a32_store_release(&frozen->claimed, 1);
        test_await(&frozen->thaw, 1);
        item = test_item(1001);
        npi_ring_put(ring, 0, 1, &item);
        npi_ring_publish(ring, 0, 2);
        npi_ring_unclaim(ring);
        return;
    }
    test_await(&frozen->claimed, 1);
    if (index < 3) {
        for (int i = 0; i < 5; i++) {
            thread_assert(test_ring_push(&frozen->test, 0, 5000, 1) == -1);
            (void)npi_a32_add_sc(&frozen->refused, 1);
        }
        return;
    }
    while (npi_a32_load_sc(&frozen->taken) < WAITING) {
        struct npi_item item;
        if (npi_ring_take(ring, 0, 0, &item, 1) != 0) {
            thread_assert(test_item_is_whole(&item) && item.hot[0] <= WAITING);
            (void)npi_a32_add_sc(&frozen->taken, 1);
        }
    }
    while (npi_a32_load_sc(&frozen->refused) < 10) {
        struct npi_item item;
        thread_assert(npi_ring_take(ring, 0, 0, &item, 1) ==
                      0); /* nothing half-written comes out */
        (void)sched_yield();
    }
    npi_a32_store_release(&frozen->thaw, 1);
}

static void a_stopped_producer_stops_no_consumer(void **state)
{
    (void)state;
    struct frozen frozen;
    memset(&frozen, 0, sizeof frozen);
    test_ring_init(&frozen.test, 64, NEAR_64);
    for (uint64_t value = 1; value <= WAITING; value++) {
        assert_int_equal(test_ring_push(&frozen.test, 0, value, 1), 1);
    }
    test_watch("a_stopped_producer_stops_no_consumer", NULL);
    test_run_threads(5, stop_or_go_on, &frozen);
    test_watch_end();
    assert_int_equal(npi_a32_load_sc(&frozen.taken), WAITING);
    /* What it had begun to write is there now, and others may push again. */
    assert_int_equal(test_ring_push(&frozen.test, 0, 1002, 1), 1);
    for (uint64_t value = 1000; value <= 1002; value++) {
        struct npi_item item;
        assert_int_equal(npi_ring_take(&frozen.test.ring, 0, 0, &item, 1), 1);
        assert_int_equal(item.hot[0], value);
    }
    assert_true(npi_ring_quiet(&frozen.test.ring));
    test_ring_fini(&frozen.test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_producers_two_consumers),
        cmocka_unit_test(four_producers_one_consumer),
        cmocka_unit_test(one_producer_four_consumers),
        cmocka_unit_test(a_stopped_producer_stops_no_consumer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
