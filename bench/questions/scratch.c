/*
 * Half a megabyte for each task, a word of each page written: what the article's request does. One
 * iteration is one task, one at a time. Baseline: the same pages again and again, which no allocator can beat;
 * against it numapool_scratch(), kept warm by the worker, and malloc() and free() in the task.
 */
#include "questions/questions.h"
#include "suite/measure.h"

#include <numapool/numapool.h>

#include <semaphore.h>
#include <stdlib.h>

#define BYTES ((size_t)500000)
#define PAGE 4096

enum how { RESIDENT, SCRATCH, MALLOC };
static const char *const names[] = {"resident", "scratch", "malloc", NULL};

static struct {
    sem_t done;
    enum how how;
    char *resident;
    uint64_t ticks; /* from the memory being asked for to its being given back */
    uint64_t failed;
} now;

static void touch(volatile char *memory)
{
    for (size_t at = 0; at < BYTES; at += PAGE) {
        memory[at] = 1;
    }
}

static void serve(void *arg)
{
    (void)arg;
    uint64_t begin = ticks_now();
    char *memory = now.how == RESIDENT  ? now.resident
                   : now.how == SCRATCH ? numapool_scratch(BYTES)
                                        : malloc(BYTES);
    if (memory != NULL) {
        touch(memory);
    } else {
        now.failed++;
    }
    if (now.how == MALLOC) {
        free(memory);
    }
    now.ticks += ticks_now() - begin;
    (void)sem_post(&now.done);
}

static const char *name_of(size_t index)
{
    return names[index];
}

static void run(struct bench_run *run)
{
    static numapool *pool;
    struct numapool_error error = {0};
    if (numapool_create(&pool, NULL, &error) != NUMAPOOL_OK) {
        bench_not_measured(run, "no pool: %s", error.text);
        return;
    }
    now.how = (enum how)run->contender;
    now.ticks = now.failed = 0;
    now.resident = malloc(BYTES);
    (void)sem_init(&now.done, 0, 0);
    struct numapool_task task = {.run = serve, .bytes = BYTES};
    for (int64_t i = -100; i < run->iterations && now.resident != NULL; i++) {
        if (i == 0) {
            now.ticks = 0; /* warm by now */
        }
        if (numapool_submit_task(pool, &task) != NUMAPOOL_OK) {
            bench_not_measured(run, "a task was refused");
            break;
        }
        while (sem_wait(&now.done) != 0) {
        }
    }
    run->seconds = ticks_ns(now.ticks) / 1e9;
    if (now.failed != 0) {
        bench_not_measured(run, "no memory was given");
    }
    bench_figure(run, "touched_ns", ticks_ns(now.ticks) / (double)run->iterations);
    free(now.resident);
    (void)numapool_destroy(pool);
}

const struct bench_question question_scratch = {
    .name = "scratch",
    .asks = "500 KB in a task, a word of each page written: the same pages, scratch, malloc",
    .contender = name_of,
    .contender_key = "memory",
    .iterations = 3000,
    .run = run,
    .compared = {"touched_ns"},
};
