/*
 * Settings from the environment: every one of them, what comes before what, mistakes with the
 * nearest name, and that a program with raised privileges does not listen.
 */
#include "unit/topology_support.h"

#include "topology/settings.h"
#include "topology/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Runs before each test: no variable of ours is left over from elsewhere. */
static int clean(void **state)
{
    (void)state;
    for (char **entry = environ; *entry != NULL;) {
        char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "NUMAPOOL_", 9) != 0 || equals == NULL) {
            entry++;
            continue;
        }
        char *name = strndup(*entry, (size_t)(equals - *entry));
        assert_int_equal(unsetenv(name), 0);
        free(name);
        entry = environ;
    }
    return 0;
}

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static struct numapool_config expect_fine(void)
{
    struct numapool_config config = plain_config();
    struct numapool_error error = {.count = 77};
    if (numapool_config_env(&config, &error) != NUMAPOOL_OK)
        fail_msg("%s", error.text);
    assert_int_equal(error.count, 77);
    return config;
}

static void expect_mistakes(const char *text)
{
    struct numapool_config config = plain_config(), untouched = plain_config();
    struct numapool_error error = {0};
    assert_int_equal(numapool_config_env(&config, &error), NUMAPOOL_E_CONFIG);
    assert_string_equal(error.text, text);
    assert_memory_equal(&config, &untouched, sizeof config);
}

static void nothing_set_changes_nothing(void **state)
{
    (void)state;
    struct numapool_config config = expect_fine();
    assert_int_equal(config.tick_ns, 0);
    assert_true(npi_placement_equal(config.placement, NULL));
    npi_placement_free(config.placement);
    set("NUMAPOOL_TICK", ""); /* as unset */
    set("NUMAPOOL_CONFIG", "");
    config = expect_fine();
    assert_int_equal(config.tick_ns, 0);
    npi_placement_free(config.placement);
}

/* Some value for each kind of setting; whether it arrived is asked of the table itself. */
static const char *value_for(const struct npi_setting *setting)
{
    switch (setting->kind) {
    case NPI_SETTING_COUNT:
        return "37";
    case NPI_SETTING_TIME:
        return setting->high < 100000000 ? "5ms" : "137ms";
    case NPI_SETTING_BYTES:
        return "1M";
    case NPI_SETTING_SHARE:
        return "0.25";
    case NPI_SETTING_WORD:
        return setting->words[1];
    case NPI_SETTING_TEXT:
        return "numa";
    case NPI_SETTING_LIST:
        break;
    }
    return "1-3,7";
}

static void every_setting_has_its_variable(void **state)
{
    (void)state;
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        char name[64] = "NUMAPOOL_";
        bool no_memory;
        if (setting->group != NPI_GROUP_POOL)
            continue;
        for (size_t k = 0; k <= strlen(setting->name); k++)
            name[9 + k] = (char)toupper((unsigned char)setting->name[k]);
        clean(NULL);
        set(name, value_for(setting));
        struct numapool_config config = expect_fine();
        char *text = npi_setting_text(setting, &config, &no_memory);
        assert_non_null(text);
        size_t quoted = text[0] == '"';
        if (strncmp(text + quoted, value_for(setting), strlen(value_for(setting))) != 0)
            fail_msg("%s=%s became %s", name, value_for(setting), text);
        free(text);
        for (unsigned j = 0; j < npi_setting_count; j++) { /* and no other */
            text = j != i ? npi_setting_text(&npi_settings[j], &config, &no_memory) : NULL;
            if (text != NULL)
                fail_msg("%s also set %s to %s", name, npi_settings[j].name, text);
        }
        npi_placement_free(config.placement);
    }
}

