/*
 * Stop 6: what happened, read by whoever asks. Counters are kept where things happen (rings, workers,
 * shards); this stop only adds them up.
 */
#ifndef NPI_FLOW_STATS_H
#define NPI_FLOW_STATS_H

#include "flow/pool.h"

/* One shard's numbers without the times, added to *stats; times into the sums (may be NULL). */
void npi_stats_add(struct npi_shard *shard, struct numapool_shard_stats *stats,
                   struct npi_histogram_sum *wait, struct npi_histogram_sum *run);

void npi_stats_times(struct numapool_shard_stats *stats, const struct npi_histogram_sum *wait,
                     const struct npi_histogram_sum *run);

#endif
