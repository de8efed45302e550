/*
 * numapool report: from files with results to a page, and from two runs to a verdict.
 */
#include "tool/tool.h"

#include "tool/report_compare.h"
#include "tool/report_page.h"
#include "tool/report_read.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More files than anyone looks at side by side. */
enum { FILES_MAX = 64, OPTION_LEAST = 256, OPTION_FAIL };

struct files {
    const char *paths[FILES_MAX];
    size_t count;
};

struct arguments {
    struct files files;
    struct files older;
    const char *page; /* NULL = none */
    double least;
    bool fail_on_slower;
};

static const struct argp_option options[] = {
    {"output", 'o', "PAGE", 0, "Write the page there", 0},
    {"compare", 'c', "OLDER", 0,
     "Compare the FILEs with this older run, and print the verdicts; given several times, all of "
     "them "
     "are the older run",
     0},
    {"least", OPTION_LEAST, "PERCENT", 0, "Smallest difference that counts (3)", 0},
    {"fail-on-slower", OPTION_FAIL, NULL, 0, "Exit with 1 if a figure is slower or worse", 0},
    {0}};

static void add_file(struct files *files, const char *path, struct argp_state *state)
{
    if (files->count == FILES_MAX) {
        argp_error(state, "more than %d files", FILES_MAX);
    }
    files->paths[files->count++] = path;
}

static double parse_percent(const char *text, struct argp_state *state)
{
    char *end;
    double percent = strtod(text, &end);
    if (end == text || *end != '\0' || !(percent >= 0 && percent <= 1000)) {
        argp_error(state, "--least is a percentage from 0 to 1000, not '%s'", text);
    }
    return percent / 100;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 'o':
        a->page = argument;
        return 0;
    case 'c':
        add_file(&a->older, argument, state);
        return 0;
    case OPTION_LEAST:
        a->least = parse_percent(argument, state);
        return 0;
    case OPTION_FAIL:
        a->fail_on_slower = true;
        return 0;
    case ARGP_KEY_ARG:
        add_file(&a->files, argument, state);
        return 0;
    case ARGP_KEY_END:
        if (a->files.count == 0) {
            argp_error(state, "a file with results is missing");
        }
        if (a->page == NULL && a->older.count == 0) {
            argp_error(state, "where to? -o report.html");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int read_files(struct report_run *run, const struct files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        struct report_reader reader;
        if (report_read(&reader, run, files->paths[i]) != 0) {
            tool_complain("%s", reader.error);
            return -1;
        }
    }
    return 0;
}

static int write_page(const char *path, const struct report_page *page)
{
    FILE *out = fopen(path, "we");
    if (out == NULL) {
        tool_complain("%s: %s", path, strerror(errno));
        return -1;
    }
    report_page(out, page);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        tool_complain("%s: could not be written whole", path);
        return -1;
    }
    return 0;
}

static int report(const struct arguments *a, struct report_run *older, struct report_run *newer)
{
    if (read_files(older, &a->older) != 0 || read_files(newer, &a->files) != 0) {
        return TOOL_USAGE;
    }
    struct report_comparison comparison = {.least = a->least};
    struct report_page page = {.run = newer};
    if (a->older.count > 0) {
        report_compare(older, newer, &comparison);
        report_compare_text(stdout, &comparison);
        if (fflush(stdout) != 0) {
            tool_complain("the verdicts could not be written: %s", strerror(errno));
            return TOOL_USAGE;
        }
        page.older = older;
        page.comparison = &comparison;
    }
    if (a->page != NULL && write_page(a->page, &page) != 0) {
        return TOOL_USAGE;
    }
    return a->fail_on_slower && comparison.verdicts[REPORT_WORSE] > 0 ? TOOL_FAILED : TOOL_OK;
}

int tool_report(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "FILE...",
        .doc = "Makes a page with pictures from what --benchmark_out, numapool-overload --json and "
               "numapool simulate --json wrote, in one file that fetches nothing. Results of the "
               "same benchmark in several files are its rounds. With --compare, tells what is "
               "slower and what is only noise.\v"
               "numapool report run.json overload-*.json -o report.html\n"
               "numapool report --compare old.json new.json",
    };
    struct arguments arguments = {.least = 0.03};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return TOOL_USAGE;
    }
    struct report_run older = {0};
    struct report_run newer = {0};
    int result = report(&arguments, &older, &newer);
    report_run_fini(&older);
    report_run_fini(&newer);
    return result;
}
