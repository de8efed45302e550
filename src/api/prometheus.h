/* Rows of statistics, wherever they come from, as Prometheus text: of a pool, or of pages of pools. */
#ifndef NPI_API_PROMETHEUS_H
#define NPI_API_PROMETHEUS_H

#include <numapool/stats_page.h>

/* One shard. Pool and shard together tell it from the other rows. */
struct npi_prometheus_row {
    const char *pool;
    unsigned shard;
    const struct numapool_shard_stats *stats;
    const struct numapool_page_histogram *wait, *run;
};

/* Writes at most `size` characters, terminator included. Returns how many there are without it. */
size_t npi_prometheus_write(char *buffer, size_t size, const struct npi_prometheus_row *rows,
                            size_t count);

#endif
