/*
 * Medians, the interval of a ratio against cases that can be computed by hand, and what is called a
 * difference: a planted one always, noise almost never.
 */
#include "tool/report_stat.h"

#include "base/prng.h"
#include "tool/report_unit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fmax(1, fabs(expected)))) {
        fail_msg("%.12g is not %.12g", value, expected);
    }
}

static void test_summary(void **state)
{
    (void)state;
    double odd[] = {5, 1, 3};
    assert_near(report_summarize(odd, 3).median, 3);
    assert_near(report_summarize(odd, 3).low, 2);
    assert_near(report_summarize(odd, 3).high, 4);
    double even[] = {4, 1, 3, 2};
    assert_near(report_summarize(even, 4).median, 2.5);
    double holes[] = {NAN, 7, NAN, 9};
    assert_int_equal(report_summarize(holes, 4).count, 2);
    assert_near(report_summarize(holes, 4).median, 8);
    assert_int_equal(report_summarize(holes, 1).count, 0);
    assert_true(isnan(report_summarize(holes, 1).median));
}

static void test_ratios_to_a_baseline(void **state)
{
    (void)state;
    double values[] = {6, 8, 5, NAN};
    double beside[] = {3, 2, 0, 1};
    double ratios[4];
    report_divide(values, beside, 4, ratios);
    assert_near(ratios[0], 2);
    assert_near(ratios[1], 4);
    assert_true(isnan(ratios[2]));
    assert_true(isnan(ratios[3]));
}

/* Nine different values against a constant. The median of nine draws is the least value when five draws are
 * it: 0.15 % of the time, which is below half of 1 %. It is one of the two least in 3.0 %, which is
 * above. So the interval ends at the second value from each side. */
static void test_interval_of_nine(void **state)
{
    (void)state;
    double ones[] = {1, 1, 1, 1, 1};
    double nine[] = {3, 9, 1, 7, 5, 2, 8, 4, 6};
    struct report_change c = report_judge(ones, 5, nine, 9, REPORT_LESS_IS_BETTER, 0);
    assert_near(c.ratio, 5);
    assert_near(c.ratio_low, 2);
    assert_near(c.ratio_high, 8);
    c = report_judge(nine, 9, ones, 5, REPORT_LESS_IS_BETTER, 0);
    assert_near(c.ratio, 0.2);
    assert_near(c.ratio_low, 1.0 / 8);
    assert_near(c.ratio_high, 1.0 / 2);
}

/* Of five the least is the median of five draws in 5.8 %: the interval covers all there are. */
static void test_interval_of_five(void **state)
{
    (void)state;
    double ones[] = {1, 1, 1, 1, 1};
    double five[] = {3, 1, 5, 2, 4};
    struct report_change c = report_judge(ones, 5, five, 5, REPORT_LESS_IS_BETTER, 0);
    assert_near(c.ratio_low, 1);
    assert_near(c.ratio_high, 5);
}

static enum report_verdict judge_shifted(double factor, enum report_direction direction,
                                         double least)
{
    double olds[] = {100, 101, 99, 100.5, 99.5, 100.2};
    double news[COUNT(olds)];
    for (size_t i = 0; i < COUNT(olds); i++) {
        news[i] = olds[i] * factor;
    }
    return report_judge(olds, COUNT(olds), news, COUNT(olds), direction, least).verdict;
}

static void test_verdicts(void **state)
{
    (void)state;
    assert_int_equal(judge_shifted(1.1, REPORT_LESS_IS_BETTER, 0.03), REPORT_WORSE);
    assert_int_equal(judge_shifted(1.1, REPORT_MORE_IS_BETTER, 0.03), REPORT_BETTER);
    assert_int_equal(judge_shifted(0.9, REPORT_LESS_IS_BETTER, 0.03), REPORT_BETTER);
    assert_int_equal(judge_shifted(0.9, REPORT_MORE_IS_BETTER, 0.03), REPORT_WORSE);
    assert_int_equal(judge_shifted(1.1, REPORT_NEITHER, 0.03), REPORT_UNKNOWN);
    assert_int_equal(judge_shifted(1.0, REPORT_LESS_IS_BETTER, 0.03), REPORT_SAME);
    /* Beyond doubt, but too little to matter. */
    assert_int_equal(judge_shifted(1.025, REPORT_LESS_IS_BETTER, 0.03), REPORT_SAME);
    assert_int_equal(judge_shifted(1.025, REPORT_LESS_IS_BETTER, 0.01), REPORT_WORSE);
}

static void test_too_few_rounds(void **state)
{
    (void)state;
    double olds[] = {100, 100, 100, 100, 100};
    double news[] = {300, 300, 300, 300, NAN};
    assert_int_equal(report_judge(olds, 5, news, 5, REPORT_LESS_IS_BETTER, 0).verdict, REPORT_FEW);
    assert_int_equal(report_judge(olds, 5, news, 5, REPORT_NEITHER, 0).verdict, REPORT_UNKNOWN);
    news[4] = 300;
    assert_int_equal(report_judge(olds, 5, news, 5, REPORT_LESS_IS_BETTER, 0).verdict,
                     REPORT_WORSE);
}

