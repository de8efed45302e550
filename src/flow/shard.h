/*
 * Stop 3: one locality domain's queue and the gate its workers wait at. Knows no other stop.
 *
 * The queue is four equal rings ("lanes") over the same bound. Everybody uses the first; a submitter
 * that finds it claimed by somebody who does not run uses the next. The bound on waiting tasks is
 * exact over all lanes: a claim counts as a task before its holder looks at the depth, so two
 * holders in different lanes cannot both miss each other.
 *
 * @pool-closed     phase is stored (sc) by drain; a submitter loads it (sc) after its claim. Either it
 *                  sees the new phase and publishes nothing, or drain, which waits until every
 *                  claim was seen free, sees what it published.
 * @lane-opened     lanes_used is stored (sc) after the claim of a further lane, before its holder adds up
 *                  the lanes, which it always does; holders of the first lane load it (sc) after
 *                  their claim. One of two such holders sees the other. It is cleared under the claim
 *                  of the first lane.
 *                  Takers load it after they copied from the first lane: if the thread of the task they
 *                  copied had used a further lane before, they see that, since that thread published
 *                  later in the first lane (acquire of its tail).
 *
 * Order: with several lanes in use the oldest stamp goes first. A stamp is the clock's reading at the
 * submit, raised under the claim where that is needed for two things to hold on any clock, also one
 * that stands still between two submits or differs between processors: within a lane stamps never
 * fall; and a task that is queued while several lanes are in use gets a higher one than all that are
 * published in the others, of which its thread sees at least its own (`newest`, which only grows, is
 * read after it was written by the same thread). So the tasks of one thread are taken in their order
 * whatever lanes they went through, and one that stopped inside its claim delays its own task alone.
 */
#ifndef NPI_FLOW_SHARD_H
#define NPI_FLOW_SHARD_H

#include "base/cacheline.h"
#include "base/check.h"
#include "base/histogram.h"
#include "base/probe.h"
#include "base/snapshot.h"
#include "flow/task.h"
#include "policy/admit.h"
#include "policy/forward.h"
#include "policy/idle.h"
#include "policy/scale.h"
#include "queue/gate.h"
#include "queue/ring.h"
#include "topology/plan.h"

#define NPI_LANES 4

/* For how long a worker that finds tasks relies on its last look at the better classes. */
#define NPI_CURSOR_FRESH_NS UINT64_C(2000)

struct npi_worker;

/* What the tick publishes for submitters and workers of all shards. */
struct npi_shard_view {
    struct npi_admit_gates admit;
    struct npi_forward_gates forward;
    struct npi_idle_gates idle;
    double task_cpu_ns;
    float cpus;
    uint32_t cpu_free;
    uint32_t standing_windows[NPI_CLASS_COUNT];
    uint32_t pad;
};

#define NPI_SHARD_VIEW_WORDS ((sizeof(struct npi_shard_view) + 7) / 8)

/* Counted where they happen, on slow paths only. */
enum npi_refusal {
    NPI_REFUSED_FULL,
    NPI_REFUSED_SHED,
    NPI_REFUSED_DEADLINE,
    NPI_REFUSED_BYTES,
    NPI_REFUSED_OTHER,
    NPI_REFUSALS,
};

struct npi_times {
    struct npi_histogram wait, run;
};

struct npi_shard {
    /* set once */
    struct numapool *pool;
    unsigned index;
    unsigned node;
    const struct npi_plan_shard *plan;
    uint32_t capacity_tasks;
    uint32_t worker_slots;
    uint32_t workers_kept; /* threads that never end for idleness */
    struct npi_worker *workers;
    struct npi_times *times; /* [times_count]: one per low worker, the last shared by all others */
    uint32_t times_count;
    uint16_t *order; /* other shards in distance order, cut into classes */
    struct npi_forward_class *classes;
    size_t class_count;
    char *stacks; /* worker_slots + 1 of them */
    size_t stack_stride_bytes;
    void *pages; /* everything above that lives on the node */
    size_t pages_bytes;

    struct npi_ring lanes[NPI_LANES];
    struct npi_gate gate;

