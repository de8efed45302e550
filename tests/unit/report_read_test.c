/*
 * Reading: what is kept of a file, and for each mistake the line and the sentence.
 */
#include "tool/report_read.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct report_reader reader;
static char path[64];

static int read_text(struct report_run *run, const char *text, size_t bytes)
{
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, bytes, out), bytes);
    assert_int_equal(fclose(out), 0);
    return report_read(&reader, run, path);
}

static void must_read(struct report_run *run, const char *text)
{
    if (read_text(run, text, strlen(text)) != 0) {
        fail_msg("%s", reader.error);
    }
}

static void test_rounds_and_parts(void **state)
{
    (void)state;
    struct report_run run = {0};
    must_read(
        &run,
        "{\"context\": {\"governor\": \"performance\", \"num_cpus\": 16, \"load\": [1, 2]},\n"
        " \"benchmarks\": [\n"
        " {\"name\": \"submit/producers:4/pool:numapool/manual_time\", \"run_type\": \"iteration\","
        "  \"repetition_index\": 0, \"real_time\": 5, \"tasks_per_s\": 1e6, \"p99_ns\": 700},\n"
        " {\"name\": \"submit/producers:4/pool:numapool/repeats:2/manual_time_mean\","
        "  \"run_name\": \"submit/producers:4/pool:numapool/repeats:2/manual_time\","
        "  \"run_type\": \"aggregate\", \"aggregate_name\": \"mean\", \"tasks_per_s\": 5},\n"
        " {\"name\": \"submit/producers:4/pool:numapool/manual_time\", \"run_type\": \"iteration\","
        "  \"repetition_index\": 1, \"tasks_per_s\": 2e6, \"beside_tasks_per_s\": 1e6},\n"
        " {\"name\": \"nodes/from:0/to:1\", \"error_occurred\": true,"
        "  \"error_message\": \"one node: not measured\"}]}");
    assert_int_equal(run.measurement_count, 2);
    const struct report_measurement *m = run.measurements[0];
    assert_string_equal(m->name, "submit/producers:4/pool:numapool");
    assert_string_equal(m->question, "submit");
    assert_string_equal(m->pool, "numapool");
    assert_string_equal(report_part(m, "producers"), "4");
    assert_null(report_part(m, "consumers"));
    assert_string_equal(report_name_without(&run, m, "producers", "pool"), "submit");
    assert_int_equal(m->round_count, 2);
    assert_int_equal(m->figure_count, 3);
    assert_true(report_values(m, "tasks_per_s")[1] == 2e6);
    assert_true(isnan(report_values(m, "p99_ns")[1]));
    assert_true(isnan(report_beside(m, "tasks_per_s")[0]));
    assert_true(report_beside(m, "tasks_per_s")[1] == 1e6);
    assert_null(report_beside(m, "p99_ns"));
    assert_string_equal(run.measurements[1]->why_not, "one node: not measured");
    assert_int_equal(run.measurements[1]->round_count, 0);
    assert_int_equal(run.source_count, 1);
    assert_int_equal(run.sources[0].fact_count, 3);
    assert_string_equal(run.sources[0].facts[1].key, "num_cpus");
    assert_string_equal(run.sources[0].facts[1].value, "16");

    /* A second file has more rounds of the same. */
    must_read(&run, "{\"benchmarks\": [{\"name\": \"submit/producers:4/pool:numapool\","
                    " \"tasks_per_s\": 3e6}]}");
    assert_int_equal(run.measurements[0]->round_count, 3);
    report_run_fini(&run);
}

static void test_many_rounds(void **state)
{
    (void)state;
    struct report_run run = {0};
    struct report_measurement *m = report_measurement(&run, "wake/pool:numapool");
    for (size_t i = 0; i < REPORT_ROUNDS_MAX; i++) {
        assert_true(report_add_round(&run, m));
        assert_true(report_set(&run, m, "p50_ns", (double)i));
    }
    assert_false(report_add_round(&run, m));
    for (size_t i = 0; i < REPORT_ROUNDS_MAX; i++) {
        assert_true(report_values(m, "p50_ns")[i] == (double)i);
    }
    char key[32];
    for (int i = 1; i < REPORT_FIGURES_MAX; i++) {
        (void)snprintf(key, sizeof key, "figure_%d", i);
        assert_true(report_set(&run, m, key, 1));
    }
    assert_false(report_set(&run, m, "one_more", 1));
    report_run_fini(&run);
}

