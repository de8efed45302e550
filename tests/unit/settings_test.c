/*
 * The table of settings: complete, free of contradictions, the same bounds for texts and for values
 * a program sets, and every value it can hold reads back.
 */
#include "unit/topology_support.h"

#include "topology/settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void the_table_agrees_with_itself(void **state)
{
    (void)state;
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        assert_non_null(setting->name);
        assert_non_null(setting->help);
        assert_non_null(setting->default_text);
        assert_ptr_equal(npi_setting_find(setting->group, setting->name), setting);
        assert_ptr_equal(npi_setting_suggest(setting->group, setting->name), setting->name);
        assert_true(setting->low <= setting->high);
        assert_int_equal(setting->kind == NPI_SETTING_WORD, setting->words != NULL);
        assert_int_equal(setting->said < 0, setting->field != NULL);
        for (unsigned j = 0; j < i; j++) {
            assert_true(npi_settings[j].group != setting->group ||
                        strcmp(npi_settings[j].name, setting->name) != 0);
            assert_true(setting->said < 0 || npi_settings[j].said != setting->said);
        }
        /* A default that is written is one that may be written. */
        if (setting->default_text[0] == '#')
            continue;
        char text[64] = "";
        size_t length = strlen(setting->default_text);
        bool quoted = setting->default_text[0] == '"';
        memcpy(text, setting->default_text + quoted, length - 2 * quoted);
        struct npi_value value;
        char *what = NULL;
        if (!npi_setting_parse(setting, text, &value, &what))
            fail_msg("%s: default %s: %s", setting->name, setting->default_text, what);
        npi_value_fini(&value);
    }
}

static void every_field_of_the_configuration_can_be_set(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "workers_max",
        "workers_min",
        "queue_tasks",
        "queue_delay_ns",
        "memory_bytes",
        "idle_exit_ns",
        "spin_ns",
        "tick_ns",
        "latency_bias",
        "codel_target_ns",
        "codel_interval_ns",
        "shards",
        "pinning",
        "smt",
        "mode",
        "machine",
        "name",
        "stack_bytes",
        "watchdog_ns",
        "stats_page",
    };
    unsigned in_config = 0, said = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        bool found = false;
        for (unsigned j = 0; j < npi_setting_count; j++)
            found |= npi_settings[j].field != NULL && strcmp(npi_settings[j].field, fields[i]) == 0;
        if (!found)
            fail_msg("no setting for %s", fields[i]);
    }
    for (unsigned j = 0; j < npi_setting_count; j++) {
        in_config += npi_settings[j].said < 0;
        said += npi_settings[j].said >= 0;
    }
    assert_int_equal(in_config, sizeof fields / sizeof *fields);
    assert_int_equal(said, NPI_SAID_COUNT);
}

static void the_reference_names_every_setting_and_no_other(void **state)
{
    (void)state;
    char *text = read_file(NUMAPOOL_TESTS_DIR "/../topology/README.md", NULL);
    assert_non_null(text);
    char *expect = strstr(text, "### `expect`"), *shard = strstr(text, "### `shard`");
    assert_non_null(expect);
    assert_non_null(shard);
    *shard = '\0';
    unsigned rows = 0;
    for (const char *row = strstr(text, "\n| `"); row != NULL; row = strstr(row + 1, "\n| `")) {
        char name[64];
        assert_int_equal(sscanf(row, "\n| `%63[a-z_]`", name), 1);
        enum npi_setting_group group = row < expect ? NPI_GROUP_POOL : NPI_GROUP_EXPECT;
        rows++;
        if (npi_setting_find(group, name) != NULL)
            continue;
        if (row > strstr(text, "### `pool`"))
            fail_msg("there is no setting \"%s\"", name);
        rows--; /* a table before the reference */
    }
    assert_int_equal(rows, npi_setting_count);
    free(text);
}

