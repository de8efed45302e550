/* One stream of a load file on its way from keys and values to loads of the simulator. */
#ifndef NPI_TOOL_LOAD_STREAM_H
#define NPI_TOOL_LOAD_STREAM_H

#include "tool/load.h"

enum load_pattern {
    LOAD_CONSTANT,
    LOAD_POISSON,
    LOAD_BURST,
    LOAD_RAMP,
    LOAD_STEP,
    LOAD_FLASH,
    LOAD_DIURNAL,
};

/* What shapes a pattern. */
enum load_key { KEY_RATE, KEY_PEAK, KEY_AT, KEY_LASTS, KEY_PERIOD, KEY_SHAPES };
#define KEY_BIT(key) (1u << (key))

struct load_stream {
    enum load_pattern pattern;
    unsigned said;            /* KEY_BIT of what the file says */
    double rate, peak;        /* per second */
    double at, lasts, period; /* seconds */
    double from, until;
    struct sim_load common; /* home, work, class and deadline */
};

extern const char *const load_patterns[]; /* by enum load_pattern; ends with NULL */
extern const char *const load_key_names[KEY_SHAPES];

/* Keys that a pattern cannot do without, and those it may have. */
unsigned load_pattern_needs(enum load_pattern pattern);
unsigned load_pattern_takes(enum load_pattern pattern);

/* Adds the loads that make the pattern. `seconds` is the length of the run. */
void load_add_stream(struct load *load, const struct load_stream *stream);

/* "2ms", "exponential 2ms", "lognormal 2ms 1.5", "bimodal 2ms 50ms 0.1". */
bool load_parse_time(const char *text, struct sim_time *time);

#endif
