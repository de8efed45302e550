/* policy/admit: shares, predictions, deadlines, standing queues, and that depths and judgement
 * agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "policy/admit.h"

#define MS UINT64_C(1000000)

static struct npi_policy_params params;

static int setup(void **state)
{
    (void)state;
    npi_policy_defaults(&params);
    return 0;
}

/* 8 workers, 1 ms tasks: a queued task stands for 125 us. */
static struct npi_admit_view usual_view(void)
{
    struct npi_admit_view view = {.capacity_tasks = 1000,
                                  .limit_workers = 8,
                                  .reach_workers = 8,
                                  .service_ns = 1e6,
                                  .task_ns = 1e6};
    return view;
}

static enum npi_verdict judge(const struct npi_admit_view *view, enum npi_class task_class,
                              uint32_t queued, uint64_t deadline_ns)
{
    struct npi_admit_gates gates;
    struct npi_admit_ask ask = {.task_class = task_class,
                                .now_ns = 0,
                                .deadline_ns = deadline_ns,
                                .queued_tasks = queued,
                                .ahead_tasks = queued,
                                .busy_workers = view->limit_workers};
    npi_admit_gates(&params, view, &gates);
    return npi_admit_judge(&params, &gates, &ask);
}

static void shares_round_up_but_never_beyond_the_capacity(void **state)
{
    (void)state;
    assert_int_equal(npi_admit_share(1000, 1000), 1000);
    assert_int_equal(npi_admit_share(1000, 900), 900);
    assert_int_equal(npi_admit_share(10, 500), 5);
    assert_int_equal(npi_admit_share(11, 500), 6);
    assert_int_equal(npi_admit_share(1, 500), 1);
    assert_int_equal(npi_admit_share(1, 0), 1);
    assert_int_equal(npi_admit_share(0, 1000), 0);
    assert_int_equal(npi_admit_share(UINT32_MAX, 1000), UINT32_MAX);
    for (uint32_t capacity = 1; capacity < 3000; capacity++)
        for (int c = 0; c < NPI_CLASS_COUNT; c++) {
            uint32_t share = npi_admit_share(capacity, params.share_permille[c]);
            assert_true(share >= 1 && share <= capacity);
            assert_true((uint64_t)share * 1000 >= (uint64_t)capacity * params.share_permille[c]);
            assert_true((uint64_t)(share - 1) * 1000 <
                        (uint64_t)capacity * params.share_permille[c]);
        }
}

static void classes_fill_their_share_of_one_queue(void **state)
{
    (void)state;
    struct npi_admit_view view = usual_view();
    view.service_ns = 0.0; /* no prediction in the way */
    assert_int_equal(judge(&view, NPI_CLASS_SHEDDABLE, 499, 0), NPI_VERDICT_ACCEPT);
    assert_int_equal(judge(&view, NPI_CLASS_SHEDDABLE, 500, 0), NPI_VERDICT_SHARE);
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 899, 0), NPI_VERDICT_ACCEPT);
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 900, 0), NPI_VERDICT_SHARE);
    assert_int_equal(judge(&view, NPI_CLASS_CRITICAL, 999, 0), NPI_VERDICT_ACCEPT);
    assert_int_equal(judge(&view, NPI_CLASS_CRITICAL, 1000, 0), NPI_VERDICT_FULL);
    assert_int_equal(judge(&view, NPI_CLASS_SHEDDABLE, 1000, 0), NPI_VERDICT_FULL);
}

