/*
 * Smoothed means, without libm.
 *
 * Two forms: one for values sampled at uneven intervals (rates, read by the balancer's tick) and
 * one in integers for values met one by one on a hot path (gaps between tasks, spin results). Not a
 * filter bank and not thread-safe: each mean has one owner.
 */
#ifndef NPI_BASE_EWMA_H
#define NPI_BASE_EWMA_H

#include <stdint.h>

/*
 * Weight of a sample that covers `elapsed_ns`, for a mean with time constant `tau_ns`.
 * 1/(1 + x + x^2/2) stands for exp(-x): off by 0.5 % of the weight at x = 0.2 (tick 10 ms,
 * constant 50 ms), and unlike a truncated series it stays within (0, 1] for any x, so a late tick
 * can never overshoot.
 */
static inline double npi_ewma_weight(double elapsed_ns, double tau_ns)
{
    if (!(elapsed_ns > 0.0))
        return 0.0;
    if (!(tau_ns > 0.0))
        return 1.0;
    double x = elapsed_ns / tau_ns;
    if (x > 1e6)
        return 1.0;
    return 1.0 - 1.0 / (1.0 + x + x * x * 0.5);
}

static inline double npi_ewma_mix(double mean, double weight, double sample)
{
    return mean + weight * (sample - mean);
}

/* Integer form: the new sample weighs 2^-shift. Rounds toward the sample, so a constant input is
 * reached exactly. */
static inline uint64_t npi_ewma_shift(uint64_t mean, uint64_t sample, unsigned shift)
{
    uint64_t half = (UINT64_C(1) << shift) - 1;
    if (sample >= mean)
        return mean + ((sample - mean + half) >> shift);
    return mean - ((mean - sample + half) >> shift);
}

#endif
