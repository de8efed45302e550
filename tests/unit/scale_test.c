/*
 * policy/scale against plants that are one formula each, and against senseless samples.
 *
 * What the law does in time, with queues and noise, is the simulator's matter (src/sim, tests/sim); here is
 * what it must do in each situation taken alone.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "policy/scale.h"

#define TICK_NS UINT64_C(10000000)

static struct npi_policy_params params;

static int setup(void **state)
{
    (void)state;
    npi_policy_defaults(&params);
    return 0;
}

/* A shard in steady state with `workers` busy ones: tasks of cpu_ms and block_ms on `cpus` CPUs. */
struct plant {
    double cpus, seen_cpus, cpu_ms, block_ms, foreign_cpus;
    bool queue; /* there is always work waiting */
    bool delay_unknown, idle_unknown;
    uint32_t quota;
    double (*completions)(double workers); /* per ms; NULL = by the formula */
};

struct run {
    struct npi_scale scale;
    struct npi_scale_result result;
    uint64_t now_ns;
    uint32_t limit;
};

static void start(struct run *run, uint32_t workers)
{
    memset(run, 0, sizeof *run);
    npi_scale_init(&run->scale, workers);
    run->limit = workers;
}

static void tick(struct run *run, const struct plant *plant)
{
    double workers = run->limit, total_ms = plant->cpu_ms + plant->block_ms;
    double available = plant->cpus - plant->foreign_cpus;
    double per_ms = workers / total_ms;
    if (per_ms * plant->cpu_ms > available)
        per_ms = available / plant->cpu_ms;
    if (plant->completions)
        per_ms = plant->completions(workers);
    double used = per_ms * plant->cpu_ms;
    double blocked = plant->completions ? workers - used : per_ms * plant->block_ms;
    double seen = plant->seen_cpus > 0.0 ? plant->seen_cpus : plant->cpus;
    run->now_ns += TICK_NS;
    struct npi_scale_sample sample = {
        .now_ns = run->now_ns,
        .elapsed_ns = TICK_NS,
        .cpus = seen,
        .completed_tasks = (uint64_t)(per_ms * 10.0 + 0.5),
        .completed_run_ns = workers * (double)TICK_NS,
        .busy_ns = workers * (double)TICK_NS,
        .cpu_ns = used * (double)TICK_NS,
        .delay_ns = (workers - used - blocked) * (double)TICK_NS,
        .idle_ns = fmax(0.0, plant->cpus - used - plant->foreign_cpus) * (double)TICK_NS,
        .delay_known = !plant->delay_unknown,
        .idle_known = !plant->idle_unknown,
        .queued_tasks = plant->queue ? 1000 : 0,
        .busy_workers = run->limit,
        .limit_workers = run->limit,
        .own_workers = run->limit,
    };
    npi_scale_step(&params, &run->scale, &sample, &run->result);
    run->limit = npi_scale_limit(run->result.cap_workers, plant->quota ? plant->quota : 100000);
}

static void ticks(struct run *run, const struct plant *plant, int count)
{
    for (int i = 0; i < count; i++)
        tick(run, plant);
}

static void cpu_bound_work_gets_one_worker_per_cpu(void **state)
{
    (void)state;
    const struct plant plant = {.cpus = 8, .cpu_ms = 1, .queue = true};
    static const uint32_t starts[] = {1, 2, 8, 64, 640};
    for (size_t k = 0; k < sizeof starts / sizeof *starts; k++) {
        struct run run;
        start(&run, starts[k]);
        ticks(&run, &plant, 60);
        assert_in_range(run.limit, 8, 10);
        ticks(&run, &plant, 100);
        assert_in_range(run.limit, 8, 10);
        assert_true(run.result.saturated);
        assert_false(run.result.starved);
        assert_true(run.result.growth_ratio == 1.0);
    }
}

static void waiting_within_the_tolerance_changes_nothing(void **state)
{
    (void)state;
    struct run run;
    start(&run, 9); /* 8 CPUs full, one worker of nine waits: 11 % */
    const struct plant plant = {.cpus = 8, .cpu_ms = 1, .queue = true};
    for (int i = 0; i < 100; i++) {
        tick(&run, &plant);
        assert_int_equal(run.result.move, NPI_SCALE_HOLD);
        assert_int_equal(run.result.cap_workers, 9);
    }
}

