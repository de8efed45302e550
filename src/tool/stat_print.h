/* The outputs of `numapool stat`: a table, lines of JSON, Prometheus text. */
#ifndef NPI_TOOL_STAT_PRINT_H
#define NPI_TOOL_STAT_PRINT_H

#include "tool/pool_view.h"

#include <stdio.h>

/* One pool's sample, of the process it belongs to. */
struct stat_pool {
    const struct page_process *process;
    const struct page *page;
    struct pool_view view;
    struct page_sample sample;
    bool told;        /* its line with names and bounds */
    bool closed_told; /* it was closed when it was last printed */
};

/* What stands above a pool's rows, once. */
void stat_print_heading(FILE *out, const struct stat_pool *pool);
/* The names of the columns; of a first sample they are totals, of others per second. */
void stat_print_columns(FILE *out, bool per_second);
/* One row per shard, and their sum where there are several; what those columns say. */
void stat_print_rows(FILE *out, const struct stat_pool *pool, bool per_second);

/* One line. */
void stat_print_json(FILE *out, const struct stat_pool *pool);

/* All pools at once, as numapool_stats_prometheus() would for each. False: no memory. */
bool stat_print_prometheus(FILE *out, const struct stat_pool *pools, size_t count);

#endif
