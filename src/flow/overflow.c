/* Forwarding and stealing, carried out. */
#include "flow/overflow.h"

#include "base/prng.h"
#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"

/* Distance classes have few members; beyond this many a class is drawn from, never scanned. */
#define SCAN_MAX 32

static uint32_t random_bits(void)
{
    static __thread struct npi_prng prng;
    if (prng.state == 0) {
        npi_prng_seed(&prng, npi_clock_ticks() ^ (uint64_t)(uintptr_t)&prng);
    }
    return (uint32_t)(npi_prng_next(&prng) >> 32);
}

static bool same_node_only(enum npi_affinity affinity, const struct npi_shard *home,
                           const struct npi_shard *other)
{
    return affinity == NPI_AFFINITY_STRICT && home->node != other->node;
}

/* A target as policy sees it: live queue and permits, last tick's processors. */
static void read_target(const struct npi_shard *shard, const struct npi_shard_view *view,
                        struct npi_forward_target *target)
{
    uint64_t permits = npi_gate_permits(&shard->gate);
    target->queued_tasks = (uint32_t)npi_shard_depth(shard);
    target->capacity_tasks = shard->capacity_tasks;
    target->guest_tasks = npi_a32_load_relaxed(&shard->guests);
    target->busy_workers = npi_permits_active(permits) > npi_permits_searching(permits)
                               ? npi_permits_active(permits) - npi_permits_searching(permits)
                               : 0;
    target->limit_workers = npi_permits_limit(permits);
    target->cpus = view->cpus;
    target->cpu_free = view->cpu_free != 0;
}

/* Would the target accept it by its own gates? */
static enum npi_verdict judge(const struct npi_overflow_ask *ask, struct npi_shard *target,
                              const struct npi_shard_view *view)
{
    const struct numapool *pool = target->pool;
    uint32_t distance = pool->plan->distance[ask->home->index * pool->shard_count + target->index];
    uint64_t ahead = 0;
    for (unsigned rank = 0; rank <= ask->rank; rank++) {
        ahead += npi_shard_waiting_of(target, (enum npi_class)rank);
    }
    uint64_t queued = npi_shard_depth(target);
    struct npi_admit_ask question = {
        .task_class = ask->rank,
        .now_ns = ask->now_ns,
        .deadline_ns = ask->deadline_ns,
        .queued_tasks = (uint32_t)queued,
        .ahead_tasks = (uint32_t)(ahead < queued ? ahead : queued),
        .busy_workers = npi_shard_busy(target),
        .guest = true,
        .penalty_ns = npi_forward_penalty_ns(&pool->params, ask->home_view->task_cpu_ns, distance,
                                             ask->affinity),
    };
    return npi_admit_judge(&pool->params, &view->admit, &question);
}

static bool push_guest(struct npi_overflow_ask *ask, struct npi_shard *target,
                       const struct npi_shard_view *view, struct npi_item *item)
{
    item->hot[NPI_TASK_META] |= NPI_META_GUEST;
    (void)npi_a32_add_relaxed(&target->guests, 1);
    (void)npi_a64_add_relaxed(&target->guests_ever, 1); /* published by the push */
    if (npi_shard_push(target, ask->rank, item, 1, view->admit.by_class[ask->rank].share_tasks) ==
        1) {
        NPI_PROBE4(forward, target->pool, ask->home->index, target->index, item->hot[NPI_TASK_RUN]);
        (void)npi_a64_add_relaxed(&ask->home->forwarded_out, 1);
        (void)npi_a64_add_relaxed(&target->forwarded_in, 1);
        NPI_MUTANT(forward_unheard, npi_shard_notify(target, item->hot[NPI_TASK_STAMP]), (void)0);
        return true;
    }
    (void)npi_a64_add_relaxed(&target->guests_ever, (uint64_t)-1);
    (void)NPI_MUTANT(guest_count_lost, npi_a32_add_relaxed(&target->guests, (uint32_t)-1), 0u);
    item->hot[NPI_TASK_META] &= ~NPI_META_GUEST;
    return false;
}

