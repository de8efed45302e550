/*
 * What numapool simulate --json writes. The prediction is a measurement with one round a file, and so is
 * the same budget split evenly for good, when it was asked for; the shards become tracks over time.
 */
#include "tool/report_read.h"

#include <stdlib.h>
#include <string.h>

enum { SHARDS_MAX = 4096 };

static const char *const totals[] = {"offered", "completed", "completed_per_s", "refused",
                                     "dropped", "forwarded", "stolen"};

static const char *const quantiles[] = {"p50", "p99", "p999"};

/* "normal_wait_p99_ms" and the like, of each class that had tasks. */
static void read_classes(struct report_run *run, struct report_measurement *m,
                         const json_t *classes)
{
    static const struct {
        const char *key, *word;
    } times[] = {{"wait_ms", "wait"}, {"sojourn_ms", "e2e"}};
    const char *name;
    json_t *class;
    json_object_foreach((json_t *)classes, name, class)
    {
        for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
            const json_t *values = json_object_get(class, times[t].key);
            for (size_t q = 0; q < sizeof quantiles / sizeof *quantiles; q++) {
                const json_t *value = json_object_get(values, quantiles[q]);
                if (json_is_number(value)) {
                    const char *key =
                        report_print(run, "%s_%s_%s_ms", name, times[t].word, quantiles[q]);
                    (void)report_set(run, m, key, json_number_value(value));
                }
            }
        }
    }
}

static char *name_of(const json_t *root, const char *pool)
{
    static const char *const parts[] = {"machine", "load"};
    char *name = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&name, &bytes);
    if (out == NULL) {
        return NULL;
    }
    (void)fputs("simulate", out);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *value = json_string_value(json_object_get(root, parts[i]));
        if (value != NULL) {
            const char *file =
                i == 1 ? strrchr(value, '/') : NULL; /* a load is known by its file */
            report_name_part(out, parts[i], file != NULL ? file + 1 : value);
        }
    }
    report_name_part(out, "pool", pool);
    (void)fclose(out);
    return name;
}

/* One prediction; *title is what it is called. */
static int read_prediction(struct report_reader *reader, const char *at, const json_t *root,
                           const json_t *result, const char *pool, const char **title)
{
    struct report_run *run = reader->run;
    const json_t *tasks = json_object_get(result, "tasks");
    if (!json_is_object(tasks)) {
        return report_fail(reader, report_at_key(at, "tasks"),
                           "\"tasks\" is %s; an object is right", report_type_name(tasks));
    }
    char *name = name_of(root, pool);
    struct report_measurement *m = name != NULL ? report_measurement(run, name) : NULL;
    free(name);
    if (m == NULL) {
        return report_fail(reader, at, "more than %d measurements", REPORT_MEASUREMENTS_MAX);
    }
    if (!report_add_round(run, m)) {
        return report_fail(reader, at, "more than %d rounds of %s", REPORT_ROUNDS_MAX, m->name);
    }
    double seconds = json_number_value(json_object_get(root, "seconds"));
    double offered = json_number_value(json_object_get(tasks, "offered"));
    if (seconds > 0) {
        (void)report_set(run, m, "offered_per_s", offered / seconds);
    }
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        const json_t *value = json_object_get(tasks, totals[i]);
        if (json_is_number(value)) {
            (void)report_set(run, m, totals[i], json_number_value(value));
        }
    }
    read_classes(run, m, json_object_get(result, "classes"));
    *title = m->name;
    return 0;
}

static int read_shard(struct report_reader *reader, const char *at, const json_t *shard,
                      size_t index, const char *title, double step_s)
{
    struct report_run *run = reader->run;
    const json_t *node = json_object_get(shard, "node");
    struct report_track track = {.title = title, .shard = index};
    size_t depths = 0;
    if (json_object_get(shard, "quota_workers") == NULL) {
        return 0; /* too short a run to have ticked */
    }
    if (json_is_number(node) && json_number_value(node) >= 0 && json_number_value(node) < 1e6) {
        track.node = (size_t)json_number_value(node);
    }
    if (report_read_numbers(reader, at, shard, "quota_workers", 1, &track.quota, &track.count) !=
            0 ||
        report_read_numbers(reader, at, shard, "waiting_tasks", 1, &track.waiting, &depths) != 0) {
        return -1;
    }
    if (depths != track.count) {
        return report_fail(reader, at, "%zu quotas and %zu depths; as many of each are right",
                           track.count, depths);
    }
    track.time_s = report_alloc(run, track.count * sizeof *track.time_s + 1);
    for (size_t i = 0; i < track.count; i++) {
        track.time_s[i] = step_s * (double)(i + 1);
    }
    struct report_track *slot =
        report_append(run, &run->tracks, &run->track_count, sizeof *run->tracks);
    *slot = track;
    return 0;
}

static int read_shards(struct report_reader *reader, const json_t *root, const char *title)
{
    const json_t *list = json_object_get(root, "shards");
    const json_t *step = json_object_get(json_object_get(root, "course"), "step_s");
    const char *list_at = report_at_key(reader->text, "shards");
    if (!json_is_array(list) || json_array_size(list) > SHARDS_MAX) {
        return report_fail(reader, list_at, "\"shards\" is %s; a list of at most %d is right",
                           report_type_name(list), SHARDS_MAX);
    }
    if (!json_is_number(step) || !(json_number_value(step) > 0)) {
        return report_fail(reader, report_at_key(report_at_key(reader->text, "course"), "step_s"),
                           "\"course\" has no \"step_s\" above 0");
    }
    const char *at = report_at_index(list_at, 0);
    for (size_t i = 0; i < json_array_size(list); i++, at = report_at_next(at)) {
        if (read_shard(reader, at, json_array_get(list, i), i, title, json_number_value(step)) !=
            0) {
            return -1;
        }
    }
    return 0;
}

int report_read_simulation(struct report_reader *reader, const json_t *root)
{
    struct report_source *source = report_add_source(reader);
    static const char *const results[] = {"tasks", "classes", "course", "shards", "split_evenly"};
    json_t *facts = json_copy((json_t *)root);
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        (void)json_object_del(facts, results[i]);
    }
    report_add_facts(reader->run, source, "", facts);
    json_decref(facts);
    const json_t *even = json_object_get(root, "split_evenly");
    const char *title = NULL, *even_title;
    if (read_prediction(reader, reader->text, root, root, "balanced", &title) != 0 ||
        (even != NULL && read_prediction(reader, report_at_key(reader->text, "split_evenly"), root,
                                         even, "split evenly", &even_title) != 0)) {
        return -1;
    }
    return read_shards(reader, root, title);
}
