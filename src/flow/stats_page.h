/*
 * A pool's statistics for other processes: numapool/stats_page.h says what they see. Written by the
 * shards' control threads at their ticks, so that neither workers nor submitters have anything to do
 * with it; a reader takes a cache line from control at most. Where the page cannot be had, or is not
 * wanted, pool->page.start is NULL and nothing here does anything.
 *
 * Each block is a snapshot (base/snapshot.h), which has the edges: its writer is the shard's control
 * thread, before that the creating and after that the destroying thread. The header is one, too,
 * written once, last. `phase` is a word of its own, relaxed: it publishes nothing.
 *
 * What it costs. Counters are words that workers write all the time, a line each; the times are whole
 * histograms of workers, 19 KB for each that has two. So the first are read at most once per 20 us and
 * worker slot, the second once per 1.5 ms and worker that has its own, and 0.25 s: each about half a
 * hundredth of one CPU at most, on a machine of any size. unit/stats_page_threads_test prints it; on a
 * virtual machine with two cores beside other load (x86-64, gcc 12, -O3), ns for one time:
 *
 *     workers                    1      8     64    512   2, beside work and a reader without a pause
 *     counters, each tick      100    102    133    565   270 to 740
 *     with the times          4600  21000  20000  30000   13000 to 60000
 */
#ifndef NPI_FLOW_STATS_PAGE_H
#define NPI_FLOW_STATS_PAGE_H

#include "flow/pool.h"

#include <numapool/stats_page.h>

/* What a control thread remembers between two times. */
struct npi_publisher {
    uint64_t next_ns;
    uint64_t times_next_ns;
    uint64_t updates;
    struct numapool_shard_stats times; /* the percentiles of the last histograms */
};

/* Makes the page, empty: who finds it sees that it is not there yet. Returns 0 or a negative errno. */
int npi_stats_page_create(struct numapool *pool);
/* Every block has been published: here it is. */
void npi_stats_page_show(struct numapool *pool);
void npi_stats_page_release(struct numapool *pool);

/* A tick is over. */
void npi_stats_page_put(struct npi_publisher *publisher, struct npi_shard *shard, double cpus,
                        uint64_t now_ns, bool last);

static inline void npi_stats_page_publish(struct npi_publisher *publisher, struct npi_shard *shard,
                                          double cpus, uint64_t now_ns)
{
    if (shard->pool->page.start != NULL && now_ns >= publisher->next_ns) {
        npi_stats_page_put(publisher, shard, cpus, now_ns, false);
    }
}

/* There is nothing to do for a while: everything, and it is said that this is all. */
static inline void npi_stats_page_publish_last(struct npi_publisher *publisher,
                                               struct npi_shard *shard, double cpus)
{
    if (shard->pool->page.start != NULL) {
        npi_stats_page_put(publisher, shard, cpus, npi_clock_now_ns(), true);
    }
}

/* A drain or a destroy has begun. */
static inline void npi_stats_page_phase(struct numapool *pool, enum numapool_page_phase phase)
{
    if (pool->page.start != NULL) {
        struct numapool_page_header *header = pool->page.start;
        npi_a64_store_relaxed((npi_a64 *)(void *)&header->phase, phase);
    }
}

/* Something changed beside the ticks: control threads that sleep have to publish again. */
static inline void npi_stats_page_outdated(struct numapool *pool)
{
    for (unsigned i = 0; pool->page.start != NULL && i < pool->shard_count; i++) {
        npi_shard_kick(pool->shards[i]);
    }
}

#endif
