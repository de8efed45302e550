/*
 * A shard's operations, each stopped after each of its instructions while others do a day's work: every
 * task comes out once, each thread's in their order, and never more wait than the bound says.
 */
#include "unit/shard_support.h"
#include "unit/step_support.h"

#if STEP_SUPPORTED
#define BOUND 8u
#define VALUES 64u
#define THREADS 3u

/* What was taken: by whom it was pushed and as its how manieth, and when. */
struct taking {
    bool taken;
    uint64_t begin, end;
};

static struct test_shard test;
static struct npi_shard *const shard = &test.shard;
static struct taking takings[THREADS][VALUES];
static uint64_t pushed[THREADS]; /* accepted so far, by thread */
static uint64_t clock_now;       /* ticks of the takings; stamps have a clock that stands still */

static void begin_case(void)
{
    test_shard_init(&test, BOUND, 1);
    memset(takings, 0, sizeof takings);
    memset(pushed, 0, sizeof pushed);
    clock_now = 1;
}

static bool push(unsigned thread, unsigned count)
{
    struct npi_item items[4];
    for (unsigned i = 0; i < count; i++) {
        items[i] = test_task((uint64_t)thread << 32 | (pushed[thread] + i), 7);
    }
    int result = npi_shard_push(shard, NPI_CLASS_NORMAL, items, count, BOUND);
    pushed[thread] += result > 0 ? (uint64_t)result : 0;
    return result > 0;
}

static bool note_taking(const struct npi_item *item, uint64_t begin, uint64_t end)
{
    uint64_t value = item->hot[NPI_TASK_ARG];
    thread_assert(value >> 32 < THREADS && (uint32_t)value < VALUES);
    struct taking *taking = &takings[value >> 32][(uint32_t)value];
    thread_assert(!taking->taken);
    *taking = (struct taking){true, begin, end};
    return true;
}

static bool take(void)
{
    struct npi_item item;
    uint64_t begin = clock_now++;
    return npi_shard_take(shard, 0, &item, 1) != 0 && note_taking(&item, begin, clock_now++);
}

static void check_bound(void)
{
    thread_assert(npi_shard_waiting(shard) <= BOUND);
}

/* Everything that was accepted was taken, and no task overtook an earlier one of its thread. */
static void end_case(void)
{
    check_bound();
    while (take()) {
    }
    thread_assert(npi_shard_quiet(shard));
    for (unsigned thread = 0; thread < THREADS; thread++) {
        uint64_t latest_begin = 0;
        for (uint64_t i = 0; i < VALUES; i++) {
            const struct taking *taking = &takings[thread][i];
            thread_assert(taking->taken == (i < pushed[thread]));
            if (taking->taken) {
                thread_assert(latest_begin <= taking->end);
                latest_begin = taking->begin > latest_begin ? taking->begin : latest_begin;
            }
        }
    }
    npi_shard_close_lanes(shard);
    thread_assert(npi_a64_load_relaxed(&shard->lanes_used) == NPI_LANES_FIRST);
    test_shard_fini(&test);
}

/* ----------------------------------------------------------- how it is when it is stopped */

static void one_lane(void)
{
    (void)(push(1, 2) && push(2, 1));
}

static void push_elsewhere(unsigned thread, unsigned count)
{
    bool held = npi_ring_claim(&shard->lanes[0], 1); /* else the stopped one holds it */
    (void)push(thread, count);
    if (held) {
        npi_ring_unclaim(&shard->lanes[0]);
    }
}

static void two_lanes(void)
{
    (void)push(1, 1);
    push_elsewhere(1, 1);
    (void)push(2, 1);
    push_elsewhere(2, 2);
}

static void emptied_lanes(void)
{
    two_lanes();
    npi_shard_close_lanes(shard);
    while (take()) {
    }
}

static void nearly_full(void)
{
    two_lanes();
    (void)push(1, BOUND - 6);
}

/* ------------------------------------------------------------------------ what is stopped */

