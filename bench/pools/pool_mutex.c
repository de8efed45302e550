/* The textbook: one bounded queue, one mutex, one condition variable. */
#include "pools/pool.h"

#include <pthread.h>
#include <stdlib.h>

#define SLOTS 4096u

struct textbook {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct {
        pool_fn *run;
        void *arg;
    } tasks[SLOTS];
    uint64_t head, tail;
    bool stop;
    unsigned count;
    pthread_t threads[];
};

static void *worker_main(void *arg)
{
    struct textbook *pool = arg;
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->head == pool->tail && !pool->stop) {
            (void)pthread_cond_wait(&pool->filled, &pool->lock);
        }
        if (pool->head == pool->tail) {
            (void)pthread_mutex_unlock(&pool->lock);
            return NULL;
        }
        pool_fn *run = pool->tasks[pool->head % SLOTS].run;
        void *task = pool->tasks[pool->head++ % SLOTS].arg;
        (void)pthread_mutex_unlock(&pool->lock);
        run(task);
        (void)pthread_mutex_lock(&pool->lock);
    }
}

static bool submit(void *arg, pool_fn *run, void *task)
{
    struct textbook *pool = arg;
    (void)pthread_mutex_lock(&pool->lock);
    bool room = pool->tail - pool->head < SLOTS;
    if (room) {
        pool->tasks[pool->tail % SLOTS].run = run;
        pool->tasks[pool->tail++ % SLOTS].arg = task;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (room) {
        (void)pthread_cond_signal(&pool->filled);
    }
    return room;
}

static void destroy(void *arg)
{
    struct textbook *pool = arg;
    (void)pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    (void)pthread_mutex_unlock(&pool->lock);
    (void)pthread_cond_broadcast(&pool->filled);
    for (unsigned i = 0; i < pool->count; i++) {
        (void)pthread_join(pool->threads[i], NULL);
    }
    (void)pthread_cond_destroy(&pool->filled);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static void *create(unsigned workers, const char **why)
{
    struct textbook *pool = calloc(1, sizeof *pool + workers * sizeof pool->threads[0]);
    if (pool == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->filled, NULL);
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

const struct pool_kind pool_mutex = {
    .name = "mutex",
    .create = create,
    .destroy = destroy,
    .submit = submit,
    .bounded = true,
};
