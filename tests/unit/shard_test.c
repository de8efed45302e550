/* A shard's queue and gate with one thread: bounds, order, counts, waking. shard_lanes_test has what
   several lanes add. */
#include "unit/shard_support.h"

#include "flow/balancer.h"

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

/* ----------------------------------------------------------------------------- one lane */

static void the_best_class_goes_first(void **state)
{
    (void)state;
    test_shard_init(&test, 16, 1);
    assert_int_equal(push(30, 1, NPI_CLASS_SHEDDABLE, 16), 1);
    assert_int_equal(push(20, 2, NPI_CLASS_NORMAL, 16), 1);
    assert_int_equal(push(10, 3, NPI_CLASS_CRITICAL, 16), 1);
    assert_int_equal(push(21, 4, NPI_CLASS_NORMAL, 16), 1);
    assert_int_equal(push(11, 5, NPI_CLASS_CRITICAL, 16), 1);
    static const uint64_t order[] = {10, 11, 20, 21, 30, 0};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_int_equal(take(), order[i]);
    }
    assert_int_equal(lanes_used(), 0);
}

static void a_bound_is_for_all_classes_together(void **state)
{
    (void)state;
    test_shard_init(&test, 16, 1);
    assert_int_equal(push(1, 1, NPI_CLASS_CRITICAL, 0), NPI_PUSH_NO_ROOM);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(push(i, i, (enum npi_class)(i % NPI_CLASS_COUNT), 5), 1);
    }
    assert_int_equal(push(6, 6, NPI_CLASS_CRITICAL, 5), NPI_PUSH_NO_ROOM);
    assert_int_equal(push(6, 6, NPI_CLASS_CRITICAL, 6), 1); /* another caller's bound is its own */
    assert_int_equal(push(7, 7, NPI_CLASS_NORMAL, 5), NPI_PUSH_NO_ROOM);
    assert_int_not_equal(take(), 0);
    assert_int_equal(push(7, 7, NPI_CLASS_NORMAL, 5), NPI_PUSH_NO_ROOM);
    assert_int_not_equal(take(), 0);
    assert_int_equal(push(7, 7, NPI_CLASS_NORMAL, 5), 1);
    assert_int_equal(npi_shard_depth(shard), 5);
}

static void as_many_of_a_batch_as_there_is_room_for(void **state)
{
    (void)state;
    struct npi_item items[8];
    test_shard_init(&test, 8, 1);
    for (unsigned i = 0; i < 8; i++) {
        items[i] = test_task(i + 1, i);
    }
    assert_int_equal(npi_shard_push(shard, NPI_CLASS_NORMAL, items, 8, 3), 3);
    assert_int_equal(npi_shard_push(shard, NPI_CLASS_NORMAL, items + 3, 5, 7), 4);
    assert_int_equal(npi_shard_push(shard, NPI_CLASS_NORMAL, items + 7, 1, 7), NPI_PUSH_NO_ROOM);
    assert_int_equal(npi_shard_waiting(shard), 7);
    assert_int_equal(npi_shard_take(shard, 0, items, 4), 4);
    assert_int_equal(items[3].hot[NPI_TASK_ARG], 4);
    assert_int_equal(npi_shard_take(shard, 0, items, 8), 3);
    assert_int_equal(items[0].hot[NPI_TASK_ARG], 5);
}

static void a_closed_pool_takes_nothing(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    assert_int_equal(push(1, 1, NPI_CLASS_NORMAL, 8), 1);
    for (int phase = NPI_PHASE_DRAINING; phase <= NPI_PHASE_CLOSING; phase++) {
        npi_a32_store_sc(&test.pool.phase, (uint32_t)phase);
        assert_int_equal(push(2, 2, NPI_CLASS_NORMAL, 8), NPI_PUSH_CLOSED);
        assert_true(npi_shard_claims_free(shard));
        assert_int_equal(npi_shard_waiting(shard), 1);
    }
    assert_int_equal(take(), 1); /* what was accepted runs */
    assert_true(npi_shard_quiet(shard));
}

