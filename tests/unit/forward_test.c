/* policy/forward: order of shards, two choices, when a move pays, and that the published depths say
 * the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "policy/forward.h"

static struct npi_policy_params params;

static int setup(void **state)
{
    (void)state;
    npi_policy_defaults(&params);
    return 0;
}

static void shards_are_ordered_by_distance(void **state)
{
    (void)state;
    /* Two packages of two dies: 12 within the package, 32 across. */
    static const uint32_t row[4] = {12, 10, 32, 32};
    uint16_t ids[4];
    struct npi_forward_class classes[4];
    assert_int_equal(npi_forward_order(row, 4, 1, ids, classes), 2);
    assert_int_equal(classes[0].distance, 12);
    assert_int_equal(classes[0].count, 1);
    assert_int_equal(ids[classes[0].first], 0);
    assert_int_equal(classes[1].distance, 32);
    assert_int_equal(classes[1].count, 2);
    assert_int_equal(ids[classes[1].first], 2); /* the next one after the home comes first */
    assert_int_equal(ids[classes[1].first + 1], 3);
    assert_int_equal(npi_forward_order(row, 1, 0, ids, classes), 0);
}

static void every_other_shard_is_in_the_order_once(void **state)
{
    (void)state;
    enum { N = 40 };
    uint32_t row[N];
    uint16_t ids[N];
    struct npi_forward_class classes[N];
    struct npi_prng prng;
    npi_prng_seed(&prng, 1);
    for (int round = 0; round < 500; round++) {
        size_t count = 1 + npi_prng_below(&prng, N), home = npi_prng_below(&prng, (uint32_t)count);
        for (size_t i = 0; i < count; i++)
            row[i] = i == home ? 10 : 11 + npi_prng_below(&prng, 4) * 7;
        size_t class_count = npi_forward_order(row, count, home, ids, classes);
        bool seen[N] = {false};
        size_t total = 0;
        for (size_t c = 0; c < class_count; c++) {
            assert_int_equal(classes[c].first, total);
            assert_true(c == 0 || classes[c].distance > classes[c - 1].distance);
            for (size_t i = 0; i < classes[c].count; i++) {
                uint16_t id = ids[classes[c].first + i];
                assert_int_equal(row[id], classes[c].distance);
                assert_true(id != home && !seen[id]);
                seen[id] = true;
            }
            total += classes[c].count;
        }
        assert_int_equal(total, count - 1);
    }
}

static void last_resort_scans_of_different_homes_start_apart(void **state)
{
    (void)state;
    enum { N = 8 };
    static const uint32_t row[N] = {20, 20, 20, 20, 20, 20, 20, 20};
    unsigned starts[N] = {0};
    for (size_t home = 0; home < N; home++) {
        uint16_t ids[N];
        struct npi_forward_class classes[N];
        npi_forward_order(row, N, home, ids, classes);
        starts[ids[0]]++;
    }
    for (size_t i = 0; i < N; i++)
        assert_int_equal(starts[i], 1);
}

static void two_different_candidates_are_drawn_evenly(void **state)
{
    (void)state;
    enum { DRAWS = 60000 };
    struct npi_prng prng;
    npi_prng_seed(&prng, 2);
    static const size_t counts[] = {3, 7, 64, 1024};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        unsigned hits[1024] = {0};
        for (int i = 0; i < DRAWS; i++) {
            size_t pick[2];
            assert_int_equal(npi_forward_draw(counts[k], (uint32_t)npi_prng_next(&prng), pick), 2);
            assert_true(pick[0] != pick[1]);
            assert_true(pick[0] < counts[k] && pick[1] < counts[k]);
            hits[pick[0]]++;
            hits[pick[1]]++;
        }
        double expected = 2.0 * DRAWS / (double)counts[k];
        for (size_t i = 0; i < counts[k]; i++) /* six standard deviations */
            assert_true((hits[i] - expected) * (hits[i] - expected) < 36.0 * expected);
    }
}

static void small_classes_are_looked_at_whole(void **state)
{
    (void)state;
    size_t pick[2];
    assert_int_equal(npi_forward_draw(0, 123, pick), 0);
    assert_int_equal(npi_forward_draw(1, 123, pick), 1);
    assert_int_equal(pick[0], 0);
    assert_int_equal(npi_forward_draw(2, 0, pick), 2);
    assert_int_equal(pick[0] + pick[1], 1);
    size_t first = pick[0];
    assert_int_equal(npi_forward_draw(2, 1, pick), 2);
    assert_int_equal(pick[0], 1 - first); /* who comes first is drawn */
    assert_int_equal(npi_forward_draw(1024, UINT32_MAX, pick), 2);
    assert_true(pick[0] == 1023 && pick[1] == 1022);
}

