/* The weight of a pool: its bounds, that it only falls, and what it is made of. */
#include "unit/core_support.h"

#include "tool/headroom.h"

#define NEAR(value, expected)                                                                      \
    assert_true((value) - (expected) < 1e-9 && (expected) - (value) < 1e-9)

#define STEPS 20

static void it_is_one_at_rest_and_nothing_at_the_end(void **state)
{
    (void)state;
    NEAR(headroom_room(0, 0, 0, 0), 1.0);
    NEAR(headroom_room(1, 0, 0, 0), 0.5);
    NEAR(headroom_room(0, 0, 4, 0), 0.5);
    NEAR(headroom_room(0, 1, 0, 0), 0.0);
    NEAR(headroom_room(0, 0, 0, 1), 0.0);
    NEAR(headroom_room(-1, -1, -1, -1), 1.0);
    NEAR(headroom_room(5, 0, 0, 0), 0.5);
    NEAR(headroom_room(0, 7, 0, 0), 0.0);
    assert_true(headroom_room(0, 0, 1e300, 0) >= 0.0);
}

/* Also without a step: a twentieth of a figure's range is never more than a quarter of the weight. */
static void every_figure_takes_some_away(void **state)
{
    (void)state;
    for (int point = 0; point < STEPS * STEPS * STEPS * STEPS; point++) {
        double at[4];
        for (int i = 0, rest = point; i < 4; i++, rest /= STEPS) {
            at[i] = (double)(rest % STEPS) / STEPS;
        }
        double here = headroom_room(at[0], at[1], at[2] * 20, at[3]);
        assert_true(here > 0.0 && here <= 1.0);
        for (int i = 0; i < 4; i++) {
            double more[4] = {at[0], at[1], at[2], at[3]};
            more[i] += 1.0 / STEPS;
            double there = headroom_room(more[0], more[1], more[2] * 20, more[3]);
            assert_true(there < here && there > here - 0.25);
        }
    }
}

/* Two equal servers share a load, each with the weight its own share gives it. What one has too much must
   shrink from time to time, whatever the load; with all of the weight for busy it would not. */
static void two_servers_settle(void **state)
{
    (void)state;
    for (int load = 1; load < 40; load++) {
        double all = load / 20.0, share = 0.7; /* of two servers that can do 1 each */
        for (int i = 0; i < 1000; i++) {
            double one = headroom_room(all * share, 0, 0, 0);
            double two = headroom_room(all * (1.0 - share), 0, 0, 0);
            share = one / (one + two);
        }
        assert_true(share > 0.49 && share < 0.51);
    }
}

/* Of one, whose queue grows as it gets busy and is bounded. */
static double room_under(double offered, double can)
{
    double busy = offered / can, most = busy < 1.0 ? busy : 1.0, queue = most * most * most * most;
    return headroom_room(busy, 0, 4.0 * queue * queue, busy > 1.0 ? 1.0 - 1.0 / busy : 0.0);
}

/* They are asked twice a second for a mean over one, and what they answer decides what the next half second brings;
   what the first refuses is given to the second. Returns what the first is offered in the end, or -1: it swings. */
static double settle(double load, double can_one, double can_two)
{
    double mean[2] = {1.0, 0.5}, can[2] = {can_one, can_two}, offered[2] = {0, 0};
    double least = 1e9, most = 0;
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < 2; k++) {
            mean[k] += (room_under(offered[k], can[k]) - mean[k]) * 0.39; /* 1 - e^-0.5 */
        }
        offered[0] = load * mean[0] / (mean[0] + mean[1]);
        offered[1] = load - (offered[0] < can[0] ? offered[0] : can[0]);
        if (i >= 500) {
            least = offered[0] < least ? offered[0] : least;
            most = offered[0] > most ? offered[0] : most;
        }
    }
    return most < 1.02 * least ? most : -1.0;
}

static void a_small_server_is_offered_little_more_than_it_can_do(void **state)
{
    (void)state;
    for (int load = 100; load <= 300; load += 10) {
        double offered = settle(load, 40.0, 320.0);
        assert_true(offered > 0.0 && offered < 1.5 * 40.0);
    }
    for (int load = 10; load <= 500; load += 10) {
        double offered = settle(load, 100.0, 100.0);
        assert_true(offered > 0.0);
    }
}

static void it_is_of_the_whole_pool(void **state)
{
    (void)state;
    struct pool_view view = {.count = 2};
    struct numapool_page_shard *now = &view.total.now;
    struct headroom h = headroom_of(&view); /* nothing was published yet */
    NEAR(h.room, 1.0);

    now->cpus_milli = 4000;
    now->budget = 16;
    now->queue_capacity = 1000;
    now->quota = 2; /* at rest it is lent away */
    now->workers_running = 2;
    h = headroom_of(&view);
    NEAR(h.busy, 0.5);
    now->quota = 8; /* tasks that wait inside */
    h = headroom_of(&view);
    NEAR(h.busy, 0.25);
    now->budget = 1;
    now->quota = 1;
    h = headroom_of(&view);
    NEAR(h.busy, 1.0);

    now->budget = 16;
    now->quota = 8;
    now->queue_depth = 100;
    h = headroom_of(&view);
    NEAR(h.filled, 0.1);
    NEAR(h.rounds, 12.5);
    NEAR(h.room, headroom_room(0.25, 0.1, 12.5, 0.0));
}

static void refusals_count_if_room_was_missing(void **state)
{
    (void)state;
    struct pool_view view = {.count = 1};
    struct pool_rates *rates = &view.total.rates;
    rates->submitted = 100;
    rates->refused_other = 40; /* cancelled */
    NEAR(headroom_of(&view).refused, 0.0);
    rates->refused_full = 10;
    NEAR(headroom_of(&view).refused, 0.1);
    rates->refused_shed = 10;
    NEAR(headroom_of(&view).refused, 0.2);
    rates->refused_deadline = 10;
    NEAR(headroom_of(&view).refused, 0.3);
    rates->refused_bytes = 10;
    NEAR(headroom_of(&view).refused, 0.4);
    NEAR(headroom_of(&view).room, 0.36);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_one_at_rest_and_nothing_at_the_end),
        cmocka_unit_test(every_figure_takes_some_away),
        cmocka_unit_test(two_servers_settle),
        cmocka_unit_test(a_small_server_is_offered_little_more_than_it_can_do),
        cmocka_unit_test(it_is_of_the_whole_pool),
        cmocka_unit_test(refusals_count_if_room_was_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