static void counts_follow_every_task(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    uint64_t stamp = 0;
    assert_false(npi_shard_head_stamp(shard, NPI_CLASS_NORMAL, &stamp));
    assert_true(npi_shard_quiet(shard));
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(push(i, 100 + i, NPI_CLASS_NORMAL, 8), 1);
    }
    assert_int_equal(push(4, 104, NPI_CLASS_SHEDDABLE, 8), 1);
    assert_false(npi_shard_quiet(shard));
    assert_int_equal(npi_shard_accepted(shard, NPI_CLASS_CRITICAL), 0);
    assert_int_equal(npi_shard_accepted(shard, NPI_CLASS_NORMAL), 3);
    assert_int_equal(npi_shard_accepted(shard, NPI_CLASS_SHEDDABLE), 1);
    assert_int_equal(npi_shard_taken(shard), 0);
    assert_int_equal(npi_shard_waiting_of(shard, NPI_CLASS_NORMAL), 3);
    assert_true(npi_shard_head_stamp(shard, NPI_CLASS_NORMAL, &stamp));
    assert_int_equal(stamp, 101);
    assert_int_equal(take(), 1);
    assert_true(npi_shard_head_stamp(shard, NPI_CLASS_NORMAL, &stamp));
    assert_int_equal(stamp, 102);
    assert_int_equal(npi_shard_accepted(shard, NPI_CLASS_NORMAL), 3);
    assert_int_equal(npi_shard_taken(shard), 1);
    assert_int_equal(npi_shard_waiting(shard), 3);
    assert_int_equal(npi_shard_depth(shard), 3);
}

static bool push_plainly(uint64_t value, uint64_t stamp, uint64_t bound)
{
    struct npi_item item = test_task(value, stamp);
    npi_a64_store_relaxed(&shard->fast_tasks[NPI_CLASS_NORMAL], bound);
    return npi_shard_push_plainly(shard, &test.pool.phase, NPI_CLASS_NORMAL, &item);
}

static void the_common_way_is_for_common_tasks(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    assert_false(push_plainly(1, 100, 0));
    assert_true(push_plainly(1, 100, 1));
    assert_false(push_plainly(2, 101, 1)); /* at the bound */
    assert_true(push_plainly(2, 100, 2));  /* the clock may stand still */
    assert_false(push_plainly(3, 99, 8));  /* but not go back */
    npi_a64_store_sc(&shard->lanes_used, NPI_LANES_OPEN);
    assert_false(push_plainly(3, 102, 8));
    npi_a64_store_sc(&shard->lanes_used, NPI_LANES_EMPTYING);
    assert_false(push_plainly(3, 102, 8));
    npi_a64_store_sc(&shard->lanes_used, NPI_LANES_FIRST);
    npi_a64_store_sc(&shard->lanes[0].claim, 1); /* somebody else's */
    assert_false(push_plainly(3, 102, 8));
    npi_a64_store_sc(&shard->lanes[0].claim, 0);
    npi_a32_store_sc(&test.pool.phase, NPI_PHASE_DRAINING);
    assert_false(push_plainly(3, 102, 8));
    assert_true(npi_shard_claims_free(shard));
    assert_int_equal(npi_shard_depth(shard), 2);
    assert_int_equal(take(), 1);
    assert_int_equal(take(), 2);
}

static void several_go_the_common_way_together(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    const npi_a32 *phase = &test.pool.phase;
    npi_a64_store_relaxed(&shard->fast_tasks[NPI_CLASS_NORMAL], 3);
    assert_false(npi_shard_begin_plainly(shard, phase, NPI_CLASS_NORMAL, 4, 100)); /* no prefix */
    assert_true(npi_shard_claims_free(shard));
    assert_true(npi_shard_begin_plainly(shard, phase, NPI_CLASS_NORMAL, 3, 100));
    assert_int_equal(npi_shard_depth(shard), 3); /* others count the claim */
    for (unsigned i = 0; i < 3; i++) {
        struct npi_item item = test_task(1 + i, 100);
        npi_ring_put(&shard->lanes[0], NPI_CLASS_NORMAL, i, &item);
    }
    assert_int_equal(npi_shard_waiting(shard), 0);
    npi_shard_end_plainly(shard, NPI_CLASS_NORMAL, 3, 100);
    assert_int_equal(npi_shard_waiting(shard), 3);
    assert_true(npi_shard_claims_free(shard));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(take(), 1 + i);
    }
}

static uint64_t take_seen(const struct npi_cursor *cursor)
{
    struct npi_item item;
    return npi_shard_take_seen(shard, cursor, &item) ? item.hot[NPI_TASK_ARG] : 0;
}