    /* written once per tick, read by every submit */
    NPI_APART npi_a64
        fast_tasks[NPI_CLASS_COUNT]; /* below this depth a submit asks nothing further */
    npi_a64 refusing
        [NPI_CLASS_COUNT];  /* last refusal by all shards: pool->room then, * 2, + 1 = full */
    npi_a64 lanes_used;     /* enum npi_lanes */
    npi_a64 patience_ticks; /* npi_idle_gates; 0 = whoever submits wakes */
    npi_a64 spare_tasks;
    npi_a64 view_version;
    npi_a64 view_words[NPI_SHARD_VIEW_WORDS];

    /* when a submitter last looked whether the running workers keep up */
    NPI_APART npi_a64 kept_up_ticks;

    /* written by submitters on slow paths */
    NPI_APART npi_a64 refused[NPI_REFUSALS];
    npi_a64 forwarded_out;
    /* written for tasks that cross shards */
    NPI_APART npi_a64 forwarded_in;
    npi_a64 guests_ever;    /* counted before they are published, unlike forwarded_in */
    npi_a64 accepted_shown; /* the most that statistics have said */
    npi_a64 stolen_in;
    npi_a64 stolen_out;
    npi_a32 guests;   /* tasks of other homes queued here */
    npi_a32 lent_in;  /* tasks of other homes running here, whose home was not CPU-saturated */
    npi_a32 lent_out; /* own tasks running elsewhere, likewise */
    npi_a32 stealer;  /* one worker of a shard at a time looks at others */

    /* written by workers now and then */
    NPI_APART npi_a64
        sojourn_ticks_min[NPI_CLASS_COUNT]; /* since the last tick, UINT64_MAX = none */
    npi_a64 dropped_closed;                 /* dropped by destroy, on no worker */
    npi_a64 wakes_spurious;
    npi_a32 blocked;
    npi_a32 workers_stuck; /* by the watchdog's last look */
    npi_a64 tasks_stuck;

    /* threads: see flow/control.h */
    NPI_APART npi_a32 threads; /* alive or about to be */
    npi_a32 threads_wanted;    /* the pool had no thread left for this shard */
    npi_a32 threads_ended;     /* not joined yet */
    npi_a32 starts_wanted;     /* permits reserved for threads that control has to start */
    npi_a32 control_word;      /* futex: 1 = something to do */
    npi_a32 control_idle;      /* control sleeps without a tick */
    npi_a64 threads_started;
    npi_a64 threads_exited;
    npi_a64 quota;
    npi_a64
        reach; /* what its quota may grow to; a hint, as quota and cap are outside the balancer */
    npi_a64 cap;
    npi_a32
        slots_used; /* worker slots ever used; written by control, before the slot's thread starts */
    struct npi_control *control;
};

/* Which lanes may hold tasks. */
enum npi_lanes {
    NPI_LANES_FIRST = 0,    /* the first */
    NPI_LANES_OPEN = 1,     /* all; who finds the first claimed goes on to the next at once */
    NPI_LANES_EMPTYING = 2, /* all; new tasks wait for the first as if it were alone */
};

enum npi_push {
    NPI_PUSH_NO_ROOM = 0,
    NPI_PUSH_CLOSED = -1, /* the pool takes no new tasks */
    NPI_PUSH_BUSY = -2,   /* every lane is claimed by somebody who does not run */
};

/*
 * Queues the first of count items of one rank as long as fewer than `bound` tasks of all classes wait.
 * Returns how many, or one of the codes above. The caller notifies.
 */
int npi_shard_push(struct npi_shard *shard, enum npi_class rank, const struct npi_item *items,
                   unsigned count, uint64_t bound);

/* The same by hand, as long as nothing unusual is in the way: the first lane is free, nobody uses another
   one, the depth is known to stay within fast_tasks, and no task published here is younger than `stamp`.
   False: nothing done. True: the claim is held; the caller puts `count` tasks into the first lane, and
   then calls npi_shard_end_plainly(). */
