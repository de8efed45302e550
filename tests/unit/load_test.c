/*
 * The load file: what a good one makes of streams, changes and traces, and what each mistake is told
 * as. Rates are counted over whole runs of a source, in virtual time.
 */
#include "unit/topology_support.h"

#include "tool/load.h"
#include "tool/load_stream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *root;
static struct npi_machine machine;
static struct npi_plan *plan;

static int make_root(void **state)
{
    struct numapool_config config = plain_config();
    (void)state;
    root = make_tree();
    build_machine(&machine, 4, 1, 1, 2, 1);
    plan = plan_of(&machine, &config);
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    npi_plan_free(plan);
    npi_machine_fini(&machine);
    remove_tree(root);
    return 0;
}

/* What the reader says of a text, with the folder cut away; "" = nothing. */
static void read_text(struct load *load, const char *text, struct numapool_error *error)
{
    struct npi_mistakes mistakes = {0};
    char path[512];
    write_file(root, "/test.load", "%s", text);
    snprintf(path, sizeof path, "%s/test.load", root);
    memset(error, 0, sizeof *error);
    load_read(load, path, plan, &mistakes);
    (void)npi_mistakes_report(&mistakes, error);
    for (char *at; (at = strstr(error->text, root)) != NULL;)
        memmove(at, at + strlen(root) + 1, strlen(at + strlen(root) + 1) + 1);
}

static struct load good(const char *text)
{
    struct load load;
    struct numapool_error error;
    read_text(&load, text, &error);
    if (error.count > 0)
        fail_msg("%s\n%s", text, error.text);
    return load;
}

#define STREAM(keys) "duration = \"10s\";\nstream = (\n  { cpu = \"1ms\"; " keys " }\n);\n"