static void what_a_look_saw_is_taken_without_another(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    struct npi_cursor cursor = {0};
    struct npi_item item;
    assert_int_equal(take_seen(&cursor), 0);
    assert_false(npi_shard_take_looking(shard, &cursor, 7, &item));
    assert_int_equal(cursor.looked_ticks, 7);
    for (uint64_t i = 1; i <= 4; i++) {
        push(i, 100 + i, NPI_CLASS_SHEDDABLE, 8);
    }
    assert_true(npi_shard_take_looking(shard, &cursor, 9, &item));
    assert_int_equal(item.hot[NPI_TASK_ARG], 1);
    push(5, 105, NPI_CLASS_SHEDDABLE, 8);
    push(6, 106, NPI_CLASS_CRITICAL, 8);
    assert_int_equal(take_seen(&cursor), 2);
    npi_a64_store_sc(&shard->lanes_used, NPI_LANES_OPEN);
    assert_int_equal(take_seen(&cursor), 0); /* an older one may wait elsewhere */
    npi_a64_store_sc(&shard->lanes_used, NPI_LANES_FIRST);
    assert_int_equal(take_seen(&cursor), 3);
    assert_int_equal(take_seen(&cursor), 4);
    assert_int_equal(take_seen(&cursor), 0); /* came after the look */
    assert_true(npi_shard_take_looking(shard, &cursor, 11, &item));
    assert_int_equal(item.hot[NPI_TASK_ARG], 6); /* the best class first */
    assert_int_equal(take_seen(&cursor), 0);
    assert_int_equal(take(), 5);
}

static uint64_t take_overdue(uint64_t now)
{
    struct npi_item item;
    return npi_shard_take_overdue(shard, now, &item) ? item.hot[NPI_TASK_ARG] : 0;
}

static void the_longest_overdue_goes_before_better_ones(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    test.pool.overdue_ticks[NPI_CLASS_CRITICAL] = UINT64_MAX;
    test.pool.overdue_ticks[NPI_CLASS_NORMAL] = 100;
    test.pool.overdue_ticks[NPI_CLASS_SHEDDABLE] = 50;
    assert_int_equal(take_overdue(1000), 0);
    push(1, 1000, NPI_CLASS_CRITICAL, 8);
    push(2, 1000, NPI_CLASS_NORMAL, 8);
    push(3, 1040, NPI_CLASS_SHEDDABLE, 8);
    push(4, 2000, NPI_CLASS_SHEDDABLE, 8);
    assert_int_equal(take_overdue(900), 0); /* another processor's counter may be behind */
    assert_int_equal(take_overdue(1090), 0);
    assert_int_equal(take_overdue(1091), 3);
    assert_int_equal(take_overdue(1100), 0);
    assert_int_equal(take_overdue(2200), 2);
    assert_int_equal(take_overdue(2200), 4);
    assert_int_equal(take_overdue(1000000), 0);
    assert_int_equal(take(), 1);
}

static void the_older_of_two_overdue_goes_first(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    push(1, 1000, NPI_CLASS_NORMAL, 8);
    push(2, 1010, NPI_CLASS_SHEDDABLE, 8);
    assert_int_equal(take_overdue(2000), 1);
    assert_int_equal(take_overdue(2000), 2);
}

static void what_a_taker_refuses_stays(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    struct npi_item items[2] = {test_task(1, 1), test_task(2, 2)};
    items[0].hot[NPI_TASK_META] = NPI_META_STRICT;
    assert_int_equal(npi_shard_push(shard, NPI_CLASS_CRITICAL, &items[0], 1, 8), 1);
    assert_int_equal(npi_shard_push(shard, NPI_CLASS_NORMAL, &items[1], 1, 8), 1);
    /* A better class whose first task is refused does not hide the next class. */
    assert_int_equal(npi_shard_take(shard, NPI_META_STRICT, items, 2), 1);
    assert_int_equal(items[0].hot[NPI_TASK_ARG], 2);
    assert_int_equal(npi_shard_take(shard, NPI_META_STRICT, items, 2), 0);
    assert_int_equal(take(), 1);
}

/* -------------------------------------------------------------------------------- waking */

static uint32_t asleep(void)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < TEST_WORKERS; i++) {
        count += npi_a32_load_relaxed(&test.sleepers[i].word) == NPI_SLEEPER_ASLEEP;
    }
    return count;
}

static void a_push_wakes_one(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 3);
    npi_gate_push(&shard->gate, 0);
    npi_gate_push(&shard->gate, 1);
    npi_shard_look(shard, NPI_GATE_NOBODY);
    assert_int_equal(asleep(), 2); /* nothing to do */
    assert_int_equal(push(1, 1, NPI_CLASS_NORMAL, 8), 1);
    npi_shard_notify(shard, 0);
    assert_int_equal(asleep(), 1);
    assert_int_equal(npi_a32_load_relaxed(&test.sleepers[1].word), NPI_SLEEPER_WOKEN);
    assert_int_equal(npi_permits_active(npi_gate_permits(&shard->gate)), 1);
    assert_int_equal(npi_permits_searching(npi_gate_permits(&shard->gate)), 1);
    /* As long as that one searches nobody else is woken. */
    npi_shard_notify(shard, 0);
    npi_shard_look(shard, NPI_GATE_NOBODY);
    assert_int_equal(asleep(), 1);
    assert_int_equal(npi_shard_busy(shard), 0);
    (void)npi_gate_found(&shard->gate);
    assert_int_equal(npi_shard_busy(shard), 1);
    npi_shard_look(shard, NPI_GATE_NOBODY);
    assert_int_equal(asleep(), 0);
    assert_int_equal(npi_a64_load_relaxed(&shard->gate.wakes), 2);
}

