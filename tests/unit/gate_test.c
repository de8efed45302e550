/* Permits and sleepers: the arithmetic, the order of waking, the life of a slot. */
#include "unit/core_support.h"

#include "os/os.h"
#include "queue/gate.h"

#define SLEEPERS 4u
#define LIMIT_MAX ((uint32_t)NPI_GATE_FIELD_MAX)

struct test_gate {
    struct npi_gate gate;
    struct npi_sleeper sleepers[SLEEPERS];
};

static void test_gate_init(struct test_gate *test, uint32_t limit)
{
    memset(test, 0, sizeof *test);
    npi_gate_init(&test->gate, test->sleepers, limit);
}

static void check_permits(const struct npi_gate *gate, uint32_t active, uint32_t searching,
                          uint32_t limit)
{
    uint64_t permits = npi_gate_permits(gate);
    assert_int_equal(npi_permits_active(permits), active);
    assert_int_equal(npi_permits_searching(permits), searching);
    assert_int_equal(npi_permits_limit(permits), limit);
    assert_int_equal(npi_permits_want_wake(permits), searching == 0 && active < limit);
}

static uint32_t state_of(const struct test_gate *test, uint32_t worker)
{
    return npi_a32_load_acquire(&test->sleepers[worker].word);
}

/* ------------------------------------------------------------------------------- permits */

static void permits_are_taken_up_to_the_limit(void **state)
{
    (void)state;
    static const uint32_t limits[] = {0, 1, 2, 100};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct test_gate test;
        test_gate_init(&test, limits[i]);
        for (uint32_t active = 0; active < limits[i]; active++) {
            check_permits(&test.gate, active, active, limits[i]);
            assert_true(npi_gate_reserve(&test.gate, false));
        }
        check_permits(&test.gate, limits[i], limits[i], limits[i]);
        assert_false(npi_gate_reserve(&test.gate, false));
        assert_false(npi_gate_reserve(&test.gate, true));
        check_permits(&test.gate, limits[i], limits[i], limits[i]);
    }
}

static void a_wake_waits_until_nobody_searches(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, 3);
    assert_true(npi_gate_reserve(&test.gate, true));
    check_permits(&test.gate, 1, 1, 3);
    assert_false(npi_gate_reserve(&test.gate, true));
    assert_true(npi_gate_reserve(&test.gate, false));
    check_permits(&test.gate, 2, 2, 3);
    (void)npi_gate_found(&test.gate);
    assert_false(npi_gate_reserve(&test.gate, true));
    uint64_t after = npi_gate_found(&test.gate);
    assert_int_equal(after, npi_gate_permits(&test.gate));
    assert_true(npi_permits_want_wake(after));
    check_permits(&test.gate, 2, 0, 3);
    npi_gate_search(&test.gate);
    assert_false(npi_gate_reserve(&test.gate, true));
    (void)npi_gate_found(&test.gate);
    assert_true(npi_gate_reserve(&test.gate, true));
    check_permits(&test.gate, 3, 1, 3);
}

static void permits_are_given_back(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, 2);
    assert_true(npi_gate_reserve(&test.gate, false));
    assert_true(npi_gate_reserve(&test.gate, false));
    npi_gate_leave(&test.gate, true);
    check_permits(&test.gate, 1, 1, 2);
    (void)npi_gate_found(&test.gate);
    check_permits(&test.gate, 1, 0, 2);
    npi_gate_leave(&test.gate, false);
    check_permits(&test.gate, 0, 0, 2);
}

static void who_comes_back_enters_over_the_limit(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, 1);
    assert_true(npi_gate_reserve(&test.gate, true));
    (void)npi_gate_found(&test.gate);
    assert_false(npi_gate_leave_if_over(&test.gate));
    npi_gate_enter(&test.gate);
    npi_gate_enter(&test.gate);
    check_permits(&test.gate, 3, 0, 1);
    assert_false(npi_gate_reserve(&test.gate, false));
    assert_true(npi_gate_leave_if_over(&test.gate));
    assert_true(npi_gate_leave_if_over(&test.gate));
    assert_false(npi_gate_leave_if_over(&test.gate));
    check_permits(&test.gate, 1, 0, 1);
}

