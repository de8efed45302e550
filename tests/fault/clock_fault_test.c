/*
 * F12: the clock leaps ahead by up to an hour, steps back a little, or stands still. Tasks are late at
 * most; deadlines expire early or late, and what expires is dropped once.
 */
#include "fault/clock.h"
#include "fault/load.h"

static uint64_t random_state = 3;

static uint64_t draw_to(uint64_t most)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (random_state >> 20) % most;
}

static void leap(void)
{
    clock_leap_ns((int64_t)draw_to(UINT64_C(1000000) << draw_to(22))); /* to 1.2 hours */
}

static void step_back(void)
{
    clock_leap_ns(-(int64_t)draw_to(50 * MS));
}

static void stand_still(void)
{
    static bool stopped;
    stopped = !stopped;
    clock_stop(stopped);
}

static void anything(void)
{
    switch (draw_to(3)) {
    case 0:
        leap();
        break;
    case 1:
        step_back();
        break;
    default:
        clock_stop(draw_to(2) != 0);
        break;
    }
}

static void (*meddle)(void);

static void meddle_with_clock(unsigned round, uint64_t tasks)
{
    load_begin(
        &(struct load_shape){.nodes = 1u << round % 3, .mode = (int)(round % 2), .mix = LOAD_ALL},
        tasks);
    while (load_goes_on()) {
        meddle();
        pause_us(1000);
    }
    clock_stop(false);
    load_end();
    clock_restore();
}

static void the_clock_leaps(void **state)
{
    (void)state;
    meddle = leap;
    load_rounds(meddle_with_clock);
    load_report("F12", "clock leaps ahead, up to an hour at a time");
}

static void the_clock_steps_back(void **state)
{
    (void)state;
    meddle = step_back;
    load_rounds(meddle_with_clock);
    load_report("F12", "clock steps back");
}

static void the_clock_stands_still(void **state)
{
    (void)state;
    meddle = stand_still;
    load_rounds(meddle_with_clock);
    load_report("F12", "clock stands still every other millisecond");
}

static void the_clock_does_anything(void **state)
{
    (void)state;
    meddle = anything;
    load_rounds(meddle_with_clock);
    load_report("F12", "all of it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_leaps),
        cmocka_unit_test(the_clock_steps_back),
        cmocka_unit_test(the_clock_stands_still),
        cmocka_unit_test(the_clock_does_anything),
    };
    return FAULT_RUN(tests);
}
