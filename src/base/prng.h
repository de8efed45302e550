/*
 * Seeded pseudo-random numbers: one word of state, the splitmix64 mixing function.
 *
 * Used where a choice must be spread (two candidates of many, jitter of a retry hint) and by
 * simulators and tests, where the same seed must give the same run. Not for secrets.
 */
#ifndef NPI_BASE_PRNG_H
#define NPI_BASE_PRNG_H

#include <stdint.h>

struct npi_prng {
    uint64_t state;
};

static inline void npi_prng_seed(struct npi_prng *prng, uint64_t seed)
{
    prng->state = seed;
}

static inline uint64_t npi_prng_next(struct npi_prng *prng)
{
    uint64_t z = (prng->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Reduce 32 random bits to [0, bound) by multiplication; the bias is below bound / 2^32. bound 0
 * gives 0. */
static inline uint32_t npi_prng_reduce(uint32_t random, uint32_t bound)
{
    return (uint32_t)(((uint64_t)random * bound) >> 32);
}

static inline uint32_t npi_prng_below(struct npi_prng *prng, uint32_t bound)
{
    return npi_prng_reduce((uint32_t)(npi_prng_next(prng) >> 32), bound);
}

/* In [0, 1), 53 bits. */
static inline double npi_prng_unit(struct npi_prng *prng)
{
    return (double)(npi_prng_next(prng) >> 11) * 0x1.0p-53;
}

#endif