static void a_worker_that_wakes_itself_is_not_roused(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    npi_gate_push(&shard->gate, 2);
    assert_int_equal(push(1, 1, NPI_CLASS_NORMAL, 8), 1);
    npi_shard_wake(shard, 2);
    assert_int_equal(npi_a32_load_relaxed(&test.sleepers[2].word), NPI_SLEEPER_WOKEN);
    assert_int_equal(npi_a64_load_relaxed(&shard->gate.wakes), 0);
    assert_int_equal(npi_permits_active(npi_gate_permits(&shard->gate)), 1);
}

static void at_the_limit_nobody_is_woken(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 0);
    npi_gate_push(&shard->gate, 0);
    assert_int_equal(push(1, 1, NPI_CLASS_NORMAL, 8), 1);
    npi_shard_notify(shard, 0);
    npi_shard_look(shard, NPI_GATE_NOBODY);
    assert_int_equal(asleep(), 1);
    (void)npi_gate_set_limit(&shard->gate, 1);
    npi_shard_look(shard, NPI_GATE_NOBODY);
    assert_int_equal(asleep(), 0);
}

static void without_a_sleeper_control_is_asked_for_a_thread(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 2);
    assert_int_equal(push(1, 1, NPI_CLASS_NORMAL, 8), 1);
    /* All threads there may be exist, and none sleeps: the permit is given back. */
    npi_shard_notify(shard, 0);
    assert_int_equal(npi_a32_load_relaxed(&shard->starts_wanted), 0);
    assert_int_equal(npi_permits_active(npi_gate_permits(&shard->gate)), 0);
    assert_int_equal(npi_permits_searching(npi_gate_permits(&shard->gate)), 0);
    assert_true(npi_shard_uncount_thread(shard, 0));
    npi_shard_notify(shard, 0);
    assert_int_equal(npi_a32_load_relaxed(&shard->starts_wanted), 1);
    assert_int_equal(npi_a32_load_relaxed(&shard->control_word), 1);
    assert_int_equal(npi_permits_searching(npi_gate_permits(&shard->gate)), 1); /* the new one's */
    assert_int_equal(npi_a32_load_relaxed(&shard->threads), TEST_WORKERS);
}

static void check_threads(uint32_t in_shard, uint32_t in_pool)
{
    assert_int_equal(npi_a32_load_relaxed(&shard->threads), in_shard);
    assert_int_equal(npi_a32_load_relaxed(&test.pool.threads), in_pool);
}

static void threads_are_counted_up_to_both_limits(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    assert_false(npi_shard_count_thread(shard)); /* no slot */
    assert_int_equal(npi_a32_load_relaxed(&shard->threads_wanted), 0);
    check_threads(TEST_WORKERS, TEST_WORKERS);
    /* Those that end leave the shard, and the pool only when they are joined. */
    while (npi_shard_uncount_thread(shard, 2)) {
    }
    check_threads(2, TEST_WORKERS);
    assert_true(npi_shard_uncount_thread(shard, 0));
    npi_shard_recount_thread(shard);
    check_threads(2, TEST_WORKERS);
    npi_a32_store_relaxed(&test.pool.threads, 2);
    assert_true(npi_shard_count_thread(shard));
    check_threads(3, 3);
    npi_shard_discount_thread(shard);
    check_threads(2, 2);
    /* Others have taken all the pool's threads: said to control, which asks them. */
    uint32_t most = npi_pool_threads_max(&test.pool, TEST_WORKERS);
    npi_a32_store_relaxed(&test.pool.threads, most);
    assert_false(npi_shard_count_thread(shard));
    assert_int_equal(npi_a32_load_relaxed(&shard->threads_wanted), 1);
    check_threads(2, most);
    npi_a32_store_relaxed(&test.pool.threads, most - 1);
    assert_true(npi_shard_count_thread(shard));
    check_threads(3, most);
}

