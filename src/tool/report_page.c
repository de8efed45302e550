/*
 * The page: what is compared, the pictures, every figure, and what the figures were measured on.
 */
#include "tool/report_page.h"

#include "tool/report_gnuplot.h"
#include "tool/report_unit.h"

#include <string.h>

/* Colours are chosen once each for light and dark; pictures take their ink from here. */
static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1d2126;--soft:#5a6370;--line:#d5dae0;\n"
    "--band:#f4f6f8;--good:#00694d;--bad:#a84300;--heat:213,94,0}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#16191d;--ink:#e4e7ea;--soft:#a3abb5;\n"
    "--line:#3a4149;--band:#1f242a;--good:#4fd0a6;--bad:#ff9d5c}}\n"
    "body{margin:0 auto;padding:1.5rem;max-width:62rem;background:var(--paper);color:var(--ink);\n"
    "font:16px/1.5 system-ui,sans-serif}\n"
    "h1{margin:0;font-size:1.7rem}\n"
    "h2{margin:2.5rem 0 .5rem;font-size:1.25rem;border-bottom:1px solid var(--line)}\n"
    ".lead{font-size:1.1rem}\n"
    ".soft,figcaption,caption{color:var(--soft);font-size:.9rem}\n"
    ".warning{border-left:.3rem solid var(--bad);padding-left:.8rem}\n"
    "figure{margin:1.5rem 0}\n"
    "figcaption b{color:var(--ink)}\n"
    ".plot svg{width:100%;height:auto;color:var(--ink)}\n"
    ".plot g[color=black]{color:inherit}\n"
    ".plot g[fill=black]{fill:currentColor}\n"
    ".plot [stroke=black]{stroke:currentColor}\n"
    ".plot .gridline{stroke:var(--line)}\n"
    ".wide{overflow-x:auto}\n"
    "table{border-collapse:collapse;font-size:.88rem}\n"
    "caption{text-align:left;padding:1.2rem 0 .3rem}\n"
    "th,td{padding:.25rem .6rem;text-align:left;vertical-align:top}\n"
    "th,td{border-bottom:1px solid var(--line)}\n"
    "thead th{background:var(--band)}\n"
    "tbody th{font-weight:400;overflow-wrap:anywhere;min-width:16rem}\n"
    "td:last-child{min-width:9rem}\n"
    ".number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    ".mine th,.mine td{font-weight:600}\n"
    ".better{color:var(--good);font-weight:600}\n"
    ".worse{color:var(--bad);font-weight:600}\n"
    ".few{font-style:italic}\n"
    ".differs td{color:var(--bad)}\n"
    ".fact{overflow-wrap:anywhere;white-space:pre-wrap}\n"
    ".matrix{display:inline-block;vertical-align:top;margin-right:2.5rem}\n"
    ".matrix caption{padding:.3rem 0}\n"
    ".heat th{min-width:0}\n"
    ".heat td{min-width:5rem;text-align:right;background:rgba(var(--heat),var(--shade));\n"
    "print-color-adjust:exact;-webkit-print-color-adjust:exact}\n"
    "@media print{body{max-width:none;padding:0;font-size:11pt}.wide{overflow:visible}\n"
    "figure,tr{break-inside:avoid}h2{break-after:avoid}}\n";

void report_html(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        case '\'':
            (void)fputs("&#39;", out);
            break;
        default:
            /* Control characters have no place in a page. */
            (void)fputc((unsigned char)*text < 0x20 && *text != '\n' ? ' ' : *text, out);
        }
    }
}

