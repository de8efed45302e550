/* policy/idle: who may spin, and that failing makes it rarer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/idle.h"

static struct npi_policy_params params;

static int setup(void **state)
{
    (void)state;
    npi_policy_defaults(&params);
    return 0;
}

/* Tasks every 2 us, 8 CPUs, 6 workers busy: spinning pays. */
static struct npi_idle_view lively(void)
{
    struct npi_idle_view view = {.gap_ns = 2000, .cpus = 8, .busy_workers = 6};
    return view;
}

static uint64_t spin_of(struct npi_idle_view view)
{
    struct npi_idle_gates gates;
    npi_idle_gates(&params, &view, &gates);
    assert_int_equal(gates.spin_ns == 0, gates.spinning_workers_max == 0);
    return gates.spin_ns;
}

static void spinning_lasts_as_long_as_the_user_says(void **state)
{
    (void)state;
    struct npi_idle_view view = lively();
    assert_int_equal(spin_of(view), params.spin_ns);
    params.spin_ns = params.spin_measured_ns_max = 10000000;
    view.gap_ns = 200000;
    assert_int_equal(spin_of(view), 10000000);
    params.spin_ns = 0;
    assert_int_equal(spin_of(view), 0);
    npi_policy_defaults(&params);
}

static void spinning_follows_what_a_wake_costs(void **state)
{
    (void)state;
    struct npi_idle_view view = lively();
    view.gap_ns = 12500;
    assert_int_equal(spin_of(view), 0);
    view.waking_ns = 20000;
    assert_int_equal(spin_of(view), 20000);
    view.waking_ns = 1000000;
    assert_int_equal(spin_of(view), params.spin_measured_ns_max);
    view.waking_ns = 2000;
    view.gap_ns = 5000;
    assert_int_equal(spin_of(view), params.spin_ns);
    params.spin_measured_ns_max = params.spin_ns = 4000; /* the user's */
    view.waking_ns = 1000000;
    assert_int_equal(spin_of(view), 0);
    npi_policy_defaults(&params);
}

static void nobody_spins_where_it_cannot_pay_or_does_harm(void **state)
{
    (void)state;
    struct npi_idle_view view = lively();
    view.gap_ns = params.spin_ns; /* the next task is not expected in time */
    assert_int_equal(spin_of(view), 0);
    view.gap_ns = NPI_NEVER_NS;
    assert_int_equal(spin_of(view), 0);
    view = lively();
    view.saturated = true;
    assert_int_equal(spin_of(view), 0);
    view = lively();
    view.starved = true;
    assert_int_equal(spin_of(view), 0);
    view = lively();
    view.cpus = 0.5;
    assert_int_equal(spin_of(view), 0);
}

static void spinners_are_at_most_half_of_the_busy(void **state)
{
    (void)state;
    struct npi_idle_view view = lively();
    struct npi_idle_gates gates;
    npi_idle_gates(&params, &view, &gates);
    assert_int_equal(gates.spinning_workers_max, 3);
    view.busy_workers = 0;
    npi_idle_gates(&params, &view, &gates);
    assert_int_equal(gates.spinning_workers_max, 1);
    struct npi_idle idle = {0};
    assert_int_equal(npi_idle_spin_ns(&gates, &idle, 0, 1), params.spin_ns);
    assert_int_equal(npi_idle_spin_ns(&gates, &idle, 1, 2), 0);
}

static void beside_more_workers_than_cpus_nobody_spins(void **state)
{
    (void)state;
    struct npi_idle_gates gates;
    struct npi_idle idle = {0};
    struct npi_idle_view view = lively();
    npi_idle_gates(&params, &view, &gates);
    assert_int_equal(npi_idle_spin_ns(&gates, &idle, 0, 8), params.spin_ns);
    assert_int_equal(npi_idle_spin_ns(&gates, &idle, 0, 9), 0);
    view.cpus = 1.5; /* what a quota leaves */
    npi_idle_gates(&params, &view, &gates);
    assert_int_equal(npi_idle_spin_ns(&gates, &idle, 0, 1), params.spin_ns);
    assert_int_equal(npi_idle_spin_ns(&gates, &idle, 0, 2), 0);
}

static void misses_make_spins_rarer_and_a_hit_forgives(void **state)
{
    (void)state;
    struct npi_idle_view view = lively();
    struct npi_idle_gates gates;
    struct npi_idle idle = {0};
    npi_idle_gates(&params, &view, &gates);
    unsigned spins = 0;
    for (int park = 0; park < 6400; park++) {
        if (npi_idle_spin_ns(&gates, &idle, 0, 7) > 0) {
            spins++;
            npi_idle_note(&idle, false);
        }
    }
    assert_in_range(spins, 50, 150); /* one in 64 after the first few */
    while (npi_idle_spin_ns(&gates, &idle, 0, 7) == 0)
        ;
    npi_idle_note(&idle, true);
    for (int park = 0; park < 100; park++) {
        assert_int_equal(npi_idle_spin_ns(&gates, &idle, 0, 7), params.spin_ns);
        npi_idle_note(&idle, true);
    }
}

static void who_keeps_up_with_a_stream_is_left_alone(void **state)
{
    (void)state;
    struct npi_idle_gates gates;
    struct npi_idle_view view = lively();
    view.tick_gap_ns = params.stream_gap_ns - 1;
    view.task_ns = (double)params.wake_ns / 10;
    npi_idle_gates(&params, &view, &gates);
    assert_int_equal(gates.spare_tasks, 10);
    assert_int_equal(gates.patience_ns, params.wake_ns);
    view.task_ns = 1;
    npi_idle_gates(&params, &view, &gates);
    assert_int_equal(gates.spare_tasks, params.spare_tasks_max);
}

static void everybody_else_is_woken_for_each_task(void **state)
{
    (void)state;
    struct npi_idle_gates gates;
    struct npi_idle_view none = lively(), seldom = lively(), slow = lively(), never = lively();
    none.tick_gap_ns = 100; /* no task has run yet */
    seldom.tick_gap_ns = params.stream_gap_ns;
    seldom.task_ns = 50;
    slow.tick_gap_ns = 100;
    slow.task_ns = (double)params.wake_ns;
    never.tick_gap_ns = NPI_NEVER_NS;
    never.task_ns = 50;
    const struct npi_idle_view *const views[] = {&none, &seldom, &slow, &never};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        npi_idle_gates(&params, views[i], &gates);
        assert_int_equal(gates.spare_tasks, 0);
        assert_int_equal(gates.patience_ns, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_keeps_up_with_a_stream_is_left_alone),
        cmocka_unit_test(everybody_else_is_woken_for_each_task),
        cmocka_unit_test(spinning_lasts_as_long_as_the_user_says),
        cmocka_unit_test(nobody_spins_where_it_cannot_pay_or_does_harm),
        cmocka_unit_test(spinning_follows_what_a_wake_costs),
        cmocka_unit_test(spinners_are_at_most_half_of_the_busy),
        cmocka_unit_test(beside_more_workers_than_cpus_nobody_spins),
        cmocka_unit_test(misses_make_spins_rarer_and_a_hit_forgives),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