static void mistakes_have_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"duration = 10;\nstream = ( { rate = 1; cpu = \"1ms\"; } );\n",
         "test.load:1: duration: the number 10 has no unit; write \"10ns\", \"10us\" or \"10ms\""},
        {"stream = ( { rate = 1; cpu = \"1ms\"; } );\n",
         "test.load:1: duration: it is missing; write for example duration = \"10s\";"},
        {"duration = \"1s\";\n",
         "test.load:1: stream: it is missing; give either stream = ( { ... } ); or trace = "
         "\"FILE\";"},
        {"duration = \"1s\";\nstreem = ( );\nstream = ( { rate = 1; cpu = \"1ms\"; } );\n",
         "test.load:2: streem: there is no such setting; did you mean \"stream\"?"},
        {"duration = \"1s\";\nstream = { rate = 1; };\n",
         "test.load:2: stream: it is a group in { }; what is wanted is a list of groups in ( )"},
        {STREAM("rat = 5;"),
         "test.load:3: stream[0].rat: there is no such setting; did you mean \"rate\"?\n"
         "test.load:3: stream[0].rate: it is missing; the pattern \"poisson\" needs it"},
        {STREAM("rate = -5;"), "test.load:3: stream[0].rate: -5 is negative; what is wanted is a "
                               "decimal fraction such as 0.15"},
        {STREAM("rate = 5; rate = 6;"),
         "test.load:3: stream[0].rate: it was already set in line 3; keep one of them"},
        {STREAM("rate = 5; home = 4;"),
         "test.load:3: stream[0].home: there is no node 4; the machine has 0 to 3"},
        {STREAM("rate = 5; skew = 0.5;"),
         "test.load:3: stream[0].skew: it is the share of one node; name it by home"},
        {STREAM("rate = 5; class = \"urgent\";"), "test.load:3: stream[0].class: \"urgent\" is not "
                                                  "known here; possible: \"critical\", \"normal\" "
                                                  "or \"sheddable\""},
        {STREAM("rate = 5; peak = 7;"), "test.load:3: stream[0].peak: the pattern \"poisson\" does "
                                        "not have it; leave it out"},
        {STREAM("pattern = \"flash\"; rate = 5; peak = 7; at = \"1s\";"),
         "test.load:3: stream[0].lasts: it is missing; the pattern \"flash\" needs it"},
        {STREAM("pattern = \"burst\"; rate = 9; peak = 7; period = \"1s\"; lasts = \"2s\";"),
         "test.load:3: stream[0].peak: it is below rate; a burst goes up\n"
         "test.load:3: stream[0].period: it is shorter than lasts; a burst ends before the next"},
        {STREAM("pattern = \"diurnal\"; rate = 9; peak = 7; period = \"0s\";"),
         "test.load:3: stream[0].period: it is 0; a wave has a length"},
        {STREAM("rate = 5; from = \"3s\"; until = \"3s\";"),
         "test.load:3: stream[0].until: it is not after from; the stream would be empty"},
        {"duration = \"1s\";\nstream = ( { rate = 5; } );\n",
         "test.load:2: stream[0].cpu: it is missing; say what a task does, with cpu, block or "
         "both"},
        {STREAM("rate = 5; block = \"normal 3ms\";"),
         "test.load:3: stream[0].block: it is \"normal 3ms\"; what is wanted is \"2ms\", "
         "\"exponential 2ms\", \"lognormal 2ms 1.5\" (mean, spread up to 5) or \"bimodal 2ms 50ms "
         "0.1\" (usual, other, share of the other)"},
        {STREAM("rate = 5;") "change = (\n { at = \"1s\"; node = 9; cpus = 1; },\n"
                             " { node = 1; cpus = 1; speed = 2; },\n { node = 1; speed = 0; },\n"
                             " { speed = 1; } );\n",
         "test.load:6: change[0].node: there is no node 9; the machine has 0 to 3\n"
         "test.load:7: change[1].cpus: more than one of cpus, speed and foreign changes here; say "
         "exactly one\n"
         "test.load:8: change[2].speed: it is 0, and the node would stand still; more than 0\n"
         "test.load:9: change[3].node: it is missing; say which node changes"},
        {STREAM("rate = 5;") "trace = \"none.csv\";\n",
         "none.csv: the file cannot be opened: No such file or directory\n"
         "test.load:5: stream: there is a trace, too; give either stream = ( { ... } ); or trace = "
         "\"FILE\";"},
        {"duration = \"1s\";\nstream = ( {\n", "test.load:2: what is opened here is never closed; "
                                               "close it with }"},
        {"duration = \"1s\"; stream = ;\n",
         "test.load:1: syntax error here or just before; a setting is NAME = VALUE; and a text is "
         "in double quotes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct load load;
        struct numapool_error error;
        read_text(&load, cases[i].text, &error);
        load_fini(&load);
        if (strcmp(error.text, cases[i].told) != 0)
            fail_msg("%s\ntold:\n%s\nexpected:\n%s", cases[i].text, error.text, cases[i].told);
    }
}

static void trace_mistakes_have_their_line(void **state)
{
    (void)state;
    struct load load;
    struct numapool_error error;
    write_file(root, "/bad.csv",
               "time_s,node,class,cpu_us,block_us\n0.5,0,normal,1,1\n0.4,0,normal,1,1\n"
               "0.6,4,normal,1,1\n0.6,0,urgent,1,1\n0.6,0,normal,one,1\n0.6,0,normal\n"
               "0.6,0,normal,-1,1\n# 0.1\n\n0.7,1,critical,10,20,30\n");
    read_text(&load, "duration = \"1s\";\ntrace = \"bad.csv\";\n", &error);
    assert_string_equal(
        error.text,
        "bad.csv:3: the time is before that of the line above; sort by time\n"
        "bad.csv:4: the machine has no such node\n"
        "bad.csv:5: the class is not known; critical, normal or sheddable\n"
        "bad.csv:6: a field is not a number of 0 or more\n"
        "bad.csv:7: fields are missing; time_s,node,class,cpu_us,block_us and perhaps deadline_ms\n"
        "bad.csv:8: a field is not a number of 0 or more");
    assert_int_equal(load.trace_count, 2);
    assert_int_equal(load.trace[1].at_ns, 700000000);
    assert_int_equal(load.trace[1].home, 1);
    assert_int_equal(load.trace[1].job.task_class, NPI_CLASS_CRITICAL);
    assert_true(fabs(load.trace[1].job.cpu_ns - 10000.0) < 0.5);
    assert_int_equal(load.trace[1].job.block_ns, 20000);
    assert_int_equal(load.trace[1].job.deadline_ns, 30000000);
    load_fini(&load);
}

