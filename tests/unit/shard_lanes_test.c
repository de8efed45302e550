/* A shard's lanes with one thread: going round a held one, bounds and order over all, closing. */
#include "unit/shard_support.h"

static struct test_shard test;
static struct npi_shard *const shard = &test.shard;

static int fini(void **state)
{
    (void)state;
    test_shard_fini(&test);
    return 0;
}

static int push(uint64_t value, uint64_t stamp, enum npi_class rank, uint64_t bound)
{
    struct npi_item item = test_task(value, stamp);
    return npi_shard_push(shard, rank, &item, 1, bound);
}

/* The value of the task taken, 0 = none. */
static uint64_t take(void)
{
    struct npi_item item;
    return npi_shard_take(shard, 0, &item, 1) != 0 ? item.hot[NPI_TASK_ARG] : 0;
}

static uint64_t lanes_used(void)
{
    return npi_a64_load_relaxed(&shard->lanes_used);
}

/* Puts a task into a lane of our choice. */
static void push_lane(unsigned lane, uint64_t value, uint64_t stamp, enum npi_class rank)
{
    for (unsigned i = 0; i < lane; i++) {
        assert_true(npi_ring_claim(&shard->lanes[i], 1));
    }
    uint64_t before = npi_ring_waiting(&shard->lanes[lane], rank);
    assert_int_equal(push(value, stamp, rank, 16), 1);
    for (unsigned i = 0; i < lane; i++) {
        npi_ring_unclaim(&shard->lanes[i]);
    }
    assert_true(npi_shard_claims_free(shard));
    assert_int_equal(npi_ring_waiting(&shard->lanes[lane], rank), before + 1);
}

static void a_held_lane_is_gone_round(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    assert_int_equal(push(1, 1, NPI_CLASS_NORMAL, 8), 1);
    for (unsigned held = 0; held < NPI_LANES; held++) {
        assert_int_equal(lanes_used(), held > 0);
        assert_true(npi_ring_claim(&shard->lanes[held], 1));
        assert_false(npi_shard_claims_free(shard));
        if (held + 1 < NPI_LANES) {
            assert_int_equal(push(2 + held, 2 + held, NPI_CLASS_NORMAL, 8), 1);
            assert_int_equal(npi_ring_waiting(&shard->lanes[held + 1], NPI_CLASS_NORMAL), 1);
        }
    }
    assert_int_equal(push(9, 9, NPI_CLASS_NORMAL, 8), NPI_PUSH_BUSY);
    assert_int_equal(npi_shard_waiting(shard), NPI_LANES);
    /* All wait for takers, though four producers have stopped. */
    for (uint64_t value = 1; value <= NPI_LANES; value++) {
        assert_int_equal(take(), value);
    }
    assert_int_equal(take(), 0);
    assert_int_equal(npi_shard_depth(shard), NPI_LANES);
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        assert_false(npi_shard_quiet(shard));
        npi_ring_unclaim(&shard->lanes[lane]);
    }
    assert_true(npi_shard_quiet(shard));
    assert_int_equal(push(10, 10, NPI_CLASS_NORMAL, 8), 1);
    assert_int_equal(npi_ring_waiting(&shard->lanes[0], NPI_CLASS_NORMAL), 1);
}

static void the_bound_holds_over_all_lanes(void **state)
{
    (void)state;
    for (uint64_t bound = 1; bound <= 8; bound++) {
        for (uint64_t before = 0; before < bound; before++) {
            for (uint64_t claimed = 1; claimed <= 4; claimed++) {
                test_shard_init(&test, 8, 1);
                for (uint64_t i = 0; i < before; i++) {
                    assert_int_equal(push(i + 1, i, NPI_CLASS_NORMAL, bound), 1);
                }
                /* Tasks about to be published count, wherever they are. */
                assert_true(npi_ring_claim(&shard->lanes[0], claimed));
                uint64_t room = bound > before + claimed ? bound - before - claimed : 0;
                for (uint64_t i = 0; i < room; i++) {
                    assert_int_equal(push(100 + i, 100 + i, NPI_CLASS_CRITICAL, bound), 1);
                }
                assert_int_equal(push(200, 200, NPI_CLASS_NORMAL, bound), NPI_PUSH_NO_ROOM);
                assert_int_equal(npi_shard_depth(shard), before + claimed + room);
                npi_ring_unclaim(&shard->lanes[0]);
                /* The first lane's users see what waits in the others. */
                for (uint64_t i = before + room; i < bound; i++) {
                    assert_int_equal(push(300 + i, 300 + i, NPI_CLASS_NORMAL, bound), 1);
                }
                assert_int_equal(push(400, 400, NPI_CLASS_NORMAL, bound), NPI_PUSH_NO_ROOM);
                assert_int_equal(npi_shard_waiting(shard), bound);
                test_shard_fini(&test);
            }
        }
    }
    test_shard_init(&test, 8, 1);
}

