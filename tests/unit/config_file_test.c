/*
 * The configuration file: good ones set what they say and nothing else, every wrong one in
 * tests/badconf gives exactly its messages, no text at all brings the reader down, and what a dump
 * or a plan writes loads back the same.
 */
#include "unit/topology_support.h"

#include "topology/text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *root;

static int make_root(void **state)
{
    (void)state;
    root = make_tree();
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    remove_tree(root);
    return 0;
}

/* Loads a text as a file and expects it to be fine. */
static struct numapool_config load_text(const char *text)
{
    struct numapool_config config = plain_config();
    struct numapool_error error = {.count = 77};
    char path[512];
    write_file(root, "/test.conf", "%s", text);
    snprintf(path, sizeof path, "%s/test.conf", root);
    if (numapool_config_load(&config, path, &error) != NUMAPOOL_OK)
        fail_msg("%s\n%s", text, error.text);
    assert_int_equal(error.count, 77); /* untouched */
    return config;
}

static void unload(struct numapool_config *config)
{
    npi_placement_free(config->placement);
    *config = plain_config();
}

static bool same_string(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_config(const struct numapool_config *a, const struct numapool_config *b)
{
    return a->workers_max == b->workers_max && a->workers_min == b->workers_min &&
           a->queue_tasks == b->queue_tasks && a->queue_delay_ns == b->queue_delay_ns &&
           a->memory_bytes == b->memory_bytes && a->idle_exit_ns == b->idle_exit_ns &&
           a->spin_ns == b->spin_ns && a->tick_ns == b->tick_ns &&
           memcmp(&a->latency_bias, &b->latency_bias, sizeof a->latency_bias) == 0 &&
           a->codel_target_ns == b->codel_target_ns &&
           a->codel_interval_ns == b->codel_interval_ns && a->shards == b->shards &&
           a->pinning == b->pinning && a->smt == b->smt && a->mode == b->mode &&
           same_string(a->machine, b->machine) && same_string(a->name, b->name) &&
           a->stack_bytes == b->stack_bytes && a->watchdog_ns == b->watchdog_ns &&
           a->stats_page == b->stats_page && npi_placement_equal(a->placement, b->placement);
}

/* -------------------------------------------------------------------------------- good files */

static const char everything[] =
    "version = 1;\n"
    "# every setting there is\n"
    "pool = {\n"
    "    name = \"web\"; mode = \"fixed\";\n"
    "    workers_max = 64; workers_min = 8; queue_tasks = 5000000;\n"
    "    queue_delay = \"250ms\"; memory = \"16G\"; idle_exit = \"off\"; spin = \"2.5us\";\n"
    "    tick = \"20ms\"; latency_bias = 0.25; codel_target = \"7ms\"; codel_interval = \"90ms\";\n"
    "    stack = 131072; machine = \"pack:2 [numa] core:4 pu:2\"; shards = \"package\";\n"
    "    pinning = \"cpu\"; smt = \"all\"; cpus_only = \"0-30:2,31\"; cpus_drop = \"4\";\n"
    "    reserve = \"0,8\"; nodes_only = \"0-1\"; nodes_drop = \"7\"; cpu_kind = \"fastest\";\n"
    "    quota = \"ignore\"; on_missing = \"fail\"; memory_policy = \"bind\"; pages = \"huge1g\";\n"
    "    shard_memory = 4294967296; watchdog = \"1.5s\"; stats_page = \"off\";\n"
    "};\n"
    "expect = { nodes = 2; packages = 2; cpus = 16; };\n";

static void every_setting_arrives(void **state)
{
    (void)state;
    struct numapool_config c = load_text(everything);
    assert_string_equal(c.name, "web");
    assert_int_equal(c.mode, NUMAPOOL_FIXED);
    assert_int_equal(c.workers_max, 64);
    assert_int_equal(c.workers_min, 8);
    assert_int_equal(c.queue_tasks, 5000000);
    assert_int_equal(c.queue_delay_ns, 250000000);
    assert_int_equal(c.memory_bytes, UINT64_C(17179869184));
    assert_true(c.idle_exit_ns == NUMAPOOL_OFF);
    assert_int_equal(c.spin_ns, 2500);
    assert_int_equal(c.tick_ns, 20000000);
    assert_true(c.latency_bias == 0.25);
    assert_int_equal(c.codel_target_ns, 7000000);
    assert_int_equal(c.codel_interval_ns, 90000000);
    assert_int_equal(c.stack_bytes, 131072);
    assert_int_equal(c.watchdog_ns, UINT64_C(1500000000));
    assert_int_equal(c.stats_page, NUMAPOOL_STATS_PAGE_OFF);
    assert_string_equal(c.machine, "pack:2 [numa] core:4 pu:2");
    assert_int_equal(c.shards, NUMAPOOL_PER_PACKAGE);
    assert_int_equal(c.pinning, NUMAPOOL_PIN_CPU);
    assert_int_equal(c.smt, NUMAPOOL_SMT_ALL);
    const struct numapool_placement *p = c.placement;
    assert_set(&p->cpus_only, "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30-31");
    assert_set(&p->cpus_drop, "4");
    assert_set(&p->reserve, "0,8");
    assert_set(&p->nodes_only, "0-1");
    assert_set(&p->nodes_drop, "7");
    assert_int_equal(p->cpu_kind, NPI_CPU_KIND_FASTEST);
    assert_int_equal(p->quota, NPI_QUOTA_IGNORE);
    assert_int_equal(p->on_missing, NPI_MISSING_FAIL);
    assert_int_equal(p->memory_policy, NPI_MEMORY_BIND);
    assert_int_equal(p->pages, NPI_PAGES_HUGE_1G);
    assert_int_equal(p->shard_memory_bytes, UINT64_C(4294967296));
    assert_int_equal(p->expect_nodes, 2);
    assert_int_equal(p->expect_packages, 2);
    assert_int_equal(p->expect_cpus, 16);
    unload(&c);
}

static void what_is_not_named_stays(void **state)
{
    (void)state;
    struct numapool_config c = load_text("version = 1;");
    struct numapool_config fresh = plain_config();
    assert_true(same_config(&c, &fresh));
    unload(&c);

    char path[512];
    static const char own_name[] = "own";
    snprintf(path, sizeof path, "%s/second.conf", root);
    c = load_text("version = 1; pool = { tick = \"20ms\"; reserve = \"0\"; machine = \"pu:4\"; };"
                  "shard = ( { cpus = \"1\"; } );");
    c.name = own_name;
    c.workers_max = 9;
    write_file(root, "/second.conf", "%s",
               "version = 1; pool = { tick = \"30ms\"; cpus_drop = \"2\"; };");
    assert_int_equal(numapool_config_load(&c, path, NULL), NUMAPOOL_OK);
    assert_int_equal(c.tick_ns, 30000000);
    assert_int_equal(c.workers_max, 9);
    assert_ptr_equal(c.name, own_name);     /* a program's string stays the program's */
    assert_string_equal(c.machine, "pu:4"); /* one of ours is still alive */
    assert_ptr_equal(c.machine, c.placement->machine);
    assert_set(&c.placement->reserve, "0");
    assert_set(&c.placement->cpus_drop, "2");
    assert_int_equal(c.placement->shard_count, 1);

    /* Later files win: other shards, or none but by granularity. */
    write_file(root, "/second.conf", "%s",
               "version = 1; shard = ( { cpus = \"2\"; }, { cpus = \"3\"; node = 1; } );");
    assert_int_equal(numapool_config_load(&c, path, NULL), NUMAPOOL_OK);
    assert_int_equal(c.placement->shard_count, 2);
    assert_int_equal(c.placement->shards[0].node, -1);
    assert_int_equal(c.placement->shards[1].node, 1);
    write_file(root, "/second.conf", "%s", "version = 1; pool = { shards = \"l3\"; };");
    assert_int_equal(numapool_config_load(&c, path, NULL), NUMAPOOL_OK);
    assert_int_equal(c.placement->shard_count, 0);
    assert_int_equal(c.shards, NUMAPOOL_PER_L3);
    unload(&c);
}

static void notation_is_free(void **state)
{
    (void)state;
    static const char *const same[] = {
        "version = 1; pool = { tick = \"20ms\"; workers_max = 16; };",
        "pool : { workers_max : 0x10, tick : \"20ms\" }\nversion : 1",
        "// first\nversion=1L;/* a\n comment */pool={tick=\"20\" \"ms\";workers_max=16L}\n# last",
        "version = 1;\r\npool = {\r\n  tick = \"20 ms\";\r\n  workers_max = +16;\r\n};\r\n",
        "version = 1;\n\tpool =\n\n{ tick = \"0.02s\" workers_max = 16 }",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct numapool_config c = load_text(same[i]);
        assert_int_equal(c.tick_ns, 20000000);
        assert_int_equal(c.workers_max, 16);
        unload(&c);
    }
}

static void explicit_shards_arrive(void **state)
{
    (void)state;
    struct numapool_config c =
        load_text("version = 1;\n"
                  "shard = (\n"
                  "    { cpus = \"2-15,34-47\"; workers = 14; node = 0; memory = \"4G\"; },\n"
                  "    { cpus = \"16-31\"; callers = \"0-1,16-33\"; }\n"
                  ");\n");
    const struct numapool_placement *p = c.placement;
    assert_int_equal(p->shard_count, 2);
    assert_set(&p->shards[0].cpus, "2-15,34-47");
    assert_int_equal(p->shards[0].workers_max, 14);
    assert_int_equal(p->shards[0].node, 0);
    assert_int_equal(p->shards[0].memory_bytes, UINT64_C(4294967296));
    assert_set(&p->shards[1].callers, "0-1,16-33");
    assert_int_equal(p->shards[1].node, -1);
    const char *line = strrchr(p->shards[1].where, ':');
    assert_string_equal(line, ":4");
    unload(&c);
}

static void ready_made_files_load_and_fit_their_machines(void **state)
{
    (void)state;
    static const struct {
        const char *file, *machine;
        unsigned shards;
        const char *first_cpus;
    } files[] = {
        {"one-socket", "pack:1 [numa] l3:1 core:16 pu:2", 1,
         "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30"},
        /* Not numbered by "indexes=core:pu", as such machines are: hwloc 2.9 reads a word it never
           wrote there, and what comes out depends on the stack. */
        {"two-sockets-smt", "pack:2 [numa] l3:1 core:16 pu:2", 2,
         "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30"},
        {"epyc-nps4", "pack:2 numa:4 l3:4 core:4 pu:2", 32, "0,2,4,6"},
        {"four-sockets-reserved", "pack:4 [numa] l3:1 core:16 pu:1", 4, "1-15"},
        {"container", "pack:1 [numa] core:8 pu:1", 1, "0-7"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct numapool_config config = plain_config();
        struct numapool_error error = {0};
        struct npi_plan *plan = NULL;
        char *path =
            npi_text_format("%s/../topology/configs/%s.conf", NUMAPOOL_TESTS_DIR, files[i].file);
        if (numapool_config_load(&config, path, &error) != NUMAPOOL_OK)
            fail_msg("%s", error.text);
        config.machine = files[i].machine;
        if (npi_plan_make(&plan, &config, &error) != NUMAPOOL_OK)
            fail_msg("%s: %s", files[i].file, error.text);
        assert_int_equal(plan->shard_count, files[i].shards);
        assert_set(&plan->shards[0].cpus, files[i].first_cpus);
        npi_plan_free(plan);
        npi_placement_free(config.placement);
        free(path);
    }
}

/* --------------------------------------------------------------------------------- bad files */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **list_bad_files(size_t *count)
{
    char **names = NULL;
    DIR *directory = opendir(".");
    assert_non_null(directory);
    *count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length <= 5 || strcmp(entry->d_name + length - 5, ".conf") != 0)
            continue;
        names = realloc(names, (*count + 1) * sizeof *names);
        assert_non_null(names);
        names[(*count)++] = strdup(entry->d_name);
    }
    closedir(directory);
    qsort(names, *count, sizeof *names, compare_names);
    return names;
}

