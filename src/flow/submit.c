/*
 * The public submit calls. The common one is: find home, claim its ring, write four words, publish,
 * look for sleepers. Everything unusual is asked in flow/admission.c.
 */
#include "flow/submit.h"

#include "base/check.h"
#include "base/probe.h"
#include "flow/admission.h"
#include "flow/group.h"
#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"

#define KNOWN_FLAGS (NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE | NUMAPOOL_DROP_OK)

/* Tasks of a batch that are published together at most: two kilobytes of stack; and of those that are a
   function and its argument alone, which need none: for how long others find the claim held. */
#define BATCH_ITEMS 32
#define BATCH_BARE 64

/* Between two tries of a waiting submit. */
#define WAIT_STEP_NS_MIN UINT64_C(50000)
#define WAIT_STEP_NS_MAX UINT64_C(2000000)

unsigned npi_submit_caller_shard(struct numapool *pool)
{
    if (pool->shard_count == 1) {
        return 0;
    }
    const struct npi_worker *self = npi_worker_self;
    if (self != NULL && self->shard->pool == pool) {
        return self->shard->index;
    }
    int cpu = npi_thread_cpu();
    if (cpu >= 0 && (unsigned)cpu < pool->plan->cpu_slots) {
        unsigned shard = pool->plan->shard_of_cpu[cpu];
        if (shard != NPI_NO_SHARD) {
            return shard;
        }
    }
    static __thread struct {
        uint64_t pool_id;
        unsigned shard;
    } dealt;
    if (dealt.pool_id != pool->id) {
        dealt.pool_id = pool->id;
        dealt.shard = npi_a32_add_relaxed(&pool->dealt, 1) % pool->shard_count;
    }
    return dealt.shard;
}

/* As below, for a task without a deadline when nothing unusual is in the way. */
static inline bool enqueue_plainly(struct npi_shard *home, const npi_a32 *phase,
                                   enum npi_class rank, const struct npi_item *item)
{
    if (NPI_UNLIKELY(!npi_shard_push_plainly(home, phase, rank, item))) {
        return false;
    }
    npi_shard_notify(home, item->hot[NPI_TASK_STAMP]);
    return true;
}

/* Queues one task at its home or elsewhere, when the common way was tried or is closed to it. */
static int enqueue(struct npi_shard *home, enum npi_class rank, struct npi_item *item)
{
    if (npi_item_deadline_ticks(item) == 0 && !npi_pool_is_full(home->pool)) {
        uint64_t fast = npi_a64_load_relaxed(&home->fast_tasks[rank]);
        if (NPI_LIKELY(fast != 0 && npi_shard_push(home, rank, item, 1, fast) == 1)) {
            npi_shard_notify(home, item->hot[NPI_TASK_STAMP]);
            return NUMAPOOL_OK;
        }
    }
    return npi_admission_decide(home, item);
}

static inline void pack_plain(struct npi_item *item, numapool_fn *run, void *arg, uint64_t stamp,
                              unsigned home)
{
    item->hot[NPI_TASK_RUN] = (uint64_t)(uintptr_t)run;
    item->hot[NPI_TASK_ARG] = (uint64_t)(uintptr_t)arg;
    item->hot[NPI_TASK_STAMP] = stamp;
    item->hot[NPI_TASK_META] = npi_meta(home, NPI_CLASS_NORMAL, 0);
}

/* Packs once more: so the common way keeps the task in registers. */
static NPI_APART_FROM_PATH int submit_slowly(struct npi_shard *home, numapool_fn *run, void *arg,
                                             uint64_t stamp)
{
    struct npi_item item;
    pack_plain(&item, run, arg, stamp, home->index);
    return enqueue(home, NPI_CLASS_NORMAL, &item);
}

static NPI_APART_FROM_PATH int call_somebody(struct npi_shard *home, uint64_t permits,
                                             uint64_t stamp)
{
    npi_shard_call(home, permits, stamp);
    return NUMAPOOL_OK;
}