static void the_oldest_goes_first_whatever_its_lane(void **state)
{
    (void)state;
    /* Stamps run freely: also over the end of their 64 bits. */
    static const uint64_t bases[] = {1000, UINT64_MAX - 3, UINT64_C(1) << 63};
    for (size_t b = 0; b < sizeof bases / sizeof bases[0]; b++) {
        static const unsigned lanes[] = {2, 0, 3, 3, 1, 0, 2, 1, 0};
        test_shard_init(&test, 16, 1);
        for (unsigned lane = 0; lane < NPI_LANES; lane++) {
            npi_a64_store_relaxed(&shard->lanes[lane].newest, bases[b] - 1);
        }
        for (uint64_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++) {
            push_lane(lanes[i], i + 1, bases[b] + i, NPI_CLASS_NORMAL);
        }
        uint64_t stamp;
        assert_true(npi_shard_head_stamp(shard, NPI_CLASS_NORMAL, &stamp));
        assert_int_equal(stamp, bases[b]);
        for (uint64_t i = 1; i <= sizeof lanes / sizeof lanes[0]; i++) {
            assert_int_equal(take(), i);
        }
        assert_int_equal(take(), 0);
        test_shard_fini(&test);
    }
    test_shard_init(&test, 8, 1);
}

/*
 * All by one thread, so the order of the pushes has to be that of the takes, however its clock goes:
 * other processors' counters differ, a coarse clock stands still. Every way over three lanes.
 */
static void order_is_kept_on_any_clock(void **state)
{
    (void)state;
    enum { TASKS = 6, LANES = 3, WAYS = 729 };
    static const uint64_t clocks[][TASKS] = {
        {50, 50, 50, 50, 50, 50}, /* stands still */
        {90, 80, 70, 60, 50, 40}, /* each on another processor, further behind */
        {50, 90, 50, 90, 50, 90}, /* between two processors */
        {50, 51, 51, 52, 52, 52},
    };
    for (size_t clock = 0; clock < sizeof clocks / sizeof clocks[0]; clock++) {
        for (unsigned way = 0; way < WAYS; way++) {
            test_shard_init(&test, 16, 1);
            unsigned left = way;
            for (uint64_t i = 0; i < TASKS; i++, left /= LANES) {
                unsigned lane = left % LANES;
                if (lane == 0 && lanes_used() == NPI_LANES_FIRST) {
                    assert_int_equal(push(i + 1, clocks[clock][i], NPI_CLASS_NORMAL, 16), 1);
                } else {
                    push_lane(lane, i + 1, clocks[clock][i], NPI_CLASS_NORMAL);
                }
            }
            for (uint64_t i = 0; i < TASKS; i++) {
                assert_int_equal(take(), i + 1);
            }
            test_shard_fini(&test);
        }
    }
    test_shard_init(&test, 8, 1);
}

/* The same behind and between tasks of another thread, whose counter is ahead. */
static void others_clocks_disturb_no_order(void **state)
{
    (void)state;
    test_shard_init(&test, 16, 1);
    assert_int_equal(push(101, 900, NPI_CLASS_NORMAL, 16), 1);
    assert_int_equal(push(1, 500, NPI_CLASS_NORMAL, 16), 1);
    push_lane(1, 102, 901, NPI_CLASS_NORMAL);
    push_lane(1, 2, 501, NPI_CLASS_NORMAL);
    push_lane(0, 3, 502, NPI_CLASS_NORMAL);
    push_lane(2, 4, 503, NPI_CLASS_NORMAL);
    push_lane(1, 5, 504, NPI_CLASS_CRITICAL); /* a class's order is its own */
    push_lane(0, 103, 902, NPI_CLASS_NORMAL);
    uint64_t last = 0, last_other = 100;
    assert_int_equal(take(), 5);
    for (unsigned i = 0; i < 7; i++) {
        uint64_t value = take();
        uint64_t *mine = value < 100 ? &last : &last_other;
        assert_int_equal(value, *mine + 1);
        *mine = value;
    }
    assert_int_equal(last, 4);
    assert_int_equal(last_other, 103);
}

