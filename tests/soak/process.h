/* What this process holds, by /proc; and the slope of a row of readings. */
#ifndef TESTS_SOAK_PROCESS_H
#define TESTS_SOAK_PROCESS_H

#include <stddef.h>
#include <stdint.h>

struct process_holds {
    int threads, descriptors;
    uint64_t resident_bytes;
};

struct process_holds process_read(void);

/* Least squares: growth of y per unit of x. 0 for fewer than two points. */
double process_slope(const double *x, const double *y, size_t count);

#endif