bool npi_overflow_to_idle(struct npi_overflow_ask *ask, struct npi_item *item, uint64_t home_depth)
{
    struct npi_shard *home = ask->home;
    struct numapool *pool = home->pool;
    const struct npi_policy_params *params = &pool->params;
    uint64_t permits = npi_gate_permits(&home->gate);
    double wait_ns =
        npi_forward_wait_ns((uint32_t)home_depth, npi_permits_active(permits),
                            npi_permits_limit(permits), ask->home_view->forward.wait_ns_per_task);
    for (size_t c = 0; c < home->class_count; c++) {
        const struct npi_forward_class *class = &home->classes[c];
        double penalty_ns = npi_forward_penalty_ns(params, ask->home_view->task_cpu_ns,
                                                   class->distance, ask->affinity);
        size_t picks[2];
        size_t count = npi_forward_draw(class->count, random_bits(), picks);
        struct npi_forward_target targets[2];
        struct npi_shard_view views[2] = {0};
        size_t ids[2], n = 0;
        for (size_t i = 0; i < count; i++) {
            size_t id = home->order[class->first + picks[i]];
            if (!same_node_only(ask->affinity, home, pool->shards[id])) {
                npi_shard_view_read(pool->shards[id], &views[n]);
                read_target(pool->shards[id], &views[n], &targets[n]);
                ids[n++] = id;
            }
        }
        int best = npi_forward_idle(params, wait_ns, penalty_ns, targets, n);
        if (best >= 0 && push_guest(ask, pool->shards[ids[best]], &views[best], item)) {
            return true;
        }
    }
    return false;
}

/* Tries one target for overflow; notes its verdict. */
static bool try_room(struct npi_overflow_ask *ask, struct npi_shard *target, struct npi_item *item)
{
    struct npi_shard_view view = {0};
    struct npi_forward_target live;
    npi_shard_view_read(target, &view);
    read_target(target, &view, &live);
    if (!npi_forward_has_room(&target->pool->params, &live)) {
        ask->verdict = npi_admit_combine(ask->verdict, NPI_VERDICT_FULL);
        return false;
    }
    enum npi_verdict verdict = judge(ask, target, &view);
    if (verdict != NPI_VERDICT_ACCEPT) {
        ask->verdict = npi_admit_combine(ask->verdict, verdict);
        return false;
    }
    return push_guest(ask, target, &view, item);
}

