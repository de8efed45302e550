/*
 * What stands on the screen of `numapool top`, as text: which columns fit, in which order the shards
 * come, how a bar is filled. Knows no terminal; top_draw.c puts it there.
 */
#ifndef NPI_TOOL_TOP_VIEW_H
#define NPI_TOOL_TOP_VIEW_H

#include "tool/pool_view.h"

enum top_sort {
    TOP_SORT_SHARD,
    TOP_SORT_QUEUE,
    TOP_SORT_RUN,
    TOP_SORT_DONE,
    TOP_SORT_REFUSED,
    TOP_SORT_WAIT,
    TOP_SORTS,
};

const char *top_sort_name(enum top_sort sort);

/* Fills order[0..count-1] with the rows' indexes. Numbers: the largest first; shards: the smallest. */
void top_view_order(const struct pool_view *view, enum top_sort sort, bool reverse, size_t *order);

enum top_column {
    TOP_SHARD,
    TOP_NODE,
    TOP_QUEUE, /* a bar: waiting tasks of the bound on them */
    TOP_RUN,   /* a bar: workers that run of those that may */
    TOP_PARKED,
    TOP_BLOCKED,
    TOP_DONE,
    TOP_REFUSED,
    TOP_FORWARDED,
    TOP_STOLEN,
    TOP_WAIT_P50,
    TOP_WAIT_P99,
    TOP_RUN_P50,
    TOP_RUN_P99,
    TOP_COLUMNS,
};

/* The columns that are shown, from left to right. Only TOP_SHARD is always there. */
struct top_layout {
    unsigned count;
    struct {
        enum top_column column;
        unsigned x, width;
    } at[TOP_COLUMNS];
};

void top_view_lay_out(struct top_layout *layout, unsigned width);

/* A line is cut to the size of its buffer. */
void top_view_titles(const struct top_layout *layout, char *line, size_t size);
void top_view_row(const struct top_layout *layout, const struct pool_row *row, const char *name,
                  char *line, size_t size);

/* How full a bar is, 0 to 1; negative: the column is none. */
double top_view_fill(enum top_column column, const struct pool_row *row);

/* Line 0 to TOP_HEAD_LINES - 1 of what stands above the table. */
#define TOP_HEAD_LINES 4
struct top_head {
    const struct page_process *process;
    size_t page, pages; /* which of its pools */
    double interval_s;
    const char *clock; /* the time of day */
};
void top_view_head(const struct top_head *head, const struct page *page,
                   const struct pool_view *view, unsigned line, char *text, size_t size);

/* What the help says, a line each, ends with NULL. */
extern const char *const top_help[];

#endif
