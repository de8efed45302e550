/*
 * Stop 6: what happened, read by whoever asks. Counters are kept where things happen (rings, workers,
 * shards); this stop only adds them up.
 */
#ifndef NPI_FLOW_STATS_H
#define NPI_FLOW_STATS_H

#include "flow/pool.h"

#include <numapool/stats_page.h>

/* One shard's numbers without the times, added to *stats; times into the sums (may be NULL). */
void npi_stats_add(struct npi_shard *shard, struct numapool_shard_stats *stats,
                   struct npi_histogram_sum *wait, struct npi_histogram_sum *run);

/* The same for a shard alone, with its node; *stats and the sums need not be zeroed. Its times are
   npi_stats_times()'s to fill. */
void npi_stats_of(struct npi_shard *shard, struct numapool_shard_stats *stats,
                  struct npi_histogram_sum *wait, struct npi_histogram_sum *run);

void npi_stats_times(struct numapool_shard_stats *stats, const struct npi_histogram_sum *wait,
                     const struct npi_histogram_sum *run);

/* A histogram of ticks as one of ns in fewer buckets: what others are shown. */
void npi_stats_spread(const struct npi_histogram_sum *ticks, struct numapool_page_histogram *ns);

#endif