static void write_head(FILE *out, const struct report_page *page)
{
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n"
                "<title>numapool report</title>\n<style>\n",
                out);
    (void)fputs(style, out);
    (void)fputs("</style>\n</head>\n<body>\n<h1>numapool report</h1>\n<p class=\"soft\">", out);
    const struct report_run *runs[] = {page->older, page->run};
    const char *before = "";
    for (size_t r = 0; r < 2; r++) {
        for (size_t i = 0; runs[r] != NULL && i < runs[r]->source_count; i++) {
            (void)fprintf(out, "%s%s", before,
                          page->older == NULL ? ""
                          : r == 0            ? "older: "
                                              : "newer: ");
            report_html(out, basename(runs[r]->sources[i].path)); /* whole below */
            before = " · ";
        }
    }
    (void)fputs("</p>\n", out);
}

static void write_figure(FILE *out, const struct report_measurement *m, size_t at)
{
    const struct report_figure *figure = &m->figures[at];
    const double *beside = report_beside(m, figure->key);
    struct report_summary summary = report_summarize(figure->values, m->round_count);
    char text[REPORT_VALUE_BYTES];
    (void)fprintf(out, "<tr%s><th scope=\"row\">",
                  strcmp(m->pool, "numapool") == 0 ? " class=\"mine\"" : "");
    report_html(out, m->name);
    (void)fputs("</th><td>", out);
    report_html(out, figure->key);
    report_format(text, figure->key, summary.median);
    (void)fprintf(out, "</td><td class=\"number\">%zu</td><td class=\"number\">%s</td>",
                  summary.count, text);
    (void)fputs("<td class=\"number\">", out);
    if (summary.count > 1) {
        report_format(text, figure->key, summary.low);
        (void)fprintf(out, "%s … ", text);
        report_format(text, figure->key, summary.high);
        (void)fputs(text, out);
    }
    (void)fputs("</td><td class=\"number\">", out);
    if (beside != NULL) {
        double ratios[REPORT_ROUNDS_MAX];
        report_divide(figure->values, beside, m->round_count, ratios);
        report_format(text, "", report_summarize(ratios, m->round_count).median);
        (void)fprintf(out, "× %s", text);
    }
    (void)fputs("</td></tr>\n", out);
}

static void write_not_measured(FILE *out, const struct report_measurement *m)
{
    (void)fputs("<tr><th scope=\"row\">", out);
    report_html(out, m->name);
    (void)fputs("</th><td colspan=\"5\" class=\"few\">not measured: ", out);
    report_html(out, m->why_not);
    (void)fputs("</td></tr>\n", out);
}

static bool question_seen(const struct report_run *run, size_t before, const char *question)
{
    for (size_t i = 0; i < before; i++) {
        if (strcmp(run->measurements[i]->question, question) == 0) {
            return true;
        }
    }
    return false;
}

static void write_question(FILE *out, const struct report_run *run, const char *question)
{
    (void)fputs("<div class=\"wide\"><table>\n<caption>", out);
    report_html(out, question);
    (void)fputs(
        "</caption>\n<thead><tr><th scope=\"col\">Benchmark</th><th scope=\"col\">Figure</th>"
        "<th scope=\"col\">Rounds</th><th scope=\"col\">Median</th>"
        "<th scope=\"col\">Half of the rounds between</th>"
        "<th scope=\"col\">To the baseline</th></tr></thead>\n<tbody>\n",
        out);
    for (size_t i = 0; i < run->measurement_count; i++) {
        const struct report_measurement *m = run->measurements[i];
        if (strcmp(m->question, question) != 0) {
            continue;
        }
        if (m->why_not != NULL) {
            write_not_measured(out, m);
        }
        for (size_t at = 0; m->round_count > 0 && at < m->figure_count; at++) {
            if (!report_is_beside(m->figures[at].key)) {
                write_figure(out, m, at);
            }
        }
    }
    (void)fputs("</tbody></table></div>\n", out);
}

static void write_figures(FILE *out, const struct report_run *run)
{
    (void)fputs(
        "<section>\n<h2>Every figure</h2>\n<p class=\"soft\">Medians over rounds. <em>To the "
        "baseline</em> is the median of the ratios to the baseline pool, measured right beside "
        "in the same rounds.</p>\n",
        out);
    for (size_t i = 0; i < run->measurement_count; i++) {
        const char *question = run->measurements[i]->question;
        if (!question_seen(run, i, question)) {
            write_question(out, run, question);
        }
    }
    (void)fputs("</section>\n", out);
}

