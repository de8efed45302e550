/* The queue and the gate of one shard; the protocol stands in shard.h, ring.h and gate.h. */
#include "flow/shard.h"

#include "base/check.h"
#include "flow/pool.h"
#include "os/os.h"

/* Tasks in the lanes other than `mine`, claims counted as tasks. */
static uint64_t depth_elsewhere(const struct npi_shard *shard, const struct npi_ring *mine)
{
    uint64_t depth = 0;
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        if (&shard->lanes[lane] != mine) {
            depth += npi_ring_depth(&shard->lanes[lane]);
        }
    }
    return depth;
}

static uint64_t room(struct npi_shard *shard, struct npi_ring *ring, bool lanes, uint64_t bound,
                     unsigned count)
{
    uint64_t elsewhere = 0;
    if (NPI_UNLIKELY(lanes)) {
        elsewhere = depth_elsewhere(shard, ring);
    }
    uint64_t depth = npi_ring_depth_cached(ring) + elsewhere;
    if (depth + count > bound) {
        depth = npi_ring_depth_refreshed(ring) + elsewhere;
    }
    return depth < bound ? NPI_MUTANT(room_off_by_one, bound - depth, bound - depth + 1) : 0;
}

/* The least stamp a task may get that is queued in `mine` while several lanes are in use. */
static uint64_t least_stamp(const struct npi_shard *shard, const struct npi_ring *mine)
{
    uint64_t least = npi_a64_load_relaxed(&mine->newest);
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        uint64_t next = npi_a64_load_relaxed(&shard->lanes[lane].newest) + 1;
        if (&shard->lanes[lane] != mine && (int64_t)(next - least) > 0) {
            least = next;
        }
    }
    return least;
}

/* Puts tasks where their claim's holder is about to publish them, with stamps as "Order" wants. */
static void put_stamped(struct npi_shard *shard, struct npi_ring *ring, bool lanes,
                        enum npi_class rank, const struct npi_item *items, unsigned count)
{
    uint64_t least = npi_a64_load_relaxed(&ring->newest);
    if (NPI_UNLIKELY(lanes)) {
        least = least_stamp(shard, ring);
    }
    for (unsigned i = 0; i < count; i++) {
        npi_ring_put(ring, rank, i, &items[i]);
        uint64_t stamp = items[i].hot[NPI_TASK_STAMP];
        if (NPI_UNLIKELY((int64_t)(stamp - least) < 0)) {
            npi_ring_amend(ring, rank, i, NPI_TASK_STAMP, least);
        } else {
            least = stamp;
        }
    }
    npi_a64_store_relaxed(&ring->newest, least);
}

/* Queues what fits into a lane whose claim we hold, and gives the claim up. */
static int fill_lane(struct npi_shard *shard, unsigned lane, enum npi_class rank,
                     const struct npi_item *items, unsigned count, uint64_t bound)
{
    struct npi_ring *ring = &shard->lanes[lane];
    bool lanes = lane != 0;
    if (lanes) {
        NPI_MUTANT(lane_not_announced, npi_a64_store_sc(&shard->lanes_used, NPI_LANES_OPEN),
                   (void)0); /* @lane-opened */
    } else {
        lanes = npi_a64_load_sc(&shard->lanes_used) != NPI_LANES_FIRST; /* @lane-opened */
    }
    int result = NPI_PUSH_CLOSED;
    if (NPI_MUTANT(closed_unseen, npi_a32_load_sc(&shard->pool->phase) == NPI_PHASE_OPEN,
                   true)) { /* @pool-closed */
        uint64_t free = room(shard, ring, lanes, bound, count);
        unsigned taken = free < count ? (unsigned)free : count;
        if (taken != 0) {
            put_stamped(shard, ring, lanes, rank, items, taken);
            npi_ring_publish(ring, rank, taken);
        }
        result = (int)taken;
    }
    npi_ring_unclaim(ring);
    return result;
}

int npi_shard_push(struct npi_shard *shard, enum npi_class rank, const struct npi_item *items,
                   unsigned count, uint64_t bound)
{
    /* With further lanes open somebody was found not to run a moment ago. Waiting for a claim is
       then tried last: it is 5 us that every submit would pay as long as that one is stopped. */
    bool in_a_hurry = npi_a64_load_relaxed(&shard->lanes_used) == NPI_LANES_OPEN;
    for (unsigned round = in_a_hurry ? 0 : 1; round < 2; round++) {
        for (unsigned lane = 0; lane < NPI_LANES; lane++) {
            struct npi_ring *ring = &shard->lanes[lane];
            if ((round != 0 || npi_a64_load_relaxed(&ring->claim) == 0) &&
                npi_ring_claim(ring, count)) {
                return fill_lane(shard, lane, rank, items, count, bound);
            }
        }
    }
    return NPI_PUSH_BUSY;
}

