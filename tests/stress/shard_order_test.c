/*
 * A shard keeps the order of each submitting thread, also while somebody has stopped inside a
 * submit and the others use further lanes: "then its task alone is late".
 *
 * Two ways to see it: a backlog that one thread spread over two lanes, emptied by several
 * consumers; and producers that change lanes all the time beside one who stops and goes on.
 */
#include "unit/shard_support.h"

#include <stdlib.h>

#define THREADS 3u
#define CONSUMERS 3u
#define EACH 100000u
#define BACKLOG 2048u
#define ROUNDS 60u

struct taking {
    uint64_t begin, end;
};

static struct test_shard test;
static struct npi_shard *const shard = &test.shard;
static struct taking takings[THREADS][EACH]; /* by submitting thread and its task's number */
static npi_a64 now; /* the clock, also of the stamps: exact on any machine */
static npi_a64 left;

static void dump(void)
{
    (void)dprintf(STDERR_FILENO, "left %llu\n", (unsigned long long)npi_a64_load_sc(&left));
    test_shard_dump(shard);
}

static struct npi_item next_task(unsigned thread, uint32_t number)
{
    return test_task((uint64_t)thread << 32 | number, npi_a64_add_sc(&now, 1));
}

static void consume(void)
{
    while (npi_a64_load_relaxed(&left) != 0) {
        struct npi_item item;
        uint64_t begin = npi_a64_load_sc(&now);
        if (npi_shard_take(shard, 0, &item, 1) == 0) {
            (void)sched_yield();
            continue;
        }
        uint64_t value = item.hot[NPI_TASK_ARG];
        thread_assert(value >> 32 < THREADS && (uint32_t)value < EACH);
        takings[value >> 32][(uint32_t)value] = (struct taking){begin, npi_a64_add_sc(&now, 1)};
        (void)npi_a64_add_relaxed(&left, UINT64_MAX);
    }
}

/* How many of a thread's first tasks were overtaken: an earlier one began to be taken only after a
   later one had been taken. */
static uint64_t overtaken(unsigned thread, uint32_t count)
{
    uint64_t faults = 0, latest = 0;
    for (uint32_t i = 0; i < count; i++) {
        faults += latest > takings[thread][i].end;
        latest = takings[thread][i].begin > latest ? takings[thread][i].begin : latest;
    }
    return faults;
}

/* ------------------------------------------------------------------------------- backlog */

static pthread_barrier_t round_begin, round_end;
static uint64_t faults_seen;

/* Every other task finds the first lane held. */
static void spread_backlog(void)
{
    npi_a64_store_sc(&left, BACKLOG);
    for (uint32_t i = 0; i < BACKLOG; i++) {
        struct npi_item item = next_task(0, i);
        bool held = i % 2 != 0;
        thread_assert(!held || npi_ring_claim(&shard->lanes[0], 1));
        thread_assert(npi_shard_push(shard, NPI_CLASS_NORMAL, &item, 1, BACKLOG + 1) == 1);
        if (held) {
            npi_ring_unclaim(&shard->lanes[0]);
        }
    }
}

static void empty_in_rounds(void *context, unsigned index)
{
    (void)context;
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (index == 0) {
            spread_backlog();
        }
        (void)pthread_barrier_wait(&round_begin);
        consume();
        (void)pthread_barrier_wait(&round_end);
        if (index == 0) {
            faults_seen += overtaken(0, BACKLOG);
            npi_shard_close_lanes(shard);
        }
    }
}

static void a_backlog_in_two_lanes_is_taken_in_order(void **state)
{
    (void)state;
    test_shard_init(&test, BACKLOG + 1, 1);
    assert_int_equal(pthread_barrier_init(&round_begin, NULL, CONSUMERS), 0);
    assert_int_equal(pthread_barrier_init(&round_end, NULL, CONSUMERS), 0);
    test_watch("a_backlog_in_two_lanes_is_taken_in_order", dump);
    test_run_threads(CONSUMERS, empty_in_rounds, NULL);
    test_watch_end();
    printf("%u tasks, %llu overtaken\n", ROUNDS * BACKLOG, (unsigned long long)faults_seen);
    assert_int_equal(faults_seen, 0);
    (void)pthread_barrier_destroy(&round_begin);
    (void)pthread_barrier_destroy(&round_end);
    test_shard_fini(&test);
}

/* ------------------------------------------------------------------------- changing lanes */

static void produce(unsigned thread)
{
    for (uint32_t next = 0; next < EACH;) {
        struct npi_item item = next_task(thread, next);
        if (npi_shard_push(shard, NPI_CLASS_NORMAL, &item, 1, BACKLOG) == 1) {
            next++;
        } else {
            (void)sched_yield();
        }
    }
}

static void hesitate(struct npi_prng *prng)
{
    for (uint32_t pauses = npi_prng_below(prng, 600); pauses > 0; pauses--) {
        npi_pause();
    }
    if (npi_prng_below(prng, 16) == 0) {
        (void)sched_yield();
    }
}

/* Holds the first lane, or the second, mostly a little longer than others wait for it. */
static void stop_and_go(void)
{
    struct npi_prng prng;
    npi_prng_seed(&prng, 3);
    while (npi_a64_load_relaxed(&left) != 0) {
        struct npi_ring *ring = &shard->lanes[npi_prng_below(&prng, 4) == 0];
        if (npi_ring_claim(ring, 1)) {
            hesitate(&prng);
            npi_ring_unclaim(ring);
        }
        hesitate(&prng);
        if (npi_prng_below(&prng, 4) == 0) {
            npi_shard_close_lanes(shard);
        }
    }
}

static void take_part(void *context, unsigned index)
{
    (void)context;
    if (index < THREADS) {
        produce(index);
    } else if (index < THREADS + CONSUMERS) {
        consume();
    } else {
        stop_and_go();
    }
}

static void each_threads_tasks_start_in_order(void **state)
{
    (void)state;
    test_shard_init(&test, BACKLOG, 1);
    npi_a64_store_sc(&left, THREADS * EACH);
    test_watch("each_threads_tasks_start_in_order", dump);
    test_run_threads(THREADS + CONSUMERS + 1, take_part, NULL);
    test_watch_end();
    uint64_t faults = 0, elsewhere = 0;
    for (unsigned thread = 0; thread < THREADS; thread++) {
        faults += overtaken(thread, EACH);
    }
    for (unsigned lane = 1; lane < NPI_LANES; lane++) {
        elsewhere += npi_a64_load_relaxed(&shard->lanes[lane].head[NPI_CLASS_NORMAL]);
    }
    printf("%u tasks, %llu through further lanes, %llu overtaken\n", THREADS * EACH,
           (unsigned long long)elsewhere, (unsigned long long)faults);
    assert_true(elsewhere != 0);
    assert_int_equal(faults, 0);
    test_shard_fini(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backlog_in_two_lanes_is_taken_in_order),
        cmocka_unit_test(each_threads_tasks_start_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
