/* A worker's life; the drawing stands in worker.h. */
#include "flow/worker.h"

#include "base/check.h"
#include "base/probe.h"
#include "flow/group.h"
#include "flow/overflow.h"
#include "flow/pool.h"
#include "os/os.h"

#include <limits.h>

/* A claimer whose store is not visible yet is given this long before its sleeper looks again. */
#define CLAIM_WAIT_NS UINT64_C(1000000)

__thread struct npi_worker *npi_worker_self __attribute__((tls_model("initial-exec")));

void npi_worker_init(struct npi_worker *worker, struct npi_shard *shard, uint32_t index)
{
    worker->shard = shard;
    worker->index = index;
    worker->times_shared = index + 1 >= shard->times_count;
    worker->times = &shard->times[worker->times_shared ? shard->times_count - 1 : index];
    worker->scratch.space = shard->pool->space;
    worker->scratch.node = shard->node;
    worker->fresh_ticks = npi_clock_ns_to_ticks(NPI_CURSOR_FRESH_NS);
    worker->usage_fd = -1;
}

/* ------------------------------------------------------------------------------- running */

static inline void count(npi_a64 *counter, uint64_t by)
{
    /* One writer: no read-modify-write. Release, so that drain, which adds the counters up, also
       sees what the task wrote. */
    NPI_MUTANT(count_relaxed, npi_a64_store_release(counter, npi_a64_load_relaxed(counter) + by),
               npi_a64_store_relaxed(counter, npi_a64_load_relaxed(counter) + by));
}

/* A change that the watchdog is to see. The owner alone writes. */
static void sign(struct npi_worker *worker, uint32_t whereabouts)
{
    uint32_t signs = npi_a32_load_relaxed(&worker->signs);
    npi_a32_store_relaxed(&worker->signs, ((signs & ~NPI_WHEREABOUTS) | whereabouts) + NPI_SIGN);
}

static void note_wait(struct npi_worker *worker, enum npi_class rank, uint64_t wait_ticks)
{
    npi_a64 *least = &worker->shard->sojourn_ticks_min[rank];
    uint64_t before = npi_a64_load_relaxed(least);
    while (wait_ticks < before && !npi_a64_cas_relaxed(least, &before, wait_ticks)) {
    }
}

static NPI_ON_PATH void record(struct npi_worker *worker, uint64_t wait_ticks, uint64_t run_ticks)
{
    struct npi_times *times = worker->times;
    if (NPI_UNLIKELY(worker->times_shared)) {
        npi_histogram_record_shared(&times->wait, wait_ticks);
        npi_histogram_record_shared(&times->run, run_ticks);
    } else {
        npi_histogram_record(&times->wait, wait_ticks);
        npi_histogram_record(&times->run, run_ticks);
    }
    npi_a64_store_relaxed(&worker->run_ticks, npi_a64_load_relaxed(&worker->run_ticks) + run_ticks);
}

/* The task in hand has ended and holds no bytes any more. Drain is told by the counters and waits
   for `parting`, so that it does not return before the group knows. */
static NPI_APART_FROM_PATH void count_end(struct npi_worker *worker, npi_a64 *counter)
{
    bool member = npi_item_group(&worker->item) != NULL;
    if (member) {
        npi_a32_store_relaxed(&worker->parting, 1); /* published by the counter */
    }
    count(counter, 1);
    if (member) {
        npi_task_part(&worker->item);
        npi_a32_store_release(&worker->parting, 0);
    }
}

static void finish_drop(struct npi_worker *worker)
{
    worker->dropping = false;
    sign(worker, 0);
    npi_task_unreserve(worker->shard->pool->space, &worker->item);
    count_end(worker, &worker->dropped);
}

static void drop(struct npi_worker *worker, int why)
{
    worker->dropping = true; /* its function may end the thread */
    npi_a64_store_relaxed(&worker->function, worker->item.more[NPI_TASK_DROP]);
    sign(worker, NPI_IN_DROP);
    npi_task_drop(&worker->item, why);
    finish_drop(worker);
}

