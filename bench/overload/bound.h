/*
 * What a request costs a CPU when nothing but itself is paid for: threads that each own their
 * memory touch it, sleep, and touch it again, with no pool, queue, clock or count between. CPUs
 * divided by that cost is a rate that no pool can pass on this computer.
 */
#ifndef OVERLOAD_BOUND_H
#define OVERLOAD_BOUND_H

#include "options.h"
#include "result.h"

/* Fills completed, elapsed_ns and cpu_ns of the figures, and measured. In a process of its own. */
void bound_measure(const struct options *options, struct result *result);

#endif
