/* Smoothed means: weights stay weights, whatever the interval; integers arrive where they should.
 */
#include "unit/core_support.h"

#include "base/ewma.h"

static void a_weight_is_between_nothing_and_all(void **state)
{
    (void)state;
    static const double intervals[] = {0, -1, 1, 1e3, 1e6, 1e9, 1e12, 1e18, 1e300};
    double before = 0.0;
    for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
        double weight = npi_ewma_weight(intervals[i], 50e6);
        assert_true(weight >= before && weight <= 1.0);
        before = weight;
    }
    assert_true(npi_ewma_weight(0, 50e6) == 0.0);
    assert_true(npi_ewma_weight(-5, 50e6) == 0.0);
    assert_true(npi_ewma_weight(1, 0) == 1.0);
    assert_true(npi_ewma_weight(1e300, 1e-300) == 1.0);
    assert_true(npi_ewma_weight(0.0 / (double)(before - before), 1) == 0.0); /* not a number */
}

static void a_weight_is_close_to_the_exponential(void **state)
{
    (void)state;
    /* x, 1 - exp(-x), and how far off the weight may be, as a part of it */
    static const double exact[][3] = {{0.01, 0.00995016625083195, 0.0001},
                                      {0.1, 0.0951625819640404, 0.0015},
                                      {0.2, 0.181269246922018, 0.0053},
                                      {1.0, 0.632120558828558, 0.06}};
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        double weight = npi_ewma_weight(exact[i][0] * 50e6, 50e6);
        double off = weight > exact[i][1] ? weight - exact[i][1] : exact[i][1] - weight;
        assert_true(off <= exact[i][2] * exact[i][1]);
    }
}

static void a_mix_lies_between(void **state)
{
    (void)state;
    assert_true(npi_ewma_mix(10, 0, 20) == 10);
    assert_true(npi_ewma_mix(10, 1, 20) == 20);
    assert_true(npi_ewma_mix(10, 0.25, 20) == 12.5);
    assert_true(npi_ewma_mix(20, 0.25, 10) == 17.5);
}

static void integers_reach_a_constant_and_never_overshoot(void **state)
{
    (void)state;
    static const uint64_t ends[] = {0, 1, 7, 1000, UINT64_C(1) << 40, UINT64_MAX >> 1};
    for (unsigned shift = 0; shift <= 10; shift++) {
        for (size_t from = 0; from < sizeof ends / sizeof ends[0]; from++) {
            for (size_t to = 0; to < sizeof ends / sizeof ends[0]; to++) {
                uint64_t mean = ends[from], target = ends[to];
                unsigned steps = 0;
                while (mean != target) {
                    uint64_t next = npi_ewma_shift(mean, target, shift);
                    if (target > mean) {
                        assert_true(next > mean && next <= target);
                    } else {
                        assert_true(next < mean && next >= target);
                    }
                    mean = next;
                    assert_true(++steps < 64u << shift);
                }
                assert_int_equal(npi_ewma_shift(mean, target, shift), target);
            }
        }
    }
}

static void a_sample_weighs_what_the_shift_says(void **state)
{
    (void)state;
    assert_int_equal(npi_ewma_shift(1000, 1800, 3), 1100);
    assert_int_equal(npi_ewma_shift(1800, 1000, 3), 1700);
    assert_int_equal(npi_ewma_shift(1000, 1001, 3), 1001); /* rounded toward the sample */
    assert_int_equal(npi_ewma_shift(1000, 999, 3), 999);
    assert_int_equal(npi_ewma_shift(5, 900, 0), 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_weight_is_between_nothing_and_all),
        cmocka_unit_test(a_weight_is_close_to_the_exponential),
        cmocka_unit_test(a_mix_lies_between),
        cmocka_unit_test(integers_reach_a_constant_and_never_overshoot),
        cmocka_unit_test(a_sample_weighs_what_the_shift_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