static void the_limit_changes_alone(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(npi_gate_reserve(&test.gate, false));
    }
    (void)npi_gate_found(&test.gate);
    uint64_t before = npi_gate_permits(&test.gate);
    static const uint32_t limits[] = {5, 1, 0, LIMIT_MAX, 3};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        assert_int_equal(npi_gate_set_limit(&test.gate, limits[i]), before);
        check_permits(&test.gate, 3, 2, limits[i]);
        before = npi_gate_permits(&test.gate);
    }
    assert_int_equal(npi_gate_set_limit(&test.gate, 2), before);
    assert_true(npi_gate_leave_if_over(&test.gate));
    check_permits(&test.gate, 2, 2, 2);
}

/* The three numbers share a word; at their largest none reaches into its neighbour. */
static void the_largest_numbers_fit(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, LIMIT_MAX);
    for (uint32_t i = 0; i < LIMIT_MAX; i++) {
        assert_true(npi_gate_reserve(&test.gate, false));
    }
    check_permits(&test.gate, LIMIT_MAX, LIMIT_MAX, LIMIT_MAX);
    assert_false(npi_gate_reserve(&test.gate, false));
    for (uint32_t i = 0; i < LIMIT_MAX; i++) {
        npi_gate_leave(&test.gate, i % 2 == 0);
        if (i % 2 != 0) {
            (void)npi_gate_found(&test.gate);
        }
    }
    check_permits(&test.gate, 0, 0, LIMIT_MAX);
}

/* -------------------------------------------------------------------------------- stack */

static void the_last_to_sleep_is_woken_first(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, SLEEPERS);
    assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), NPI_GATE_NOBODY);
    for (int turn = 0; turn < 3; turn++) {
        static const uint32_t order[SLEEPERS] = {2, 0, 3, 1};
        for (unsigned i = 0; i < SLEEPERS; i++) {
            npi_gate_push(&test.gate, order[i]);
            assert_int_equal(state_of(&test, order[i]), NPI_SLEEPER_ASLEEP);
        }
        for (unsigned i = SLEEPERS; i > 0; i--) {
            assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), order[i - 1]);
            assert_int_equal(state_of(&test, order[i - 1]), NPI_SLEEPER_WOKEN);
        }
        assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), NPI_GATE_NOBODY);
    }
    /* Popping woke nobody: that is rouse's. */
    assert_int_equal(npi_a64_load_relaxed(&test.gate.wakes), 0);
    npi_gate_rouse(&test.gate, 1);
    assert_int_equal(npi_a64_load_relaxed(&test.gate.wakes), 1);
}

static void every_change_of_the_stack_counts(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, 1);
    /* The count wraps without touching the index beside it. */
    npi_a64_init(&test.gate.parked, (uint64_t)(UINT32_MAX - 1) << 32);
    uint64_t before = npi_a64_load_relaxed(&test.gate.parked);
    for (int i = 0; i < 4; i++) {
        npi_gate_push(&test.gate, 3);
        uint64_t pushed = npi_a64_load_relaxed(&test.gate.parked);
        assert_int_equal((uint32_t)pushed, 4);
        assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), 3);
        uint64_t popped = npi_a64_load_relaxed(&test.gate.parked);
        assert_int_equal((uint32_t)popped, 0);
        assert_int_equal((uint32_t)(pushed >> 32), (uint32_t)((before >> 32) + 1));
        assert_int_equal((uint32_t)(popped >> 32), (uint32_t)((before >> 32) + 2));
        before = popped;
    }
}

static void who_quits_frees_the_slot_when_popped(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, 3);
    for (uint32_t worker = 0; worker < SLEEPERS; worker++) {
        npi_gate_push(&test.gate, worker);
    }
    assert_true(npi_gate_quit(&test.gate, 1));
    assert_true(npi_gate_quit(&test.gate, 2));
    assert_false(npi_gate_quit(&test.gate, 2)); /* once */
    assert_int_equal(state_of(&test, 1), NPI_SLEEPER_LEFT);
    assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), 3);
    assert_int_equal(state_of(&test, 2), NPI_SLEEPER_LEFT); /* below: nobody has met it */
    assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_DISMISSED), 0); /* passes two that left */
    assert_int_equal(state_of(&test, 0), NPI_SLEEPER_DISMISSED);
    assert_int_equal(state_of(&test, 1), NPI_SLEEPER_FREE);
    assert_int_equal(state_of(&test, 2), NPI_SLEEPER_FREE);
    assert_false(npi_gate_quit(&test.gate, 3)); /* woken already: it holds a permit */
    assert_int_equal(state_of(&test, 3), NPI_SLEEPER_WOKEN);
    assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), NPI_GATE_NOBODY);
    /* The slot lives again. */
    npi_a32_store_relaxed(&test.sleepers[1].word, NPI_SLEEPER_AWAKE);
    npi_gate_push(&test.gate, 1);
    assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), 1);
}