static void waits_beyond_the_bound_are_refused_by_class(void **state)
{
    (void)state;
    struct npi_admit_view view = usual_view();
    view.capacity_tasks = 100000;
    assert_int_equal(judge(&view, NPI_CLASS_SHEDDABLE, 400, 0), NPI_VERDICT_ACCEPT); /* 50 ms */
    assert_int_equal(judge(&view, NPI_CLASS_SHEDDABLE, 401, 0), NPI_VERDICT_DELAY);
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 800, 0), NPI_VERDICT_ACCEPT); /* 100 ms */
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 801, 0), NPI_VERDICT_DELAY);
    assert_int_equal(judge(&view, NPI_CLASS_CRITICAL, 99999, 0), NPI_VERDICT_ACCEPT);
    struct npi_admit_gates
        gates; /* the published depths name the first refused one, ties included */
    npi_admit_gates(&params, &view, &gates);
    assert_int_equal(gates.by_class[NPI_CLASS_SHEDDABLE].delay_tasks, 401);
    assert_int_equal(gates.by_class[NPI_CLASS_NORMAL].delay_tasks, 801);
    assert_int_equal(gates.by_class[NPI_CLASS_CRITICAL].delay_tasks, UINT32_MAX);
    params.queue_delay_ns[NPI_CLASS_NORMAL] = NPI_NEVER_NS;
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 80000, 0), NPI_VERDICT_ACCEPT);
    npi_policy_defaults(&params);
}

static void a_standing_queue_tightens_the_bound(void **state)
{
    (void)state;
    struct npi_admit_view view = usual_view();
    for (int c = 0; c < NPI_CLASS_COUNT; c++)
        view.standing_windows[c] = 1;
    assert_int_equal(judge(&view, NPI_CLASS_SHEDDABLE, 40, 0), NPI_VERDICT_ACCEPT); /* 5 ms */
    assert_int_equal(judge(&view, NPI_CLASS_SHEDDABLE, 41, 0), NPI_VERDICT_DELAY);
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 160, 0), NPI_VERDICT_ACCEPT); /* 20 ms */
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 161, 0), NPI_VERDICT_DELAY);
    assert_int_equal(judge(&view, NPI_CLASS_CRITICAL, 999, 0), NPI_VERDICT_ACCEPT);
}

static void better_classes_lengthen_the_wait(void **state)
{
    (void)state;
    struct npi_admit_view view = usual_view();
    struct npi_admit_gates gates;
    view.accepted_per_ns[NPI_CLASS_CRITICAL] = 4e-6; /* half of what 8 workers complete */
    npi_admit_gates(&params, &view, &gates);
    assert_true(gates.by_class[NPI_CLASS_CRITICAL].wait_ns_per_task == 125e3);
    assert_true(gates.by_class[NPI_CLASS_NORMAL].wait_ns_per_task == 250e3);
    view.accepted_per_ns[NPI_CLASS_NORMAL] = 1.0; /* far beyond capacity: cut off, not infinite */
    npi_admit_gates(&params, &view, &gates);
    double cut = gates.by_class[NPI_CLASS_SHEDDABLE].wait_ns_per_task;
    assert_true(cut > 1.99e6 && cut < 2.01e6); /* one turn in 16 is left */
}

static void a_limit_about_to_grow_refuses_nothing(void **state)
{
    (void)state;
    assert_int_equal(npi_admit_reach(8, 800, 100.0), 800); /* budget is the bound */
    assert_int_equal(npi_admit_reach(8, 800, 10.0), 80);   /* CPUs are */
    assert_int_equal(npi_admit_reach(8, 800, 1.0), 8);     /* saturated */
    assert_int_equal(npi_admit_reach(8, 4, 100.0), 8);     /* never less than there is */
    assert_int_equal(npi_admit_reach(0, 0, 1.0), 1);
    struct npi_admit_view view = usual_view();
    view.service_ns = 20e6;
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 500, 0), NPI_VERDICT_DELAY);
    view.reach_workers = 800;
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 500, 0), NPI_VERDICT_ACCEPT);
}

static void free_permits_take_the_head_of_the_queue(void **state)
{
    (void)state;
    struct npi_admit_view view = usual_view();
    struct npi_admit_gates gates;
    view.service_ns = 1e9;
    npi_admit_gates(&params, &view, &gates);
    struct npi_admit_ask ask = {
        .task_class = NPI_CLASS_NORMAL, .queued_tasks = 6, .ahead_tasks = 6, .busy_workers = 2};
    assert_true(npi_admit_wait_ns(&gates, &ask) == 0.0);
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_ACCEPT);
    ask.busy_workers = 6;
    assert_true(npi_admit_wait_ns(&gates, &ask) == 4.0 * 125e6);
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_DELAY);
    ask.busy_workers = 100; /* beyond a lowered limit */
    assert_true(npi_admit_wait_ns(&gates, &ask) == 6.0 * 125e6);
}

