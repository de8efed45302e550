/*
 * policy/balance: what must hold for any snapshot, and single cases worked out by hand.
 *
 * Row 16 of the simulator table is here, because it needs no plant: 40,000 random snapshots.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/prng.h"
#include "policy/balance.h"

#define SHARDS 64

struct snapshot {
    uint32_t budget;
    size_t count;
    struct npi_balance_shard shards[SHARDS];
};

struct outcome {
    uint32_t quota[SHARDS], reach[SHARDS];
    struct npi_balance_result result;
};

static struct npi_policy_params params;
static struct npi_balance_scratch scratch[NPI_BALANCE_SHARDS_MAX];

static int setup(void **state)
{
    (void)state;
    npi_policy_defaults(&params);
    return 0;
}

static void solve(const struct snapshot *snapshot, struct outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    memset(scratch, 0x5a, sizeof scratch); /* contents are arbitrary by contract */
    npi_balance(&params, snapshot->budget, snapshot->shards, snapshot->count, scratch,
                outcome->quota, outcome->reach, &outcome->result);
}

static uint32_t ceiling(const struct npi_balance_shard *shard)
{
    return shard->cap_workers > shard->min_workers ? shard->cap_workers : shard->min_workers;
}

static uint64_t sum_of(const uint32_t *values, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

/* Values that meet each other often, so that ties and exact fits occur. */
static double any_demand(struct npi_prng *prng)
{
    switch (npi_prng_below(prng, 4)) {
    case 0:
        return 0.0;
    case 1:
        return npi_prng_below(prng, 50);
    case 2:
        return npi_prng_unit(prng) * 50.0;
    default:
        return npi_prng_unit(prng) * 3000.0;
    }
}

static void any_snapshot(struct npi_prng *prng, struct snapshot *snapshot)
{
    memset(snapshot, 0, sizeof *snapshot);
    snapshot->count = 1 + npi_prng_below(prng, 40);
    uint32_t n = (uint32_t)snapshot->count;
    snapshot->budget = n + npi_prng_below(prng, 4000);
    uint32_t min_max = snapshot->budget / (2 * n) > 1 ? snapshot->budget / (2 * n) : 1;
    for (size_t i = 0; i < snapshot->count; i++) {
        struct npi_balance_shard *shard = &snapshot->shards[i];
        shard->min_workers = 1 + npi_prng_below(prng, min_max);
        shard->cap_workers = 1 + npi_prng_below(prng, 2000);
        shard->need_workers = any_demand(prng);
        shard->held_workers = shard->need_workers;
        double held = npi_prng_unit(prng) * 2000.0;
        if (held > shard->held_workers)
            shard->held_workers = held;
        shard->weight = 1 + npi_prng_below(prng, 64);
    }
}

static void check_bounds(const struct snapshot *snapshot, const struct outcome *outcome)
{
    uint64_t ceilings = 0;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct npi_balance_shard *shard = &snapshot->shards[i];
        assert_true(outcome->quota[i] >= shard->min_workers);
        assert_true(outcome->quota[i] <= ceiling(shard));
        assert_true(outcome->reach[i] >= outcome->quota[i]);
        assert_true(outcome->reach[i] <= snapshot->budget);
        ceilings += ceiling(shard);
    }
    uint64_t total = ceilings < snapshot->budget ? ceilings : snapshot->budget;
    /* Never above the budget, and nothing is left while anybody could use it. */
    assert_int_equal(sum_of(outcome->quota, snapshot->count), total);
    assert_int_equal(outcome->result.free_workers, snapshot->budget - total);
}

/* Need within the weighted fair share is met, to the last worker of rounding. */
static void check_fair(const struct snapshot *snapshot, const struct outcome *outcome,
                       double tolerance)
{
    double weights = 0.0, mins = 0.0;
    for (size_t i = 0; i < snapshot->count; i++) {
        weights += snapshot->shards[i].weight;
        mins += snapshot->shards[i].min_workers;
    }
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct npi_balance_shard *shard = &snapshot->shards[i];
        double fair = shard->min_workers + (snapshot->budget - mins) * shard->weight / weights;
        double due = shard->need_workers < ceiling(shard) ? shard->need_workers : ceiling(shard);
        if (due > fair)
            due = fair;
        assert_true((double)outcome->quota[i] >= due * tolerance - 1.0);
    }
}

static void random_snapshots_keep_all_promises(void **state)
{
    (void)state;
    struct npi_prng prng;
    npi_prng_seed(&prng, 3);
    for (int round = 0; round < 20000; round++) {
        struct snapshot snapshot;
        struct outcome first, second;
        any_snapshot(&prng, &snapshot);
        solve(&snapshot, &first);
        check_bounds(&snapshot, &first);
        check_fair(&snapshot, &first, 1.0);
        assert_false(first.result.kept);

        /* The answer is a fixed point after one step. */
        for (size_t i = 0; i < snapshot.count; i++)
            snapshot.shards[i].quota_workers = first.quota[i];
        solve(&snapshot, &second);
        assert_memory_equal(first.quota, second.quota, sizeof first.quota);
        assert_int_equal(second.result.moved_workers, 0);
    }
}

