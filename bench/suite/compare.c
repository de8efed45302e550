/*
 * Contenders side by side. What a shared machine does to a run lasts from microseconds to minutes,
 * so no figure is compared with one that was measured at another time: in each round each contender
 * runs once, in an order that differs from round to round, with the baseline run just before every
 * second one. A contender's ratio in a round is to the baseline's run beside it, and what is told is
 * the median of the rounds.
 */
#include "suite/bench.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 101
#define COMPARED_MAX 6
#define CONTENDERS_MAX 24

struct row_figures {
    double value[COMPARED_MAX][ROUNDS_MAX];
    double ratio[COMPARED_MAX][ROUNDS_MAX];
    unsigned values[COMPARED_MAX], ratios[COMPARED_MAX];
    char why_not[160];
};

/* Rows of one question and variant: the baseline, and those that are wanted. */
struct contest {
    const struct bench_row *rows[CONTENDERS_MAX];
    size_t count;
};

struct bench_compare {
    const struct bench_row *rows;
    struct row_figures *figures; /* by row */
    struct contest *contests;
    size_t contest_count;
    unsigned rounds;
    /* where it is */
    unsigned round;
    size_t contest, step;
    size_t steps_done, steps_all;
    time_t began_s;
    const struct bench_row *running;
    struct bench_run beside; /* the baseline's last run */
    bool have_beside;
};

static bool compared(const struct bench_question *question)
{
    return question->compared[0] != NULL;
}

static size_t figures_compared(const struct bench_question *question)
{
    size_t count = 0;
    while (count < COMPARED_MAX && question->compared[count] != NULL) {
        count++;
    }
    return count;
}

static size_t steps_of_round(const struct bench_compare *compare)
{
    size_t steps = 0;
    for (size_t i = 0; i < compare->contest_count; i++) {
        size_t others = compare->contests[i].count - 1;
        steps += others + (others < 2 ? 1 : (others + 1) / 2);
    }
    return steps;
}

struct bench_compare *bench_compare_begin(const char *filter, unsigned rounds)
{
    const struct bench_row *rows;
    size_t count = bench_rows(&rows);
    regex_t wanted;
    if (regcomp(&wanted, filter, REG_EXTENDED | REG_NOSUB) != 0) {
        return NULL;
    }
    struct bench_compare *compare = calloc(1, sizeof *compare);
    struct row_figures *figures = calloc(count, sizeof *figures);
    struct contest *contests = calloc(count + 1, sizeof *contests);
    size_t contest_count = 0;
    const struct bench_row *baseline = NULL;
    for (size_t i = 0; i < count && contests != NULL; i++) {
        const struct bench_row *row = &rows[i];
        struct contest *contest = &contests[contest_count];
        if (baseline == NULL || baseline->question != row->question ||
            baseline->variant != row->variant) {
            baseline = row;
            contest_count += contest->count != 0;
            contest = &contests[contest_count];
        }
        if (!compared(row->question) || regexec(&wanted, row->name, 0, NULL, 0) != 0 ||
            contest->count == CONTENDERS_MAX) {
            continue;
        }
        if (contest->count == 0 && row != baseline) {
            contest->rows[contest->count++] = baseline;
        }
        contest->rows[contest->count++] = row;
    }
    if (contests != NULL) {
        contest_count += contests[contest_count].count != 0;
    }
    regfree(&wanted);
    if (compare == NULL || figures == NULL || contests == NULL || contest_count == 0) {
        free(compare);
        free(figures);
        free(contests);
        return NULL;
    }
    *compare = (struct bench_compare){.rows = rows,
                                      .figures = figures,
                                      .contests = contests,
                                      .contest_count = contest_count,
                                      .rounds = rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX};
    compare->steps_all = steps_of_round(compare) * compare->rounds;
    return compare;
}

/* Steps of a contest: the baseline, two others, the baseline, two others, ... Step s of every three is
   the baseline's when s is 0. */
static const struct bench_row *row_of_step(const struct bench_compare *compare, size_t step)
{
    const struct contest *contest = &compare->contests[compare->contest];
    size_t others = contest->count - 1;
    if (step % 3 == 0) {
        bool more = step / 3 * 2 < others || step == 0;
        return more ? contest->rows[0] : NULL;
    }
    size_t other = step / 3 * 2 + step % 3 - 1;
    if (other >= others) {
        return NULL;
    }
    return contest->rows[1 + (other + compare->round) % others];
}

