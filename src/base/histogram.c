/* The parts of the histogram that are not on a task's path. */
#include "base/histogram.h"

uint64_t npi_histogram_upper(size_t index)
{
    if (index < NPI_HISTOGRAM_SUBS) {
        return index;
    }
    unsigned shift = (unsigned)(index / NPI_HISTOGRAM_SUBS) - 1;
    uint64_t sub = index % NPI_HISTOGRAM_SUBS + NPI_HISTOGRAM_SUBS;
    return ((sub + 1) << shift) - 1;
}

void npi_histogram_record_shared(struct npi_histogram *h, uint64_t value)
{
    (void)npi_a64_add_relaxed(&h->bucket[npi_histogram_index(value)], 1);
    uint64_t max = npi_a64_load_relaxed(&h->max);
    while (value > max && !npi_a64_cas_relaxed(&h->max, &max, value)) {
    }
}

void npi_histogram_add(struct npi_histogram_sum *sum, const struct npi_histogram *h)
{
    for (size_t i = 0; i < NPI_HISTOGRAM_BUCKETS; i++) {
        uint64_t n = npi_a64_load_relaxed(&h->bucket[i]);
        sum->bucket[i] += n;
        sum->count += n;
    }
    uint64_t max = npi_a64_load_relaxed(&h->max);
    if (max > sum->max) {
        sum->max = max;
    }
}

uint64_t npi_histogram_quantile(const struct npi_histogram_sum *sum, unsigned permille)
{
    if (sum->count == 0) {
        return 0;
    }
    /* The rank is rounded up: of 10 values the 99th percentile is the tenth. */
    uint64_t rank = (sum->count * permille + 999) / 1000;
    uint64_t seen = 0;
    for (size_t i = 0; i < NPI_HISTOGRAM_BUCKETS; i++) {
        seen += sum->bucket[i];
        if (seen >= rank && seen > 0) {
            uint64_t bound = npi_histogram_upper(i);
            return bound < sum->max ? bound : sum->max;
        }
    }
    return sum->max;
}
