/* Rates, percentiles of an interval, totals; and short numbers. */
#include "tool/pool_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A block that is older than this, and than several ticks, is not being published. */
#define STALE_S 2.5
#define STALE_TICKS 10.0

/* ---------------------------------------------------------------------------------- times */

/* The least bound that so many thousandths of the counts do not pass. */
static double quantile_ns(const struct numapool_page_histogram *h, unsigned permille)
{
    uint64_t count = 0, seen = 0;
    for (unsigned i = 0; i < NUMAPOOL_PAGE_BUCKETS; i++) {
        count += h->bucket[i];
    }
    if (count == 0) {
        return -1.0;
    }
    uint64_t rank = (count * permille + 999) / 1000;
    for (unsigned i = 0; i < NUMAPOOL_PAGE_BOUNDS; i++) {
        seen += h->bucket[i];
        if (seen >= rank) {
            uint64_t bound = NUMAPOOL_PAGE_BOUND_NS(i);
            return (double)(bound < h->max_ns ? bound : h->max_ns);
        }
    }
    return (double)h->max_ns;
}

static void subtract(struct numapool_page_histogram *from, const struct numapool_page_histogram *h)
{
    from->count -= h->count;
    from->sum_ns -= h->sum_ns;
    for (unsigned i = 0; i < NUMAPOOL_PAGE_BUCKETS; i++) {
        from->bucket[i] -= h->bucket[i];
    }
}

static void add_times(struct numapool_page_histogram *to, const struct numapool_page_histogram *h)
{
    to->count += h->count;
    to->sum_ns += h->sum_ns;
    to->max_ns = to->max_ns > h->max_ns ? to->max_ns : h->max_ns;
    for (unsigned i = 0; i < NUMAPOOL_PAGE_BUCKETS; i++) {
        to->bucket[i] += h->bucket[i];
    }
}

static struct pool_times percentiles(const struct numapool_page_times *times)
{
    return (struct pool_times){
        .wait_p50_ns = quantile_ns(&times->wait, 500),
        .wait_p99_ns = quantile_ns(&times->wait, 990),
        .run_p50_ns = quantile_ns(&times->run, 500),
        .run_p99_ns = quantile_ns(&times->run, 990),
    };
}

/* ----------------------------------------------------------------------------------- rows */

static void set_rates(struct pool_row *row, const struct numapool_page_shard *before)
{
#define RATE(name, kind, text)                                                                     \
    row->rates.name = POOL_IS_##kind && row->now.name > before->name && row->seconds > 0.0         \
                          ? (double)(row->now.name - before->name) / row->seconds                  \
                          : 0.0;
    NUMAPOOL_STATS_FIELDS(RATE)
#undef RATE
}

static void add_rates(struct pool_rates *to, const struct pool_rates *rates)
{
#define ADD(name, kind, text) to->name += rates->name;
    NUMAPOOL_STATS_FIELDS(ADD)
#undef ADD
}

static void add_counts(struct numapool_page_shard *to, const struct numapool_page_shard *shard)
{
#define ADD(name, kind, text) to->name += shard->name;
    NUMAPOOL_STATS_FIELDS(ADD)
#undef ADD
    to->cpus_milli += shard->cpus_milli;
}

/* The times of a row are published more seldom than its counters: until they are, those of the interval
   before stand. */
static void set_recent(struct pool_row *row, const struct pool_row *before)
{
    bool slept = row->now.state == NUMAPOOL_PAGE_ASLEEP && row->now.updates == before->now.updates;
    if (row->times.published_ns != before->times.published_ns) {
        row->recent = row->times;
        subtract(&row->recent.wait, &before->times.wait);
        subtract(&row->recent.run, &before->times.run);
    } else if (slept || row->stale) {
        memset(&row->recent, 0, sizeof row->recent);
    } else {
        row->recent = before->recent;
    }
    row->since = percentiles(&row->recent);
}

static void set_row(struct pool_row *row, const struct page *page, const struct page_sample *sample,
                    size_t i, bool first)
{
    struct pool_row before = *row;
    memset(row, 0, sizeof *row);
    row->now = sample->shards[i];
    row->times = sample->times[i];
    row->when_ns = row->now.updates != 0 ? page_shard_time_ns(sample, i) : page->header.created_ns;
    row->age_s =
        sample->taken_ns > row->when_ns ? (double)(sample->taken_ns - row->when_ns) / 1e9 : 0.0;
    row->stale = sample->phase != NUMAPOOL_PAGE_CLOSED && row->age_s > STALE_S &&
                 row->age_s > STALE_TICKS * (double)page->header.tick_ns / 1e9;
    if (first) {
        bool any = row->times.wait.count != 0;
        row->recent = row->times;
        row->since = (struct pool_times){
            any ? (double)row->now.wait_p50_ns : -1.0, any ? (double)row->now.wait_p99_ns : -1.0,
            any ? (double)row->now.run_p50_ns : -1.0, any ? (double)row->now.run_p99_ns : -1.0};
        return;
    }
    if (row->when_ns > before.when_ns) {
        row->seconds = (double)(row->when_ns - before.when_ns) / 1e9;
        set_rates(row, &before.now);
    } else { /* not published since */
        row->seconds = before.seconds;
        row->rates = row->stale ? row->rates : before.rates;
    }
    set_recent(row, &before);
}

