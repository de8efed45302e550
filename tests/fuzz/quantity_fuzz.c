/*
 * Times, sizes, counts and fractions: whatever is read has to be written so that it reads back
 * equal, and has to be the number that slow and simple arithmetic finds.
 */
#include "fuzz/fuzz.h"

#include "topology/quantity.h"

#include <stdlib.h>
#include <string.h>

/* The value of "12.5" times a unit by long multiplication in decimal; false = not a whole number or
 * too large. */
static bool slow_value(const char *text, uint64_t unit, uint64_t *value)
{
    unsigned __int128 whole = 0;
    size_t at = 0;
    for (; text[at] >= '0' && text[at] <= '9'; at++) {
        whole = whole * 10 + (unsigned)(text[at] - '0');
        if (whole > UINT64_MAX)
            return false;
    }
    whole *= unit;
    if (text[at] == '.') {
        /* Digit by digit: what is left of the unit after each must come out even at the end. */
        unsigned __int128 part = 0, power = 1;
        for (at++; text[at] >= '0' && text[at] <= '9' && power < (unsigned __int128)1 << 60; at++) {
            part = part * 10 + (unsigned)(text[at] - '0');
            power *= 10;
        }
        if (part * unit % power != 0)
            return false;
        whole += part * unit / power;
    }
    *value = (uint64_t)whole;
    return whole < UINT64_MAX;
}

static const char *unit_of(const char *text)
{
    return text + strspn(text, "0123456789. ");
}

static void check_time(const char *text)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"h", 3600000000000}, {"min", 60000000000}, {"s", 1000000000},
                 {"ms", 1000000},      {"us", 1000},         {"ns", 1}};
    uint64_t time_ns = 42, again = 0, slow = 0;
    if (npi_time_parse(text, &time_ns) != NPI_QUANTITY_READ) {
        fuzz_check(time_ns == 42);
        return;
    }
    size_t i = 0;
    while (i < sizeof units / sizeof *units && strcmp(units[i].name, unit_of(text)) != 0)
        i++;
    fuzz_check(i < sizeof units / sizeof *units);
    fuzz_check(slow_value(text, units[i].ns, &slow) && slow == time_ns);
    char written[NPI_QUANTITY_TEXT];
    npi_time_text(time_ns, written);
    fuzz_check(npi_time_parse(written, &again) == NPI_QUANTITY_READ && again == time_ns);
}

static void check_bytes(const char *text)
{
    static const char letters[] = "KMGT";
    uint64_t bytes = 42, again = 0, slow = 0;
    if (npi_bytes_parse(text, &bytes) != NPI_QUANTITY_READ) {
        fuzz_check(bytes == 42);
        return;
    }
    const char *unit = unit_of(text);
    const char *letter = *unit != '\0' ? strchr(letters, *unit) : NULL;
    fuzz_check(*unit == '\0' || letter != NULL);
    unsigned shift = letter != NULL ? 10 * (unsigned)(letter - letters + 1) : 0;
    fuzz_check(slow_value(text, UINT64_C(1) << shift, &slow) && slow == bytes);
    char written[NPI_QUANTITY_TEXT];
    npi_bytes_text(bytes, written);
    fuzz_check(npi_bytes_parse(written, &again) == NPI_QUANTITY_READ && again == bytes);
}

static void check_count(const char *text)
{
    uint64_t count = 42;
    if (!npi_count_parse(text, &count)) {
        fuzz_check(count == 42);
        return;
    }
    fuzz_check(text[strspn(text, "0123456789")] == '\0');
    fuzz_check(count == strtoull(text, NULL, 10));
}

static void check_share(const char *text)
{
    double share = 42, again = -1;
    if (!npi_share_parse(text, &share)) {
        fuzz_check(share >= 42 && share <= 42);
        return;
    }
    double expected = strtod(text, NULL);
    fuzz_check(share >= expected && share <= expected);
    char written[NPI_QUANTITY_TEXT];
    npi_share_text(share, written);
    fuzz_check(strlen(written) < sizeof written);
    /* Fractions of interest are exact; what lies outside every bound only has to be told of. */
    if (share >= 0.001 && share <= 1000)
        fuzz_check(npi_share_parse(written, &again) && again >= share && again <= share);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_string(data, size);
    check_time(text);
    check_bytes(text);
    check_count(text);
    check_share(text);
    free(text);
    return 0;
}