static bool further_lanes_quiet(const struct npi_shard *shard)
{
    for (unsigned lane = 1; lane < NPI_LANES; lane++) {
        if (!npi_ring_quiet(&shard->lanes[lane])) {
            return false;
        }
    }
    return true;
}

void npi_shard_close_lanes(struct npi_shard *shard)
{
    uint64_t used = npi_a64_load_relaxed(&shard->lanes_used);
    if (used == NPI_LANES_FIRST) {
        return;
    }
    if (!further_lanes_quiet(shard)) {
        if (used == NPI_LANES_OPEN && npi_a64_load_relaxed(&shard->lanes[0].claim) == 0) {
            (void)npi_a64_cas_relaxed(&shard->lanes_used, &used, NPI_LANES_EMPTYING);
        }
        return;
    }
    if (!npi_ring_claim(&shard->lanes[0], 1)) {
        return;
    }
    /* Holders of further lanes add all lanes up without asking this word, holders of the first lane
       are kept out. Who claims a further lane now either is seen below, or stores after us. */
    npi_a64_store_sc(&shard->lanes_used, NPI_LANES_FIRST);
    if (!further_lanes_quiet(shard)) {
        npi_a64_store_sc(&shard->lanes_used, used);
    }
    npi_ring_unclaim(&shard->lanes[0]);
}

struct lane_head {
    struct npi_ring *ring;
    uint64_t position, stamp;
};

/* The lane whose head has waited longest, and that head; false when all are empty. */
static bool find_oldest(struct npi_shard *shard, enum npi_class rank, struct lane_head *oldest)
{
    oldest->ring = NULL;
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        struct lane_head head = {.ring = &shard->lanes[lane]};
        if (npi_ring_oldest(head.ring, rank, NPI_TASK_STAMP, &head.position, &head.stamp) &&
            (oldest->ring == NULL ||
             NPI_MUTANT(newest_first, (int64_t)(head.stamp - oldest->stamp) < 0,
                        (int64_t)(head.stamp - oldest->stamp) > 0))) {
            *oldest = head;
        }
    }
    return oldest->ring != NULL;
}

/* With several lanes in use. Whatever its thread submitted before the task we take has been taken:
   each was published before that one, so the second look finds it if it waits, or one before it in
   its lane; either has a lower stamp than our task. */
static unsigned take_oldest(struct npi_shard *shard, enum npi_class rank, uint64_t refuse,
                            struct npi_item *items)
{
    struct lane_head first, again;
    for (;;) {
        if (!find_oldest(shard, rank, &first) || !find_oldest(shard, rank, &again)) {
            return 0;
        }
        if (first.ring != again.ring || first.position != again.position) {
            continue;
        }
        unsigned count = npi_ring_copy(first.ring, rank, first.position, refuse, items, 1);
        if (count == 0 || npi_ring_take_copied(first.ring, rank, first.position, count)) {
            return count;
        }
    }
}

static unsigned take_silently(struct npi_shard *shard, enum npi_class rank, uint64_t refuse,
                              struct npi_item *items, unsigned max)
{
    struct npi_ring *ring = &shard->lanes[0];
    for (;;) {
        uint64_t head = npi_ring_head(ring, rank);
        unsigned count = npi_ring_copy(ring, rank, head, refuse, items, max);
        /* After the copy: if these tasks' thread had put an earlier one into a further lane, we see
           that it is in use. */
        if (NPI_UNLIKELY(NPI_MUTANT(lanes_overlooked,
                                    npi_a64_load_relaxed(&shard->lanes_used) != NPI_LANES_FIRST,
                                    false))) {
            return take_oldest(shard, rank, refuse, items);
        }
        if (count == 0 || npi_ring_take_copied(ring, rank, head, count)) {
            return count;
        }
    }
}

static unsigned take_ranked(struct npi_shard *shard, enum npi_class rank, uint64_t refuse,
                            struct npi_item *items, unsigned max)
{
    unsigned taken = take_silently(shard, rank, refuse, items, max);
    if (taken != 0) {
        npi_pool_room_made(shard->pool);
    }
    return taken;
}

unsigned npi_shard_take(struct npi_shard *shard, uint64_t refuse, struct npi_item *items,
                        unsigned max)
{
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        unsigned taken = take_ranked(shard, (enum npi_class)rank, refuse, items, max);
        if (taken != 0) {
            return taken;
        }
    }
    return 0;
}