static void names_are_guessed_but_not_wildly(void **state)
{
    (void)state;
    static const struct {
        const char *wrong, *right;
    } guesses[] = {
        {"wokers_max", "workers_max"},
        {"workers-max", "workers_max"},
        {"Tick", "tick"},
        {"tick_ns", "tick"},
        {"memory_bytes", "memory"},
        {"pining", "pinning"},
        {"latency_bais", "latency_bias"},
        {"cpu_only", "cpus_only"},
        {"reserved", "reserve"},
        {"xyzzy", NULL},
        {"threads", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof guesses / sizeof *guesses; i++) {
        const char *guess = npi_setting_suggest(NPI_GROUP_POOL, guesses[i].wrong);
        if (guesses[i].right == NULL && guess != NULL)
            fail_msg("\"%s\" becomes \"%s\"", guesses[i].wrong, guess);
        if (guesses[i].right != NULL)
            assert_string_equal(guess != NULL ? guess : "nothing", guesses[i].right);
    }
}

static void distance_counts_slips(void **state)
{
    (void)state;
    assert_int_equal(npi_word_distance("tick", "tick", 5), 0);
    assert_int_equal(npi_word_distance("tick", "TICK", 5), 0);
    assert_int_equal(npi_word_distance("tick", "tik", 5), 1);
    assert_int_equal(npi_word_distance("tick", "ticks", 5), 1);
    assert_int_equal(npi_word_distance("tick", "tock", 5), 1);
    assert_int_equal(npi_word_distance("tick", "tcik", 5), 1); /* swapped neighbours: one slip */
    assert_int_equal(npi_word_distance("", "abc", 5), 3);
    assert_int_equal(npi_word_distance("abcdef", "uvwxyz", 3), 4); /* the limit and one */
    char longer[100];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(npi_word_distance(longer, longer, 3), 4);
}

static void expect_valid(const struct numapool_config *config)
{
    struct numapool_error error = {.count = 77};
    int result = npi_settings_validate(config, &error);
    if (result != NUMAPOOL_OK)
        fail_msg("%s", error.text);
    assert_int_equal(error.count, 77);
}

static void expect_invalid(const struct numapool_config *config, const char *text)
{
    struct numapool_error error = {0};
    assert_int_equal(npi_settings_validate(config, &error), NUMAPOOL_E_CONFIG);
    assert_string_equal(error.text, text);
}

static void values_of_a_program_are_checked(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    expect_valid(&config);
    config.queue_delay_ns = config.idle_exit_ns = config.spin_ns = config.codel_target_ns =
        NUMAPOOL_OFF;
    config.tick_ns = 1000000;
    config.latency_bias = 0.01;
    expect_valid(&config);
    config.tick_ns = 1000000000;
    config.latency_bias = 0.5;
    expect_valid(&config);

    config.tick_ns = 999999;
    expect_invalid(&config, "config: tick_ns: 999999ns is out of range; 1ms to 1s");
    config.tick_ns = NUMAPOOL_OFF;
    expect_invalid(&config, "config: tick_ns: \"off\" is out of range; 1ms to 1s");
    config = plain_config();
    config.latency_bias = 0.51;
    expect_invalid(&config, "config: latency_bias: 0.51 is out of range; 0.01 to 0.5");
    config.latency_bias = -0.1;
    expect_invalid(&config, "config: latency_bias: -0.1 is out of range; 0.01 to 0.5");
    config.latency_bias = NAN;
    expect_invalid(&config, "config: latency_bias: not a number is out of range; 0.01 to 0.5");
    config = plain_config();
    config.name = "12345";
    expect_invalid(&config, "config: name: \"12345\" has 5 characters; 1 to 4 are possible");
    config.name = "a/b";
    expect_invalid(&config, "config: name: it has a character that cannot be used here; letters, "
                            "digits and signs but \"/\" can");
    config = plain_config();
    config.workers_max = 100000;
    config.pinning = 3;
    config.mode = -1;
    config.memory_bytes = 1;
    expect_invalid(&config, "config: mode: -1 is not one of its values; 0 to 1 are\n"
                            "config: workers_max: 100000 is out of range; 1 to 32768\n"
                            "config: memory_bytes: 1 is out of range; 64K to 1024T\n"
                            "config: pinning: 3 is not one of its values; 0 to 2 are");
}

/* Bounds of every number: the bound is in, one beyond is out, from text and from a program alike.
 */
static void bounds_are_the_same_everywhere(void **state)
{
    (void)state;
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        if (setting->kind != NPI_SETTING_COUNT && setting->kind != NPI_SETTING_TIME &&
            setting->kind != NPI_SETTING_BYTES)
            continue;
        const struct {
            uint64_t number;
            bool in;
        } cases[] = {{setting->low, true},
                     {setting->high, true},
                     {setting->low - 1, false},
                     {setting->high + 1, false}};
        for (size_t c = 0; c < 4; c++) {
            struct npi_value value = {.number = cases[c].number};
            char *what = NULL;
            if (setting->low == 0 && c == 2)
                continue;
            assert_int_equal(npi_setting_check(setting, &value, &what), cases[c].in);
            assert_int_equal(what == NULL, cases[c].in);
            free(what);
            if (setting->said >= 0 || (c == 2 && cases[c].number == 0))
                continue; /* 0 in a field means its default */
            struct numapool_config config = plain_config();
            struct numapool_placement nothing = {0};
            assert_true(npi_setting_store(setting, &value, &config, &nothing, "here"));
            assert_int_equal(npi_settings_validate(&config, NULL),
                             cases[c].in ? NUMAPOOL_OK : NUMAPOOL_E_CONFIG);
        }
    }
}

static void mistakes_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    struct npi_mistakes mistakes = {0};
    struct numapool_error error;
    char longer[6000];
    for (int i = 0; i < 3000; i++)
        npi_mistakes_add(&mistakes, 3000 - i, "line %d is wrong", 3000 - i);
    assert_int_equal(npi_mistakes_report(&mistakes, &error), NUMAPOOL_E_CONFIG);
    assert_int_equal(error.count, 3000);
    assert_true(strlen(error.text) < sizeof error.text);
    assert_memory_equal(error.text, "line 2001 is wrong\nline 2002 is wrong\n", 38);
    const char *tail = strrchr(error.text, '\n');
    unsigned more = 0, shown = 1;
    assert_int_equal(sscanf(tail, "\nand %u more mistakes", &more), 1);
    for (const char *at = error.text; at < tail; at++)
        shown += *at == '\n';
    assert_int_equal(shown + more, 3000);

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    npi_mistakes_add(&mistakes, 1, "%s", longer);
    assert_int_equal(npi_mistakes_report(&mistakes, &error), NUMAPOOL_E_CONFIG);
    assert_true(strlen(error.text) > 4000 && strlen(error.text) < sizeof error.text);
    assert_int_equal(npi_mistakes_report(&mistakes, &error), NUMAPOOL_OK); /* emptied */
    assert_int_equal(npi_mistakes_report(&mistakes, NULL), NUMAPOOL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_agrees_with_itself),
        cmocka_unit_test(every_field_of_the_configuration_can_be_set),
        cmocka_unit_test(the_reference_names_every_setting_and_no_other),
        cmocka_unit_test(names_are_guessed_but_not_wildly),
        cmocka_unit_test(distance_counts_slips),
        cmocka_unit_test(values_of_a_program_are_checked),
        cmocka_unit_test(bounds_are_the_same_everywhere),
        cmocka_unit_test(mistakes_that_do_not_fit_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
