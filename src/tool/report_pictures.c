/*
 * Which pictures a run has: by the question that a benchmark's name begins with. Lines of a picture are the
 * pools; whatever else a name says makes a picture of its own.
 */
#include "tool/report_pictures.h"
#include "tool/report_page.h"
#include "tool/report_plot.h"
#include "tool/report_unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POOLS_MAX = 24 };

/* On a linear axis all but the last of values that far from one another would be one. */
static const double far_apart = 20;

struct pictures {
    FILE *out;
    struct report_run *run;
    bool gnuplot;
    unsigned count;
};

size_t report_groups(struct report_run *run, const char *question, const char *key,
                     const char *other_key, struct report_group **groups)
{
    size_t count = 0;
    *groups = NULL;
    for (size_t i = 0; i < run->measurement_count; i++) {
        struct report_measurement *m = run->measurements[i];
        if (strcmp(m->question, question) != 0 || m->round_count == 0) {
            continue;
        }
        const char *name = report_name_without(run, m, key, other_key);
        size_t at = 0;
        while (at < count && strcmp((*groups)[at].name, name) != 0) {
            at++;
        }
        if (at == count) {
            struct report_group *group = report_append(run, groups, &count, sizeof **groups);
            *group = (struct report_group){.name = name};
        }
        struct report_group *group = &(*groups)[at];
        struct report_measurement **member = report_append(
            run, &group->members, &group->member_count, sizeof(struct report_measurement *));
        *member = m;
    }
    return count;
}

static size_t group_pools(const struct report_group *group, const char *pools[POOLS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < group->member_count; i++) {
        size_t at = 0;
        while (at < count && strcmp(pools[at], group->members[i]->pool) != 0) {
            at++;
        }
        if (at == count && count < POOLS_MAX) {
            pools[count++] = group->members[i]->pool;
        }
    }
    return count;
}

/* "numapool-spin" and the like. */
static bool is_variant(const char *pool)
{
    return strncmp(pool, "numapool-", strlen("numapool-")) == 0;
}

/* The same for a pool in all pictures of a page. Colour 0 is numapool's and its variants' alone. */
static unsigned pool_colour(const struct report_run *run, const char *pool)
{
    unsigned colour = 1;
    if (strcmp(pool, "numapool") == 0 || is_variant(pool)) {
        return REPORT_COLOUR_NUMAPOOL;
    }
    for (size_t i = 0; i < run->measurement_count; i++) {
        const char *other = run->measurements[i]->pool;
        size_t earlier = 0;
        while (earlier < i && strcmp(run->measurements[earlier]->pool, other) != 0) {
            earlier++;
        }
        if (strcmp(other, pool) == 0) {
            break;
        }
        colour += earlier == i && strcmp(other, "numapool") != 0 && !is_variant(other);
    }
    return colour < REPORT_COLOUR_GUIDE ? colour : 1;
}

static void begin_line(struct pictures *p, struct plot_line *line, const char *pool,
                       size_t point_count)
{
    *line = (struct plot_line){
        .title = pool[0] != '\0' ? pool : "measured",
        .colour = pool_colour(p->run, pool),
        .strong = strcmp(pool, "numapool") == 0,
        .dashed = is_variant(pool),
        .points = true,
        .x = report_alloc(p->run, point_count * sizeof(double)),
        .y = report_alloc(p->run, point_count * sizeof(double)),
        .low = report_alloc(p->run, point_count * sizeof(double)),
        .high = report_alloc(p->run, point_count * sizeof(double)),
    };
}

/* In order of x, as lines are drawn. */
static void add_point(struct plot_line *line, double x, struct report_summary y, double factor)
{
    size_t at = line->count++;
    for (; at > 0 && line->x[at - 1] > x; at--) {
        line->x[at] = line->x[at - 1];
        line->y[at] = line->y[at - 1];
        line->low[at] = line->low[at - 1];
        line->high[at] = line->high[at - 1];
    }
    line->x[at] = x;
    line->y[at] = y.median * factor;
    line->low[at] = y.low * factor;
    line->high[at] = y.high * factor;
}

