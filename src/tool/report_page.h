/*
 * The page as HTML in one file: nothing in it is fetched from elsewhere, and text from files is text.
 */
#ifndef NPI_TOOL_REPORT_PAGE_H
#define NPI_TOOL_REPORT_PAGE_H

#include "tool/report_compare.h"
#include "tool/report_data.h"

#include <stdio.h>

struct report_page {
    struct report_run *run;
    const struct report_run *older;             /* NULL when one run is shown by itself */
    const struct report_comparison *comparison; /* with it */
};

void report_page(FILE *out, const struct report_page *page);

/* Every picture there are figures for; without gnuplot only those that are tables. */
void report_pictures(FILE *out, struct report_run *run, bool gnuplot);

/* Text that cannot be taken for markup, also inside a quoted attribute. */
void report_html(FILE *out, const char *text);

#endif
