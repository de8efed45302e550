/* A program to look into: load [SECONDS [still]]. A pool on two emulated nodes, more work than it can do from one of them: tasks wait,
   are forwarded, stolen and refused, and the budget changes; one waits inside a task, and one never returns
   while it lasts. still: one node, nothing moves: two tasks run, one waits, five are queued. */
#include <numapool/numapool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int enough, inside;

void load_stuck(void *arg);
void load_waits(void *arg);
void load_work(void *arg);

void load_stuck(void *arg)
{
    (void)arg;
    atomic_fetch_add(&inside, 1);
    while (!atomic_load(&enough)) {
        (void)usleep(10000);
    }
}

void load_waits(void *arg)
{
    numapool_block_begin();
    load_stuck(arg);
    numapool_block_end();
}

void load_work(void *arg)
{
    (void)arg;
    (void)usleep(3000);
}

static void start(numapool *pool, numapool_fn *run)
{
    if (numapool_submit(pool, run, NULL) != NUMAPOOL_OK) {
        exit(1);
    }
}

/* What a debugger is to find, to the number. */
static void stand_still(numapool *pool)
{
    start(pool, load_waits); /* and lends its place, so that two more run */
    while (atomic_load(&inside) != 1) {
        (void)usleep(1000);
    }
    start(pool, load_stuck);
    start(pool, load_stuck);
    while (atomic_load(&inside) != 3) {
        (void)usleep(1000);
    }
    for (uintptr_t i = 1; i <= 5; i++) {
        struct numapool_task task = {.run = load_work, .arg = (void *)(0x1000 * i)};
        task.task_class = i == 1 ? NUMAPOOL_CRITICAL : NUMAPOOL_NORMAL;
        task.flags = i == 5 ? NUMAPOOL_DROP_OK : 0;
        if (numapool_submit_task(pool, &task) != NUMAPOOL_OK) {
            exit(1);
        }
    }
}

static void overload(numapool *pool, time_t end)
{
    start(pool, load_stuck);
    start(pool, load_waits);
    unsigned turn = 0;
    while (time(NULL) < end) {
        struct numapool_task task = {.run = load_work, .arg = (void *)(uintptr_t)++turn};
        task.task_class = (int)(turn % NUMAPOOL_CLASSES);
        if (numapool_submit_task(pool, &task) != NUMAPOOL_OK) {
            (void)usleep(turn % 500 == 0 ? 300000 : 200); /* now and then all is done */
        }
        if (turn % 500 == 0 && numapool_set_budget(pool, turn % 1000 == 0 ? 8 : 6) != NUMAPOOL_OK) {
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    bool still = argc > 2 && strcmp(argv[2], "still") == 0;
    struct numapool_config config;
    numapool_config_init(&config);
    config.machine = still ? "pack:1 [numa] core:2 pu:1" : "pack:2 [numa] core:2 pu:1";
    config.workers_max = still ? 2 : 8;
    config.mode = still ? NUMAPOOL_FIXED : NUMAPOOL_ADAPTIVE;
    config.queue_tasks = 100;
    config.queue_delay_ns = NUMAPOOL_OFF;
    config.codel_target_ns = NUMAPOOL_OFF;
    config.watchdog_ns = NUMAPOOL_OFF;
    config.memory_bytes = 16 << 20; /* the core file holds what was reserved for it */
    config.name = "load";
    numapool *pool = NULL;
    struct numapool_error error = {.count = 0};
    if (numapool_create(&pool, &config, &error) != NUMAPOOL_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    if (still) {
        stand_still(pool);
        (void)printf("ready\n");
        (void)fflush(stdout);
        while (time(NULL) < end) {
            (void)usleep(100000);
        }
    } else {
        overload(pool, end);
    }
    atomic_store(&enough, 1);
    return numapool_destroy(pool) != NUMAPOOL_OK;
}
