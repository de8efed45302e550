/* Submit, watch the task's word change, submit again: back to back. One iteration is one task. */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <sched.h>
#include <stdatomic.h>

#define SAMPLES_MAX 200000

static void finish(void *arg)
{
    atomic_store_explicit((_Atomic uint64_t *)arg, 1, memory_order_release);
}

struct asked {
    struct bench_run *run;
    const struct pool_kind *kind;
    void *pool;
    struct samples samples;
};

static void turns(void *arg, unsigned index)
{
    struct asked *asked = arg;
    _Alignas(128) _Atomic uint64_t done = 0;
    (void)index;
    uint64_t begin = ticks_now();
    for (int64_t i = 0; i < asked->run->iterations; i++) {
        atomic_store_explicit(&done, 0, memory_order_relaxed);
        pool_submit_surely(asked->kind, asked->pool, finish, &done);
        for (unsigned turn = 1; atomic_load_explicit(&done, memory_order_acquire) == 0; turn++) {
            relax();
            if (turn % 4096 == 0) {
                sched_yield(); /* somebody else needs this processor to get on */
            }
        }
        uint64_t end = ticks_now();
        samples_add(&asked->samples, end - begin);
        begin = end;
    }
}

static void run(struct bench_run *run)
{
    struct asked asked = {.run = run};
    asked.pool = pool_of_run(run, &asked.kind);
    if (asked.pool == NULL) {
        return;
    }
    int64_t kept = run->iterations < SAMPLES_MAX ? run->iterations : SAMPLES_MAX;
    if (!samples_init(&asked.samples, (size_t)kept)) {
        bench_not_measured(run, "no memory");
        return;
    }
    struct crew_hooks hooks = {asked.kind->submitter_begin, asked.kind->submitter_end, asked.pool};
    uint64_t begin = crew_run(1, turns, &asked, &hooks);
    run->seconds = ticks_ns(ticks_now() - begin) / 1e9;
    samples_tell(&asked.samples, run, "");
    samples_fini(&asked.samples);
}

const struct bench_question question_round_trip = {
    .name = "round_trip",
    .asks = "submit, see it done, submit the next",
    .contender = pool_name,
    .contender_key = "pool",
    .run = run,
    .compared = {"p50_ns", "p99_ns"},
    .leave = pool_leave,
};