void report_begin_figure(FILE *out, const char *kind, const char *title, const char *caption)
{
    (void)fprintf(out, "<figure class=\"%s\">\n<figcaption><b>", kind);
    report_html(out, title);
    (void)fprintf(out, "</b><br>%s</figcaption>\n", caption);
}

static void draw(struct pictures *p, struct plot *plot, const char *title, const char *caption)
{
    if (!p->gnuplot || !report_plot_any(plot)) {
        return;
    }
    plot->number = ++p->count;
    plot->title = title;
    char *svg = report_plot(plot);
    report_begin_figure(p->out, "plot", title, caption);
    (void)fputs(svg != NULL ? svg : "<p>gnuplot could not draw this; the tables have it.</p>",
                p->out);
    (void)fputs("</figure>\n", p->out);
    free(svg);
}

struct curve {
    const char *x_part; /* the part of the name that is x, or NULL: the figure x_key is */
    const char *x_key;
    const char *y_key;
    struct plot_axis x;
    struct plot_axis y;
    const char *caption;
    bool guide; /* a line where y is x */
};

static double x_of(const struct report_measurement *m, const struct curve *curve)
{
    if (curve->x_part != NULL) {
        const char *text = report_part(m, curve->x_part);
        return text != NULL ? strtod(text, NULL) : NAN;
    }
    const double *values = report_values(m, curve->x_key);
    return values != NULL ? report_summarize(values, m->round_count).median : NAN;
}

/* Marks at the values of x themselves, when they are few. */
static size_t mark_values(const struct plot_line *lines, size_t count, struct plot_mark marks[16])
{
    size_t mark_count = 0;
    for (size_t l = 0; l < count; l++) {
        for (size_t i = 0; i < lines[l].count; i++) {
            size_t at = 0;
            while (at < mark_count && marks[at].at != lines[l].x[i]) {
                at++;
            }
            if (at == 16) {
                return 0;
            }
            if (at == mark_count) {
                marks[at].at = lines[l].x[i];
                (void)snprintf(marks[at].text, sizeof marks[at].text, "%g", lines[l].x[i]);
                mark_count++;
            }
        }
    }
    return mark_count;
}

static void draw_curve(struct pictures *p, const struct report_group *group, struct curve *curve)
{
    const char *pools[POOLS_MAX];
    struct plot_line lines[POOLS_MAX + 1];
    size_t pool_count = group_pools(group, pools);
    size_t longest = 0;
    double x_least = INFINITY;
    double x_most = 0;
    for (size_t l = 0; l < pool_count; l++) {
        begin_line(p, &lines[l], pools[l], group->member_count);
        for (size_t i = 0; i < group->member_count; i++) {
            const struct report_measurement *m = group->members[i];
            const double *values = report_values(m, curve->y_key);
            double x = x_of(m, curve);
            if (strcmp(m->pool, pools[l]) == 0 && values != NULL && isfinite(x)) {
                add_point(&lines[l], x, report_summarize(values, m->round_count), 1);
                x_least = fmin(x_least, x);
                x_most = fmax(x_most, x);
            }
        }
        longest = lines[l].count > longest ? lines[l].count : longest;
    }
    if (longest < 2) {
        return; /* no curve; the table has the figure */
    }
    struct plot_mark marks[16];
    if (curve->x_part != NULL) {
        curve->x.marks = marks;
        curve->x.mark_count = mark_values(lines, pool_count, marks);
    }
    size_t line_count = pool_count;
    if (x_most > far_apart * x_least) {
        curve->x.log = true;
        curve->y.log = curve->y.log || curve->guide; /* else the guide would not be straight */
    }
    if (curve->guide) {
        begin_line(p, &lines[line_count], "all of it", 2);
        lines[line_count].colour = REPORT_COLOUR_GUIDE;
        lines[line_count].points = false;
        add_point(&lines[line_count], x_least, (struct report_summary){.median = x_least}, 1);
        add_point(&lines[line_count], x_most, (struct report_summary){.median = x_most}, 1);
        lines[line_count].low = NULL;
        line_count++;
    }
    const char *title =
        report_print(p->run, "%s: %s against %s", group->name, curve->y.label, curve->x.label);
    struct plot plot = {.x = curve->x, .y = curve->y, .lines = lines, .line_count = line_count};
    draw(p, &plot, title, curve->caption);
}

