/*
 * Bucket arithmetic of the latency histogram. Values below 64 have a bucket of their own; above,
 * the five bits after the leading one choose the bucket within its power of two.
 */
#include "histogram.h"

#include <math.h>

#define SUB (1u << HISTOGRAM_SUB_BITS)

static unsigned bucket_of(uint64_t value_ns)
{
    if (value_ns < SUB)
        return (unsigned)value_ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value_ns) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value_ns >> shift);
}

/* The largest value that falls into the bucket. */
static uint64_t upper_edge_ns(unsigned bucket)
{
    if (bucket < 2 * SUB)
        return bucket;
    unsigned shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t mantissa = (bucket & (SUB - 1)) | SUB;
    return ((mantissa + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value_ns)
{
    /* Relaxed throughout: the reader wants totals, and reads them exactly after the writers' end.
     */
    atomic_fetch_add_explicit(&histogram->count[bucket_of(value_ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_ns, value_ns, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);
    while (value_ns > max &&
           !atomic_compare_exchange_weak_explicit(&histogram->max_ns, &max, value_ns,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void histogram_merge(struct histogram_view *view, const struct histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = atomic_load_explicit(&histogram->count[i], memory_order_relaxed);
        view->count[i] += count;
        view->total += count;
    }
    view->sum_ns += atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
    uint64_t max_ns = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);
    if (max_ns > view->max_ns)
        view->max_ns = max_ns;
}

void histogram_subtract(struct histogram_view *view, const struct histogram_view *earlier)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        view->count[i] -= earlier->count[i];
    view->total -= earlier->total;
    view->sum_ns -= earlier->sum_ns;
}

uint64_t histogram_percentile_ns(const struct histogram_view *view, double share)
{
    uint64_t rank = (uint64_t)ceil(share * (double)view->total);
    uint64_t seen = 0;

    if (view->total == 0)
        return 0;
    if (rank == 0)
        rank = 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += view->count[i];
        if (seen >= rank) {
            uint64_t edge_ns = upper_edge_ns(i);
            return edge_ns < view->max_ns ? edge_ns : view->max_ns;
        }
    }
    return view->max_ns;
}

uint64_t histogram_mean_ns(const struct histogram_view *view)
{
    return view->total == 0 ? 0 : view->sum_ns / view->total;
}
