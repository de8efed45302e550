/* Sleeping on a word: it returns when it should, and no wake-up is lost between two threads. */
#include "unit/core_support.h"

#include "os/os.h"

#include <errno.h>

#define FOREVER UINT64_MAX

static void a_word_that_differs_does_not_wait(void **state)
{
    (void)state;
    npi_a32 word = {7};
    test_watch("a_word_that_differs_does_not_wait", NULL);
    assert_int_equal(npi_park_wait(&word, 8, FOREVER), 0);
    assert_int_equal(npi_park_wait(&word, 6, npi_clock_now_ns() - 1), 0);
    test_watch_end();
}

/* Repeats a wait that returned for no reason. */
static int wait_out(npi_a32 *word, uint64_t deadline_ns)
{
    int result;
    while ((result = npi_park_wait(word, 0, deadline_ns)) == 0) {
    }
    return result;
}

static void a_deadline_ends_a_wait_and_not_before(void **state)
{
    (void)state;
    npi_a32 word = {0};
    test_watch("a_deadline_ends_a_wait_and_not_before", NULL);
    assert_int_equal(wait_out(&word, 0), -ETIMEDOUT);
    assert_int_equal(wait_out(&word, 1), -ETIMEDOUT);
    assert_int_equal(wait_out(&word, npi_clock_now_ns() - 1), -ETIMEDOUT);
    for (uint64_t ahead_ns = 1; ahead_ns < 20000000; ahead_ns *= 10) {
        uint64_t deadline_ns = npi_clock_now_ns() + ahead_ns;
        assert_int_equal(wait_out(&word, deadline_ns), -ETIMEDOUT);
        assert_true(npi_clock_now_ns() >= deadline_ns);
    }
    test_watch_end();
}

/* ------------------------------------------------------------------------------- waking */

#define SLEEPERS 3u

struct bed {
    npi_a32 word;
    npi_a32 tid[SLEEPERS];
    npi_a32 returned;
    npi_a64 deadline_ns;
};

static void sleep_once(void *context, unsigned index)
{
    struct bed *bed = context;
    if (index < SLEEPERS) {
        npi_a32_store_release(&bed->tid[index], (uint32_t)npi_thread_id());
        int result = npi_park_wait(&bed->word, 0, npi_a64_load_relaxed(&bed->deadline_ns));
        thread_assert(result == 0);
        (void)npi_a32_add_sc(&bed->returned, 1);
        return;
    }
    for (unsigned i = 0; i < SLEEPERS; i++) {
        pid_t tid;
        while ((tid = (pid_t)npi_a32_load_acquire(&bed->tid[i])) == 0 || !test_thread_sleeps(tid)) {
            (void)sched_yield();
        }
    }
    /* The word keeps its value: only a wake-up can end these waits. */
    npi_park_wake(&bed->word, 1);
    while (npi_a32_load_sc(&bed->returned) < 1) {
        (void)sched_yield();
    }
    npi_park_wake(&bed->word, UINT32_MAX);
}

static void sleepers_are_woken_one_or_all(void **state)
{
    (void)state;
    test_watch("sleepers_are_woken_one_or_all", NULL);
    for (int dated = 0; dated < 2; dated++) {
        struct bed bed = {{0}, {{0}}, {0}, {FOREVER}};
        if (dated) {
            npi_a64_init(&bed.deadline_ns, FOREVER - 1); /* a date far beyond any timer */
        }
        test_run_threads(SLEEPERS + 1, sleep_once, &bed);
        assert_int_equal(npi_a32_load_sc(&bed.returned), SLEEPERS);
    }
    test_watch_end();
}

static void waking_nobody_is_fine(void **state)
{
    (void)state;
    npi_a32 word = {0};
    npi_park_wake(&word, 0);
    npi_park_wake(&word, 1);
    npi_park_wake(&word, UINT32_MAX);
    assert_int_equal(npi_a32_load_relaxed(&word), 0);
}

/* --------------------------------------------------------------------------- hand-overs */

#define TURNS 20000u

static npi_a32 ball;

static void dump_ball(void)
{
    (void)dprintf(STDERR_FILENO, "ball %u\n", npi_a32_load_relaxed(&ball));
}

/* The player of a parity waits without a date until the number is its own. */
static void play(void *context, unsigned index)
{
    npi_a32 *word = context;
    for (;;) {
        uint32_t turn = npi_a32_load_sc(word);
        if (turn == TURNS) {
            return;
        }
        if (turn % 2 != index) {
            (void)npi_park_wait(word, turn, FOREVER);
            continue;
        }
        npi_a32_store_sc(word, turn + 1);
        npi_park_wake(word, 1);
    }
}

static void no_hand_over_is_lost(void **state)
{
    (void)state;
    test_watch("no_hand_over_is_lost", dump_ball);
    test_run_threads(2, play, &ball);
    test_watch_end();
    assert_int_equal(npi_a32_load_relaxed(&ball), TURNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_that_differs_does_not_wait),
        cmocka_unit_test(a_deadline_ends_a_wait_and_not_before),
        cmocka_unit_test(sleepers_are_woken_one_or_all),
        cmocka_unit_test(waking_nobody_is_fine),
        cmocka_unit_test(no_hand_over_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
