/*
 * All statistics as Prometheus text, format 0.0.4: counters end in _total, times are seconds, one
 * series per shard, histograms with power-of-two bounds so that quantiles can be taken over shards.
 */
#include "api/inspect.h"

#include "os/os.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds from 1 us to about 17 s. */
#define BOUND_FIRST_NS UINT64_C(1024)
#define BOUND_COUNT 25

struct text {
    char *buffer;
    size_t size, used; /* used may exceed size: then it is what would be needed */
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
    size_t room = text->used < text->size ? text->size - text->used : 0;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(room != 0 ? text->buffer + text->used : NULL, room, format, arguments);
    va_end(arguments);
    text->used += length > 0 ? (size_t)length : 0;
}

struct series {
    const char *name, *kind, *help;
    size_t offset;
};

#define SERIES(field, kind, help)                                                                  \
    {#field, #kind, help, offsetof(struct numapool_shard_stats, field)},

static const struct series all_series[] = {NUMAPOOL_STATS_FIELDS(SERIES)};

static void put_labels(struct text *text, const numapool *pool,
                       const struct numapool_shard_stats *stats, unsigned shard)
{
    put(text, "{pool=\"%s\",shard=\"%u\",node=\"%" PRIu64 "\"", pool->name, shard,
        stats->node_os_index);
}

static void put_series(struct text *text, const numapool *pool, const struct series *series,
                       const struct numapool_shard_stats *stats)
{
    bool counter = strcmp(series->kind, "counter") == 0;
    bool time = strstr(series->name, "_ns") != NULL;
    char name[64];
    int stem = (int)strlen(series->name) - (time ? 3 : 0);
    (void)snprintf(name, sizeof name, "numapool_%.*s%s%s", stem, series->name,
                   time ? "_seconds" : "", counter ? "_total" : "");
    put(text, "# HELP %s %s\n# TYPE %s %s\n", name, series->help, name, series->kind);
    for (unsigned i = 0; i < pool->shard_count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&stats[i] + series->offset, sizeof value);
        put(text, "%s", name);
        put_labels(text, pool, &stats[i], i);
        if (time) {
            put(text, "} %.9f\n", (double)value / 1e9);
        } else {
            put(text, "} %" PRIu64 "\n", value);
        }
    }
}

/* Of one bucket: its largest value. What straddles a bound counts above it. */
static uint64_t upper_ns(size_t bucket)
{
    return npi_clock_ticks_to_ns(npi_histogram_upper(bucket));
}

static void put_histogram(struct text *text, const numapool *pool, const char *name,
                          const char *help, const struct numapool_shard_stats *stats,
                          const struct npi_histogram_sum *sums)
{
    put(text, "# HELP numapool_%s_seconds %s\n# TYPE numapool_%s_seconds histogram\n", name, help,
        name);
    for (unsigned i = 0; i < pool->shard_count; i++) {
        uint64_t below = 0, bound = BOUND_FIRST_NS;
        double sum = 0.0;
        size_t at = 0;
        for (unsigned b = 0; b < BOUND_COUNT; b++, bound *= 2) {
            for (; at < NPI_HISTOGRAM_BUCKETS && upper_ns(at) < bound; at++) {
                below += sums[i].bucket[at];
                sum += (double)sums[i].bucket[at] * (double)upper_ns(at);
            }
            put(text, "numapool_%s_seconds_bucket", name);
            put_labels(text, pool, &stats[i], i);
            put(text, ",le=\"%.9g\"} %" PRIu64 "\n", (double)bound / 1e9, below);
        }
        for (; at < NPI_HISTOGRAM_BUCKETS; at++) {
            sum += (double)sums[i].bucket[at] * (double)upper_ns(at);
        }
        put(text, "numapool_%s_seconds_bucket", name);
        put_labels(text, pool, &stats[i], i);
        put(text, ",le=\"+Inf\"} %" PRIu64 "\nnumapool_%s_seconds_sum", sums[i].count, name);
        put_labels(text, pool, &stats[i], i);
        put(text, "} %.9f\nnumapool_%s_seconds_count", sum / 1e9, name);
        put_labels(text, pool, &stats[i], i);
        put(text, "} %" PRIu64 "\n", sums[i].count);
    }
}

int numapool_stats_prometheus(numapool *pool, char *buffer, size_t size, size_t *needed)
{
    if (pool == NULL || (buffer == NULL && size != 0)) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    size_t n = pool->shard_count;
    struct numapool_shard_stats *stats = calloc(n, sizeof *stats);
    struct npi_histogram_sum *sums = calloc(2 * n, sizeof *sums);
    if (stats == NULL || sums == NULL) {
        free(stats);
        free(sums);
        return NUMAPOOL_E_NOMEM;
    }
    for (unsigned i = 0; i < n; i++) {
        npi_inspect_shard(pool, i, &stats[i], &sums[i], &sums[n + i]);
        stats[i].bind_denied = i == 0 ? npi_a64_load_relaxed(&pool->bind_denied) : 0;
    }
    struct text text = {buffer, size, 0};
    for (size_t i = 0; i < sizeof all_series / sizeof all_series[0]; i++) {
        put_series(&text, pool, &all_series[i], stats);
    }
    put_histogram(&text, pool, "wait", "Time from submit to start", stats, sums);
    put_histogram(&text, pool, "run", "Time from start to return", stats, sums + n);
    free(stats);
    free(sums);
    if (needed != NULL) {
        *needed = text.used + 1;
    }
    return buffer == NULL || text.used < size ? NUMAPOOL_OK : NUMAPOOL_E_INVALID;
}
