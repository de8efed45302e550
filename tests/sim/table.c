/* Prints the table and runs its rows: one row by number, or all of them. */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct sim_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_list(struct sim_line *line, const char *format, va_list list)
{
    size_t space = sizeof line->text - line->used;
    int length = vsnprintf(line->text + line->used, space, format, list);
    if (length > 0)
        line->used += (size_t)length < space ? (size_t)length : space - 1;
}

static void add(struct sim_line *line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    add_list(line, format, list);
    va_end(list);
}

void sim_line_begin(struct sim_line *line, const char *row, const char *format, ...)
{
    va_list list;
    memset(line, 0, sizeof *line);
    add(line, "| %s | ", row);
    va_start(list, format);
    add_list(line, format, list);
    va_end(list);
    add(line, " | ");
}

static void figure(struct sim_line *line, const char *what, double measured, const char *relation,
                   double bound, bool holds)
{
    line->failed = line->failed || !holds;
    add(line, "%s %.4g (%s %.4g)%s; ", what, measured, relation, bound, holds ? "" : " MISSED");
}

void sim_line_least(struct sim_line *line, const char *what, double measured, double bound)
{
    figure(line, what, measured, ">=", bound, measured >= bound);
}

void sim_line_most(struct sim_line *line, const char *what, double measured, double bound)
{
    figure(line, what, measured, "<=", bound, measured <= bound);
}

void sim_line_note(struct sim_line *line, const char *what, double measured)
{
    add(line, "%s %.4g; ", what, measured);
}

int sim_line_end(struct sim_line *line, const struct sim_result *result)
{
    if (result && result->faults > 0) {
        line->failed = true;
        add(line, "%llu invariants broken, first: %s; ", (unsigned long long)result->faults,
            result->fault);
    }
    printf("%s| %s |\n", line->text, line->failed ? "FAIL" : "pass");
    fflush(stdout);
    return line->failed ? 1 : 0;
}

static uint64_t seed = 1;

void sim_spec_init(struct sim_spec *spec, double seconds, uint32_t budget_workers)
{
    memset(spec, 0, sizeof *spec);
    spec->seed = seed;
    spec->judged = true;
    spec->seconds = seconds;
    spec->budget_workers = budget_workers;
    npi_policy_defaults(&spec->params);
}

static const struct {
    const char *name;
    int (*run)(void);
} rows[] = {
    {"1", sim_row_rate},
    {"2", sim_row_cpu_bound},
    {"3", sim_row_mixes},
    {"4", sim_row_skew},
    {"5", sim_row_blocking_flip},
    {"6", sim_row_swaps},
    {"7", sim_row_flash},
    {"8", sim_row_slow_node},
    {"9", sim_row_stuck},
    {"10", sim_row_quota_change},
    {"11", sim_row_many_nodes},
    {"12", sim_row_fairness},
    {"13", sim_row_phase},
    {"14", sim_row_deadline},
    {"15", sim_row_classes},
    {"17", sim_row_herding},
    {"18", sim_row_neighbours},
    {"19", sim_row_collapse},
    {"20", sim_row_classes_sharded},
    {"21", sim_row_packages},
};

/* sim_rows [--seed N] [ROW ...] */
int main(int argc, char **argv)
{
    int failed = 0, found = 0;
    if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
        seed = strtoull(argv[2], NULL, 10);
        argc -= 2;
        argv += 2;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool wanted = argc < 2;
        for (int k = 1; k < argc; k++)
            wanted = wanted || strcmp(argv[k], rows[i].name) == 0;
        if (!wanted)
            continue;
        found++;
        failed |= rows[i].run();
    }
    if (!found) {
        fprintf(stderr, "no such row; give row numbers, or nothing for the whole table\n");
        return 2;
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
