/*
 * One node from another, for every pair: a thread on node `from` submits to node `to`, and a task on node
 * `from` works on memory that lives on node `to`. One iteration is a round of everything.
 *   submit_ns       the call alone
 *   round_trip_ns   submit to the word that the task wrote seen, median
 *   chase_ns        a load that depends on the one before, over CHASE_BYTES in random order
 *   stream_gb_per_s STREAM_BYTES read in order
 *   scratch_gb_per_s the same over the task's scratch memory, which lives where it runs: from = to
 * A machine text in NUMAPOOL_MACHINE makes nodes that are none: good to see it work, not for figures.
 */
#include "questions/questions.h"
#include "suite/measure.h"

#include <numapool/numapool.h>

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NODES_MAX 8
#define TURNS 2000
#define CHASE_BYTES ((size_t)8 << 20)
#define STREAM_BYTES ((size_t)32 << 20)
#define LINE 64

static numapool *pool;

static size_t node_count(void)
{
    static size_t count;
    numapool *asked = NULL;
    if (count == 0) {
        if (numapool_create(&asked, NULL, NULL) != NUMAPOOL_OK) {
            return 1;
        }
        count = numapool_node_count(asked);
        (void)numapool_destroy(asked);
    }
    return count;
}

static bool applies(const int64_t *values, size_t contender)
{
    size_t nodes = node_count();
    bool there = (size_t)values[0] < nodes && (size_t)values[1] < nodes;
    (void)contender;
    /* On one node the first pair of two stays, and says why it is not measured. */
    return there || (nodes == 1 && values[0] == 0 && values[1] == 1);
}

struct job {
    unsigned from, to;
    void (*body)(struct job *job);
    sem_t done;
    void *memory;
    size_t bytes;
    double ns;
    double submit_ns, round_trip_ns;
    bool failed;
};

static void call_body(void *arg)
{
    struct job *job = arg;
    job->body(job);
    (void)sem_post(&job->done);
}

