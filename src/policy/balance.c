/*
 * Max-min quotas by repeated water filling.
 *
 * Why max-min and not proportional to demand: proportional shares reward whoever inflates its
 * demand. Why levels: what shards need now goes first, then what they used lately, then idle budget
 * up to their caps; a level only gets what the ones before it left.
 */
#include "policy/balance.h"

#include <string.h>

static double weight_of(const struct npi_balance_shard *shard)
{
    return shard->weight > 0.0 ? shard->weight : 1.0;
}

static double clamp(double value, double low, double high)
{
    if (!(value > low)) /* also catches NaN */
        return low;
    return value < high ? value : high;
}

/* Most that a shard may hold: its learned limit, but never less than what it is guaranteed. */
static uint32_t ceiling_of(const struct npi_balance_shard *shard)
{
    return shard->cap_workers > shard->min_workers ? shard->cap_workers : shard->min_workers;
}

/* Stable merge sort of order[] by ascending key; libc's qsort may allocate. */
static void sort_by_key(struct npi_balance_scratch *scratch, size_t count)
{
    for (size_t i = 0; i < count; i++)
        scratch[i].order = (uint32_t)i;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = low + 2 * width < count ? low + 2 * width : count;
            size_t left = low, right = middle;
            for (size_t out = low; out < high; out++) {
                bool take_left =
                    left < middle && (right >= high || scratch[scratch[left].order].key <=
                                                           scratch[scratch[right].order].key);
                scratch[out].spare = scratch[take_left ? left++ : right++].order;
            }
        }
        for (size_t i = 0; i < count; i++)
            scratch[i].order = scratch[i].spare;
    }
}

/*
 * Raise alloc toward level by at most `budget` in total, so that the least raised per weight is as
 * high as can be. One common water level is found first and applied to all afterwards: shards with
 * equal inputs get bit-equal results in whatever order they stand. Returns what is left.
 */
static double water_fill(const struct npi_balance_shard *shards, size_t count,
                         struct npi_balance_scratch *scratch, double budget)
{
    double weight_left = 0.0, room_total = 0.0;
    for (size_t i = 0; i < count; i++) {
        double room = scratch[i].level - scratch[i].alloc;
        if (room < 0.0)
            room = 0.0;
        scratch[i].key = room / weight_of(&shards[i]);
        weight_left += weight_of(&shards[i]);
        room_total += room;
    }
    if (room_total <= budget) {
        for (size_t i = 0; i < count; i++)
            if (scratch[i].level > scratch[i].alloc)
                scratch[i].alloc = scratch[i].level;
        return budget - room_total;
    }
    sort_by_key(scratch, count);
    double left = budget, water = 0.0;
    for (size_t k = 0; k < count; k++) {
        const struct npi_balance_shard *shard = &shards[scratch[k].order];
        double key = scratch[scratch[k].order].key;
        water = left / weight_left;
        if (key > water)
            break;
        left -= key * weight_of(shard);
        weight_left -= weight_of(shard);
        if (left < 0.0)
            left = 0.0;
    }
    for (size_t i = 0; i < count; i++) {
        double rise = scratch[i].key < water ? scratch[i].key : water;
        scratch[i].alloc += rise * weight_of(&shards[i]);
    }
    return 0.0;
}

/*
 * Whole workers by largest remainder, ties by shard id. `total` is known in integers beforehand, so
 * no rounding of the water level can create or lose a worker.
 */
static void apportion(const struct npi_balance_shard *shards, size_t count,
                      struct npi_balance_scratch *scratch, uint32_t total, uint32_t *quota_workers)
{
    /* Remainders are compared in steps of 2^-20: finer differences are rounding noise of the level.
     */
    const double step = 0x1.0p-20;
    uint64_t given = 0;
    for (size_t i = 0; i < count; i++) {
        double alloc = scratch[i].alloc + 0.5 * step;
        uint32_t whole =
            alloc < (double)ceiling_of(&shards[i]) ? (uint32_t)alloc : ceiling_of(&shards[i]);
        double remainder = alloc - (double)whole;
        quota_workers[i] = whole;
        given += whole;
        scratch[i].key = -(double)(int64_t)(remainder / step);
    }
    sort_by_key(scratch, count);
    while (given < total) {
        uint64_t before = given;
        for (size_t k = 0; k < count && given < total; k++) {
            uint32_t i = scratch[k].order;
            if (quota_workers[i] < ceiling_of(&shards[i])) {
                quota_workers[i]++;
                given++;
            }
        }
        if (given == before)
            return;
    }
    /* The level rounded up a hair too far: take back from the smallest remainders that hold more
     * than promised. */
    for (size_t k = count; given > total && k > 0; k--) {
        uint32_t i = scratch[k - 1].order;
        if (quota_workers[i] > shards[i].min_workers || total < count) {
            if (quota_workers[i] > 0) {
                quota_workers[i]--;
                given--;
            }
        }
    }
}

struct totals {
    uint64_t min, need, ceiling, quota;
    double weight;
};

/*
 * May the vector in force stand? Only under contention: idle budget is handed out freely, because
 * nobody is harmed by holding it. Within its fair share a shard is not kept short for long, nor far
 * short at all: three workers of twenty would otherwise be missing for ever.
 */
