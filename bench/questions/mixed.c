/*
 * Tasks of so many microseconds of CPU, arriving at random (Poisson) at so many percent of what the CPUs
 * can do. The thread that submits has the first CPU to itself; the pool has the others. Sojourn is
 * from the intended arrival to the end, and slowdown that by the task's own time. Beside it stands what
 * as many ideal servers with one queue and no cost would have made of the same arrivals (M/D/k).
 * Arrivals of the first tenth of a second are not counted: pools that adapt learn what comes. One
 * iteration is one task.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS_MAX 256
#define WARM_UP_NS 100000000.0 /* of arrivals */
#define RUN_NS 150000000.0     /* of those that are counted */

struct arrival {
    uint64_t intended; /* ticks */
    _Atomic uint64_t ended;
    uint64_t turns;
};

static void serve(void *arg)
{
    struct arrival *arrival = arg;
    work(arrival->turns);
    atomic_store_explicit(&arrival->ended, ticks_now(), memory_order_release);
    done_one();
}

static void serve_in_a_thread(void *arg)
{
    struct arrival *arrival = arg;
    work(arrival->turns);
    atomic_store_explicit(&arrival->ended, ticks_now(), memory_order_release);
    done_one_of_many_threads();
}

struct asked {
    const struct pool_kind *kind;
    void *pool;
    struct arrival *arrivals;
    size_t count, first; /* the first that is counted */
    uint64_t late;       /* ticks, of the worst submit */
    uint64_t lost;
};

static void hand_in(void *arg, unsigned index)
{
    struct asked *asked = arg;
    pool_fn *run = asked->kind->thread_a_task ? serve_in_a_thread : serve;
    uint64_t begin = ticks_now();
    (void)index;
    for (size_t i = 0; i < asked->count; i++) {
        struct arrival *arrival = &asked->arrivals[i];
        arrival->intended += begin;
        while ((int64_t)(ticks_now() - arrival->intended) < 0) {
            relax();
        }
        uint64_t late = ticks_now() - arrival->intended;
        asked->late = late > asked->late ? late : asked->late;
        if (!asked->kind->submit(asked->pool, run, arrival)) {
            atomic_store(&arrival->ended, UINT64_MAX);
            asked->lost++;
        }
    }
}

/* The ideal: whoever is free first takes the next. */
static void ideal(const struct asked *asked, unsigned servers, uint64_t service,
                  struct samples *samples)
{
    uint64_t free_at[SERVERS_MAX] = {0};
    servers = servers < SERVERS_MAX ? servers : SERVERS_MAX;
    for (size_t i = 0; i < asked->count; i++) {
        unsigned first = 0;
        for (unsigned s = 1; s < servers; s++) {
            first = free_at[s] < free_at[first] ? s : first;
        }
        uint64_t at = asked->arrivals[i].intended;
        uint64_t start = free_at[first] > at ? free_at[first] : at;
        free_at[first] = start + service;
        if (i >= asked->first) {
            samples_add(samples, free_at[first] - at);
        }
    }
}

static void tell(struct bench_run *run, struct asked *asked, double service_ns,
                 struct samples *samples)
{
    for (size_t i = asked->first; i < asked->count; i++) {
        uint64_t ended = atomic_load(&asked->arrivals[i].ended);
        if (ended != UINT64_MAX) {
            samples_add(samples, ended - asked->arrivals[i].intended);
        }
    }
    samples_tell(samples, run, "");
    double p99 = samples_percentile_ns(samples, 0.99);
    samples->count = 0;
    ideal(asked, cpus_allowed() - 1, ticks_of_ns(service_ns), samples);
    samples_sort(samples);
    double least = samples_percentile_ns(samples, 0.99);
    bench_figure(run, "slowdown_p99", p99 / service_ns);
    bench_figure(run, "ideal_p99_ns", least);
    bench_figure(run, "slowdown_to_ideal", p99 / least);
    bench_figure(run, "refused_pct", 100.0 * (double)asked->lost / (double)asked->count);
    bench_figure(run, "late_max_ns", ticks_ns(asked->late));
}

static void run(struct bench_run *run)
{
    double service_ns = 1000.0 * (double)run->values[0];
    double load = (double)run->values[1] / 100.0;
    uint64_t turns = work_turns(service_ns);
    if (!cpus_take_first_away()) {
        bench_not_measured(run, "one CPU: not measured, the arrivals need one");
        return;
    }
    struct asked asked = {0};
    asked.pool = pool_of_run(run, &asked.kind);
    double gap_ns = service_ns / load / (double)(cpus_allowed() - 1);
    double shorter = bench_quick ? 30.0 : 1.0;
    asked.first = (size_t)(WARM_UP_NS / shorter / gap_ns);
    asked.count = asked.first + (size_t)(RUN_NS / shorter / gap_ns);
    asked.arrivals = calloc(asked.count, sizeof *asked.arrivals);
    struct samples samples = {0};
    if (asked.pool == NULL || asked.arrivals == NULL || !samples_init(&samples, asked.count)) {
        cpus_all_again();
        free(asked.arrivals);
        return;
    }
    uint64_t random = 88172645463325252u;
    double at_ns = 0;
    for (size_t i = 0; i < asked.count; i++) {
        at_ns += random_exponential(&random, gap_ns);
        asked.arrivals[i].intended = ticks_of_ns(at_ns);
        asked.arrivals[i].turns = turns;
    }
    done_reset();
    (void)cpus_first_alone();
    struct crew_hooks hooks = {asked.kind->submitter_begin, asked.kind->submitter_end, asked.pool};
    uint64_t begin = crew_run(1, hand_in, &asked, &hooks);
    done_wait(asked.count - asked.lost);
    run->seconds = ticks_ns(ticks_now() - begin) / 1e9;
    cpus_all_again();
    tell(run, &asked, service_ns, &samples);
    samples_fini(&samples);
    free(asked.arrivals);
}

/* A thread for each microsecond of work only shows that it cannot be done. */
static bool applies(const int64_t *values, size_t contender)
{
    return !pool_kinds[contender]->thread_a_task || values[0] >= 100;
}

static const int64_t variants[][BENCH_KEYS_MAX] = {
    {1, 50}, {1, 80}, {1, 95}, {10, 50}, {10, 80}, {10, 95}, {100, 50}, {100, 80}, {100, 95}};

const struct bench_question question_mixed = {
    .name = "mixed",
    .asks = "tasks of CPU time, arriving at random at a share of what the CPUs can do",
    .contender = pool_name,
    .contender_key = "pool",
    .keys = {"us", "load"},
    .variants = variants,
    .variant_count = sizeof variants / sizeof variants[0],
    .iterations = 1,
    .run = run,
    .applies = applies,
    .compared = {"p50_ns", "p99_ns", "slowdown_to_ideal", "refused_pct"},
    .leave = pool_leave,
};