/* Somebody has found all shards full. */
static NPI_APART_FROM_PATH int submit_when_full(struct npi_shard *home, numapool_fn *run, void *arg)
{
    if (npi_admission_refuses(home, NPI_CLASS_NORMAL)) {
        return npi_admission_refuse_again(home, NPI_CLASS_NORMAL);
    }
    NPI_PROBE4(submit, home->pool, home->index, run, arg);
    return submit_slowly(home, run, arg, npi_clock_ticks());
}

/* With calls: of several shards the caller's has to be found, or the clock is asked. */
static NPI_APART_FROM_PATH int submit_at_length(numapool *pool, numapool_fn *run, void *arg)
{
    if (NPI_UNLIKELY(npi_pool_forked(pool))) {
        return NUMAPOOL_E_FORKED;
    }
    unsigned shard = npi_submit_caller_shard(pool);
    struct npi_shard *home = pool->shards[shard];
    if (NPI_UNLIKELY(npi_pool_is_full(pool))) {
        return submit_when_full(home, run, arg);
    }
    struct npi_item item;
    pack_plain(&item, run, arg, npi_clock_ticks(), shard);
    NPI_PROBE4(submit, pool, shard, run, arg);
    if (NPI_LIKELY(enqueue_plainly(home, &pool->phase, NPI_CLASS_NORMAL, &item))) {
        return NUMAPOOL_OK;
    }
    return submit_slowly(home, run, arg, item.hot[NPI_TASK_STAMP]);
}

/* Whatever needs a call is called last, so that the way without one saves no registers. */
int numapool_submit(numapool *pool, numapool_fn *run, void *arg)
{
    if (NPI_UNLIKELY(pool == NULL || run == NULL)) {
        return NUMAPOOL_E_INVALID;
    }
    struct npi_shard *home = pool->only;
    if (NPI_UNLIKELY(home == NULL || npi_pool_forked(pool) || !npi_clock_is_counter())) {
        return submit_at_length(pool, run, arg);
    }
    if (NPI_UNLIKELY(npi_pool_is_full(pool))) {
        return submit_when_full(home, run, arg);
    }
    struct npi_item item;
    pack_plain(&item, run, arg, npi_clock_counter(), 0);
    NPI_PROBE4(submit, pool, 0u, run, arg);
    if (NPI_UNLIKELY(!npi_shard_push_plainly(home, &pool->phase, NPI_CLASS_NORMAL, &item))) {
        return submit_slowly(home, run, arg, item.hot[NPI_TASK_STAMP]);
    }
    uint64_t permits = npi_gate_permits(&home->gate); /* @sleep-announced */
    return npi_permits_want_wake(permits) ? call_somebody(home, permits, item.hot[NPI_TASK_STAMP])
                                          : NUMAPOOL_OK;
}

/* ------------------------------------------------------------------------ with everything */

/* A function and its argument, and nothing else that anybody would read. */
static inline bool bare(const struct numapool_task *task)
{
    uint64_t rest = (uint64_t)(uintptr_t)task->drop | (uint64_t)(uintptr_t)task->group |
                    task->deadline_ns | (uint64_t)(uintptr_t)task->near_data | task->bytes |
                    (unsigned)task->task_class | task->flags;
    for (unsigned i = 0; i < sizeof task->reserved / sizeof task->reserved[0]; i++) {
        rest |= task->reserved[i];
    }
    return rest == 0;
}

static bool valid(const struct numapool *pool, const struct numapool_task *task)
{
    if (task->run == NULL || task->task_class < NUMAPOOL_NORMAL ||
        task->task_class > NUMAPOOL_SHEDDABLE || (task->flags & ~(unsigned)KNOWN_FLAGS) != 0 ||
        (task->group != NULL && task->group->pool != pool)) {
        return false;
    }
    for (unsigned i = 0; i < sizeof task->reserved / sizeof task->reserved[0]; i++) {
        if (task->reserved[i] != 0) {
            return false;
        }
    }
    return (task->flags & NUMAPOOL_ON_NODE) == 0 ||
           (task->node >= 0 && (unsigned)task->node < pool->node_count);
}

