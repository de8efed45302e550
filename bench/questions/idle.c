/*
 * What a pool costs that has nothing to do. One iteration is WATCH_NS, some time after a task has run:
 * at once (after:0), or after 16 s (after:1), when all timers of numapool have stopped.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <sys/resource.h>

#define WATCH_NS UINT64_C(1000000000)
#define SETTLE_NS UINT64_C(16000000000)

static void nothing(void *arg)
{
    (void)arg;
    done_one();
}

static void nothing_in_a_thread(void *arg)
{
    (void)arg;
    done_one_of_many_threads();
}

static uint64_t switches(void)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}

struct asked {
    struct bench_run *run;
    const struct pool_kind *kind;
    void *pool;
};

static void watch(void *arg, unsigned index)
{
    struct asked *asked = arg;
    (void)index;
    done_reset();
    for (uint64_t i = 0; i < 1000; i++) {
        pool_submit_surely(asked->kind, asked->pool,
                           asked->kind->thread_a_task ? nothing_in_a_thread : nothing, asked);
        done_wait(i + 1);
    }
    if (asked->run->values[0] != 0) {
        sleep_until_ns(monotonic_ns() + SETTLE_NS);
    }
    uint64_t cpu_ns = process_cpu_ns(), before = switches();
    sleep_until_ns(monotonic_ns() + WATCH_NS);
    /* One switch is this thread's own. */
    uint64_t switched = switches() - before;
    bench_figure(asked->run, "switches_per_s_idle", switched > 0 ? (double)(switched - 1) : 0);
    bench_figure(asked->run, "cpu_ms_per_s_idle", (double)(process_cpu_ns() - cpu_ns) / 1e6);
}

static void run(struct bench_run *run)
{
    struct asked asked = {.run = run};
    asked.pool = pool_of_run(run, &asked.kind);
    if (asked.pool != NULL) {
        struct crew_hooks hooks = {asked.kind->submitter_begin, asked.kind->submitter_end,
                                   asked.pool};
        (void)crew_run(1, watch, &asked, &hooks);
        run->seconds = (double)WATCH_NS / 1e9;
    }
}

static bool applies(const int64_t *values, size_t contender)
{
    return values[0] == 0 || pool_kinds[contender] == &pool_numapool;
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{0}, {1}};

const struct bench_question question_idle = {
    .name = "idle",
    .asks = "what a pool costs a second that has nothing to do",
    .contender = pool_name,
    .contender_key = "pool",
    .keys = {"after"},
    .variants = variants,
    .variant_count = 2,
    .iterations = 1,
    .run = run,
    .applies = applies,
    .leave = pool_leave,
};
