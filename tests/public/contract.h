/*
 * What the contract tests share: checks that any thread may make, things to wait for, counts of what
 * a process holds, and a watchdog. Includes nothing of the library but its public header.
 *
 * A test asserts facts, never how long something took: what has to happen eventually is waited for,
 * and the watchdog turns a wait without an end into a failure with evidence.
 */
#ifndef TESTS_PUBLIC_CONTRACT_H
#define TESTS_PUBLIC_CONTRACT_H

#include <numapool/numapool.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* How often to repeat: what a plain build does, and a build that is ten times slower. */
#define TIMES(plain, sanitized) (SANITIZED ? (sanitized) : (plain))

#define MS UINT64_C(1000000)
#define FOREVER UINT64_MAX

/* --- checks. cmocka's own end a test by longjmp and belong to the main thread; these are for tasks
   and other threads. They print and count; main() returns failure when there were any. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_failed(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)
void check_failed(const char *file, int line, const char *what);

/* Runs the tests under the watchdog and returns what main() has to. */
#define RUN(tests) contract_run(tests, sizeof(tests) / sizeof(tests)[0], __FILE__)
int contract_run(const struct CMUnitTest *tests, size_t count, const char *name);

/* Random numbers that a run prints the seed of and reads back from NUMAPOOL_TEST_SEED. */
uint64_t seed_of_run(void);
uint32_t draw(uint64_t *state);

/* The pools whose numbers the watchdog prints before it aborts the process. */
void watch(numapool *pool);
void unwatch(numapool *pool);

/* --- waiting */
uint64_t now_ns(void); /* CLOCK_MONOTONIC, as deadlines are */
void rest(void);       /* a pause between two looks */
#define EVENTUALLY(condition)                                                                      \
    do {                                                                                           \
        waiting_for(__FILE__, __LINE__, #condition);                                               \
        while (!(condition)) {                                                                     \
            rest();                                                                                \
        }                                                                                          \
        waiting_for(NULL, 0, NULL);                                                                \
    } while (0)
void waiting_for(const char *file, int line, const char *what);

/* A door that opens once. Waiting at it does not tell the pool: it is what a careless task does. */
struct door {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
};
#define DOOR                                                                                       \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false                                 \
    }
void door_open(struct door *door);
void door_shut(struct door *door);
void door_wait(struct door *door);

/* --- a task that keeps its worker busy until the door opens */
struct blocker {
    struct door door;
    atomic_int inside; /* tasks that wait at the door */
    atomic_int left;   /* tasks that went through it */
};
#define BLOCKER                                                                                    \
    {                                                                                              \
        .door = DOOR                                                                               \
    }
void block(void *blocker); /* a numapool_fn */
/* Submits that many and waits until all of them hold a worker. */
void block_workers(numapool *pool, struct blocker *blocker, int count);

/* --- tasks that count */
void count_run(void *atomic_int_); /* a numapool_fn */

/* How often a task ran and was dropped. */
struct fate {
    atomic_int run, dropped;
    atomic_int why; /* of the last drop */
};
void fate_run(void *fate);
void fate_drop(void *fate, int why);
struct numapool_task fate_task(struct fate *fate);

/* --- pools */
struct kind {
    const char *machine; /* NULL: one node with two processors */
    unsigned workers_max;
    uint64_t queue_tasks;
    int mode;
    uint64_t memory_bytes;
};
numapool *make(const struct kind *kind);
numapool *make_with(const struct numapool_config *config);
/* One shard with that many workers, each of them in the blocker. */
numapool *make_blocked(struct blocker *blocker, unsigned workers, uint64_t queue_tasks);
void config_of(struct numapool_config *config, const struct kind *kind);
void finish(numapool *pool); /* drains, checks that everything is accounted for, destroys */

struct numapool_stats stats_of(numapool *pool);
struct numapool_shard_stats shard_stats_of(numapool *pool, size_t shard);
/* True when everything that was accepted has ended. */
bool at_rest(numapool *pool);

/* The bound on waiting tasks of a class, by the header's words. */
uint64_t share_of(uint64_t capacity, int task_class);

/* --- what the process holds */
int threads_now(void); /* with those that were joined and are in their last moment */
int threads_named(const char *prefix);
int workers_named(const char *pool); /* its threads that run tasks: NAME/n0/w000 */
int descriptors_now(void);
int maps_now(void);

const char *machine_of(unsigned nodes); /* text of a machine with that many equal nodes */

#endif