/* Starting from the answer to another snapshot: the dead band may keep it, but not beyond its
 * bounds. */
static void random_steps_keep_all_promises(void **state)
{
    (void)state;
    struct npi_prng prng;
    unsigned kept = 0;
    npi_prng_seed(&prng, 4);
    for (int round = 0; round < 20000; round++) {
        struct snapshot snapshot;
        struct outcome before, fresh, after;
        any_snapshot(&prng, &snapshot);
        solve(&snapshot, &before);
        for (size_t i = 0; i < snapshot.count; i++) {
            snapshot.shards[i].need_workers *= 0.9 + 0.2 * npi_prng_unit(&prng);
            snapshot.shards[i].held_workers *= 0.9 + 0.2 * npi_prng_unit(&prng);
        }
        solve(&snapshot, &fresh); /* as if there were no vector in force */
        for (size_t i = 0; i < snapshot.count; i++)
            snapshot.shards[i].quota_workers = before.quota[i];
        solve(&snapshot, &after);
        check_bounds(&snapshot, &after);
        /* 0.75: below that share of what is due the band breaks; see keep_old(). */
        check_fair(&snapshot, &after, 0.75);
        if (!after.result.kept) {
            assert_memory_equal(after.quota, fresh.quota, sizeof fresh.quota);
            continue;
        }
        kept++;
        assert_true(after.result.contended);
        assert_int_equal(after.result.moved_workers, 0);
        for (size_t i = 0; i < snapshot.count; i++) {
            double band = params.dead_band_share * before.quota[i];
            if (band < params.dead_band_workers)
                band = params.dead_band_workers;
            assert_int_equal(after.quota[i], before.quota[i]);
            assert_true((double)fresh.quota[i] - before.quota[i] <= band);
        }
    }
    assert_in_range(kept, 100, 19900); /* both outcomes were seen */
}

/* Renumbering the shards renumbers the answer; only equal remainders may swap a worker. */
static void order_of_shards_does_not_matter(void **state)
{
    (void)state;
    struct npi_prng prng;
    unsigned exact = 0;
    npi_prng_seed(&prng, 5);
    for (int round = 0; round < 5000; round++) {
        struct snapshot snapshot, shuffled;
        struct outcome straight, other;
        size_t place[SHARDS];
        any_snapshot(&prng, &snapshot);
        shuffled = snapshot;
        for (size_t i = 0; i < snapshot.count; i++)
            place[i] = i;
        for (size_t i = snapshot.count; i > 1; i--) {
            size_t j = npi_prng_below(&prng, (uint32_t)i), keep = place[i - 1];
            place[i - 1] = place[j];
            place[j] = keep;
        }
        for (size_t i = 0; i < snapshot.count; i++)
            shuffled.shards[place[i]] = snapshot.shards[i];
        solve(&snapshot, &straight);
        solve(&shuffled, &other);
        bool same = true;
        for (size_t i = 0; i < snapshot.count; i++) {
            uint32_t a = straight.quota[i], b = other.quota[place[i]];
            assert_true(a <= b + 1 && b <= a + 1);
            same = same && a == b;
        }
        exact += same;
    }
    assert_true(exact > 2500);
}

static void set(struct snapshot *snapshot, size_t i, double need, uint32_t min, uint32_t cap)
{
    snapshot->shards[i].need_workers = snapshot->shards[i].held_workers = need;
    snapshot->shards[i].min_workers = min;
    snapshot->shards[i].cap_workers = cap;
    snapshot->shards[i].weight = 8;
    if (snapshot->count <= i)
        snapshot->count = i + 1;
}

static void max_min_by_hand(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 200};
    struct outcome outcome;
    set(&snapshot, 0, 20, 8, 500);
    set(&snapshot, 1, 20, 8, 500);
    set(&snapshot, 2, 100, 8, 500);
    set(&snapshot, 3, 400, 8, 500);
    solve(&snapshot, &outcome);
    assert_true(outcome.result.contended);
    assert_int_equal(outcome.quota[0], 20);
    assert_int_equal(outcome.quota[1], 20);
    assert_int_equal(outcome.quota[2], 80);
    assert_int_equal(outcome.quota[3], 80);
}

