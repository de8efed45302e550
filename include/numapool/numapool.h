/**
 * numapool: one bounded, adaptive worker pool per NUMA node, behind one submit call.
 *
 * The order of this header is the order of a task's journey: results, configuration, life,
 * submit, groups, inside a task, node-local memory, looking inside.
 *
 * Words
 *   node     a NUMA node that has CPUs, or lends its memory to CPUs that have none. The *node
 *            index* runs 0..count-1 in plan order; the *OS index* is the kernel's and may have holes.
 *   shard    one locality domain's queue and workers: by default one per node.
 *   worker   a thread of the pool.
 *   budget   how many tasks may run at once in the whole pool; a shard's part of it is its *quota*.
 *   home     the shard a task was meant for. *Forwarded*: queued at another shard.
 *            *Stolen*: taken by another shard's worker.
 *
 * The contract. Every accepted task runs exactly once, or its `drop` is called exactly once (if not
 * NULL), before numapool_destroy() returns. A refused submit has no side effect. No call aborts or
 * exits the process, and none waits without a bound unless it is asked to (a timeout of UINT64_MAX),
 * except numapool_destroy() for running tasks.
 *
 * Threads. Every function may be called from any thread, also from inside a task, unless it says
 * otherwise; none but numapool_dump_state() from a signal handler. The one thing the caller has to
 * arrange is that no other thread still uses a pool, a group or a configuration while it is being
 * destroyed.
 *
 * Order. Tasks that one thread submits to one shard in one class are taken by workers in the order of
 * their submits, as long as no submitting thread is preempted in the middle of a submit (then its task
 * alone is late) and no overflow is forwarded. With one worker they start in that order; of several
 * one may be preempted between taking a task and starting it. Starting in order is not finishing in
 * order.
 *
 * Stability. Symbols are versioned; structs begin with their size where they may grow, and grow
 * only at their end; numbers never change their meaning within a major version.
 */
#ifndef NUMAPOOL_NUMAPOOL_H
#define NUMAPOOL_NUMAPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* numapool_stats() and struct numapool_stats */
#endif
#endif

/* The single source of the version; the build reads it from here. */
#define NUMAPOOL_VERSION_MAJOR 0
#define NUMAPOOL_VERSION_MINOR 1
#define NUMAPOOL_VERSION_PATCH 0

#if defined(__GNUC__)
#define NUMAPOOL_API __attribute__((visibility("default")))
#define NUMAPOOL_MUST_USE __attribute__((warn_unused_result))
#else
#define NUMAPOOL_API
#define NUMAPOOL_MUST_USE
#endif

/** The version of the library that is really linked, as "major.minor.patch". Never NULL. */
NUMAPOOL_API const char *numapool_version(void);

/* ---------------------------------------------------------------------------------- results */

/**
 * What functions return. Zero is success and every failure is negative; out-parameters are
 * untouched on failure. The three classes tell the caller what to do about it.
 */
enum numapool_result {
    NUMAPOOL_OK = 0,

    /* Try later. numapool_retry_after_ns() says how much later. */
    NUMAPOOL_E_FULL = -1,     /* home and every permitted target out of room (tasks or bytes) */
    NUMAPOOL_E_SHED = -2,     /* refused by policy: its class's share, or its predicted wait */
    NUMAPOOL_E_DEADLINE = -3, /* would miss its deadline everywhere it may go, or it has passed */
    NUMAPOOL_E_TIMEDOUT = -4, /* a waiting call ran out of time */

    /* Normal. */
    NUMAPOOL_E_CANCELLED = -5, /* its group was cancelled */
    NUMAPOOL_E_CLOSED = -6,    /* draining or destroying has begun */

    /* Your mistake. */
    NUMAPOOL_E_INVALID = -7,  /* bad argument */
    NUMAPOOL_E_DEADLOCK = -8, /* a waiting call from a worker of the same pool that must not wait */
    NUMAPOOL_E_FORKED = -9,   /* used in a child of fork() */
    NUMAPOOL_E_CONFIG = -10,  /* configuration; struct numapool_error lists the mistakes */

