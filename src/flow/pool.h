/*
 * What all stops of a pool share. Filled by api/create.c in one piece, read-only afterwards but for
 * the words marked atomic.
 */
#ifndef NPI_FLOW_POOL_H
#define NPI_FLOW_POOL_H

#include "base/atomic.h"
#include "base/cacheline.h"
#include "flow/shard.h"
#include "memory/memory.h"
#include "os/os.h"
#include "policy/balance.h"
#include "policy/params.h"
#include "policy/route.h"
#include "topology/plan.h"

#include <numapool/numapool.h>

#include <pthread.h>

#define NPI_ALIVE UINT64_C(0x6e756d61706f6f6c) /* the fork mark in the parent; in a child it is 0 */

enum npi_phase {
    NPI_PHASE_OPEN,
    NPI_PHASE_DRAINING, /* no new tasks; accepted ones run */
    NPI_PHASE_CLOSING,  /* no new tasks; waiting ones are dropped, workers end */
};

struct npi_balancer {
    pthread_mutex_t
        lock; /* the only lock of the control plane; never held across a system call that waits */
    struct npi_balance_shard *shards;
    struct npi_balance_scratch *scratch;
    uint32_t *quota;
    uint32_t *reach;
    uint64_t last_ns;
};

struct numapool {
    /* set once */
    const uint64_t *alive; /* NPI_ALIVE, 0 in a child of fork() */
    uint64_t id;           /* differs between pools of a process, also one after the other */
    unsigned shard_count;
    unsigned node_count;
    struct npi_shard **shards;
    struct npi_shard *only;        /* the shard of a pool that has one, else NULL */
    struct npi_route_node *routes; /* by node */
    struct npi_plan *plan;
    struct npi_space *space;
    struct npi_policy_params params;
    uint64_t overdue_ticks[NPI_CLASS_COUNT]; /* npi_admit_overdue_ns() */
    struct numapool_config config;           /* settled: every field has its value */
    char name[5];
    bool adaptive;
    bool follows_quota;     /* cpu.max, also when it changes */
    bool slices_granted;    /* the kernel grants workers a short scheduler slice */
    struct npi_share page;  /* flow/stats_page.h */
    uint32_t budget_max;    /* what worker slots were made for */
    unsigned registry_slot; /* api/registry.h */

    /* shared, seldom written */
    NPI_APART npi_a32 phase; /* enum npi_phase; sc: @pool-closed */
    npi_a32 budget;          /* tasks that may run at once */
    npi_a32 dealt;           /* shards dealt to threads that run on nobody's CPU */

    /* While all is full. Odd: submitters rely on it and refuse at once; who makes room makes it even,
       and then everybody asks again. sc: @room-relied */
    NPI_APART npi_a64 room;

    /* shared, written when threads come and go */
    NPI_APART npi_a32 threads; /* of all shards, workers only; until they are joined */
    npi_a32 blocked;           /* workers that wait inside a task and have a replacement */
    npi_a64 bind_denied;
    npi_a32 drained; /* futex word: changes when a draining shard may have emptied */

    struct npi_balancer balancer;
};

/* A shard's equal part of what the pool has so many of; the first shards have the remainder. */
static inline uint32_t npi_pool_part(const struct numapool *pool, uint32_t whole, unsigned index)
{
    return whole / pool->shard_count + (index < whole % pool->shard_count);
}

/* Threads that may exist at a budget: it, and those that replace waiting ones. */
static inline uint32_t npi_pool_threads_max(const struct numapool *pool, uint32_t budget)
{
    uint32_t quarter = budget / 4;
    return budget + (quarter > pool->shard_count ? quarter : pool->shard_count);
}

/* Somebody has found all shards full, and nothing was taken since. A submitter then only looks: a claim
   of its own looks like a task to others. */
static inline bool npi_pool_is_full(const struct numapool *pool)
{
    return (npi_a64_load_relaxed(&pool->room) & 1) != 0;
}

/* After a task was taken, or something else may have made room. */
static inline void npi_pool_room_made(struct numapool *pool)
{
    uint64_t room = NPI_MUTANT(room_made_relaxed, npi_a64_load_sc(&pool->room),
                               npi_a64_load_relaxed(&pool->room)); /* @room-relied */
    if (__builtin_expect((room & 1) != 0, 0)) {
        /* Fails when somebody else has done it: who relies on a later value has looked since. */
        (void)NPI_MUTANT(room_not_said, npi_a64_cas_sc(&pool->room, &room, room + 1), false);
    }
}

static inline bool npi_pool_forked(const struct numapool *pool)
{
    return *(const volatile uint64_t *)pool->alive == 0;
}

/* One log line, printf-like; drops it below the level the default hook shows. */
void npi_pool_log(const struct numapool *pool, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