/* Accepted, but is it still worth running? Drops it if not. */
static bool still_wanted(struct npi_worker *worker, const struct npi_item *item, uint64_t now,
                         uint64_t wait_ticks)
{
    numapool_group *group = npi_item_group(item);
    if (group != NULL && NPI_MUTANT(cancel_ignored, npi_group_is_cancelled(group), false)) {
        drop(worker, NUMAPOOL_E_CANCELLED);
        return NPI_MUTANT(cancelled_and_run, false, true);
    }
    uint64_t deadline = npi_item_deadline_ticks(item);
    uint64_t meta = item->hot[NPI_TASK_META];
    if (deadline == 0 && (meta & NPI_META_DROP_OK) == 0) {
        return true;
    }
    struct npi_shard_view view = {0};
    npi_shard_view_read(worker->shard, &view);
    if (deadline != 0) {
        /* Ticks to nanoseconds around now, so that the policy sees one clock. */
        uint64_t left_ns = deadline > now ? npi_clock_ticks_to_ns(deadline - now) : 0;
        if (NPI_MUTANT(deadline_ignored, left_ns == 0, false) ||
            npi_admit_expired(0, left_ns, view.admit.task_ns)) {
            drop(worker, NUMAPOOL_E_DEADLINE);
            return NPI_MUTANT(expired_and_run, false, true);
        }
    }
    if ((meta & NPI_META_DROP_OK) != 0 &&
        npi_admit_slough(&worker->shard->pool->params, view.standing_windows[npi_meta_rank(meta)],
                         npi_clock_ticks_to_ns(wait_ticks))) {
        drop(worker, NUMAPOOL_E_SHED);
        return false;
    }
    return true;
}

/* What has to happen when a task's function has returned or its thread ends inside it. */
static void finish(struct npi_worker *worker)
{
    const struct npi_item *item = &worker->item;
    if (NPI_UNLIKELY(worker->scratch.taken_bytes != 0 || worker->scratch.granted_bytes != 0)) {
        npi_scratch_end(&worker->scratch);
    }
    npi_a64_store_relaxed(&worker->started_ticks, 0);
    if (NPI_LIKELY(npi_item_is_plain(item, worker->shard->index))) {
        count(&worker->done, 1);
        return;
    }
    if (NPI_UNLIKELY(worker->lent)) {
        npi_overflow_returned(worker, npi_meta_home(item->hot[NPI_TASK_META]));
    }
    npi_task_unreserve(worker->shard->pool->space, item);
    count_end(worker, &worker->done);
}

/* What has to happen before the function of a task that brought more than an argument, or came from
   elsewhere. False: it was dropped instead. */
static NPI_APART_FROM_PATH bool prepare(struct npi_worker *worker, uint64_t now,
                                        uint64_t wait_ticks)
{
    const struct npi_item *item = &worker->item;
    uint64_t meta = item->hot[NPI_TASK_META];
    if ((meta & NPI_META_GUEST) != 0) {
        (void)npi_a32_add_relaxed(&worker->shard->guests,
                                  (uint32_t)-1); /* run or dropped, it left */
        npi_pool_room_made(worker->shard->pool);
    }
    if (npi_item_is_full(item)) {
        if (!still_wanted(worker, item, now, wait_ticks)) {
            return false;
        }
        if (npi_item_bytes(item) != 0) {
            npi_scratch_begin(&worker->scratch, npi_item_bytes(item));
        }
    }
    if (npi_meta_home(meta) != worker->shard->index) {
        npi_overflow_borrowed(worker, npi_meta_home(meta));
    }
    return true;
}

/* How long a task waited that starts now. Counters of two processors may differ, and `start` may be
   when the last task ended. */
static inline uint64_t waited(const struct npi_item *item, uint64_t start)
{
    int64_t ticks = (int64_t)(start - item->hot[NPI_TASK_STAMP]);
    return ticks < 0 ? 0 : (uint64_t)ticks;
}

static inline void call(struct npi_worker *worker, const struct numapool *pool,
                        const struct npi_item *item, uint64_t start)
{
    npi_a64_store_relaxed(&worker->function, item->hot[NPI_TASK_RUN]);
    npi_a64_store_relaxed(&worker->started_ticks, start);
    NPI_PROBE4(start, pool, worker->index, item->hot[NPI_TASK_RUN], item->hot[NPI_TASK_ARG]);
    npi_item_run(item)(npi_item_arg(item));
    NPI_PROBE3(done, pool, worker->index, npi_a64_load_relaxed(&worker->function));
}

