/* The slow path of a submit: the exact questions, in their order. */
#include "flow/admission.h"

#include "base/check.h"
#include "flow/overflow.h"
#include "flow/pool.h"
#include "os/os.h"

/* What the calling thread needs to answer "when shall I come back?". */
static __thread struct {
    uint64_t pool_id;
    unsigned home, rank;
    bool by_wait; /* nobody predicts when bytes come back */
} last_refusal;

/* Tasks of its class and better ones that wait at a shard. */
static uint64_t waiting_before(const struct npi_shard *shard, enum npi_class rank)
{
    uint64_t ahead = 0;
    for (unsigned r = 0; r <= rank; r++) {
        ahead += npi_shard_waiting_of(shard, (enum npi_class)r);
    }
    return ahead;
}

uint64_t npi_admission_retry_after_ns(const struct numapool *pool)
{
    if (last_refusal.pool_id != pool->id) {
        return 0;
    }
    double wait_ns = 0.0;
    uint32_t standing_windows = 0;
    if (last_refusal.by_wait) {
        const struct npi_shard *home = pool->shards[last_refusal.home];
        enum npi_class rank = (enum npi_class)last_refusal.rank;
        struct npi_shard_view view = {0};
        npi_shard_view_read(home, &view);
        struct npi_admit_ask question = {
            .task_class = rank,
            .ahead_tasks = (uint32_t)waiting_before(home, rank),
            .busy_workers = npi_shard_busy(home),
        };
        wait_ns = npi_admit_wait_ns(&view.admit, &question);
        standing_windows = view.standing_windows[rank];
    }
    return npi_admit_retry_ns(&pool->params, wait_ns, standing_windows,
                              (uint32_t)(npi_clock_ticks() * UINT64_C(0x9e3779b97f4a7c15) >> 32));
}

static void note_refusal(const struct npi_shard *home, enum npi_class rank, bool by_wait)
{
    last_refusal.pool_id = home->pool->id;
    last_refusal.home = home->index;
    last_refusal.rank = rank;
    last_refusal.by_wait = by_wait;
}

/* Nobody is about to queue a task anywhere. */
static bool all_claims_free(const struct numapool *pool)
{
    for (unsigned i = 0; i < pool->shard_count; i++) {
        const struct npi_shard *shard = pool->shards[i];
        if (npi_a64_load_relaxed(&shard->lanes_used) != NPI_LANES_FIRST ||
            npi_a64_load_sc(&shard->lanes[0].claim) != 0) {
            return false;
        }
    }
    return true;
}

/* All shards have refused a task whose submitter saw `room` before it asked the first. */
static void rely_on(struct npi_shard *home, enum npi_class rank, uint64_t room, bool full)
{
    if (NPI_MUTANT(relied_unarmed, (room & 1) == 0, false)) {
        (void)npi_a64_cas_sc(&home->pool->room, &room, room + 1); /* @room-relied */
    } else {
        npi_a64_store_relaxed(&home->refusing[rank], room << 1 | full);
    }
}

bool npi_admission_refuses(const struct npi_shard *home, enum npi_class rank)
{
    uint64_t noted = npi_a64_load_relaxed(&home->refusing[rank]);
    return noted != 0 && noted >> 1 == npi_a64_load_relaxed(&home->pool->room);
}

int npi_admission_refuse_again(struct npi_shard *home, enum npi_class rank)
{
    note_refusal(home, rank, true);
    if ((npi_a64_load_relaxed(&home->refusing[rank]) & 1) != 0) {
        npi_shard_refused(home, NPI_REFUSED_FULL, 1);
        return NUMAPOOL_E_FULL;
    }
    npi_shard_refused(home, NPI_REFUSED_SHED, 1);
    return NUMAPOOL_E_SHED;
}

static int refuse(struct npi_shard *home, enum npi_verdict verdict)
{
    switch (verdict) {
    case NPI_VERDICT_SHARE:
    case NPI_VERDICT_DELAY:
        npi_shard_refused(home, NPI_REFUSED_SHED, 1);
        return NUMAPOOL_E_SHED;
    case NPI_VERDICT_DEADLINE:
        npi_shard_refused(home, NPI_REFUSED_DEADLINE, 1);
        return NUMAPOOL_E_DEADLINE;
    default:
        npi_shard_refused(home, NPI_REFUSED_FULL, 1);
        return NUMAPOOL_E_FULL;
    }
}