bool npi_shard_take_overdue(struct npi_shard *shard, uint64_t now_ticks, struct npi_item *item)
{
    unsigned oldest = NPI_CLASS_COUNT;
    int64_t oldest_ticks = 0;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        uint64_t stamp = now_ticks, bound = shard->pool->overdue_ticks[rank];
        if (bound == UINT64_MAX || npi_shard_waiting_of(shard, (enum npi_class)rank) == 0 ||
            !npi_shard_head_stamp(shard, (enum npi_class)rank, &stamp)) {
            continue;
        }
        int64_t age_ticks = (int64_t)(now_ticks - stamp);
        if (age_ticks > NPI_MUTANT(overdue_by_rank, oldest_ticks, 0) &&
            NPI_MUTANT(overdue_too_soon, (uint64_t)age_ticks > bound, true)) {
            oldest = rank;
            oldest_ticks = age_ticks;
        }
    }
    return oldest != NPI_CLASS_COUNT && take_ranked(shard, (enum npi_class)oldest, 0, item, 1) != 0;
}

bool npi_shard_take_looking(struct npi_shard *shard, struct npi_cursor *cursor, uint64_t now_ticks,
                            struct npi_item *item)
{
    cursor->looked_ticks = now_ticks;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        cursor->rank = (enum npi_class)rank;
        cursor->tail_seen = npi_a64_load_acquire(&shard->lanes[0].tail[rank]); /* @ring-filled */
        if (take_ranked(shard, cursor->rank, 0, item, 1) != 0) {
            return true;
        }
    }
    return false;
}

bool npi_shard_quiet(const struct npi_shard *shard)
{
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        if (!npi_ring_quiet(&shard->lanes[lane])) {
            return false;
        }
    }
    return true;
}

bool npi_shard_claims_free(const struct npi_shard *shard)
{
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        if (NPI_MUTANT(claims_ignored, npi_a64_load_sc(&shard->lanes[lane].claim) != 0, false)) {
            return false;
        }
    }
    return true;
}

uint64_t npi_shard_depth(const struct npi_shard *shard)
{
    return depth_elsewhere(shard, NULL);
}

uint64_t npi_shard_waiting_of(const struct npi_shard *shard, enum npi_class rank)
{
    uint64_t waiting = 0;
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        waiting += npi_ring_waiting(&shard->lanes[lane], rank);
    }
    return waiting;
}

uint64_t npi_shard_waiting(const struct npi_shard *shard)
{
    uint64_t waiting = 0;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        waiting += npi_shard_waiting_of(shard, (enum npi_class)rank);
    }
    return waiting;
}

uint64_t npi_shard_accepted(const struct npi_shard *shard, enum npi_class rank)
{
    uint64_t accepted = 0;
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        accepted += npi_a64_load_acquire(&shard->lanes[lane].tail[rank]);
    }
    return accepted;
}

uint64_t npi_shard_taken(const struct npi_shard *shard)
{
    uint64_t taken = 0;
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
            taken += npi_a64_load_acquire(&shard->lanes[lane].head[rank]);
        }
    }
    return taken;
}

bool npi_shard_head_stamp(const struct npi_shard *shard, enum npi_class rank, uint64_t *stamp)
{
    bool any = false;
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        uint64_t head;
        if (npi_ring_peek(&shard->lanes[lane], rank, NPI_TASK_STAMP, &head) &&
            (!any || (int64_t)(head - *stamp) < 0)) {
            *stamp = head;
            any = true;
        }
    }
    return any;
}

bool npi_shard_count_thread(struct npi_shard *shard)
{
    struct numapool *pool = shard->pool;
    uint32_t budget = npi_a32_load_relaxed(&pool->budget);
    uint32_t pool_max = npi_pool_threads_max(pool, budget);
    /* Tasks that waited already when the budget was lowered are replaced all the same: what they wait
       for may be queued here. */
    uint32_t blocked = npi_a32_load_relaxed(&pool->blocked);
    if (pool_max < budget + blocked) {
        pool_max = budget + blocked;
    }
    uint32_t threads = npi_a32_load_relaxed(&pool->threads);
    do {
        if (threads >= pool_max) {
            npi_a32_store_relaxed(&shard->threads_wanted, 1); /* control asks other shards */
            return false;
        }
    } while (!npi_a32_cas_relaxed(&pool->threads, &threads, threads + 1));
    threads = npi_a32_load_relaxed(&shard->threads);
    do {
        if (threads >= shard->worker_slots) {
            (void)npi_a32_add_relaxed(&pool->threads, (uint32_t)-1);
            return false;
        }
    } while (!npi_a32_cas_relaxed(&shard->threads, &threads, threads + 1));
    return true;
}