static void deadlines_are_refused_early_and_expired_late(void **state)
{
    (void)state;
    struct npi_admit_view view = usual_view();
    /* 39 ms of waiting and 1 ms of its own fill 0.8 of 50 ms. */
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 312, 50 * MS), NPI_VERDICT_ACCEPT);
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 313, 50 * MS), NPI_VERDICT_DEADLINE);
    assert_int_equal(judge(&view, NPI_CLASS_CRITICAL, 313, 50 * MS), NPI_VERDICT_DEADLINE);
    struct npi_admit_gates gates;
    npi_admit_gates(&params, &view, &gates);
    struct npi_admit_ask late = {.task_class = NPI_CLASS_CRITICAL, .now_ns = 7, .deadline_ns = 7};
    assert_int_equal(npi_admit_judge(&params, &gates, &late), NPI_VERDICT_DEADLINE);

    assert_false(npi_admit_expired(1000, 0, 1e18));
    assert_false(npi_admit_expired(1000, 3000, 2000.0));
    assert_true(npi_admit_expired(1000, 3000, 2001.0));
    assert_true(npi_admit_expired(3000, 3000, 0.0));
    assert_true(npi_admit_expired(3001, 3000, 0.0));
}

static void before_the_first_completion_nothing_is_predicted(void **state)
{
    (void)state;
    struct npi_admit_view view = {.capacity_tasks = 1000, .limit_workers = 1};
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 899, 0), NPI_VERDICT_ACCEPT);
    assert_int_equal(judge(&view, NPI_CLASS_NORMAL, 899, 1), NPI_VERDICT_ACCEPT);
}

static void guests_meet_tighter_bounds(void **state)
{
    (void)state;
    struct npi_admit_view view = usual_view();
    struct npi_admit_gates gates;
    npi_admit_gates(&params, &view, &gates);
    struct npi_admit_ask ask = {.task_class = NPI_CLASS_NORMAL,
                                .queued_tasks = 600,
                                .ahead_tasks = 600,
                                .busy_workers = 8,
                                .guest = true};
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_ACCEPT); /* 75 ms */
    ask.queued_tasks = ask.ahead_tasks = 601;
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_DELAY);
    ask.queued_tasks = ask.ahead_tasks = 600;
    ask.penalty_ns = 1.0;
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_DELAY);
    ask.guest = false; /* at home the penalty is not read */
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_ACCEPT);
}

/* Budget goes where demand has its home: eight workers may come to tasks at home, two serve guests. */
static void guests_count_on_the_quota_in_force(void **state)
{
    (void)state;
    struct npi_admit_view view = usual_view();
    view.limit_workers = 2;
    struct npi_admit_gates gates;
    struct npi_admit_ask ask = {.task_class = NPI_CLASS_NORMAL,
                                .queued_tasks = 150,
                                .ahead_tasks = 150,
                                .busy_workers = 2,
                                .guest = true};
    npi_admit_gates(&params, &view, &gates);
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_ACCEPT); /* 75 ms */
    ask.queued_tasks = ask.ahead_tasks = 151;
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_DELAY);
    ask.guest = false;
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_ACCEPT);
    ask.guest = true;
    view.guest_reach_workers = 4; /* the quota has room for growth */
    npi_admit_gates(&params, &view, &gates);
    ask.queued_tasks = ask.ahead_tasks = 300;
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_ACCEPT);
    ask.queued_tasks = ask.ahead_tasks = 301;
    assert_int_equal(npi_admit_judge(&params, &gates, &ask), NPI_VERDICT_DELAY);
}

