/*
 * What is measured side by side: pools of threads behind one submit call. Each kind does what its
 * documentation would have a user do; none gets what the others do not, except that every pool is asked
 * for as many workers as there are CPUs, and numapool is left to find that out.
 */
#ifndef BENCH_POOL_H
#define BENCH_POOL_H

#include "suite/bench.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void pool_fn(void *arg); /* arg is never NULL */

struct pool_kind {
    const char *name;
    /* Returns NULL, and a reason, when it cannot be had. */
    void *(*create)(unsigned workers, const char **why);
    void (*destroy)(void *pool); /* when all tasks have ended */
    /* False: refused, nothing was queued. */
    bool (*submit)(void *pool, pool_fn *run, void *arg);
    /* Tasks with the same function and argument, as many as were accepted; NULL: it has no such call. */
    size_t (*submit_batch)(void *pool, pool_fn *run, void *arg, size_t count);
    /* In a task: as many tasks of this function and argument, and waits for them. Returns how many were
       refused and so called, or -1: they could not be waited for. NULL: it has no such wait. */
    int (*submit_and_join)(void *pool, pool_fn *run, void *arg, int count);
    /* Around the life of each thread that submits; NULL where nothing is needed. */
    void (*submitter_begin)(void *pool);
    void (*submitter_end)(void *pool);
    void (*submitter_idle)(void *pool); /* now and then while a submitter waits for its tasks */
    bool bounded;                       /* its queue has a bound, so it can refuse */
    bool thread_a_task;                 /* threads come and go with each task */
    bool one_function;                  /* the same for all tasks of the pool */
    bool outside_only;                  /* a task may not submit */
    bool stalls; /* one submitter that is preempted inside it stops all: with more threads than
                           CPUs that is for a time slice, again and again */
    bool spins;  /* its workers keep CPUs busy while they wait */
};

extern const struct pool_kind pool_bare, pool_numapool, pool_numapool_spin, pool_mutex, pool_thread;
#ifdef BENCH_TBB
extern const struct pool_kind pool_tbb;
#endif
#ifdef BENCH_GLIB
extern const struct pool_kind pool_glib;
#endif
#ifdef BENCH_UV
extern const struct pool_kind pool_uv;
#endif
#ifdef BENCH_CK
extern const struct pool_kind pool_ck;
#endif

extern const struct pool_kind *const pool_kinds[]; /* the baseline first, NULL at the end */
const char *pool_name(size_t index);               /* a question's contenders */

/* The pool of a run's contender, kept until pool_leave(); NULL and the run not measured. */
void *pool_of_run(struct bench_run *run, const struct pool_kind **kind);
void pool_leave(void);

/* Lets a pool of numapool finish what it accepted, and ends it. */
void pool_numapool_end(struct bench_run *run, void *pool);

/* Submits, again and again while it is refused. */
void pool_submit_surely(const struct pool_kind *kind, void *pool, pool_fn *run, void *arg);

#ifdef __cplusplus
}
#endif

#endif
