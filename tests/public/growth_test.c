/*
 * The real pool adapts as the simulated one does: tasks that wait get as many workers as they can use,
 * tasks that compute get one per CPU, and what was grown for the first shrinks for the second. Facts
 * are reached or not, whenever that is; no time is asserted.
 */
#include <numapool/numapool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define BUDGET 256
#define GROWN 200
#define COMPUTE_SAMPLES 400
#define TURNS_TO_SHRINK 3 /* these are not judged: they begin with all that was grown for waiting */
#define OTHERS_MOST 0.1
#define PATIENCE_NS 40e9 /* for others to leave the CPUs alone */

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

/* CPU time in nanoseconds: of this process, and of nobody. */
struct spent {
    double wall, ours, idle;
};

static struct spent spent_now(void)
{
    struct timespec wall, ours;
    (void)clock_gettime(CLOCK_MONOTONIC, &wall);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ours);
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, disk = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file != NULL) {
        if (fscanf(file, "cpu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &disk) !=
            5) {
            idle = disk = 0;
        }
        (void)fclose(file);
    }
    return (struct spent){
        .wall = (double)wall.tv_sec * 1e9 + (double)wall.tv_nsec,
        .ours = (double)ours.tv_sec * 1e9 + (double)ours.tv_nsec,
        .idle = (double)(idle + disk) * 1e9 / (double)sysconf(_SC_CLK_TCK),
    };
}

/* The part of the CPUs that others had meanwhile. */
static double taken_by_others(const struct spent *since)
{
    struct spent now = spent_now();
    double all = (now.wall - since->wall) * cpus;
    return 1.0 - (now.ours - since->ours + now.idle - since->idle) / all;
}

/*
 * How many workers are useful is measured by how long they wait for a CPU, so it is only known what
 * it has to be while nobody else uses the CPUs: a time in which others did is not judged.
 */
static void shrinks_for_tasks_that_compute(void **state)
{
    (void)state;
    unsigned most = (12 * cpus + 9) / 10;
    struct spent begin = spent_now();
    for (int turn = 0; spent_now().wall - begin.wall < PATIENCE_NS; turn++) {
        uint64_t running[COMPUTE_SAMPLES];
        struct spent before = spent_now();
        for (int i = 0; i < COMPUTE_SAMPLES; i++) {
            feed(computes);
            pause_us(2000);
            running[i] = stats_now().workers_running;
        }
        double others = taken_by_others(&before);
        /* The middle one of many: even then a single sample may be held up. */
        qsort(running, COMPUTE_SAMPLES, sizeof running[0], by_value);
        uint64_t median = running[COMPUTE_SAMPLES / 2];
        print_message(
            "%u CPUs, %.0f %% of them used by others: %llu workers at the median, %llu at "
            "most\n",
            cpus, 100.0 * others, (unsigned long long)median,
            (unsigned long long)running[COMPUTE_SAMPLES - 1]);
        if (turn >= TURNS_TO_SHRINK && others <= OTHERS_MOST) {
            assert_in_range(median, 1, most);
            return;
        }
    }
    print_message("others used the machine all the time\n");
    skip();
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