static void when_only_leavers_are_left_there_is_nobody(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, 3);
    for (uint32_t worker = 0; worker < SLEEPERS; worker++) {
        npi_gate_push(&test.gate, worker);
        assert_true(npi_gate_quit(&test.gate, worker));
    }
    assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), NPI_GATE_NOBODY);
    for (uint32_t worker = 0; worker < SLEEPERS; worker++) {
        assert_int_equal(state_of(&test, worker), NPI_SLEEPER_FREE);
    }
}

/* -------------------------------------------------------------------------------- sleep */

static void a_sleep_ends_at_once_or_at_its_date(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, 2);
    test_watch("a_sleep_ends_at_once_or_at_its_date", NULL);
    npi_gate_push(&test.gate, 0);
    npi_gate_push(&test.gate, 1);
    assert_int_equal(npi_gate_sleep(&test.gate, 1, 0), NPI_SLEEPER_ASLEEP);
    uint64_t date_ns = npi_clock_now_ns() + 1000000;
    assert_int_equal(npi_gate_sleep(&test.gate, 0, date_ns), NPI_SLEEPER_ASLEEP);
    assert_true(npi_clock_now_ns() >= date_ns);
    /* Both are still there, and popped in their order. */
    assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_DISMISSED), 1);
    assert_int_equal(npi_gate_pop(&test.gate, NPI_SLEEPER_WOKEN), 0);
    assert_int_equal(npi_gate_sleep(&test.gate, 1, UINT64_MAX), NPI_SLEEPER_DISMISSED);
    assert_int_equal(npi_gate_sleep(&test.gate, 0, UINT64_MAX), NPI_SLEEPER_WOKEN);
    test_watch_end();
}

/* ------------------------------------------------------------------------ several threads */

#define ROUNDS 6000u
#define POPPERS 2u

struct crowd {
    struct test_gate test;
    npi_a32 finished;
    npi_a32 popped[SLEEPERS];
    uint32_t woken[SLEEPERS], left[SLEEPERS];
};

static struct crowd crowd;

static void dump_crowd(void)
{
    (void)dprintf(STDERR_FILENO, "permits %llx parked %llx finished %u\n",
                  (unsigned long long)npi_a64_load_sc(&crowd.test.gate.permits),
                  (unsigned long long)npi_a64_load_sc(&crowd.test.gate.parked),
                  npi_a32_load_sc(&crowd.finished));
    for (unsigned i = 0; i < SLEEPERS; i++) {
        (void)dprintf(STDERR_FILENO,
                      "sleeper %u: state %u, next %u, woken %u, left %u, popped %u\n", i,
                      npi_a32_load_sc(&crowd.test.sleepers[i].word),
                      npi_a32_load_sc(&crowd.test.sleepers[i].next), crowd.woken[i], crowd.left[i],
                      npi_a32_load_sc(&crowd.popped[i]));
    }
}

static void sleep_in_turns(unsigned self)
{
    struct npi_gate *gate = &crowd.test.gate;
    struct npi_prng prng;
    npi_prng_seed(&prng, self);
    for (unsigned round = 0; round < ROUNDS; round++) {
        npi_gate_push(gate, self);
        bool impatient = npi_prng_below(&prng, 3) == 0;
        uint64_t date_ns =
            impatient ? npi_clock_now_ns() + npi_prng_below(&prng, 20000) : UINT64_MAX;
        enum npi_sleeper_state found = npi_gate_sleep(gate, self, date_ns);
        if (found == NPI_SLEEPER_ASLEEP) {
            thread_assert(impatient);
            if (npi_gate_quit(gate, self)) {
                crowd.left[self]++;
                test_await(&crowd.test.sleepers[self].word, NPI_SLEEPER_FREE);
                npi_a32_store_relaxed(&crowd.test.sleepers[self].word, NPI_SLEEPER_AWAKE);
                continue;
            }
            found = npi_gate_sleep(gate, self, UINT64_MAX);
        }
        thread_assert(found == NPI_SLEEPER_WOKEN);
        crowd.woken[self]++;
    }
    (void)npi_a32_add_sc(&crowd.finished, 1);
}