static void draw_throughput(struct pictures *p, const char *question)
{
    struct report_group *groups;
    size_t count = report_groups(p->run, question, "producers", "pool", &groups);
    for (size_t g = 0; g < count; g++) {
        const struct report_measurement *first = groups[g].members[0];
        for (size_t i = 0; i < first->figure_count; i++) {
            const char *key = first->figures[i].key;
            if (report_is_beside(key) || report_direction(key) != REPORT_MORE_IS_BETTER) {
                continue;
            }
            struct curve curve = {
                .x_part = "producers",
                .y_key = key,
                .x = {.label = "producers", .key = "", .log = true},
                .y = {.label = key, .key = key, .from_zero = true},
                .caption = "More is better. Points are medians over rounds; half of the rounds lie "
                           "within the bars.",
            };
            draw_curve(p, &groups[g], &curve);
        }
    }
}

static void draw_overload(struct pictures *p, const char *question)
{
    struct report_group *groups;
    size_t count = report_groups(p->run, question, "rate", "pool", &groups);
    for (size_t g = 0; g < count; g++) {
        struct curve completed = {
            .x_key = "offered_per_s",
            .y_key = "completed_per_s",
            .x = {.label = "offered per second", .key = "offered_per_s", .from_zero = true},
            .y = {.label = "completed per second", .key = "completed_per_s", .from_zero = true},
            .caption =
                "More is better. A pool that overload cannot harm follows the dotted line as "
                "far as the machine goes, and stays there.",
            .guide = true,
        };
        draw_curve(p, &groups[g], &completed);
        struct curve latency = {
            .x_key = "offered_per_s",
            .y_key = "e2e_p99_ms",
            .x = {.label = "offered per second", .key = "offered_per_s", .from_zero = true},
            .y = {.label = "99 % end to end", .key = "e2e_p99_ms", .log = true},
            .caption = "Less is better. From the intended time to the last instruction of what was "
                       "completed; 99 of 100 requests took at most this long.",
        };
        draw_curve(p, &groups[g], &latency);
    }
}

static void percentile_line(struct plot_line *line, const struct report_measurement *m,
                            const char *prefix, size_t prefix_bytes)
{
    for (size_t i = 0; i < m->figure_count; i++) {
        double q;
        double seconds;
        size_t bytes;
        const char *key = m->figures[i].key;
        if (!report_is_beside(key) && report_percentile(key, &q, &bytes, &seconds) &&
            bytes == prefix_bytes && memcmp(key, prefix, bytes) == 0) {
            add_point(line, 1 / (1 - q), report_summarize(m->figures[i].values, m->round_count),
                      seconds);
        }
    }
}

static void draw_percentile_group(struct pictures *p, const struct report_group *group,
                                  const char *prefix, size_t prefix_bytes)
{
    static const struct plot_mark marks[] = {
        {1 / 0.5, "50 %"},     {1 / 0.1, "90 %"},       {1 / 0.01, "99 %"},
        {1 / 0.001, "99.9 %"}, {1 / 0.0001, "99.99 %"}, {1 / 0.00001, "99.999 %"},
        {1e6, "99.9999 %"},
    };
    struct plot_line lines[POOLS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < group->member_count && count < POOLS_MAX; i++) {
        const struct report_measurement *m = group->members[i];
        begin_line(p, &lines[count], m->pool, m->figure_count);
        percentile_line(&lines[count], m, prefix, prefix_bytes);
        count += lines[count].count > 1;
    }
    const char *title = report_print(p->run, "%s: %.*s%slatency by percentile", group->name,
                                     (int)prefix_bytes, prefix, prefix_bytes > 0 ? " " : "");
    struct plot plot = {
        .x = {.label = "percentile",
              .log = true,
              .marks = marks,
              .mark_count = sizeof marks / sizeof *marks},
        .y = {.label = "latency", .key = "s", .log = true},
        .lines = lines,
        .line_count = count,
    };
    draw(p, &plot, title,
         "Less is better. Each step to the right is ten times as rare. Points are medians over "
         "rounds; half of the rounds lie within the bars.");
}

