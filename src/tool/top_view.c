/* See top_view.h. */
#include "tool/top_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const top_help[] = {
    "QUEUE    tasks that wait, of as many as may",
    "RUN      workers that run tasks, of the quota",
    "PARK BLK workers asleep; waiting inside a task",
    "DONE/S   tasks run     REF/S  tasks refused",
    "FWD/S    of other shards, queued here",
    "STL/S    of other shards, taken by workers here",
    "W50 W99  wait from submit to start, half and 99 %",
    "R50 R99  run time, likewise, of this interval",
    "",
    "s S   sort by the next, previous   r  turn round",
    "p     pause          + -  slower, faster",
    "arrows, PgUp, PgDn, Home, End  scroll",
    "Tab   the next pool of the process   q  quit",
    NULL,
};

/* ---------------------------------------------------------------------------------- order */

const char *top_sort_name(enum top_sort sort)
{
    static const char *const names[TOP_SORTS] = {"shard",  "queue",   "running",
                                                 "done/s", "refused", "wait p99"};
    return names[sort];
}

static double rank_of(const struct pool_row *row, enum top_sort sort)
{
    switch (sort) {
    case TOP_SORT_QUEUE:
        return (double)row->now.queue_depth;
    case TOP_SORT_RUN:
        return (double)row->now.workers_running;
    case TOP_SORT_DONE:
        return row->rates.run;
    case TOP_SORT_REFUSED:
        return POOL_REFUSED(&row->rates);
    case TOP_SORT_WAIT:
        return row->since.wait_p99_ns;
    case TOP_SORT_SHARD:
    case TOP_SORTS:
        break;
    }
    return 0.0;
}

struct comparison {
    const struct pool_row *rows;
    enum top_sort sort;
    int sign;
};

static int compare(const void *a, const void *b, void *context)
{
    const struct comparison *by = context;
    size_t left = *(const size_t *)a, right = *(const size_t *)b;
    double left_rank = rank_of(&by->rows[left], by->sort);
    double right_rank = rank_of(&by->rows[right], by->sort);
    int order = (left_rank < right_rank) - (left_rank > right_rank);
    if (order == 0) {
        order = (left > right) - (left < right);
    }
    return by->sign * order;
}

void top_view_order(const struct pool_view *view, enum top_sort sort, bool reverse, size_t *order)
{
    struct comparison by = {view->rows, sort, reverse ? -1 : 1};
    for (size_t i = 0; i < view->count; i++) {
        order[i] = i;
    }
    qsort_r(order, view->count, sizeof *order, compare, &by);
}

/* -------------------------------------------------------------------------------- columns */

/* In the order they stand in. The first to go when it gets narrow is the one of the highest number. */
static const struct {
    const char *title;
    unsigned width; /* of a bar: at least */
    unsigned leaves;
} columns[TOP_COLUMNS] = {
    [TOP_SHARD] = {"SHRD", 4, 0},      [TOP_NODE] = {"NODE", 4, 10},
    [TOP_QUEUE] = {"QUEUE", 8, 2},     [TOP_RUN] = {"RUN", 9, 3},
    [TOP_PARKED] = {"PARK", 4, 6},     [TOP_BLOCKED] = {"BLK", 4, 7},
    [TOP_DONE] = {"DONE/S", 6, 1},     [TOP_REFUSED] = {"REF/S", 5, 4},
    [TOP_FORWARDED] = {"FWD/S", 5, 8}, [TOP_STOLEN] = {"STL/S", 5, 9},
    [TOP_WAIT_P50] = {"W50", 5, 7},    [TOP_WAIT_P99] = {"W99", 5, 5},
    [TOP_RUN_P50] = {"R50", 5, 12},    [TOP_RUN_P99] = {"R99", 5, 11},
};
#define LEAVES_FIRST 12u
#define BAR_MOST 30u

static bool is_bar(enum top_column column)
{
    return column == TOP_QUEUE || column == TOP_RUN;
}

/* All columns that leave no earlier than `limit`: their width, with a blank between two. */
static unsigned width_of(unsigned limit)
{
    unsigned width = 0;
    for (int i = 0; i < TOP_COLUMNS; i++) {
        width += columns[i].leaves <= limit ? columns[i].width + 1 : 0;
    }
    return width - 1;
}

void top_view_lay_out(struct top_layout *layout, unsigned width)
{
    unsigned limit = LEAVES_FIRST;
    while (limit > 0 && width_of(limit) > width) {
        limit--;
    }
    unsigned rest = width > width_of(limit) ? width - width_of(limit) : 0;
    unsigned bars = (limit >= columns[TOP_QUEUE].leaves ? 1u : 0u) +
                    (limit >= columns[TOP_RUN].leaves ? 1u : 0u);
    unsigned x = 0;
    layout->count = 0;
    for (int i = 0; i < TOP_COLUMNS; i++) {
        if (columns[i].leaves > limit) {
            continue;
        }
        unsigned wide = columns[i].width;
        if (is_bar((enum top_column)i)) {
            unsigned more = rest / bars--;
            more = wide + more > BAR_MOST ? BAR_MOST - wide : more;
            wide += more;
            rest -= more;
        }
        unsigned at = layout->count++;
        layout->at[at].column = (enum top_column)i;
        layout->at[at].x = x;
        layout->at[at].width = wide;
        x += wide + 1;
    }
}