static void sleep_or_pop(void *context, unsigned index)
{
    (void)context;
    if (index < SLEEPERS) {
        sleep_in_turns(index);
        return;
    }
    while (npi_a32_load_sc(&crowd.finished) < SLEEPERS) {
        uint32_t worker = npi_gate_pop(&crowd.test.gate, NPI_SLEEPER_WOKEN);
        if (worker == NPI_GATE_NOBODY) {
            (void)sched_yield();
            continue;
        }
        (void)npi_a32_add_relaxed(&crowd.popped[worker], 1);
        npi_gate_rouse(&crowd.test.gate, worker);
    }
}

/* No push is popped twice, none is forgotten, whoever quits meanwhile. */
static void every_sleep_is_ended_once(void **state)
{
    (void)state;
    test_gate_init(&crowd.test, SLEEPERS);
    test_watch("every_sleep_is_ended_once", dump_crowd);
    test_run_threads(SLEEPERS + POPPERS, sleep_or_pop, NULL);
    test_watch_end();
    uint64_t popped = 0, left = 0;
    for (unsigned i = 0; i < SLEEPERS; i++) {
        assert_int_equal(crowd.woken[i] + crowd.left[i], ROUNDS);
        assert_int_equal(npi_a32_load_relaxed(&crowd.popped[i]), crowd.woken[i]);
        popped += crowd.woken[i];
        left += crowd.left[i];
    }
    assert_int_equal((uint32_t)npi_a64_load_relaxed(&crowd.test.gate.parked), 0);
    assert_int_equal(npi_a64_load_relaxed(&crowd.test.gate.wakes), popped);
    /* Each push and each pop, also of those who left, changed the count by one. */
    assert_int_equal(npi_a64_load_relaxed(&crowd.test.gate.parked) >> 32, 2 * (popped + left));
    printf("%llu woken, %llu left\n", (unsigned long long)popped, (unsigned long long)left);
}

#define TAKERS 4u
#define TAKES 20000u

static npi_a32 takers_done;

static void take_and_give(void *context, unsigned index)
{
    struct npi_gate *gate = context;
    struct npi_prng prng;
    npi_prng_seed(&prng, index);
    if (index == TAKERS) {
        while (npi_a32_load_sc(&takers_done) < TAKERS) {
            (void)npi_gate_set_limit(gate, npi_prng_below(&prng, TAKERS + 1));
        }
        return;
    }
    for (unsigned i = 0; i < TAKES; i++) {
        bool alone = npi_prng_below(&prng, 2) == 0;
        if (npi_gate_reserve(gate, alone)) {
            uint64_t permits = npi_gate_permits(gate);
            thread_assert(npi_permits_active(permits) >= 1 &&
                          npi_permits_active(permits) <= TAKERS);
            thread_assert(npi_permits_searching(permits) <= TAKERS);
            if (npi_prng_below(&prng, 2) == 0) {
                npi_gate_leave(gate, true);
            } else {
                (void)npi_gate_found(gate);
                if (!npi_gate_leave_if_over(gate)) {
                    npi_gate_leave(gate, false);
                }
            }
        }
    }
    (void)npi_a32_add_sc(&takers_done, 1);
}

static void permits_add_up_beside_changes_of_the_limit(void **state)
{
    (void)state;
    struct test_gate test;
    test_gate_init(&test, TAKERS);
    test_run_threads(TAKERS + 1, take_and_give, &test.gate);
    assert_int_equal(npi_permits_active(npi_gate_permits(&test.gate)), 0);
    assert_int_equal(npi_permits_searching(npi_gate_permits(&test.gate)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permits_are_taken_up_to_the_limit),
        cmocka_unit_test(a_wake_waits_until_nobody_searches),
        cmocka_unit_test(permits_are_given_back),
        cmocka_unit_test(who_comes_back_enters_over_the_limit),
        cmocka_unit_test(the_limit_changes_alone),
        cmocka_unit_test(the_largest_numbers_fit),
        cmocka_unit_test(the_last_to_sleep_is_woken_first),
        cmocka_unit_test(every_change_of_the_stack_counts),
        cmocka_unit_test(who_quits_frees_the_slot_when_popped),
        cmocka_unit_test(when_only_leavers_are_left_there_is_nobody),
        cmocka_unit_test(a_sleep_ends_at_once_or_at_its_date),
        cmocka_unit_test(every_sleep_is_ended_once),
        cmocka_unit_test(permits_add_up_beside_changes_of_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
