/*
 * What numapool-overload --json writes. A contender at a rate is a measurement with one round a file; the
 * shards of a pool become tracks over time.
 */
#include "tool/report_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS_MAX = 1024 };

/* What is worth a line; the file has more. */
static const char *const figures[] = {
    "completed_per_s", "offered",        "completed",      "refused",         "dropped",
    "unaccounted",     "in_task_ms",     "in_task_p50_ms", "in_task_p99_ms",  "e2e_p50_ms",
    "e2e_p99_ms",      "e2e_p999_ms",    "e2e_max_ms",     "steady_after_ms", "refuse_ns",
    "cpu_request_us",  "rss_peak_bytes", "threads_peak",
};

static int read_shard(struct report_reader *reader, const char *at, const json_t *shard,
                      size_t index, const char *title)
{
    const json_t *series = json_object_get(shard, "series");
    const json_t *node = json_object_get(shard, "node_os_index");
    if (!json_is_object(series)) {
        return report_fail(reader, at, "a shard's \"series\" is %s; an object is right",
                           report_type_name(series));
    }
    struct report_track track = {.title = title, .shard = index};
    if (json_is_number(node) && json_number_value(node) >= 0 && json_number_value(node) < 1e6) {
        track.node = (size_t)json_number_value(node);
    }
    size_t quotas = 0;
    size_t waiting = 0;
    const char *series_at = report_at_key(at, "series");
    if (report_read_numbers(reader, series_at, series, "t_ms", 1e-3, &track.time_s, &track.count) !=
            0 ||
        report_read_numbers(reader, series_at, series, "quota_now", 1, &track.quota, &quotas) !=
            0 ||
        report_read_numbers(reader, series_at, series, "waiting_now", 1, &track.waiting,
                            &waiting) != 0) {
        return -1;
    }
    if (quotas != track.count || waiting != track.count) {
        return report_fail(reader, series_at,
                           "%zu times, %zu quotas and %zu depths; as many of each are right",
                           track.count, quotas, waiting);
    }
    struct report_run *run = reader->run;
    struct report_track *slot =
        report_append(run, &run->tracks, &run->track_count, sizeof *run->tracks);
    *slot = track;
    return 0;
}

static int read_shards(struct report_reader *reader, const char *at, const json_t *contender,
                       const char *title)
{
    const json_t *list = json_object_get(contender, "shards");
    if (list == NULL) {
        return 0;
    }
    const char *list_at = report_at_key(at, "shards");
    if (!json_is_array(list) || json_array_size(list) > SHARDS_MAX) {
        return report_fail(reader, list_at, "\"shards\" is %s; a list of at most %d is right",
                           report_type_name(list), SHARDS_MAX);
    }
    const char *shard_at = report_at_index(list_at, 0);
    for (size_t i = 0; i < json_array_size(list); i++, shard_at = report_at_next(shard_at)) {
        if (read_shard(reader, shard_at, json_array_get(list, i), i, title) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_figures(struct report_reader *reader, struct report_measurement *m, const char *at,
                        const json_t *contender, const json_t *options)
{
    double seconds = json_number_value(json_object_get(options, "seconds"));
    double offered = json_number_value(json_object_get(contender, "offered"));
    if (seconds > 0 && offered > 0) {
        (void)report_set(reader->run, m, "offered_per_s", offered / seconds);
    }
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const json_t *value = json_object_get(contender, figures[i]);
        if (json_is_number(value)) {
            (void)report_set(reader->run, m, figures[i], json_number_value(value));
        } else if (value != NULL && !json_is_null(value)) {
            return report_fail(reader, report_at_key(at, figures[i]),
                               "\"%s\" is %s; a number or null is right", figures[i],
                               report_type_name(value));
        }
    }
    return 0;
}

/* "overload/rate:12000/skew:0.9/machine:pack 4/pool:numapool": what tells two files apart. Caller
 * frees. */
static char *name_of(const json_t *options, const char *pool)
{
    const json_t *skew = json_object_get(options, "skew");
    const char *machine = json_string_value(json_object_get(options, "machine_text"));
    char *name = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&name, &bytes);
    if (out == NULL) {
        return NULL;
    }
    (void)fprintf(out, "overload/rate:%.10g", json_number_value(json_object_get(options, "rate")));
    if (json_is_number(skew)) {
        (void)fprintf(out, "/skew:%g", json_number_value(skew));
    }
    if (machine != NULL && machine[0] != '\0') {
        report_name_part(out, "machine", machine);
    }
    report_name_part(out, "pool", pool);
    (void)fclose(out);
    return name;
}

static int read_contender(struct report_reader *reader, const char *at, const json_t *contender,
                          const json_t *options)
{
    struct report_run *run = reader->run;
    const char *pool = json_string_value(json_object_get(contender, "name"));
    if (pool == NULL) {
        return report_fail(reader, at, "a contender's \"name\" is %s; a string is right",
                           report_type_name(json_object_get(contender, "name")));
    }
    char *name = name_of(options, pool);
    struct report_measurement *m = name != NULL ? report_measurement(run, name) : NULL;
    free(name);
    if (m == NULL) {
        return report_fail(reader, at, "more than %d measurements", REPORT_MEASUREMENTS_MAX);
    }
    if (!json_is_true(json_object_get(contender, "measured"))) {
        const char *note = json_string_value(json_object_get(contender, "note"));
        m->why_not = report_copy(run, note != NULL ? note : "no reason given");
        return 0;
    }
    if (!report_add_round(run, m)) {
        return report_fail(reader, at, "more than %d rounds of %s", REPORT_ROUNDS_MAX, m->name);
    }
    if (read_figures(reader, m, at, contender, options) != 0) {
        return -1;
    }
    return read_shards(reader, at, contender, m->name);
}

int report_read_overload(struct report_reader *reader, const json_t *root)
{
    const json_t *options = json_object_get(root, "options");
    const json_t *contenders = json_object_get(root, "contenders");
    const char *options_at = report_at_key(reader->text, "options");
    const char *list_at = report_at_key(reader->text, "contenders");
    const json_t *rate = json_object_get(options, "rate");
    if (!json_is_object(options)) {
        return report_fail(reader, options_at, "\"options\" is %s; an object is right",
                           report_type_name(options));
    }
    if (!json_is_number(rate)) {
        return report_fail(reader, report_at_key(options_at, "rate"),
                           "\"rate\" is %s; a number is right", report_type_name(rate));
    }
    if (!json_is_array(contenders) || json_array_size(contenders) == 0) {
        return report_fail(reader, list_at,
                           "\"contenders\" is %s; a list with at least one is right",
                           json_is_array(contenders) ? "empty" : report_type_name(contenders));
    }
    struct report_source *source = report_add_source(reader);
    static const char *const parts[] = {"options", "machine", "bound"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        report_add_facts(reader->run, source, parts[i], json_object_get(root, parts[i]));
    }
    const char *at = report_at_index(list_at, 0);
    for (size_t i = 0; i < json_array_size(contenders); i++, at = report_at_next(at)) {
        if (read_contender(reader, at, json_array_get(contenders, i), options) != 0) {
            return -1;
        }
    }
    return 0;
}
