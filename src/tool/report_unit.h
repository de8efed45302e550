/*
 * What a figure's key says about its value: units are the end of the key (p99_ns, tasks_per_s).
 */
#ifndef NPI_TOOL_REPORT_UNIT_H
#define NPI_TOOL_REPORT_UNIT_H

#include "tool/report_stat.h"

#include <stdbool.h>
#include <stddef.h>

enum { REPORT_VALUE_BYTES = 40 };

enum report_direction report_direction(const char *key);
bool report_is_speed(const char *key); /* a time or a rate, which is faster or slower */

/* "12.3 µs", "1.25 M/s"; "–" for NAN. */
void report_format(char text[REPORT_VALUE_BYTES], const char *key, double value);

/* The q of a percentile key: 0.99 for "p99_ns", 0.999 for "task_p999_us", with what stands before it and
 * the value's factor to seconds. False for other keys. */
bool report_percentile(const char *key, double *q, size_t *prefix_bytes, double *seconds);

#endif
