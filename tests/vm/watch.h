/*
 * What the pool's own tests in the emulated machine share: one child process per test, a pool's log
 * lines, its threads as the kernel lists them, tasks that stay until they are let go, and waiting for
 * a fact. Knows numapool.h only; a test that has to look at a private address includes what it needs.
 *
 * Every test runs in a forked child: filters and control groups cannot be taken off again, and a pool
 * that hangs or is killed must not take the other tests with it. A check that fails says what was
 * expected and ends the child.
 */
#ifndef NUMAPOOL_TESTS_VM_WATCH_H
#define NUMAPOOL_TESTS_VM_WATCH_H

#include "vm/where.h"

#include <numapool/numapool.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

_Noreturn void watch_failed(const char *file, int line, const char *condition);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            watch_failed(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

void watch_equal(const char *file, int line, const char *what, uint64_t is, uint64_t expected);

#define CHECK_EQUAL(is, expected)                                                                  \
    watch_equal(__FILE__, __LINE__, #is, (uint64_t)(is), (uint64_t)(expected))

/* Looks again and again until the condition holds. The bound is far above anything a busy host has
   been seen to need, and below the runner's own limit, so that what did not come true is named. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t await_end_ns = watch_end_ns();                                                    \
        while (!(condition)) {                                                                     \
            if (!watch_pause(await_end_ns)) {                                                      \
                watch_failed(__FILE__, __LINE__, "within the time: " #condition);                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

uint64_t watch_end_ns(void);
bool watch_pause(uint64_t end_ns); /* some milliseconds; false when the time is over */

/* cmocka entries: the function in a child, and in a child that is in a fresh control group. */
#define WATCH_TEST(name) WATCH_TEST_TEARDOWN(name, NULL)
#define WATCH_TEST_TEARDOWN(name, teardown)                                                        \
    {                                                                                              \
#name, watch_in_child, NULL, (teardown), (void *)(uintptr_t)(name)                         \
    }
#define WATCH_GROUP_TEST(name)                                                                     \
    {                                                                                              \
#name, watch_in_group, NULL, NULL, (void *)(uintptr_t)(name)                               \
    }
#define WATCH_GROUP "watch"
void watch_in_child(void **state);
void watch_in_group(void **state);

/* Returns 77 with the reason printed unless this is the guest of that shape, else 0. */
int watch_shape(const char *shape);

/* ------------------------------------------------------------------------------- a pool */

/* A configuration for tests: 16 workers, 64 MiB, no bound on delay, nothing shed, and its log lines
   kept where watch_logged() finds them. */
void watch_config(struct numapool_config *config);
numapool *watch_create(const struct numapool_config *config); /* NULL = watch_config()'s */
void watch_destroy(numapool *pool); /* drains, checks the sums, destroys */

unsigned watch_logged(const char *part); /* lines of this process that contain it; "" = all */

struct numapool_shard_stats watch_shard(numapool *pool, size_t shard);
struct numapool_stats watch_pool(numapool *pool);

/* Submits to a node and nowhere else, whatever the queue. */
void watch_on_node(numapool *pool, int node, numapool_fn *run, void *arg);

/* The kernel's number of a shard's memory node. */
unsigned watch_node_of(numapool *pool, size_t shard);

/* Every thread of the shard may run on these CPUs ("4-5") and no others. Threads are found by their
   names, so there may be one pool only. False also when there is no worker or no control thread. */
bool watch_pinned(size_t shard, const char *cpus);
bool watch_pinned_set(size_t shard, const struct where_set *cpus);
/* Every worker of the shard may run on exactly one CPU, and that is of these. */
bool watch_pinned_single(size_t shard, const char *cpus);

/* -------------------------------------------------------------------------------- tasks */

/* Tasks that have begun and wait to be let go. */
struct watch_hold {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned inside, inside_max; /* now, and at most so far */
    unsigned begun;              /* ever */
    bool open;
};

#define WATCH_HOLD                                                                                 \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                     \
    }

void watch_hold_task(void *hold);
unsigned watch_inside(struct watch_hold *hold);
void watch_let_go(struct watch_hold *hold);

void watch_nothing(void *arg); /* a task that returns at once */

/* ------------------------------------------------------------------------------- memory */

/* Some page of the range is there, and none on another node. */
bool watch_only_on(const void *start, size_t bytes, unsigned node);

#endif