static inline bool npi_shard_begin_plainly(struct npi_shard *shard, const npi_a32 *phase,
                                           enum npi_class rank, unsigned count, uint64_t stamp)
{
    struct npi_ring *ring = &shard->lanes[0];
    if (NPI_UNLIKELY(!npi_ring_claim_once(ring, count))) {
        return false;
    }
    uint64_t bound = npi_a64_load_relaxed(&shard->fast_tasks[rank]);
    uint64_t depth = npi_ring_depth_cached(ring) + NPI_MUTANT(plain_counts_one, count - 1, 0);
    bool plain =
        NPI_MUTANT(plain_although_closed,
                   NPI_MUTANT(phase_relaxed, npi_a32_load_sc(phase), npi_a32_load_relaxed(phase)) ==
                       0,
                   true) && /* @pool-closed */
        NPI_MUTANT(plain_beside_lanes, npi_a64_load_sc(&shard->lanes_used) == NPI_LANES_FIRST,
                   true) && /* @lane-opened */
        NPI_MUTANT(plain_beyond_bound, depth < bound, depth <= bound) &&
        NPI_MUTANT(plain_out_of_order, (int64_t)(stamp - npi_a64_load_relaxed(&ring->newest)) >= 0,
                   true);
    if (NPI_UNLIKELY(!plain)) {
        npi_ring_unclaim(ring);
    }
    return plain;
}

static inline void npi_shard_end_plainly(struct npi_shard *shard, enum npi_class rank,
                                         unsigned count, uint64_t stamp)
{
    struct npi_ring *ring = &shard->lanes[0];
    npi_a64_store_relaxed(&ring->newest, stamp);
    npi_ring_publish(ring, rank, count);
    npi_ring_unclaim(ring);
}

static inline bool npi_shard_push_plainly(struct npi_shard *shard, const npi_a32 *phase,
                                          enum npi_class rank, const struct npi_item *item)
{
    uint64_t stamp = item->hot[NPI_TASK_STAMP];
    if (NPI_UNLIKELY(!npi_shard_begin_plainly(shard, phase, rank, 1, stamp))) {
        return false;
    }
    npi_ring_put(&shard->lanes[0], rank, 0, item);
    npi_shard_end_plainly(shard, rank, 1, stamp);
    return true;
}

/* Takes the oldest tasks of the best class that has any; not those with a bit of `refuse`. */
unsigned npi_shard_take(struct npi_shard *shard, uint64_t refuse, struct npi_item *items,
                        unsigned max);

/* Takes the task that waited longest of those that are overdue. False: none was found. */
bool npi_shard_take_overdue(struct npi_shard *shard, uint64_t now_ticks, struct npi_item *item);

/*
 * What one worker remembers of its shard's first lane, so that it need not look at the producers'
 * words for every task: each look takes a cache line from whoever submits just then.
 */
struct npi_cursor {
    uint64_t tail_seen;    /* tasks of this class before it are published */
    uint64_t looked_ticks; /* when all classes were looked at */
    enum npi_class rank;   /* the best that had a task then */
};

/* As npi_shard_take() for one task, and remembers what it saw. */
bool npi_shard_take_looking(struct npi_shard *shard, struct npi_cursor *cursor, uint64_t now_ticks,
                            struct npi_item *item);

/* Takes the next task of those the cursor has seen. False: look again. A better class waits for
   NPI_CURSOR_FRESH_NS and the running task at most. */
static inline bool npi_shard_take_seen(struct npi_shard *shard, const struct npi_cursor *cursor,
                                       struct npi_item *item)
{
    struct npi_ring *ring = &shard->lanes[0];
    enum npi_class rank = cursor->rank;
    uint64_t head = npi_ring_head(ring, rank);
    while (NPI_MUTANT(seen_past_tail, (int64_t)(cursor->tail_seen - head) > 0,
                      (int64_t)(cursor->tail_seen - head) >= 0)) {
        npi_ring_read(ring, rank, head, item);
        if (NPI_UNLIKELY(NPI_MUTANT(seen_beside_lanes,
                                    npi_a64_load_relaxed(&shard->lanes_used) != NPI_LANES_FIRST,
                                    false))) { /* @lane-opened */
            return false;
        }
        if (npi_ring_take_copied(ring, rank, head, 1)) {
            return true;
        }
        head = npi_ring_head(ring, rank);
    }
    return false;
}