/* Runs the task in hand. Returns when it ended. In a child of fork() nothing of the pool is touched after
   the task, since another thread of the parent may have held a lock: the caller asks, too. */
static NPI_APART_FROM_PATH uint64_t run(struct npi_worker *worker, uint64_t start)
{
    const struct npi_item *item = &worker->item;
    const struct npi_shard *shard = worker->shard;
    uint64_t wait_ticks = waited(item, start);
    note_wait(worker, npi_meta_rank(item->hot[NPI_TASK_META]), wait_ticks);
    if (!npi_item_is_plain(item, shard->index) && !prepare(worker, start, wait_ticks)) {
        return npi_clock_ticks();
    }
    call(worker, shard->pool, item, start);
    if (NPI_UNLIKELY(npi_pool_forked(shard->pool))) {
        return 0;
    }
    while (worker->block_depth != 0) {
        npi_worker_block_end(worker); /* the task forgot */
    }
    uint64_t end = npi_clock_ticks();
    record(worker, wait_ticks, end - start);
    finish(worker);
    return end;
}

/* The same for a plain task, whose words are not in the worker yet. What it needs there is what is asked
   when it ends its thread. *now: when it starts, and then when it ended. False in a child of fork(). */
static NPI_ON_PATH bool run_plain(struct npi_worker *worker, struct numapool *pool,
                                  const struct npi_item *item, uint64_t *now)
{
    uint64_t start = *now;
    uint64_t wait_ticks = waited(item, start);
    note_wait(worker, npi_meta_rank(item->hot[NPI_TASK_META]), wait_ticks);
    worker->item.hot[NPI_TASK_STAMP] = item->hot[NPI_TASK_STAMP];
    worker->item.hot[NPI_TASK_META] = item->hot[NPI_TASK_META];
    call(worker, pool, item, start);
    if (NPI_UNLIKELY(npi_pool_forked(pool))) {
        return false;
    }
    if (NPI_UNLIKELY((worker->block_depth | worker->scratch.taken_bytes) != 0)) {
        while (worker->block_depth != 0) {
            npi_worker_block_end(worker);
        }
        npi_scratch_end(&worker->scratch);
    }
    uint64_t end = npi_clock_ticks();
    record(worker, wait_ticks, end - start);
    npi_a64_store_relaxed(&worker->started_ticks, 0);
    count(&worker->done, 1);
    *now = end;
    return true;
}

/* ----------------------------------------------------------------------- waiting in a task */

bool npi_worker_block_begin(struct npi_worker *worker)
{
    if (worker->block_depth++ != 0) {
        return worker->permit_lent;
    }
    sign(worker, NPI_IN_WAIT);
    struct npi_shard *shard = worker->shard;
    struct numapool *pool = shard->pool;
    uint32_t budget = npi_a32_load_relaxed(&pool->budget);
    uint32_t most = npi_pool_threads_max(pool, budget) - budget;
    uint32_t blocked = npi_a32_load_relaxed(&pool->blocked);
    do {
        if (blocked >= most) {
            return false;
        }
    } while (!npi_a32_cas_relaxed(&pool->blocked, &blocked, blocked + 1));
    (void)npi_a32_add_relaxed(&shard->blocked, 1);
    worker->permit_lent = true;
    npi_gate_leave(&shard->gate, false);
    NPI_MUTANT(block_without_look, npi_shard_look(shard, NPI_GATE_NOBODY), (void)0);
    return true;
}

static void take_permit_back(struct npi_worker *worker)
{
    worker->permit_lent = false;
    (void)npi_a32_add_relaxed(&worker->shard->blocked, (uint32_t)-1);
    (void)npi_a32_add_relaxed(&worker->shard->pool->blocked, (uint32_t)-1);
}