static void test_only_aggregates(void **state)
{
    (void)state;
    struct report_run run = {0};
    must_read(&run, "{\"benchmarks\": ["
                    "{\"name\": \"a_mean\", \"run_name\": \"a\", \"run_type\": \"aggregate\","
                    " \"aggregate_name\": \"mean\", \"p50_ns\": 9},"
                    "{\"name\": \"a_median\", \"run_name\": \"a\", \"run_type\": \"aggregate\","
                    " \"aggregate_name\": \"median\", \"p50_ns\": 7}]}");
    assert_int_equal(run.measurement_count, 1);
    assert_int_equal(run.measurements[0]->round_count, 1);
    assert_true(report_values(run.measurements[0], "p50_ns")[0] == 7);
    report_run_fini(&run);
}

static void test_time_where_nothing_else(void **state)
{
    (void)state;
    struct report_run run = {0};
    must_read(&run,
              "{\"benchmarks\": [{\"name\": \"BM_x/8\", \"real_time\": 2, \"cpu_time\": 1,"
              " \"time_unit\": \"us\"}, {\"name\": \"b\", \"real_time\": 3, \"time_unit\": \"s\"},"
              " {\"name\": \"c\", \"real_time\": 4}, {\"name\": \"d\", \"skipped\": true,"
              " \"skip_message\": \"why\"}, {\"name\": \"e\", \"error_occurred\": true}]}");
    assert_string_equal(run.measurements[0]->name, "BM_x/8");
    assert_true(report_values(run.measurements[0], "real_time_us")[0] == 2);
    assert_true(report_values(run.measurements[1], "real_time_s")[0] == 3);
    assert_true(report_values(run.measurements[2], "real_time_ns")[0] == 4);
    assert_string_equal(run.measurements[3]->why_not, "why");
    assert_string_equal(run.measurements[4]->why_not, "no reason given");
    report_run_fini(&run);
}

static void test_overload(void **state)
{
    (void)state;
    struct report_run run = {0};
    must_read(
        &run,
        "{\"program\": \"numapool-overload\","
        " \"options\": {\"rate\": 12000, \"seconds\": 2, \"skew\": 0.9, \"machine_text\": \"a/b\"},"
        " \"machine\": {\"kernel\": \"6.1\"}, \"bound\": null, \"contenders\": ["
        "{\"name\": \"naive\", \"measured\": false, \"note\": \"no memory\"},"
        "{\"name\": \"numapool\", \"measured\": true, \"offered\": 24000, \"completed_per_s\": "
        "11000,"
        " \"refuse_ns\": null, \"shards\": [{\"node_os_index\": 3, \"series\": {\"t_ms\": [0, 100],"
        " \"quota_now\": [5, 6], \"waiting_now\": [7, 8]}}]}]}");
    assert_int_equal(run.measurement_count, 2);
    assert_string_equal(run.measurements[0]->why_not, "no memory");
    const struct report_measurement *m = run.measurements[1];
    assert_string_equal(m->name, "overload/rate:12000/skew:0.9/machine:a b/pool:numapool");
    assert_true(report_values(m, "offered_per_s")[0] == 12000);
    assert_true(report_values(m, "completed_per_s")[0] == 11000);
    assert_null(report_values(m, "refuse_ns"));
    assert_int_equal(run.track_count, 1);
    assert_int_equal(run.tracks[0].node, 3);
    assert_int_equal(run.tracks[0].count, 2);
    assert_true(run.tracks[0].time_s[1] == 0.1);
    assert_true(run.tracks[0].quota[1] == 6);
    assert_true(run.tracks[0].waiting[0] == 7);
    assert_string_equal(run.sources[0].facts[4].key, "machine.kernel");
    report_run_fini(&run);
}

#define OVERLOAD                                                                                   \
    "{\"program\": \"numapool-overload\",\n\"options\": {\"rate\": 1},\n\"contenders\": [\n"
