/*
 * A picture as a script for gnuplot, and what it draws made fit for a page. Marks of the axes and their
 * texts are chosen here, since gnuplot's cannot say "20 µs". Text from files is let into the script only
 * without the characters that mean something to gnuplot.
 */
#include "tool/report_plot.h"

#include "tool/report_gnuplot.h"
#include "tool/report_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More points of a line than the picture has dots would only make the page longer. */
enum { POINTS_MAX = 800, MARKS_MAX = 40 };

/* Okabe and Ito's, without yellow, which cannot be seen on white, and in the order of contrast. */
static const char *const colours[] = {"#D55E00", "#0072B2", "#009E73", "#CC79A7",
                                      "#56B4E9", "#E69F00", "#7F7F7F"};
enum { OTHER_COLOURS = sizeof colours / sizeof *colours - 1 };

struct range {
    double low;
    double high;
};

static bool shown(const struct plot_axis *axis, double value)
{
    /* What is beyond would take the ends of the axis out of what a double can hold. */
    return fabs(value) < 1e300 && (!axis->log || value > 1e-300);
}

static bool point_shown(const struct plot *plot, const struct plot_line *line, size_t i)
{
    return shown(&plot->x, line->x[i]) && shown(&plot->y, line->y[i]);
}

bool report_plot_any(const struct plot *plot)
{
    for (size_t l = 0; l < plot->line_count; l++) {
        for (size_t i = 0; i < plot->lines[l].count; i++) {
            if (point_shown(plot, &plot->lines[l], i)) {
                return true;
            }
        }
    }
    return false;
}

static void widen(struct range *range, const struct plot_axis *axis, const double *values, size_t i)
{
    if (values != NULL && shown(axis, values[i])) {
        range->low = fmin(range->low, values[i]);
        range->high = fmax(range->high, values[i]);
    }
}

/* Never empty, which gnuplot would complain of. */
static struct range range_of(const struct plot *plot, const struct plot_axis *axis)
{
    struct range range = {INFINITY, -INFINITY};
    for (size_t l = 0; l < plot->line_count; l++) {
        const struct plot_line *line = &plot->lines[l];
        for (size_t i = 0; i < line->count; i++) {
            if (point_shown(plot, line, i)) {
                widen(&range, axis, axis == &plot->x ? line->x : line->y, i);
                widen(&range, axis, axis == &plot->x ? NULL : line->low, i);
                widen(&range, axis, axis == &plot->x ? NULL : line->high, i);
            }
        }
    }
    if (axis->log) {
        double margin = axis == &plot->x ? 1.1 : 1.4;
        return (struct range){range.low / margin, range.high * margin};
    }
    double low = axis->from_zero ? fmin(0, range.low) : range.low;
    double margin = axis->from_zero && axis == &plot->x ? 0 : 0.06 * (range.high - low);
    if (!(range.high > low)) {
        margin = low != 0 ? fabs(low) / 2 : 1;
    }
    return (struct range){axis->from_zero ? low : low - margin, range.high + margin};
}

static size_t add_mark(struct plot_mark *marks, size_t count, const char *key, double at)
{
    if (count < MARKS_MAX) {
        marks[count].at = at;
        report_format(marks[count].text, key, at);
        count++;
    }
    return count;
}

static size_t choose_marks(const struct plot_axis *axis, bool bottom, struct range range,
                           struct plot_mark marks[MARKS_MAX])
{
    size_t count = 0;
    double span = range.high - range.low;
    if (axis->log) {
        int first = (int)floor(log10(range.low));
        int last = (int)log10(range.high);
        int decades = last - first;
        /* Powers of ten alone, or with twos and fives between, or only each so many. */
        bool alone = decades > (bottom ? 2 : 4);
        for (int e = first; e <= last; e += 1 + decades / 12) {
            for (int i = 0; i < (alone ? 1 : 3); i++) {
                double at = pow(10, e) * (i == 0 ? 1 : i == 1 ? 2 : 5);
                if (at >= range.low && at <= range.high) {
                    count = add_mark(marks, count, axis->key, at);
                }
            }
        }
        return count;
    }
    /* Five to ten marks up the side; texts along the bottom need more room. */
    double most = bottom ? 6 : 10;
    double step = pow(10, floor(log10(span / most)));
    step *= span / step > 5 * most ? 10 : span / step > 2 * most ? 5 : span / step > most ? 2 : 1;
    double first = ceil(range.low / step);
    for (int i = 0; i < MARKS_MAX && (first + i) * step <= range.high; i++) {
        count = add_mark(marks, count, axis->key, (first + i) * step + 0.0); /* no -0 */
    }
    return count;
}

/* In single quotes gnuplot expands nothing; what could end them, or a line, or mean something elsewhere,
 * becomes a line below. */
static void write_text(FILE *script, const char *text)
{
    (void)fputc('\'', script);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = c >= 0x20 && c != 0x7f && strchr("'\"`\\@$<>&{}", c) == NULL;
        (void)fputc(plain ? c : '_', script);
    }
    (void)fputc('\'', script);
}