    /* The machine. */
    NUMAPOOL_E_NOMEM = -11,  /* out of memory */
    NUMAPOOL_E_SYSTEM = -12, /* a system call failed; struct numapool_error keeps its errno */
};

/** One sentence for a result code. Never NULL, also for codes that do not exist. */
NUMAPOOL_API const char *numapool_strerror(int result);

/**
 * Details of a failure. Owned by the caller; NULL is allowed wherever one is taken. For
 * NUMAPOOL_E_CONFIG the text holds one line per mistake: "file:line: path: what, and what would be
 * right"; `count` says how many there were, also when the text could not hold them all.
 */
struct numapool_error {
    char text[4096];
    int sys_errno;
    int count;
};

typedef struct numapool numapool;             /* a pool */
typedef struct numapool_group numapool_group; /* a set of tasks to wait for or cancel */

/* ---------------------------------------------------------------------------- configuration */

/** "Never" or "without a bound", in the fields that say so. 0 always means "the default". */
#define NUMAPOOL_OFF UINT64_MAX

/** What one shard covers. */
enum numapool_shards {
    NUMAPOOL_PER_NODE = 0,    /* one NUMA node (default) */
    NUMAPOOL_PER_L3 = 1,      /* one last-level cache within a node */
    NUMAPOOL_PER_PACKAGE = 2, /* one socket */
    NUMAPOOL_SINGLE = 3,      /* the whole machine */
};

/** Where a worker may run. */
enum numapool_pinning {
    NUMAPOOL_PIN_SHARD = 0, /* on any CPU of its shard (default) */
    NUMAPOOL_PIN_CPU = 1,   /* on one CPU of its shard */
    NUMAPOOL_PIN_NONE = 2,  /* wherever the kernel puts it */
};

/** Which hardware threads of a core the workers use. */
enum numapool_smt {
    NUMAPOOL_SMT_ONE = 0, /* the first allowed one of each core (default) */
    NUMAPOOL_SMT_ALL = 1, /* every allowed one */
};

/** Who decides how many workers run. */
enum numapool_mode {
    NUMAPOOL_ADAPTIVE = 0, /* the worker law and the balancer (default) */
    NUMAPOOL_FIXED = 1,    /* nobody: each shard runs its equal part of workers_max */
};

/** Whether other processes of the user may read the pool's statistics (stats_page.h). */
enum numapool_stats_page {
    NUMAPOOL_STATS_PAGE_ON = 0, /* numapool top and numapool stat find the pool (default) */
    NUMAPOOL_STATS_PAGE_OFF = 1,
};

/** Severity of a log line. */
enum numapool_log_level {
    NUMAPOOL_LOG_ERROR = 0,
    NUMAPOOL_LOG_WARNING = 1,
    NUMAPOOL_LOG_INFO = 2,
    NUMAPOOL_LOG_DEBUG = 3,
};

/**
 * Receives the library's log lines: one line without a newline, valid during the call only. Called
 * from any thread of the pool, and from those that are inside numapool_create(), numapool_destroy() or
 * numapool_free(), with no lock held; it must not call numapool_destroy(). The default hook prints warnings and errors to stderr.
 */
typedef void numapool_log_fn(void *arg, int level, const char *line);

/** Explicit shards, reserved CPUs, memory policy and pages, as a configuration file gave them. */
struct numapool_placement;

/**
 * Everything that can be chosen about a pool. Fill it with numapool_config_init(), change what you
 * care about, hand it to numapool_create(), release it with numapool_config_fini(). numapool_create()
 * copies all of it. A field that is 0 or NULL means its default.
 */
struct numapool_config {
    size_t struct_size; /* set by numapool_config_init() */

