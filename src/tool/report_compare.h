/*
 * Two runs beside each other: what both measured is judged, what only one has is named.
 */
#ifndef NPI_TOOL_REPORT_COMPARE_H
#define NPI_TOOL_REPORT_COMPARE_H

#include "tool/report_data.h"
#include "tool/report_stat.h"

#include <stdio.h>

struct report_row {
    const char *name;
    const char *key;
    bool to_baseline; /* the values are ratios to the baseline of the same round */
    struct report_change change;
    const char *remark; /* instead of the verdict's word, or NULL */
};

struct report_comparison {
    double least;            /* smallest difference that counts; 0.03 is 3 % */
    struct report_row *rows; /* what is slower first; in the newer run's memory */
    size_t row_count;
    size_t verdicts[REPORT_UNKNOWN + 1]; /* how many of each */
};

void report_compare(struct report_run *older, struct report_run *newer,
                    struct report_comparison *comparison);

/* The same table as text for a terminal and as part of a page. */
void report_compare_text(FILE *out, const struct report_comparison *comparison);
void report_compare_page(FILE *out, const struct report_comparison *comparison);

#endif