/* Where it belongs; false when STRICT_NODE means nothing there. */
static bool find_home(struct numapool *pool, const struct numapool_task *task,
                      struct npi_route *route, unsigned *home)
{
    struct npi_route_ask ask = {
        .on_node = (task->flags & NUMAPOOL_ON_NODE) != 0 ? task->node : -1,
        .data_node = task->near_data != NULL ? npi_space_node_of(pool->space, task->near_data) : -1,
        .caller_shard = npi_submit_caller_shard(pool),
        .strict = (task->flags & NUMAPOOL_STRICT_NODE) != 0,
    };
    npi_route_home(pool->routes, pool->node_count, &ask, route);
    unsigned first = route->first_shard;
    *home = first;
    if (route->shard_count > 1) {
        if (ask.caller_shard >= first && ask.caller_shard < first + route->shard_count) {
            *home = ask.caller_shard;
        } else {
            uint32_t depths[64];
            size_t count = route->shard_count < 64 ? route->shard_count : 64;
            for (size_t i = 0; i < count; i++) {
                depths[i] = (uint32_t)npi_shard_depth(pool->shards[first + i]);
            }
            /* Mixed: the low bits of many processors' counters never change. */
            uint64_t turn = npi_clock_ticks() * UINT64_C(0x9e3779b97f4a7c15) >> 32;
            *home = first + (unsigned)npi_route_least(depths, count, (uint32_t)turn);
        }
    }
    return !ask.strict || !pool->plan->shards[*home].spans_nodes;
}

static void pack(struct npi_item *item, const struct numapool_task *task, unsigned home,
                 enum npi_affinity affinity, uint64_t now)
{
    uint64_t flags = (affinity == NPI_AFFINITY_STRICT ? NPI_META_STRICT : 0) |
                     (affinity == NPI_AFFINITY_DATA ? NPI_META_DATA : 0) |
                     ((task->flags & NUMAPOOL_DROP_OK) != 0 ? NPI_META_DROP_OK : 0);
    bool full = task->drop != NULL || task->group != NULL || task->deadline_ns != 0 ||
                task->bytes != 0 || (task->flags & NUMAPOOL_DROP_OK) != 0;
    item->hot[NPI_TASK_RUN] = (uint64_t)(uintptr_t)task->run;
    item->hot[NPI_TASK_ARG] = (uint64_t)(uintptr_t)task->arg;
    item->hot[NPI_TASK_STAMP] = now;
    item->hot[NPI_TASK_META] =
        npi_meta(home, npi_rank_of_class(task->task_class), flags | (full ? NPI_ITEM_FULL : 0));
    item->more[NPI_TASK_DROP] = (uint64_t)(uintptr_t)task->drop;
    item->more[NPI_TASK_GROUP] = (uint64_t)(uintptr_t)task->group;
    item->more[NPI_TASK_BYTES] = task->bytes;
    item->more[NPI_TASK_DEADLINE] = 0;
    if (task->deadline_ns != 0) {
        /* Kept in ticks, so that the worker compares without asking for another clock. */
        uint64_t now_ns = npi_clock_now_ns();
        uint64_t left =
            task->deadline_ns > now_ns ? npi_clock_ns_to_ticks(task->deadline_ns - now_ns) : 0;
        item->more[NPI_TASK_DEADLINE] =
            now + left > now ? now + left : (left != 0 ? UINT64_MAX : now);
    }
}