/* What loading, or else planning, has to say about a file. */
static void complain(const char *name, struct numapool_error *error)
{
    struct numapool_config config = plain_config();
    struct npi_plan *plan = NULL;
    *error = (struct numapool_error){0};
    int result = numapool_config_load(&config, name, error);
    if (result == NUMAPOOL_OK) {
        result = npi_plan_make(&plan, &config, error);
        npi_placement_free(config.placement);
    } else {
        struct numapool_config untouched = plain_config();
        assert_memory_equal(&config, &untouched, sizeof config);
    }
    if (result != NUMAPOOL_E_CONFIG)
        fail_msg("%s gives %d", name, result);
    assert_null(plan);
}

static void wrong_files_say_exactly_what_is_wrong(void **state)
{
    (void)state;
    char *before = getcwd(NULL, 0), *directory = npi_text_format("%s/badconf", NUMAPOOL_TESTS_DIR);
    size_t count = 0, failures = 0;
    assert_int_equal(chdir(directory), 0);
    char **names = list_bad_files(&count);
    for (size_t i = 0; i < count; i++) {
        struct numapool_error error;
        char *wanted_path = npi_text_format("%.*s.expected", (int)strlen(names[i]) - 5, names[i]);
        char *wanted = read_file(wanted_path, NULL);
        if (wanted == NULL)
            fail_msg("%s is missing", wanted_path);
        size_t length = strlen(wanted);
        if (length > 0 && wanted[length - 1] == '\n')
            wanted[length - 1] = '\0';
        int lines = 1;
        for (const char *at = wanted; *at != '\0'; at++)
            lines += *at == '\n';
        complain(names[i], &error);
        if (strcmp(error.text, wanted) != 0 || error.count != lines) {
            print_error("%s says (%d)\n%s\ninstead of (%d)\n%s\n", names[i], error.count,
                        error.text, lines, wanted);
            failures++;
        }
        free(wanted);
        free(wanted_path);
        free(names[i]);
    }
    free(names);
    assert_int_equal(chdir(before), 0);
    free(before);
    free(directory);
    assert_int_equal(failures, 0);
    assert_true(count >= 100);
}