/* A task that was stamped long ago and claims late keeps the others in order. */
static void a_late_claim_overtakes_nobody_in_its_lane(void **state)
{
    (void)state;
    test_shard_init(&test, 16, 1);
    push_lane(1, 1, 100, NPI_CLASS_NORMAL);
    push_lane(0, 2, 101, NPI_CLASS_NORMAL);
    push_lane(0, 99, 7, NPI_CLASS_NORMAL); /* of a thread that was preempted before its claim */
    push_lane(0, 3, 102, NPI_CLASS_NORMAL);
    push_lane(1, 4, 103, NPI_CLASS_NORMAL);
    static const uint64_t order[] = {1, 2, 99, 3, 4, 0};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_int_equal(take(), order[i]);
    }
}

static void further_lanes_are_closed_when_empty(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    npi_shard_close_lanes(shard);
    push_lane(1, 1, 1, NPI_CLASS_NORMAL);
    assert_int_equal(lanes_used(), NPI_LANES_OPEN);
    assert_true(npi_ring_claim(&shard->lanes[0], 1));
    npi_shard_close_lanes(shard); /* whoever made others use them still stands there */
    assert_int_equal(lanes_used(), NPI_LANES_OPEN);
    npi_ring_unclaim(&shard->lanes[0]);
    npi_shard_close_lanes(shard); /* not empty */
    assert_int_equal(lanes_used(), NPI_LANES_EMPTYING);
    assert_int_equal(take(), 1);
    assert_true(npi_ring_claim(&shard->lanes[2], 1));
    npi_shard_close_lanes(shard); /* somebody may be about to fill one */
    assert_int_equal(lanes_used(), NPI_LANES_EMPTYING);
    npi_ring_unclaim(&shard->lanes[2]);
    assert_true(npi_ring_claim(&shard->lanes[0], 1));
    npi_shard_close_lanes(shard); /* the first lane has no say in it, but has to be free */
    assert_int_equal(lanes_used(), NPI_LANES_EMPTYING);
    npi_ring_unclaim(&shard->lanes[0]);
    assert_int_equal(push(2, 2, NPI_CLASS_NORMAL, 8), 1);
    npi_shard_close_lanes(shard);
    assert_int_equal(lanes_used(), NPI_LANES_FIRST);
    assert_true(npi_shard_claims_free(shard));
    assert_int_equal(take(), 2);
    push_lane(1, 3, 3, NPI_CLASS_NORMAL);
    assert_int_equal(lanes_used(), NPI_LANES_OPEN);
    assert_int_equal(take(), 3);
}

/* A busy shard goes back to one lane without a moment's rest: what is new goes into the first. */
static void emptying_lanes_are_not_filled(void **state)
{
    (void)state;
    test_shard_init(&test, 16, 1);
    push_lane(1, 1, 1, NPI_CLASS_NORMAL);
    push_lane(2, 2, 2, NPI_CLASS_NORMAL);
    npi_shard_close_lanes(shard);
    uint64_t pushed = 2;
    for (uint64_t taken = 0; taken < 2;) {
        assert_int_equal(lanes_used(), NPI_LANES_EMPTYING);
        pushed++;
        assert_int_equal(push(pushed, pushed, NPI_CLASS_NORMAL, 16), 1);
        assert_int_equal(take(), ++taken);
        npi_shard_close_lanes(shard);
    }
    assert_int_equal(lanes_used(), NPI_LANES_FIRST);
    assert_int_equal(npi_shard_waiting(shard), 2);
    assert_int_equal(npi_ring_waiting(&shard->lanes[0], NPI_CLASS_NORMAL), 2);
    /* Somebody who stops again opens them again. */
    push_lane(1, 5, 5, NPI_CLASS_NORMAL);
    npi_shard_close_lanes(shard);
    assert_int_equal(lanes_used(), NPI_LANES_EMPTYING);
    push_lane(1, 6, 6, NPI_CLASS_NORMAL);
    assert_int_equal(lanes_used(), NPI_LANES_OPEN);
    for (uint64_t value = 3; value <= 6; value++) {
        assert_int_equal(take(), value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_held_lane_is_gone_round, fini),
        cmocka_unit_test_teardown(the_bound_holds_over_all_lanes, fini),
        cmocka_unit_test_teardown(the_oldest_goes_first_whatever_its_lane, fini),
        cmocka_unit_test_teardown(order_is_kept_on_any_clock, fini),
        cmocka_unit_test_teardown(others_clocks_disturb_no_order, fini),
        cmocka_unit_test_teardown(a_late_claim_overtakes_nobody_in_its_lane, fini),
        cmocka_unit_test_teardown(further_lanes_are_closed_when_empty, fini),
        cmocka_unit_test_teardown(emptying_lanes_are_not_filled, fini),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