/* Everything but the argument checks. */
static int submit_checked(struct numapool *pool, const struct numapool_task *task)
{
    enum npi_affinity affinity = NPI_AFFINITY_CALLER;
    unsigned home_index;
    if (task->near_data == NULL && (task->flags & (NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE)) == 0) {
        home_index = npi_submit_caller_shard(pool);
    } else {
        struct npi_route route;
        if (!find_home(pool, task, &route, &home_index)) {
            return NUMAPOOL_E_INVALID;
        }
        affinity = route.affinity;
    }
    struct npi_shard *home = pool->shards[home_index];
    enum npi_class rank = npi_rank_of_class(task->task_class);
    bool holds = task->group != NULL || task->bytes != 0; /* something to give back on refusal */
    bool full = npi_pool_is_full(pool), in_time = task->deadline_ns == 0;
    if (NPI_UNLIKELY(full) && !holds && in_time && affinity == NPI_AFFINITY_CALLER &&
        npi_admission_refuses(home, rank)) {
        return npi_admission_refuse_again(home, rank);
    }
    struct npi_item item;
    pack(&item, task, home_index, affinity, npi_clock_ticks());
    NPI_PROBE4(submit, pool, home_index, task->run, task->arg);
    if (!holds) {
        return in_time && !full && enqueue_plainly(home, &pool->phase, rank, &item)
                   ? NUMAPOOL_OK
                   : enqueue(home, rank, &item);
    }

    if (task->group != NULL && npi_group_is_cancelled(task->group)) {
        npi_shard_refused(home, NPI_REFUSED_OTHER, 1);
        return NUMAPOOL_E_CANCELLED;
    }
    if (task->bytes != 0 && !npi_space_reserve(pool->space, task->bytes)) {
        return npi_admission_refuse_bytes(home);
    }
    if (task->group != NULL) {
        npi_group_join(task->group);
    }
    if (in_time && !full && enqueue_plainly(home, &pool->phase, rank, &item)) {
        return NUMAPOOL_OK;
    }
    int result = enqueue(home, rank, &item);
    if (result != NUMAPOOL_OK) {
        npi_task_unreserve(pool->space, &item);
        npi_task_part(&item);
    }
    return result;
}

static NPI_APART_FROM_PATH int submit_dressed(struct numapool *pool,
                                              const struct numapool_task *task)
{
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    return valid(pool, task) ? submit_checked(pool, task) : NUMAPOOL_E_INVALID;
}

int numapool_submit_task(numapool *pool, const struct numapool_task *task)
{
    if (NPI_UNLIKELY(pool == NULL || task == NULL)) {
        return NUMAPOOL_E_INVALID;
    }
    return NPI_LIKELY(bare(task)) ? numapool_submit(pool, task->run, task->arg)
                                  : submit_dressed(pool, task);
}

int numapool_submit_wait(numapool *pool, const struct numapool_task *task, uint64_t timeout_ns)
{
    if (pool == NULL || task == NULL) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    if (!valid(pool, task)) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_worker_self != NULL && npi_worker_self->shard->pool == pool) {
        return NUMAPOOL_E_DEADLOCK;
    }
    uint64_t begin = npi_clock_now_ns();
    uint64_t until = timeout_ns > UINT64_MAX - begin ? UINT64_MAX : begin + timeout_ns;
    npi_a32 nothing = {0};
    uint64_t step = WAIT_STEP_NS_MIN;
    for (;;) {
        int result = submit_checked(pool, task);
        if ((result != NUMAPOOL_E_FULL && result != NUMAPOOL_E_SHED) || timeout_ns == 0) {
            return result;
        }
        /* The pool keeps no list of waiting submitters: they would have to be woken by workers, and
           the hint says when room is likely. Bounded both ways, growing while it is wrong. */
        uint64_t hint = npi_admission_retry_after_ns(pool) / 4;
        uint64_t pause = hint > step ? hint : step;
        pause = pause < WAIT_STEP_NS_MAX ? pause : WAIT_STEP_NS_MAX;
        uint64_t now = npi_clock_now_ns();
        if (now >= until) {
            return NUMAPOOL_E_TIMEDOUT;
        }
        uint64_t next = until - now < pause ? until : now + pause;
        (void)npi_park_wait(&nothing, 0, next);
        step = step < WAIT_STEP_NS_MAX ? step * 2 : step;
    }
}

/* ------------------------------------------------------------------------------- batches */

/* May this task be published together with plain neighbours? */
static bool plain(const struct numapool_task *task)
{
    return task->group == NULL && task->bytes == 0 && task->deadline_ns == 0;
}

/* How many of these, from the first on, are bare. Read before the claim: the first touch of the caller's
   memory may take long. */
