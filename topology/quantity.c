/* Times, sizes and fractions as text; see quantity.h. */
#include "topology/quantity.h"

#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t size;
};

static const struct unit time_units[] = {
    {"h", UINT64_C(3600000000000)},
    {"min", UINT64_C(60000000000)},
    {"s", 1000000000},
    {"ms", 1000000},
    {"us", 1000},
    {"ns", 1},
};
static const struct unit byte_units[] = {
    {"T", UINT64_C(1) << 40},
    {"G", UINT64_C(1) << 30},
    {"M", UINT64_C(1) << 20},
    {"K", UINT64_C(1) << 10},
    {"", 1},
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Whole and fractional digits times a unit, exactly. The fraction is kept as a numerator over a
 * power of ten; 18 digits of it fit.
 */
static enum npi_quantity scale(const char *digits, size_t whole_length, size_t length,
                               uint64_t unit, uint64_t *result)
{
    unsigned __int128 whole = 0, part = 0, power = 1;
    for (size_t i = 0; i < whole_length; i++) {
        whole = whole * 10 + (unsigned)(digits[i] - '0');
        if (whole > UINT64_MAX)
            return NPI_QUANTITY_TOO_LARGE;
    }
    for (size_t i = whole_length + 1; i < length; i++) {
        if (i - whole_length > 18)
            return NPI_QUANTITY_TOO_FINE;
        part = part * 10 + (unsigned)(digits[i] - '0');
        power *= 10;
    }
    if (part * unit % power != 0)
        return NPI_QUANTITY_TOO_FINE;
    unsigned __int128 value = whole * unit + part * unit / power;
    /* The largest number means "off" elsewhere, so it is no quantity either. */
    if (value >= UINT64_MAX)
        return NPI_QUANTITY_TOO_LARGE;
    *result = (uint64_t)value;
    return NPI_QUANTITY_READ;
}

/* Splits "12.5 ms": lengths of the whole digits and of the number; 0 = no number. */
static size_t number_length(const char *text, size_t *whole_length)
{
    size_t at = 0;
    while (is_digit(text[at]))
        at++;
    *whole_length = at;
    if (at > 0 && text[at] == '.' && is_digit(text[at + 1]))
        for (at++; is_digit(text[at]);)
            at++;
    return at;
}

enum npi_quantity npi_time_parse(const char *text, uint64_t *time_ns)
{
    size_t whole_length, length = number_length(text, &whole_length);
    if (length == 0)
        return NPI_QUANTITY_NO_NUMBER;
    const char *unit = text + length + strspn(text + length, " ");
    if (*unit == '\0')
        return NPI_QUANTITY_NO_UNIT;
    for (size_t i = 0; i < COUNT_OF(time_units); i++)
        if (strcmp(unit, time_units[i].name) == 0)
            return scale(text, whole_length, length, time_units[i].size, time_ns);
    return NPI_QUANTITY_BAD_UNIT;
}

enum npi_quantity npi_bytes_parse(const char *text, uint64_t *bytes)
{
    size_t whole_length, length = number_length(text, &whole_length);
    if (length == 0)
        return NPI_QUANTITY_NO_NUMBER;
    const char *unit = text + length + strspn(text + length, " ");
    for (size_t i = 0; i < COUNT_OF(byte_units); i++) {
        const char *name = byte_units[i].name;
        size_t name_length = strlen(name);
        if (strncmp(unit, name, name_length) != 0)
            continue;
        const char *rest = unit + name_length;
        if (*rest == '\0' || (name_length > 0 && strcmp(rest, "iB") == 0))
            return scale(text, whole_length, length, byte_units[i].size, bytes);
    }
    return NPI_QUANTITY_BAD_UNIT;
}

bool npi_count_parse(const char *text, uint64_t *count)
{
    size_t whole_length, length = number_length(text, &whole_length);
    return length > 0 && length == whole_length && text[length] == '\0' &&
           scale(text, whole_length, length, 1, count) == NPI_QUANTITY_READ;
}

bool npi_share_parse(const char *text, double *share)
{
    size_t whole_length, length = number_length(text, &whole_length);
    const char *point = nl_langinfo(RADIXCHAR);
    char local[64];
    if (length == 0 || text[length] != '\0' || length + strlen(point) >= sizeof local)
        return false;
    (void)snprintf(local, sizeof local, "%.*s%s%s", (int)whole_length, text,
                   length > whole_length ? point : "",
                   length > whole_length ? text + whole_length + 1 : "");
    *share = strtod(local, NULL);
    return true;
}

static void write_units(const struct unit *units, size_t count, uint64_t value, char *text)
{
    size_t i = 0;
    while (i + 1 < count && (value == 0 || value % units[i].size != 0))
        i++;
    (void)snprintf(text, NPI_QUANTITY_TEXT, "%llu%s", (unsigned long long)(value / units[i].size),
                   units[i].name);
}

void npi_time_text(uint64_t time_ns, char text[NPI_QUANTITY_TEXT])
{
    write_units(time_units, COUNT_OF(time_units), time_ns, text);
}

void npi_bytes_text(uint64_t bytes, char text[NPI_QUANTITY_TEXT])
{
    write_units(byte_units, COUNT_OF(byte_units), bytes, text);
}

/* The decimal point of the locale becomes a point. */
static void use_point(const char *local, char *text)
{
    const char *point = nl_langinfo(RADIXCHAR);
    const char *at = strstr(local, point);
    size_t before = at != NULL ? (size_t)(at - local) : strlen(local);
    (void)snprintf(text, NPI_QUANTITY_TEXT, "%.*s%s%s", (int)before, local, at != NULL ? "." : "",
                   at != NULL ? at + strlen(point) : "");
}

void npi_share_text(double share, char text[NPI_QUANTITY_TEXT])
{
    /* 17 significant digits always suffice, and fractions of interest begin within the first three.
     */
    enum { DIGITS_MAX = 20 };
    char local[NPI_QUANTITY_TEXT];
    for (int digits = 1; digits <= DIGITS_MAX; digits++) {
        int length = snprintf(local, sizeof local, "%.*f", digits, share);
        double again = strtod(local, NULL);
        if (length > 0 && (size_t)length < sizeof local && again >= share && again <= share) {
            use_point(local, text);
            return;
        }
    }
    (void)snprintf(local, sizeof local, "%g", share);
    use_point(local, text);
}