static void weights_count(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 92};
    struct outcome outcome;
    set(&snapshot, 0, 1000, 1, 1000);
    set(&snapshot, 1, 1000, 1, 1000);
    snapshot.shards[0].weight = 16;
    snapshot.shards[1].weight = 32;
    solve(&snapshot, &outcome);
    assert_int_equal(outcome.quota[0], 31);
    assert_int_equal(outcome.quota[1], 61);
}

static void idle_budget_is_spread_by_weight(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 92};
    struct outcome outcome;
    set(&snapshot, 0, 0, 1, 1000);
    set(&snapshot, 1, 0, 1, 1000);
    snapshot.shards[0].weight = 16;
    snapshot.shards[1].weight = 32;
    solve(&snapshot, &outcome);
    assert_int_equal(outcome.quota[0], 31);
    assert_int_equal(outcome.quota[1], 61);
}

static void idle_budget_goes_to_whoever_may_use_it(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 100};
    struct outcome outcome;
    set(&snapshot, 0, 0, 4, 8);
    set(&snapshot, 1, 50, 4, 300);
    solve(&snapshot, &outcome);
    assert_false(outcome.result.contended);
    assert_int_equal(outcome.quota[0], 8);
    assert_int_equal(outcome.quota[1], 92);
    assert_int_equal(outcome.reach[1], 96);
}

static void returning_shard_gets_its_guarantee_at_once_and_more_in_one_step(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 200};
    struct outcome outcome;
    set(&snapshot, 0, 192, 8, 192);
    set(&snapshot, 1, 0, 8, 8);
    solve(&snapshot, &outcome);
    assert_int_equal(outcome.quota[1], 8);
    snapshot.shards[0].quota_workers = outcome.quota[0];
    snapshot.shards[1].quota_workers = outcome.quota[1];
    set(&snapshot, 1, 300, 8, 300);
    solve(&snapshot, &outcome);
    assert_int_equal(outcome.quota[0], 100);
    assert_int_equal(outcome.quota[1], 100);
    assert_int_equal(outcome.result.moved_workers, 92);
}

static void dead_band_keeps_small_changes_only(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 200};
    struct outcome outcome;
    set(&snapshot, 0, 500, 8, 500);
    set(&snapshot, 1, 500, 8, 500);
    snapshot.shards[0].quota_workers = 94;
    snapshot.shards[1].quota_workers = 106;
    solve(&snapshot, &outcome);
    assert_true(outcome.result.kept);
    assert_int_equal(outcome.quota[0], 94);
    snapshot.shards[0].quota_workers = 80;
    snapshot.shards[1].quota_workers = 120;
    solve(&snapshot, &outcome);
    assert_false(outcome.result.kept);
    assert_int_equal(outcome.quota[0], 100);
    assert_int_equal(outcome.result.moved_workers, 20);
}

static void dead_band_leaves_nothing_unused(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 206}; /* the budget was 200 when the vector was made */
    struct outcome outcome;
    set(&snapshot, 0, 500, 8, 500);
    set(&snapshot, 1, 500, 8, 500);
    snapshot.shards[0].quota_workers = 100;
    snapshot.shards[1].quota_workers = 100;
    solve(&snapshot, &outcome);
    assert_false(outcome.result.kept);
    assert_int_equal(outcome.quota[0], 103);
    assert_int_equal(outcome.quota[1], 103);
}

static void dead_band_does_not_starve_a_small_shard(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 100};
    struct outcome outcome;
    set(&snapshot, 0, 4, 1,
        10); /* needs 4, holds 2: within three workers, but half of what is due */
    set(&snapshot, 1, 500, 1, 500);
    snapshot.shards[0].quota_workers = 2;
    snapshot.shards[1].quota_workers = 98;
    solve(&snapshot, &outcome);
    assert_false(outcome.result.kept);
    assert_int_equal(outcome.quota[0], 4);
}

static void dead_band_ends_a_lasting_shortage(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 200};
    struct outcome outcome;
    set(&snapshot, 0, 22, 8, 22); /* holds 19 of 22: within three workers */
    set(&snapshot, 1, 500, 8, 500);
    snapshot.shards[0].quota_workers = 19;
    snapshot.shards[1].quota_workers = 181;
    snapshot.shards[0].mean_workers = 19;
    solve(&snapshot, &outcome);
    assert_true(outcome.result.kept);
    snapshot.shards[0].mean_workers = 20.5; /* for a second now */
    solve(&snapshot, &outcome);
    assert_false(outcome.result.kept);
    assert_int_equal(outcome.quota[0], 22);
}

static void guarantees_beyond_the_budget_are_shared(void **state)
{
    (void)state;
    struct snapshot snapshot = {.budget = 10};
    struct outcome outcome;
    for (size_t i = 0; i < 4; i++)
        set(&snapshot, i, 100, 8, 100);
    solve(&snapshot, &outcome);
    assert_int_equal(sum_of(outcome.quota, 4), 10);
    for (size_t i = 0; i < 4; i++)
        assert_in_range(outcome.quota[i], 2, 3);
    snapshot.budget = 2; /* fewer workers than shards */
    solve(&snapshot, &outcome);
    assert_int_equal(sum_of(outcome.quota, 4), 2);
}