static bool keep_old(const struct npi_policy_params *params, uint32_t budget_workers,
                     const struct npi_balance_shard *shards, size_t count,
                     const struct totals *totals, const uint32_t *quota_workers)
{
    uint64_t total = totals->ceiling < budget_workers ? totals->ceiling : budget_workers;
    if (totals->quota != total || totals->min > budget_workers)
        return false;
    double floating = (double)(budget_workers - totals->min);
    for (size_t i = 0; i < count; i++) {
        const struct npi_balance_shard *shard = &shards[i];
        double now = (double)shard->quota_workers, next = (double)quota_workers[i];
        if (shard->quota_workers < shard->min_workers || shard->quota_workers > ceiling_of(shard))
            return false;
        double band = params->dead_band_share * now;
        if (band < (double)params->dead_band_workers)
            band = (double)params->dead_band_workers;
        if (next - now > band)
            return false;
        double fair = (double)shard->min_workers + floating * weight_of(shard) / totals->weight;
        double most = (double)ceiling_of(shard) < fair ? (double)ceiling_of(shard) : fair;
        if (next > now && (now < 0.75 * clamp(shard->need_workers, 0.0, most) ||
                           now + 0.5 < clamp(shard->mean_workers, 0.0, most)))
            return false;
    }
    return true;
}

void npi_balance(const struct npi_policy_params *params, uint32_t budget_workers,
                 const struct npi_balance_shard *shards, size_t count,
                 struct npi_balance_scratch *scratch, uint32_t *quota_workers,
                 uint32_t *reach_workers, struct npi_balance_result *result)
{
    struct totals totals;
    memset(&totals, 0, sizeof totals);
    memset(result, 0, sizeof *result);
    if (count == 0)
        return;

    double need_total = 0.0;
    for (size_t i = 0; i < count; i++) {
        const struct npi_balance_shard *shard = &shards[i];
        totals.min += shard->min_workers;
        totals.ceiling += ceiling_of(shard);
        totals.quota += shard->quota_workers;
        totals.weight += weight_of(shard);
        need_total +=
            clamp(shard->need_workers, (double)shard->min_workers, (double)ceiling_of(shard));
    }
    result->contended = need_total > (double)budget_workers;

    /* Level 0, the guarantees: taken whole where they fit, which they do unless the budget was
     * lowered at run time. */
    double left = (double)budget_workers;
    for (size_t i = 0; i < count; i++) {
        scratch[i].level = (double)shards[i].min_workers;
        scratch[i].alloc = 0.0;
    }
    left = water_fill(shards, count, scratch, left);
    for (int level = 1; level <= 3 && left > 0.0; level++) {
        for (size_t i = 0; i < count; i++) {
            const struct npi_balance_shard *shard = &shards[i];
            double top = (double)ceiling_of(shard);
            double want = top;
            if (level == 1)
                want = clamp(shard->need_workers, (double)shard->min_workers, top);
            else if (level == 2)
                want = clamp(shard->held_workers * params->held_headroom + 1.0, 0.0, top);
            if (want > scratch[i].level)
                scratch[i].level = want;
        }
        left = water_fill(shards, count, scratch, left);
    }
    uint64_t total = totals.ceiling < budget_workers ? totals.ceiling : budget_workers;
    apportion(shards, count, scratch, (uint32_t)total, quota_workers);
    result->free_workers = (uint32_t)(budget_workers - total);

    if (result->contended &&
        keep_old(params, budget_workers, shards, count, &totals, quota_workers)) {
        result->kept = true;
        for (size_t i = 0; i < count; i++)
            quota_workers[i] = shards[i].quota_workers;
    }
    uint64_t gains = 0, losses = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t now = shards[i].quota_workers;
        if (quota_workers[i] > now)
            gains += quota_workers[i] - now;
        else
            losses += now - quota_workers[i];
    }
    result->moved_workers = (uint32_t)(gains < losses ? gains : losses);
    if (!reach_workers)
        return;
    double floating = totals.min < budget_workers ? (double)(budget_workers - totals.min) : 0.0;
    for (size_t i = 0; i < count; i++) {
        /* Three lower bounds of what it could hold; the exact value would need one more fill per
         * shard. */
        const struct npi_balance_shard *shard = &shards[i];
        double own =
            clamp(shard->need_workers, (double)shard->min_workers, (double)ceiling_of(shard));
        double unneeded = (double)budget_workers - (need_total - own);
        double fair = (double)shard->min_workers + floating * weight_of(shard) / totals.weight;
        double reach = (double)quota_workers[i];
        if (reach < unneeded)
            reach = unneeded;
        if (reach < fair)
            reach = fair;
        reach_workers[i] = reach < (double)budget_workers ? (uint32_t)reach : budget_workers;
    }
}

uint32_t npi_balance_min(uint32_t budget_workers, size_t count, double cpus)
{
    double half = count ? (double)budget_workers / (2.0 * (double)count) : (double)budget_workers;
    double least = cpus < half ? cpus : half;
    return least > 1.0 ? (uint32_t)least : 1;
}

double npi_balance_own(uint32_t busy_workers, uint32_t lent_in_workers, uint32_t lent_out_workers)
{
    double own = (double)busy_workers - (double)lent_in_workers + (double)lent_out_workers;
    return own > 0.0 ? own : 0.0;
}
