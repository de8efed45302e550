/* A shard's or the pool's numbers in one struct, with their times; for stats and for Prometheus. */
#ifndef NPI_API_INSPECT_H
#define NPI_API_INSPECT_H

#include "flow/pool.h"

/* wait and run return the merged histograms; of the pool they begin zeroed. */
void npi_inspect_shard(numapool *pool, unsigned index, struct numapool_shard_stats *stats,
                       struct npi_histogram_sum *wait, struct npi_histogram_sum *run);
void npi_inspect_pool(numapool *pool, struct numapool_shard_stats *stats,
                      struct npi_histogram_sum *wait, struct npi_histogram_sum *run);

#endif
