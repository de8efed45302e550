/* See stat_print.h. */
#include "tool/stat_print.h"

#include "api/prometheus.h"
#include "tool/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---------------------------------------------------------------------------------- table */

void stat_print_heading(FILE *out, const struct stat_pool *pool)
{
    const struct numapool_page_header *header = &pool->page->header;
    const struct numapool_page_shard *total = &pool->view.total.now;
    char used[POOL_TEXT_BYTES], bound[POOL_TEXT_BYTES], up[POOL_TEXT_BYTES];
    pool_bytes_text(used, total->pool_bytes);
    pool_bytes_text(bound, header->memory_bytes);
    uint64_t age_ns =
        pool->view.taken_ns > header->created_ns ? pool->view.taken_ns - header->created_ns : 0;
    pool_time_text(up, (double)age_ns);
    (void)fprintf(out,
                  "%d %s: pool %s (%" PRIu64 "), %s, %" PRIu64 " shard%s on %" PRIu64
                  " node%s, budget %" PRIu64 ", %s of %s in use, up %s\n",
                  (int)pool->process->pid, pool->process->command, header->pool_name,
                  header->pool_id, pool_phase_name(pool->view.phase), header->shard_count,
                  header->shard_count == 1 ? "" : "s", header->node_count,
                  header->node_count == 1 ? "" : "s", total->budget, used, bound, up);
}

void stat_print_columns(FILE *out, bool per_second)
{
    (void)fprintf(out, "%4s %4s %5s %5s %5s %5s %5s %6s %6s %6s %6s %5s %5s\n", "SHRD", "NODE",
                  "QUEUE", "RUN", "PARK", "BLOCK", "QUOTA", per_second ? "DONE/S" : "DONE",
                  per_second ? "REFU/S" : "REFUSE", per_second ? "FORW/S" : "FORWRD",
                  per_second ? "STOL/S" : "STOLEN", "W50", "W99");
}

/* A count, or its rate: none of a row that was not published between two looks so far. */
static void count_text(char text[POOL_TEXT_BYTES], const struct pool_row *row, bool per_second,
                       double count, double rate)
{
    pool_count_text(text, !per_second ? count : row->seconds > 0.0 ? rate : -1.0);
}

static void print_row(FILE *out, const char *shard, const char *node, const struct pool_row *row,
                      bool per_second)
{
    const struct numapool_page_shard *now = &row->now;
    const struct pool_rates *rates = &row->rates;
    char text[7][POOL_TEXT_BYTES];
    pool_count_text(text[0], (double)now->queue_depth);
    count_text(text[1], row, per_second, (double)now->run, rates->run);
    count_text(text[2], row, per_second, (double)POOL_REFUSED(now), POOL_REFUSED(rates));
    count_text(text[3], row, per_second, (double)now->forwarded_in, rates->forwarded_in);
    count_text(text[4], row, per_second, (double)now->stolen_in, rates->stolen_in);
    pool_time_text(text[5], row->since.wait_p50_ns);
    pool_time_text(text[6], row->since.wait_p99_ns);
    (void)fprintf(
        out,
        "%4s %4s %5s %5" PRIu64 " %5" PRIu64 " %5" PRIu64 " %5" PRIu64 " %6s %6s %6s %6s %5s %5s",
        shard, node, text[0], now->workers_running, now->workers_parked, now->workers_blocked,
        now->quota, text[1], text[2], text[3], text[4], text[5], text[6]);
    if (row->stale) {
        (void)fprintf(out, "  not updated for %.1f s", row->age_s);
    }
    (void)fputc('\n', out);
}

void stat_print_rows(FILE *out, const struct stat_pool *pool, bool per_second)
{
    const struct pool_view *view = &pool->view;
    for (size_t i = 0; i < view->count; i++) {
        char shard[24], node[24];
        (void)snprintf(shard, sizeof shard, "%zu", i);
        (void)snprintf(node, sizeof node, "%" PRIu64, view->rows[i].now.node_os_index);
        print_row(out, shard, node, &view->rows[i], per_second);
    }
    if (view->count > 1) {
        print_row(out, "all", "", &view->total, per_second);
    }
}

/* ----------------------------------------------------------------------------------- JSON */