static void overdue_is_what_waited_beyond_its_bound(void **state)
{
    (void)state;
    assert_true(npi_admit_overdue_ns(&params, NPI_CLASS_CRITICAL) == NPI_NEVER_NS);
    assert_true(npi_admit_overdue_ns(&params, NPI_CLASS_NORMAL) == 100 * MS);
    assert_true(npi_admit_overdue_ns(&params, NPI_CLASS_SHEDDABLE) == 50 * MS);
    params.queue_delay_ns[NPI_CLASS_NORMAL] = NPI_NEVER_NS;
    assert_true(npi_admit_overdue_ns(&params, NPI_CLASS_NORMAL) == 1000 * MS);
    npi_policy_defaults(&params);
}

static void any_view(struct npi_prng *prng, struct npi_admit_view *view)
{
    memset(view, 0, sizeof *view);
    view->capacity_tasks =
        npi_prng_below(prng, 4) ? npi_prng_below(prng, 20000) : npi_prng_below(prng, 8);
    view->limit_workers = npi_prng_below(prng, 300);
    view->reach_workers = npi_prng_below(prng, 600);
    view->guest_reach_workers = npi_prng_below(prng, 600);
    if (npi_prng_below(prng, 8))
        view->service_ns = npi_prng_unit(prng) * (npi_prng_below(prng, 2) ? 1e9 : 1e6);
    view->task_ns = view->service_ns;
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        view->accepted_per_ns[c] = npi_prng_unit(prng) * 1e-5;
        view->standing_windows[c] = npi_prng_below(prng, 3);
    }
}

static uint32_t near(struct npi_prng *prng, uint32_t depth)
{
    uint32_t offset = npi_prng_below(prng, 5);
    if (depth > UINT32_MAX - 4)
        return depth;
    return depth + offset > 2 ? depth + offset - 2 : 0;
}

static void depths_and_judgement_agree(void **state)
{
    (void)state;
    struct npi_prng prng;
    unsigned accepted = 0, refused = 0, between = 0;
    npi_prng_seed(&prng, 21);
    for (int round = 0; round < 30000; round++) {
        struct npi_admit_view view;
        struct npi_admit_gates gates;
        any_view(&prng, &view);
        npi_admit_gates(&params, &view, &gates);
        for (int step = 0; step < 12; step++) {
            int c = (int)npi_prng_below(&prng, NPI_CLASS_COUNT);
            const struct npi_admit_gate *gate = &gates.by_class[c];
            uint32_t depths[] = {gate->free_tasks, gate->refuse_tasks, gate->delay_tasks,
                                 npi_prng_below(&prng, view.capacity_tasks + 3)};
            struct npi_admit_ask ask = {.task_class = (enum npi_class)c};
            ask.queued_tasks = near(&prng, depths[npi_prng_below(&prng, 4)]);
            ask.ahead_tasks = c == NPI_CLASS_SHEDDABLE || npi_prng_below(&prng, 2)
                                  ? ask.queued_tasks
                                  : npi_prng_below(&prng, ask.queued_tasks / 2 + 1);
            ask.busy_workers = npi_prng_below(&prng, view.limit_workers + 2);
            enum npi_verdict verdict = npi_admit_judge(&params, &gates, &ask);
            uint32_t free_workers =
                view.limit_workers > ask.busy_workers ? view.limit_workers - ask.busy_workers : 0;
            uint32_t ahead = ask.ahead_tasks > free_workers ? ask.ahead_tasks - free_workers : 0;

            if (ask.queued_tasks < gate->free_tasks) {
                assert_int_equal(verdict, NPI_VERDICT_ACCEPT);
                accepted++;
            } else if (ask.queued_tasks >= gate->refuse_tasks) {
                assert_true(verdict != NPI_VERDICT_ACCEPT);
                refused++;
            } else {
                between++;
            }
            assert_true(gate->free_tasks <= gate->refuse_tasks);
            assert_int_equal(verdict == NPI_VERDICT_FULL, ask.queued_tasks >= view.capacity_tasks);
            if (verdict != NPI_VERDICT_FULL)
                assert_int_equal(verdict == NPI_VERDICT_SHARE,
                                 ask.queued_tasks >= gate->share_tasks);
            if (verdict == NPI_VERDICT_ACCEPT || verdict == NPI_VERDICT_DELAY)
                assert_int_equal(verdict == NPI_VERDICT_DELAY, ahead >= gate->delay_tasks);
        }
    }
    assert_true(accepted > 10000 && refused > 10000 && between > 10000);
}

