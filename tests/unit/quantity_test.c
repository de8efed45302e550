/* Times, sizes and fractions between text and number: exact, both ways, under every locale. */
#include "unit/topology_support.h"

#include "topology/quantity.h"

#include <locale.h>
#include <string.h>

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t time_ns;
    } good[] = {
        {"0ns", 0},
        {"1ns", 1},
        {"10us", 10000},
        {"10ms", 10000000},
        {"1.5ms", 1500000},
        {"0.000001ms", 1},
        {"2 s", 2000000000},
        {"3min", UINT64_C(180000000000)},
        {"24h", UINT64_C(86400000000000)},
        {"18446744073709551614ns", UINT64_C(18446744073709551614)},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t time_ns = 77;
        assert_int_equal(npi_time_parse(good[i].text, &time_ns), NPI_QUANTITY_READ);
        assert_int_equal(time_ns, good[i].time_ns);
    }
    static const struct {
        const char *text;
        enum npi_quantity problem;
    } bad[] = {
        {"", NPI_QUANTITY_NO_NUMBER},
        {"ms", NPI_QUANTITY_NO_NUMBER},
        {"-1ms", NPI_QUANTITY_NO_NUMBER},
        {"+1ms", NPI_QUANTITY_NO_NUMBER},
        {" 1ms", NPI_QUANTITY_NO_NUMBER},
        {".5s", NPI_QUANTITY_NO_NUMBER},
        {"10", NPI_QUANTITY_NO_UNIT},
        {"10 ", NPI_QUANTITY_NO_UNIT},
        {"10m", NPI_QUANTITY_BAD_UNIT},
        {"10MS", NPI_QUANTITY_BAD_UNIT},
        {"10ms ", NPI_QUANTITY_BAD_UNIT},
        {"1e3ms", NPI_QUANTITY_BAD_UNIT},
        {"1.ms", NPI_QUANTITY_BAD_UNIT},
        {"1,5ms", NPI_QUANTITY_BAD_UNIT},
        {"0x10ms", NPI_QUANTITY_BAD_UNIT},
        {"1.5ns", NPI_QUANTITY_TOO_FINE},
        {"0.0000000001s", NPI_QUANTITY_TOO_FINE},
        {"18446744073709551615ns", NPI_QUANTITY_TOO_LARGE}, /* this is "off" */
        {"18446744073709551616ns", NPI_QUANTITY_TOO_LARGE},
        {"99999999999999999999999999999999999999999s", NPI_QUANTITY_TOO_LARGE},
        {"5124096h", NPI_QUANTITY_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t time_ns = 77;
        if (npi_time_parse(bad[i].text, &time_ns) != bad[i].problem)
            fail_msg("\"%s\" gives %d", bad[i].text, npi_time_parse(bad[i].text, &time_ns));
        assert_int_equal(time_ns, 77);
    }
}

static void sizes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"17", 17},
        {"4K", 4096},
        {"4KiB", 4096},
        {"1.5M", 1572864},
        {"16 G", UINT64_C(17179869184)},
        {"1T", UINT64_C(1) << 40},
        {"0.5K", 512},
        {"2GiB", UINT64_C(2147483648)},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t bytes = 77;
        assert_int_equal(npi_bytes_parse(good[i].text, &bytes), NPI_QUANTITY_READ);
        assert_int_equal(bytes, good[i].bytes);
    }
    static const struct {
        const char *text;
        enum npi_quantity problem;
    } bad[] = {
        {"", NPI_QUANTITY_NO_NUMBER},    {"G", NPI_QUANTITY_NO_NUMBER},
        {"-4K", NPI_QUANTITY_NO_NUMBER}, {"4KB", NPI_QUANTITY_BAD_UNIT},
        {"4k", NPI_QUANTITY_BAD_UNIT},   {"4GB", NPI_QUANTITY_BAD_UNIT},
        {"4iB", NPI_QUANTITY_BAD_UNIT},  {"1.0001K", NPI_QUANTITY_TOO_FINE},
        {"1.5", NPI_QUANTITY_TOO_FINE},  {"16777216T", NPI_QUANTITY_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes = 77;
        if (npi_bytes_parse(bad[i].text, &bytes) != bad[i].problem)
            fail_msg("\"%s\" gives %d", bad[i].text, npi_bytes_parse(bad[i].text, &bytes));
        assert_int_equal(bytes, 77);
    }
}

static void counts_are_digits_only(void **state)
{
    (void)state;
    uint64_t count = 0;
    assert_true(npi_count_parse("0", &count) && count == 0);
    assert_true(npi_count_parse("18446744073709551614", &count));
    assert_int_equal(count, UINT64_C(18446744073709551614));
    static const char *const bad[] = {
        "", "-1", "+1", "1.0", "1k", " 1", "1 ", "0x1", "18446744073709551615"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(npi_count_parse(bad[i], &count));
}

static void times_and_sizes_read_back(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int round = 0; round < 20000; round++) {
        uint64_t value =
            ((uint64_t)next_random(&seed) << 32 | next_random(&seed)) >> (next_random(&seed) % 64);
        if (next_random(&seed) % 2)
            value -= value % 1000000;
        uint64_t again = 0;
        char text[NPI_QUANTITY_TEXT];
        npi_time_text(value, text);
        assert_int_equal(npi_time_parse(text, &again), NPI_QUANTITY_READ);
        assert_int_equal(again, value);
        npi_bytes_text(value, text);
        assert_int_equal(npi_bytes_parse(text, &again), NPI_QUANTITY_READ);
        assert_int_equal(again, value);
    }
    char text[NPI_QUANTITY_TEXT];
    npi_time_text(10000000, text);
    assert_string_equal(text, "10ms");
    npi_time_text(UINT64_C(90000000000), text);
    assert_string_equal(text, "90s");
    npi_bytes_text(262144, text);
    assert_string_equal(text, "256K");
    npi_bytes_text(1000, text);
    assert_string_equal(text, "1000");
}

static void fractions_read_back(void **state)
{
    (void)state;
    uint64_t seed = 6;
    for (int round = 0; round < 5000; round++) {
        double share = 0.01 + (double)next_random(&seed) / 8765432100.0, again = 0;
        char text[NPI_QUANTITY_TEXT];
        npi_share_text(share, text);
        assert_true(npi_share_parse(text, &again));
        assert_memory_equal(&share, &again, sizeof share);
    }
    char text[NPI_QUANTITY_TEXT];
    npi_share_text(0.15, text);
    assert_string_equal(text, "0.15");
    double share;
    static const char *const bad[] = {"",     ".5",  "0,5", "-0.1",  "1e-1",
                                      "0.1 ", "nan", "inf", "0x1p-3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(npi_share_parse(bad[i], &share));
}

static void a_decimal_comma_changes_nothing(void **state)
{
    (void)state;
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    const char *chosen = NULL;
    for (size_t i = 0; i < sizeof locales / sizeof *locales && chosen == NULL; i++)
        chosen = setlocale(LC_ALL, locales[i]);
    if (chosen == NULL) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    fractions_read_back(NULL);
    times_are_read(NULL);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),         cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(counts_are_digits_only), cmocka_unit_test(times_and_sizes_read_back),
        cmocka_unit_test(fractions_read_back),    cmocka_unit_test(a_decimal_comma_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
