/* Random numbers: the published sequence of splitmix64, and ranges that are never left. */
#include "unit/core_support.h"

static void the_published_sequence(void **state)
{
    (void)state;
    static const uint64_t of_zero[] = {UINT64_C(0xe220a8397b1dcdaf), UINT64_C(0x6e789e6aa1b965f4),
                                       UINT64_C(0x06c45d188009454f)};
    static const uint64_t of_1234567[] = {
        UINT64_C(6457827717110365317), UINT64_C(3203168211198807973), UINT64_C(9817491932198370423),
        UINT64_C(4593380528125082431)};
    struct npi_prng prng;
    npi_prng_seed(&prng, 0);
    for (size_t i = 0; i < sizeof of_zero / sizeof of_zero[0]; i++) {
        assert_int_equal(npi_prng_next(&prng), of_zero[i]);
    }
    npi_prng_seed(&prng, 1234567);
    for (size_t i = 0; i < sizeof of_1234567 / sizeof of_1234567[0]; i++) {
        assert_int_equal(npi_prng_next(&prng), of_1234567[i]);
    }
}

static void reducing_covers_the_range_and_no_more(void **state)
{
    (void)state;
    static const uint32_t bounds[] = {1, 2, 3, 7, 64, 1000003, UINT32_MAX};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        assert_int_equal(npi_prng_reduce(0, bounds[i]), 0);
        assert_int_equal(npi_prng_reduce(UINT32_MAX, bounds[i]), bounds[i] - 1);
    }
    assert_int_equal(npi_prng_reduce(UINT32_MAX, 0), 0);
}

static void choices_are_spread_evenly(void **state)
{
    (void)state;
    enum { SIDES = 7, ROLLS = 70000 };
    unsigned seen[SIDES] = {0};
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    for (int i = 0; i < ROLLS; i++) {
        uint32_t side = npi_prng_below(&prng, SIDES);
        assert_true(side < SIDES);
        seen[side]++;
    }
    /* The deviation of a count is about 93; six of them are met once in a billion seeds. */
    for (int side = 0; side < SIDES; side++) {
        assert_in_range(seen[side], ROLLS / SIDES - 560, ROLLS / SIDES + 560);
    }
}

static void unit_stays_below_one(void **state)
{
    (void)state;
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    unsigned low = 0;
    for (int i = 0; i < 40000; i++) {
        double value = npi_prng_unit(&prng);
        assert_true(value >= 0.0 && value < 1.0);
        low += value < 0.25;
    }
    assert_in_range(low, 10000 - 600, 10000 + 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_sequence),
        cmocka_unit_test(reducing_covers_the_range_and_no_more),
        cmocka_unit_test(choices_are_spread_evenly),
        cmocka_unit_test(unit_stays_below_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
