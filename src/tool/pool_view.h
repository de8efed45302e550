/*
 * What `numapool stat` and `numapool top` show of a pool: the numbers of a sample, and what happened
 * between it and the one before. Pure: two samples in, rows out.
 */
#ifndef NPI_TOOL_POOL_VIEW_H
#define NPI_TOOL_POOL_VIEW_H

#include "tool/page_reader.h"

/* Every counter of NUMAPOOL_STATS_FIELDS, per second; gauges stay 0. */
#define POOL_VIEW_MEMBER(name, kind, text) double name;
struct pool_rates {
    NUMAPOOL_STATS_FIELDS(POOL_VIEW_MEMBER)
};

/* The second argument of NUMAPOOL_STATS_FIELDS as a condition. */
#define POOL_IS_counter 1
#define POOL_IS_gauge 0

/* Of counts or rates: tasks refused for whatever reason. */
#define POOL_REFUSED(of)                                                                           \
    ((of)->refused_full + (of)->refused_shed + (of)->refused_deadline + (of)->refused_bytes +      \
     (of)->refused_other)

/* Of the tasks that have run in between, an eighth above the true ones at most; negative: there were
   none. */
struct pool_times {
    double wait_p50_ns, wait_p99_ns, run_p50_ns, run_p99_ns;
};

struct pool_row {
    struct numapool_page_shard now;
    struct numapool_page_times times;  /* since the pool was made */
    struct numapool_page_times recent; /* between the two samples */
    uint64_t when_ns;                  /* `now` was true then */
    double age_s;   /* how long ago that was; 0 when the shard sleeps: nothing has changed */
    double seconds; /* what the rates are over; 0 = there was no earlier sample */
    struct pool_rates rates;
    struct pool_times since; /* of `recent`; in the first sample, of `times` */
    bool stale;              /* it should have been published again by now */
};

struct pool_view {
    enum numapool_page_phase phase;
    uint64_t taken_ns;
    size_t count;
    struct pool_row *rows; /* one per shard */
    struct pool_row total;
};

/* False: no memory, and nothing has changed. Begin with zeros; all samples are of one page. One of as many shards
   as no sample before it is a first sample again. */
bool pool_view_update(struct pool_view *view, const struct page *page,
                      const struct page_sample *sample);
void pool_view_fini(struct pool_view *view);

/* "open", "draining", "closed". */
const char *pool_phase_name(enum numapool_page_phase phase);

/* Numbers in five characters: "17", "99.9k", "1.2M"; times: "0", "850ns", "12us", "1.2ms", "3m20s".
   Negative: "-". */
#define POOL_TEXT_BYTES 16
void pool_count_text(char text[POOL_TEXT_BYTES], double value);
void pool_time_text(char text[POOL_TEXT_BYTES], double ns);
void pool_bytes_text(char text[POOL_TEXT_BYTES], uint64_t bytes);

#endif
