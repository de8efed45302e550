/*
 * The program gnuplot, run once per picture.
 */
#ifndef NPI_TOOL_REPORT_GNUPLOT_H
#define NPI_TOOL_REPORT_GNUPLOT_H

#include <stdbool.h>

bool report_gnuplot_there(void);

/* What it writes for a script; the caller frees it. NULL if it cannot be run, fails or is not heard of
 * for ten seconds. */
char *report_gnuplot(const char *script);

#endif
