/*
 * F9: waits return for no reason or are interrupted, wakes report failure, and signals rain on every
 * thread. That costs time and nothing else.
 */
#include "fault/halt.h"
#include "fault/load.h"

static uint64_t disturbed; /* in any round: a producer may be done before they begin to fail */

static void disturb_futexes(unsigned round, uint64_t tasks)
{
    load_begin(
        &(struct load_shape){.nodes = 1u << round % 3, .mode = (int)(round % 2), .mix = LOAD_ALL},
        tasks);
    inject_share(INJECT_FUTEX, round % 2 == 0 ? 500 : 900);
    load_await_producers();
    disturbed += inject_failed(INJECT_FUTEX);
    load_end();
    inject_nothing();
}

static void waits_return_for_no_reason(void **state)
{
    (void)state;
    load_rounds(disturb_futexes);
    assert_true(disturbed > 0);
    load_report("F9", "up to 9 of 10 futex calls spurious, interrupted or failing");
}

static void rain(unsigned round, uint64_t tasks)
{
    static uint64_t random = 7;
    load_begin(
        &(struct load_shape){.nodes = 1u << round % 3, .mode = (int)(round % 2), .mix = LOAD_ALL},
        tasks);
    while (load_goes_on()) {
        for (int i = 0; i < 20; i++) {
            (void)halt_random(HALT_ANYBODY, 0, &random);
        }
        pause_us(100);
    }
    load_end();
}

static void signals_rain(void **state)
{
    (void)state;
    uint64_t before = halt_signals();
    load_rounds(rain);
    printf("%llu signals\n", (unsigned long long)(halt_signals() - before));
    assert_true(halt_signals() > before);
    load_report("F9", "signals to random threads all the time");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_return_for_no_reason),
        cmocka_unit_test(signals_rain),
    };
    return FAULT_RUN(tests);
}
