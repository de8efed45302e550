/*
 * How many empty tasks a second come from so many outside threads to their last completion.
 * One iteration is BATCH tasks. batch:1 hands them in 64 at a time where a pool has a call for that.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#define BATCH 1024
#define AT_ONCE 64

struct traffic {
    const struct pool_kind *kind;
    void *pool;
    uint64_t tasks_each;
    pool_fn *run;
    bool at_once;
};

static void count(void *arg)
{
    (void)arg;
    done_one();
}

static void count_of_many(void *arg)
{
    (void)arg;
    done_one_of_many_threads();
}

static void hand_in(void *arg, unsigned index)
{
    struct traffic *traffic = arg;
    (void)index;
    for (uint64_t i = 0; i < traffic->tasks_each;) {
        if (!traffic->at_once) {
            pool_submit_surely(traffic->kind, traffic->pool, traffic->run, traffic);
            i++;
            continue;
        }
        uint64_t left = traffic->tasks_each - i;
        size_t taken = traffic->kind->submit_batch(traffic->pool, traffic->run, traffic,
                                                   left < AT_ONCE ? left : AT_ONCE);
        if (taken == 0) {
            pool_submit_surely(traffic->kind, traffic->pool, traffic->run, traffic);
            taken = 1;
        }
        i += taken;
    }
}

static void run(struct bench_run *run)
{
    struct traffic traffic = {0};
    traffic.pool = pool_of_run(run, &traffic.kind);
    if (traffic.pool == NULL) {
        return;
    }
    unsigned producers = (unsigned)run->values[0];
    if (traffic.kind->stalls && producers > cpus_allowed()) {
        bench_not_measured(run, "not with more threads than CPUs: minutes");
        return;
    }
    traffic.at_once = run->values[1] != 0;
    traffic.run = traffic.kind->thread_a_task ? count_of_many : count;
    traffic.tasks_each = ((uint64_t)run->iterations * BATCH + producers - 1) / producers;
    uint64_t tasks = traffic.tasks_each * producers;
    struct crew_hooks hooks = {traffic.kind->submitter_begin, traffic.kind->submitter_end,
                               traffic.pool};
    done_reset();
    uint64_t cpu_ns = process_cpu_ns();
    uint64_t begin = crew_run(producers, hand_in, &traffic, &hooks);
    done_wait(tasks);
    double ns = ticks_ns(ticks_now() - begin);
    cpu_ns = process_cpu_ns() - cpu_ns;
    run->seconds = ns / 1e9;
    bench_figure(run, "tasks_per_s", (double)tasks / run->seconds);
    bench_figure(run, "cpu_ns", (double)cpu_ns / (double)tasks);
}

static bool applies(const int64_t *values, size_t contender)
{
    return values[1] == 0 || pool_kinds[contender]->submit_batch != NULL || contender == 0;
}

static void run_baseline_singly(struct bench_run *asked)
{
    /* The baseline has no call for many: it is asked one by one. */
    int64_t values[BENCH_KEYS_MAX] = {asked->values[0], 0};
    const int64_t *kept = asked->values;
    if (pool_kinds[asked->contender]->submit_batch == NULL) {
        asked->values = values;
    }
    run(asked);
    asked->values = kept;
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {1, 1}, {4, 1}};

const struct bench_question question_submit = {
    .name = "submit",
    .asks = "empty tasks from outside threads, first submit to last completion",
    .contender = pool_name,
    .contender_key = "pool",
    .keys = {"producers", "batch"},
    .variants = variants,
    .variant_count = sizeof variants / sizeof variants[0],
    .run = run_baseline_singly,
    .applies = applies,
    .compared = {"tasks_per_s", "cpu_ns"},
    .leave = pool_leave,
};