static void put_row(struct json *json, const struct pool_row *row)
{
    const struct numapool_page_shard *now = &row->now;
#define PUT(name, kind, text) json_unsigned(json, #name, now->name);
    NUMAPOOL_STATS_FIELDS(PUT)
#undef PUT
    json_string(json, "state", now->state == NUMAPOOL_PAGE_ASLEEP ? "asleep" : "ticking");
    json_double(json, "age_seconds", row->age_s);
    json_bool(json, "stale", row->stale);
    if (row->seconds <= 0.0) {
        return;
    }
    json_begin_object(json, "per_second");
#define PUT(name, kind, text)                                                                      \
    if (POOL_IS_##kind) {                                                                          \
        json_double(json, #name, row->rates.name);                                                 \
    }
    NUMAPOOL_STATS_FIELDS(PUT)
#undef PUT
    json_end_object(json);
    json_begin_object(json, "interval");
    json_double(json, "seconds", row->seconds);
#define PUT(name)                                                                                  \
    if (row->since.name < 0.0) {                                                                   \
        json_null(json, #name);                                                                    \
    } else {                                                                                       \
        json_unsigned(json, #name, (uint64_t)row->since.name);                                     \
    }
    PUT(wait_p50_ns)
    PUT(wait_p99_ns)
    PUT(run_p50_ns)
    PUT(run_p99_ns)
#undef PUT
    json_end_object(json);
}

void stat_print_json(FILE *out, const struct stat_pool *pool)
{
    struct json json = {.out = out, .line = true, .first = true};
    const struct numapool_page_header *header = &pool->page->header;
    const struct pool_view *view = &pool->view;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t age_ns = view->taken_ns > header->created_ns ? view->taken_ns - header->created_ns : 0;
    json_begin_object(&json, NULL);
    json_double(&json, "time", (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    json_signed(&json, "pid", pool->process->pid);
    json_string(&json, "command", pool->process->command);
    json_string(&json, "pool", header->pool_name);
    json_unsigned(&json, "pool_id", header->pool_id);
    json_string(&json, "library", header->library);
    json_string(&json, "phase", pool_phase_name(view->phase));
    json_string(&json, "mode", header->mode == NUMAPOOL_FIXED ? "fixed" : "adaptive");
    json_double(&json, "up_seconds", (double)age_ns / 1e9);
    json_unsigned(&json, "budget", view->total.now.budget);
    json_unsigned(&json, "memory_bytes", header->memory_bytes);
    json_unsigned(&json, "nodes", header->node_count);
    json_begin_array(&json, "shards");
    for (size_t i = 0; i < view->count; i++) {
        const struct pool_row *row = &view->rows[i];
        json_begin_object(&json, NULL);
        json_unsigned(&json, "shard", i);
        json_unsigned(&json, "node", row->now.node);
        json_unsigned(&json, "node_os_index", row->now.node_os_index);
        json_double(&json, "cpus", (double)row->now.cpus_milli / 1000.0);
        put_row(&json, row);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_begin_object(&json, "total");
    json_double(&json, "cpus", (double)view->total.now.cpus_milli / 1000.0);
    put_row(&json, &view->total);
    json_end_object(&json);
    json_end_object(&json);
}

/* ----------------------------------------------------------------------------- Prometheus */

/* Two pools of one name in one process would be one series: the second is called by its number, too. */
static void name_pool(char *name, size_t size, const struct stat_pool *pools, size_t i)
{
    const struct numapool_page_header *header = &pools[i].page->header;
    (void)snprintf(name, size, "%s", header->pool_name);
    for (size_t before = 0; before < i; before++) {
        if (strcmp(pools[before].page->header.pool_name, header->pool_name) == 0) {
            (void)snprintf(name, size, "%s.%" PRIu64, header->pool_name, header->pool_id);
        }
    }
}

static void fill(struct numapool_shard_stats *stats, const struct numapool_page_shard *shard)
{
    *stats = (struct numapool_shard_stats)
    {
        .struct_size = sizeof *stats, .node = shard->node, .node_os_index = shard->node_os_index,
#define FIELD(name, kind, text) .name = shard->name,
        NUMAPOOL_STATS_FIELDS(FIELD)
#undef FIELD
    };
}

struct prometheus {
    struct npi_prometheus_row *rows;
    struct numapool_shard_stats *stats;
    char (*names)[32];
    size_t count;
};

static void add_rows(struct prometheus *all, const struct stat_pool *pools, size_t i)
{
    name_pool(all->names[i], sizeof all->names[i], pools, i);
    for (size_t s = 0; s < pools[i].sample.shard_count; s++) {
        const struct numapool_page_times *times = &pools[i].sample.times[s];
        fill(&all->stats[all->count], &pools[i].sample.shards[s]);
        all->rows[all->count] = (struct npi_prometheus_row){
            all->names[i], (unsigned)s, &all->stats[all->count], &times->wait, &times->run};
        all->count++;
    }
}

bool stat_print_prometheus(FILE *out, const struct stat_pool *pools, size_t count)
{
    size_t most = 1;
    for (size_t i = 0; i < count; i++) {
        most += pools[i].sample.shard_count;
    }
    struct prometheus all = {.rows = calloc(most, sizeof *all.rows),
                             .stats = calloc(most, sizeof *all.stats),
                             .names = calloc(count + 1, sizeof *all.names)};
    char *text = NULL;
    if (all.rows != NULL && all.stats != NULL && all.names != NULL) {
        for (size_t i = 0; i < count; i++) {
            add_rows(&all, pools, i);
        }
        size_t length = npi_prometheus_write(NULL, 0, all.rows, all.count);
        text = malloc(length + 1);
        if (text != NULL) {
            (void)npi_prometheus_write(text, length + 1, all.rows, all.count);
            (void)fputs(text, out);
        }
    }
    free(all.rows);
    free(all.stats);
    free(all.names);
    free(text);
    return text != NULL;
}