bool npi_overflow_to_room(struct npi_overflow_ask *ask, struct npi_item *item)
{
    struct npi_shard *home = ask->home;
    struct numapool *pool = home->pool;
    for (size_t c = 0; c < home->class_count; c++) {
        const struct npi_forward_class *class = &home->classes[c];
        size_t picks[2];
        size_t count = npi_forward_draw(class->count, random_bits(), picks);
        /* The emptier of two first, then, in small classes, everybody: nothing is refused while a
           shard within the limits has room. */
        if (count == 2) {
            const struct npi_shard *a = pool->shards[home->order[class->first + picks[0]]];
            const struct npi_shard *b = pool->shards[home->order[class->first + picks[1]]];
            if (npi_shard_depth(b) < npi_shard_depth(a)) {
                size_t first = picks[0];
                picks[0] = picks[1];
                picks[1] = first;
            }
        }
        for (size_t i = 0; i < count + class->count && i < SCAN_MAX; i++) {
            size_t at = i < count ? picks[i] : i - count;
            struct npi_shard *target = pool->shards[home->order[class->first + at]];
            bool seen = i >= count && (at == picks[0] || (count == 2 && at == picks[1]));
            if (!seen && !same_node_only(ask->affinity, home, target) &&
                try_room(ask, target, item)) {
                return true;
            }
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------ stealing */

static bool worth_stealing(const struct npi_worker *thief, struct npi_shard *victim,
                           uint32_t distance, const struct npi_shard_view *thief_view)
{
    if (npi_shard_waiting(victim) == 0) {
        return false;
    }
    struct npi_shard_view view = {0};
    npi_shard_view_read(victim, &view);
    uint64_t permits = npi_gate_permits(&victim->gate);
    uint64_t now = npi_clock_ticks(), age = 0;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        uint64_t stamp;
        if (npi_shard_head_stamp(victim, (enum npi_class)rank, &stamp) &&
            (int64_t)(now - stamp) > (int64_t)age) {
            age = now - stamp;
        }
    }
    struct npi_steal_view question = {
        .queued_tasks = (uint32_t)npi_shard_waiting(victim),
        .busy_workers = npi_permits_active(permits),
        .limit_workers = npi_permits_limit(permits),
        .head_age_ns = npi_clock_ticks_to_ns(age),
        .wait_ns_per_task = view.forward.wait_ns_per_task,
        .task_cpu_ns = view.task_cpu_ns,
        .distance = distance,
        .affinity = NPI_AFFINITY_CALLER,
        .thief_cpu_free = thief_view->cpu_free != 0,
    };
    return npi_forward_may_steal(&thief->shard->pool->params, &question);
}

bool npi_overflow_steal(struct npi_worker *worker, const struct npi_shard_view *view,
                        struct npi_item *item)
{
    struct npi_shard *shard = worker->shard;
    struct numapool *pool = shard->pool;
    if (shard->class_count == 0 || view->cpu_free == 0 ||
        npi_a32_load_relaxed(&pool->phase) == NPI_PHASE_CLOSING) {
        return false;
    }
    if (npi_a32_swap_acq_rel(&shard->stealer, 1) != 0) {
        return false; /* one of us looks already */
    }
    bool found = false;
    for (size_t c = 0; c < shard->class_count && !found; c++) {
        const struct npi_forward_class *class = &shard->classes[c];
        size_t picks[2];
        size_t count = npi_forward_draw(class->count, random_bits(), picks);
        for (size_t i = 0; i < count && !found; i++) {
            struct npi_shard *victim = pool->shards[shard->order[class->first + picks[i]]];
            if (!worth_stealing(worker, victim, class->distance, view)) {
                continue;
            }
            uint64_t keep = victim->node == shard->node ? 0 : NPI_META_STRICT;
            if (npi_shard_take(victim, keep, item, 1) != 0) {
                NPI_PROBE4(steal, pool, victim->index, shard->index, item->hot[NPI_TASK_RUN]);
                (void)npi_a64_add_relaxed(&victim->stolen_out, 1);
                (void)npi_a64_add_relaxed(&shard->stolen_in, 1);
                if ((item->hot[NPI_TASK_META] & NPI_META_GUEST) != 0) {
                    (void)npi_a32_add_relaxed(&victim->guests, (uint32_t)-1);
                    item->hot[NPI_TASK_META] &= ~NPI_META_GUEST;
                }
                found = true;
            }
        }
    }
    NPI_MUTANT(stealer_stays, npi_a32_store_release(&shard->stealer, 0), (void)0);
    return found;
}

void npi_overflow_call_help(struct npi_shard *shard)
{
    struct numapool *pool = shard->pool;
    uint64_t permits = npi_gate_permits(&shard->gate);
    if (shard->class_count == 0 || npi_permits_active(permits) < npi_permits_limit(permits) ||
        npi_shard_waiting(shard) == 0) {
        return;
    }

    for (size_t c = 0; c < shard->class_count; c++) {
        const struct npi_forward_class *class = &shard->classes[c];
        for (size_t i = 0; i < class->count && i < SCAN_MAX; i++) {
            struct npi_shard *helper = pool->shards[shard->order[class->first + i]];
            struct npi_shard_view helper_view = {0};
            npi_shard_view_read(helper, &helper_view);
            uint64_t theirs = npi_gate_permits(&helper->gate);
            if (helper_view.cpu_free != 0 && npi_permits_want_wake(theirs)) {
                npi_shard_wake(helper, NPI_GATE_NOBODY);
            }
        }
    }
}

void npi_overflow_borrowed(struct npi_worker *worker, unsigned home)
{
    struct npi_shard *shard = worker->shard;
    struct npi_shard *owner = shard->pool->shards[home];
    struct npi_shard_view view = {0};
    npi_shard_view_read(owner, &view);
    worker->lent = view.cpu_free != 0;
    if (worker->lent) {
        (void)npi_a32_add_relaxed(&shard->lent_in, 1);
        (void)npi_a32_add_relaxed(&owner->lent_out, 1);
    }
}

void npi_overflow_returned(struct npi_worker *worker, unsigned home)
{
    struct npi_shard *shard = worker->shard;
    worker->lent = false;
    (void)npi_a32_add_relaxed(&shard->lent_in, (uint32_t)-1);
    (void)npi_a32_add_relaxed(&shard->pool->shards[home]->lent_out, (uint32_t)-1);
}
