/* The rows: every question with each of its variants and contenders, under its name. */
#include "suite/bench.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 1024

bool bench_quick;

static struct bench_row rows[ROWS_MAX];
static size_t row_count;
static const struct bench_row *current;

static void add(const struct bench_question *question, size_t variant, size_t contender,
                const char *contender_name)
{
    const int64_t *values = question->variant_count != 0 ? question->variants[variant] : NULL;
    if (question->applies != NULL && !question->applies(values, contender)) {
        return;
    }
    if (row_count == ROWS_MAX) {
        (void)fputs("numapool-bench: the table of rows is too small\n", stderr);
        abort();
    }
    struct bench_row *row = &rows[row_count++];
    *row = (struct bench_row){
        .question = question, .values = values, .variant = variant, .contender = contender};
    int at = snprintf(row->name, sizeof row->name, "%s", question->name);
    for (size_t key = 0; key < BENCH_KEYS_MAX && question->keys[key] != NULL; key++) {
        at += snprintf(row->name + at, sizeof row->name - (size_t)at, "/%s:%" PRId64,
                       question->keys[key], values[key]);
    }
    if (contender_name != NULL) {
        (void)snprintf(row->name + at, sizeof row->name - (size_t)at, "/%s:%s",
                       question->contender_key, contender_name);
    }
}

size_t bench_rows(const struct bench_row **list)
{
    if (row_count == 0) {
        for (size_t q = 0; bench_questions[q] != NULL; q++) {
            const struct bench_question *question = bench_questions[q];
            size_t variants = question->variant_count != 0 ? question->variant_count : 1;
            for (size_t variant = 0; variant < variants; variant++) {
                const char *name = NULL;
                if (question->contender == NULL) {
                    add(question, variant, 0, NULL);
                }
                for (size_t c = 0;
                     question->contender != NULL && (name = question->contender(c)) != NULL; c++) {
                    add(question, variant, c, name);
                }
            }
        }
    }
    *list = rows;
    return row_count;
}

void bench_ask(const struct bench_row *row, int64_t iterations, struct bench_run *run)
{
    if (current != row) {
        bench_leave();
        current = row;
    }
    *run = (struct bench_run){.question = row->question,
                              .values = row->values,
                              .contender = row->contender,
                              .iterations = iterations};
    row->question->run(run);
}

void bench_leave(void)
{
    if (current != NULL && current->question->leave != NULL) {
        current->question->leave();
    }
    current = NULL;
}

void bench_figure(struct bench_run *run, const char *name, double value)
{
    if (run->figure_count < BENCH_FIGURES_MAX) {
        struct bench_figure *figure = &run->figures[run->figure_count++];
        (void)snprintf(figure->name, sizeof figure->name, "%s", name);
        figure->value = value;
    }
}

void bench_not_measured(struct bench_run *run, const char *why, ...)
{
    va_list arguments;
    va_start(arguments, why);
    (void)vsnprintf(run->why_not, sizeof run->why_not, why, arguments);
    va_end(arguments);
}