static void shrinking_is_paced_by_what_the_last_step_shows(void **state)
{
    (void)state;
    struct run run;
    const struct plant plant = {.cpus = 8, .cpu_ms = 1, .queue = true};
    start(&run, 64);
    tick(&run, &plant);
    assert_int_equal(run.result.move, NPI_SCALE_SHRINK);
    assert_in_range(run.result.cap_workers, 40, 60);
}

static void blocking_work_gets_workers_until_the_cpus_are_used(void **state)
{
    (void)state;
    const struct plant plant = {.cpus = 10, .cpu_ms = 0.32, .block_ms = 20, .queue = true};
    static const uint32_t starts[] = {10, 100, 2000};
    for (size_t k = 0; k < sizeof starts / sizeof *starts; k++) {
        struct run run;
        start(&run, starts[k]);
        ticks(&run, &plant, 300);
        assert_in_range(run.limit, 603, 760); /* 635 saturate; 0.95 of it, and 15 % waiters above */
        assert_true(run.result.cpu_used > 9.4);
    }
}

static void sleeping_work_grows_to_the_quota_and_no_further(void **state)
{
    (void)state;
    const struct plant plant = {
        .cpus = 4, .cpu_ms = 0.001, .block_ms = 50, .queue = true, .quota = 300};
    struct run run;
    start(&run, 4);
    for (int i = 0; i < 40; i++) {
        uint32_t before = run.result.cap_workers > 4 ? run.result.cap_workers : 4;
        tick(&run, &plant);
        assert_true(run.result.cap_workers <= 2 * before + 1); /* never more than doubled at once */
    }
    assert_int_equal(run.limit, 300);
    uint32_t cap = run.result.cap_workers;
    assert_true(cap < 700);
    ticks(&run, &plant, 100);
    assert_int_equal(run.result.cap_workers, cap); /* what the quota holds back teaches nothing */
    assert_true(run.result.need_workers > 299.0);
}

static void nothing_grows_without_a_queue(void **state)
{
    (void)state;
    const struct plant plant = {.cpus = 8, .cpu_ms = 1, .block_ms = 50};
    struct run run;
    start(&run, 8);
    ticks(&run, &plant, 50);
    assert_int_equal(run.limit, 8);
    assert_true(run.result.growth_ratio > 2.0); /* but it could, and admission is told so */
}

static void unused_capacity_is_forgotten_slowly(void **state)
{
    (void)state;
    const struct plant busy = {.cpus = 4, .cpu_ms = 0.01, .block_ms = 50, .queue = true};
    struct run run;
    start(&run, 4);
    ticks(&run, &busy, 20);
    double cap = run.scale.cap_workers;
    assert_true(cap > 100.0);
    struct npi_scale_sample idle = {.elapsed_ns = TICK_NS,
                                    .cpus = 4,
                                    .delay_known = true,
                                    .idle_known = true,
                                    .idle_ns = 4.0 * (double)TICK_NS,
                                    .limit_workers = run.limit};
    for (int i = 0; i < 500; i++) {
        idle.now_ns = run.now_ns += TICK_NS;
        double before = run.scale.cap_workers;
        npi_scale_step(&params, &run.scale, &idle, &run.result);
        assert_true(run.scale.cap_workers <= before && run.scale.cap_workers > before * 0.98);
    }
    assert_true(run.scale.cap_workers < cap / 10.0);
    assert_true(run.scale.cap_workers >= 4.0); /* the CPUs are never forgotten */
}

static void workers_of_others_on_our_cpus_are_seen_by_idle_time(void **state)
{
    (void)state;
    /* 3 of 10 CPUs are used by others: saturation is reached at 7, and must not be grown against.
     */
    const struct plant plant = {
        .cpus = 10, .foreign_cpus = 3, .cpu_ms = 0.32, .block_ms = 20, .queue = true};
    struct run run;
    start(&run, 10);
    ticks(&run, &plant, 300);
    assert_in_range(run.limit, 405, 530); /* 444 use the other 7; 9.5 of 10 are enough */
    assert_true(run.result.saturated);
    assert_true(run.result.cpu_taken > 9.4);
}