#define SHARD OVERLOAD "{\"name\": \"a\", \"measured\": true, \"shards\": [\n{\"series\": "

static const struct mistake {
    const char *text;
    const char *says; /* behind "PATH:" */
} mistakes[] = {
    {"", "1: '[' or '{' expected near end of file"},
    {"{\"benchmarks\": [\n{\"name\": \"a\",", "2: string or '}' expected near end of file"},
    {"{\"benchmarks\": [\n{\"name\": \"a\",\n\"p50_ns\": NaN}]}", "3: invalid token near 'NaN'"},
    {"{\"benchmarks\": [\n{\"name\": \"a\", \"p50_ns\": 1e999}]}", "2: real number overflow"},
    {"[1, 2]", "1: neither \"benchmarks\" nor"},
    {"{\"program\": \"numapool simulate\"}", "1: \"tasks\" is missing; an object"},
    {"{\"program\": \"numapool simulate\",\n\"tasks\": {},\n\"shards\": 3}",
     "3: \"shards\" is a number; a list"},
    {"{\"program\": \"numapool simulate\", \"tasks\": {},\n\"shards\": []}",
     "1: \"course\" has no \"step_s\""},
    {"{\"program\": \"numapool simulate\", \"tasks\": {}, \"course\": {\"step_s\": 1},\n"
     "\"shards\": [{\"quota_workers\": [1, 2],\n\"waiting_tasks\": [1]}]}",
     "2: 2 quotas and 1 depths"},
    {"{\"program\": \"other\"}", "1: neither \"benchmarks\" nor"},
    {"{\n\"benchmarks\": 7}", "2: \"benchmarks\" is a number; a list is right"},
    {"{\n\"benchmarks\": []}", "2: \"benchmarks\" is empty"},
    {"{\"context\":\n[], \"benchmarks\": [{\"name\": \"a\"}]}", "2: \"context\" is a list"},
    {"{\"benchmarks\": [{\"name\": \"a\"},\n5]}", "2: an entry of \"benchmarks\" is a number"},
    {"{\"benchmarks\": [\n{\"p50_ns\": 5}]}", "2: a benchmark without \"name\""},
    {"{\"benchmarks\": [{\n\"name\": 5}]}", "2: \"name\" is a number; a string is right"},
    {"{\"benchmarks\": [{\"name\": \"a\",\n\"run_type\": null}]}", "2: \"run_type\" is null"},
    {"{\"benchmarks\": [{\"name\": \"a\",\n\"error_occurred\": \"no\"}]}",
     "2: \"error_occurred\" is a string; true or false is right"},
    {"{\"benchmarks\": [{\"name\": \"a\", \"label\": \"}]\\\"\",\n\"x\": {\"y\": "
     "[\"]\"]},\n\"p50_ns\": \"12\"}]}",
     "3: \"p50_ns\" is \"12\", a string; a number is right"},
    {"{\"benchmarks\": [{\"name\": \"a\",\n\"real_time\": [1]}]}", "2: \"real_time\" is a list"},
    {"{\"program\": \"numapool-overload\"}", "1: \"options\" is missing; an object is right"},
    {"{\"program\": \"numapool-overload\",\n\"options\": {\n\"rate\": \"1\"}}",
     "3: \"rate\" is a string; a number is right"},
    {"{\"program\": \"numapool-overload\", \"options\": {\"rate\": 1},\n\"contenders\": []}",
     "2: \"contenders\" is empty"},
    {OVERLOAD "5]}", "4: a contender's \"name\" is missing"},
    {OVERLOAD "{\"name\": \"a\", \"measured\": true,\n\"e2e_p99_ms\": \"3\"}]}",
     "5: \"e2e_p99_ms\" is a string; a number or null is right"},
    {OVERLOAD "{\"name\": \"a\", \"measured\": true,\n\"shards\": 3}]}",
     "5: \"shards\" is a number"},
    {SHARD "5}]}]}", "5: a shard's \"series\" is a number; an object is right"},
    {SHARD "{\"t_ms\": [0, 1],\n\"quota_now\": [1, null], \"waiting_now\": [1, 2]}}]}]}",
     "6: \"quota_now\" has null in it; numbers are right"},
    {SHARD "{\"t_ms\": [0, 1],\n\"quota_now\": [1, 2]}}]}]}", "5: \"waiting_now\" is missing"},
    {SHARD "{\"t_ms\": [0], \"quota_now\": [1, 2], \"waiting_now\": [1, 2]}}]}]}",
     "5: 1 times, 2 quotas and 2 depths"},
};