    /* CPUs: those that workers use; one hardware thread of each core, unless `smt` says otherwise */
    unsigned workers_max;    /* budget: tasks that may run at once; default max(512, 8 x CPUs) */
    unsigned workers_min;    /* threads kept alive, pool-wide; default min(CPUs, 4) per shard */
    uint64_t queue_tasks;    /* bound on waiting tasks, pool-wide; default 1024 per CPU. A shard
                                holds ceil(queue_tasks / shards) */
    uint64_t queue_delay_ns; /* bound on the predicted wait; default 100 ms, NUMAPOOL_OFF = none */
    uint64_t memory_bytes;   /* bound on task bytes, pool-wide; default a quarter of the smaller of
                                the nodes' free memory and the control group's room */
    uint64_t idle_exit_ns;   /* a parked worker's thread ends after this; default 10 s, or OFF */
    uint64_t spin_ns;        /* longest spin before a worker parks, or OFF; default 10 us, or what a
                                wake-up takes here, up to 50 us */
    uint64_t tick_ns;        /* period of the control loop; default 10 ms, 1 ms to 1 s */
    double latency_bias;     /* share of a worker's busy time that may be lost waiting for a CPU
                                before the pool shrinks; default 0.15, 0.01 to 0.5 */
    uint64_t codel_target_ns; /* standing queue delay that begins shedding; default 5 ms, or OFF */
    uint64_t codel_interval_ns; /* ... when it has stood this long; default 100 ms */

    int shards;  /* enum numapool_shards */
    int pinning; /* enum numapool_pinning */
    int smt;     /* enum numapool_smt */
    int mode;    /* enum numapool_mode */

    const char *machine; /* NULL = this machine; else hwloc synthetic text ("pack:4 [numa] core:8
                            pu:2") or the path of an hwloc XML file: the pool then has that
                            machine's shards, unpinned and with first-touch memory */
    const char *name;    /* at most 4 characters, begins the threads' names; default "np" */
    size_t stack_bytes;  /* of a worker; default 256 KiB */

    numapool_log_fn *log; /* default: warnings and errors to stderr */
    void *log_arg;

    struct numapool_placement *placement; /* set by numapool_config_load(), freed by _fini() */

    uint64_t watchdog_ns; /* a worker that is in one task for longer is counted (workers_stuck,
                             tasks_stuck) and named in the log with the task's function, and again
                             ever more seldom; default 10 s, 10 ms to 24 h, or OFF */

    int stats_page; /* enum numapool_stats_page */
    int spare;      /* 0 */

    uint64_t reserved[6]; /* 0 */
};

/** Sets every field to its default. NULL is ignored. */
NUMAPOOL_API void numapool_config_init(struct numapool_config *config);

/** Frees what loading allocated and sets the defaults again. NULL is ignored. */
NUMAPOOL_API void numapool_config_fini(struct numapool_config *config);

/**
 * Sets what a topology configuration file names; other fields keep their value. The last call to
 * set a field wins, so the usual order is init, load, env, own fields.
 *
 * Errors   All mistakes of the file are collected into `error`; on failure the config is unchanged.
 * Returns  NUMAPOOL_OK, _E_INVALID (NULL), _E_CONFIG (the file), _E_NOMEM
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_config_load(struct numapool_config *config,
                                                        const char *path,
                                                        struct numapool_error *error);

/**
 * Sets what NUMAPOOL_* environment variables name (docs: numapool.conf, "environment"). NUMAPOOL_CONFIG
 * names a file, which is loaded first. An unknown NUMAPOOL_ variable is a mistake, unless CMake or
 * Kubernetes makes it of a package or service of this name. In a program that runs with raised
 * privileges the environment is ignored.
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_config_env(struct numapool_config *config,
                                                       struct numapool_error *error);

/** Writes a configuration file that loads back equal. Returns OK, _E_INVALID, _E_SYSTEM. */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_config_dump(const struct numapool_config *config,
                                                        int fd);

/* ------------------------------------------------------------------------------------- life */

