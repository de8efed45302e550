/*
 * What the files that draw pictures share.
 */
#ifndef NPI_TOOL_REPORT_PICTURES_H
#define NPI_TOOL_REPORT_PICTURES_H

#include "tool/report_data.h"

#include <stdio.h>

/* Measurements whose names differ only in two of their parts. */
struct report_group {
    const char *name;
    struct report_measurement **members;
    size_t member_count;
};

/* Those of a question that were measured. Names are without two parts, which may be the same. */
size_t report_groups(struct report_run *run, const char *question, const char *key,
                     const char *other_key, struct report_group **groups);

/* <figure class="KIND"> with its caption; the caption is taken as it is. */
void report_begin_figure(FILE *out, const char *kind, const char *title, const char *caption);

void report_matrices(FILE *out, struct report_run *run, const char *question);

#endif