static void blocking_work_grows_beside_others_that_fill_the_cpus(void **state)
{
    (void)state;
    /* Others spin on every CPU; our tasks block most of the time and get the CPU when they ask. */
    struct run run;
    start(&run, 8);
    struct npi_scale_sample sample = {.elapsed_ns = TICK_NS,
                                      .cpus = 8,
                                      .delay_known = true,
                                      .idle_known = true,
                                      .queued_tasks = 100};
    for (int i = 0; i < 40; i++) {
        double workers = run.limit, wall = (double)TICK_NS;
        sample.now_ns = run.now_ns += TICK_NS;
        sample.busy_workers = sample.limit_workers = run.limit;
        sample.own_workers = workers;
        sample.busy_ns = workers * wall;
        sample.cpu_ns = 0.001 * workers * wall;
        sample.delay_ns = 0.02 * workers * wall; /* much less than 15 % */
        sample.completed_tasks = (uint64_t)(workers / 2.0);
        sample.completed_run_ns = workers * wall;
        npi_scale_step(&params, &run.scale, &sample, &run.result);
        run.limit = npi_scale_limit(run.result.cap_workers, 1000);
    }
    assert_true(run.result.saturated);
    assert_true(run.limit > 100);
    for (int i = 0; i < 100; i++) { /* but as soon as they wait, growth ends */
        uint32_t before = run.result.cap_workers;
        sample.now_ns = run.now_ns += TICK_NS;
        sample.delay_ns = 0.12 * sample.busy_ns;
        npi_scale_step(&params, &run.scale, &sample, &run.result);
        assert_true(i < 20 || run.result.cap_workers <= before);
    }
}

static void work_that_runs_elsewhere_still_asks_for_workers_at_home(void **state)
{
    (void)state;
    struct run run;
    start(&run, 8);
    struct npi_scale_sample sample = {.elapsed_ns = TICK_NS,
                                      .cpus = 8,
                                      .delay_known = true,
                                      .idle_known = true,
                                      .idle_ns = 8.0 * (double)TICK_NS,
                                      .busy_ns = 8.0 * (double)TICK_NS,
                                      .completed_tasks = 4,
                                      .completed_run_ns = 8.0 * (double)TICK_NS,
                                      .busy_workers = 8,
                                      .limit_workers = 8,
                                      .own_workers = 8};
    for (int i = 0; i < 20; i++) {
        sample.now_ns = run.now_ns += TICK_NS;
        npi_scale_step(&params, &run.scale, &sample, &run.result);
        assert_int_equal(run.result.cap_workers, 8); /* full, but nothing waits */
    }
    sample.own_workers = 30; /* 22 of ours were taken by others */
    sample.now_ns = run.now_ns += TICK_NS;
    npi_scale_step(&params, &run.scale, &sample, &run.result);
    assert_true(run.result.cap_workers > 8);
    assert_int_equal(run.result.move, NPI_SCALE_GROW);
}

static void a_neighbour_cannot_take_everything(void **state)
{
    (void)state;
    /* Others want all CPUs and get what we leave: our CPU-bound workers fall to half of the CPUs,
     * not to one. */
    struct run run;
    start(&run, 8);
    for (int i = 0; i < 300; i++) {
        struct plant plant = {.cpus = 8, .cpu_ms = 1, .queue = true};
        plant.foreign_cpus = 8.0 * 8.0 / (8.0 + run.limit); /* fair shares of 8 spinning threads */
        tick(&run, &plant);
    }
    assert_in_range(run.limit, 4, 6);
}