/**
 * Builds a pool: finds the machine's locality domains, plans shards, starts at least one worker in
 * each. The calling thread's affinity and memory policy are never changed.
 *
 * @param pool    out; untouched on failure
 * @param config  NULL = defaults and environment. With a config neither file nor environment is read.
 * @param error   out, may be NULL
 *
 * Returns  NUMAPOOL_OK
 *          NUMAPOOL_E_INVALID  pool is NULL, struct_size is not one this library knows,
 *                              workers_min is more than workers_max
 *          NUMAPOOL_E_CONFIG   a value out of range, bad machine text, a plan that cannot be made
 *          NUMAPOOL_E_NOMEM, NUMAPOOL_E_SYSTEM  memory or threads could not be had; nothing is left
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_create(numapool **pool,
                                                   const struct numapool_config *config,
                                                   struct numapool_error *error);

/**
 * Refuses new tasks and waits until every accepted one has run or was dropped. After OK it stays
 * OK. After NUMAPOOL_E_TIMEDOUT the rest stays queued, workers go on, and it may be called again.
 *
 * Units    timeout_ns from now; 0 = look once, UINT64_MAX = no limit
 * Returns  OK, _E_TIMEDOUT, _E_INVALID, _E_FORKED, _E_DEADLOCK (from a task of this pool; no effect)
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_drain(numapool *pool, uint64_t timeout_ns);

/**
 * Refuses new tasks, drops what is still queued (why = NUMAPOOL_E_CLOSED), waits for running tasks
 * as long as they take, and frees everything, memory from numapool_alloc() included. NULL is fine.
 *
 * Returns  OK, _E_DEADLOCK (from a task of this pool; no effect), _E_FORKED (in a child; memory is
 *          left to exit)
 */
NUMAPOOL_API int numapool_destroy(numapool *pool);

/**
 * Changes the budget at run time, up or down; running tasks finish, and those inside
 * numapool_block_begin() keep their replacements. At least one per shard remains, and at most the
 * larger of the budget at creation and twice the default.
 *
 * Returns  OK, _E_INVALID (0, or above that bound), _E_CLOSED, _E_FORKED
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_set_budget(numapool *pool, unsigned workers_max);

/* ----------------------------------------------------------------------------------- submit */

/**
 * A task. It may end its thread (pthread_exit, cancellation): it then counts as run. It may fork: a
 * child that returns from it ends its thread, its only one, and takes nothing else from the pool.
 */
typedef void numapool_fn(void *arg);

/** Importance of a task: the share of a queue it may fill, and who is served first. */
enum numapool_class {
    NUMAPOOL_NORMAL = 0,    /* may queue while the queue is below 90 % */
    NUMAPOOL_CRITICAL = 1,  /* may use all of it, and is served first */
    NUMAPOOL_SHEDDABLE = 2, /* may queue while it is below half full, and is served last */
};
/*
 * A worker looks for a better class at the end of a task, unless it looked less than 2 us ago.
 * However many better ones come, a task that has waited beyond its bound (queue_delay_ns, half of it
 * for SHEDDABLE, a second if that is off) starves no more: of those, a worker takes the oldest after
 * 16 tasks, or after that look.
 */

#define NUMAPOOL_CLASSES 3

/** struct numapool_task::flags */
enum numapool_task_flags {
    NUMAPOOL_ON_NODE = 1u << 0,     /* read the field `node` */
    NUMAPOOL_STRICT_NODE = 1u << 1, /* may move only between shards of its node; _E_INVALID where a
                                       shard spans nodes */
    NUMAPOOL_DROP_OK = 1u << 2,     /* may be dropped after acceptance under standing delay */
};

/**
 * A task with everything. `(struct numapool_task){ .run = f, .arg = x }` is complete: caller's node,
 * normal class, no deadline, no group.
 */
struct numapool_task {
    numapool_fn *run; /* required */
    void *arg;

    /* Called instead of run for a task that was accepted but will not run; `why` is
       NUMAPOOL_E_DEADLINE, _E_CLOSED, _E_SHED or _E_CANCELLED. On any thread (_E_CLOSED: on the
       one that destroys the pool), with no lock of the pool held; it must not wait. May be NULL. */
    void (*drop)(void *arg, int why);