static void write_axis(FILE *script, const struct plot *plot, const struct plot_axis *axis)
{
    char name = axis == &plot->x ? 'x' : 'y';
    struct range range = range_of(plot, axis);
    struct plot_mark chosen[MARKS_MAX];
    const struct plot_mark *marks = axis->marks;
    size_t count = axis->mark_count;
    if (count == 0) {
        count = choose_marks(axis, name == 'x', range, chosen);
        marks = chosen;
    }
    if (axis->log) {
        (void)fprintf(script, "set logscale %c\n", name);
    }
    (void)fprintf(script, "set %crange [%.17g:%.17g]\nset %clabel ", name, range.low, range.high,
                  name);
    write_text(script, axis->label);
    (void)fprintf(script, "\nset %ctics nomirror (", name);
    for (size_t i = 0; i < count; i++) {
        /* A mark's text is a format to gnuplot, for one number. */
        const char *percent = strchr(marks[i].text, '%');
        (void)fprintf(script, "%s'%.*s%s' %.17g", i > 0 ? ", " : "",
                      (int)strcspn(marks[i].text, "%"), marks[i].text, percent != NULL ? "%%" : "",
                      marks[i].at);
    }
    (void)fputs(")\n", script);
}

static void write_points(FILE *script, const struct plot *plot, const struct plot_line *line,
                         size_t number)
{
    size_t step = line->count / POINTS_MAX + 1;
    (void)fprintf(script, "$d%zu << END_OF_DATA\n", number);
    for (size_t i = 0; i < line->count; i += step) {
        if (point_shown(plot, line, i)) {
            bool bar = line->low != NULL && shown(&plot->y, line->low[i]) &&
                       shown(&plot->y, line->high[i]);
            (void)fprintf(script, "%.17g %.17g %.17g %.17g\n", line->x[i], line->y[i],
                          bar ? line->low[i] : line->y[i], bar ? line->high[i] : line->y[i]);
        }
    }
    (void)fputs("END_OF_DATA\n", script);
}

static bool line_shown(const struct plot *plot, const struct plot_line *line)
{
    for (size_t i = 0; i < line->count; i++) {
        if (point_shown(plot, line, i)) {
            return true;
        }
    }
    return false;
}

static void write_script(FILE *script, const struct plot *plot)
{
    (void)fputs("set encoding utf8\n"
                "set terminal svg size 760,400 dynamic noenhanced font 'sans-serif,13'\n"
                "set key outside right top Left reverse\n"
                "set border 3\nset grid\n",
                script);
    write_axis(script, plot, &plot->x);
    write_axis(script, plot, &plot->y);
    for (size_t i = 0; i < plot->line_count; i++) {
        if (line_shown(plot, &plot->lines[i])) {
            write_points(script, plot, &plot->lines[i], i);
        }
    }
    const char *before = "plot ";
    for (size_t i = 0; i < plot->line_count; i++) {
        const struct plot_line *line = &plot->lines[i];
        if (!line_shown(plot, line)) {
            continue;
        }
        bool guide = line->colour == REPORT_COLOUR_GUIDE;
        /* When colours come round again, dashes and hollow shapes tell lines apart. */
        bool again = line->colour > OTHER_COLOURS;
        unsigned shade = line->colour == 0 ? 0 : 1 + (line->colour - 1) % OTHER_COLOURS;
        (void)fprintf(script, "%s$d%zu using 1:2%s with %s lc rgb '%s' lw %s dt %d", before, i,
                      line->low != NULL ? ":3:4" : "",
                      line->low != NULL ? "yerrorlines"
                      : line->points    ? "linespoints"
                                        : "lines",
                      guide ? "#7F7F7F" : colours[shade], line->strong ? "3.5" : "1.7",
                      guide                   ? 3
                      : again || line->dashed ? 2
                                              : 1);
        if (line->points) {
            static const int filled[] = {7, 5, 9, 11, 13, 15, 7};
            (void)fprintf(script, " pt %d ps %s", filled[shade] - (again || line->dashed),
                          line->strong ? "0.8" : "0.6");
        }
        (void)fputs(" title ", script);
        write_text(script, line->title);
        before = ", ";
    }
    (void)fputc('\n', script);
}

/* Names of parts are the same in every picture of gnuplot's; in one page they have to differ. */
static void write_unique(FILE *out, const char *svg, unsigned number)
{
    static const char *const before_name[] = {"id='", "id=\"", "href='#", "url(#"};
    while (*svg != '\0') {
        size_t i = 0;
        while (i < 4 && strncmp(svg, before_name[i], strlen(before_name[i])) != 0) {
            i++;
        }
        if (i < 4) {
            (void)fprintf(out, "%sp%u-", before_name[i], number);
            svg += strlen(before_name[i]);
        } else if (strncmp(svg, "<title>", 7) == 0 && strstr(svg, "</title>") != NULL) {
            svg = strstr(svg, "</title>") + 8; /* a browser would show it at the mouse */
        } else {
            (void)fputc(*svg++, out);
        }
    }
}

char *report_plot(const struct plot *plot)
{
    char *script = NULL;
    char *page = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&script, &bytes);
    if (out == NULL) {
        return NULL;
    }
    write_script(out, plot);
    (void)fclose(out);
    char *svg = report_gnuplot(script);
    free(script);
    const char *start = svg != NULL ? strstr(svg, "<svg") : NULL;
    /* A script that failed half-way leaves a picture without its end. */
    if (start != NULL && strstr(start, "</svg>") != NULL) {
        out = open_memstream(&page, &bytes);
        if (out != NULL) {
            (void)fputs("<svg role=\"img\" aria-label=\"", out);
            report_html(out, plot->title);
            (void)fputc('"', out);
            write_unique(out, start + 4, plot->number);
            (void)fclose(out);
        }
    }
    free(svg);
    return page;
}
