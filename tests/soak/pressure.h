/*
 * What the overload test measures: how long accepted tasks waited, how long refusals took their
 * submitter, and what the process and the pool held meanwhile.
 */
#ifndef TESTS_SOAK_PRESSURE_H
#define TESTS_SOAK_PRESSURE_H

#include <stdatomic.h>
#include <stdint.h>

/* Durations in 1/16 octaves: a quantile is at most 1/16 above the true one. */
#define SPREAD_CELLS 1024

struct spread {
    _Atomic uint64_t cell[SPREAD_CELLS];
    _Atomic uint64_t count, most_ns;
};

void spread_clear(struct spread *spread);
void spread_add(struct spread *spread, uint64_t ns); /* from any thread */
uint64_t spread_quantile_ns(const struct spread *spread, double quantile);

/* What two readings of the clock cost by themselves, to be taken off. */
uint64_t spread_clock_cost_ns(void);

#endif
