/*
 * The checker itself: programs of a few lines with known outcomes. Each asks whether a result can come
 * about; the checker has to find those that can, within the budget, and none of the others.
 */
#include "model/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static npi_a64 x, y;
static npi_a32 word;
static uint64_t r[4];
static uint64_t plain;

static void clear(void)
{
    npi_a64_init(&x, 0);
    npi_a64_init(&y, 0);
    npi_a32_init(&word, 0);
    memset(r, 0, sizeof r);
    plain = 0;
}

static struct model_result run_case(struct model_case program, enum model_memory memory,
                                    unsigned bound)
{
    struct model_options options = {.memory = memory, .bound = bound};
    struct model_result result;
    program.name = "litmus";
    model_run(&program, &options, &result);
    if (result.failed && strstr(result.replay, ":") != NULL) { /* the string leads there again */
        struct model_result again;
        options.replay = strchr(result.replay, ':') + 1;
        model_run(&program, &options, &again);
        assert_true(again.failed);
        assert_string_equal(again.message, result.message);
        assert_int_equal(again.executions, 1);
    } else {
        assert_true(result.exhausted);
    }
    return result;
}

static void expect(struct model_case program, enum model_memory memory, unsigned bound, bool fails)
{
    assert_int_equal(run_case(program, memory, bound).failed, fails);
}

/* --- store buffering: both may read 0 unless all is sequentially consistent */
#define STORE_THEN_LOAD(name, own, other, result, store, load)                                     \
    static void name(void *arg)                                                                    \
    {                                                                                              \
        (void)arg;                                                                                 \
        npi_a64_store_##store(&own, 1);                                                            \
        r[result] = npi_a64_load_##load(&other);                                                   \
    }
STORE_THEN_LOAD(sb0_release, x, y, 0, release, acquire)
STORE_THEN_LOAD(sb1_release, y, x, 1, release, acquire)
STORE_THEN_LOAD(sb0_sc, x, y, 0, sc, sc)
STORE_THEN_LOAD(sb1_sc, y, x, 1, sc, sc)
STORE_THEN_LOAD(sb0_half, x, y, 0, sc, acquire)

#define SETUP(name, first, second)                                                                 \
    static void name(void)                                                                         \
    {                                                                                              \
        clear();                                                                                   \
        (void)model_spawn("first", first, NULL);                                                   \
        (void)model_spawn("second", second, NULL);                                                 \
    }
SETUP(setup_sb_release, sb0_release, sb1_release)
SETUP(setup_sb_sc, sb0_sc, sb1_sc)
SETUP(setup_sb_half, sb0_half, sb1_sc)

static void not_both_0(void)
{
    MODEL_CHECK(r[0] + r[1] != 0);
}

static void store_buffering(void **state)
{
    (void)state;
    struct model_case release = {.setup = setup_sb_release, .check = not_both_0};
    struct model_case sc = {.setup = setup_sb_sc, .check = not_both_0};
    struct model_case half = {.setup = setup_sb_half, .check = not_both_0};
    expect(release, MODEL_C11, 1, true);
    expect(release, MODEL_TSO, 2, true);
    expect(sc, MODEL_C11, 4, false);
    expect(sc, MODEL_TSO, 4, false);
    expect(half, MODEL_C11, 2, true);  /* C11 lets the acquire load pass the sc store ... */
    expect(half, MODEL_TSO, 4, false); /* ... x86 does not */
}