/* Puts a text at a column, to its right end, and cuts what is too long. */
static void place(char *line, size_t size, unsigned x, unsigned width, const char *text)
{
    size_t length = strlen(text);
    size_t shown = length < width ? length : width;
    for (size_t i = 0; i < shown; i++) {
        size_t at = x + (width - shown) + i;
        if (at + 1 < size) {
            line[at] = text[i];
        }
    }
}

static void blank(const struct top_layout *layout, char *line, size_t size)
{
    size_t end = layout->at[layout->count - 1].x + layout->at[layout->count - 1].width;
    end = end < size ? end : size - 1;
    memset(line, ' ', end);
    line[end] = '\0';
}

void top_view_titles(const struct top_layout *layout, char *line, size_t size)
{
    blank(layout, line, size);
    for (unsigned i = 0; i < layout->count; i++) {
        enum top_column column = layout->at[i].column;
        unsigned width = layout->at[i].width;
        if (is_bar(column)) { /* above the bar's begin */
            size_t length = strlen(columns[column].title);
            width = length < width ? (unsigned)length : width;
        }
        place(line, size, layout->at[i].x, width, columns[column].title);
    }
}

double top_view_fill(enum top_column column, const struct pool_row *row)
{
    const struct numapool_page_shard *now = &row->now;
    uint64_t part = column == TOP_QUEUE ? now->queue_depth : now->workers_running;
    uint64_t whole = column == TOP_QUEUE ? now->queue_capacity : now->quota;
    if (!is_bar(column)) {
        return -1.0;
    }
    return part >= whole ? (part != 0 ? 1.0 : 0.0) : (double)part / (double)whole;
}

#define PAIR_BYTES ((size_t)2 * POOL_TEXT_BYTES)

static void bar_text(enum top_column column, const struct pool_row *row, unsigned width,
                     char text[PAIR_BYTES])
{
    char part[POOL_TEXT_BYTES], whole[POOL_TEXT_BYTES];
    bool queue = column == TOP_QUEUE;
    pool_count_text(part, (double)(queue ? row->now.queue_depth : row->now.workers_running));
    pool_count_text(whole, (double)(queue ? row->now.queue_capacity : row->now.quota));
    (void)snprintf(text, PAIR_BYTES, "%s/%s", part, whole);
    if (strlen(text) > width) {
        (void)snprintf(text, PAIR_BYTES, "%s", part);
    }
}

static void put_bar(enum top_column column, const struct pool_row *row, char *line, size_t size,
                    unsigned x, unsigned width)
{
    char text[PAIR_BYTES];
    unsigned inside = width - 2;
    double fill = top_view_fill(column, row);
    unsigned filled = (unsigned)(fill * inside + 0.5);
    filled = fill > 0.0 && filled == 0 ? 1 : filled;
    place(line, size, x, 1, "[");
    for (unsigned i = 0; i < filled; i++) {
        place(line, size, x + 1 + i, 1, "|");
    }
    place(line, size, x + width - 1, 1, "]");
    bar_text(column, row, inside, text);
    place(line, size, x + 1, inside, text);
}

static void cell_text(enum top_column column, const struct pool_row *row, const char *name,
                      char text[POOL_TEXT_BYTES])
{
    const struct numapool_page_shard *now = &row->now;
    bool rates = row->seconds > 0.0;
    switch (column) {
    case TOP_SHARD:
        (void)snprintf(text, POOL_TEXT_BYTES, "%s", name);
        return;
    case TOP_NODE:
        (void)snprintf(text, POOL_TEXT_BYTES, "%" PRIu64, now->node_os_index);
        return;
    case TOP_PARKED:
        pool_count_text(text, (double)now->workers_parked);
        return;
    case TOP_BLOCKED:
        pool_count_text(text, (double)now->workers_blocked);
        return;
    case TOP_DONE:
        pool_count_text(text, rates ? row->rates.run : -1.0);
        return;
    case TOP_REFUSED:
        pool_count_text(text, rates ? POOL_REFUSED(&row->rates) : -1.0);
        return;
    case TOP_FORWARDED:
        pool_count_text(text, rates ? row->rates.forwarded_in : -1.0);
        return;
    case TOP_STOLEN:
        pool_count_text(text, rates ? row->rates.stolen_in : -1.0);
        return;
    case TOP_WAIT_P50:
        pool_time_text(text, row->since.wait_p50_ns);
        return;
    case TOP_WAIT_P99:
        pool_time_text(text, row->since.wait_p99_ns);
        return;
    case TOP_RUN_P50:
        pool_time_text(text, row->since.run_p50_ns);
        return;
    case TOP_RUN_P99:
        pool_time_text(text, row->since.run_p99_ns);
        return;
    case TOP_QUEUE:
    case TOP_RUN:
    case TOP_COLUMNS:
        break;
    }
    text[0] = '\0';
}

