/*
 * Units by a table; numbers as people write them.
 */
#include "tool/report_unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum scale { PLAIN, SECONDS, SI };

struct unit {
    const char *ending;
    enum scale scale;
    double factor; /* to the unit that is written */
    const char *written;
    enum report_direction direction;
};

/* The first that fits: the longer before the shorter. */
static const struct unit units[] = {
    {"_offered_per_s", SI, 1, "/s", REPORT_NEITHER}, /* what was asked for */
    {"_idle", PLAIN, 1, "", REPORT_LESS_IS_BETTER}, /* what a pool without work does all the same */
    {"_gb_per_s", SI, 1e9, "B/s", REPORT_MORE_IS_BETTER},
    {"_bytes_per_s", SI, 1, "B/s", REPORT_MORE_IS_BETTER},
    {"_per_s", SI, 1, "/s", REPORT_MORE_IS_BETTER},
    {"_ns", SECONDS, 1e-9, "", REPORT_LESS_IS_BETTER},
    {"_us", SECONDS, 1e-6, "", REPORT_LESS_IS_BETTER},
    {"_ms", SECONDS, 1e-3, "", REPORT_LESS_IS_BETTER},
    {"_s", SECONDS, 1, "", REPORT_NEITHER},
    {"_pct", PLAIN, 1, "%", REPORT_LESS_IS_BETTER},
    {"_bytes", SI, 1, "B", REPORT_LESS_IS_BETTER},
};
static const struct unit no_unit = {"", PLAIN, 1, "", REPORT_NEITHER};
static const struct unit slowdown = {"", PLAIN, 1, "", REPORT_LESS_IS_BETTER};

static bool ends_with(const char *key, const char *ending)
{
    size_t length = strlen(key);
    size_t bytes = strlen(ending);
    return length >= bytes && strcmp(key + length - bytes, ending) == 0;
}

static const struct unit *unit_of(const char *key)
{
    if (strstr(key, "slowdown") != NULL) {
        return &slowdown;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        /* "_ns" is the unit, and a key may be nothing else. */
        if (ends_with(key, units[i].ending) || strcmp(key, units[i].ending + 1) == 0) {
            return &units[i];
        }
    }
    return &no_unit;
}

enum report_direction report_direction(const char *key)
{
    return unit_of(key)->direction;
}

bool report_is_speed(const char *key)
{
    const struct unit *unit = unit_of(key);
    return unit->scale == SECONDS || unit->direction == REPORT_MORE_IS_BETTER;
}

/* Three digits that count, and no exponent for what can be read without. */
static void write_scaled(char text[REPORT_VALUE_BYTES], double value, const char *prefix,
                         const char *unit)
{
    double size = fabs(value);
    const char *gap = prefix[0] != '\0' || unit[0] != '\0' ? " " : "";
    (void)snprintf(text, REPORT_VALUE_BYTES,
                   size >= 99.95 && size < 1e9 ? "%.0f%s%s%s" : "%.3g%s%s%s", value, gap, prefix,
                   unit);
}

struct step {
    double size;
    const char *prefix;
};

static const struct step times[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {1e-9, "ns"}};
static const struct step thousands[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};

void report_format(char text[REPORT_VALUE_BYTES], const char *key, double value)
{
    const struct unit *unit = unit_of(key);
    if (isnan(value)) {
        (void)snprintf(text, REPORT_VALUE_BYTES, "–");
        return;
    }
    value *= unit->factor;
    if (unit->scale == PLAIN) {
        write_scaled(text, value, "", unit->written);
        return;
    }
    const struct step *steps = unit->scale == SECONDS ? times : thousands;
    size_t count = unit->scale == SECONDS ? sizeof times / sizeof *times
                                          : sizeof thousands / sizeof *thousands;
    size_t at = 0;
    /* 999.6 ns are shown as 1 µs, not as 1000 ns. */
    while (at + 1 < count && fabs(value) < 0.9995 * steps[at].size) {
        at++;
    }
    if (value == 0) {
        at = unit->scale == SECONDS ? 0 : count - 1;
    }
    write_scaled(text, value / steps[at].size, steps[at].prefix, unit->written);
}

bool report_percentile(const char *key, double *q, size_t *prefix_bytes, double *seconds)
{
    const struct unit *unit = unit_of(key);
    if (unit->scale != SECONDS) {
        return false;
    }
    const char *word = key; /* p, digits, unit */
    const char *p = strstr(key, "_p");
    while (p != NULL) {
        word = p + 1;
        p = strstr(word, "_p");
    }
    if (*word != 'p') {
        return false;
    }
    size_t digits = strspn(word + 1, "0123456789");
    if (digits == 0 || digits > 9 || strcmp(word + 1 + digits, unit->ending) != 0) {
        return false;
    }
    double number = 0;
    for (size_t i = 0; i < digits; i++) {
        number = number * 10 + (word[1 + i] - '0');
    }
    *q = number / pow(10, (double)digits);
    *prefix_bytes = (size_t)(word - key);
    *seconds = unit->factor;
    return true;
}