void npi_worker_block_end(struct npi_worker *worker)
{
    if (worker->block_depth == 0 || --worker->block_depth != 0) {
        return;
    }
    sign(worker, worker->dropping ? NPI_IN_DROP : 0);
    if (!worker->permit_lent) {
        return;
    }
    /* The task goes on at once; if that makes one too many, somebody parks at a task's end. */
    NPI_MUTANT(unblock_without_permit, npi_gate_enter(&worker->shard->gate), (void)0);
    take_permit_back(worker);
}

/* --------------------------------------------------------------------------------- idle */

/* A drain that waits for the last task wants to know that somebody ran out of them. After the permit
   was given back: @drain-told in api/end.c. */
static void tell_drain(struct numapool *pool)
{
    if (npi_a32_load_sc(&pool->phase) != NPI_PHASE_OPEN) {
        (void)npi_a32_add_sc(&pool->drained, 1);
        npi_park_wake(&pool->drained, INT_MAX);
    }
}

static bool closing(const struct npi_worker *worker)
{
    return npi_a32_load_sc(&worker->shard->pool->phase) == NPI_PHASE_CLOSING;
}

/* The slot's word says so already. Control joins the thread, and only then it counts no more. */
static void thread_ended(struct npi_worker *worker)
{
    struct npi_shard *shard = worker->shard;
    npi_a32_store_relaxed(&worker->tid, 0);
    (void)npi_a64_add_relaxed(&shard->threads_exited, 1);
    npi_worker_self = NULL;
    (void)npi_a32_add_sc(&shard->threads_ended, 1);
    npi_shard_kick(shard);
}

/* Ends a sleeper that nobody wants. False: it was woken meanwhile. */
static bool quit(struct npi_worker *worker, bool closing_now)
{
    struct npi_shard *shard = worker->shard;
    /* Somebody who was dismissed may be counted off twice for a moment: that keeps nobody here when
       the pool closes, since nobody would wake it again. */
    bool counted = npi_shard_uncount_thread(shard, closing_now ? 0 : shard->workers_kept);
    if (!counted && !closing_now) {
        return false;
    }
    if (NPI_MUTANT(quit_regardless, npi_gate_quit(&shard->gate, worker->index),
                   (npi_gate_quit(&shard->gate, worker->index), true))) {
        return true;
    }
    if (counted) {
        npi_shard_recount_thread(shard);
    }
    return false;
}

/* Sleeps without a permit. True: woken, with a permit, searching. False: the thread ends. */
static bool park(struct npi_worker *worker, bool searching, bool holds_permit)
{
    struct npi_shard *shard = worker->shard;
    uint64_t idle_exit_ns = shard->pool->config.idle_exit_ns;
    npi_scratch_cool(&worker->scratch);
    npi_cache_flush(worker->scratch.space);
    sign(worker, NPI_IN_LEAVE);
    NPI_PROBE3(park, shard->pool, shard->index, worker->index);
    npi_gate_push(&shard->gate, worker->index);
    if (holds_permit) {
        NPI_MUTANT(permit_slept_on, npi_gate_leave(&shard->gate, searching), (void)searching);
    }
    sign(worker, 0);
    tell_drain(shard->pool);
    bool kept = false;
    uint64_t exit_at_ns = UINT64_MAX;
    for (;;) {
        if (closing(worker) && quit(worker, true)) {
            return false;
        }
        /* Second half of @sleep-announced. Claims first: what a claim seen free has published is
           visible. A claim still held may belong to somebody who looked for sleepers already and
           whose store is on its way, or to somebody who does not run: then look again soon. */
        bool claims_free = npi_shard_claims_free(shard);
        if (NPI_MUTANT(no_second_look, npi_shard_waiting(shard) != 0, false)) {
            npi_shard_wake(shard, worker->index);
        }
        if (!kept && exit_at_ns == UINT64_MAX && idle_exit_ns != NUMAPOOL_OFF &&
            npi_a32_load_relaxed(&shard->threads) > shard->workers_kept) {
            exit_at_ns = npi_clock_now_ns() + idle_exit_ns;
        }
        /* Who has to look again does not end before: its task may have nobody else. */
        uint64_t wait_until_ns = NPI_MUTANT(claim_not_awaited, claims_free, true)
                                     ? exit_at_ns
                                     : npi_clock_now_ns() + CLAIM_WAIT_NS;
        enum npi_sleeper_state state = npi_gate_sleep(&shard->gate, worker->index, wait_until_ns);
        if (state == NPI_SLEEPER_DISMISSED) {
            npi_a32_store_release(&shard->gate.sleepers[worker->index].word, NPI_SLEEPER_FREE);
            return false;
        }
        if (state != NPI_SLEEPER_ASLEEP) {
            break;
        }
        if (claims_free && exit_at_ns != UINT64_MAX && npi_clock_now_ns() >= exit_at_ns) {
            if (quit(worker, false)) {
                return false;
            }
            kept = true; /* needed after all: sleep on without a date */
            exit_at_ns = UINT64_MAX;
        }
    }
    worker->searching = true;
    if (npi_a32_load_sc(&shard->control_idle) != 0) { /* @control-idle */
        npi_shard_kick(shard);
    }
    return true;
}