static void draw_percentiles(struct pictures *p, const char *question)
{
    struct report_group *groups;
    size_t count = report_groups(p->run, question, "pool", "pool", &groups);
    for (size_t g = 0; g < count; g++) {
        const struct report_measurement *first = groups[g].members[0];
        const char *done[REPORT_FIGURES_MAX];
        size_t done_bytes[REPORT_FIGURES_MAX];
        size_t done_count = 0;
        for (size_t i = 0; i < first->figure_count; i++) {
            double q;
            double seconds;
            size_t bytes;
            const char *key = first->figures[i].key;
            if (report_is_beside(key) || !report_percentile(key, &q, &bytes, &seconds)) {
                continue;
            }
            size_t at = 0;
            while (at < done_count &&
                   (done_bytes[at] != bytes || memcmp(done[at], key, bytes) != 0)) {
                at++;
            }
            if (at == done_count) {
                done[done_count] = key;
                done_bytes[done_count++] = bytes;
                draw_percentile_group(p, &groups[g], key, bytes);
            }
        }
    }
}

static void draw_tracks(struct pictures *p)
{
    const struct report_run *run = p->run;
    for (size_t first = 0, next; first < run->track_count; first = next) {
        next = first + 1;
        while (next < run->track_count && run->tracks[next].shard > 0) {
            next++;
        }
        size_t count = next - first;
        struct plot_line *quota = report_alloc(p->run, count * sizeof *quota);
        struct plot_line *waiting = report_alloc(p->run, count * sizeof *waiting);
        for (size_t i = 0; i < count; i++) {
            struct report_track *track = &run->tracks[first + i];
            const char *name =
                report_print(p->run, "shard %zu, node %zu", track->shard, track->node);
            quota[i] = (struct plot_line){.title = name,
                                          .count = track->count,
                                          .x = track->time_s,
                                          .y = track->quota,
                                          .colour = (unsigned)(i % REPORT_COLOUR_GUIDE)};
            waiting[i] = quota[i];
            waiting[i].y = track->waiting;
        }
        struct plot plot = {
            .x = {.label = "seconds", .key = "s", .from_zero = true},
            .y = {.label = "quota: tasks that may run", .key = "", .from_zero = true},
            .lines = quota,
            .line_count = count,
        };
        draw(p, &plot, report_print(p->run, "%s: quota of each shard", run->tracks[first].title),
             "Budget moves to where tasks wait; the sum stays within the pool's.");
        plot.y = (struct plot_axis){.label = "tasks that wait", .key = "", .from_zero = true};
        plot.lines = waiting;
        draw(p, &plot, report_print(p->run, "%s: queue of each shard", run->tracks[first].title),
             "Less is better.");
    }
}

void report_pictures(FILE *out, struct report_run *run, bool gnuplot)
{
    static const struct {
        const char *question;
        void (*draw)(struct pictures *pictures, const char *question);
    } questions[] = {
        {"submit", draw_throughput}, {"wake", draw_percentiles},  {"round_trip", draw_percentiles},
        {"mixed", draw_percentiles}, {"overload", draw_overload},
    };
    struct pictures pictures = {.out = out, .run = run, .gnuplot = gnuplot};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        questions[i].draw(&pictures, questions[i].question);
    }
    report_matrices(out, run, "nodes");
    draw_tracks(&pictures);
}
