/* Ticks: their rate against the kernel's clock, and converting there and back. */
#include "unit/core_support.h"

#include "os/os.h"

#include <time.h>

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int init(void **state)
{
    (void)state;
    return npi_clock_init();
}

static void init_is_done_once(void **state)
{
    (void)state;
    uint64_t a_second = npi_clock_ns_to_ticks(1000000000);
    assert_int_equal(npi_clock_init(), 0);
    assert_int_equal(npi_clock_ns_to_ticks(1000000000), a_second);
    printf("source %s, %llu ticks a second\n", npi_clock_source(), (unsigned long long)a_second);
}

static void now_is_the_kernels_monotonic_clock(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t before = monotonic_ns(), now = npi_clock_now_ns(), after = monotonic_ns();
        assert_in_range(now, before, after);
    }
}

/* However long it takes: the same stretch of time, seen by both clocks. */
static void ticks_run_at_the_rate_they_say(void **state)
{
    (void)state;
    uint64_t outer_begin = monotonic_ns();
    uint64_t begin = npi_clock_ticks();
    uint64_t inner_begin = monotonic_ns(), inner_end;
    do {
        inner_end = monotonic_ns();
    } while (inner_end - inner_begin < 20000000);
    uint64_t end = npi_clock_ticks();
    uint64_t outer_end = monotonic_ns();
    uint64_t ticks_ns = npi_clock_ticks_to_ns(end - begin);
    /* One part in 500 and 2 us: the kernel slews its clock by up to one part in 2000. */
    assert_true(ticks_ns + ticks_ns / 500 + 2000 >= inner_end - inner_begin);
    assert_true(ticks_ns <= (outer_end - outer_begin) * 501 / 500 + 2000);
}

static void converting_there_and_back(void **state)
{
    (void)state;
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    uint64_t before_ns = 0, before_ticks = 0;
    assert_int_equal(npi_clock_ns_to_ticks(0), 0);
    assert_int_equal(npi_clock_ticks_to_ns(0), 0);
    for (unsigned bit = 0; bit < 56; bit++) {
        uint64_t ns = (UINT64_C(1) << bit) + (npi_prng_next(&prng) & ((UINT64_C(1) << bit) - 1));
        uint64_t ticks = npi_clock_ns_to_ticks(ns), back = npi_clock_ticks_to_ns(ticks);
        /* Rounded down twice; the two factors have 32 fraction bits. */
        uint64_t off = back > ns ? back - ns : ns - back;
        assert_true(off <= 4 + (ns >> 25));
        assert_true(ticks >= before_ticks && npi_clock_ticks_to_ns(ns) >= before_ns);
        before_ticks = ticks;
        before_ns = npi_clock_ticks_to_ns(ns);
    }
}

static void the_longest_time_saturates(void **state)
{
    (void)state;
    /* One of the two directions makes numbers larger, unless a tick is a nanosecond. */
    uint64_t ticks = npi_clock_ns_to_ticks(UINT64_MAX), ns = npi_clock_ticks_to_ns(UINT64_MAX);
    assert_true(ticks == UINT64_MAX || ns == UINT64_MAX);
    assert_true(ticks >= npi_clock_ns_to_ticks(UINT64_MAX / 2));
    assert_true(ns >= npi_clock_ticks_to_ns(UINT64_MAX / 2));
}

static void the_source_is_named(void **state)
{
    (void)state;
    if (strcmp(npi_clock_source(), "clock_gettime") == 0) {
        assert_int_equal(npi_clock_ticks_to_ns(12345), 12345);
        uint64_t before = monotonic_ns(), ticks = npi_clock_ticks(), after = monotonic_ns();
        assert_in_range(ticks, before, after);
    } else {
        assert_string_equal(npi_clock_source(), "tsc");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_is_done_once),
        cmocka_unit_test(now_is_the_kernels_monotonic_clock),
        cmocka_unit_test(ticks_run_at_the_rate_they_say),
        cmocka_unit_test(converting_there_and_back),
        cmocka_unit_test(the_longest_time_saturates),
        cmocka_unit_test(the_source_is_named),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
