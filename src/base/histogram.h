/*
 * A log-linear histogram of times in nanoseconds: 32 buckets per doubling, so a value is known to
 * 1/32, from 1 ns to 73 minutes (larger ones count in the last bucket; the maximum is kept exactly).
 * Merging is adding. Two ways to record: by the one owner (plain stores other threads may read), or
 * by several threads at once.
 */
#ifndef NPI_BASE_HISTOGRAM_H
#define NPI_BASE_HISTOGRAM_H

#include "base/atomic.h"

#include <stddef.h>

#define NPI_HISTOGRAM_SUB_BITS 5
#define NPI_HISTOGRAM_SUBS (1u << NPI_HISTOGRAM_SUB_BITS)
#define NPI_HISTOGRAM_TOP_BIT 42
#define NPI_HISTOGRAM_BUCKETS                                                                      \
    ((size_t)(NPI_HISTOGRAM_TOP_BIT - NPI_HISTOGRAM_SUB_BITS + 1) * NPI_HISTOGRAM_SUBS)

struct npi_histogram {
    npi_a64 max_ns;
    npi_a64 bucket[NPI_HISTOGRAM_BUCKETS];
};

/* A sum of histograms, private to its reader. */
struct npi_histogram_sum {
    uint64_t count;
    uint64_t max_ns;
    uint64_t bucket[NPI_HISTOGRAM_BUCKETS];
};

static inline size_t npi_histogram_index(uint64_t ns)
{
    if (ns < NPI_HISTOGRAM_SUBS) {
        return (size_t)ns;
    }
    unsigned top = 63u - (unsigned)__builtin_clzll(ns);
    if (top >= NPI_HISTOGRAM_TOP_BIT) {
        return NPI_HISTOGRAM_BUCKETS - 1;
    }
    unsigned shift = top - NPI_HISTOGRAM_SUB_BITS;
    return (size_t)(shift + 1) * NPI_HISTOGRAM_SUBS + (size_t)((ns >> shift) - NPI_HISTOGRAM_SUBS);
}

/* The largest value that falls into a bucket. */
uint64_t npi_histogram_upper_ns(size_t index);

/* By its only writer: no read-modify-write. */
static inline void npi_histogram_record(struct npi_histogram *h, uint64_t ns)
{
    npi_a64 *bucket = &h->bucket[npi_histogram_index(ns)];
    npi_a64_store_relaxed(bucket, npi_a64_load_relaxed(bucket) + 1);
    if (ns > npi_a64_load_relaxed(&h->max_ns)) {
        npi_a64_store_relaxed(&h->max_ns, ns);
    }
}

/* By any number of writers. */
void npi_histogram_record_shared(struct npi_histogram *h, uint64_t ns);

/* Adds a histogram to a sum; it may be written meanwhile. */
void npi_histogram_add(struct npi_histogram_sum *sum, const struct npi_histogram *h);

/* Smallest bucket bound that permille of the values do not exceed; 0 when empty. */
uint64_t npi_histogram_quantile_ns(const struct npi_histogram_sum *sum, unsigned permille);

#endif
