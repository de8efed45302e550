/*
 * numapool-steps STEP COUNT: does one thing so many times, for callgrind to count. The same
 * commands with two counts differ by that many of the steps and nothing else, so what is told is
 * the difference; see count.sh. One worker, no spinning, no control tick while it runs.
 */
#include <numapool/numapool.h>

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 32
#define QUEUE_TASKS 16384
#define MEMORY_STEPS 16

static numapool *pool;
static sem_t started, let_go, done;
static uint64_t count, ran;

/*
 * valgrind runs a program some fifty times slower, and what the library does depends on time. So time
 * passes a thousand times slower here: the linker puts these in the place of the conversions between
 * nanoseconds and the processor's counter. And the library is told that there is a counter, which
 * valgrind does have and does not say.
 */
#define SLOWER 1000

extern bool npi_clock_is_tsc;
uint64_t __wrap_npi_clock_ticks_to_ns(uint64_t ticks);
uint64_t __wrap_npi_clock_ns_to_ticks(uint64_t ns);

uint64_t __wrap_npi_clock_ticks_to_ns(uint64_t ticks)
{
    return ticks / SLOWER;
}

uint64_t __wrap_npi_clock_ns_to_ticks(uint64_t ns)
{
    return ns > UINT64_MAX / SLOWER ? UINT64_MAX : ns * SLOWER;
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "numapool-steps: %s\n", what);
    exit(1);
}

static void must(int result)
{
    if (result != NUMAPOOL_OK) {
        fail(numapool_strerror(result));
    }
}

static void create(uint64_t queue_tasks)
{
    struct numapool_config config;
    struct numapool_error error = {0};
    numapool_config_init(&config);
    config.workers_max = 1;
    config.shards = NUMAPOOL_SINGLE;
    config.queue_tasks = queue_tasks;
    config.spin_ns = NUMAPOOL_OFF;
    config.idle_exit_ns = NUMAPOOL_OFF;
    config.queue_delay_ns = NUMAPOOL_OFF;
    config.codel_target_ns = NUMAPOOL_OFF;
    config.watchdog_ns = NUMAPOOL_OFF;
    config.tick_ns = UINT64_C(1000000000);
    npi_clock_is_tsc = true;
    if (numapool_create(&pool, &config, &error) != NUMAPOOL_OK) {
        fail(error.text);
    }
}

static void nothing(void *arg)
{
    (void)arg;
    ran++;
}

static void hold(void *arg)
{
    (void)arg;
    (void)sem_post(&started);
    while (sem_wait(&let_go) != 0) {
    }
}

static void tell(void *arg)
{
    (void)arg;
    (void)sem_post(&done);
}

static void hold_worker(void)
{
    must(numapool_submit(pool, hold, NULL));
    while (sem_wait(&started) != 0) {
    }
}

static void finish(void)
{
    (void)sem_post(&let_go);
    must(numapool_drain(pool, UINT64_MAX));
}

/* Submitted while the worker is held, then taken and run one after the other. */
static void submit_and_run(void)
{
    create(QUEUE_TASKS);
    hold_worker();
    for (uint64_t i = 0; i < count; i++) {
        must(numapool_submit(pool, nothing, NULL));
    }
    finish();
}

static void submit_task_and_run(void)
{
    create(QUEUE_TASKS);
    hold_worker();
    struct numapool_task task = {.run = nothing};
    for (uint64_t i = 0; i < count; i++) {
        must(numapool_submit_task(pool, &task));
    }
    finish();
}

static void submit_member_and_run(void)
{
    numapool_group *group;
    create(QUEUE_TASKS);
    hold_worker();
    must(numapool_group_create(&group, pool));
    struct numapool_task task = {.run = nothing, .group = group};
    for (uint64_t i = 0; i < count; i++) {
        must(numapool_submit_task(pool, &task));
    }
    finish();
    must(numapool_group_destroy(group));
}

static void batch_and_run(void)
{
    struct numapool_task tasks[BATCH];
    size_t accepted;
    create(QUEUE_TASKS);
    hold_worker();
    for (unsigned i = 0; i < BATCH; i++) {
        tasks[i] = (struct numapool_task){.run = nothing};
    }
    for (uint64_t i = 0; i < count; i += BATCH) {
        must(numapool_submit_batch(pool, tasks, BATCH, &accepted));
    }
    finish();
}

static void refuse(void)
{
    create(16);
    hold_worker();
    while (numapool_submit(pool, nothing, NULL) == NUMAPOOL_OK) {
    }
    for (uint64_t i = 0; i < count; i++) {
        if (numapool_submit(pool, nothing, NULL) == NUMAPOOL_OK) {
            fail("a submit to a full pool was accepted");
        }
    }
    finish();
}

/* With a worker that sleeps and is woken each time, if it came to sleep in the pause. */
static void round_trip(void)
{
    create(64);
    for (uint64_t i = 0; i < count; i++) {
        (void)usleep(300);
        must(numapool_submit(pool, tell, NULL));
        while (sem_wait(&done) != 0) {
        }
    }
}

static void alloc_and_free(void)
{
    create(64);
    for (uint64_t i = 0; i < count; i++) {
        void *block = numapool_alloc(pool, 0, 64 + i % MEMORY_STEPS * 64);
        if (block == NULL) {
            fail("no memory");
        }
        numapool_free(pool, block);
    }
}

static void scratch_in_task(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < count; i++) {
        if (numapool_scratch(64) == NULL) {
            fail("no scratch");
        }
    }
    (void)sem_post(&done);
}

static void scratch(void)
{
    create(64);
    must(numapool_submit(pool, scratch_in_task, NULL));
    while (sem_wait(&done) != 0) {
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} steps[] = {
    {"submit", submit_and_run},
    {"submit_task", submit_task_and_run},
    {"member", submit_member_and_run},
    {"batch", batch_and_run},
    {"refuse", refuse},
    {"round_trip", round_trip},
    {"alloc_free", alloc_and_free},
    {"scratch", scratch},
};

int main(int argc, char **argv)
{
    count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    (void)sem_init(&started, 0, 0);
    (void)sem_init(&let_go, 0, 0);
    (void)sem_init(&done, 0, 0);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && count != 0; i++) {
        if (strcmp(argv[1], steps[i].name) == 0) {
            steps[i].run();
            must(numapool_destroy(pool));
            return 0;
        }
    }
    (void)fprintf(stderr, "usage: numapool-steps STEP COUNT; steps:");
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        (void)fprintf(stderr, " %s", steps[i].name);
    }
    (void)fprintf(stderr, "\n");
    return 2;
}
