/*
 * Which values of two runs are put beside each other, and the table of what came out.
 */
#include "tool/report_compare.h"

#include "tool/report_page.h"
#include "tool/report_unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *verdict_word(const struct report_row *row)
{
    bool speed = report_is_speed(row->key);
    switch (row->change.verdict) {
    case REPORT_SAME:
        return "no difference seen";
    case REPORT_BETTER:
        return speed ? "faster" : "better";
    case REPORT_WORSE:
        return speed ? "slower" : "worse";
    case REPORT_FEW:
        return "too few rounds to say";
    case REPORT_UNKNOWN:
        break;
    }
    return "not judged";
}

/* Also the order of the table. */
static const enum report_verdict order[] = {REPORT_WORSE, REPORT_BETTER, REPORT_FEW, REPORT_SAME,
                                            REPORT_UNKNOWN};
static const char *const verdict_class[] = {"same", "better", "worse", "few", "same"};

static struct report_row *add_row(struct report_run *run, struct report_comparison *c,
                                  const char *name, const char *key)
{
    struct report_row *row = report_append(run, &c->rows, &c->row_count, sizeof *c->rows);
    *row = (struct report_row){.name = name, .key = key, .change.verdict = REPORT_UNKNOWN};
    return row;
}

/* Others of the same question are compared by their ratio to a baseline, and this one has none: it is the
 * baseline, or something beside it, whose own change may be the machine's. */
static bool stands_beside(const struct report_run *run, const struct report_measurement *m,
                          const char *key)
{
    for (size_t i = 0; i < run->measurement_count; i++) {
        const struct report_measurement *other = run->measurements[i];
        if (strcmp(other->question, m->question) == 0 && report_beside(other, key) != NULL) {
            return true;
        }
    }
    return false;
}

static void compare_figure(struct report_run *run, struct report_comparison *c,
                           const struct report_measurement *older,
                           const struct report_measurement *newer, const char *key)
{
    const double *old_values = report_values(older, key);
    const double *new_values = report_values(newer, key);
    const double *old_beside = report_beside(older, key);
    const double *new_beside = report_beside(newer, key);
    struct report_row *row = add_row(run, c, newer->name, key);
    if (old_values == NULL || new_values == NULL) {
        row->remark = old_values == NULL ? "only in the newer run" : "only in the older run";
        return;
    }
    double old_ratios[REPORT_ROUNDS_MAX];
    double new_ratios[REPORT_ROUNDS_MAX];
    if (old_beside != NULL && new_beside != NULL) {
        report_divide(old_values, old_beside, older->round_count, old_ratios);
        report_divide(new_values, new_beside, newer->round_count, new_ratios);
        old_values = old_ratios;
        new_values = new_ratios;
        row->to_baseline = true;
    }
    row->change = report_judge(old_values, older->round_count, new_values, newer->round_count,
                               report_direction(key), c->least);
    if (!row->to_baseline && stands_beside(run, newer, key)) {
        row->change.verdict = REPORT_UNKNOWN;
        row->remark = "not judged: no baseline beside it";
    }
}

static void compare_measurement(struct report_run *run, struct report_comparison *c,
                                const struct report_measurement *older,
                                const struct report_measurement *newer)
{
    if (newer->round_count == 0 || older->round_count == 0) {
        const char *reason = newer->round_count == 0 ? newer->why_not : older->why_not;
        add_row(run, c, newer->name, "")->remark = reason != NULL ? reason : "not measured";
        return;
    }
    for (size_t i = 0; i < newer->figure_count; i++) {
        if (!report_is_beside(newer->figures[i].key)) {
            compare_figure(run, c, older, newer, newer->figures[i].key);
        }
    }
    for (size_t i = 0; i < older->figure_count; i++) {
        const char *key = older->figures[i].key;
        if (!report_is_beside(key) && report_values(newer, key) == NULL) {
            compare_figure(run, c, older, newer, key);
        }
    }
}