void npi_shard_discount_thread(struct npi_shard *shard)
{
    (void)npi_a32_add_relaxed(&shard->threads, (uint32_t)-1);
    (void)npi_a32_add_relaxed(&shard->pool->threads, (uint32_t)-1);
}

bool npi_shard_uncount_thread(struct npi_shard *shard, uint32_t keep)
{
    uint32_t threads = npi_a32_load_relaxed(&shard->threads);
    do {
        if (threads <= keep) {
            return false;
        }
    } while (!npi_a32_cas_relaxed(&shard->threads, &threads, threads - 1));
    return true;
}

bool npi_shard_cede_thread(struct npi_shard *shard)
{
    const struct numapool *pool = shard->pool;
    uint32_t keep = npi_pool_part(pool, npi_a32_load_relaxed(&pool->budget), shard->index);
    if (NPI_MUTANT(kept_beyond_budget, keep > shard->workers_kept, true)) {
        keep = shard->workers_kept;
    }
    return npi_shard_uncount_thread(shard, keep);
}

void npi_shard_recount_thread(struct npi_shard *shard)
{
    (void)npi_a32_add_relaxed(&shard->threads, 1);
}

void npi_shard_wake(struct npi_shard *shard, uint32_t self)
{
    struct npi_gate *gate = &shard->gate;
    while (NPI_MUTANT(wake_without_permit, npi_gate_reserve(gate, true), true)) {
        uint32_t sleeper = npi_gate_pop(gate, NPI_SLEEPER_WOKEN);
        if (sleeper != NPI_GATE_NOBODY) {
            if (NPI_MUTANT(self_roused_only, sleeper != self, sleeper == self)) {
                NPI_PROBE3(wake, shard->pool, shard->index, sleeper);
                npi_gate_rouse(gate, sleeper);
            }
            return;
        }
        if (npi_shard_count_thread(shard)) {
            /* the permit waits for the new thread */
            (void)NPI_MUTANT(start_not_asked, npi_a32_add_sc(&shard->starts_wanted, 1), 0u);
            npi_shard_kick(shard);
            return;
        }
        npi_gate_leave(gate, true);
        /* Somebody who went to sleep while we held the searching mark may have relied on us. */
        if ((uint32_t)npi_a64_load_sc(&gate->parked) == 0 || npi_shard_quiet(shard)) {
            return;
        }
    }
}

bool npi_shard_few_wait(const struct npi_shard *shard)
{
    uint64_t spare = npi_a64_load_relaxed(&shard->spare_tasks);
    return spare != 0 && npi_shard_waiting(shard) < spare;
}

void npi_shard_call(struct npi_shard *shard, uint64_t permits, uint64_t now_ticks)
{
    uint64_t patience = npi_a64_load_relaxed(&shard->patience_ticks);
    if (patience != 0 &&
        NPI_MUTANT(patient_beside_nobody, npi_permits_active(permits) != 0, true)) {
        /* The heads are the workers' lines: not for every task. */
        if (now_ticks - npi_a64_load_relaxed(&shard->kept_up_ticks) < patience) {
            return;
        }
        npi_a64_store_relaxed(&shard->kept_up_ticks, now_ticks);
        if (npi_shard_few_wait(shard)) {
            return;
        }
    }
    npi_shard_wake(shard, NPI_GATE_NOBODY);
}

void npi_shard_look(struct npi_shard *shard, uint32_t self)
{
    if (!npi_shard_quiet(shard)) {
        npi_shard_wake(shard, self);
    }
}

void npi_shard_kick(struct npi_shard *shard)
{
    if (NPI_MUTANT(kick_unheard, npi_a32_swap_sc(&shard->control_word, 1) == 0,
                   npi_a32_swap_sc(&shard->control_word, 1) != 0)) {
        npi_park_wake(&shard->control_word, 1);
    }
}

void npi_shard_view_publish(struct npi_shard *shard, const struct npi_shard_view *view)
{
    npi_snapshot_write(&shard->view_version, shard->view_words, view, NPI_SHARD_VIEW_WORDS);
}

void npi_shard_view_read(const struct npi_shard *shard, struct npi_shard_view *view)
{
    /* The writer is one thread that writes some forty words a tick; a torn copy is as good as the
       one a tick earlier after a few tries, since every word by itself is valid. */
    for (int turn = 0; turn < 64; turn++) {
        if (npi_snapshot_read(&shard->view_version, shard->view_words, view,
                              NPI_SHARD_VIEW_WORDS)) {
            return;
        }
        npi_pause();
    }
}
