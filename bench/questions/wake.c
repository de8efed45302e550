/*
 * How long a pool that sleeps takes to begin a task. One iteration is a task after a random gap, decided
 * before (an open loop). busy:0, the submitter sleeps in the gaps, too; busy:1, it spins, so that the
 * processor it woke somebody on has something else to do.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <stdatomic.h>

#define GAP_NS 200000.0
#define WARM_UP 200

struct wake {
    _Atomic uint64_t started; /* ticks */
};

static void start(void *arg)
{
    struct wake *wake = arg;
    atomic_store_explicit(&wake->started, ticks_now(), memory_order_release);
}

static void wait_until(uint64_t when_ns, bool busy)
{
    if (busy) {
        while (monotonic_ns() < when_ns) {
            relax();
        }
    } else {
        sleep_until_ns(when_ns);
    }
}

struct asked {
    struct bench_run *run;
    const struct pool_kind *kind;
    void *pool;
    struct samples samples;
    uint64_t wall_ns, cpu_ns;
    bool lost;
};

static void hand_in(void *arg, unsigned index)
{
    struct asked *asked = arg;
    struct wake wake = {0};
    uint64_t random = 88172645463325252u;
    uint64_t when_ns = monotonic_ns();
    bool busy = asked->run->values[0] != 0;
    (void)index;
    for (int64_t i = bench_quick ? 0 : -WARM_UP; i < asked->run->iterations && !asked->lost; i++) {
        if (i == 0) {
            asked->wall_ns = monotonic_ns();
            asked->cpu_ns = process_cpu_ns();
        }
        when_ns += (uint64_t)random_exponential(&random, GAP_NS / 2) + (uint64_t)(GAP_NS / 2);
        wait_until(when_ns, busy);
        atomic_store_explicit(&wake.started, 0, memory_order_relaxed);
        uint64_t begin = ticks_now();
        pool_submit_surely(asked->kind, asked->pool, start, &wake);
        uint64_t patience_ns = monotonic_ns() + UINT64_C(2000000000);
        uint64_t started;
        while ((started = atomic_load_explicit(&wake.started, memory_order_acquire)) == 0) {
            wait_until(monotonic_ns() + 20000, busy);
            asked->lost = asked->lost || monotonic_ns() > patience_ns;
            if (asked->lost) {
                break;
            }
        }
        if (i >= 0) {
            samples_add(&asked->samples, started - begin);
        }
        if (asked->kind->submitter_idle != NULL) {
            asked->kind->submitter_idle(asked->pool);
        }
    }
    asked->wall_ns = monotonic_ns() - asked->wall_ns;
    asked->cpu_ns = process_cpu_ns() - asked->cpu_ns;
}

static void run(struct bench_run *run)
{
    struct asked asked = {.run = run};
    asked.pool = pool_of_run(run, &asked.kind);
    if (asked.pool == NULL) {
        return;
    }
    if (!samples_init(&asked.samples, (size_t)run->iterations)) {
        bench_not_measured(run, "no memory");
        return;
    }
    struct crew_hooks hooks = {asked.kind->submitter_begin, asked.kind->submitter_end, asked.pool};
    (void)crew_run(1, hand_in, &asked, &hooks);
    if (asked.lost) {
        bench_not_measured(run, "a task did not begin within two seconds");
    }
    run->seconds = (double)asked.wall_ns / 1e9;
    samples_tell(&asked.samples, run, "");
    bench_figure(run, "cpu_pct", 100.0 * (double)asked.cpu_ns / (double)asked.wall_ns);
    samples_fini(&asked.samples);
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{0}, {1}};

const struct bench_question question_wake = {
    .name = "wake",
    .asks = "one task to an idle pool, some 200 us apart: submit to start",
    .contender = pool_name,
    .contender_key = "pool",
    .keys = {"busy"},
    .variants = variants,
    .variant_count = 2,
    .iterations = 3000,
    .run = run,
    .compared = {"p50_ns", "p99_ns", "p999_ns", "cpu_pct"},
    .leave = pool_leave,
};