static void senseless_demand_is_survived(void **state)
{
    (void)state;
    static const double odd[] = {-1.0, 0.0, 1e300, (double)INFINITY, (double)NAN};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
        struct snapshot snapshot = {.budget = 64};
        struct outcome outcome;
        set(&snapshot, 0, odd[k], 2, 100);
        set(&snapshot, 1, 10, 2, 100);
        snapshot.shards[1].weight = odd[k] > 1e100 ? 1 : odd[k];
        solve(&snapshot, &outcome);
        check_bounds(&snapshot, &outcome);
    }
    struct npi_balance_result result;
    npi_balance(&params, 10, NULL, 0, scratch, NULL, NULL, &result);
    assert_int_equal(result.moved_workers, 0);
}

static void guarantee_leaves_half_of_the_budget(void **state)
{
    (void)state;
    assert_int_equal(npi_balance_min(512, 4, 8), 8);
    assert_int_equal(npi_balance_min(64, 4, 16), 8);
    assert_int_equal(npi_balance_min(2, 4, 16), 1);
    assert_int_equal(npi_balance_min(64, 4, 0.5), 1);
    for (uint32_t n = 1; n <= 64; n++)
        assert_true((uint64_t)npi_balance_min(1000, n, 1e9) * n <= 500);
}

static void demand_belongs_to_the_home(void **state)
{
    (void)state;
    assert_true(npi_balance_own(10, 0, 0) == 10.0);
    assert_true(npi_balance_own(10, 4, 0) == 6.0);
    assert_true(npi_balance_own(10, 0, 7) == 17.0);
    assert_true(npi_balance_own(1, 4, 0) == 0.0);
}

/* Largest size the contract names; the time is told, not judged: machines differ and are shared. */
static void sizes_up_to_the_maximum(void **state)
{
    (void)state;
    static struct npi_balance_shard shards[NPI_BALANCE_SHARDS_MAX];
    static uint32_t quota[NPI_BALANCE_SHARDS_MAX], reach[NPI_BALANCE_SHARDS_MAX];
    static const size_t sizes[] = {1, 2, 32, 256, NPI_BALANCE_SHARDS_MAX};
    struct npi_prng prng;
    struct npi_balance_result result;
    npi_prng_seed(&prng, 6);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k];
        uint32_t budget = (uint32_t)n * 100;
        for (size_t i = 0; i < n; i++)
            shards[i] = (struct npi_balance_shard){
                npi_prng_unit(&prng) * 300, npi_prng_unit(&prng) * 300, 0, 8, 2, 500, 0};
        enum { CALLS = 20 };
        uint64_t best_ns = UINT64_MAX;
        for (int call = 0; call < CALLS; call++) {
            struct timespec from, to;
            clock_gettime(CLOCK_MONOTONIC, &from);
            npi_balance(&params, budget, shards, n, scratch, quota, reach, &result);
            clock_gettime(CLOCK_MONOTONIC, &to);
            uint64_t ns = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)to.tv_nsec -
                          (uint64_t)from.tv_nsec;
            best_ns = ns < best_ns ? ns : best_ns;
        }
        assert_int_equal(sum_of(quota, n), budget < 500 * n ? budget : 500 * n);
        print_message("%4zu shards: %.1f us a call\n", n, (double)best_ns / 1000.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_snapshots_keep_all_promises),
        cmocka_unit_test(random_steps_keep_all_promises),
        cmocka_unit_test(order_of_shards_does_not_matter),
        cmocka_unit_test(max_min_by_hand),
        cmocka_unit_test(weights_count),
        cmocka_unit_test(idle_budget_is_spread_by_weight),
        cmocka_unit_test(idle_budget_goes_to_whoever_may_use_it),
        cmocka_unit_test(returning_shard_gets_its_guarantee_at_once_and_more_in_one_step),
        cmocka_unit_test(dead_band_keeps_small_changes_only),
        cmocka_unit_test(dead_band_leaves_nothing_unused),
        cmocka_unit_test(dead_band_does_not_starve_a_small_shard),
        cmocka_unit_test(dead_band_ends_a_lasting_shortage),
        cmocka_unit_test(guarantees_beyond_the_budget_are_shared),
        cmocka_unit_test(senseless_demand_is_survived),
        cmocka_unit_test(guarantee_leaves_half_of_the_budget),
        cmocka_unit_test(demand_belongs_to_the_home),
        cmocka_unit_test(sizes_up_to_the_maximum),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