static void a_hidden_quota_shrinks_to_what_is_really_there(void **state)
{
    (void)state;
    const struct plant whole = {.cpus = 16, .cpu_ms = 1, .queue = true};
    const struct plant part = {
        .cpus = 4, .seen_cpus = 16, .cpu_ms = 1, .queue = true, .idle_unknown = true};
    struct run run;
    start(&run, 16);
    ticks(&run, &whole, 50);
    assert_in_range(run.limit, 16, 20);
    ticks(&run, &part, 100);
    assert_in_range(run.limit, 4, 10);
    ticks(&run, &whole, 50); /* it comes back when the CPUs do */
    assert_in_range(run.limit, 16, 20);
}

static void without_run_delay_the_knee_is_found_from_above(void **state)
{
    (void)state;
    const struct plant cpu = {.cpus = 8, .cpu_ms = 1, .queue = true, .delay_unknown = true};
    const struct plant mix = {
        .cpus = 2, .cpu_ms = 0.32, .block_ms = 20, .queue = true, .delay_unknown = true};
    struct run run;
    start(&run, 64);
    ticks(&run, &cpu, 60);
    assert_in_range(run.limit, 8, 10);
    start(&run, 1000);
    ticks(&run, &mix, 400);
    for (int i = 0; i < 200; i++) {
        tick(&run, &mix);
        assert_in_range(run.limit, 95, 160); /* 127 saturate */
    }
    assert_false(run.result.starved); /* nothing to tell it by */
}

static void fractions_of_a_cpu_still_run_one_worker(void **state)
{
    (void)state;
    const struct plant plant = {.cpus = 0.3, .cpu_ms = 1, .queue = true};
    struct run run;
    start(&run, 4);
    ticks(&run, &plant, 200);
    assert_int_equal(run.limit, 1);
    assert_int_equal(npi_scale_limit(0, 0), 1);
    assert_int_equal(npi_scale_limit(7, 3), 3);
    assert_int_equal(npi_scale_limit(3, 7), 3);
}

/* Most completions at 50 workers, a fifth of them at 500. */
static double crowded(double workers)
{
    double crowd = workers / 50.0;
    return workers / (10.0 * (1.0 + crowd * crowd));
}

static void growth_that_lowers_completions_is_undone(void **state)
{
    (void)state;
    struct plant plant = {.cpus = 64,
                          .cpu_ms = 0.1,
                          .block_ms = 10,
                          .queue = true,
                          .quota = 500,
                          .completions = crowded};
    struct run run;
    bool undone = false;
    start(&run, 8);
    for (int i = 0; i < 2000; i++) {
        tick(&run, &plant);
        undone = undone || run.result.move == NPI_SCALE_UNDO;
    }
    assert_true(undone);
    assert_in_range(run.limit, 20, 150);

    params.guard_workers_gain = 1e9; /* without the guard: as many as the quota allows */
    start(&run, 8);
    ticks(&run, &plant, 2000);
    assert_int_equal(run.limit, 500);
    npi_policy_defaults(&params);
}

static void predictions_begin_with_the_first_completion(void **state)
{
    (void)state;
    struct npi_scale scale;
    struct npi_scale_result result;
    struct npi_scale_sample sample = {.elapsed_ns = TICK_NS,
                                      .cpus = 4,
                                      .busy_ns = 4.0 * (double)TICK_NS,
                                      .cpu_ns = 0,
                                      .delay_known = true,
                                      .idle_known = true,
                                      .idle_ns = 4.0 * (double)TICK_NS,
                                      .queued_tasks = 5,
                                      .busy_workers = 4,
                                      .limit_workers = 4,
                                      .own_workers = 4};
    npi_scale_init(&scale, 4);
    for (int i = 1; i <= 100; i++) {
        sample.now_ns = (uint64_t)i * TICK_NS;
        npi_scale_step(&params, &scale, &sample, &result);
        assert_true(result.service_ns == 0.0 && result.task_ns == 0.0);
    }
    assert_true(result.cap_workers > 4); /* stuck tasks: others get workers meanwhile */
    sample.now_ns += TICK_NS;
    sample.completed_tasks = 1;
    sample.completed_run_ns = 1e9;
    npi_scale_step(&params, &scale, &sample, &result);
    assert_true(result.service_ns > 1e7);
    assert_true(result.task_ns > 0.9e9 && result.task_ns < 1.1e9);
    double service = result.service_ns;
    sample.completed_tasks = 0;
    sample.completed_run_ns = 0;
    for (int i = 1; i <= 100; i++) {
        sample.now_ns += TICK_NS;
        npi_scale_step(&params, &scale, &sample, &result);
        assert_true(result.service_ns == service); /* the last known one, however long ago */
    }
}