static void test_no_ratio(void **state)
{
    (void)state;
    double some[] = {1, 2, 3, 4, 5};
    double zero[] = {0, 2, 3, 4, 5};
    assert_int_equal(report_judge(zero, 5, some, 5, REPORT_LESS_IS_BETTER, 0).verdict,
                     REPORT_UNKNOWN);
    assert_int_equal(report_judge(some, 5, zero, 5, REPORT_LESS_IS_BETTER, 0).verdict,
                     REPORT_UNKNOWN);
    assert_int_equal(report_judge(some, 0, some, 5, REPORT_LESS_IS_BETTER, 0).verdict,
                     REPORT_UNKNOWN);
}

/* Skewed as latencies are: a share of the rounds takes much longer. */
static void draw_rounds(struct npi_prng *prng, double *values, size_t count, double factor,
                        double longer)
{
    for (size_t i = 0; i < count; i++) {
        double u = npi_prng_unit(prng);
        values[i] = factor * (100 + 10 * npi_prng_unit(prng) + (u < longer ? 50 : 0));
    }
}

static unsigned called_different(size_t rounds, double factor, double longer)
{
    struct npi_prng prng;
    npi_prng_seed(&prng, 7);
    unsigned count = 0;
    for (int i = 0; i < 200; i++) {
        double olds[16];
        double news[16];
        draw_rounds(&prng, olds, rounds, 1, longer);
        draw_rounds(&prng, news, rounds, factor, longer);
        enum report_verdict verdict =
            report_judge(olds, rounds, news, rounds, REPORT_LESS_IS_BETTER, 0.03).verdict;
        assert_int_not_equal(verdict, REPORT_FEW);
        count += verdict == REPORT_WORSE || (factor <= 1 && verdict == REPORT_BETTER);
    }
    return count;
}

/* The seeds are fixed, so these are counts, not chances. */
static void test_noise_and_planted(void **state)
{
    (void)state;
    unsigned five = called_different(5, 1, 0.2);
    unsigned ten = called_different(10, 1, 0.2);
    unsigned planted = called_different(10, 1.25, 0.05);
    print_message("noise: %u and %u of 200; planted: %u of 200\n", five, ten, planted);
    assert_true(five <= 6 && ten <= 6);
    assert_true(planted >= 170);
}

static void test_directions(void **state)
{
    (void)state;
    static const char *const more[] = {"tasks_per_s", "stream_gb_per_s"};
    static const char *const less[] = {
        "p99_ns",       "e2e_ms", "cpu_request_us",     "cpu_pct", "rss_peak_bytes",
        "slowdown_p99", "ns",     "switches_per_s_idle"};
    static const char *const neither[] = {"completed", "offered_per_s", "cpu_s", "tens"};
    for (size_t i = 0; i < COUNT(more); i++) {
        assert_int_equal(report_direction(more[i]), REPORT_MORE_IS_BETTER);
    }
    for (size_t i = 0; i < COUNT(less); i++) {
        assert_int_equal(report_direction(less[i]), REPORT_LESS_IS_BETTER);
    }
    for (size_t i = 0; i < COUNT(neither); i++) {
        assert_int_equal(report_direction(neither[i]), REPORT_NEITHER);
    }
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        double value;
        const char *text;
    } cases[] = {
        {"p50_ns", 12.34, "12.3 ns"},
        {"p50_ns", 999.6, "1 µs"},
        {"p50_ns", 1234567, "1.23 ms"},
        {"wait_us", 0, "0 s"},
        {"e2e_ms", 61000, "61 s"},
        {"tasks_per_s", 1254000, "1.25 M/s"},
        {"stream_gb_per_s", 11.4, "11.4 GB/s"},
        {"rss_peak_bytes", 1380e6, "1.38 GB"},
        {"cpu_pct", 97.25, "97.2 %"},
        {"slowdown_p99", 1.5, "1.5"},
        {"threads", 32450, "32450"},
        {"p50_ns", NAN, "–"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[REPORT_VALUE_BYTES];
        report_format(text, cases[i].key, cases[i].value);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_percentiles(void **state)
{
    (void)state;
    double q = 0;
    double seconds = 0;
    size_t prefix = 9;
    assert_true(report_percentile("p999_ns", &q, &prefix, &seconds));
    assert_near(q, 0.999);
    assert_near(seconds, 1e-9);
    assert_int_equal(prefix, 0);
    assert_true(report_percentile("short_p50_us", &q, &prefix, &seconds));
    assert_near(q, 0.5);
    assert_int_equal(prefix, strlen("short_"));
    static const char *const others[] = {"max_ns", "p_ns", "p99_per_s", "p99x_ns", "slowdown_p99"};
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_false(report_percentile(others[i], &q, &prefix, &seconds));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary),          cmocka_unit_test(test_ratios_to_a_baseline),
        cmocka_unit_test(test_interval_of_nine), cmocka_unit_test(test_interval_of_five),
        cmocka_unit_test(test_verdicts),         cmocka_unit_test(test_too_few_rounds),
        cmocka_unit_test(test_no_ratio),         cmocka_unit_test(test_noise_and_planted),
        cmocka_unit_test(test_directions),       cmocka_unit_test(test_formats),
        cmocka_unit_test(test_percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
