/*
 * A latency histogram in nanoseconds: 32 buckets per power of two, so a reported value is at most
 * 1/32 above the true one. Adding is one relaxed atomic add, so that any number of threads may
 * share one; request.c keeps one per CPU, because there are too many threads for one each.
 */
#ifndef OVERLOAD_HISTOGRAM_H
#define OVERLOAD_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_BUCKETS ((65 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS)

struct histogram {
    _Atomic uint64_t count[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t max_ns;
};

/* A plain copy that can be read, merged and subtracted without hurry. */
struct histogram_view {
    uint64_t count[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t sum_ns;
    uint64_t max_ns;
};

void histogram_add(struct histogram *histogram, uint64_t value_ns);

/* Adds what the histogram holds to the view. */
void histogram_merge(struct histogram_view *view, const struct histogram *histogram);

/* Removes an earlier view from a later one; the maximum stays the later one's. */
void histogram_subtract(struct histogram_view *view, const struct histogram_view *earlier);

/* The smallest bucket edge that at least `share` of the values do not exceed, at most the maximum.
   0 for an empty view. */
uint64_t histogram_percentile_ns(const struct histogram_view *view, double share);

uint64_t histogram_mean_ns(const struct histogram_view *view);

#endif