    numapool_group *group; /* NULL = none */
    uint64_t deadline_ns;  /* CLOCK_MONOTONIC, 0 = none */
    const void *near_data; /* memory from numapool_alloc(): run where it lives; any other pointer is
                              no hint */
    size_t bytes;          /* reserved against memory_bytes from acceptance until the task returns;
                              numapool_scratch() draws on it first */
    int node;              /* node index, read only with NUMAPOOL_ON_NODE; else the caller's node */
    int task_class;        /* enum numapool_class */
    unsigned flags;        /* enum numapool_task_flags */
    uint64_t reserved[4];  /* 0 */
};

/**
 * Hands one task to the pool: the common case. Never blocks, never allocates, makes no system call
 * unless it must wake a worker, and never runs the task on the calling thread.
 *
 * Order    the caller's earlier writes are visible to the task
 * Returns  OK, _E_FULL, _E_SHED, _E_CLOSED, _E_INVALID, _E_FORKED
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_submit(numapool *pool, numapool_fn *run, void *arg);

/**
 * The same with everything. The task struct is copied and may live on the caller's stack.
 *
 * Returns  as numapool_submit(), and _E_DEADLINE, _E_CANCELLED (its group), _E_INVALID (class, flags,
 *          node, reserved fields, a group of another pool)
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_submit_task(numapool *pool,
                                                        const struct numapool_task *task);

/**
 * Submits, and where that says FULL or SHED waits and tries again until the timeout.
 *
 * Units    timeout_ns from now; 0 = one try (then its own code), UINT64_MAX = no limit
 * Returns  as numapool_submit_task(), _E_TIMEDOUT, _E_DEADLOCK (from a worker of this pool)
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int
numapool_submit_wait(numapool *pool, const struct numapool_task *task, uint64_t timeout_ns);

/**
 * Submits tasks[0..count-1] with one publication per run of equal destination and at most one wake
 * chain. A prefix is accepted; the rest had no effect.
 *
 * @param accepted  out, required: how many of the first tasks were accepted, set in every case but
 *                  _E_INVALID for a NULL argument
 * Returns          OK when all were, else the first refusal's code
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_submit_batch(numapool *pool,
                                                         const struct numapool_task *tasks,
                                                         size_t count, size_t *accepted);

/**
 * When to try again after the calling thread's last "try later" refusal by this pool, with jitter so
 * that a crowd does not return together. 0 = no hint.
 */
NUMAPOOL_API uint64_t numapool_retry_after_ns(numapool *pool);

/* ----------------------------------------------------------------------------------- groups */

/** Makes a group of tasks of one pool. Returns OK, _E_INVALID, _E_NOMEM, _E_FORKED. */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_group_create(numapool_group **group, numapool *pool);

/**
 * Waits until every member's run or drop has returned. From inside a task it acts as
 * numapool_block_begin(), so that waiting for children cannot use up the workers.
 *
 * Units    timeout_ns from now; 0 = look once, UINT64_MAX = no limit
 * Returns  OK, _E_TIMEDOUT, _E_INVALID, _E_FORKED, _E_DEADLOCK (the calling task is a member, or no
 *          replacement worker is left to run the members, or from a drop on a worker)
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_group_wait(numapool_group *group, uint64_t timeout_ns);

/**
 * Cancels the group for good: queued members are dropped (why = NUMAPOOL_E_CANCELLED) when their turn
 * comes, running ones see numapool_cancelled(), later submits are refused with _E_CANCELLED.
 */
NUMAPOOL_API int numapool_group_cancel(numapool_group *group);

/** Gives up the creator's reference; the last member frees the group. NULL is fine. */
NUMAPOOL_API int numapool_group_destroy(numapool_group *group);

/* ---------------------------------------------------------------------------- inside a task */

/** The node index the calling task runs on, -1 outside a task. */
NUMAPOOL_API int numapool_current_node(void);

/**
 * Node-local memory that costs nothing to free: 64-byte aligned, uninitialised, valid until the task
 * returns. Successive calls give successive pieces.
 *
 * Returns  NULL outside a task, for 0 bytes, or when over the byte budget
 */
NUMAPOOL_API void *numapool_scratch(size_t bytes);

/** True when the calling task's group was cancelled or its deadline has passed. */
NUMAPOOL_API bool numapool_cancelled(void);