static void mistakes_name_the_variable(void **state)
{
    (void)state;
    set("NUMAPOOL_TICK", "10");
    expect_mistakes("environment: NUMAPOOL_TICK: \"10\" has no unit; write \"10ns\", \"10us\" or "
                    "\"10ms\"");
    set("NUMAPOOL_TICK", "10ms");
    set("NUMAPOOL_TIKC", "10ms");
    expect_mistakes("environment: NUMAPOOL_TIKC: there is no such setting; did you mean "
                    "NUMAPOOL_TICK?");
    unsetenv("NUMAPOOL_TIKC");
    set("NUMAPOOL_tick", "10ms");
    expect_mistakes("environment: NUMAPOOL_tick: there is no such setting; did you mean "
                    "NUMAPOOL_TICK?");
    unsetenv("NUMAPOOL_tick");
    set("NUMAPOOL_TICK_NS", "10000000");
    expect_mistakes("environment: NUMAPOOL_TICK_NS: there is no such setting; did you mean "
                    "NUMAPOOL_TICK?");
    unsetenv("NUMAPOOL_TICK_NS");
    set("NUMAPOOL_CONFIGS", "x");
    expect_mistakes("environment: NUMAPOOL_CONFIGS: there is no such setting; did you mean "
                    "NUMAPOOL_CONFIG?");
    unsetenv("NUMAPOOL_CONFIGS");
    set("NUMAPOOL_HOUSE_STYLE", "x");
    expect_mistakes("environment: NUMAPOOL_HOUSE_STYLE: there is no such setting; variables that "
                    "begin with NUMAPOOL_ are settings of the pool, so rename or unset it");
    unsetenv("NUMAPOOL_HOUSE_STYLE");
    set("NUMAPOOL_NODES", "2"); /* expectations are for files */
    expect_mistakes("environment: NUMAPOOL_NODES: there is no such setting; did you mean "
                    "NUMAPOOL_MODE?");
}

/* find_package's hints, and what Kubernetes makes of services called numapool and numapool-agent. */
static void variables_of_others_are_no_mistakes(void **state)
{
    (void)state;
    static const char *const theirs[] = {"NUMAPOOL_ROOT",
                                         "NUMAPOOL_DIR",
                                         "NUMAPOOL_SERVICE_HOST",
                                         "NUMAPOOL_SERVICE_PORT",
                                         "NUMAPOOL_SERVICE_PORT_HTTP",
                                         "NUMAPOOL_PORT",
                                         "NUMAPOOL_PORT_80_TCP",
                                         "NUMAPOOL_PORT_80_TCP_ADDR",
                                         "NUMAPOOL_AGENT_SERVICE_HOST",
                                         "NUMAPOOL_AGENT_PORT",
                                         "NUMAPOOL_AGENT_PORT_7777_TCP_PROTO"};
    static const char *const ours[] = {"NUMAPOOL_ROOTS",  "NUMAPOOL_DIRS",   "NUMAPOOL_root",
                                       "NUMAPOOL_SPORT",  "NUMAPOOL_PORT_",  "NUMAPOOL_PORT_X",
                                       "NUMAPOOL_PORTAL", "NUMAPOOL_SERVICE"};
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        set(theirs[i], "/usr/local");
    set("NUMAPOOL_TICK", "20ms");
    struct numapool_config config = expect_fine();
    assert_int_equal(config.tick_ns, 20000000);
    npi_placement_free(config.placement);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        struct numapool_error error = {0};
        config = plain_config();
        set(ours[i], "/usr/local");
        assert_int_equal(numapool_config_env(&config, &error), NUMAPOOL_E_CONFIG);
        assert_int_equal(error.count, 1);
        assert_non_null(strstr(error.text, ours[i]));
        unsetenv(ours[i]);
    }
}

static void odd_names_are_survived(void **state)
{
    (void)state;
    char longer[300];
    struct numapool_config config = plain_config();
    struct numapool_error error = {0};
    memset(longer, 'X', sizeof longer - 1);
    memcpy(longer, "NUMAPOOL_", 9);
    longer[sizeof longer - 1] = '\0';
    set(longer, "1");
    set("NUMAPOOL_", "1");
    set("NUMAPOOLING", "1"); /* not ours */
    set("numapool_tick", "1");
    assert_int_equal(numapool_config_env(&config, &error), NUMAPOOL_E_CONFIG);
    assert_int_equal(error.count, 2);
}

static void all_mistakes_come_at_once(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    struct numapool_error error = {0};
    set("NUMAPOOL_SHARDS", "cpu");
    set("NUMAPOOL_RESERVE", "3-1");
    set("NUMAPOOL_WORKERS_MAX", "-5");
    assert_int_equal(numapool_config_env(&config, &error), NUMAPOOL_E_CONFIG);
    assert_int_equal(error.count, 3);
    assert_non_null(strstr(error.text, "NUMAPOOL_SHARDS: \"cpu\" is not known here; possible: "));
    assert_non_null(strstr(error.text, "NUMAPOOL_RESERVE: the range at \"3-1\" ends before it"));
    assert_non_null(strstr(error.text, "NUMAPOOL_WORKERS_MAX: \"-5\" is not a whole number"));
}

