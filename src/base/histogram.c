/* The parts of the histogram that are not on a task's path. */
#include "base/histogram.h"

uint64_t npi_histogram_upper_ns(size_t index)
{
    if (index < NPI_HISTOGRAM_SUBS) {
        return index;
    }
    unsigned shift = (unsigned)(index / NPI_HISTOGRAM_SUBS) - 1;
    uint64_t sub = index % NPI_HISTOGRAM_SUBS + NPI_HISTOGRAM_SUBS;
    return ((sub + 1) << shift) - 1;
}

void npi_histogram_record_shared(struct npi_histogram *h, uint64_t ns)
{
    (void)npi_a64_add_relaxed(&h->bucket[npi_histogram_index(ns)], 1);
    uint64_t max = npi_a64_load_relaxed(&h->max_ns);
    while (ns > max && !npi_a64_cas_relaxed(&h->max_ns, &max, ns)) {
    }
}

void npi_histogram_add(struct npi_histogram_sum *sum, const struct npi_histogram *h)
{
    for (size_t i = 0; i < NPI_HISTOGRAM_BUCKETS; i++) {
        uint64_t n = npi_a64_load_relaxed(&h->bucket[i]);
        sum->bucket[i] += n;
        sum->count += n;
    }
    uint64_t max = npi_a64_load_relaxed(&h->max_ns);
    if (max > sum->max_ns) {
        sum->max_ns = max;
    }
}

uint64_t npi_histogram_quantile_ns(const struct npi_histogram_sum *sum, unsigned permille)
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
            uint64_t bound = npi_histogram_upper_ns(i);
            return bound < sum->max_ns ? bound : sum->max_ns;
        }
    }
    return sum->max_ns;
}