/* Files of one page, older ones first. */
struct files {
    const struct report_source *all[64];
    size_t count;
    size_t older_count;
};

static void add_files(struct files *files, const struct report_run *run)
{
    for (size_t i = 0; run != NULL && i < run->source_count && files->count < 64; i++) {
        files->all[files->count++] = &run->sources[i];
    }
}

static const char *fact_of(const struct report_source *source, const char *key)
{
    for (size_t i = 0; i < source->fact_count; i++) {
        if (strcmp(source->facts[i].key, key) == 0) {
            return source->facts[i].value;
        }
    }
    return "";
}

static bool fact_seen(const struct files *files, size_t before, const char *key)
{
    for (size_t i = 0; i < before; i++) {
        for (size_t f = 0; f < files->all[i]->fact_count; f++) {
            if (strcmp(files->all[i]->facts[f].key, key) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void write_fact(FILE *out, const struct files *files, const char *key)
{
    bool differs = false;
    for (size_t i = 1; i < files->count; i++) {
        differs = differs || strcmp(fact_of(files->all[0], key), fact_of(files->all[i], key)) != 0;
    }
    (void)fprintf(out, "<tr%s><th scope=\"row\">", differs ? " class=\"differs\"" : "");
    report_html(out, key);
    (void)fputs("</th>", out);
    /* What all files say the same is said once. */
    for (size_t i = 0; i < (differs ? files->count : 1); i++) {
        (void)fprintf(out, "<td class=\"fact\" colspan=\"%zu\">", differs ? 1 : files->count);
        report_html(out, fact_of(files->all[i], key));
        (void)fputs("</td>", out);
    }
    (void)fputs("</tr>\n", out);
}

static void write_machines(FILE *out, const struct report_page *page)
{
    struct files files = {.count = 0};
    add_files(&files, page->older);
    files.older_count = files.count;
    add_files(&files, page->run);
    (void)fputs(
        "<section>\n<h2>Measured on</h2>\n<div class=\"wide\"><table>\n<caption>What the files "
        "say of machine, build and options; rows in which they differ are marked by colour and "
        "have a cell per file</caption>\n<thead><tr><th scope=\"col\">Fact</th>",
        out);
    for (size_t i = 0; i < files.count; i++) {
        (void)fprintf(out, "<th scope=\"col\">%s",
                      files.older_count == 0  ? ""
                      : i < files.older_count ? "older: "
                                              : "newer: ");
        report_html(out, files.all[i]->path);
        (void)fputs("</th>", out);
    }
    (void)fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < files.count; i++) {
        for (size_t f = 0; f < files.all[i]->fact_count; f++) {
            const char *key = files.all[i]->facts[f].key;
            if (!fact_seen(&files, i, key)) {
                write_fact(out, &files, key);
            }
        }
    }
    (void)fputs("</tbody></table></div>\n</section>\n", out);
}

void report_page(FILE *out, const struct report_page *page)
{
    bool gnuplot = report_gnuplot_there();
    write_head(out, page);
    if (!gnuplot) {
        (void)fputs(
            "<p class=\"warning\">Without pictures, since the program gnuplot was not found; "
            "<code>apt install gnuplot-nox</code> and the same command again add them.</p>\n",
            out);
    }
    if (page->comparison != NULL) {
        report_compare_page(out, page->comparison);
    }
    (void)fprintf(out, "<section>\n<h2>Pictures%s</h2>\n",
                  page->older != NULL ? " of the newer run" : "");
    report_pictures(out, page->run, gnuplot);
    (void)fputs("</section>\n", out);
    write_figures(out, page->run);
    write_machines(out, page);
    (void)fputs("</body>\n</html>\n", out);
}
