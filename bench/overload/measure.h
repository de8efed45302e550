/*
 * One contender, measured in this process from the first intended request to the last one's end.
 * main.c calls it in a process of its own, so that peak memory, CPU and threads are the
 * contender's.
 */
#ifndef OVERLOAD_MEASURE_H
#define OVERLOAD_MEASURE_H

#include "contender.h"
#include "options.h"
#include "result.h"

/* Fills the result in every case; figures.measured tells whether there are figures. */
void measure(const struct options *options, const struct contender *contender,
             struct result *result);

#endif