static void peaks_are_held_and_let_go(void **state)
{
    (void)state;
    struct npi_scale scale;
    struct npi_scale_result result;
    struct npi_scale_sample sample = {
        .elapsed_ns = TICK_NS, .cpus = 100, .delay_known = true, .limit_workers = 100};
    npi_scale_init(&scale, 100);
    for (int i = 1; i <= 100; i++) {
        sample.now_ns = (uint64_t)i * TICK_NS;
        sample.own_workers = i == 20 ? 60.0 : 10.0;
        npi_scale_step(&params, &scale, &sample, &result);
        double need = result.need_workers, held = result.held_workers;
        if (i >= 20 && i < 28) /* at least 7/8 of 100 ms */
            assert_true(need == 60.0);
        if (i < 20 || i > 30)
            assert_true(need == 10.0);
        if (i >= 20 && i < 63) /* at least 7/8 of 500 ms */
            assert_true(held == 60.0);
        if (i > 70)
            assert_true(held == 10.0);
    }
}

static void guests_in_the_queue_are_not_our_demand(void **state)
{
    (void)state;
    struct npi_scale own, guest;
    struct npi_scale_result mine, theirs;
    struct npi_scale_sample sample = {.now_ns = TICK_NS,
                                      .elapsed_ns = TICK_NS,
                                      .cpus = 4,
                                      .completed_tasks = 40,
                                      .completed_run_ns = 4.0 * (double)TICK_NS,
                                      .busy_ns = 4.0 * (double)TICK_NS,
                                      .cpu_ns = 0.4 * (double)TICK_NS,
                                      .delay_known = true,
                                      .queued_tasks = 500,
                                      .busy_workers = 4,
                                      .limit_workers = 4,
                                      .own_workers = 4};
    npi_scale_init(&own, 40);
    npi_scale_init(&guest, 40);
    npi_scale_step(&params, &own, &sample, &mine);
    sample.guest_tasks = 500;
    npi_scale_step(&params, &guest, &sample, &theirs);
    assert_true(mine.need_workers > 10.0);
    assert_true(theirs.need_workers == 4.0);
    sample.guest_tasks = 501; /* two counters read one after the other may disagree */
    npi_scale_step(&params, &guest, &sample, &theirs);
    assert_true(theirs.need_workers == 4.0);
}

static double any_time(struct npi_prng *prng)
{
    static const double scales[] = {0.0, 1.0, 1e3, 1e6, 1e8, 1e12};
    return scales[npi_prng_below(prng, 6)] * npi_prng_unit(prng);
}

