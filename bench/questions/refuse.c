/*
 * What a refusal costs who is refused: all workers are held in a task, the queue is full. One
 * iteration is one refused submit. The hint when to come back is asked for apart.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <pthread.h>

/* Whoever waits here takes no processor from who measures. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static bool held;

static void hold(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&lock);
    while (held) {
        (void)pthread_cond_wait(&let_go, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
    done_one();
}

static void set_held(bool value)
{
    (void)pthread_mutex_lock(&lock);
    held = value;
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_cond_broadcast(&let_go);
}

static void run(struct bench_run *run)
{
    const struct pool_kind *kind;
    void *pool = pool_of_run(run, &kind);
    if (pool == NULL) {
        return;
    }
    done_reset();
    set_held(true);
    uint64_t accepted = 0, until_ns = monotonic_ns() + UINT64_C(300000000);
    /* Full, and still full a moment later, when nobody takes another one. */
    for (unsigned refused = 0; refused < 100;) {
        bool taken = kind->submit(pool, hold, &held);
        accepted += taken;
        refused = taken ? 0 : refused + 1;
        if (!taken) {
            sleep_until_ns(monotonic_ns() + 100000);
        }
        if (monotonic_ns() > until_ns + UINT64_C(5000000000)) {
            bench_not_measured(run, "it would not fill up");
            break;
        }
    }
    uint64_t others = 0, begin = ticks_now();
    for (int64_t i = 0; i < run->iterations && run->why_not[0] == '\0'; i++) {
        bool taken = kind->submit(pool, hold, &held);
        others += taken;
    }
    double ns = ticks_ns(ticks_now() - begin);
    set_held(false);
    done_wait(accepted + others);
    run->seconds = ns / 1e9;
    bench_figure(run, "refusal_ns", ns / (double)run->iterations);
    bench_figure(run, "taken_after_all", (double)others);
}

static bool applies(const int64_t *values, size_t contender)
{
    (void)values;
    return pool_kinds[contender]->bounded && !pool_kinds[contender]->thread_a_task &&
           !pool_kinds[contender]->spins;
}

const struct bench_question question_refuse = {
    .name = "refuse",
    .asks = "a submit that is refused because the queue is full",
    .contender = pool_name,
    .contender_key = "pool",
    .run = run,
    .applies = applies,
    .compared = {"refusal_ns"},
    .leave = pool_leave,
};
