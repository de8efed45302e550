/*
 * The JSON of Google Benchmark: {"context": {...}, "benchmarks": [{...}, ...]}. An entry with "run_type":
 * "iteration" is one round of a measurement; entries made from these (means, medians) are read only
 * where there is nothing else, as one round each.
 */
#include "tool/report_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Numbers that say how it was measured, not what. Times per iteration are used where a benchmark has no
 * figure of its own. */
static const char *const not_figures[] = {"family_index",
                                          "per_family_instance_index",
                                          "repetitions",
                                          "repetition_index",
                                          "threads",
                                          "iterations",
                                          "real_time",
                                          "cpu_time",
                                          "items_per_second",
                                          "bytes_per_second",
                                          "big_o",
                                          "rms"};

static bool is_figure(const char *key)
{
    for (size_t i = 0; i < sizeof not_figures / sizeof *not_figures; i++) {
        if (strcmp(not_figures[i], key) == 0) {
            return false;
        }
    }
    return true;
}

static const char *text_of(const json_t *entry, const char *key)
{
    return json_string_value(json_object_get(entry, key));
}

static bool is_aggregate(const json_t *entry)
{
    const char *type = text_of(entry, "run_type");
    return type != NULL && strcmp(type, "aggregate") == 0;
}

static int check_type(struct report_reader *reader, const char *at, const json_t *entry,
                      const char *key, json_type type, const char *right)
{
    const json_t *value = json_object_get(entry, key);
    if (value == NULL || json_typeof(value) == type ||
        (type == JSON_TRUE && json_is_false(value))) {
        return 0;
    }
    return report_fail(reader, report_at_key(at, key), "\"%s\" is %s; %s is right", key,
                       report_type_name(value), right);
}

static int check_entry(struct report_reader *reader, const char *at, const json_t *entry)
{
    if (!json_is_object(entry)) {
        return report_fail(reader, at, "an entry of \"benchmarks\" is %s; an object is right",
                           report_type_name(entry));
    }
    if (json_object_get(entry, "name") == NULL) {
        return report_fail(reader, at, "a benchmark without \"name\"; every entry has one");
    }
    static const char *const words[] = {"name", "run_name", "run_type", "error_message",
                                        "time_unit"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (check_type(reader, at, entry, words[i], JSON_STRING, "a string") != 0) {
            return -1;
        }
    }
    return check_type(reader, at, entry, "error_occurred", JSON_TRUE, "true or false");
}

/* Why an entry has no figures, or NULL. */
static const char *why_not(const json_t *entry)
{
    bool failed = json_is_true(json_object_get(entry, "error_occurred")) ||
                  json_is_true(json_object_get(entry, "skipped"));
    const char *message = text_of(entry, "error_message");
    if (message == NULL) {
        message = text_of(entry, "skip_message");
    }
    return !failed ? NULL : message != NULL && message[0] != '\0' ? message : "no reason given";
}

static bool looks_like_number(const char *text)
{
    char *end;
    (void)strtod(text, &end);
    return end != text && *end == '\0';
}

static int too_many_figures(struct report_reader *reader, const char *at)
{
    return report_fail(reader, at, "more than %d figures in one benchmark", REPORT_FIGURES_MAX);
}

static int add_time(struct report_reader *reader, struct report_measurement *m, const char *at,
                    const json_t *entry)
{
    const json_t *time = json_object_get(entry, "real_time");
    const char *unit = text_of(entry, "time_unit");
    if (!json_is_number(time)) {
        return 0;
    }
    char key[16] = "real_time_ns";
    if (unit != NULL && (strcmp(unit, "us") == 0 || strcmp(unit, "ms") == 0)) {
        key[10] = unit[0];
    } else if (unit != NULL && strcmp(unit, "s") == 0) {
        memcpy(key + 10, "s", 2);
    }
    return report_set(reader->run, m, key, json_number_value(time)) ? 0
                                                                    : too_many_figures(reader, at);
}

static int add_figures(struct report_reader *reader, struct report_measurement *m, const char *at,
                       const json_t *entry)
{
    const char *key;
    json_t *value;
    bool any = false;
    json_object_foreach((json_t *)entry, key, value)
    {
        if (json_is_string(value) && strcmp(key, "label") != 0 && strstr(key, "name") == NULL &&
            looks_like_number(json_string_value(value))) {
            return report_fail(reader, report_at_key(at, key),
                               "\"%s\" is \"%s\", a string; a number is right", key,
                               json_string_value(value));
        }
        if (!json_is_number(value)) {
            if (!is_figure(key) && !json_is_null(value)) {
                return report_fail(reader, report_at_key(at, key),
                                   "\"%s\" is %s; a number is right", key, report_type_name(value));
            }
            continue;
        }
        if (is_figure(key)) {
            any = true;
            if (!report_set(reader->run, m, key, json_number_value(value))) {
                return too_many_figures(reader, report_at_key(at, key));
            }
        }
    }
    return any ? 0 : add_time(reader, m, at, entry);
}

static int read_entry(struct report_reader *reader, const char *at, const json_t *entry)
{
    const char *name = text_of(entry, "run_name");
    if (name == NULL) {
        name = text_of(entry, "name");
    }
    struct report_measurement *m = report_measurement(reader->run, name);
    if (m == NULL) {
        return report_fail(reader, at, "more than %d benchmarks; fewer, with --benchmark_filter",
                           REPORT_MEASUREMENTS_MAX);
    }
    const char *reason = why_not(entry);
    if (reason != NULL) {
        m->why_not = report_copy(reader->run, reason);
        return 0;
    }
    if (!report_add_round(reader->run, m)) {
        return report_fail(reader, at, "more than %d rounds of \"%s\"", REPORT_ROUNDS_MAX, name);
    }
    return add_figures(reader, m, at, entry);
}

int report_read_bench(struct report_reader *reader, const json_t *root)
{
    const json_t *list = json_object_get(root, "benchmarks");
    const json_t *context = json_object_get(root, "context");
    const char *list_at = report_at_key(reader->text, "benchmarks");
    if (!json_is_array(list)) {
        return report_fail(reader, list_at, "\"benchmarks\" is %s; a list is right",
                           report_type_name(list));
    }
    if (context != NULL && !json_is_object(context)) {
        return report_fail(reader, report_at_key(reader->text, "context"),
                           "\"context\" is %s; an object is right", report_type_name(context));
    }
    if (json_array_size(list) == 0) {
        return report_fail(reader, list_at,
                           "\"benchmarks\" is empty; does a benchmark fit --benchmark_filter?");
    }
    report_add_facts(reader->run, report_add_source(reader), "", context);

    size_t count = json_array_size(list);
    bool rounds = false;
    const char *at = report_at_index(list_at, 0);
    for (size_t i = 0; i < count; i++, at = report_at_next(at)) {
        const json_t *entry = json_array_get(list, i);
        if (check_entry(reader, at, entry) != 0) {
            return -1;
        }
        rounds = rounds || !is_aggregate(entry);
    }
    at = report_at_index(list_at, 0);
    for (size_t i = 0; i < count; i++, at = report_at_next(at)) {
        const json_t *entry = json_array_get(list, i);
        const char *aggregate = text_of(entry, "aggregate_name");
        bool median = aggregate != NULL && strcmp(aggregate, "median") == 0;
        if ((rounds ? !is_aggregate(entry) : median) && read_entry(reader, at, entry) != 0) {
            return -1;
        }
    }
    return 0;
}