static void any_sample_gives_a_usable_answer(void **state)
{
    (void)state;
    struct npi_prng prng;
    struct run run, twin;
    npi_prng_seed(&prng, 11);
    for (int round = 0; round < 300; round++) {
        start(&run, 1 + npi_prng_below(&prng, 500));
        twin = run;
        for (int i = 0; i < 200; i++) {
            uint32_t kind = npi_prng_below(&prng, 8);
            run.now_ns += kind == 0 ? 0 : (uint64_t)any_time(&prng);
            struct npi_scale_sample sample = {
                .now_ns = run.now_ns,
                .elapsed_ns = npi_prng_below(&prng, 8) ? TICK_NS : (uint64_t)any_time(&prng),
                .cpus = npi_prng_below(&prng, 4) ? 8.0 : any_time(&prng) / 1e6,
                .completed_tasks = (uint64_t)any_time(&prng),
                .completed_run_ns = any_time(&prng),
                .busy_ns = any_time(&prng),
                .cpu_ns = any_time(&prng),
                .delay_ns = any_time(&prng),
                .idle_ns = any_time(&prng),
                .delay_known = npi_prng_below(&prng, 2),
                .idle_known = npi_prng_below(&prng, 2),
                .queued_tasks = npi_prng_below(&prng, 3) ? npi_prng_below(&prng, 10000) : 0,
                .busy_workers = npi_prng_below(&prng, 5000),
                .limit_workers = 1 + npi_prng_below(&prng, 5000),
                .own_workers = npi_prng_below(&prng, 5000),
            };
            struct npi_scale_result result, again;
            npi_scale_step(&params, &run.scale, &sample, &result);
            npi_scale_step(&params, &twin.scale, &sample, &again);
            assert_memory_equal(&result, &again,
                                sizeof result); /* nothing but its arguments counts */
            assert_true(result.cap_workers >= 1);
            assert_true(isfinite(run.scale.cap_workers));
            assert_true(isfinite(result.need_workers) && result.need_workers >= 0.0);
            assert_true(isfinite(result.held_workers) && result.held_workers >= 0.0);
            assert_true(result.growth_ratio >= 1.0 && result.growth_ratio <= 1024.0);
            assert_true(isfinite(result.service_ns) && result.service_ns >= 0.0);
            assert_true(isfinite(result.task_ns) && result.task_ns >= 0.0);
            assert_true(isfinite(result.cpu_taken));
            assert_true(result.cpu_taken >= result.cpu_used);
        }
    }
}

/* Short tasks that come one at a time: workers are woken for each, and that takes a moment on CPUs
   that stand still. The same wait without wakes is a hidden quota. */
static void wakes_are_no_starvation(void **state)
{
    (void)state;
    for (int woken = 0; woken <= 1; woken++) {
        struct run run;
        start(&run, 2);
        for (int i = 0; i < 100; i++) {
            run.now_ns += TICK_NS;
            struct npi_scale_sample sample = {
                .now_ns = run.now_ns,
                .elapsed_ns = TICK_NS,
                .cpus = 2,
                .completed_tasks = 50,
                .completed_run_ns = 50 * 1000,
                .busy_ns = 50 * 1000,
                .cpu_ns = 50 * 4000,
                .delay_ns = 50 * 10000,
                .wakes = woken != 0 ? 50 : 0,
                .idle_ns = 1.9 * TICK_NS,
                .delay_known = true,
                .idle_known = true,
                .limit_workers = 2,
                .own_workers = 0,
            };
            npi_scale_step(&params, &run.scale, &sample, &run.result);
        }
        assert_int_equal(run.result.starved, woken == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wakes_are_no_starvation),
        cmocka_unit_test(cpu_bound_work_gets_one_worker_per_cpu),
        cmocka_unit_test(waiting_within_the_tolerance_changes_nothing),
        cmocka_unit_test(shrinking_is_paced_by_what_the_last_step_shows),
        cmocka_unit_test(blocking_work_gets_workers_until_the_cpus_are_used),
        cmocka_unit_test(sleeping_work_grows_to_the_quota_and_no_further),
        cmocka_unit_test(nothing_grows_without_a_queue),
        cmocka_unit_test(unused_capacity_is_forgotten_slowly),
        cmocka_unit_test(workers_of_others_on_our_cpus_are_seen_by_idle_time),
        cmocka_unit_test(blocking_work_grows_beside_others_that_fill_the_cpus),
        cmocka_unit_test(work_that_runs_elsewhere_still_asks_for_workers_at_home),
        cmocka_unit_test(a_neighbour_cannot_take_everything),
        cmocka_unit_test(a_hidden_quota_shrinks_to_what_is_really_there),
        cmocka_unit_test(without_run_delay_the_knee_is_found_from_above),
        cmocka_unit_test(fractions_of_a_cpu_still_run_one_worker),
        cmocka_unit_test(growth_that_lowers_completions_is_undone),
        cmocka_unit_test(predictions_begin_with_the_first_completion),
        cmocka_unit_test(peaks_are_held_and_let_go),
        cmocka_unit_test(guests_in_the_queue_are_not_our_demand),
        cmocka_unit_test(any_sample_gives_a_usable_answer),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