static void sort_rows(struct report_run *run, struct report_comparison *c)
{
    struct report_row *sorted = report_alloc(run, c->row_count * sizeof *sorted);
    size_t count = 0;
    for (size_t v = 0; v < sizeof order / sizeof *order; v++) {
        for (size_t i = 0; i < c->row_count; i++) {
            if (c->rows[i].change.verdict == order[v]) {
                sorted[count++] = c->rows[i];
            }
        }
    }
    c->rows = sorted;
}

void report_compare(struct report_run *older, struct report_run *newer, struct report_comparison *c)
{
    for (size_t i = 0; i < newer->measurement_count; i++) {
        const struct report_measurement *m = newer->measurements[i];
        const struct report_measurement *before = report_find(older, m->name);
        if (before == NULL) {
            add_row(newer, c, m->name, "")->remark = "only in the newer run";
        } else {
            compare_measurement(newer, c, before, m);
        }
    }
    for (size_t i = 0; i < older->measurement_count; i++) {
        const char *name = older->measurements[i]->name;
        if (report_find(newer, name) == NULL) {
            add_row(newer, c, name, "")->remark = "only in the older run";
        }
    }
    for (size_t i = 0; i < c->row_count; i++) {
        c->verdicts[c->rows[i].change.verdict]++;
    }
    sort_rows(newer, c);
}

struct cells {
    char old_median[REPORT_VALUE_BYTES + 16];
    char new_median[REPORT_VALUE_BYTES + 16];
    char change[32];
    char between[64];
};

static void write_median(char text[REPORT_VALUE_BYTES + 16], const struct report_row *row,
                         double median)
{
    char value[REPORT_VALUE_BYTES];
    report_format(value, row->to_baseline ? "" : row->key, median);
    (void)snprintf(text, REPORT_VALUE_BYTES + 16, "%s%s", row->to_baseline ? "× " : "", value);
}

static bool has_values(const struct report_row *row)
{
    return row->change.old_summary.count > 0 || row->change.new_summary.count > 0;
}

static void write_cells(const struct report_row *row, struct cells *cells)
{
    const struct report_change *change = &row->change;
    *cells = (struct cells){"", "", "", ""};
    if (!has_values(row)) {
        return;
    }
    write_median(cells->old_median, row, change->old_summary.median);
    write_median(cells->new_median, row, change->new_summary.median);
    if (!isnan(change->ratio)) {
        double percent = 100 * (change->ratio - 1);
        (void)snprintf(cells->change, sizeof cells->change, "%+.1f %%",
                       fabs(percent) < 0.05 ? 0 : percent);
    }
    if (!isnan(change->ratio_low)) {
        (void)snprintf(cells->between, sizeof cells->between, "%+.1f … %+.1f %%",
                       100 * (change->ratio_low - 1), 100 * (change->ratio_high - 1));
    }
}

static size_t letters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80; /* not a byte that continues a letter */
    }
    return count;
}

/* printf counts bytes, and µ has two. */
static void write_padded(FILE *out, const char *text, size_t width, bool right)
{
    size_t used = letters(text);
    int gap = used < width ? (int)(width - used) : 0;
    (void)fprintf(out, "%*s%s%*s  ", right ? gap : 0, "", text, right ? 0 : gap, "");
}

static void write_counts(FILE *out, const struct report_comparison *c)
{
    (void)fprintf(
        out,
        "%zu slower or worse, %zu faster or better, %zu without a difference that is seen, "
        "%zu with too few rounds, %zu not judged",
        c->verdicts[REPORT_WORSE], c->verdicts[REPORT_BETTER], c->verdicts[REPORT_SAME],
        c->verdicts[REPORT_FEW], c->verdicts[REPORT_UNKNOWN]);
}