/* At a budget below all that are kept the pool may have no more threads than one shard keeps. */
static void a_shard_cedes_what_its_part_of_the_budget_leaves(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    test.pool.shard_count = 2;
    shard->index = 1;
    shard->workers_kept = 3;
    static const struct {
        uint32_t budget, kept;
    } cases[] = {{TEST_WORKERS, 2}, {3, 1}, {2, 1}, {6, 3}, {7, 3}, {100, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        npi_a32_store_relaxed(&test.pool.budget, cases[i].budget);
        npi_a32_store_relaxed(&shard->threads, TEST_WORKERS);
        while (npi_shard_cede_thread(shard)) {
        }
        assert_int_equal(npi_a32_load_relaxed(&shard->threads), cases[i].kept);
    }
}

/* One more runs beside the limit while the whole budget, limits and workers together, leaves room for it. */
static void beyond_the_limit_goes_what_the_budget_leaves(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    struct npi_sleeper other_sleepers[TEST_WORKERS];
    struct npi_shard other = {.pool = &test.pool};
    npi_gate_init(&other.gate, other_sleepers, TEST_WORKERS - 2);
    struct npi_shard *shards[] = {shard, &other};
    test.pool.shards = shards;
    test.pool.shard_count = 2;
    assert_int_equal(pthread_mutex_init(&test.pool.balancer.lock, NULL), 0);

    assert_true(npi_gate_reserve(&shard->gate, false));
    assert_false(npi_gate_reserve(&shard->gate, false));
    /* 1 runs, 2 may run beside it, of 4. */
    assert_true(npi_balancer_lend(shard));
    assert_int_equal(npi_permits_active(npi_gate_permits(&shard->gate)), 2);
    assert_int_equal(npi_permits_limit(npi_gate_permits(&shard->gate)), 1);
    /* 2 run, 2 may run beside them, also while none of those does. */
    assert_false(npi_balancer_lend(shard));
    assert_int_equal(npi_permits_active(npi_gate_permits(&shard->gate)), 2);
    /* What others hold beyond their limit counts, too. */
    (void)npi_gate_set_limit(&other.gate, 1);
    npi_gate_enter(&other.gate);
    npi_gate_enter(&other.gate);
    assert_false(npi_balancer_lend(shard));
    npi_gate_leave(&other.gate, false);
    assert_true(npi_balancer_lend(shard));
    (void)pthread_mutex_destroy(&test.pool.balancer.lock);
}

/* ---------------------------------------------------------------------------------- view */

static void the_view_comes_back_as_published(void **state)
{
    (void)state;
    test_shard_init(&test, 8, 1);
    struct npi_shard_view view, seen;
    npi_shard_view_read(shard, &seen);
    memset(&view, 0, sizeof view);
    assert_memory_equal(&seen, &view, sizeof view);
    for (size_t i = 0; i < sizeof view; i++) {
        ((unsigned char *)&view)[i] = (unsigned char)(i + 1);
    }
    npi_shard_view_publish(shard, &view);
    npi_shard_view_read(shard, &seen);
    assert_memory_equal(&seen, &view, sizeof view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_best_class_goes_first, fini),
        cmocka_unit_test_teardown(a_bound_is_for_all_classes_together, fini),
        cmocka_unit_test_teardown(as_many_of_a_batch_as_there_is_room_for, fini),
        cmocka_unit_test_teardown(a_closed_pool_takes_nothing, fini),
        cmocka_unit_test_teardown(counts_follow_every_task, fini),
        cmocka_unit_test_teardown(the_common_way_is_for_common_tasks, fini),
        cmocka_unit_test_teardown(several_go_the_common_way_together, fini),
        cmocka_unit_test_teardown(what_a_look_saw_is_taken_without_another, fini),
        cmocka_unit_test_teardown(the_longest_overdue_goes_before_better_ones, fini),
        cmocka_unit_test_teardown(the_older_of_two_overdue_goes_first, fini),
        cmocka_unit_test_teardown(what_a_taker_refuses_stays, fini),
        cmocka_unit_test_teardown(a_push_wakes_one, fini),
        cmocka_unit_test_teardown(a_worker_that_wakes_itself_is_not_roused, fini),
        cmocka_unit_test_teardown(at_the_limit_nobody_is_woken, fini),
        cmocka_unit_test_teardown(without_a_sleeper_control_is_asked_for_a_thread, fini),
        cmocka_unit_test_teardown(threads_are_counted_up_to_both_limits, fini),
        cmocka_unit_test_teardown(a_shard_cedes_what_its_part_of_the_budget_leaves, fini),
        cmocka_unit_test_teardown(beyond_the_limit_goes_what_the_budget_leaves, fini),
        cmocka_unit_test_teardown(the_view_comes_back_as_published, fini),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