/* Arrivals of a load in each of its seconds; those of one home only, if >= 0. */
static void count_arrivals(const struct load *load, int home, unsigned *per_s, size_t seconds)
{
    struct sim_source source;
    struct sim_arrival arrival;
    uint64_t last_ns = 0;
    memset(per_s, 0, seconds * sizeof *per_s);
    sim_source_init(&source, load->loads, load->load_count, load->trace, load->trace_count,
                    plan->shard_count, load->seed);
    while (sim_source_next(&source, &arrival) && arrival.at_ns < seconds * UINT64_C(1000000000)) {
        assert_true(arrival.at_ns >= last_ns);
        assert_in_range(arrival.home, 0, plan->shard_count - 1);
        last_ns = arrival.at_ns;
        if (home < 0 || arrival.home == (uint32_t)home)
            per_s[arrival.at_ns / UINT64_C(1000000000)]++;
    }
    sim_source_fini(&source);
}

/* Six standard deviations of what chance does to a count, and the rounding at its edges. */
static void assert_about(double count, double expected, const char *what, size_t second)
{
    if (fabs(count - expected) > 6.0 * sqrt(expected) + 2.0)
        fail_msg("%s: %g arrivals in second %zu, about %g expected", what, count, second, expected);
}

static void patterns_have_their_rates(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        double expected[6];
    } cases[] = {
        {"rate = 1000;", {1000, 1000, 1000, 1000, 1000, 1000}},
        {"rate = 1000; from = \"1s\"; until = \"3s\";", {0, 1000, 1000, 0, 0, 0}},
        {"pattern = \"burst\"; peak = 4000; period = \"2s\"; lasts = \"500ms\";",
         {2000, 0, 2000, 0, 2000, 0}},
        {"pattern = \"burst\"; rate = 500; peak = 4000; period = \"3s\"; lasts = \"1s\";",
         {4000, 500, 500, 4000, 500, 500}},
        {"pattern = \"step\"; rate = 1000; peak = 200; at = \"2s\";",
         {1000, 1000, 200, 200, 200, 200}},
        {"pattern = \"flash\"; rate = 500; peak = 9000; at = \"1s\"; lasts = \"1s\";",
         {500, 9000, 500, 500, 500, 500}},
        {"pattern = \"ramp\"; rate = 0; peak = 4000; at = \"1s\"; lasts = \"4s\";",
         {0, 500, 1500, 2500, 3500, 4000}},
        {"pattern = \"diurnal\"; rate = 10000; peak = 30000; period = \"6s\";",
         {11730, 20000, 28270, 28270, 20000, 11730}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        unsigned per_s[6];
        snprintf(text, sizeof text, "duration = \"6s\"; stream = ( { cpu = \"1us\"; %s } );",
                 cases[i].keys);
        struct load load = good(text);
        count_arrivals(&load, -1, per_s, 6);
        for (size_t s = 0; s < 6; s++)
            assert_about(per_s[s], cases[i].expected[s], cases[i].keys, s);
        load_fini(&load);
    }
    struct load load = good(STREAM("pattern = \"constant\"; rate = 250;"));
    unsigned per_s[4];
    count_arrivals(&load, -1, per_s, 4);
    for (size_t s = 0; s < 4; s++)
        assert_in_range(per_s[s], 249, 251); /* no chance in it */
    load_fini(&load);
}

