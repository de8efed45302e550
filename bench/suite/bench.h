/*
 * The contract between the benchmarks, which are C, and Google Benchmark, which is C++ and known to
 * main.cpp alone. A question is a row of the table in questions.c: what is asked, of whom, in which
 * variants, and a function that does so many iterations and says how long they took.
 *
 * Time is always wall-clock time that the function measured itself, from its first submit to its last
 * completion: the work is done by other threads than the one that asks. One iteration is a batch of
 * work or an event, as the question's file says.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_KEYS_MAX 3
#define BENCH_FIGURES_MAX 48
#define BENCH_NAME_BYTES 96

/* A named result beside the time. The name's end says what it is: _per_s more is better; _ns, _us,
   _ms, _pct, _bytes, slowdown less is. */
struct bench_figure {
    char name[40];
    double value;
};

struct bench_question;

/* One call: what to do, and what came of it. */
struct bench_run {
    const struct bench_question *question;
    const int64_t *values; /* one for each of the question's keys */
    size_t contender;      /* index into the question's contenders */
    int64_t iterations;

    /* out */
    double seconds;    /* of all iterations */
    char why_not[160]; /* not empty: not measured, and why */
    size_t figure_count;
    struct bench_figure figures[BENCH_FIGURES_MAX];
};

struct bench_question {
    const char *name;
    const char *asks; /* one sentence */
    /* Who is asked: names by index, NULL at the end. The first is the baseline: the others are run
       beside it when they are compared. NULL: nobody in particular. */
    const char *(*contender)(size_t index);
    const char *contender_key; /* "pool" */
    const char *keys[BENCH_KEYS_MAX];
    const int64_t (*variants)[BENCH_KEYS_MAX];
    size_t variant_count;
    int64_t iterations; /* 0: as many as fill --benchmark_min_time */
    void (*run)(struct bench_run *run);
    /* Whether this contender can be asked this variant; NULL: always. */
    bool (*applies)(const int64_t *values, size_t contender);
    const char *compared[6]; /* figures that --compare shows; none: not compared */
    void (*leave)(void);     /* NULL or: releases what was kept from call to call */
};

extern const struct bench_question *const bench_questions[]; /* NULL at the end */

extern bool bench_quick; /* only whether it can be asked is of interest: the shortest run will do */

/* For a question's function. */
void bench_figure(struct bench_run *run, const char *name, double value);
void bench_not_measured(struct bench_run *run, const char *why, ...)
    __attribute__((format(printf, 2, 3)));

/* ------------------------------------------------------------------------- for the driver */

/* One question, variant and contender. */
struct bench_row {
    char name[BENCH_NAME_BYTES];
    const struct bench_question *question;
    const int64_t *values;
    size_t variant, contender;
};

/* All rows there are, in the order of the table. Returns how many; *rows is kept. */
size_t bench_rows(const struct bench_row **rows);
void bench_ask(const struct bench_row *row, int64_t iterations, struct bench_run *run);
void bench_leave(void); /* after the last of a row's calls */

/* What a reader has to know about this machine and build, one fact a call. */
void bench_context(void (*add)(const char *name, const char *value));

/* --compare: rounds in which every contender runs once, its baseline just before. */
struct bench_compare;
struct bench_compare *bench_compare_begin(const char *filter, unsigned rounds);
/* The next row to run and its round; false at the end. */
bool bench_compare_next(struct bench_compare *compare, const struct bench_row **row,
                        unsigned *round);
/* What came of it; adds beside_X for each figure X of the baseline that ran last. */
void bench_compare_note(struct bench_compare *compare, struct bench_run *run);
void bench_compare_print(const struct bench_compare *compare);
void bench_compare_end(struct bench_compare *compare);

#ifdef __cplusplus
}
#endif

#endif