static unsigned count_bare(const struct numapool_task *tasks, size_t count)
{
    unsigned n = 0;
    while (n < count && n < BATCH_BARE && tasks[n].run != NULL && bare(&tasks[n])) {
        n++;
    }
    return n;
}

/* Publishes them together, as numapool_submit() does with one. False: not that plainly. */
static bool submit_bare(struct numapool *pool, const struct numapool_task *tasks, unsigned count)
{
    if (NPI_UNLIKELY(npi_pool_is_full(pool))) {
        return false;
    }
    unsigned shard = npi_submit_caller_shard(pool);
    struct npi_shard *home = pool->shards[shard];
    uint64_t now = npi_clock_ticks();
    if (!npi_shard_begin_plainly(home, &pool->phase, NPI_CLASS_NORMAL, count, now)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        struct npi_item item;
        pack_plain(&item, tasks[i].run, tasks[i].arg, now, shard);
        NPI_PROBE4(submit, pool, shard, tasks[i].run, tasks[i].arg);
        npi_ring_put(&home->lanes[0], NPI_CLASS_NORMAL, i, &item);
    }
    npi_shard_end_plainly(home, NPI_CLASS_NORMAL, count, now);
    NPI_MUTANT(batch_silently, npi_shard_notify(home, now), (void)0);
    return true;
}

int numapool_submit_batch(numapool *pool, const struct numapool_task *tasks, size_t count,
                          size_t *accepted)
{
    if (pool == NULL || accepted == NULL || (tasks == NULL && count != 0)) {
        return NUMAPOOL_E_INVALID;
    }
    *accepted = 0;
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    size_t done = 0;
    int result = NUMAPOOL_OK;
    while (done < count && result == NUMAPOOL_OK) {
        unsigned bare_tasks = count_bare(tasks + done, count - done);
        if (bare_tasks != 0 && submit_bare(pool, tasks + done, bare_tasks)) {
            done += bare_tasks;
            continue;
        }
        /* A stamp for each run: the lanes of a shard are emptied by age, and runs may go to two. */
        uint64_t now = npi_clock_ticks();
        struct npi_item items[BATCH_ITEMS];
        struct npi_route route;
        unsigned n = 0, home = 0;
        enum npi_class rank = NPI_CLASS_NORMAL;
        /* A run of tasks with one destination, as long as the fast gate lets it in. */
        while (n < BATCH_ITEMS && done + n < count) {
            const struct numapool_task *task = &tasks[done + n];
            unsigned to;
            if (!valid(pool, task) || !find_home(pool, task, &route, &to)) {
                result = NUMAPOOL_E_INVALID;
                break;
            }
            enum npi_class task_rank = npi_rank_of_class(task->task_class);
            if (!plain(task) || (n != 0 && (to != home || task_rank != rank))) {
                break;
            }
            home = to;
            rank = task_rank;
            pack(&items[n++], task, home, route.affinity, now);
            NPI_PROBE4(submit, pool, home, task->run, task->arg);
        }
        int pushed = 0;
        if (n != 0) {
            struct npi_shard *shard = pool->shards[home];
            uint64_t fast = npi_a64_load_relaxed(&shard->fast_tasks[rank]);
            pushed = fast != 0 ? npi_shard_push(shard, rank, items, n, fast) : 0;
            pushed = pushed > 0 ? pushed : 0;
            if (pushed > 0) {
                npi_shard_notify(shard, now);
                done += (size_t)pushed;
            }
        }
        if (n != 0 && (unsigned)pushed == n) {
            continue; /* a mistake behind them ends the loop with its code */
        }
        if (n != 0 || result == NUMAPOOL_OK) {
            result = submit_checked(pool, &tasks[done]);
            done += result == NUMAPOOL_OK;
        }
    }
    *accepted = done;
    return result;
}

uint64_t numapool_retry_after_ns(numapool *pool)
{
    return pool == NULL || npi_pool_forked(pool) ? 0 : npi_admission_retry_after_ns(pool);
}