static void set_total(struct pool_view *view, bool first)
{
    struct pool_row *total = &view->total;
    memset(total, 0, sizeof *total);
    bool asleep = true;
    uint64_t published_ns = 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct pool_row *row = &view->rows[i];
        add_counts(&total->now, &row->now);
        add_rates(&total->rates, &row->rates);
        add_times(&total->times.wait, &row->times.wait);
        add_times(&total->times.run, &row->times.run);
        add_times(&total->recent.wait, &row->recent.wait);
        add_times(&total->recent.run, &row->recent.run);
        asleep &= row->now.state == NUMAPOOL_PAGE_ASLEEP;
        total->stale |= row->stale;
        total->age_s = total->age_s > row->age_s ? total->age_s : row->age_s;
        total->seconds = total->seconds > row->seconds ? total->seconds : row->seconds;
        total->when_ns = total->when_ns > row->when_ns ? total->when_ns : row->when_ns;
        /* What is the whole pool's: who saw it last. A shard that sleeps has not looked since it fell asleep. */
        if (row->now.published_ns >= published_ns) {
            published_ns = row->now.published_ns;
            total->now.budget = row->now.budget;
            total->now.pool_bytes = row->now.pool_bytes;
        }
    }
    total->now.bytes_in_use = total->now.pool_bytes; /* shards of one node share its bytes */
    total->now.state = asleep ? NUMAPOOL_PAGE_ASLEEP : NUMAPOOL_PAGE_TICKING;
    total->since = first && view->count == 1 ? view->rows[0].since : percentiles(&total->recent);
    struct pool_times all = percentiles(&total->times);
    const struct numapool_page_histogram *wait = &total->times.wait, *run = &total->times.run;
    total->now.wait_p50_ns = all.wait_p50_ns > 0.0 ? (uint64_t)all.wait_p50_ns : 0;
    total->now.wait_p99_ns = all.wait_p99_ns > 0.0 ? (uint64_t)all.wait_p99_ns : 0;
    total->now.wait_p999_ns = wait->count != 0 ? (uint64_t)quantile_ns(wait, 999) : 0;
    total->now.wait_max_ns = wait->max_ns;
    total->now.run_p50_ns = all.run_p50_ns > 0.0 ? (uint64_t)all.run_p50_ns : 0;
    total->now.run_p99_ns = all.run_p99_ns > 0.0 ? (uint64_t)all.run_p99_ns : 0;
    total->now.run_p999_ns = run->count != 0 ? (uint64_t)quantile_ns(run, 999) : 0;
    total->now.run_max_ns = run->max_ns;
}

bool pool_view_update(struct pool_view *view, const struct page *page,
                      const struct page_sample *sample)
{
    bool first = view->rows == NULL || view->count != sample->shard_count;
    if (first) {
        struct pool_row *rows = calloc(sample->shard_count, sizeof *rows);
        if (rows == NULL) {
            return false;
        }
        pool_view_fini(view);
        view->rows = rows;
        view->count = sample->shard_count;
    }
    view->phase = sample->phase;
    view->taken_ns = sample->taken_ns;
    for (size_t i = 0; i < view->count; i++) {
        set_row(&view->rows[i], page, sample, i, first);
    }
    set_total(view, first);
    return true;
}

void pool_view_fini(struct pool_view *view)
{
    free(view->rows);
    memset(view, 0, sizeof *view);
}

/* ----------------------------------------------------------------------------------- text */

const char *pool_phase_name(enum numapool_page_phase phase)
{
    static const char *const names[] = {"open", "draining", "closed"};
    return names[phase];
}

/* One digit after the point, unless it is 0 or there is no room for it. */
static void put_number(char text[POOL_TEXT_BYTES], double value, const char *unit)
{
    bool room = value < (strlen(unit) > 1 ? 9.95 : 99.95);
    (void)snprintf(text, POOL_TEXT_BYTES, room ? "%.1f" : "%.0f", value);
    char *zero = strstr(text, ".0");
    size_t length = zero != NULL ? (size_t)(zero - text) : strlen(text);
    (void)snprintf(text + length, POOL_TEXT_BYTES - length, "%s", unit);
}

/* In units that are `factor` apart. */
static void short_number(char text[POOL_TEXT_BYTES], double value, double factor,
                         const char *const *units)
{
    bool whole = units[0][0] == '\0'; /* a count of single things */
    while (value >= 999.5 && units[1] != NULL) {
        value /= factor;
        units++;
        whole = false;
    }
    put_number(text, whole ? (double)(uint64_t)(value + 0.5) : value, units[0]);
}

void pool_count_text(char text[POOL_TEXT_BYTES], double value)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E", NULL};
    if (value < 0.0) {
        (void)snprintf(text, POOL_TEXT_BYTES, "-");
    } else if (value > 0.0 && value < 9.95) {
        if (value < 0.05) {
            (void)snprintf(text, POOL_TEXT_BYTES, ">0");
        } else {
            put_number(text, value, "");
        }
    } else {
        short_number(text, value, 1000.0, units);
    }
}

void pool_time_text(char text[POOL_TEXT_BYTES], double ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s", NULL};
    if (ns < 0.0) {
        (void)snprintf(text, POOL_TEXT_BYTES, "-");
    } else if (ns >= 99.5e9) {
        uint64_t s = (uint64_t)(ns / 1e9);
        (void)snprintf(text, POOL_TEXT_BYTES, s < 6000 ? "%um%02us" : "%uh%02um",
                       (unsigned)(s < 6000 ? s / 60 : s / 3600),
                       (unsigned)(s < 6000 ? s % 60 : s / 60 % 60));
    } else {
        short_number(text, ns, 1000.0, units);
    }
}

void pool_bytes_text(char text[POOL_TEXT_BYTES], uint64_t bytes)
{
    static const char *const units[] = {"", "K", "M", "G", "T", "P", "E", NULL};
    short_number(text, (double)bytes, 1024.0, units);
}
