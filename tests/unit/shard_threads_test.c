/*
 * A shard's lanes with several threads: the bound holds over all of them while producers stop
 * inside their claims, and every task comes out once.
 */
#include "unit/shard_support.h"

#include "os/os.h"

static struct test_shard test;
static struct npi_shard *const shard = &test.shard;

static void dump(void)
{
    test_shard_dump(shard);
}

/* ------------------------------------------------------------------------------- bounds */

#define PUSHERS 3u
#define BOUND_ROUNDS 1500u
#define BOUND 19u
#define CLAIMED 2u

struct filling {
    pthread_barrier_t round;
    npi_a32 accepted;
    npi_a32 pushers_done;
    npi_a32 stopped; /* somebody holds the first lane */
    uint64_t opened_rounds;
};

static struct filling filling;

/* Until it is full. */
static void push_all_that_fits(struct npi_prng *prng)
{
    struct npi_item items[2] = {test_task(1, 1), test_task(2, 2)};
    for (;;) {
        unsigned count = 1 + npi_prng_below(prng, 2);
        enum npi_class rank = (enum npi_class)npi_prng_below(prng, NPI_CLASS_COUNT);
        int pushed = npi_shard_push(shard, rank, items, count, BOUND);
        if (pushed == NPI_PUSH_NO_ROOM) {
            return;
        }
        thread_assert(pushed > 0 || pushed == NPI_PUSH_BUSY);
        if (pushed > 0) {
            (void)npi_a32_add_sc(&filling.accepted, (uint32_t)pushed);
        }
    }
}

/* Holds the first lane, as somebody who was preempted would, until all others have seen "full". */
static void stop_inside_a_claim(void)
{
    while (!npi_ring_claim(&shard->lanes[0], CLAIMED)) {
        (void)sched_yield();
    }
    npi_a32_store_release(&filling.stopped, 1);
    test_await(&filling.pushers_done, PUSHERS);
    /* Nobody pushes now. */
    uint32_t accepted = npi_a32_load_sc(&filling.accepted);
    thread_assert(npi_shard_waiting(shard) == accepted);
    thread_assert(accepted <= BOUND);
    filling.opened_rounds += npi_a64_load_relaxed(&shard->lanes_used);
    npi_ring_unclaim(&shard->lanes[0]);
}

/* With all claims given up the rest fits exactly. */
static void fill_up_and_empty(void)
{
    uint32_t waiting = npi_a32_load_sc(&filling.accepted);
    struct npi_item item = test_task(1, 1);
    while (waiting < BOUND) {
        thread_assert(npi_shard_push(shard, NPI_CLASS_NORMAL, &item, 1, BOUND) == 1);
        waiting++;
    }
    thread_assert(npi_shard_push(shard, NPI_CLASS_NORMAL, &item, 1, BOUND) == NPI_PUSH_NO_ROOM);
    while (npi_shard_take(shard, 0, &item, 1) != 0) {
        waiting--;
    }
    thread_assert(waiting == 0);
    npi_shard_close_lanes(shard);
    thread_assert(npi_a64_load_relaxed(&shard->lanes_used) == 0);
    npi_a32_store_sc(&filling.accepted, 0);
    npi_a32_store_sc(&filling.pushers_done, 0);
    npi_a32_store_sc(&filling.stopped, 0);
}

static void fill(void *context, unsigned index)
{
    (void)context;
    struct npi_prng prng;
    npi_prng_seed(&prng, index);
    for (unsigned round = 0; round < BOUND_ROUNDS; round++) {
        (void)pthread_barrier_wait(&filling.round);
        if (index == PUSHERS) {
            stop_inside_a_claim();
            fill_up_and_empty();
        } else {
            /* The stop comes first in every other round, else whenever it comes. */
            if (round % 2 == 0) {
                test_await(&filling.stopped, 1);
            }
            push_all_that_fits(&prng);
            (void)npi_a32_add_sc(&filling.pushers_done, 1);
        }
        (void)pthread_barrier_wait(&filling.round);
    }
}