/* --- message passing: the flag is up, the message is not there */
#define MESSAGE(name, store, load)                                                                 \
    static void send_##name(void *arg)                                                             \
    {                                                                                              \
        (void)arg;                                                                                 \
        npi_a64_store_relaxed(&x, 1);                                                              \
        npi_a64_store_##store(&y, 1);                                                              \
    }                                                                                              \
    static void receive_##name(void *arg)                                                          \
    {                                                                                              \
        (void)arg;                                                                                 \
        r[0] = npi_a64_load_##load(&y);                                                            \
        r[1] = npi_a64_load_relaxed(&x);                                                           \
    }                                                                                              \
    SETUP(setup_mp_##name, send_##name, receive_##name)
MESSAGE(ordered, release, acquire)
MESSAGE(no_release, relaxed, acquire)
MESSAGE(no_acquire, release, relaxed)

static void message_came(void)
{
    MODEL_CHECK(r[0] == 0 || r[1] == 1);
}

static void message_passing(void **state)
{
    (void)state;
    struct model_case ordered = {.setup = setup_mp_ordered, .check = message_came};
    struct model_case no_release = {.setup = setup_mp_no_release, .check = message_came};
    struct model_case no_acquire = {.setup = setup_mp_no_acquire, .check = message_came};
    expect(ordered, MODEL_C11, 4, false);
    expect(no_release, MODEL_C11, 1, true);
    expect(no_acquire, MODEL_C11, 1, true);
    expect(no_release, MODEL_TSO, 4, false); /* stores stay in order there */
    expect(no_acquire, MODEL_TSO, 4, false);
}

/* --- the same with plain data: a race, whatever value is read */
#define HAND_OVER(name, store, load)                                                               \
    static void give_##name(void *arg)                                                             \
    {                                                                                              \
        (void)arg;                                                                                 \
        NPI_PLAIN_WRITE(&plain);                                                                   \
        plain = 1;                                                                                 \
        npi_a64_store_##store(&y, 1);                                                              \
    }                                                                                              \
    static void get_##name(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        if (npi_a64_load_##load(&y) == 1) {                                                        \
            NPI_PLAIN_READ(&plain);                                                                \
            r[0] = plain;                                                                          \
        }                                                                                          \
    }                                                                                              \
    SETUP(setup_race_##name, give_##name, get_##name)
HAND_OVER(ordered, release, acquire)
HAND_OVER(no_release, relaxed, acquire)
HAND_OVER(no_acquire, release, relaxed)

static void write_after_release(void *arg)
{
    (void)arg;
    npi_a64_store_release(&y, 1);
    NPI_PLAIN_WRITE(&plain);
}
SETUP(setup_race_late, write_after_release, get_ordered)

static void races(void **state)
{
    (void)state;
    for (int memory = MODEL_C11; memory <= MODEL_TSO; memory++) {
        expect((struct model_case){.setup = setup_race_ordered}, (enum model_memory)memory, 4,
               false);
        expect((struct model_case){.setup = setup_race_no_release}, (enum model_memory)memory, 1,
               true);
        expect((struct model_case){.setup = setup_race_no_acquire}, (enum model_memory)memory, 1,
               true);
        expect((struct model_case){.setup = setup_race_late}, (enum model_memory)memory, 1, true);
    }
}

/* --- a lost update needs one preemption, at the right place */
static void add_torn(void *arg)
{
    (void)arg;
    npi_a64_store_sc(&x, npi_a64_load_sc(&x) + 1);
}

static void add_whole(void *arg)
{
    (void)arg;
    (void)npi_a64_add_relaxed(&x, 1);
}
SETUP(setup_torn, add_torn, add_torn)
SETUP(setup_whole, add_whole, add_whole)

static void both_counted(void)
{
    MODEL_CHECK(npi_a64_load_sc(&x) == 2);
}

static void lost_update(void **state)
{
    (void)state;
    struct model_case torn = {.setup = setup_torn, .check = both_counted};
    struct model_case whole = {.setup = setup_whole, .check = both_counted};
    expect(torn, MODEL_C11, 0, false);
    expect(torn, MODEL_C11, 1, true);
    expect(torn, MODEL_TSO, 1, true);
    expect(whole, MODEL_C11, 4, false);
    expect(whole, MODEL_TSO, 4, false);
}

/* --- coherence: one location never goes back, also not from thread to thread */
static void count_up(void *arg)
{
    (void)arg;
    npi_a64_store_relaxed(&x, 1);
    npi_a64_store_relaxed(&x, 2);
}

static void read_and_tell(void *arg)
{
    (void)arg;
    r[0] = npi_a64_load_relaxed(&x);
    npi_a64_store_release(&y, 1);
}

static void hear_and_read(void *arg)
{
    (void)arg;
    r[1] = npi_a64_load_acquire(&y);
    r[2] = npi_a64_load_relaxed(&x);
    r[3] = npi_a64_load_relaxed(&x);
}

static void setup_coherence(void)
{
    clear();
    (void)model_spawn("writer", count_up, NULL);
    (void)model_spawn("reader", read_and_tell, NULL);
    (void)model_spawn("hearer", hear_and_read, NULL);
}

static void never_back(void)
{
    MODEL_CHECK(r[3] >= r[2]);
    MODEL_CHECK(r[1] == 0 || r[2] >= r[0]);
}

static void coherence(void **state)
{
    (void)state;
    struct model_case program = {.setup = setup_coherence, .check = never_back};
    expect(program, MODEL_C11, 4, false);
    expect(program, MODEL_TSO, 4, false);
}

/* --- waiting: a wake that comes before the wait is lost unless the value changed */
static void wait_for_word(void *arg)
{
    (void)arg;
    while (npi_a32_load_acquire(&word) == 0) {
        (void)model_park_wait(&word.value_, 0, UINT64_MAX);
    }
}

static void wake_after_store(void *arg)
{
    (void)arg;
    npi_a32_store_release(&word, 1);
    model_park_wake(&word.value_, 1);
}

static void wake_before_store(void *arg)
{
    (void)arg;
    model_park_wake(&word.value_, 1);
    npi_a32_store_release(&word, 1);
}

static void wait_once(void *arg)
{
    (void)arg;
    if (npi_a32_load_acquire(&word) == 0) {
        (void)model_park_wait(&word.value_, 0, UINT64_MAX);
        MODEL_CHECK(npi_a32_load_acquire(&word) == 1);
    }
}

static void wait_for_ever(void *arg)
{
    (void)arg;
    (void)model_park_wait(&word.value_, 0, 5000000000);
}

static void spin(void *arg)
{
    (void)arg;
    while (npi_a64_load_relaxed(&x) == 0) {
        npi_pause();
    }
}
SETUP(setup_wake, wait_for_word, wake_after_store)
SETUP(setup_wake_early, wait_for_word, wake_before_store)
SETUP(setup_wait_once, wait_once, wake_after_store)
SETUP(setup_wait_alone, wait_for_ever, add_whole)
SETUP(setup_spin, spin, spin)

static void waiting(void **state)
{
    (void)state;
    for (int memory = MODEL_C11; memory <= MODEL_TSO; memory++) {
        enum model_memory m = (enum model_memory)memory;
        expect((struct model_case){.setup = setup_wake}, m, 3, false);
        struct model_result lost = run_case((struct model_case){.setup = setup_wake_early}, m, 1);
        assert_true(lost.failed);
        assert_non_null(strstr(lost.message, "lost wake-up: first waits for ever"));
        /* A futex may return for no reason: that is a deviation, too. */
        expect((struct model_case){.setup = setup_wait_once}, m, 0, false);
        expect((struct model_case){.setup = setup_wait_once}, m, 1, true);
        lost = run_case((struct model_case){.setup = setup_wait_alone}, m, 0);
        assert_non_null(strstr(lost.message, "only a time-out"));
        expect((struct model_case){.setup = setup_wait_alone, .rescue_ns_max = UINT64_MAX}, m, 1,
               false);
        lost = run_case((struct model_case){.setup = setup_spin}, m, 1);
        assert_non_null(strstr(lost.message, "livelock"));
    }
}

/* --- freed memory */
static npi_a64 *freed;

static void use_it(void *arg)
{
    (void)arg;
    (void)npi_a64_add_relaxed(freed, 1);
}

static void free_it(void *arg)
{
    (void)arg;
    (void)npi_a64_add_relaxed(freed, 1);
    model_free(freed);
}

static void setup_free(void)
{
    clear();
    freed = model_calloc(1, sizeof *freed);
    (void)model_spawn("user", use_it, NULL);
    (void)model_spawn("owner", free_it, NULL);
}

static void use_after_free(void **state)
{
    (void)state;
    struct model_result result = run_case((struct model_case){.setup = setup_free}, MODEL_C11, 0);
    assert_true(result.failed);
    assert_non_null(strstr(result.message, "user uses freed memory"));
}

/* --- a thread that stops: the others go on, or it is found that they cannot */
static void hold_word(void *arg)
{
    (void)arg;
    model_may_freeze(true);
    while (npi_a32_swap_acq_rel(&word, 1) != 0) {
        npi_pause();
    }
    npi_a32_store_release(&word, 0);
}

static void hold_word_too(void *arg)
{
    (void)arg;
    while (npi_a32_swap_acq_rel(&word, 1) != 0) {
        npi_pause();
    }
    npi_a32_store_release(&word, 0);
}

static void stop_and_go(void *arg)
{
    model_may_freeze(true);
    add_whole(arg);
}
SETUP(setup_frozen_lock, hold_word, hold_word_too)
SETUP(setup_frozen_add, stop_and_go, add_whole)

static void freezing(void **state)
{
    (void)state;
    struct model_result result =
        run_case((struct model_case){.setup = setup_frozen_lock}, MODEL_C11, 0);
    assert_true(result.failed);
    expect((struct model_case){.setup = setup_frozen_add, .check = both_counted}, MODEL_C11, 2,
           false);
}

/* --- the search is complete: as many executions as there are orders */
static void touch_twice(void *arg)
{
    (void)arg;
    (void)npi_a64_add_relaxed(&x, 1);
    (void)npi_a64_add_relaxed(&x, 1);
}
SETUP(setup_count, touch_twice, touch_twice)

static void orders(void **state)
{
    (void)state;
    /* No preemption: who is first. One: who is first, and at one of the three points the other goes
       on (the last stands behind all accesses). */
    assert_int_equal(run_case((struct model_case){.setup = setup_count}, MODEL_C11, 0).executions,
                     2);
    assert_int_equal(run_case((struct model_case){.setup = setup_count}, MODEL_C11, 1).executions,
                     8);
}

/* --- a case that never comes to what it is about is told */
static void blindness(void **state)
{
    (void)state;
    struct model_result result =
        run_case((struct model_case){.setup = setup_count, .reach = 1}, MODEL_C11, 1);
    assert_true(result.failed);
    assert_non_null(strstr(result.message, "blind"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_buffering), cmocka_unit_test(message_passing),
        cmocka_unit_test(races),           cmocka_unit_test(lost_update),
        cmocka_unit_test(coherence),       cmocka_unit_test(waiting),
        cmocka_unit_test(use_after_free),  cmocka_unit_test(freezing),
        cmocka_unit_test(orders),          cmocka_unit_test(blindness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
