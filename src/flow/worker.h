/*
 * Stop 4: a worker takes tasks, runs them and parks. Owns the worker's life.
 *
 *                      found                    over the limit
 *        +---------- SEARCHING <-----+       +------------------+
 *        v             |   ^         |       |                  v
 *     RUNNING ---------+   |       woken  RUNNING            PARKED --> LEFT
 *        |   queue empty   |         |                          |   quit: idle too long,
 *        |                 +---------+--------------------------+   or the pool closes
 *        +--> BLOCKED --> RUNNING       block_begin, block_end
 *
 *   RUNNING    holds a permit, runs tasks one after the other        [run_loop]
 *   SEARCHING  holds a permit, looks here, then at other shards,     [search]
 *              spins for a measured while
 *   PARKED     in the gate's stack, holds no permit                  [park]
 *   BLOCKED    inside a task that waits; its permit runs another     [npi_worker_block_begin]
 *              worker meanwhile
 *   LEFT       its thread has ended or is about to                   [quit]
 */
#ifndef NPI_FLOW_WORKER_H
#define NPI_FLOW_WORKER_H

#include "base/cacheline.h"
#include "flow/shard.h"
#include "memory/memory.h"
#include "os/os.h"

/* Scheduler slice asked for the pool's threads: a woken one then preempts a busy waker within it,
   instead of waiting 3 ms behind it. */
#define NPI_SLICE_NS UINT64_C(100000)

/* What a worker says of itself for the watchdog: in the lower bits what it is in besides a task, above
   them a count of its changes and of its parks, so that two looks tell whether it got on. */
enum npi_whereabouts {
    NPI_IN_WAIT = 1,
    NPI_IN_DROP = 2,
    NPI_IN_LEAVE = 3, /* its slot says it sleeps or is free, its permit may be held still */
};
#define NPI_WHEREABOUTS UINT32_C(3)
#define NPI_SIGN (NPI_WHEREABOUTS + 1)

/* What the watchdog saw, and since when. */
struct npi_watch {
    uint64_t done, dropped, started_ticks;
    uint64_t since_ns;      /* 0 = not watched: asleep, or waiting and said so */
    uint64_t tell_after_ns; /* 0 = not told of yet */
    uint32_t signs;
};

struct npi_worker {
    /* set once; thread, tid and joinable belong to control */
    alignas(NPI_APART_BYTES) struct npi_shard *shard;
    uint32_t index;
    struct npi_times *times;
    bool times_shared; /* several workers record there */

    /* owner only */
    uint32_t turn; /* counts the tasks it took: now and then an overdue one's */
    struct npi_item
        item; /* the task in hand; not on the stack: it outlives one that ends its thread */
    struct npi_cursor cursor;
    uint64_t fresh_ticks; /* NPI_CURSOR_FRESH_NS */
    unsigned block_depth;
    bool permit_lent; /* blocked, and its permit given away */
    bool lent;        /* the running task counts in lent_in and lent_out */
    bool searching;   /* how it holds its permit */
    bool dropping;    /* inside a task's drop */
    struct npi_idle idle;
    struct npi_scratch scratch;

    /* written by the owner, read by anybody */
    alignas(NPI_LINE_BYTES) npi_a64 done;
    npi_a64 dropped;
    npi_a32 parting;       /* a task is counted whose group does not know yet */
    npi_a64 run_ticks;     /* sum over tasks that have run */
    npi_a64 spin_ticks;    /* spent looking for tasks before it parked */
    npi_a64 started_ticks; /* of the running task, 0 between tasks */
    npi_a64 function;      /* of the running task, or drop: named when it never returns */
    npi_a32 signs;         /* see above */
    npi_a32 tid;           /* 0 = no thread */

    /* control's */
    alignas(NPI_LINE_BYTES) pthread_t thread;
    bool joinable;
    int usage_fd;
    bool sampled; /* usage_before holds */
    struct npi_thread_usage usage_before;
    uint64_t done_before, run_ticks_before, spin_ticks_before;
    struct npi_watch watch;
};

/* The calling thread's worker, NULL in any other thread. */
extern __thread struct npi_worker *npi_worker_self;

void npi_worker_init(struct npi_worker *worker, struct npi_shard *shard, uint32_t index);

/* Asked by its own thread: is this inside a task's function? Not inside a drop. */
static inline bool npi_worker_in_task(const struct npi_worker *worker)
{
    return npi_a64_load_relaxed(&worker->started_ticks) != 0;
}

/* Body of a worker's thread; arg is its npi_worker. It begins with a permit held, searching. */
void *npi_worker_main(void *arg);

/* Pins a worker's thread (0 = the caller) where the plan wants it: the shard's CPUs, or one of them.
   Not for pools that pin nothing. 0 or a negative errno. */
int npi_worker_place(const struct npi_worker *worker, pid_t tid);

/* The calling thread, as the plan wants it: placed, with the pool's slice. What is not permitted is counted. */
void npi_worker_settle(const struct npi_worker *worker);

/* False: no replacement may run, the permit is kept. Calls nest. */
bool npi_worker_block_begin(struct npi_worker *worker);
void npi_worker_block_end(struct npi_worker *worker);

#endif
