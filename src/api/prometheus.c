/*
 * All statistics as Prometheus text, format 0.0.4: counters end in _total, times are seconds, one
 * series per shard, histograms with power-of-two bounds so that quantiles can be taken over shards.
 */
#include "api/prometheus.h"

#include "api/inspect.h"
#include "flow/stats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One bound per doubling, of eight: from 1 us to about 17 s. */
#define PAGE_BOUNDS_EACH 8

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

/* A label's value: these three characters are escaped. */
static void put_value(struct text *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"') {
            put(text, "\\%c", *value);
        } else if (*value == '\n') {
            put(text, "\\n");
        } else {
            put(text, "%c", *value);
        }
    }
}

static void put_labels(struct text *text, const struct npi_prometheus_row *row)
{
    put(text, "{pool=\"");
    put_value(text, row->pool);
    put(text, "\",shard=\"%u\",node=\"%" PRIu64 "\"", row->shard, row->stats->node_os_index);
}

static void put_series(struct text *text, const struct series *series,
                       const struct npi_prometheus_row *rows, size_t count)
{
    bool counter = strcmp(series->kind, "counter") == 0;
    bool time = strstr(series->name, "_ns") != NULL;
    char name[64];
    int stem = (int)strlen(series->name) - (time ? 3 : 0);
    (void)snprintf(name, sizeof name, "numapool_%.*s%s%s", stem, series->name,
                   time ? "_seconds" : "", counter ? "_total" : "");
    put(text, "# HELP %s %s\n# TYPE %s %s\n", name, series->help, name, series->kind);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)rows[i].stats + series->offset, sizeof value);
        put(text, "%s", name);
        put_labels(text, &rows[i]);
        if (time) {
            put(text, "} %.9f\n", (double)value / 1e9);
        } else {
            put(text, "} %" PRIu64 "\n", value);
        }
    }
}

static void put_row(struct text *text, const char *name, const struct npi_prometheus_row *row,
                    const struct numapool_page_histogram *times)
{
    uint64_t below = 0;
    unsigned at = 0;
    for (unsigned bound = 0; bound < NUMAPOOL_PAGE_BOUNDS; bound += PAGE_BOUNDS_EACH) {
        while (at <= bound) {
            below += times->bucket[at++];
        }
        put(text, "numapool_%s_seconds_bucket", name);
        put_labels(text, row);
        put(text, ",le=\"%.9g\"} %" PRIu64 "\n", (double)NUMAPOOL_PAGE_BOUND_NS(bound) / 1e9,
            below);
    }
    put(text, "numapool_%s_seconds_bucket", name);
    put_labels(text, row);
    put(text, ",le=\"+Inf\"} %" PRIu64 "\nnumapool_%s_seconds_sum", times->count, name);
    put_labels(text, row);
    put(text, "} %.9f\nnumapool_%s_seconds_count", (double)times->sum_ns / 1e9, name);
    put_labels(text, row);
    put(text, "} %" PRIu64 "\n", times->count);
}

static void put_histograms(struct text *text, const char *name, const char *help,
                           const struct npi_prometheus_row *rows, size_t count, bool of_wait)
{
    put(text, "# HELP numapool_%s_seconds %s\n# TYPE numapool_%s_seconds histogram\n", name, help,
        name);
    for (size_t i = 0; i < count; i++) {
        put_row(text, name, &rows[i], of_wait ? rows[i].wait : rows[i].run);
    }
}

size_t npi_prometheus_write(char *buffer, size_t size, const struct npi_prometheus_row *rows,
                            size_t count)
{
    struct text text = {buffer, size, 0};
    for (size_t i = 0; i < sizeof all_series / sizeof all_series[0]; i++) {
        put_series(&text, &all_series[i], rows, count);
    }
    put_histograms(&text, "wait", "Time from submit to start", rows, count, true);
    put_histograms(&text, "run", "Time from start to return", rows, count, false);
    return text.used;
}

/* What the rows of a pool point to. */
struct shown {
    struct numapool_shard_stats stats;
    struct numapool_page_histogram wait, run;
};

static void show(numapool *pool, unsigned index, struct shown *shown,
                 struct npi_prometheus_row *row)
{
    struct npi_histogram_sum wait, run;
    npi_inspect_shard(pool, index, &shown->stats, &wait, &run);
    if (index == 0) {
        shown->stats.bind_denied = npi_a64_load_relaxed(&pool->bind_denied);
    }
    npi_stats_spread(&wait, &shown->wait);
    npi_stats_spread(&run, &shown->run);
    *row = (struct npi_prometheus_row){pool->name, index, &shown->stats, &shown->wait, &shown->run};
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
    struct shown *shown = calloc(n, sizeof *shown);
    struct npi_prometheus_row *rows = calloc(n, sizeof *rows);
    if (shown == NULL || rows == NULL) {
        free(shown);
        free(rows);
        return NUMAPOOL_E_NOMEM;
    }
    for (unsigned i = 0; i < n; i++) {
        show(pool, i, &shown[i], &rows[i]);
    }
    size_t used = npi_prometheus_write(buffer, size, rows, n);
    free(shown);
    free(rows);
    if (needed != NULL) {
        *needed = used + 1;
    }
    return buffer == NULL || used < size ? NUMAPOOL_OK : NUMAPOOL_E_INVALID;
}
