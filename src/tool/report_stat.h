/*
 * What may be said about figures that were measured several times. Pure: same numbers, same answer; the
 * resampling has a fixed seed.
 */
#ifndef NPI_TOOL_REPORT_STAT_H
#define NPI_TOOL_REPORT_STAT_H

#include <stddef.h>

/* With fewer, the interval below is narrower than the noise: of four rounds one in eight runs has all
 * four on one side of the true median, of five one in sixteen. */
enum { REPORT_ROUNDS_LEAST = 5 };

struct report_summary {
    size_t count;  /* of values that are there */
    double median; /* NAN without any, as the next two */
    double low;    /* half of the values */
    double high;   /* lie between these */
};

enum report_verdict {
    REPORT_SAME,    /* no difference seen */
    REPORT_BETTER,  /* faster, where the figure is a time or a rate */
    REPORT_WORSE,   /* slower */
    REPORT_FEW,     /* too few rounds to say */
    REPORT_UNKNOWN, /* no telling which direction is better, or what a ratio would be */
};

enum report_direction { REPORT_NEITHER, REPORT_MORE_IS_BETTER, REPORT_LESS_IS_BETTER };

struct report_change {
    struct report_summary old_summary;
    struct report_summary new_summary;
    double ratio; /* of the medians, new to old */
    double ratio_low;
    double ratio_high;
    enum report_verdict verdict;
};

/* Values that are NAN are not counted, here and below. */
struct report_summary report_summarize(const double *values, size_t count);

/* values[i] / others[i], NAN where one is missing or the divisor is not above zero. */
void report_divide(const double *values, const double *others, size_t count, double *ratios);

/* Better or worse when the interval that holds 99 % of the resampled ratios leaves 1 out and the ratio
 * itself is off by at least `least` (0.03 is 3 %). */
struct report_change report_judge(const double *old_values, size_t old_count,
                                  const double *new_values, size_t new_count,
                                  enum report_direction direction, double least);

#endif
