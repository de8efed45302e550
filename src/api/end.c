/* Draining, destroying, and changing the budget: the ends of a pool's life and its one dial. */
#include "api/error.h"
#include "api/pool.h"
#include "api/registry.h"
#include "flow/balancer.h"
#include "flow/control.h"
#include "flow/stats_page.h"
#include "flow/worker.h"
#include "os/os.h"

/* A submitter holds a claim for less than a microsecond of its own time; one that was preempted in
   it is waited for in steps of this. */
#define CLAIM_STEP_NS UINT64_C(50000)

/* A drain looks by itself this often, beside being told. */
#define DRAIN_STEP_NS UINT64_C(100000000)

static bool from_own_task(const struct numapool *pool)
{
    return npi_worker_self != NULL && npi_worker_self->shard->pool == pool;
}

/* Once every claim was seen free after the phase changed, nothing is published any more.
   @pool-closed. False: not until the deadline. */
static bool await_claims(struct numapool *pool, uint64_t until_ns)
{
    npi_a32 nothing = {0};
    for (unsigned i = 0; i < pool->shard_count; i++) {
        while (!npi_shard_claims_free(pool->shards[i])) {
            uint64_t now = npi_clock_now_ns();
            if (now >= until_ns) {
                return false;
            }
            (void)npi_park_wait(&nothing, 0, now + CLAIM_STEP_NS);
        }
    }
    return true;
}

/*
 * @drain-told  A worker that runs out of tasks has counted the last one, gives its permit back (sc) and
 *   then loads the phase (sc); drain has stored the phase (sc), loads the permits (sc) and then the
 *   counters. Either the worker sees that it has to tell, or we see its permits, and with them its
 *   counters. A thread that ended inside a task with its permit lent is found by DRAIN_STEP_NS.
 */
static bool all_done(const struct numapool *pool)
{
    uint64_t accepted = 0, ended = 0;
    for (unsigned i = 0; i < pool->shard_count; i++) {
        const struct npi_shard *shard = pool->shards[i];
        (void)npi_gate_permits(&shard->gate); /* @drain-told */
        for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
            accepted += npi_shard_accepted(shard, (enum npi_class)rank);
        }
    }
    for (unsigned i = 0; i < pool->shard_count; i++) {
        const struct npi_shard *shard = pool->shards[i];
        uint32_t slots = npi_a32_load_acquire(&shard->slots_used);
        for (uint32_t w = 0; w < slots; w++) {
            const struct npi_worker *worker = &shard->workers[w];
            ended += NPI_MUTANT(done_relaxed, npi_a64_load_acquire(&worker->done),
                                npi_a64_load_relaxed(&worker->done)) +
                     npi_a64_load_acquire(&worker->dropped);
            if (npi_a32_load_acquire(&worker->parting) != 0) { /* after the counters */
                return false;
            }
        }
        ended += npi_a64_load_acquire(&shard->dropped_closed);
    }
    return NPI_MUTANT(drained_by_one, accepted == ended, accepted <= ended + 1);
}

int numapool_drain(numapool *pool, uint64_t timeout_ns)
{
    if (pool == NULL) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    if (from_own_task(pool)) {
        return NUMAPOOL_E_DEADLOCK;
    }
    uint64_t begin = npi_clock_now_ns();
    uint64_t until = timeout_ns > UINT64_MAX - begin ? UINT64_MAX : begin + timeout_ns;
    uint32_t open = NPI_PHASE_OPEN;
    (void)npi_a32_cas_sc(&pool->phase, &open, NPI_PHASE_DRAINING); /* @pool-closed */
    npi_stats_page_phase(pool, NUMAPOOL_PAGE_DRAINING);
    npi_pool_room_made(pool); /* submitters are told that it is closed now, not that it is full */
    if (!await_claims(pool, until)) {
        return NUMAPOOL_E_TIMEDOUT;
    }
    for (;;) {
        uint32_t seen = npi_a32_load_sc(&pool->drained);
        if (all_done(pool)) {
            return NUMAPOOL_OK;
        }
        uint64_t now = npi_clock_now_ns();
        if (now >= until) {
            return NUMAPOOL_E_TIMEDOUT;
        }
        uint64_t step = now + DRAIN_STEP_NS;
        (void)npi_park_wait(&pool->drained, seen, step < until ? step : until);
    }
}

static void drop_queued(struct numapool *pool)
{
    for (unsigned i = 0; i < pool->shard_count; i++) {
        struct npi_item item;
        while (npi_shard_take(pool->shards[i], 0, &item, 1) != 0) {
            npi_task_drop(&item, NUMAPOOL_E_CLOSED);
            npi_task_unreserve(pool->space, &item);
            (void)npi_a64_add_release(&pool->shards[i]->dropped_closed, 1);
            npi_task_part(&item);
        }
    }
}

static void stop_everybody(struct numapool *pool)
{
    for (unsigned i = 0; i < pool->shard_count; i++) {
        (void)npi_gate_set_limit(&pool->shards[i]->gate, 0);
    }
}

void npi_pool_stop(struct numapool *pool)
{
    npi_a32_store_sc(&pool->phase, NPI_PHASE_CLOSING); /* @pool-closed */
    npi_pool_room_made(pool);
    stop_everybody(pool);
    (void)await_claims(pool, UINT64_MAX);
    for (unsigned i = 0; i < pool->shard_count; i++) {
        if (pool->shards[i] != NULL && pool->shards[i]->control != NULL) {
            npi_control_stop(pool->shards[i]);
        }
    }
    stop_everybody(pool); /* a last tick may have dealt limits again */
    drop_queued(pool);
    for (unsigned i = 0; i < pool->shard_count; i++) {
        npi_control_join_workers(pool->shards[i]);
    }
}

int numapool_destroy(numapool *pool)
{
    if (pool == NULL) {
        return NUMAPOOL_OK;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    if (from_own_task(pool)) {
        return NUMAPOOL_E_DEADLOCK;
    }
    npi_stats_page_phase(pool, NUMAPOOL_PAGE_CLOSED);
    npi_pool_stop(pool);
    for (unsigned i = 0; i < pool->shard_count; i++) { /* who still has it mapped sees the end */
        struct npi_control *control = pool->shards[i]->control;
        npi_stats_page_publish_last(&control->publisher, pool->shards[i], control->tick.cpus);
    }
    npi_registry_hide(&npi_registry, pool->registry_slot);
    npi_pool_free(pool);
    return NUMAPOOL_OK;
}

int numapool_set_budget(numapool *pool, unsigned workers_max)
{
    if (pool == NULL) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    if (workers_max == 0 || workers_max > pool->budget_max) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_a32_load_sc(&pool->phase) != NPI_PHASE_OPEN) {
        return NUMAPOOL_E_CLOSED;
    }
    uint32_t least = pool->shard_count; /* a shard without a worker would never empty its queue */
    npi_a32_store_relaxed(&pool->budget, workers_max > least ? workers_max : least);
    npi_balancer_apply_budget(pool);
    npi_stats_page_outdated(pool);
    return NUMAPOOL_OK;
}
