/*
 * What was measured from each node to each other, as one matrix a figure.
 */
#include "tool/report_page.h"
#include "tool/report_pictures.h"
#include "tool/report_unit.h"

#include <math.h>
#include <string.h>

enum { NODES_MAX = 64 };

/* The name of a row or column: the part's value. Returns how many there are. */
static size_t matrix_names(const struct report_group *group, const char *part,
                           const char *names[NODES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < group->member_count; i++) {
        const char *name = report_part(group->members[i], part);
        size_t at = 0;
        while (name != NULL && at < count && strcmp(names[at], name) != 0) {
            at++;
        }
        if (name != NULL && at == count && count < NODES_MAX) {
            names[count++] = name;
        }
    }
    return count;
}

static double matrix_value(const struct report_group *group, const char *from, const char *to,
                           const char *key)
{
    for (size_t i = 0; i < group->member_count; i++) {
        const struct report_measurement *m = group->members[i];
        const char *row = report_part(m, "from");
        const char *column = report_part(m, "to");
        const double *values = report_values(m, key);
        if (row != NULL && column != NULL && values != NULL && strcmp(row, from) == 0 &&
            strcmp(column, to) == 0) {
            return report_summarize(values, m->round_count).median;
        }
    }
    return NAN;
}

/* A table with a shade per cell rather than an image: it can be read aloud, copied and printed, and
 * needs no program. */
static void draw_matrix(FILE *out, struct report_run *run, const struct report_group *group,
                        const char *key)
{
    const char *rows[NODES_MAX];
    const char *columns[NODES_MAX];
    size_t row_count = matrix_names(group, "from", rows);
    size_t column_count = matrix_names(group, "to", columns);
    double low = INFINITY;
    double high = -INFINITY;
    for (size_t i = 0; i < row_count * column_count; i++) {
        double value = matrix_value(group, rows[i / column_count], columns[i % column_count], key);
        low = fmin(low, value);
        high = fmax(high, value);
    }
    if (row_count * column_count < 2) {
        return;
    }
    enum report_direction direction = report_direction(key);
    const char *title = report_print(run, "%s: %s", group->name, key);
    report_begin_figure(out, "matrix", title,
                        direction == REPORT_MORE_IS_BETTER ? "More is better, and has more colour."
                        : direction == REPORT_LESS_IS_BETTER
                            ? "Less is better; more has more colour."
                            : "More has more colour.");
    (void)fputs("<table class=\"heat\">\n<caption>From the row's node to the column's", out);
    (void)fputs("</caption>\n<thead><tr><td></td>", out);
    for (size_t c = 0; c < column_count; c++) {
        (void)fputs("<th scope=\"col\">to ", out);
        report_html(out, columns[c]);
        (void)fputs("</th>", out);
    }
    (void)fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t r = 0; r < row_count; r++) {
        (void)fputs("<tr><th scope=\"row\">from ", out);
        report_html(out, rows[r]);
        (void)fputs("</th>", out);
        for (size_t c = 0; c < column_count; c++) {
            char text[REPORT_VALUE_BYTES];
            double value = matrix_value(group, rows[r], columns[c], key);
            double share = high > low && !isnan(value) ? (value - low) / (high - low) : 0;
            report_format(text, key, value);
            (void)fprintf(out, "<td style=\"--shade:%.2f\">%s</td>", 0.05 + 0.55 * share, text);
        }
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</tbody></table></figure>\n", out);
}

void report_matrices(FILE *out, struct report_run *run, const char *question)
{
    struct report_group *groups;
    size_t count = report_groups(run, question, "from", "to", &groups);
    for (size_t g = 0; g < count; g++) {
        const struct report_measurement *first = groups[g].members[0];
        for (size_t i = 0; i < first->figure_count; i++) {
            if (!report_is_beside(first->figures[i].key)) {
                draw_matrix(out, run, &groups[g], first->figures[i].key);
            }
        }
    }
}
