/* Adding up; see stats.h. */
#include "flow/stats.h"

#include "flow/worker.h"
#include "os/os.h"

#include <string.h>

/*
 * A task that is forwarded is accepted by its home: the home counts what its own submitters got in,
 * wherever it went.
 *
 * A counter must never fall, or whoever takes rates of it believes in a restart. Each part read here
 * is at most what it should be: guests are counted before they are published, and read after the
 * tails; so the sum is never above the truth, and the largest sum so far is the best one.
 */
static uint64_t accepted(struct npi_shard *shard)
{
    uint64_t queued = 0;
    for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        queued += npi_shard_accepted(shard, (enum npi_class)rank);
    }
    uint64_t guests = npi_a64_load_acquire(&shard->guests_ever);
    queued += npi_a64_load_relaxed(&shard->forwarded_out);
    uint64_t now = queued > guests ? queued - guests : 0;
    uint64_t shown = npi_a64_load_relaxed(&shard->accepted_shown);
    while (now > shown && !npi_a64_cas_relaxed(&shard->accepted_shown, &shown, now)) {
    }
    return now > shown ? now : shown;
}

void npi_stats_add(struct npi_shard *shard, struct numapool_shard_stats *stats,
                   struct npi_histogram_sum *wait, struct npi_histogram_sum *run)
{
    /* Ends before beginnings: what is read as run or dropped is also read as accepted. */
    uint32_t slots = npi_a32_load_acquire(&shard->slots_used);
    for (uint32_t i = 0; i < slots; i++) {
        stats->run += npi_a64_load_acquire(&shard->workers[i].done);
        stats->dropped += npi_a64_load_acquire(&shard->workers[i].dropped);
    }
    stats->dropped += npi_a64_load_acquire(&shard->dropped_closed);

    uint64_t in = accepted(shard), refused = 0;
    uint64_t *refusals[NPI_REFUSALS] = {&stats->refused_full, &stats->refused_shed,
                                        &stats->refused_deadline, &stats->refused_bytes,
                                        &stats->refused_other};
    for (unsigned why = 0; why < NPI_REFUSALS; why++) {
        uint64_t count = npi_a64_load_relaxed(&shard->refused[why]);
        *refusals[why] += count;
        refused += count;
    }
    stats->accepted += in;
    stats->submitted += in + refused;
    stats->forwarded_in += npi_a64_load_relaxed(&shard->forwarded_in);
    stats->forwarded_out += npi_a64_load_relaxed(&shard->forwarded_out);
    stats->stolen_in += npi_a64_load_relaxed(&shard->stolen_in);
    stats->stolen_out += npi_a64_load_relaxed(&shard->stolen_out);
    /* Tasks that came while it was counted may be in it, and those that left not. */
    uint64_t waiting = npi_shard_waiting(shard);
    stats->queue_depth += waiting < shard->capacity_tasks ? waiting : shard->capacity_tasks;
    stats->queue_capacity += shard->capacity_tasks;

    uint32_t threads = npi_a32_load_relaxed(&shard->threads);
    uint32_t active = npi_permits_active(npi_gate_permits(&shard->gate));
    uint32_t blocked = npi_a32_load_relaxed(&shard->blocked);
    stats->workers += threads;
    stats->workers_running += active;
    stats->workers_blocked += blocked;
    stats->workers_parked += threads > active + blocked ? threads - active - blocked : 0;
    stats->workers_stuck += npi_a32_load_relaxed(&shard->workers_stuck);
    stats->tasks_stuck += npi_a64_load_relaxed(&shard->tasks_stuck);
    stats->quota += npi_a64_load_relaxed(&shard->quota);
    stats->cap += npi_a64_load_relaxed(&shard->cap);
    stats->wakes += npi_a64_load_relaxed(&shard->gate.wakes);
    stats->wakes_spurious += npi_a64_load_relaxed(&shard->wakes_spurious);
    stats->threads_started += npi_a64_load_relaxed(&shard->threads_started);
    stats->threads_exited += npi_a64_load_relaxed(&shard->threads_exited);

    /* Workers have theirs from the first on; nobody has recorded in the others. */
    uint32_t times = slots < shard->times_count ? slots : shard->times_count;
    for (uint32_t i = 0; wait != NULL && i < times; i++) {
        npi_histogram_add(wait, &shard->times[i].wait);
        npi_histogram_add(run, &shard->times[i].run);
    }
}

void npi_stats_of(struct npi_shard *shard, struct numapool_shard_stats *stats,
                  struct npi_histogram_sum *wait, struct npi_histogram_sum *run)
{
    const struct numapool *pool = shard->pool;
    memset(stats, 0, sizeof *stats);
    if (wait != NULL) {
        memset(wait, 0, sizeof *wait);
        memset(run, 0, sizeof *run);
    }
    npi_stats_add(shard, stats, wait, run);
    stats->node = shard->node;
    stats->node_os_index = pool->plan->nodes[shard->node].os_index;
    stats->bytes_in_use = npi_space_in_use_of(pool->space, shard->node);
}

static uint64_t quantile_ns(const struct npi_histogram_sum *ticks, unsigned permille)
{
    return npi_clock_ticks_to_ns(npi_histogram_quantile(ticks, permille));
}

void npi_stats_times(struct numapool_shard_stats *stats, const struct npi_histogram_sum *wait,
                     const struct npi_histogram_sum *run)
{
    stats->wait_p50_ns = quantile_ns(wait, 500);
    stats->wait_p99_ns = quantile_ns(wait, 990);
    stats->wait_p999_ns = quantile_ns(wait, 999);
    stats->wait_max_ns = npi_clock_ticks_to_ns(wait->max);
    stats->run_p50_ns = quantile_ns(run, 500);
    stats->run_p99_ns = quantile_ns(run, 990);
    stats->run_p999_ns = quantile_ns(run, 999);
    stats->run_max_ns = npi_clock_ticks_to_ns(run->max);
}

/* The bucket of a time: bounds as stats_page.h has them. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < NUMAPOOL_PAGE_BOUND_NS(0)) {
        return 0;
    }
    unsigned top = 63u ^ (unsigned)__builtin_clzll(ns);
    /* The last bound that is not above it. */
    uint64_t below = (uint64_t)(top - 10u) * 8 + (ns >> (top - 3u) & 7);
    return below + 1 < NUMAPOOL_PAGE_BOUNDS ? (unsigned)below + 1 : NUMAPOOL_PAGE_BOUNDS;
}

void npi_stats_spread(const struct npi_histogram_sum *ticks, struct numapool_page_histogram *ns)
{
    memset(ns, 0, sizeof *ns);
    ns->count = ticks->count;
    ns->max_ns = npi_clock_ticks_to_ns(ticks->max);
    for (size_t i = 0; i < NPI_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = ticks->bucket[i];
        if (count != 0) {
            uint64_t most_ns = npi_clock_ticks_to_ns(npi_histogram_upper(i));
            ns->sum_ns += count * most_ns;
            ns->bucket[bucket_of(most_ns)] += count;
        }
    }
}
