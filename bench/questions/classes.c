/*
 * Three classes of 10 us tasks, together twice what the CPUs can do, CRITICAL a quarter of that: how long
 * each waits, and how much of each is refused. numapool alone has classes. One iteration is the whole
 * load, RUN_NS long; the thread that submits has the first CPU to itself.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <numapool/numapool.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define RUN_NS 400000000.0
#define SERVICE_NS 10000.0

struct task {
    uint64_t submitted;
    _Atomic uint64_t started;
    uint64_t turns;
    int task_class;
    bool refused;
};

static void serve(void *arg)
{
    struct task *task = arg;
    atomic_store_explicit(&task->started, ticks_now(), memory_order_release);
    work(task->turns);
}

struct asked {
    numapool *pool;
    struct task *tasks;
    size_t count;
    double gap_ns;
};

static void hand_in(void *arg, unsigned index)
{
    struct asked *asked = arg;
    uint64_t random = 88172645463325252u, turns = work_turns(SERVICE_NS);
    uint64_t begin = ticks_now();
    double at_ns = 0;
    (void)index;
    for (size_t i = 0; i < asked->count; i++) {
        at_ns += random_exponential(&random, asked->gap_ns);
        while (ticks_now() - begin < ticks_of_ns(at_ns)) {
            relax();
        }
        struct task *task = &asked->tasks[i];
        uint64_t draw = random_next(&random) >> 33 & 7;
        task->task_class = draw < 2   ? NUMAPOOL_CRITICAL
                           : draw < 5 ? NUMAPOOL_NORMAL
                                      : NUMAPOOL_SHEDDABLE;
        task->turns = turns;
        task->submitted = ticks_now();
        struct numapool_task submitted = {
            .run = serve, .arg = task, .task_class = task->task_class};
        task->refused = numapool_submit_task(asked->pool, &submitted) != NUMAPOOL_OK;
    }
}

static void tell(struct bench_run *run, const struct asked *asked)
{
    static const char *const names[NUMAPOOL_CLASSES] = {"normal", "critical", "sheddable"};
    for (int c = 0; c < NUMAPOOL_CLASSES; c++) {
        struct samples samples;
        size_t offered = 0, refused = 0;
        if (!samples_init(&samples, asked->count)) {
            return;
        }
        for (size_t i = 0; i < asked->count; i++) {
            const struct task *task = &asked->tasks[i];
            if (task->task_class == c) {
                offered++;
                refused += task->refused;
                uint64_t started = atomic_load(&task->started);
                if (!task->refused && started != 0) {
                    samples_add(&samples, started - task->submitted);
                }
            }
        }
        samples_sort(&samples);
        char name[40];
        (void)snprintf(name, sizeof name, "%s_p50_ns", names[c]);
        bench_figure(run, name, samples_percentile_ns(&samples, 0.5));
        (void)snprintf(name, sizeof name, "%s_p99_ns", names[c]);
        bench_figure(run, name, samples_percentile_ns(&samples, 0.99));
        (void)snprintf(name, sizeof name, "%s_refused_pct", names[c]);
        bench_figure(run, name, offered != 0 ? 100.0 * (double)refused / (double)offered : 0);
        samples_fini(&samples);
    }
}

static void run(struct bench_run *run)
{
    (void)work_turns(1);
    if (!cpus_take_first_away()) {
        bench_not_measured(run, "one CPU: not measured, the arrivals need one");
        return;
    }
    struct numapool_error error = {0};
    struct numapool_config config;
    numapool_config_init(&config);
    struct asked asked = {.gap_ns = SERVICE_NS / 2 / (cpus_allowed() - 1)};
    asked.count = (size_t)(RUN_NS / (bench_quick ? 30 : 1) / asked.gap_ns);
    asked.tasks = calloc(asked.count, sizeof *asked.tasks);
    if (asked.tasks == NULL || numapool_create(&asked.pool, &config, &error) != NUMAPOOL_OK) {
        bench_not_measured(run, "no pool: %s", error.text);
    } else {
        (void)cpus_first_alone();
        uint64_t begin = crew_run(1, hand_in, &asked, NULL);
        pool_numapool_end(run, asked.pool);
        run->seconds = ticks_ns(ticks_now() - begin) / 1e9;
        tell(run, &asked);
    }
    cpus_all_again();
    free(asked.tasks);
}

const struct bench_question question_classes = {
    .name = "classes",
    .asks = "what each class waits, and how much of it is refused, at twice the capacity",
    .iterations = 1,
    .run = run,
    .compared = {"critical_p99_ns", "normal_p99_ns", "sheddable_p99_ns", "critical_refused_pct",
                 "normal_refused_pct", "sheddable_refused_pct"},
};