void top_view_row(const struct top_layout *layout, const struct pool_row *row, const char *name,
                  char *line, size_t size)
{
    blank(layout, line, size);
    bool all = strcmp(name, "all") == 0;
    for (unsigned i = 0; i < layout->count; i++) {
        enum top_column column = layout->at[i].column;
        if (is_bar(column)) {
            put_bar(column, row, line, size, layout->at[i].x, layout->at[i].width);
        } else if (!all || column != TOP_NODE) {
            char text[POOL_TEXT_BYTES] = "";
            cell_text(column, row, name, text);
            place(line, size, layout->at[i].x, layout->at[i].width, text);
        }
    }
}

/* ----------------------------------------------------------------------------------- head */

static void head_rates(const struct pool_view *view, char *text, size_t size)
{
    const struct pool_row *total = &view->total;
    const struct pool_rates *rates = &total->rates;
    if (total->seconds <= 0.0) {
        (void)snprintf(text, size, "looking ...");
        return;
    }
    char done[POOL_TEXT_BYTES], refusals[POOL_TEXT_BYTES], dropped[POOL_TEXT_BYTES],
        forwarded[POOL_TEXT_BYTES], stolen[POOL_TEXT_BYTES];
    pool_count_text(done, rates->run);
    pool_count_text(refusals, POOL_REFUSED(rates));
    pool_count_text(dropped, rates->dropped);
    pool_count_text(forwarded, rates->forwarded_in);
    pool_count_text(stolen, rates->stolen_in);
    double share = rates->submitted > 0.0 ? 100.0 * POOL_REFUSED(rates) / rates->submitted : 0.0;
    (void)snprintf(text, size,
                   "per second: %s done, %s refused (%.0f %%), %s dropped, %s forwarded, %s stolen",
                   done, refusals, share, dropped, forwarded, stolen);
}

static void head_times(const struct top_head *head, const struct pool_view *view, char *text,
                       size_t size)
{
    const struct pool_row *total = &view->total;
    char wait50[POOL_TEXT_BYTES], wait99[POOL_TEXT_BYTES], run50[POOL_TEXT_BYTES],
        run99[POOL_TEXT_BYTES];
    pool_time_text(wait50, total->since.wait_p50_ns);
    pool_time_text(wait99, total->since.wait_p99_ns);
    pool_time_text(run50, total->since.run_p50_ns);
    pool_time_text(run99, total->since.run_p99_ns);
    int used = snprintf(text, size, "wait p50 %s p99 %s, run p50 %s p99 %s; every %.3g s", wait50,
                        wait99, run50, run99, head->interval_s);
    size_t at = used < 0 ? 0 : (size_t)used;
    if (total->now.workers_stuck != 0 && at < size) {
        (void)snprintf(text + at, size - at, "; %" PRIu64 " worker%s stuck",
                       total->now.workers_stuck, total->now.workers_stuck == 1 ? "" : "s");
    } else if (total->now.state == NUMAPOOL_PAGE_ASLEEP && at < size) {
        (void)snprintf(text + at, size - at, "; asleep");
    }
}

void top_view_head(const struct top_head *head, const struct page *page,
                   const struct pool_view *view, unsigned line, char *text, size_t size)
{
    const struct numapool_page_header *header = &page->header;
    const struct numapool_page_shard *total = &view->total.now;
    char up[POOL_TEXT_BYTES], used[POOL_TEXT_BYTES], bound[POOL_TEXT_BYTES], which[48] = "";
    switch (line) {
    case 0:
        pool_time_text(up, view->taken_ns > header->created_ns
                               ? (double)(view->taken_ns - header->created_ns)
                               : 0.0);
        if (head->pages > 1) {
            (void)snprintf(which, sizeof which, " (%zu of %zu)", head->page + 1, head->pages);
        }
        (void)snprintf(text, size, "%s  numapool top: %d %s, pool %s%s, up %s", head->clock,
                       (int)head->process->pid, head->process->command, header->pool_name, which,
                       up);
        return;
    case 1:
        pool_bytes_text(used, total->pool_bytes);
        pool_bytes_text(bound, header->memory_bytes);
        (void)snprintf(text, size,
                       "%s, %" PRIu64 " shard%s on %" PRIu64 " node%s, budget %" PRIu64 ", %" PRIu64
                       " threads, %s of %s in use",
                       pool_phase_name(view->phase), header->shard_count,
                       header->shard_count == 1 ? "" : "s", header->node_count,
                       header->node_count == 1 ? "" : "s", total->budget, total->workers, used,
                       bound);
        return;
    case 2:
        head_rates(view, text, size);
        return;
    case 3:
        head_times(head, view, text, size);
        return;
    default:
        text[0] = '\0';
    }
}
