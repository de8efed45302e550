/*
 * Which part of the worker budget each shard gets: global max-min quotas.
 *
 * A snapshot goes in, integer quotas come out; their sum never exceeds the budget. The balancer
 * calls it once per tick, or early (not more than once per ms) when a shard meets its quota with a
 * queue. It moves permissions only: a receiver may use a permit when the donor's worker has
 * returned it, which the caller counts.
 */
#ifndef NPI_POLICY_BALANCE_H
#define NPI_POLICY_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/params.h"

#define NPI_BALANCE_SHARDS_MAX 1024

struct npi_balance_shard {
    double need_workers;    /* npi_scale_result.need_workers */
    double held_workers;    /* npi_scale_result.held_workers */
    double mean_workers;    /* npi_scale_result.mean_workers */
    double weight;          /* CPUs of the shard; <= 0 counts as 1 */
    uint32_t min_workers;   /* guarantee, never lent to others; see npi_balance_min() */
    uint32_t cap_workers;   /* npi_scale_result.cap_workers */
    uint32_t quota_workers; /* in force now; 0 for all at the first call */
};

/* One per shard, supplied by the caller, contents arbitrary. */
struct npi_balance_scratch {
    double level, alloc, key;
    uint32_t order, spare;
};

/* What came out beside the quotas. */
struct npi_balance_result {
    uint32_t moved_workers; /* budget that changed hands: min(sum of gains, sum of losses) */
    uint32_t free_workers;  /* budget no shard may use: caps are reached */
    bool contended;         /* the shards need more than there is */
    bool kept;              /* the dead band kept the old vector */
};

/*
 * quota_workers[i] for each of count shards. If the guarantees alone exceed the budget they are
 * shared out by the same rule; with fewer workers than shards some quotas are 0, so callers keep
 * budget >= count. reach_workers, if not NULL: what shard i would hold if it asked for everything
 * while the others kept their need; admission predicts with it, because a limit that is about to
 * grow must not refuse tasks.
 */
void npi_balance(const struct npi_policy_params *params, uint32_t budget_workers,
                 const struct npi_balance_shard *shards, size_t count,
                 struct npi_balance_scratch *scratch, uint32_t *quota_workers,
                 uint32_t *reach_workers, struct npi_balance_result *result);

/* Default guarantee: at least half of the budget floats. */
uint32_t npi_balance_min(uint32_t budget_workers, size_t count, double cpus);

/*
 * Busy workers that count as this home's demand. Demand belongs to the home of a task wherever it
 * runs, else a shard that helped out would keep "needing" the budget it helped with. lent_in: tasks
 * of other homes running here, lent_out: own tasks running elsewhere; both count only tasks whose
 * home was not CPU-saturated when they started (a saturated home gains nothing from more workers),
 * so the same flag is used at start and at end of a task.
 */
double npi_balance_own(uint32_t busy_workers, uint32_t lent_in_workers, uint32_t lent_out_workers);

#endif
