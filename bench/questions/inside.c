/*
 * Tasks that hand in tasks. One iteration is TASKS of them, counted when the last has ended.
 * shape:0, one task hands in all the others; shape:1, each hands in two more (a binary tree); shape:2, the
 * same tree, where each waits for its two: by a group of the pool, in pools that have such.
 * A task that is refused runs its child itself, as a program would; inline_pct says how many.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <stdatomic.h>

#define DEPTH 9
#define TASKS ((1u << (DEPTH + 1)) - 1)

enum shape { FAN_OUT, TREE, JOINED };

static struct {
    const struct pool_kind *kind;
    void *pool;
    _Atomic uint64_t inlined, failed;
} now;

/* A node of the tree is told by its depth: tasks get the address of it. */
static char depth_mark[DEPTH + 1];

static void leaf(void *arg)
{
    (void)arg;
    done_one();
}

static void call(pool_fn *run, void *arg)
{
    if (!now.kind->submit(now.pool, run, arg)) {
        atomic_fetch_add(&now.inlined, 1);
        run(arg);
    }
}

static void fan_out(void *arg)
{
    for (unsigned i = 1; i < TASKS; i++) {
        call(leaf, arg);
    }
    done_one();
}

static void branch(void *arg)
{
    char *depth = arg;
    if (depth < depth_mark + DEPTH) {
        call(branch, depth + 1);
        call(branch, depth + 1);
    }
    done_one();
}

static void join(void *arg)
{
    char *depth = arg;
    if (depth < depth_mark + DEPTH) {
        int called = now.kind->submit_and_join(now.pool, join, depth + 1, 2);
        if (called < 0) {
            atomic_fetch_add(&now.failed, 1);
        } else {
            atomic_fetch_add(&now.inlined, (uint64_t)called);
        }
    }
    done_one();
}

static void run(struct bench_run *run)
{
    now.pool = pool_of_run(run, &now.kind);
    if (now.pool == NULL) {
        return;
    }
    static pool_fn *const first[] = {fan_out, branch, join};
    done_reset();
    atomic_store(&now.inlined, 0);
    atomic_store(&now.failed, 0);
    uint64_t begin = ticks_now();
    for (int64_t i = 0; i < run->iterations; i++) {
        pool_submit_surely(now.kind, now.pool, first[run->values[0]], depth_mark);
        done_wait((uint64_t)(i + 1) * TASKS);
    }
    run->seconds = ticks_ns(ticks_now() - begin) / 1e9;
    double tasks = (double)run->iterations * TASKS;
    bench_figure(run, "tasks_per_s", tasks / run->seconds);
    bench_figure(run, "inline_pct", 100.0 * (double)atomic_load(&now.inlined) / tasks);
    if (atomic_load(&now.failed) != 0) {
        bench_not_measured(run, "tasks could not be waited for");
    }
}

static bool applies(const int64_t *values, size_t contender)
{
    const struct pool_kind *kind = pool_kinds[contender];
    if (values[0] == JOINED) {
        return kind->submit_and_join != NULL;
    }
    /* GLib's has one function for all tasks: a tree is possible, a leaf of another kind is not. */
    return !kind->outside_only && !kind->thread_a_task &&
           (!kind->one_function || values[0] == TREE);
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{FAN_OUT}, {TREE}, {JOINED}};

const struct bench_question question_inside = {
    .name = "inside",
    .asks = "tasks that hand in tasks: all from one, a tree, a tree joined by groups",
    .contender = pool_name,
    .contender_key = "pool",
    .keys = {"shape"},
    .variants = variants,
    .variant_count = sizeof variants / sizeof variants[0],
    .run = run,
    .applies = applies,
    .compared = {"tasks_per_s", "inline_pct"},
    .leave = pool_leave,
};
