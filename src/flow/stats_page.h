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
 * What it costs. Counters are words that workers write all the time, one line each; the times are
 * whole histograms of workers, 19 KB each. So the first are read at most once per 20 us and worker
 * slot, the second once per 1.5 ms and histogram: together under one part in 100 of one CPU, on a
 * machine of any size. Measured by unit/stats_page_test, which prints it (a virtual machine with two
 * cores, x86-64, gcc 12, -O3):
 *
 *     @MEASURED@
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