/* Looks for a task here and elsewhere. True: found, and no longer searching. */
static bool search(struct npi_worker *worker, struct npi_item *item)
{
    struct npi_shard *shard = worker->shard;
    struct npi_shard_view view = {0};
    npi_shard_view_read(shard, &view);
    uint64_t permits = npi_gate_permits(&shard->gate);
    uint32_t others = npi_permits_searching(permits);
    uint64_t spin_ns = npi_idle_spin_ns(&view.idle, &worker->idle, others > 0 ? others - 1 : 0,
                                        npi_permits_active(permits));
    uint64_t begin = npi_clock_ticks(), spin_ticks = npi_clock_ns_to_ticks(spin_ns), spun = 0;
    uint64_t spun_before = npi_a64_load_relaxed(&worker->spin_ticks);
    bool found = false;
    for (;;) {
        found = npi_shard_take(shard, 0, item, 1) != 0 || npi_overflow_steal(worker, &view, item);
        if (found || spin_ns == 0) {
            break;
        }
        spun = npi_clock_ticks() - begin;
        npi_a64_store_relaxed(&worker->spin_ticks, spun_before + spun);
        if (spun >= spin_ticks) {
            break;
        }
        for (int i = 0; i < 8; i++) {
            npi_pause();
        }
    }
    if (spin_ns != 0) {
        npi_idle_note(&worker->idle, found);
    }
    if (!found) {
        return false;
    }
    worker->searching = false;
    permits = npi_gate_found(&shard->gate);
    if (npi_permits_want_wake(permits) && NPI_MUTANT(chain_cut, !npi_shard_quiet(shard), false) &&
        !npi_shard_few_wait(shard)) {
        npi_shard_wake(shard, NPI_GATE_NOBODY); /* the chain goes on while there is work */
    }
    return true;
}

/* ---------------------------------------------------------------------------- the thread */

/* Leaves when the limit was lowered below the workers that run. False: the thread ends. True with
   `searching` set: it slept and was woken; the one task it finds is its waker's affair, and only
   then the limit is looked at again. */
static bool obey_limit(struct npi_worker *worker)
{
    struct npi_gate *gate = &worker->shard->gate;
    uint64_t permits = npi_a64_load_relaxed(&gate->permits);
    if (NPI_LIKELY(!npi_permits_over(permits)) || !npi_gate_leave_if_over(gate)) {
        return true;
    }
    return park(worker, false, false);
}

/* Overdue tasks have their turn before better classes. */
static NPI_APART_FROM_PATH bool look_and_take(struct npi_worker *worker, uint64_t now)
{
    struct npi_shard *shard = worker->shard;
    worker->turn++;
    if (worker->turn >= shard->pool->params.overdue_turn) {
        worker->turn = 0;
        if (npi_shard_take_overdue(shard, now, &worker->item)) {
            return true;
        }
    }
    return npi_shard_take_looking(shard, &worker->cursor, now, &worker->item);
}

/* Tasks one after the other, of those that were seen at the last look, while that is fresh and no permit
   has to be given back. `now` is when the last one ended; returns the same. In a stream of short tasks
   who was refused is told of room after them all, some microseconds later, not after each: a full queue
   would otherwise be filled and found full again task by task. */