/* Wakes or starts a worker if one should be. self: the calling worker if it is in the stack. */
void npi_shard_wake(struct npi_shard *shard, uint32_t self);

/* Threads are counted in the shard while they may run tasks, and in the pool until they are joined.
   One more, or false: there may be none. One that was counted and could not be started, or is not
   needed, back again. */
bool npi_shard_count_thread(struct npi_shard *shard);
void npi_shard_discount_thread(struct npi_shard *shard);
/* One of the shard's threads is to end, or false: only `keep` are left. It does not end after all. */
bool npi_shard_uncount_thread(struct npi_shard *shard, uint32_t keep);
void npi_shard_recount_thread(struct npi_shard *shard);
/* The same for another shard that wants one: those that are kept stay, but of a budget below all that are
   kept only the shard's part. These parts are together no more than the budget, and the pool may have more
   threads than that; so a shard whose threads have all ended is given one. */
bool npi_shard_cede_thread(struct npi_shard *shard);

/* Control's, each tick: ends the use of further lanes, since with them in use every submit adds up all
   lanes and every take compares them. Nobody stands in the first lane: they are no longer filled.
   They are empty: closed. A busy shard would otherwise use them until its load ends. */
void npi_shard_close_lanes(struct npi_shard *shard);

/* In a stream of short tasks: so few wait that the running workers have done them before another one is
   awake. */
bool npi_shard_few_wait(const struct npi_shard *shard);

/*
 * Somebody should be woken, by these permits, for what was published at `now`: does so, unless workers run
 * that keep up. They look at the queue before they sleep, so nothing is left; a task that waits behind
 * one that takes long is found by who submits spare_tasks later, or by the tick.
 */
void npi_shard_call(struct npi_shard *shard, uint64_t permits, uint64_t now_ticks);

/* After a push; now_ticks: about when, as the task's stamp. */
static inline void npi_shard_notify(struct npi_shard *shard, uint64_t now_ticks)
{
    uint64_t permits = npi_gate_permits(&shard->gate); /* @sleep-announced */
    if (npi_permits_want_wake(permits)) {
        npi_shard_call(shard, permits, now_ticks);
    }
}

/* After giving a permit back, or a raised limit: if there is work, somebody has to know. */
void npi_shard_look(struct npi_shard *shard, uint32_t self);

bool npi_shard_quiet(const struct npi_shard *shard);       /* @sleep-announced, all lanes */
bool npi_shard_claims_free(const struct npi_shard *shard); /* @pool-closed */
uint64_t npi_shard_depth(const struct npi_shard *shard);   /* waiting and about to be published */
uint64_t npi_shard_waiting(const struct npi_shard *shard); /* published, all classes */
uint64_t npi_shard_waiting_of(const struct npi_shard *shard, enum npi_class rank);
uint64_t npi_shard_accepted(const struct npi_shard *shard,
                            enum npi_class rank);        /* ever queued here */
uint64_t npi_shard_taken(const struct npi_shard *shard); /* ever taken from here */
bool npi_shard_head_stamp(const struct npi_shard *shard, enum npi_class rank, uint64_t *stamp);

/* Wakes the control thread. */
void npi_shard_kick(struct npi_shard *shard);

void npi_shard_view_publish(struct npi_shard *shard, const struct npi_shard_view *view);
void npi_shard_view_read(const struct npi_shard *shard, struct npi_shard_view *view);

static inline uint32_t npi_shard_busy(const struct npi_shard *shard)
{
    uint64_t permits = npi_gate_permits(&shard->gate);
    uint32_t active = npi_permits_active(permits), searching = npi_permits_searching(permits);
    return active > searching ? active - searching : 0;
}

static inline void npi_shard_refused(struct npi_shard *shard, enum npi_refusal why, uint64_t count)
{
    NPI_PROBE4(refuse, shard->pool, shard->index, (int)why, count);
    (void)npi_a64_add_relaxed(&shard->refused[why], count);
}

#endif
