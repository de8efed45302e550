/* Concurrency Kit's parts put together: ck_ring for many to many, and its event count to sleep on. */
#include "pools/pool.h"

#include <ck_ec.h>
#include <ck_ring.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 4096u

struct task {
    pool_fn *run;
    void *arg;
};

CK_RING_PROTOTYPE(task, task)

struct ck_pool {
    ck_ring_t ring;
    _Alignas(128) struct ck_ec32 published;
    struct task tasks[SLOTS];
    atomic_bool stop;
    unsigned count;
    pthread_t threads[];
};

static int now(const struct ck_ec_ops *ops, struct timespec *out)
{
    (void)ops;
    return clock_gettime(CLOCK_MONOTONIC, out);
}

static void wait32(const struct ck_ec_wait_state *state, const uint32_t *word, uint32_t expected,
                   const struct timespec *deadline)
{
    (void)state;
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline, NULL,
                  FUTEX_BITSET_MATCH_ANY);
}

static void wake32(const struct ck_ec_ops *ops, const uint32_t *word)
{
    (void)ops;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL, 0);
}

static const struct ck_ec_ops ops = {.gettime = now, .wait32 = wait32, .wake32 = wake32};
static const struct ck_ec_mode mode = {.ops = &ops, .single_producer = false};

static void *worker_main(void *arg)
{
    struct ck_pool *pool = arg;
    for (;;) {
        struct task task;
        uint32_t seen = ck_ec32_value(&pool->published);
        if (CK_RING_DEQUEUE_MPMC(task, &pool->ring, pool->tasks, &task)) {
            task.run(task.arg);
        } else if (atomic_load(&pool->stop)) {
            return NULL;
        } else {
            (void)ck_ec32_wait(&pool->published, &mode, seen, NULL);
        }
    }
}

static bool submit(void *arg, pool_fn *run, void *task_arg)
{
    struct ck_pool *pool = arg;
    struct task task = {run, task_arg};
    if (!CK_RING_ENQUEUE_MPMC(task, &pool->ring, pool->tasks, &task)) {
        return false;
    }
    ck_ec32_inc(&pool->published, &mode);
    return true;
}

static void destroy(void *arg)
{
    struct ck_pool *pool = arg;
    atomic_store(&pool->stop, true);
    ck_ec32_inc(&pool->published, &mode);
    for (unsigned i = 0; i < pool->count; i++) {
        (void)pthread_join(pool->threads[i], NULL);
    }
    free(pool);
}

static void *create(unsigned workers, const char **why)
{
    size_t bytes = sizeof(struct ck_pool) + workers * sizeof(pthread_t);
    struct ck_pool *pool = aligned_alloc(128, (bytes + 127) / 128 * 128);
    if (pool == NULL) {
        return NULL;
    }
    ck_ring_init(&pool->ring, SLOTS);
    ck_ec32_init(&pool->published, 0);
    atomic_init(&pool->stop, false);
    pool->count = 0;
    while (pool->count < workers) {
        if (pthread_create(&pool->threads[pool->count], NULL, worker_main, pool) != 0) {
            *why = "no thread";
            destroy(pool);
            return NULL;
        }
        pool->count++;
    }
    return pool;
}

const struct pool_kind pool_ck = {
    .name = "ck",
    .create = create,
    .destroy = destroy,
    .submit = submit,
    .bounded = true,
    .stalls = true,
};
