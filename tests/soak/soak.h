/*
 * What the parts of numapool-soak share: the options, the pool of the current life, the threads that
 * use it, and what went wrong. The program sees the library through its public header only.
 */
#ifndef TESTS_SOAK_SOAK_H
#define TESTS_SOAK_SOAK_H

#include <numapool/numapool.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SOAK_MS UINT64_C(1000000)
#define SOAK_PRODUCERS_MAX 64
#define SOAK_THREADS_SEEN 1024

/* Kinds of tasks. Each second puts stress on one of them. */
enum soak_kind {
    SOAK_PLAIN, /* in batches */
    SOAK_SINGLE,
    SOAK_GROUP,
    SOAK_DEADLINE,
    SOAK_SCRATCH,
    SOAK_REMOTE_FREE,
    SOAK_BLOCK,
    SOAK_EXIT,
    SOAK_SPAWN,
    SOAK_CARELESS, /* waits and does not say so */
    SOAK_KINDS,
};

struct soak_options {
    uint64_t tasks;
    uint64_t seconds; /* 0 = no limit */
    uint64_t seed;
    uint64_t period_ns; /* of each fault */
    unsigned producers;
    bool quiet;
};

struct soak {
    struct soak_options options;

    /* of the current life */
    numapool *pool;
    unsigned nodes;
    unsigned budget_most;
    bool ends_drained; /* else what is queued at the end is dropped */
    atomic_int stop;
    atomic_int pause;       /* producers hand nothing in */
    atomic_int read_always; /* readers do not rest */
    atomic_int stressed;    /* enum soak_kind */

    /* over all lives */
    _Atomic uint64_t accepted, refused, spawned, spawned_refused, remote_frees, groups;
    _Atomic uint64_t freezes, signals, forks, pools_beside, budgets, reads, told;
    _Atomic uint64_t violations;

    pthread_t producers[SOAK_PRODUCERS_MAX];
    atomic_int producer_tids[SOAK_PRODUCERS_MAX];
    atomic_int worker_tids[SOAK_THREADS_SEEN]; /* the last that were seen; some may have ended */
    atomic_uint workers_seen;
};

extern struct soak soak;

/* Counts and prints the first of them. */
void soak_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SOAK_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            soak_violation("%s:%d: %s", __FILE__, __LINE__, #condition);                           \
        }                                                                                          \
    } while (0)

uint64_t soak_now_ns(void);
void soak_sleep_ns(uint64_t ns);
uint32_t soak_draw(uint64_t *state);

#endif