/**
 * "This task is about to wait": lets a replacement worker run meanwhile. Calls nest. Outside a task
 * they do nothing. With a budget of B the pool never has more than B + max(shards, B/4) workers,
 * or after it was lowered those it needs for tasks that waited already, besides one control thread for
 * each shard; beyond that a waiting task gets no replacement. The watchdog passes over it meanwhile. A
 * task that comes back from waiting goes on at once: for a moment as many tasks as had replacements
 * may run beyond the budget.
 */
NUMAPOOL_API void numapool_block_begin(void);
NUMAPOOL_API void numapool_block_end(void);

/* ------------------------------------------------------------------------ node-local memory */

/**
 * Memory that lives on a node, from any thread, counted against memory_bytes.
 *
 * Of what a thread frees it keeps up to 64 KiB for its next calls, with no lock and no shared write; a
 * worker gives it back before it sleeps, any other thread when it ends. What is kept is not in use, but
 * others are refused for it: at most 1/64 of memory_bytes for all threads, and nothing below 4 MiB.
 *
 * @param node  node index, or -1 for the calling thread's node
 * Shape        16-byte aligned, uninitialised
 * Owns         the caller, until numapool_free() or numapool_destroy()
 * Returns      NULL for a bad node, for 0 bytes, over the budget, in a forked child
 */
NUMAPOOL_API void *numapool_alloc(numapool *pool, int node, size_t bytes);

/** Gives memory from numapool_alloc() back, from any thread. NULL is fine. */
NUMAPOOL_API void numapool_free(numapool *pool, void *memory);

/**
 * The node index of an address: by arithmetic for the pool's own memory (where it is meant to be),
 * by asking the kernel for other memory. -1 = unknown.
 */
NUMAPOOL_API int numapool_node_of(numapool *pool, const void *memory);

/* --------------------------------------------------------------------------- looking inside */

/** How many nodes and shards the pool has. 0 for NULL. */
NUMAPOOL_API size_t numapool_node_count(numapool *pool);
NUMAPOOL_API size_t numapool_shard_count(numapool *pool);

/** Distance between two shards in the kernel's unit (10 = local). -1 for a bad argument. */
NUMAPOOL_API int numapool_distance(numapool *pool, size_t shard_a, size_t shard_b);

/** Writes who runs where and why, as text. Returns OK, _E_INVALID, _E_SYSTEM, _E_FORKED. */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_plan_write(numapool *pool, int fd);

/**
 * The counters and gauges both statistics structs share. Counters only grow; each is exact, and read
 * one after the other, so they agree exactly only at rest:
 *     submitted = accepted + refused_full + refused_shed + refused_deadline + refused_bytes
 *               + refused_other
 *     accepted  = run + dropped
 * Times are of tasks that have run; a percentile is at most 1/32 above the true one.
 */