static void a_file_comes_first(void **state)
{
    (void)state;
#ifndef NUMAPOOL_CONFIG_FILE
    skip();
#endif
    char *root = make_tree();
    char *path = npi_text_format("%s/first.conf", root);
    write_file(root, "/first.conf", "%s",
               "version = 1;\npool = { tick = \"20ms\"; spin = \"3us\"; machine = \"pu:4\"; };\n"
               "shard = ( { cpus = \"0\"; } );\n");
    set("NUMAPOOL_CONFIG", path);
    set("NUMAPOOL_TICK", "30ms");
    struct numapool_config config = expect_fine();
    assert_int_equal(config.tick_ns, 30000000);
    assert_int_equal(config.spin_ns, 3000);
    assert_string_equal(config.machine, "pu:4");
    assert_int_equal(config.placement->shard_count, 1);
    npi_placement_free(config.placement);

    set("NUMAPOOL_MACHINE", "pu:8");
    set("NUMAPOOL_SHARDS", "single");
    config = expect_fine();
    assert_string_equal(config.machine, "pu:8");
    assert_int_equal(config.placement->shard_count, 0);
    assert_int_equal(config.shards, NUMAPOOL_SINGLE);
    npi_placement_free(config.placement);

    /* Mistakes of both, the environment's first: it is what was typed last. */
    write_file(root, "/first.conf", "%s", "version = 1;\npool = { tick = \"20\"; };\n");
    set("NUMAPOOL_TICK", "x");
    char *wanted = npi_text_format("environment: NUMAPOOL_TICK: \"x\" is not a time such as "
                                   "\"10ms\"\n%s:2: pool.tick: \"20\" has no unit; write \"20ns\", "
                                   "\"20us\" or \"20ms\"",
                                   path);
    expect_mistakes(wanted);
    free(wanted);
    unsetenv("NUMAPOOL_TICK");
    set("NUMAPOOL_CONFIG", "/nonexistent/np.conf");
    expect_mistakes("/nonexistent/np.conf: the file cannot be opened: No such file or directory");
    free(path);
    remove_tree(root);
}

static void without_libconfig_a_file_is_a_mistake(void **state)
{
    (void)state;
#ifdef NUMAPOOL_CONFIG_FILE
    skip();
#endif
    set("NUMAPOOL_CONFIG", "/etc/np.conf");
    expect_mistakes("/etc/np.conf: this build of numapool reads no configuration files; build it "
                    "with NUMAPOOL_CONFIG_FILE=ON, or use NUMAPOOL_ variables");
}

/* What the raised copy of this program does: the environment is wrong, and must not matter. */
static int look_at_environment(void)
{
    struct numapool_config config = plain_config();
    int result = numapool_config_env(&config, NULL);
    npi_placement_free(config.placement);
    return result == NUMAPOOL_OK && config.tick_ns == 0 ? 0 : 1;
}

static int run_copy(const char *path, mode_t mode)
{
    int status = 0;
    assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
    assert_int_equal(chmod(path, mode), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl(path, path, "look", (char *)NULL);
        _exit(126);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void raised_privileges_ignore_the_environment(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("only root can make a program that runs with other rights\n");
        skip();
    }
    char *root = make_tree();
    char *copy = npi_text_format("%s/copy", root);
    char self[4096] = ""; /* asked here: under valgrind, other processes see its program */
    assert_in_range(readlink("/proc/self/exe", self, sizeof self - 1), 1, sizeof self - 2);
    char *command = npi_text_format("cp '%s' '%s'", self, copy);
    assert_int_equal(chmod(root, 0755), 0);
    assert_int_equal(system(command), 0);
    set("NUMAPOOL_TICK", "nonsense");
    set("NUMAPOOL_CONFIG", "/nonexistent/np.conf");
    int plain = run_copy(copy, 0755), raised = run_copy(copy, 04755);
    free(command);
    free(copy);
    remove_tree(root);
    assert_int_equal(plain, 1); /* as itself it listens, and finds the mistakes */
    assert_int_equal(raised, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "look") == 0)
        _exit(look_at_environment()); /* a leak checker cannot look into a raised process */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_set_changes_nothing, clean),
        cmocka_unit_test_setup(every_setting_has_its_variable, clean),
        cmocka_unit_test_setup(mistakes_name_the_variable, clean),
        cmocka_unit_test_setup(variables_of_others_are_no_mistakes, clean),
        cmocka_unit_test_setup(odd_names_are_survived, clean),
        cmocka_unit_test_setup(all_mistakes_come_at_once, clean),
        cmocka_unit_test_setup(a_file_comes_first, clean),
        cmocka_unit_test_setup(without_libconfig_a_file_is_a_mistake, clean),
        cmocka_unit_test_setup(raised_privileges_ignore_the_environment, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