static void stopped_push(void)
{
    (void)push(0, 1);
}

static void stopped_batch(void)
{
    (void)push(0, 3);
}

static struct npi_item stopped_item;
static bool stopped_found;

static void stopped_take(void)
{
    stopped_found = npi_shard_take(shard, 0, &stopped_item, 1) != 0;
}

static void stopped_close(void)
{
    npi_shard_close_lanes(shard);
}

/* -------------------------------------------------------------------- what others do then */

static void push_and_take(void)
{
    (void)push(1, 1);
    (void)push(2, 1);
    (void)take();
    (void)push(1, 1);
    (void)take();
    npi_shard_close_lanes(shard);
    (void)push(1, 1);
}

static void push_from_lane_to_lane(void)
{
    (void)push(1, 1);
    push_elsewhere(1, 1);
    (void)push(1, 1);
    push_elsewhere(2, 1);
    (void)push(2, 1);
}

static void empty_and_fill(void)
{
    while (take()) {
    }
    npi_shard_close_lanes(shard);
    while (push(1, 1) && push(2, 2)) {
        check_bound();
    }
}

static void close_and_go_on(void)
{
    npi_shard_close_lanes(shard);
    (void)take();
    (void)push(2, 2);
    npi_shard_close_lanes(shard);
    (void)push(2, 1);
    (void)(take() && take());
}

static uint64_t stopped_begin;

static void after_all(void)
{
    if (stopped_found) {
        (void)note_taking(&stopped_item, stopped_begin, clock_now++);
    }
    end_case();
}

static void any_operation_stopped_anywhere(void **state)
{
    (void)state;
    void (*const befores[])(void) = {one_lane, two_lanes, emptied_lanes, nearly_full};
    void (*const operations[])(void) = {stopped_push, stopped_batch, stopped_take, stopped_close};
    void (*const meanwhiles[])(void) = {push_and_take, push_from_lane_to_lane, empty_and_fill,
                                        close_and_go_on};
    uint64_t steps = 0;
    for (unsigned b = 0; b < sizeof befores / sizeof befores[0]; b++) {
        for (unsigned o = 0; o < sizeof operations / sizeof operations[0]; o++) {
            for (unsigned m = 0; m < sizeof meanwhiles / sizeof meanwhiles[0]; m++) {
                begin_case();
                befores[b]();
                stopped_found = false;
                stopped_begin = clock_now++;
                steps += step_branch(operations[o], meanwhiles[m], after_all);
            }
        }
    }
    printf("%llu stops\n", (unsigned long long)steps);
    assert_true(steps > 1000);
}

/* --------------------------------------------------------- two that are stopped at a time */

static bool first_claimed(void *arg)
{
    (void)arg;
    return npi_a64_load_relaxed(&shard->lanes[0].claim) != 0;
}

static bool lanes_closed(void *arg)
{
    (void)arg;
    return npi_a64_load_relaxed(&shard->lanes_used) == NPI_LANES_FIRST;
}

/* Closing finds a further lane claimed only after it said that there is none. A producer that is in
   that lane, however far, counts the full first one all the same. */
static void a_closing_shard_keeps_its_bound(void **state)
{
    (void)state;
    bool stopped = true;
    for (uint64_t count = 0; stopped; count++) {
        begin_case();
        push_elsewhere(1, 1);
        (void)take();
        for (unsigned i = 0; i < BOUND; i++) {
            assert_true(push(1, 1));
        }
        struct step closing, pushing;
        step_start(&closing, stopped_close);
        assert_true(step_until(&closing, first_claimed, NULL));
        step_start(&pushing, stopped_push);
        stopped = step_by(&pushing, count);
        (void)step_until(&closing, lanes_closed, NULL);
        step_finish(&pushing);
        check_bound();
        step_finish(&closing);
        end_case();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_operation_stopped_anywhere),
        cmocka_unit_test(a_closing_shard_keeps_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    printf("skipped: single steps need x86-64 and an optimised build without sanitizers\n");
    return 77;
}
#endif
