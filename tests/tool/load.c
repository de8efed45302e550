/* A program to look into: load [SECONDS]. A pool on two emulated nodes, more work than it can do from one of them: tasks wait,
   are forwarded, stolen and refused, and the budget changes; one waits inside a task, and one never returns
   while it lasts. */
#include <numapool/numapool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static volatile int enough;

void load_stuck(void *arg);
void load_waits(void *arg);
void load_work(void *arg);

void load_stuck(void *arg)
{
    (void)arg;
    while (!enough) {
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

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    struct numapool_config config;
    numapool_config_init(&config);
    config.machine = "pack:2 [numa] core:2 pu:1";
    config.workers_max = 8;
    config.queue_tasks = 100;
    config.queue_delay_ns = NUMAPOOL_OFF;
    config.codel_target_ns = NUMAPOOL_OFF;
    config.watchdog_ns = NUMAPOOL_OFF;
    config.name = "load";
    numapool *pool = NULL;
    struct numapool_error error = {.count = 0};
    if (numapool_create(&pool, &config, &error) != NUMAPOOL_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    start(pool, load_stuck);
    start(pool, load_waits);
    (void)printf("ready\n");
    (void)fflush(stdout);
    unsigned turn = 0;
    while (time(NULL) < end) {
        struct numapool_task task = {.run = load_work, .arg = (void *)(uintptr_t)++turn};
        task.task_class = (int)(turn % NUMAPOOL_CLASSES);
        if (numapool_submit_task(pool, &task) != NUMAPOOL_OK) {
            (void)usleep(turn % 500 == 0 ? 300000 : 200); /* now and then all is done */
        }
        if (turn % 500 == 0 && numapool_set_budget(pool, turn % 1000 == 0 ? 8 : 6) != NUMAPOOL_OK) {
            return 1;
        }
    }
    enough = 1;
    return numapool_destroy(pool) != NUMAPOOL_OK;
}
