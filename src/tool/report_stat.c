/*
 * Medians, and the bootstrap for their ratio: rounds are drawn with replacement from those there are,
 * the ratio of the medians is taken each time, and what the middle 99 % of these ratios cover is where
 * the true one may lie. Nothing is assumed of the distribution, which for latencies is never normal.
 */
#include "tool/report_stat.h"

#include "base/prng.h"
#include "tool/report_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The interval's ends are the 20th value from each side, which move by a few places with the seed. */
enum { RESAMPLES = 4000 };

/* A page judges dozens of figures at once. With this, at most 2 of 100 pairs of equal runs were called
 * different by 3 % (250 pairs each of 5 to 15 rounds with normal, skewed and log-normal noise); with
 * 95 % it was 5, a false alarm on every page. */
static const double covered = 0.99;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between two neighbours in proportion. `sorted` must not be empty. */
static double quantile(const double *sorted, size_t count, double q)
{
    double place = q * (double)(count - 1);
    size_t below = (size_t)place;
    if (below + 1 >= count) {
        return sorted[count - 1];
    }
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

static size_t keep_numbers(const double *values, size_t count, double *kept)
{
    size_t n = 0;
    for (size_t i = 0; i < count && n < REPORT_ROUNDS_MAX; i++) {
        if (!isnan(values[i])) {
            kept[n++] = values[i];
        }
    }
    return n;
}

static struct report_summary summarize_sorted(const double *sorted, size_t count)
{
    if (count == 0) {
        return (struct report_summary){0, NAN, NAN, NAN};
    }
    return (struct report_summary){count, quantile(sorted, count, 0.5),
                                   quantile(sorted, count, 0.25), quantile(sorted, count, 0.75)};
}

struct report_summary report_summarize(const double *values, size_t count)
{
    double kept[REPORT_ROUNDS_MAX];
    size_t n = keep_numbers(values, count, kept);
    qsort(kept, n, sizeof *kept, by_value);
    return summarize_sorted(kept, n);
}

void report_divide(const double *values, const double *others, size_t count, double *ratios)
{
    for (size_t i = 0; i < count; i++) {
        ratios[i] = others[i] > 0 ? values[i] / others[i] : NAN;
    }
}

/* As many values are drawn as there are. They are counted instead of sorted, since they come from a list
 * that is sorted already. */
static double resampled_median(struct npi_prng *prng, const double *sorted, size_t count)
{
    unsigned drawn[REPORT_ROUNDS_MAX];
    memset(drawn, 0, count * sizeof *drawn);
    for (size_t i = 0; i < count; i++) {
        drawn[npi_prng_below(prng, (uint32_t)count)]++;
    }
    size_t below = 0; /* the two in the middle, which are one when the count is odd */
    size_t above = 0;
    size_t seen = drawn[0];
    for (; seen <= (count - 1) / 2; seen += drawn[below]) {
        below++;
    }
    for (above = below; seen <= count / 2; seen += drawn[above]) {
        above++;
    }
    return (sorted[below] + sorted[above]) / 2;
}

static enum report_verdict verdict_of(const struct report_change *change,
                                      enum report_direction direction, double least)
{
    bool inside = change->ratio_low <= 1 && change->ratio_high >= 1;
    if (inside || fabs(change->ratio - 1) < least) {
        return REPORT_SAME;
    }
    return (change->ratio > 1) == (direction == REPORT_MORE_IS_BETTER) ? REPORT_BETTER
                                                                       : REPORT_WORSE;
}

struct report_change report_judge(const double *old_values, size_t old_count,
                                  const double *new_values, size_t new_count,
                                  enum report_direction direction, double least)
{
    double olds[REPORT_ROUNDS_MAX];
    double news[REPORT_ROUNDS_MAX];
    double ratios[RESAMPLES];
    size_t old_n = keep_numbers(old_values, old_count, olds);
    size_t new_n = keep_numbers(new_values, new_count, news);
    qsort(olds, old_n, sizeof *olds, by_value);
    qsort(news, new_n, sizeof *news, by_value);

    struct report_change change = {
        .old_summary = summarize_sorted(olds, old_n),
        .new_summary = summarize_sorted(news, new_n),
        .ratio = NAN,
        .ratio_low = NAN,
        .ratio_high = NAN,
        .verdict = REPORT_UNKNOWN,
    };
    if (old_n == 0 || new_n == 0 || !(olds[0] > 0) || !(news[0] > 0)) {
        return change; /* a ratio to zero says nothing */
    }
    change.ratio = change.new_summary.median / change.old_summary.median;
    if (old_n < REPORT_ROUNDS_LEAST || new_n < REPORT_ROUNDS_LEAST) {
        change.verdict = direction == REPORT_NEITHER ? REPORT_UNKNOWN : REPORT_FEW;
        return change;
    }
    struct npi_prng prng;
    npi_prng_seed(&prng, 1);
    for (size_t i = 0; i < RESAMPLES; i++) {
        double divisor = resampled_median(&prng, olds, old_n);
        ratios[i] = resampled_median(&prng, news, new_n) / divisor;
    }
    qsort(ratios, RESAMPLES, sizeof *ratios, by_value);
    change.ratio_low = quantile(ratios, RESAMPLES, (1 - covered) / 2);
    change.ratio_high = quantile(ratios, RESAMPLES, 1 - (1 - covered) / 2);
    if (direction != REPORT_NEITHER) {
        change.verdict = verdict_of(&change, direction, least);
    }
    return change;
}