/* A deeper queue, a worse class, an earlier deadline or being a guest never turns a refusal into
 * acceptance. */
static void harder_questions_never_get_softer_answers(void **state)
{
    (void)state;
    struct npi_prng prng;
    npi_prng_seed(&prng, 22);
    for (int round = 0; round < 50000; round++) {
        struct npi_admit_view view;
        struct npi_admit_gates gates;
        any_view(&prng, &view);
        npi_admit_gates(&params, &view, &gates);
        struct npi_admit_ask easy = {
            .task_class = (enum npi_class)npi_prng_below(&prng, NPI_CLASS_COUNT),
            .now_ns = 1000,
            .deadline_ns = npi_prng_below(&prng, 2) ? 0 : 1000 + npi_prng_next(&prng) % (200 * MS),
            .queued_tasks = npi_prng_below(&prng, view.capacity_tasks + 2),
            .busy_workers = npi_prng_below(&prng, view.limit_workers + 2),
        };
        easy.ahead_tasks = npi_prng_below(&prng, easy.queued_tasks + 1);
        if (npi_admit_judge(&params, &gates, &easy) == NPI_VERDICT_ACCEPT)
            continue;
        struct npi_admit_ask hard = easy;
        uint32_t more = npi_prng_below(&prng, 50);
        hard.queued_tasks += more;
        hard.ahead_tasks += more;
        if (npi_prng_below(&prng, 2) && hard.deadline_ns > 1000)
            hard.deadline_ns -= npi_prng_next(&prng) % (hard.deadline_ns - 1000);
        hard.guest = npi_prng_below(&prng, 2);
        hard.penalty_ns = npi_prng_unit(&prng) * 1e6;
        assert_true(npi_admit_judge(&params, &gates, &hard) != NPI_VERDICT_ACCEPT);
    }
}

static void the_verdict_that_got_furthest_is_reported(void **state)
{
    (void)state;
    assert_int_equal(npi_admit_combine(NPI_VERDICT_FULL, NPI_VERDICT_FULL), NPI_VERDICT_FULL);
    assert_int_equal(npi_admit_combine(NPI_VERDICT_FULL, NPI_VERDICT_DELAY), NPI_VERDICT_DELAY);
    assert_int_equal(npi_admit_combine(NPI_VERDICT_DEADLINE, NPI_VERDICT_FULL),
                     NPI_VERDICT_DEADLINE);
}

static uint32_t window(struct npi_codel *codel, uint64_t *now_ns, uint64_t sojourn_ns,
                       uint32_t queued, uint64_t head_age_ns)
{
    uint32_t standing = 0;
    for (int i = 0; i < 11; i++) {
        *now_ns += 10 * MS;
        standing = npi_admit_codel(&params, codel, *now_ns, sojourn_ns, queued, head_age_ns);
    }
    return standing;
}

static void a_queue_stands_when_its_shortest_wait_is_long(void **state)
{
    (void)state;
    struct npi_codel codel = {0};
    uint64_t now_ns = 5000 * MS;
    assert_int_equal(window(&codel, &now_ns, 6 * MS, 10, 6 * MS), 1);
    assert_true(window(&codel, &now_ns, 6 * MS, 10, 6 * MS) >= 2);
    assert_int_equal(window(&codel, &now_ns, 5 * MS, 10, 99 * MS), 0); /* the target is allowed */
}