static void penalty_grows_with_distance_and_with_what_binds_the_task(void **state)
{
    (void)state;
    const double cpu_ns = 1e6;
    double near = npi_forward_penalty_ns(&params, cpu_ns, 10, NPI_AFFINITY_CALLER);
    double far = npi_forward_penalty_ns(&params, cpu_ns, 20, NPI_AFFINITY_CALLER);
    assert_true(near == 20000.0); /* fixed part only */
    assert_true(far > 319e3 &&
                far < 321e3); /* 0.3 of the CPU time once more, plus the fixed part */
    assert_true(npi_forward_penalty_ns(&params, cpu_ns, 20, NPI_AFFINITY_DATA) == 3.0 * far);
    assert_true(npi_forward_penalty_ns(&params, cpu_ns, 20, NPI_AFFINITY_STRICT) > 1e18);
    assert_true(npi_forward_penalty_ns(&params, cpu_ns, 0, NPI_AFFINITY_CALLER) == near);
}

static struct npi_forward_target idle_target(uint32_t busy)
{
    struct npi_forward_target target = {.capacity_tasks = 100,
                                        .busy_workers = busy,
                                        .limit_workers = 8,
                                        .cpus = 8,
                                        .cpu_free = true};
    return target;
}

static void a_task_is_sent_away_only_when_that_pays(void **state)
{
    (void)state;
    struct npi_forward_target targets[2] = {idle_target(3), idle_target(2)};
    double penalty = 100e3, least = penalty + (double)params.move_gain_ns_min;
    assert_int_equal(npi_forward_idle(&params, least, penalty, targets, 2), -1);
    assert_int_equal(npi_forward_idle(&params, least + 1.0, penalty, targets, 2), 1);
    assert_int_equal(npi_forward_idle(&params, 1e9, 1e300, targets, 2), -1);
    assert_int_equal(npi_forward_idle(&params, 1e9, penalty, targets, 0), -1);
}

static void only_idle_capacity_is_pushed_to(void **state)
{
    (void)state;
    struct npi_forward_target full = idle_target(8), queued = idle_target(1), hot = idle_target(1);
    queued.queued_tasks = 1;
    hot.cpu_free = false;
    assert_int_equal(npi_forward_idle(&params, 1e9, 0, &full, 1), -1);
    assert_int_equal(npi_forward_idle(&params, 1e9, 0, &queued, 1), -1);
    assert_int_equal(npi_forward_idle(&params, 1e9, 0, &hot, 1), -1);
    /* Emptier per CPU wins, not emptier in numbers. */
    struct npi_forward_target big = idle_target(4), small = idle_target(3);
    big.cpus = 32;
    struct npi_forward_target pair[2] = {small, big};
    assert_int_equal(npi_forward_idle(&params, 1e9, 0, pair, 2), 1);
}

static void overflow_leaves_room_for_own_submitters(void **state)
{
    (void)state;
    struct npi_forward_target target = idle_target(8);
    target.queued_tasks = 74;
    assert_true(npi_forward_has_room(&params, &target));
    target.queued_tasks = 75;
    assert_false(npi_forward_has_room(&params, &target));
    target.queued_tasks = 60;
    target.guest_tasks = 49;
    assert_true(npi_forward_has_room(&params, &target));
    target.guest_tasks = 50;
    assert_false(npi_forward_has_room(&params, &target));
    struct npi_forward_target tiny = {.capacity_tasks = 1, .cpus = 1};
    assert_true(npi_forward_has_room(&params, &tiny)); /* rounding never closes an empty queue */
    struct npi_forward_target none = {.capacity_tasks = 0, .cpus = 1};
    assert_false(npi_forward_has_room(&params, &none));
}

static struct npi_steal_view hot_victim(void)
{
    struct npi_steal_view view = {.queued_tasks = 10,
                                  .busy_workers = 8,
                                  .limit_workers = 8,
                                  .wait_ns_per_task = 125e3,
                                  .task_cpu_ns = 1e6,
                                  .distance = 20,
                                  .thief_cpu_free = true};
    return view;
}