/* Where there is a terminal: how far it is, what runs, and when it will have ended. */
static void show_progress(struct bench_compare *compare)
{
    time_t now_s = time(NULL);
    if (compare->steps_done == 0) {
        compare->began_s = now_s;
    }
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    (void)fprintf(stderr, "\r\033[K[%3zu%%] round %u of %u  %.48s",
                  compare->steps_done * 100 / compare->steps_all, compare->round + 1,
                  compare->rounds, compare->running->name);
    if (compare->steps_done != 0) {
        double left_s = difftime(now_s, compare->began_s) *
                        (double)(compare->steps_all - compare->steps_done) /
                        (double)compare->steps_done;
        (void)fprintf(stderr, "  %u:%02u left", (unsigned)left_s / 60, (unsigned)left_s % 60);
    }
}

bool bench_compare_next(struct bench_compare *compare, const struct bench_row **row,
                        unsigned *round)
{
    while (compare->round < compare->rounds) {
        const struct bench_row *next = row_of_step(compare, compare->step);
        if (next != NULL) {
            compare->step++;
            compare->running = *row = next;
            *round = compare->round;
            show_progress(compare);
            compare->steps_done++;
            return true;
        }
        compare->step = 0;
        compare->have_beside = false;
        if (++compare->contest == compare->contest_count) {
            compare->contest = 0;
            compare->round++;
            (void)fprintf(stderr, "%sround %u of %u done\n",
                          isatty(STDERR_FILENO) ? "\r\033[K" : "", compare->round, compare->rounds);
        }
    }
    return false;
}

static const double *find(const struct bench_run *run, const char *name)
{
    for (size_t i = 0; i < run->figure_count; i++) {
        if (strcmp(run->figures[i].name, name) == 0) {
            return &run->figures[i].value;
        }
    }
    return NULL;
}

void bench_compare_note(struct bench_compare *compare, struct bench_run *run)
{
    const struct bench_row *row = compare->running;
    struct row_figures *figures = &compare->figures[row - compare->rows];
    bool baseline = row->contender == 0;
    if (run->why_not[0] != '\0') {
        memcpy(figures->why_not, run->why_not, sizeof figures->why_not);
        compare->have_beside = compare->have_beside && !baseline;
        return;
    }
    for (size_t i = 0; i < figures_compared(row->question); i++) {
        const char *name = row->question->compared[i];
        const double *value = find(run, name);
        if (value == NULL) {
            continue;
        }
        double own = *value;
        figures->value[i][figures->values[i]++ % ROUNDS_MAX] = own;
        const double *beside = compare->have_beside ? find(&compare->beside, name) : NULL;
        if (!baseline && beside != NULL && *beside != 0) {
            char key[sizeof run->figures[0].name];
            (void)snprintf(key, sizeof key, "beside_%s", name);
            bench_figure(run, key, *beside);
            figures->ratio[i][figures->ratios[i]++ % ROUNDS_MAX] = own / *beside;
        }
    }
    if (baseline) {
        compare->beside = *run;
        compare->have_beside = true;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sorted_median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, ascending);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static bool is_time(const char *name)
{
    size_t length = strlen(name);
    return length > 3 && strcmp(name + length - 3, "_ns") == 0;
}

/* Five places and a unit: 3.21us, 12.3M. */
static void print_number(FILE *to, double value, bool time)
{
    static const char *const counts[] = {"", "k", "M", "G"};
    static const char *const times[] = {"ns", "us", "ms", "s"};
    size_t step = 0;
    while (value >= 1000 && step < 3) {
        value /= 1000;
        step++;
    }
    (void)fprintf(to, "%.*f%s",
                  value < 10    ? 2
                  : value < 100 ? 1
                                : 0,
                  value, time ? times[step] : counts[step]);
}

/* In a column of its own. */
static void print_figure(const char *name, double *values, unsigned count, double *ratios,
                         unsigned ratio_count)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (to == NULL) {
        return;
    }
    print_number(to, sorted_median(values, count), is_time(name));
    (void)fprintf(to, " [");
    print_number(to, values[0], is_time(name));
    (void)fprintf(to, " ");
    print_number(to, values[count - 1], is_time(name));
    (void)fprintf(to, "]");
    if (ratio_count != 0) {
        (void)fprintf(to, " %.2fx", sorted_median(ratios, ratio_count));
    }
    (void)fclose(to);
    (void)printf(" %-32s", text);
    free(text);
}

