/*
 * The queue alone, without a pool around it: one thread puts a task in and takes it out again, by turns
 * (producers:0), or so many producers and two consumers. One iteration is BATCH tasks. The contenders
 * are those of ring/, which has more to ask them.
 */
#include "questions/questions.h"
#include "ring/measure.h"
#include "suite/measure.h"

#define BATCH 1024
#define CAPACITY 4096

static const struct contender *const contenders[] = {
    &contender_sequence,
    &contender_shard,
    &contender_claim,
    &contender_index,
    &contender_staged,
#ifdef BENCH_CK
    &contender_ck,
#endif
    NULL,
};

static const char *name_of(size_t index)
{
    return contenders[index] != NULL ? contenders[index]->name : NULL;
}

static void run(struct bench_run *run)
{
    const struct contender *contender = contenders[run->contender];
    uint64_t tasks = (uint64_t)run->iterations * BATCH;
    bool stalls = contender->stop == NULL;
    if (stalls && run->values[0] + 2 > (int64_t)cpus_allowed() + 1) {
        bench_not_measured(run, "not with so many more threads than CPUs: minutes");
        return;
    }
    struct cost cost = run->values[0] == 0 ? measure_turns(contender, CAPACITY, false, tasks)
                                           : measure_traffic(contender, CAPACITY,
                                                             (unsigned)run->values[0], 2, tasks);
    if (cost.refused) {
        bench_not_measured(run, "it refused a task");
    }
    run->seconds = (double)cost.wall_ns / 1e9;
    bench_figure(run, "tasks_per_s", (double)tasks / run->seconds);
    bench_figure(run, "cpu_ns", (double)cost.cpu_ns / (double)tasks);
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{0}, {1}, {4}};

const struct bench_question question_ring = {
    .name = "ring",
    .asks = "the queue alone: put in and taken out by turns, or by producers and two consumers",
    .contender = name_of,
    .contender_key = "ring",
    .keys = {"producers"},
    .variants = variants,
    .variant_count = 3,
    .run = run,
    .compared = {"tasks_per_s", "cpu_ns"},
};