static void expect_unfit(const char *path, const char *what)
{
    struct numapool_config config = plain_config(), untouched = plain_config();
    struct numapool_error error = {0};
    char *wanted = npi_text_format("%s: %s", path, what);
    assert_int_equal(numapool_config_load(&config, path, &error), NUMAPOOL_E_CONFIG);
    assert_string_equal(error.text, wanted);
    assert_int_equal(error.count, 1);
    assert_memory_equal(&config, &untouched, sizeof config);
    free(wanted);
}

static void unfit_files_are_not_read(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/f.conf", root);
    expect_unfit(path, "the file cannot be opened: No such file or directory");
    expect_unfit(root, "it is not an ordinary file; name one");

    write_file(root, "/f.conf", "version = 1;\n");
    assert_int_equal(chmod(path, 0646), 0);
    expect_unfit(path, "anybody may write to it; use chmod o-w");
    assert_int_equal(chmod(path, 0664), 0);
    struct numapool_config config = plain_config();
    assert_int_equal(numapool_config_load(&config, path, NULL), NUMAPOOL_OK);
    unload(&config);

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite("version = 1;\0pool", 1, 17, file);
    fclose(file);
    expect_unfit(path, "it has bytes of value 0; a configuration file is text");

    assert_int_equal(truncate(path, (1 << 20) + 1), 0);
    expect_unfit(path, "it is larger than 1 MiB; this is not a configuration file");

    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_unfit(path, "it is not an ordinary file; name one"); /* and does not wait for a writer */
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    struct numapool_error error = {0};
    assert_int_equal(numapool_config_load(NULL, "x", &error), NUMAPOOL_E_INVALID);
    assert_int_equal(error.count, 1);
    assert_int_equal(numapool_config_load(&config, NULL, NULL), NUMAPOOL_E_INVALID);
    config.struct_size = 8;
    assert_int_equal(numapool_config_load(&config, "x", NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_config_dump(&config, 1), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_config_dump(NULL, 1), NUMAPOOL_E_INVALID);
    config = plain_config();
    assert_int_equal(numapool_config_dump(&config, -1), NUMAPOOL_E_SYSTEM);
    config.tick_ns = 1;
    assert_int_equal(numapool_config_dump(&config, 1), NUMAPOOL_E_INVALID);
}

/* Every prefix of a good file, and thousands of files with a few bytes changed: no crash, no
   success that a second load does not repeat, every message with a line that exists. */
static void damaged_files_are_survived(void **state)
{
    (void)state;
    char path[512];
    uint64_t seed = 3;
    size_t length = sizeof everything - 1;
    unsigned refused = 0;
    snprintf(path, sizeof path, "%s/test.conf", root);
    for (unsigned round = 0; round < 3000; round++) {
        char text[sizeof everything];
        struct numapool_config config = plain_config();
        struct numapool_error error = {0};
        size_t kept = round < length ? round : length;
        memcpy(text, everything, kept);
        for (unsigned i = next_random(&seed) % 4; round >= length && i > 0; i--)
            text[next_random(&seed) % kept] =
                "{}()[]\";,=:#/*@-+.0x1aL\n \\\xff"[next_random(&seed) % 27];
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fwrite(text, 1, kept, file);
        fclose(file);
        int result = numapool_config_load(&config, path, &error);
        if (result == NUMAPOOL_OK) {
            unload(&config);
            continue;
        }
        refused++;
        assert_int_equal(result, NUMAPOOL_E_CONFIG);
        assert_true(error.count > 0);
        int lines = 1;
        for (size_t i = 0; i < kept; i++)
            lines += text[i] == '\n';
        for (const char *at = error.text; at != NULL; at = strchr(at, '\n')) {
            at += *at == '\n';
            int line = 0;
            assert_memory_equal(at, path, strlen(path));
            assert_int_equal(sscanf(at + strlen(path), ":%d: ", &line), 1);
            assert_true(line >= 1 && line <= lines);
        }
    }
    assert_true(refused > 1500);
}

/* --------------------------------------------------------------------------------- round trips */

static int dump(const void *subject, int fd)
{
    return numapool_config_dump(subject, fd);
}

static int print_plan_config(const void *subject, int fd)
{
    return npi_plan_print_config(subject, fd);
}

static void expect_dump_loads_back(const struct numapool_config *config)
{
    char *text = capture(dump, config);
    struct numapool_config again = load_text(text);
    if (!same_config(config, &again))
        fail_msg("not the same:\n%s", text);
    char *second = capture(dump, &again);
    assert_string_equal(text, second);
    unload(&again);
    free(text);
    free(second);
}

static void dumps_load_back_equal(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    expect_dump_loads_back(&config);
    config = load_text(everything);
    expect_dump_loads_back(&config);
    unload(&config);
    config = load_text(
        "version = 1; pool = { machine = \"/a \\\"b\\\"/\\\\c.xml\"; quota = \"follow\"; };"
        "shard = ( { cpus = \"0-3\"; node = 0; memory = \"65537\"; }, "
        "{ cpus = \"5\"; callers = \"4-7\"; workers = 3; } );");
    assert_string_equal(config.machine, "/a \"b\"/\\c.xml");
    expect_dump_loads_back(&config);
    unload(&config);

    /* Explicit shards have the say over `shards`, so the dump has only them. */
    config = load_text("version = 1; shard = ( { cpus = \"0-3\"; } );");
    config.shards = NUMAPOOL_PER_L3;
    char *text = capture(dump, &config);
    struct numapool_config again = load_text(text);
    assert_true(npi_placement_equal(config.placement, again.placement));
    assert_int_equal(again.shards, NUMAPOOL_PER_NODE);
    unload(&again);
    unload(&config);
    free(text);

    config = plain_config(); /* nothing in quotes is taken for structure */
    config.machine = "/\"{([#//*@include;,=\\\"\\/x.xml";
    expect_dump_loads_back(&config);

    uint64_t seed = 8;
    for (unsigned round = 0; round < 200; round++) {
        config = plain_config();
        config.workers_max = 100 + next_random(&seed) % 1000;
        config.queue_tasks = 1 + next_random(&seed) % (1u << 26);
        config.queue_delay_ns = 1000 + next_random(&seed);
        config.memory_bytes = 65536 + ((uint64_t)next_random(&seed) << 12) + round % 3;
        config.latency_bias = 0.01 + (double)next_random(&seed) / 1e10;
        config.spin_ns = round % 5 == 0 ? NUMAPOOL_OFF : 1 + next_random(&seed) % 10000000;
        config.shards = (int)(next_random(&seed) % 4);
        config.mode = (int)(round % 2);
        expect_dump_loads_back(&config);
    }
}

static void plans_of_texts_load_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"pack:4 [numa] core:8 pu:2",
                                        "pack:2 numa:2 l3:2 core:2 pu:1", "numa:1 pu:1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int shards = 0; shards < 4; shards++) {
            struct numapool_config config = plain_config();
            struct npi_plan *plan = NULL, *same = NULL;
            config.machine = texts[i];
            config.shards = shards;
            assert_int_equal(npi_plan_make(&plan, &config, NULL), NUMAPOOL_OK);
            char *text = capture(print_plan_config, plan);
            struct numapool_config again = load_text(text);
            assert_string_equal(again.machine, texts[i]);
            assert_int_equal(npi_plan_make(&same, &again, NULL), NUMAPOOL_OK);
            assert_same_plan(plan, same, texts[i]);
            npi_plan_free(plan);
            npi_plan_free(same);
            unload(&again);
            free(text);
        }
}

int main(void)
{
#ifndef NUMAPOOL_CONFIG_FILE
    print_message("built without configuration files\n");
    return 77;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_setting_arrives, make_root, remove_root),
        cmocka_unit_test_setup_teardown(what_is_not_named_stays, make_root, remove_root),
        cmocka_unit_test_setup_teardown(notation_is_free, make_root, remove_root),
        cmocka_unit_test_setup_teardown(explicit_shards_arrive, make_root, remove_root),
        cmocka_unit_test(ready_made_files_load_and_fit_their_machines),
        cmocka_unit_test(wrong_files_say_exactly_what_is_wrong),
        cmocka_unit_test_setup_teardown(unfit_files_are_not_read, make_root, remove_root),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test_setup_teardown(damaged_files_are_survived, make_root, remove_root),
        cmocka_unit_test_setup_teardown(dumps_load_back_equal, make_root, remove_root),
        cmocka_unit_test_setup_teardown(plans_of_texts_load_back, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