void report_compare_text(FILE *out, const struct report_comparison *c)
{
    enum { FIGURE, OLD, NEW, CHANGE, BETWEEN };
    static const size_t widths[] = {16, 11, 11, 9, 19};
    size_t name_width = 9;
    for (size_t i = 0; i < c->row_count; i++) {
        size_t width = letters(c->rows[i].name);
        name_width = width > name_width ? width : name_width;
    }
    write_padded(out, "benchmark", name_width, false);
    write_padded(out, "figure", widths[FIGURE], false);
    write_padded(out, "older", widths[OLD], true);
    write_padded(out, "newer", widths[NEW], true);
    write_padded(out, "change", widths[CHANGE], true);
    write_padded(out, "99 % between", widths[BETWEEN], true);
    (void)fputs("verdict\n", out);
    for (size_t i = 0; i < c->row_count; i++) {
        const struct report_row *row = &c->rows[i];
        struct cells cells;
        write_cells(row, &cells);
        write_padded(out, row->name, name_width, false);
        write_padded(out, row->key, widths[FIGURE], false);
        write_padded(out, cells.old_median, widths[OLD], true);
        write_padded(out, cells.new_median, widths[NEW], true);
        write_padded(out, cells.change, widths[CHANGE], true);
        write_padded(out, cells.between, widths[BETWEEN], true);
        (void)fprintf(out, "%s\n", row->remark != NULL ? row->remark : verdict_word(row));
    }
    write_counts(out, c);
    (void)fputc('\n', out);
}

static void write_cell(FILE *out, const char *text)
{
    (void)fputs("<td class=\"number\">", out);
    report_html(out, text);
    (void)fputs("</td>", out);
}

static void write_row(FILE *out, const struct report_row *row)
{
    struct cells cells;
    char rounds[48] = "";
    write_cells(row, &cells);
    if (has_values(row)) {
        (void)snprintf(rounds, sizeof rounds, "%zu / %zu", row->change.old_summary.count,
                       row->change.new_summary.count);
    }
    (void)fputs("<tr><th scope=\"row\">", out);
    report_html(out, row->name);
    (void)fputs("</th><td>", out);
    report_html(out, row->key);
    (void)fputs("</td>", out);
    write_cell(out, rounds);
    write_cell(out, cells.old_median);
    write_cell(out, cells.new_median);
    write_cell(out, cells.change);
    write_cell(out, cells.between);
    (void)fprintf(out, "<td class=\"%s\">", verdict_class[row->change.verdict]);
    report_html(out, row->remark != NULL ? row->remark : verdict_word(row));
    (void)fputs("</td></tr>\n", out);
}

void report_compare_page(FILE *out, const struct report_comparison *c)
{
    (void)fputs("<section>\n<h2>Older and newer run</h2>\n<p class=\"lead\">", out);
    write_counts(out, c);
    (void)fprintf(
        out,
        ".</p>\n<p>A figure counts as different when the ratio of the two medians is off by "
        "at least %.3g %% and the interval beside it, which holds 99 %% of the ratios of "
        "medians of resampled rounds (bootstrap), does not contain 0. Fewer than %d rounds "
        "on a side are too few. The interval knows the noise between the rounds of a run, "
        "not what changed on the machine between two runs. Figures with × were measured "
        "with the baseline right beside them in the same rounds, and their ratio to it is "
        "what is compared: drift of the machine cancels out.</p>\n",
        100 * c->least, REPORT_ROUNDS_LEAST);
    (void)fputs(
        "<div class=\"wide\"><table>\n<caption>Medians over rounds, and what may be said of "
        "their difference</caption>\n<thead><tr>",
        out);
    static const char *const heads[] = {"Benchmark", "Figure", "Rounds",       "Older",
                                        "Newer",     "Change", "99 % between", "Verdict"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        (void)fprintf(out, "<th scope=\"col\">%s</th>", heads[i]);
    }
    (void)fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < c->row_count; i++) {
        write_row(out, &c->rows[i]);
    }
    (void)fputs("</tbody></table></div>\n</section>\n", out);
}