static void print_row(const struct bench_row *row, struct row_figures *figures)
{
    (void)printf("  %-16s", row->question->contender != NULL
                                ? row->question->contender(row->contender)
                                : row->question->name);
    if (figures->values[0] == 0) {
        (void)printf(" %s\n", figures->why_not[0] != '\0' ? figures->why_not : "no figures");
        return;
    }
    for (size_t i = 0; i < figures_compared(row->question); i++) {
        unsigned n = figures->values[i] < ROUNDS_MAX ? figures->values[i] : ROUNDS_MAX;
        unsigned r = figures->ratios[i] < ROUNDS_MAX ? figures->ratios[i] : ROUNDS_MAX;
        if (n == 0) {
            (void)printf(" %-32s", "-");
            continue;
        }
        print_figure(row->question->compared[i], figures->value[i], n, figures->ratio[i], r);
    }
    (void)printf("\n");
}

/* A question of pairs of nodes and of nobody in particular: a matrix for each figure tells more. */
static bool of_pairs(const struct bench_question *question)
{
    return question->contender == NULL && question->keys[0] != NULL &&
           strcmp(question->keys[0], "from") == 0 && question->keys[1] != NULL &&
           strcmp(question->keys[1], "to") == 0;
}

/* The pairs come row by row. */
static void print_matrix(const struct bench_compare *compare, size_t begin, size_t end,
                         size_t figure)
{
    const struct bench_question *question = compare->contests[begin].rows[0]->question;
    (void)printf("\n%s: %s, from a node (down) to a node (across)\n    ", question->name,
                 question->compared[figure]);
    for (size_t c = begin; c < end; c++) {
        const int64_t *pair = compare->contests[c].rows[0]->values;
        if (pair[0] == compare->contests[begin].rows[0]->values[0]) {
            (void)printf(" %10d", (int)pair[1]);
        }
    }
    for (size_t c = begin; c < end; c++) {
        const struct bench_row *row = compare->contests[c].rows[0];
        struct row_figures *figures = &compare->figures[row - compare->rows];
        if (c == begin || row->values[0] != compare->contests[c - 1].rows[0]->values[0]) {
            (void)printf("\n%4d", (int)row->values[0]);
        }
        unsigned count =
            figures->values[figure] < ROUNDS_MAX ? figures->values[figure] : ROUNDS_MAX;
        char text[32] = "-";
        FILE *to = count != 0 ? fmemopen(text, sizeof text, "w") : NULL;
        if (to != NULL) {
            print_number(to, sorted_median(figures->value[figure], count),
                         is_time(question->compared[figure]));
            (void)fclose(to);
        }
        (void)printf(" %10s", text);
    }
    (void)printf("\n");
}

/* Where the contests of another question begin. */
static size_t end_of_question(const struct bench_compare *compare, size_t begin)
{
    size_t end = begin;
    while (end < compare->contest_count &&
           compare->contests[end].rows[0]->question == compare->contests[begin].rows[0]->question) {
        end++;
    }
    return end;
}

void bench_compare_print(const struct bench_compare *compare)
{
    (void)printf("medians of %u rounds [least - most]; x: to %s run beside, median of the rounds\n",
                 compare->rounds, "the baseline's");
    for (size_t c = 0; c < compare->contest_count; c++) {
        const struct bench_question *question = compare->contests[c].rows[0]->question;
        size_t end = end_of_question(compare, c);
        if (of_pairs(question) && end - c > 1) { /* one node is no matrix */
            for (size_t i = 0; i < figures_compared(question); i++) {
                print_matrix(compare, c, end, i);
            }
            c = end - 1;
            continue;
        }
        const struct contest *contest = &compare->contests[c];
        const struct bench_row *first = contest->rows[0];
        const char *last_slash = strrchr(first->name, '/');
        int length = first->question->contender != NULL && last_slash != NULL
                         ? (int)(last_slash - first->name)
                         : (int)strlen(first->name);
        (void)printf("\n%.*s: %s\n  %-16s", length, first->name, first->question->asks, "");
        for (size_t i = 0; i < figures_compared(first->question); i++) {
            (void)printf(" %-32s", first->question->compared[i]);
        }
        (void)printf("\n");
        for (size_t i = 0; i < contest->count; i++) {
            print_row(contest->rows[i], &compare->figures[contest->rows[i] - compare->rows]);
        }
    }
}

void bench_compare_end(struct bench_compare *compare)
{
    free(compare->figures);
    free(compare->contests);
    free(compare);
}