#define NUMAPOOL_STATS_FIELDS(X)                                                                   \
    X(submitted, counter, "Tasks handed in, accepted or refused")                                  \
    X(accepted, counter, "Tasks accepted")                                                         \
    X(run, counter, "Tasks that have run")                                                         \
    X(dropped, counter, "Accepted tasks dropped: expired, cancelled, shed or closed")              \
    X(refused_full, counter, "Refusals: no room anywhere permitted")                               \
    X(refused_shed, counter, "Refusals: class share, or predicted wait too long")                  \
    X(refused_deadline, counter, "Refusals: would miss the deadline")                              \
    X(refused_bytes, counter, "Refusals: over the byte budget")                                    \
    X(refused_other, counter, "Refusals: closed, cancelled, no free claim")                        \
    X(forwarded_in, counter, "Tasks queued here for another shard")                                \
    X(forwarded_out, counter, "Tasks of this home queued elsewhere")                               \
    X(stolen_in, counter, "Tasks taken here from another shard's queue")                           \
    X(stolen_out, counter, "Tasks taken by another shard's worker")                                \
    X(queue_depth, gauge, "Tasks waiting")                                                         \
    X(queue_capacity, gauge, "Bound on tasks waiting")                                             \
    X(workers, gauge, "Threads alive")                                                             \
    X(workers_running, gauge, "Workers that hold a permit to run tasks")                           \
    X(workers_parked, gauge, "Workers asleep")                                                     \
    X(workers_blocked, gauge, "Workers inside block_begin or a nested wait")                       \
    X(quota, gauge, "Part of the budget granted")                                                  \
    X(cap, gauge, "Workers the worker law finds useful")                                           \
    X(wakes, counter, "Wake-ups of parked workers")                                                \
    X(wakes_spurious, counter, "Wake-ups that found nothing to do")                                \
    X(threads_started, counter, "Threads started")                                                 \
    X(threads_exited, counter, "Threads ended")                                                    \
    X(bytes_in_use, gauge, "Bytes in use; of a shard: those on its node")                          \
    X(bind_denied, counter, "Placements the kernel refused")                                       \
    X(wait_p50_ns, gauge, "Median time from submit to start")                                      \
    X(wait_p99_ns, gauge, "99th percentile of it")                                                 \
    X(wait_p999_ns, gauge, "99.9th percentile of it")                                              \
    X(wait_max_ns, gauge, "Largest of it")                                                         \
    X(run_p50_ns, gauge, "Median time from start to return")                                       \
    X(run_p99_ns, gauge, "99th percentile of it")                                                  \
    X(run_p999_ns, gauge, "99.9th percentile of it")                                               \
    X(run_max_ns, gauge, "Largest of it")                                                          \
    X(workers_stuck, gauge, "Workers in one task for longer than watchdog_ns")                     \
    X(tasks_stuck, counter, "Tasks that were found so, each counted once")

#define NUMAPOOL_STATS_MEMBER(name, kind, text) uint64_t name;

/** Totals over the pool. The caller sets struct_size. */
struct numapool_stats {
    size_t struct_size;
    NUMAPOOL_STATS_FIELDS(NUMAPOOL_STATS_MEMBER)
};

/** One shard. The caller sets struct_size. */
struct numapool_shard_stats {
    size_t struct_size;
    uint64_t node;          /* node index of its memory */
    uint64_t node_os_index; /* the kernel's number of it */
    NUMAPOOL_STATS_FIELDS(NUMAPOOL_STATS_MEMBER)
};

/** Fills the struct up to its struct_size. Returns OK, _E_INVALID, _E_FORKED. */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_stats(numapool *pool, struct numapool_stats *stats);
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_shard_stats(numapool *pool, size_t shard,
                                                        struct numapool_shard_stats *stats);

/**
 * All statistics in the Prometheus text format 0.0.4.
 *
 * @param needed  out, may be NULL: the size including the terminator. (NULL, 0, &needed) asks for it.
 * Returns        OK, _E_INVALID (the buffer is too short; *needed is set), _E_NOMEM, _E_FORKED
 */
NUMAPOOL_API NUMAPOOL_MUST_USE int numapool_stats_prometheus(numapool *pool, char *buffer,
                                                             size_t size, size_t *needed);

/**
 * Writes what all pools of this process do just now, as text for people: of each pool its shards with
 * what waits and the counters, and of each worker that is not asleep its thread, the function of its
 * task and since when. For a handler of SIGSEGV, SIGABRT or a signal of yours, and for a thread of a
 * program that stands still. The text may change with any version.
 *
 * Threads  any, also from a signal handler, at any moment: while pools are created, used or destroyed,
 *          inside any function of this library, on a stack of 8 KiB. Takes no lock, allocates
 *          nothing, leaves errno alone. Words are read one by one while work goes on
 * Blocks   as write() to fd does; no pool waits for it meanwhile. A broken pipe raises SIGPIPE
 * Units    functions are addresses: `info symbol` of gdb names them, or addr2line with /proc/PID/maps
 * Returns  OK, _E_INVALID (fd is negative), _E_SYSTEM (it could not be written). In a child of fork()
 *          it names the parent's pools and says that they are not the child's
 */
NUMAPOOL_API int numapool_dump_state(int fd);

#ifdef __cplusplus
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
}
#endif

#endif
