/*
 * What `numapool report` knows after reading: a run, which is any number of files, as measurements with
 * a value per figure and round, facts about the machine, and shards over time. No file format is
 * visible here, so pictures, tables and comparisons are the same for all of them.
 *
 * All memory of a run is one arena, given back by report_run_fini(). Without memory the program ends.
 */
#ifndef NPI_TOOL_REPORT_DATA_H
#define NPI_TOOL_REPORT_DATA_H

#include <stdbool.h>
#include <stddef.h>

/* More is refused by the readers: a page of so many tables would serve nobody, and what follows may
 * search lists from their beginning. */
enum { REPORT_MEASUREMENTS_MAX = 2000, REPORT_FIGURES_MAX = 100, REPORT_ROUNDS_MAX = 1000 };

struct report_pair {
    const char *key;
    const char *value;
};

struct report_figure {
    const char *key; /* with its unit at the end */
    double *values;  /* per round; NAN in a round without it */
};

struct report_measurement {
    const char *name;     /* QUESTION/key:value/..., without what only says how it was timed */
    const char *question; /* the name's beginning */
    const char *pool;     /* "" when there is no such part */
    struct report_pair *parts;
    size_t part_count;
    struct report_figure *figures;
    size_t figure_count;
    size_t round_count;
    size_t round_capacity;
    const char *why_not; /* NULL, or why a round was not measured */
};

struct report_source {
    const char *path;
    struct report_pair *facts;
    size_t fact_count;
};

/* One shard of one contender; all shards of it have the same times. */
struct report_track {
    const char *title; /* what was run */
    size_t shard;
    size_t node;
    size_t count;
    double *time_s;
    double *quota;
    double *waiting;
};

struct report_run {
    struct arena_chunk *chunks;
    struct report_measurement **measurements; /* in order of first appearance */
    size_t measurement_count;
    struct report_source *sources;
    size_t source_count;
    struct report_track *tracks;
    size_t track_count;
};

void report_run_fini(struct report_run *run);

/* Zeroed memory that lives as long as the run. */
void *report_alloc(struct report_run *run, size_t bytes);
char *report_copy(struct report_run *run, const char *text);
char *report_print(struct report_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One more element of a list in the run's memory; *list moves. */
void *report_append(struct report_run *run, void *list, size_t *count, size_t element_bytes);

/* The measurement of that name, made when there is none; NULL beyond REPORT_MEASUREMENTS_MAX. */
struct report_measurement *report_measurement(struct report_run *run, const char *name);
struct report_measurement *report_find(const struct report_run *run, const char *name);

/* A new round without any figure. False beyond REPORT_ROUNDS_MAX. */
bool report_add_round(struct report_run *run, struct report_measurement *measurement);

/* A figure of the newest round. False beyond REPORT_FIGURES_MAX. */
bool report_set(struct report_run *run, struct report_measurement *measurement, const char *key,
                double value);

/* Values per round, or NULL. */
const double *report_values(const struct report_measurement *measurement, const char *key);

/* The value of a part of the name, or NULL. */
const char *report_part(const struct report_measurement *measurement, const char *key);

/* The name without two of its parts, which is what the lines of a picture have in common. */
const char *report_name_without(struct report_run *run,
                                const struct report_measurement *measurement, const char *key,
                                const char *other_key);

/* The baseline's values of a figure, measured right beside it in the same rounds, or NULL. */
const double *report_beside(const struct report_measurement *measurement, const char *key);
bool report_is_beside(const char *key);

#endif