static void must_fail(const char *text, size_t bytes, const char *says)
{
    struct report_run run = {0};
    assert_int_equal(read_text(&run, text, bytes), -1);
    report_run_fini(&run);
    size_t prefix = strlen(path);
    assert_int_equal(strncmp(reader.error, path, prefix), 0);
    if (strncmp(reader.error + prefix + 1, says, strlen(says)) != 0) {
        fail_msg("'%s' does not say '%s'", reader.error, says);
    }
    assert_null(strchr(reader.error, '\n'));
}

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        must_fail(mistakes[i].text, strlen(mistakes[i].text), mistakes[i].says);
    }
    must_fail("{}\0x", 4, "1: ");
}

/* A file that ends early, at every place. */
static void test_truncated(void **state)
{
    (void)state;
    static const char whole[] = SHARD "{\"t_ms\": [0, 1], \"quota_now\": [1, 2],"
                                      " \"waiting_now\": [1, 2]}}]}]}";
    for (size_t bytes = 0; bytes < sizeof whole - 1; bytes++) {
        must_fail(whole, bytes, "");
    }
    struct report_run run = {0};
    must_read(&run, whole);
    report_run_fini(&run);
}

static void test_no_file(void **state)
{
    (void)state;
    struct report_run run = {0};
    assert_int_equal(report_read(&reader, &run, "/nowhere/run.json"), -1);
    assert_string_equal(reader.error, "/nowhere/run.json: No such file or directory");
    assert_int_equal(report_read(&reader, &run, "/"), -1);
    assert_string_equal(reader.error, "/: Is a directory");
    report_run_fini(&run);
}

/* `count` times `entry`, in which # is the index, between two other texts. */
static void must_fail_repeated(const char *before, const char *entry, int count, const char *after,
                               const char *says)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    (void)fputs(before, out);
    for (int i = 0; i < count; i++) {
        const char *number = strchr(entry, '#');
        int ahead = (int)strcspn(entry, "#");
        (void)fprintf(out, "%s\n%.*s", i > 0 ? "," : "", ahead, entry);
        if (number != NULL) {
            (void)fprintf(out, "%d%s", i, number + 1);
        }
    }
    (void)fputs(after, out);
    assert_int_equal(fclose(out), 0);
    must_fail(text, bytes, says);
    free(text);
}

static void test_too_many(void **state)
{
    (void)state;
    must_fail_repeated("{\"benchmarks\": [", "{\"name\": \"a/b:#\", \"p50_ns\": 1}",
                       REPORT_MEASUREMENTS_MAX + 1, "]}", "2002: more than 2000 benchmarks");
    must_fail_repeated("{\"benchmarks\": [", "{\"name\": \"a\", \"p50_ns\": 1}",
                       REPORT_ROUNDS_MAX + 1, "]}", "1002: more than 1000 rounds of \"a\"");
    must_fail_repeated("{\"benchmarks\": [{\"name\": \"a\",", "\"x#\": 1", REPORT_FIGURES_MAX + 1,
                       "}]}", "102: more than 100 figures");
    must_fail_repeated(OVERLOAD, "{\"name\": \"a\", \"measured\": true}", REPORT_ROUNDS_MAX + 1,
                       "]}", "1005: more than 1000 rounds of overload");
    /* Longer than what is read at first. */
    must_fail_repeated("[",
                       "\"a text of some length, so that a million of bytes comes together #\"",
                       40000, "]", "1: neither \"benchmarks\"");
}

static int make_path(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/report_read_test.XXXXXX");
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds_and_parts), cmocka_unit_test(test_many_rounds),
        cmocka_unit_test(test_only_aggregates),  cmocka_unit_test(test_time_where_nothing_else),
        cmocka_unit_test(test_overload),         cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_truncated),        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