static void homes_have_their_shares(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        double expected[4];
    } cases[] = {
        {"rate = 8000;", {2000, 2000, 2000, 2000}},
        {"rate = 8000; home = \"even\";", {2000, 2000, 2000, 2000}},
        {"rate = 8000; home = 2;", {0, 0, 8000, 0}},
        {"rate = 8000; home = 1; skew = 0.7;", {800, 5600, 800, 800}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        snprintf(text, sizeof text, "duration = \"1s\"; stream = ( { cpu = \"1us\"; %s } );",
                 cases[i].keys);
        struct load load = good(text);
        for (int home = 0; home < 4; home++) {
            unsigned count;
            count_arrivals(&load, home, &count, 1);
            assert_about(count, cases[i].expected[home], cases[i].keys, 0);
        }
        load_fini(&load);
    }
}

static void times_have_their_means(void **state)
{
    (void)state;
    static const struct {
        const char *cpu;
        double mean_ms, within;
    } cases[] = {
        {"2ms", 2.0, 1e-9},
        {"exponential 2ms", 2.0, 0.05},
        {"lognormal 2ms 0.5", 2.0, 0.05},
        {"bimodal 1ms 11ms 0.1", 2.0, 0.1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        struct sim_source source;
        struct sim_arrival arrival;
        double sum_ms = 0.0, count = 0.0;
        snprintf(text, sizeof text,
                 "duration = \"1s\"; stream = ( { rate = 50000; cpu = \"%s\"; } );", cases[i].cpu);
        struct load load = good(text);
        sim_source_init(&source, load.loads, load.load_count, NULL, 0, 4, 1);
        while (sim_source_next(&source, &arrival) && arrival.at_ns < 1000000000) {
            sum_ms += arrival.job.cpu_ns * 1e-6;
            count += 1.0;
        }
        if (fabs(sum_ms / count - cases[i].mean_ms) > cases[i].within * cases[i].mean_ms)
            fail_msg("%s: the mean is %g ms", cases[i].cpu, sum_ms / count);
        sim_source_fini(&source);
        load_fini(&load);
    }
}

static void changes_reach_their_shards(void **state)
{
    (void)state;
    struct load load =
        good(STREAM("rate = 1;") "change = ( { at = \"2s\"; node = 3; foreign = 1.5; } );");
    assert_int_equal(load.change_count, 1);
    assert_int_equal(load.changes[0].shard, 3);
    assert_int_equal(load.changes[0].kind, SIM_CHANGE_FOREIGN);
    assert_true(fabs(load.changes[0].value - 1.5) < 1e-9);
    assert_true(fabs(load.changes[0].at_s - 2.0) < 1e-9);
    load_fini(&load);
}

static void a_shard_of_all_nodes_has_no_node_to_change(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    config.shards = NUMAPOOL_SINGLE;
    struct npi_plan *several = plan;
    plan = plan_of(&machine, &config);
    struct load load;
    struct numapool_error error;
    read_text(&load, STREAM("rate = 5; home = 3;") "change = ( { node = 1; speed = 2; } );\n",
              &error);
    assert_string_equal(error.text,
                        "test.load:5: change[0].node: its shard spans nodes and changes "
                        "only as a whole; use shards that do not");
    assert_int_equal(load.load_count, 1);
    assert_int_equal(load.loads[0].home, 0);
    load_fini(&load);
    npi_plan_free(plan);
    plan = several;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_have_their_line),
        cmocka_unit_test(trace_mistakes_have_their_line),
        cmocka_unit_test(patterns_have_their_rates),
        cmocka_unit_test(homes_have_their_shares),
        cmocka_unit_test(times_have_their_means),
        cmocka_unit_test(changes_reach_their_shards),
        cmocka_unit_test(a_shard_of_all_nodes_has_no_node_to_change),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
