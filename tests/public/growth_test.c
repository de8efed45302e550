/*
 * The real pool adapts as the simulated one does: tasks that wait get as many workers as they can use,
 * tasks that compute get one per CPU, and what was grown for the first shrinks for the second. Facts
 * are reached or not, whenever that is; no time is asserted.
 */
#include <numapool/numapool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define BUDGET 256
#define GROWN 200
#define COMPUTE_SAMPLES 400

static numapool *pool;
static unsigned cpus;

static void pause_us(long us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&t, &t) != 0) {
    }
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void waits(void *arg)
{
    (void)arg;
    pause_us(20000);
}

static void computes(void *arg)
{
    (void)arg;
    uint64_t until = thread_cpu_ns() + UINT64_C(1000000);
    while (thread_cpu_ns() < until) {
    }
}

static struct numapool_stats stats_now(void)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};
    assert_int_equal(numapool_stats(pool, &stats), NUMAPOOL_OK);
    return stats;
}

/* Keeps some tasks waiting; refusals only mean that enough do. */
static void feed(numapool_fn *run)
{
    for (int i = 0; i < 64 && numapool_submit(pool, run, NULL) == NUMAPOOL_OK; i++) {
    }
}

static void grows_for_tasks_that_wait(void **state)
{
    (void)state;
    while (stats_now().workers_running < GROWN) {
        feed(waits);
        pause_us(500);
    }
    assert_true(stats_now().workers <= BUDGET + BUDGET / 4);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void shrinks_for_tasks_that_compute(void **state)
{
    (void)state;
    unsigned most = (12 * cpus + 9) / 10;
    while (stats_now().cap > most) {
        feed(computes);
        pause_us(500);
    }
    uint64_t running[COMPUTE_SAMPLES];
    for (int i = 0; i < COMPUTE_SAMPLES; i++) {
        feed(computes);
        pause_us(2000);
        running[i] = stats_now().workers_running;
    }
    /* The middle one of many: a machine that others use may hold a single sample up. */
    qsort(running, COMPUTE_SAMPLES, sizeof running[0], by_value);
    print_message("%u CPUs: %llu workers at the median, %llu at most\n", cpus,
                  (unsigned long long)running[COMPUTE_SAMPLES / 2],
                  (unsigned long long)running[COMPUTE_SAMPLES - 1]);
    assert_true(running[COMPUTE_SAMPLES / 2] <= most);
    assert_true(running[COMPUTE_SAMPLES / 2] >= 1);
}

static void nothing_was_lost(void **state)
{
    (void)state;
    assert_int_equal(numapool_drain(pool, UINT64_MAX), NUMAPOOL_OK);
    struct numapool_stats s = stats_now();
    assert_int_equal(s.accepted, s.run + s.dropped);
    assert_int_equal(s.submitted, s.accepted + s.refused_full + s.refused_shed +
                                      s.refused_deadline + s.refused_bytes + s.refused_other);
}

int main(void)
{
    cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    struct numapool_config config;
    struct numapool_error error;
    numapool_config_init(&config);
    config.workers_max = BUDGET;
    config.shards = NUMAPOOL_SINGLE;
    config.smt = NUMAPOOL_SMT_ALL;
    if (numapool_create(&pool, &config, &error) != NUMAPOOL_OK) {
        print_error("%s\n", error.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_for_tasks_that_wait),
        cmocka_unit_test(shrinks_for_tasks_that_compute),
        cmocka_unit_test(nothing_was_lost),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)numapool_destroy(pool);
    return failed;
}