static void stealing_needs_a_reason_and_a_right(void **state)
{
    (void)state;
    struct npi_steal_view view = hot_victim();
    assert_true(npi_forward_may_steal(&params, &view)); /* waits 1.25 ms, penalty 0.37 ms */
    view.queued_tasks = 2;
    assert_false(npi_forward_may_steal(&params, &view));
    view.head_age_ns = 400000; /* but its head has waited longer than that */
    assert_true(npi_forward_may_steal(&params, &view));
    view.busy_workers = 7; /* it is about to be taken at home */
    assert_false(npi_forward_may_steal(&params, &view));
    view = hot_victim();
    view.thief_cpu_free = false;
    assert_false(npi_forward_may_steal(&params, &view));
    view = hot_victim();
    view.affinity = NPI_AFFINITY_STRICT;
    assert_false(npi_forward_may_steal(&params, &view));
    view.affinity = NPI_AFFINITY_DATA; /* 3 * 0.32 + 0.05 ms */
    assert_true(npi_forward_may_steal(&params, &view));
    view.queued_tasks = 8;
    assert_false(npi_forward_may_steal(&params, &view));
    view = hot_victim();
    view.queued_tasks = 0;
    view.head_age_ns = UINT64_MAX;
    assert_false(npi_forward_may_steal(&params, &view));
}

static void soft_depth_is_where_the_exact_rule_begins(void **state)
{
    (void)state;
    struct npi_prng prng;
    unsigned edges = 0;
    npi_prng_seed(&prng, 3);
    for (int round = 0; round < 20000; round++) {
        struct npi_forward_view view = {
            .service_ns = npi_prng_unit(&prng) * (npi_prng_below(&prng, 2) ? 1e9 : 1e5),
            .task_cpu_ns = npi_prng_unit(&prng) * 5e6,
            .limit_workers = npi_prng_below(&prng, 300),
            .capacity_tasks = npi_prng_below(&prng, 5000),
            .distance_min = 10 + npi_prng_below(&prng, 30),
        };
        struct npi_forward_gates gates;
        npi_forward_gates(&params, &view, &gates);
        double penalty = npi_forward_penalty_ns(&params, view.task_cpu_ns, view.distance_min,
                                                NPI_AFFINITY_CALLER);
        struct npi_forward_target idle = idle_target(0);
        uint32_t limit = view.limit_workers ? view.limit_workers : 1;
        for (uint32_t step = 0; step < 12; step++) {
            uint32_t depth = step < 6 ? gates.soft_tasks - 3 + step
                                      : npi_prng_below(&prng, 2 * gates.soft_tasks + 1);
            if (gates.soft_tasks == UINT32_MAX || (step < 3 && gates.soft_tasks < 3))
                continue;
            double wait = npi_forward_wait_ns(depth, limit, limit, gates.wait_ns_per_task);
            bool pays = npi_forward_idle(&params, wait, penalty, &idle, 1) == 0;
            assert_int_equal(pays, depth >= gates.soft_tasks);
            edges++;
        }
        struct npi_forward_target target = {.capacity_tasks = view.capacity_tasks, .cpus = 1};
        for (int step = 0; step < 8; step++) {
            target.queued_tasks = npi_prng_below(&prng, view.capacity_tasks + 2);
            target.guest_tasks = npi_prng_below(&prng, view.capacity_tasks / 2 + 2);
            assert_int_equal(npi_forward_has_room(&params, &target),
                             target.queued_tasks < gates.overflow_tasks_max &&
                                 target.guest_tasks < gates.guest_tasks_max);
        }
    }
    assert_true(edges > 100000);
}

static void nobody_looks_around_without_a_reason(void **state)
{
    (void)state;
    struct npi_forward_gates gates;
    struct npi_forward_view alone = {.service_ns = 1e9, .limit_workers = 1, .capacity_tasks = 10};
    npi_forward_gates(&params, &alone, &gates);
    assert_int_equal(gates.soft_tasks, UINT32_MAX); /* no other shard */
    struct npi_forward_view unknown = {
        .limit_workers = 1, .capacity_tasks = 10, .distance_min = 20};
    npi_forward_gates(&params, &unknown, &gates);
    assert_int_equal(gates.soft_tasks, UINT32_MAX);          /* nothing completed yet */
    assert_true(npi_forward_wait_ns(100, 3, 4, 1e6) == 0.0); /* a free permit: no wait */
    assert_true(npi_forward_wait_ns(100, 4, 4, 1e6) == 1e8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_ordered_by_distance),
        cmocka_unit_test(every_other_shard_is_in_the_order_once),
        cmocka_unit_test(last_resort_scans_of_different_homes_start_apart),
        cmocka_unit_test(two_different_candidates_are_drawn_evenly),
        cmocka_unit_test(small_classes_are_looked_at_whole),
        cmocka_unit_test(penalty_grows_with_distance_and_with_what_binds_the_task),
        cmocka_unit_test(a_task_is_sent_away_only_when_that_pays),
        cmocka_unit_test(only_idle_capacity_is_pushed_to),
        cmocka_unit_test(overflow_leaves_room_for_own_submitters),
        cmocka_unit_test(stealing_needs_a_reason_and_a_right),
        cmocka_unit_test(soft_depth_is_where_the_exact_rule_begins),
        cmocka_unit_test(nobody_looks_around_without_a_reason),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