static void one_short_wait_clears_the_whole_window(void **state)
{
    (void)state;
    struct npi_codel codel = {0};
    uint64_t now_ns = MS;
    for (int i = 0; i < 1000; i++) {
        now_ns += 10 * MS;
        /* 90 ms of long waits, then a task that found the queue short: a burst, not a standing
         * queue */
        uint64_t sojourn = i % 9 == 0 ? MS : 50 * MS;
        assert_int_equal(npi_admit_codel(&params, &codel, now_ns, sojourn, 10, 50 * MS), 0);
    }
}

static void a_queue_nobody_takes_from_is_judged_by_its_head(void **state)
{
    (void)state;
    struct npi_codel codel = {0};
    uint64_t now_ns = MS;
    assert_int_equal(window(&codel, &now_ns, NPI_NEVER_NS, 1, 4 * MS), 0);
    assert_int_equal(window(&codel, &now_ns, NPI_NEVER_NS, 1, 500 * MS), 1);
    assert_int_equal(window(&codel, &now_ns, NPI_NEVER_NS, 0, 500 * MS), 0); /* empty: no head */
}

static void sloughing_takes_only_what_stood_too_long(void **state)
{
    (void)state;
    assert_false(npi_admit_slough(&params, 0, 1000 * MS));
    assert_false(npi_admit_slough(&params, 1, 10 * MS));
    assert_true(npi_admit_slough(&params, 1, 10 * MS + 1));
}

static void hints_are_bounded_jittered_and_backed_off(void **state)
{
    (void)state;
    struct npi_prng prng;
    npi_prng_seed(&prng, 23);
    assert_int_equal(npi_admit_retry_ns(&params, 0.0, 0, 0), 10 * MS);
    assert_int_equal(npi_admit_retry_ns(&params, 55e6, 0, 0), 50 * MS);
    assert_int_equal(npi_admit_retry_ns(&params, 55e6, 2, 0), 100 * MS);
    assert_int_equal(npi_admit_retry_ns(&params, 1e30, 0, 0), 1000 * MS);
    uint64_t lowest = UINT64_MAX, highest = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t hint = npi_admit_retry_ns(&params, 55e6, 0, (uint32_t)npi_prng_next(&prng));
        assert_in_range(hint, 50 * MS, 75 * MS);
        lowest = hint < lowest ? hint : lowest;
        highest = hint > highest ? hint : highest;
    }
    assert_true(lowest < 51 * MS && highest > 74 * MS);
    assert_true(npi_admit_retry_ns(&params, 1e30, UINT32_MAX, UINT32_MAX) <= 48000 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_round_up_but_never_beyond_the_capacity),
        cmocka_unit_test(classes_fill_their_share_of_one_queue),
        cmocka_unit_test(waits_beyond_the_bound_are_refused_by_class),
        cmocka_unit_test(a_standing_queue_tightens_the_bound),
        cmocka_unit_test(better_classes_lengthen_the_wait),
        cmocka_unit_test(a_limit_about_to_grow_refuses_nothing),
        cmocka_unit_test(free_permits_take_the_head_of_the_queue),
        cmocka_unit_test(deadlines_are_refused_early_and_expired_late),
        cmocka_unit_test(before_the_first_completion_nothing_is_predicted),
        cmocka_unit_test(guests_meet_tighter_bounds),
        cmocka_unit_test(guests_count_on_the_quota_in_force),
        cmocka_unit_test(overdue_is_what_waited_beyond_its_bound),
        cmocka_unit_test(depths_and_judgement_agree),
        cmocka_unit_test(harder_questions_never_get_softer_answers),
        cmocka_unit_test(the_verdict_that_got_furthest_is_reported),
        cmocka_unit_test(a_queue_stands_when_its_shortest_wait_is_long),
        cmocka_unit_test(one_short_wait_clears_the_whole_window),
        cmocka_unit_test(a_queue_nobody_takes_from_is_judged_by_its_head),
        cmocka_unit_test(sloughing_takes_only_what_stood_too_long),
        cmocka_unit_test(hints_are_bounded_jittered_and_backed_off),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
