/*
 * The measure of the limit: what it costs to hand a word to another thread at all. A ring for each
 * worker, with a sequence number in each slot (after Vyukov's bounded queue, but for one consumer), and a
 * futex to sleep on. No classes, no bound but the ring's, no statistics, no stealing, no time stamps;
 * a task in the ring of a worker that was preempted waits. Nobody would want it as a pool.
 *
 * A submitter claims its place by compare-and-swap on the tail, fills it, and looks whether the worker
 * sleeps; a worker says that it sleeps and then looks at the tail. Both are sequentially consistent, so
 * one of the two sees the other.
 */
#include "pools/pool.h"
#include "suite/measure.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 4096u
#define APART _Alignas(128)

struct slot {
    _Atomic uint64_t turn; /* position: free; position + 1: filled */
    pool_fn *run;
    void *arg;
};

struct worker {
    APART _Atomic uint64_t tail;
    APART _Atomic uint32_t asleep;
    APART struct slot slots[SLOTS];
    struct bare *bare;
    pthread_t thread;
};

struct bare {
    unsigned count;
    atomic_bool stop;
    atomic_uint dealt;
    struct worker *workers;
};

static __thread unsigned mine; /* the ring this thread prefers, + 1 */

static bool push(struct worker *worker, pool_fn *run, void *arg)
{
    uint64_t tail = atomic_load_explicit(&worker->tail, memory_order_relaxed);
    struct slot *slot;
    for (;;) {
        slot = &worker->slots[tail % SLOTS];
        int64_t ahead = (int64_t)(atomic_load_explicit(&slot->turn, memory_order_acquire) - tail);
        if (ahead < 0) {
            return false;
        }
        if (ahead > 0) {
            tail = atomic_load_explicit(&worker->tail, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak(&worker->tail, &tail, tail + 1)) {
            break;
        }
    }
    slot->run = run;
    slot->arg = arg;
    atomic_store_explicit(&slot->turn, tail + 1, memory_order_release);
    if (atomic_load(&worker->asleep) != 0 && atomic_exchange(&worker->asleep, 0) != 0) {
        (void)syscall(SYS_futex, &worker->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return true;
}

static bool submit(void *pool, pool_fn *run, void *arg)
{
    struct bare *bare = pool;
    if (mine == 0) {
        mine = atomic_fetch_add(&bare->dealt, 1) + 1;
    }
    for (unsigned i = 0; i < bare->count; i++) {
        if (push(&bare->workers[(mine + i) % bare->count], run, arg)) {
            return true;
        }
    }
    return false;
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct bare *bare = worker->bare;
    uint64_t head = 0;
    for (;;) {
        struct slot *slot = &worker->slots[head % SLOTS];
        if (atomic_load_explicit(&slot->turn, memory_order_acquire) == head + 1) {
            pool_fn *run = slot->run;
            void *task = slot->arg;
            atomic_store_explicit(&slot->turn, head + SLOTS, memory_order_release);
            head++;
            run(task);
            continue;
        }
        if (atomic_load(&bare->stop)) {
            return NULL;
        }
        atomic_store(&worker->asleep, 1);
        if (atomic_load(&worker->tail) != head || atomic_load(&bare->stop)) {
            atomic_store(&worker->asleep, 0);
            relax(); /* its submitter is about to fill it */
            continue;
        }
        while (atomic_load(&worker->asleep) != 0) {
            (void)syscall(SYS_futex, &worker->asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
        }
    }
}

static void destroy(void *pool)
{
    struct bare *bare = pool;
    atomic_store(&bare->stop, true);
    for (unsigned i = 0; i < bare->count; i++) {
        atomic_store(&bare->workers[i].asleep, 0);
        (void)syscall(SYS_futex, &bare->workers[i].asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        (void)pthread_join(bare->workers[i].thread, NULL);
    }
    free(bare->workers);
    free(bare);
}

static void *create(unsigned workers, const char **why)
{
    struct bare *bare = calloc(1, sizeof *bare);
    struct worker *list = aligned_alloc(128, workers * sizeof *list);
    if (bare == NULL || list == NULL) {
        free(bare);
        free(list);
        return NULL;
    }
    bare->workers = list;
    for (unsigned i = 0; i < workers; i++) {
        list[i].bare = bare;
        atomic_init(&list[i].tail, 0);
        atomic_init(&list[i].asleep, 0);
        for (unsigned s = 0; s < SLOTS; s++) {
            atomic_init(&list[i].slots[s].turn, s);
        }
        if (pthread_create(&list[i].thread, NULL, worker_main, &list[i]) != 0) {
            *why = "no thread";
            destroy(bare);
            return NULL;
        }
        bare->count++;
    }
    return bare;
}

const struct pool_kind pool_bare = {
    .name = "bare",
    .create = create,
    .destroy = destroy,
    .submit = submit,
    .bounded = true,
};