int npi_admission_decide(struct npi_shard *home, struct npi_item *item)
{
    struct numapool *pool = home->pool;
    uint64_t room = npi_a64_load_sc(&pool->room); /* @room-relied: before anything is looked at */
    bool relies = (room & 1) == 0 || NPI_MUTANT(claims_relied, all_claims_free(pool), true);
    if (npi_a32_load_sc(&pool->phase) != NPI_PHASE_OPEN) {
        npi_shard_refused(home, NPI_REFUSED_OTHER, 1);
        return NUMAPOOL_E_CLOSED;
    }
    uint64_t meta = item->hot[NPI_TASK_META];
    struct npi_shard_view view = {0};
    npi_shard_view_read(home, &view);
    enum npi_class rank = npi_meta_rank(meta);

    uint64_t ahead = waiting_before(home, rank), queued = npi_shard_depth(home);
    uint64_t now = item->hot[NPI_TASK_STAMP], deadline = npi_item_deadline_ticks(item);
    uint64_t now_ns = npi_clock_ticks_to_ns(now);
    struct npi_admit_ask question = {
        .task_class = rank,
        .now_ns = now_ns,
        .deadline_ns = deadline == 0 ? 0 : npi_clock_ticks_to_ns(deadline),
        .queued_tasks = (uint32_t)queued,
        .ahead_tasks = (uint32_t)(ahead < queued ? ahead : queued),
        .busy_workers = npi_shard_busy(home),
    };
    struct npi_overflow_ask ask = {
        .home = home,
        .home_view = &view,
        .affinity = npi_meta_affinity(meta),
        .rank = rank,
        .now_ns = now_ns,
        .deadline_ns = question.deadline_ns,
        .verdict = npi_admit_judge(&pool->params, &view.admit, &question),
    };
    bool alone = home->class_count == 0, busy = false;
    if (ask.verdict == NPI_VERDICT_ACCEPT) {
        if (!alone && queued >= view.forward.soft_tasks &&
            npi_overflow_to_idle(&ask, item, queued)) {
            return NUMAPOOL_OK;
        }
        int pushed = npi_shard_push(home, rank, item, 1, view.admit.by_class[rank].share_tasks);
        if (pushed == 1) {
            npi_shard_notify(home, item->hot[NPI_TASK_STAMP]);
            return NUMAPOOL_OK;
        }
        if (pushed == NPI_PUSH_CLOSED) {
            npi_shard_refused(home, NPI_REFUSED_OTHER, 1);
            return NUMAPOOL_E_CLOSED;
        }
        busy = pushed == NPI_PUSH_BUSY; /* there may be room, but not for us just now */
        ask.verdict = busy || rank == NPI_CLASS_CRITICAL ? NPI_VERDICT_FULL : NPI_VERDICT_SHARE;
    }
    if (!alone && npi_overflow_to_room(&ask, item)) {
        return NUMAPOOL_OK;
    }
    note_refusal(home, rank, true);
    if (relies && !busy && deadline == 0 && ask.affinity == NPI_AFFINITY_CALLER) {
        rely_on(home, rank, room, ask.verdict == NPI_VERDICT_FULL);
    }
    if (busy && ask.verdict == NPI_VERDICT_FULL) {
        npi_shard_refused(home, NPI_REFUSED_OTHER, 1);
        return NUMAPOOL_E_FULL;
    }
    return refuse(home, ask.verdict);
}

int npi_admission_refuse_bytes(struct npi_shard *home)
{
    if (npi_a32_load_sc(&home->pool->phase) != NPI_PHASE_OPEN) {
        npi_shard_refused(home, NPI_REFUSED_OTHER, 1);
        return NUMAPOOL_E_CLOSED;
    }
    note_refusal(home, NPI_CLASS_NORMAL, false);
    npi_shard_refused(home, NPI_REFUSED_BYTES, 1);
    return NUMAPOOL_E_FULL;
}