/* Runs the body in a task that stays on a node. */
static bool on_node(struct job *job, unsigned node, void (*body)(struct job *job))
{
    struct numapool_task task = {.run = call_body,
                                 .arg = job,
                                 .node = (int)node,
                                 .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
    job->body = body;
    if (numapool_submit_task(pool, &task) != NUMAPOOL_OK) {
        job->failed = true;
        return false;
    }
    while (sem_wait(&job->done) != 0) {
    }
    return !job->failed;
}

/* ---- a thread on `from`, which is a task there, submits to `to` */
static void finish(void *arg)
{
    atomic_store_explicit((_Atomic uint64_t *)arg, 1, memory_order_release);
}

static void turns(struct job *job)
{
    _Alignas(128) _Atomic uint64_t seen = 0;
    struct numapool_task task = {.run = finish,
                                 .arg = &seen,
                                 .node = (int)job->to,
                                 .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
    struct samples calls, trips;
    if (!samples_init(&calls, TURNS) || !samples_init(&trips, TURNS)) {
        job->failed = true;
        return;
    }
    for (unsigned i = 0; i < (bench_quick ? 20 : TURNS) && !job->failed; i++) {
        atomic_store_explicit(&seen, 0, memory_order_relaxed);
        uint64_t begin = ticks_now();
        job->failed = numapool_submit_task(pool, &task) != NUMAPOOL_OK;
        samples_add(&calls, ticks_now() - begin);
        while (!job->failed && atomic_load_explicit(&seen, memory_order_acquire) == 0) {
            relax();
        }
        samples_add(&trips, ticks_now() - begin);
    }
    samples_sort(&calls);
    samples_sort(&trips);
    job->submit_ns = samples_percentile_ns(&calls, 0.5);
    job->round_trip_ns = samples_percentile_ns(&trips, 0.5);
    samples_fini(&calls);
    samples_fini(&trips);
}

/* ---- a task on `from` and memory of `to` */
static void lay_chase(struct job *job)
{
    /* One cycle through all lines (Sattolo's shuffle), so that no line comes early again. */
    size_t lines = job->bytes / LINE;
    uint64_t random = 88172645463325252u;
    size_t *order = malloc(lines * sizeof *order);
    if (order == NULL) {
        job->failed = true;
        return;
    }
    for (size_t i = 0; i < lines; i++) {
        order[i] = i;
    }
    for (size_t i = lines - 1; i > 0; i--) {
        size_t j = random_next(&random) % i, kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    char *memory = job->memory;
    for (size_t i = 0; i < lines; i++) {
        *(void **)(memory + order[i] * LINE) = memory + order[(i + 1) % lines] * LINE;
    }
    free(order);
}

static void chase(struct job *job)
{
    size_t lines = job->bytes / LINE;
    void **at = job->memory;
    uint64_t begin = ticks_now();
    for (size_t i = 0; i < lines; i++) {
        at = *at;
    }
    __asm__ volatile("" : : "r"(at));
    job->ns = ticks_ns(ticks_now() - begin) / (double)lines;
}

static void fill(struct job *job)
{
    uint64_t *words = job->memory;
    for (size_t i = 0; i < job->bytes / sizeof *words; i++) {
        words[i] = i;
    }
}

static void stream(struct job *job)
{
    const uint64_t *words = job->memory;
    uint64_t sums[4] = {0};
    uint64_t begin = ticks_now();
    for (size_t i = 0; i + 4 <= job->bytes / sizeof *words; i += 4) {
        for (unsigned k = 0; k < 4; k++) {
            sums[k] += words[i + k];
        }
    }
    __asm__ volatile("" : : "r"(sums[0] + sums[1] + sums[2] + sums[3]));
    job->ns = ticks_ns(ticks_now() - begin);
}

static void stream_scratch(struct job *job)
{
    job->memory = numapool_scratch(job->bytes);
    job->failed = job->memory == NULL;
    if (!job->failed) {
        fill(job);
        stream(job);
    }
}

static void over_memory(struct bench_run *run, struct job *job, size_t bytes,
                        void (*lay)(struct job *job), void (*body)(struct job *job),
                        const char *name, bool rate)
{
    job->memory = numapool_alloc(pool, (int)job->to, bytes);
    job->bytes = bytes;
    if (job->memory != NULL && on_node(job, job->to, lay) && on_node(job, job->from, body)) {
        bench_figure(run, name, rate ? (double)bytes / job->ns : job->ns);
    } else {
        bench_not_measured(run, "no memory on node %u", job->to);
    }
    numapool_free(pool, job->memory);
}

static void measure_pair(struct bench_run *run, struct job *job)
{
    if (!on_node(job, job->from, turns)) {
        bench_not_measured(run, "a task for one node was refused");
        return;
    }
    bench_figure(run, "submit_ns", job->submit_ns);
    bench_figure(run, "round_trip_ns", job->round_trip_ns);
    over_memory(run, job, CHASE_BYTES, lay_chase, chase, "chase_ns", false);
    over_memory(run, job, STREAM_BYTES, fill, stream, "stream_gb_per_s", true);
    if (job->from == job->to && run->why_not[0] == '\0') {
        job->bytes = STREAM_BYTES;
        if (on_node(job, job->from, stream_scratch)) {
            bench_figure(run, "scratch_gb_per_s", (double)STREAM_BYTES / job->ns);
        }
    }
}

static void run(struct bench_run *run)
{
    struct job job = {.from = (unsigned)run->values[0], .to = (unsigned)run->values[1]};
    struct numapool_error error = {0};
    if (job.to >= node_count()) {
        bench_not_measured(run, "one node: not measured");
        return;
    }
    if (pool == NULL && numapool_create(&pool, NULL, &error) != NUMAPOOL_OK) {
        bench_not_measured(run, "no pool: %s", error.text);
        return;
    }
    (void)sem_init(&job.done, 0, 0);
    uint64_t begin = ticks_now();
    for (int64_t i = 0; i < run->iterations && run->why_not[0] == '\0'; i++) {
        run->figure_count = 0; /* of the last round */
        measure_pair(run, &job);
    }
    run->seconds = ticks_ns(ticks_now() - begin) / 1e9;
    (void)sem_destroy(&job.done);
}

static void leave(void)
{
    (void)numapool_destroy(pool);
    pool = NULL;
}

#define ROW(from)                                                                                  \
    {from, 0}, {from, 1}, {from, 2}, {from, 3}, {from, 4}, {from, 5}, {from, 6},                   \
    {                                                                                              \
        from, 7                                                                                    \
    }
static const int64_t variants[][BENCH_KEYS_MAX] = {ROW(0), ROW(1), ROW(2), ROW(3),
                                                   ROW(4), ROW(5), ROW(6), ROW(7)};

const struct bench_question question_nodes = {
    .name = "nodes",
    .asks = "submitting to another node, and its memory, for every pair of (at most 8) nodes",
    .keys = {"from", "to"},
    .variants = variants,
    .variant_count = sizeof variants / sizeof variants[0],
    .iterations = 1,
    .run = run,
    .applies = applies,
    .compared = {"submit_ns", "round_trip_ns", "chase_ns", "stream_gb_per_s", "scratch_gb_per_s"},
    .leave = leave,
};
