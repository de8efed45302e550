/*
 * One picture with lines, drawn by gnuplot as SVG that takes its ink from the page around it, so that it
 * can be read on light and on dark.
 */
#ifndef NPI_TOOL_REPORT_PLOT_H
#define NPI_TOOL_REPORT_PLOT_H

#include "tool/report_unit.h"

#include <stdbool.h>
#include <stddef.h>

struct plot_axis {
    const char *label;
    const char *key; /* its unit is that of the numbers at the axis */
    bool log;
    bool from_zero; /* of a linear axis */
    /* Where there are marks, and with which text; without, they are chosen. */
    const struct plot_mark *marks;
    size_t mark_count;
};

struct plot_mark {
    double at;
    char text[REPORT_VALUE_BYTES];
};

struct plot_line {
    const char *title;
    size_t count;
    double *x;
    double *y;
    double *low; /* ends of a bar through each point, or NULL */
    double *high;
    unsigned colour; /* REPORT_COLOUR_... or any number below GUIDE */
    bool strong;
    bool dashed;
    bool points;
};

/* Colours that people who see two kinds of light instead of three can tell apart. */
enum { REPORT_COLOUR_NUMAPOOL = 0, REPORT_COLOUR_GUIDE = 99 };

struct plot {
    unsigned number; /* unlike that of any other picture of the page */
    const char *title;
    struct plot_axis x;
    struct plot_axis y;
    const struct plot_line *lines;
    size_t line_count;
};

/* The element <svg>, which the caller frees, or NULL. Points that an axis cannot show are left out. */
char *report_plot(const struct plot *plot);

/* True when some line has a point that can be shown. */
bool report_plot_any(const struct plot *plot);

#endif