static void the_bound_is_never_passed(void **state)
{
    (void)state;
    test_shard_init(&test, BOUND, 1);
    assert_int_equal(pthread_barrier_init(&filling.round, NULL, PUSHERS + 1), 0);
    test_watch("the_bound_is_never_passed", dump);
    test_run_threads(PUSHERS + 1, fill, NULL);
    test_watch_end();
    (void)pthread_barrier_destroy(&filling.round);
    printf("further lanes in %llu of %u rounds\n", (unsigned long long)filling.opened_rounds,
           BOUND_ROUNDS);
    assert_true(filling.opened_rounds >= BOUND_ROUNDS / 2);
    test_shard_fini(&test);
}

/* ------------------------------------------------------------------------------ traffic */

#define EACH 15000u
#define TAKERS 2u
#define CAPACITY 32u

static npi_a32 seen[PUSHERS * EACH];
static npi_a64 left;

static void stop_now_and_then(void)
{
    struct npi_prng prng;
    npi_prng_seed(&prng, 99);
    while (npi_a64_load_relaxed(&left) != 0) {
        struct npi_ring *ring = &shard->lanes[npi_prng_below(&prng, 2)];
        if (npi_ring_claim(ring, 1)) {
            for (uint32_t i = npi_prng_below(&prng, 4); i > 0; i--) {
                (void)sched_yield();
            }
            npi_ring_unclaim(ring);
        }
        npi_shard_close_lanes(shard);
        for (uint32_t i = npi_prng_below(&prng, 4); i > 0; i--) {
            (void)sched_yield();
        }
    }
}

static void exchange(void *context, unsigned index)
{
    (void)context;
    struct npi_prng prng;
    npi_prng_seed(&prng, index);
    if (index < PUSHERS) {
        for (uint32_t next = 0; next < EACH;) {
            struct npi_item item = test_task(index * EACH + next, npi_clock_ticks());
            enum npi_class rank = (enum npi_class)npi_prng_below(&prng, NPI_CLASS_COUNT);
            if (npi_shard_push(shard, rank, &item, 1, CAPACITY) == 1) {
                next++;
            } else {
                (void)sched_yield();
            }
        }
    } else if (index < PUSHERS + TAKERS) {
        while (npi_a64_load_relaxed(&left) != 0) {
            struct npi_item items[3];
            unsigned taken = npi_shard_take(shard, 0, items, 3);
            for (unsigned i = 0; i < taken; i++) {
                uint64_t value = items[i].hot[NPI_TASK_ARG];
                thread_assert(value < PUSHERS * EACH);
                thread_assert(npi_a32_add_relaxed(&seen[value], 1) == 0);
            }
            (void)npi_a64_add_relaxed(&left, 0 - (uint64_t)taken);
            if (taken == 0) {
                (void)sched_yield();
            }
        }
    } else {
        stop_now_and_then();
    }
}

static void every_task_comes_out_once(void **state)
{
    (void)state;
    test_shard_init(&test, CAPACITY, 1);
    npi_a64_init(&left, PUSHERS * EACH);
    test_watch("every_task_comes_out_once", dump);
    test_run_threads(PUSHERS + TAKERS + 1, exchange, NULL);
    test_watch_end();
    for (unsigned i = 0; i < PUSHERS * EACH; i++) {
        assert_int_equal(npi_a32_load_relaxed(&seen[i]), 1);
    }
    assert_true(npi_shard_quiet(shard));
    uint64_t accepted = 0;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        accepted += npi_shard_accepted(shard, (enum npi_class)rank);
    }
    assert_int_equal(accepted, PUSHERS * EACH);
    assert_int_equal(npi_shard_taken(shard), PUSHERS * EACH);
    test_shard_fini(&test);
}

static int clock_ready(void **state)
{
    (void)state;
    return npi_clock_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_is_never_passed),
        cmocka_unit_test(every_task_comes_out_once),
    };
    return cmocka_run_group_tests(tests, clock_ready, NULL);
}