static NPI_ON_PATH uint64_t run_seen(struct npi_worker *worker, uint64_t now)
{
    struct npi_shard *shard = worker->shard;
    struct numapool *pool = shard->pool;
    bool stream = npi_a64_load_relaxed(&shard->spare_tasks) != 0, untold = false;
    while (NPI_LIKELY(!npi_permits_over(npi_a64_load_relaxed(&shard->gate.permits)) &&
                      now - worker->cursor.looked_ticks < worker->fresh_ticks)) {
        struct npi_item item;
        if (!npi_shard_take_seen(shard, &worker->cursor, &item)) {
            break;
        }
        if (stream) {
            untold = true;
        } else {
            NPI_MUTANT(seen_silently, npi_pool_room_made(pool), (void)0);
        }
        worker->turn++;
        if (NPI_LIKELY(npi_item_is_plain(&item, shard->index))) {
            if (!run_plain(worker, pool, &item, &now)) {
                return now;
            }
            continue;
        }
        worker->item = item;
        now = run(worker, now);
        if (NPI_UNLIKELY(npi_pool_forked(pool))) {
            return now;
        }
    }
    if (untold) {
        NPI_MUTANT(stream_silently, npi_pool_room_made(pool), (void)0);
    }
    return now;
}

/* Returns when the thread is to end: also in a child of fork(), where the task that forked returned.
   The tasks that wait are the parent's. */
static void run_loop(struct npi_worker *worker)
{
    struct npi_shard *shard = worker->shard;
    bool woken = false;
    uint64_t now = 0;
    while (!npi_pool_forked(shard->pool)) {
        if (!worker->searching) {
            now = run_seen(worker, now);
            if (npi_pool_forked(shard->pool) || !obey_limit(worker)) {
                return;
            }
        }
        if (!worker->searching) {
            if (look_and_take(worker, now)) {
                now = run(worker, now);
                continue;
            }
            worker->searching = true;
            npi_gate_search(&shard->gate);
        }
        if (search(worker, &worker->item)) {
            now = run(worker, npi_clock_ticks());
            woken = false;
            continue;
        }
        if (woken) {
            (void)npi_a64_add_relaxed(&shard->wakes_spurious, 1);
        }
        if (!park(worker, true, true)) {
            return;
        }
        woken = true;
    }
}

/* The task ended its thread: it counts as run (or as dropped, if its drop did), and the shard gets
   another worker. */
static void on_thread_exit(void *arg)
{
    struct npi_worker *worker = arg;
    struct npi_shard *shard = worker->shard;
    if (npi_pool_forked(shard->pool)) {
        return; /* it is the only thread of a child */
    }
    bool lent = worker->permit_lent;
    worker->block_depth = 0;
    sign(worker, 0);
    if (lent) {
        take_permit_back(worker);
    }
    if (worker->dropping) {
        finish_drop(worker);
    } else {
        uint64_t start = npi_a64_load_relaxed(&worker->started_ticks);
        uint64_t wait = start - worker->item.hot[NPI_TASK_STAMP];
        record(worker, (int64_t)wait < 0 ? 0 : wait, npi_clock_ticks() - start);
        finish(worker);
    }
    npi_scratch_cool(&worker->scratch);
    (void)npi_shard_uncount_thread(shard, 0);
    sign(worker, NPI_IN_LEAVE);
    npi_a32_store_release(&shard->gate.sleepers[worker->index].word, NPI_SLEEPER_FREE);
    if (!lent) {
        npi_gate_leave(&shard->gate, false);
    }
    sign(worker, 0);
    npi_shard_look(shard, NPI_GATE_NOBODY);
    tell_drain(shard->pool);
    thread_ended(worker);
}

void *npi_worker_main(void *arg)
{
    struct npi_worker *worker = arg;
    struct npi_shard *shard = worker->shard;
    npi_worker_self = worker;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &(int){0});
    npi_a32_store_relaxed(&worker->tid, (uint32_t)npi_thread_id());
    (void)npi_a64_add_relaxed(&shard->threads_started, 1);
    npi_worker_settle(worker);
    worker->searching = true;
    pthread_cleanup_push(on_thread_exit, worker);
    run_loop(worker);
    pthread_cleanup_pop(0);
    if (!npi_pool_forked(shard->pool)) {
        thread_ended(worker);
    }
    return NULL;
}
