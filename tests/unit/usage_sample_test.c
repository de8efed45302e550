/* How many workers are asked in one tick, and that counting threads that have no slot yet is no harm. */
#include "unit/shard_support.h"

#include "flow/balancer.h"
#include "flow/usage.h"
#include "flow/worker.h"
#include "os/os.h"

#define SLOTS 200u
#define ASKED_MAX 64u

static unsigned asked;
static uint64_t cpu_step_ns = 1;

int __wrap_npi_thread_usage(pid_t tid, pthread_t thread, int *fd, struct npi_thread_usage *usage);

int __wrap_npi_thread_usage(pid_t tid, pthread_t thread, int *fd, struct npi_thread_usage *usage)
{
    (void)tid, (void)thread, (void)fd;
    asked++;
    *usage = (struct npi_thread_usage){.cpu_ns = asked * cpu_step_ns, .delay_ns = 0};
    return 0;
}

struct crowd {
    struct test_shard test;
    struct npi_worker *workers;
    struct npi_tick tick;
};

/* Busy workers in `slots` slots, and `threads` that are counted. */
static void crowd_init(struct crowd *crowd, uint32_t slots, uint32_t threads)
{
    test_shard_init(&crowd->test, 16, 1);
    crowd->workers = aligned_alloc(_Alignof(struct npi_worker), SLOTS * sizeof *crowd->workers);
    assert_non_null(crowd->workers);
    memset(crowd->workers, 0, SLOTS * sizeof *crowd->workers);
    memset(&crowd->tick, 0, sizeof crowd->tick);
    for (uint32_t i = 0; i < slots; i++) {
        crowd->workers[i].usage_fd = -1;
        npi_a32_init(&crowd->workers[i].tid, 1);
        npi_a64_init(&crowd->workers[i].started_ticks, 1);
    }
    crowd->test.shard.workers = crowd->workers;
    npi_a32_init(&crowd->test.shard.slots_used, slots);
    npi_a32_init(&crowd->test.shard.threads, threads);
}

static void crowd_fini(struct crowd *crowd)
{
    free(crowd->workers);
    test_shard_fini(&crowd->test);
}

static unsigned sample(struct crowd *crowd)
{
    struct npi_usage usage;
    asked = 0;
    npi_usage_sample(&crowd->tick, &crowd->test.shard, &usage);
    return asked;
}

/* What was spent looking for tasks is told apart, and is never more than the CPU time there was. */
static void spinning_is_told_apart(void **state)
{
    (void)state;
    struct crowd crowd;
    struct npi_usage usage;
    assert_int_equal(npi_clock_init(), 0);
    crowd_init(&crowd, 4, 4);
    (void)sample(&crowd);
    cpu_step_ns = 1000000;
    npi_a64_store_relaxed(&crowd.workers[0].spin_ticks, npi_clock_ns_to_ticks(100000));
    npi_a64_store_relaxed(&crowd.workers[1].spin_ticks, npi_clock_ns_to_ticks(UINT64_C(1) << 40));
    asked = 4; /* beyond what each had used before */
    npi_usage_sample(&crowd.tick, &crowd.test.shard, &usage);
    assert_true(usage.cpu_ns > 0.0);
    double second_ns = 6 * 1000000.0 - 2; /* its CPU time now, less what the first sample said */
    assert_true(usage.spin_ns > 99000.0 + second_ns && usage.spin_ns < 101000.0 + second_ns);
    npi_usage_sample(&crowd.tick, &crowd.test.shard, &usage);
    assert_true(usage.spin_ns < 1.0);
    cpu_step_ns = 1;
    crowd_fini(&crowd);
}

static void a_few_are_asked_all(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd, ASKED_MAX, ASKED_MAX);
    assert_int_equal(sample(&crowd), ASKED_MAX);
    assert_int_equal(sample(&crowd), ASKED_MAX);
    crowd_fini(&crowd);
}

static void of_many_a_sample_is_asked(void **state)
{
    (void)state;
    for (uint32_t threads = ASKED_MAX + 1; threads <= SLOTS; threads++) {
        struct crowd crowd;
        crowd_init(&crowd, threads, threads);
        (void)sample(&crowd); /* the first builds it */
        unsigned count = sample(&crowd);
        assert_in_range(count, ASKED_MAX / 4, ASKED_MAX);
        crowd_fini(&crowd);
    }
}

static void every_worker_has_its_turn(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd, SLOTS, SLOTS);
    bool seen[SLOTS] = {false};
    for (unsigned tick = 0; tick < 100; tick++) {
        (void)sample(&crowd);
        for (unsigned i = 0; i < SLOTS; i++) {
            seen[i] = seen[i] || crowd.workers[i].sampled;
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_true(seen[i]);
    }
    crowd_fini(&crowd);
}

static void threads_without_slots_are_no_harm(void **state)
{
    (void)state;
    for (uint32_t slots = 0; slots < ASKED_MAX; slots++) {
        struct crowd crowd;
        crowd_init(&crowd, slots, ASKED_MAX + 1);
        (void)sample(&crowd);
        assert_int_equal(sample(&crowd), slots);
        crowd_fini(&crowd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spinning_is_told_apart),
        cmocka_unit_test(a_few_are_asked_all),
        cmocka_unit_test(of_many_a_sample_is_asked),
        cmocka_unit_test(every_worker_has_its_turn),
        cmocka_unit_test(threads_without_slots_are_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
