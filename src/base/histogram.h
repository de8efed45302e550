/*
 * A log-linear histogram: 32 buckets per doubling, so a value is known to 1/32, up to 2^42 (larger
 * ones count in the last bucket; the maximum is kept exactly). Its unit is its user's: times are
 * recorded in ticks, and only the few numbers that are read become nanoseconds.
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
    npi_a64 max;
    npi_a64 bucket[NPI_HISTOGRAM_BUCKETS];
};

/* A sum of histograms, private to its reader. */
struct npi_histogram_sum {
    uint64_t count;
    uint64_t max;
    uint64_t bucket[NPI_HISTOGRAM_BUCKETS];
};

static inline size_t npi_histogram_index(uint64_t value)
{
    /* The bit below the first doubling, so that small values need no branch; xor is one instruction,
       unlike a subtraction. */
    unsigned top = 63u ^ (unsigned)__builtin_clzll(value | NPI_HISTOGRAM_SUBS);
    if (top >= NPI_HISTOGRAM_TOP_BIT) {
        return NPI_HISTOGRAM_BUCKETS - 1;
    }
    unsigned shift = top - NPI_HISTOGRAM_SUB_BITS;
    return (size_t)shift * NPI_HISTOGRAM_SUBS + (size_t)(value >> shift);
}

/* The largest value that falls into a bucket. */
uint64_t npi_histogram_upper(size_t index);

/* By its only writer: no read-modify-write. */
static inline void npi_histogram_record(struct npi_histogram *h, uint64_t value)
{
    npi_a64 *bucket = &h->bucket[npi_histogram_index(value)];
    npi_a64_store_relaxed(bucket, npi_a64_load_relaxed(bucket) + 1);
    if (value > npi_a64_load_relaxed(&h->max)) {
        npi_a64_store_relaxed(&h->max, value);
    }
}

/* By any number of writers. */
void npi_histogram_record_shared(struct npi_histogram *h, uint64_t value);

/* Adds a histogram to a sum; it may be written meanwhile. */
void npi_histogram_add(struct npi_histogram_sum *sum, const struct npi_histogram *h);

/* Smallest bucket bound that permille of the values do not exceed; 0 when empty. */
uint64_t npi_histogram_quantile(const struct npi_histogram_sum *sum, unsigned permille);

#endif
