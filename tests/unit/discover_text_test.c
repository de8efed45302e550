/*
 * Machines described by texts and by XML files: what is one, what is not, and that neither of them
 * stops the process or prints.
 */
#include "unit/topology_support.h"

#include "topology/discover.h"
#include "topology/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void expect_refusal(const char *text, const char *wanted)
{
    struct npi_machine machine = {0};
    struct npi_discover_options options = {0};
    char *why = NULL;
    assert_int_equal(npi_discover_text(&machine, text, &options, &why), -EINVAL);
    assert_non_null(why);
    assert_string_equal(why, wanted);
    assert_null(machine.cpus);
    free(why);

    /* The same through the public way: a mistake, not a fallback. */
    struct numapool_config config = plain_config();
    struct numapool_error error = {0};
    struct npi_plan *plan = NULL;
    config.machine = text;
    assert_int_equal(npi_plan_make(&plan, &config, &error), NUMAPOOL_E_CONFIG);
    assert_int_equal(error.count, 1);
    assert_memory_equal(error.text, "config: machine: ", 17);
    assert_string_equal(error.text + 17, wanted);
    assert_null(plan);
}

static void expect_beginning(const char *text, const char *wanted)
{
    struct npi_machine machine = {0};
    struct npi_discover_options options = {0};
    char *why = NULL;
    assert_int_equal(npi_discover_text(&machine, text, &options, &why), -EINVAL);
    assert_non_null(why);
    if (strncmp(why, wanted, strlen(wanted)) != 0)
        fail_msg("%s: not \"%s ...\"", why, wanted);
    free(why);
}

/* What hwloc accepts and machines are described with keeps being accepted. */
static void texts_of_all_kinds_are_machines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned cpus, nodes;
    } fine[] = {
        {"4", 4, 1},
        {"2 3 4", 24, 6},
        {"pack:2 [numa] core:8 pu:2", 32, 2},
        {"PACK:2 Core:2 PU:1", 4, 1},
        {"(memory=1GB) pack:2 numa:2(memory=4GB indexes=2*2:1*2) l3:1(size=16MB) l2:2 core:1 pu:1",
         8, 4},
        {"group:2 pack:1 die:2 [numa(memory=1TiB indexes=3,2,1,0)][numa] l2d:1 pu:2", 8, 8},
        {"pack:256 [numa] core:4 pu:2", 2048, 256},
    };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        struct npi_machine machine = {0};
        struct npi_discover_options options = {0};
        char *why = NULL;
        if (npi_discover_text(&machine, fine[i].text, &options, &why) != 0)
            fail_msg("%s", why);
        assert_int_equal(machine.cpu_count, fine[i].cpus);
        assert_int_equal(machine.node_count, fine[i].nodes);
        npi_machine_fini(&machine);
    }
}

static void texts_that_are_no_machines_are_mistakes(void **state)
{
    (void)state;
    char path[512], message[1024];
    expect_refusal("pack:2 cpu:4",
                   "\"pack:2 cpu:4\" is not an hwloc synthetic text such as \"pack:2 [numa] core:8 "
                   "pu:2\"");
    expect_refusal("hello", "\"hello\" is not an hwloc synthetic text such as \"pack:2 [numa] "
                            "core:8 pu:2\"");
    expect_refusal("pack:1000 core:1000 pu:8",
                   "\"pack:1000 core:1000 pu:8\" asks for more than 16384 CPUs");
    expect_refusal("20000", "\"20000\" asks for more than 16384 CPUs");
    /* Over each of these hwloc 2.9 ends the process, writes where it should not, or never returns. */
    static const struct {
        const char *text, *message;
    } mad[] = {
        {"core(:99999 pu:1", "is not an hwloc synthetic text such as"},
        {"pack:+40000 pu:1", "is not an hwloc synthetic text such as"},
        {"pack:-18446744073709535232 pu:1", "is not an hwloc synthetic text such as"},
        {"pack:0x4000 pu:010", "is not an hwloc synthetic text such as"},
        {"memcache:2 pu:2", "is not an hwloc synthetic text such as"},
        {"pack:2 [numa(indexes=core)] core:8 pu:1", "is not an hwloc synthetic text such as"},
        {"pack:2 [numa(indexes=4000000000,1)] pu:1", "is not an hwloc synthetic text such as"},
        {"pack:4(indexes=1*65535:1*65535:1*65535:1*65535) pu:1",
         "is not an hwloc synthetic text such as"},
        {"pack:1025 [numa] pu:1", "asks for more than 1024 memory nodes"},
        {"pack:2 numa:513 pu:1", "asks for more than 1024 memory nodes"},
        {"pu:16384", "would take too long to build"},
    };
    for (size_t i = 0; i < sizeof mad / sizeof *mad; i++) {
        snprintf(path, sizeof path, "\"%s\" %s", mad[i].text, mad[i].message);
        expect_beginning(mad[i].text, path);
    }
    char deep[1024] = "";
    for (unsigned i = 0; i < 65; i++)
        strcat(deep, "group:1 ");
    strcat(deep, "pu:1");
    expect_beginning(deep, "\"group:1 ");
    expect_refusal("pack:2\npu:2", "a machine text is plain ASCII on one line");
    expect_refusal("/nonexistent/machine.xml",
                   "/nonexistent/machine.xml: No such file or directory");
    expect_refusal("nonexistent.xml", "nonexistent.xml: No such file or directory");

    snprintf(message, sizeof message, "%s is not a file", root);
    expect_refusal(root, message);

    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", ":1: there is no topology in it; make such a file with `lstopo FILE.xml`"},
        {"not xml at all\n", ":1: there is no topology in it; make such a file with `lstopo "
                             "FILE.xml`"},
        {"<?xml version=\"1.0\"?>\n<topology>\n",
         ":2: it was not made by hwloc 2 or later; make such a file with `lstopo FILE.xml`"},
        {"<topology version=\"2.0\"></topology>\n",
         " is not a machine that hwloc can load; make one with `lstopo FILE.xml`"},
        {"<topology version=\"2.0\">\n\n<object type=\"Machine\" cpuset=\"0x1\"/></topology>\n",
         ":3: an object lacks one of its four sets of CPUs and nodes; make such a file with "
         "`lstopo FILE.xml`"},
        {"<topology version=\"2.0\">\n<object type=\"Machine\" cpuset=\"0xg\"/></topology>\n",
         ":2: an object has a set that cannot be read; make such a file with `lstopo FILE.xml`"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(root, "/bad.xml", "%s", bad[i].text);
        snprintf(path, sizeof path, "%s/bad.xml", root);
        snprintf(message, sizeof message, "%s%s", path, bad[i].message);
        expect_refusal(path, message);
    }
}

/* What ends the process inside hwloc, uses up the stack or the memory, or is read otherwise by it. */
static void files_no_export_looks_like_are_mistakes(void **state)
{
    (void)state;
#define SETS "cpuset=\"0x1\" complete_cpuset=\"0x1\" nodeset=\"0x1\" complete_nodeset=\"0x1\""
#define MACHINE "<object type=\"Machine\" " SETS ">"
#define NODE "<object type=\"NUMANode\" os_index=\"0\" " SETS "/>"
#define PU "<object type=\"PU\" os_index=\"0\" " SETS "/>"
#define TABLE "<distances2 type=\"NUMANode\" kind=\"5\" indexing=\"os\" nbobjs="
    static const struct {
        const char *inside, *message; /* of the element topology */
    } bad[] = {
        {MACHINE "<!-- a remark -->" NODE PU "</object>", "it is not written as hwloc writes XML"},
        {MACHINE NODE PU "</object><![CDATA[<]]>", "it is not written as hwloc writes XML"},
        {MACHINE "<object type=\"PU\" name=\">\" os_index=\"0\" " SETS "/>" NODE "</object>",
         "it is not written as hwloc writes XML"},
        {MACHINE "<object type=\"PU\" name=\"&a;\" os_index=\"0\" " SETS "/>" NODE "</object>",
         "it is not written as hwloc writes XML"},
        {MACHINE NODE PU "</object><userdata length=\"4\">abcd</userdata>",
         "it has an element that lstopo does not write"},
        {MACHINE PU "</object>", "it describes no CPU or no memory node"},
        {MACHINE NODE "</object>", "it describes no CPU or no memory node"},
        {MACHINE NODE PU PU "</object>", "an object's CPUs or nodes contradict those around it"},
        {MACHINE NODE NODE PU "</object>", "an object's CPUs or nodes contradict those around it"},
        {MACHINE "<object type=\"NUMANode\" os_index=\"1\" " SETS "/>" PU "</object>",
         "an object's CPUs or nodes contradict those around it"},
        {MACHINE "<object type=\"NUMANode\" os_index=\"0\" " SETS ">" PU "</object></object>",
         "an object's CPUs or nodes contradict those around it"},
        {MACHINE NODE "<object type=\"Core\" cpuset=\"0x3\" complete_cpuset=\"0x3\" "
                      "nodeset=\"0x1\" complete_nodeset=\"0x1\">" PU "</object></object>",
         "an object's CPUs or nodes contradict those around it"},
        {MACHINE NODE "<object type=\"PU\" os_index=\"4000000000\" " SETS "/></object>",
         "an object has a number that cannot be used"},
        {MACHINE NODE "<object type=\"Core\" cpuset=\"0xf...f\" complete_cpuset=\"0x1\" "
                      "nodeset=\"0x1\" complete_nodeset=\"0x1\"/></object>",
         "an object has a set that cannot be read"},
        {MACHINE NODE PU "<object " SETS " type=\"Core\"/></object>",
         "an object's type is missing or not known"},
        {MACHINE NODE PU "<object type=\"System\" " SETS "/></object>",
         "an object's type is missing or not known"},
        {PU, "it is not one machine with everything inside"},
        {MACHINE NODE PU "</object>" MACHINE "</object>",
         "it is not one machine with everything inside"},
        {MACHINE NODE PU "</object>" TABLE "\"65536\"></distances2>",
         "a table of distances has no size, or one too large"},
        {MACHINE NODE PU "</object>" TABLE "\"1\"><indexes length=\"9\">0 </indexes></distances2>",
         "it is not written as hwloc writes XML"},
        {MACHINE NODE PU "</object><cpukind cpuset=\"0xf...f\"/>",
         "an object has a set that cannot be read"},
    };
    char path[512], message[1024];
    snprintf(path, sizeof path, "%s/bad.xml", root);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(root, "/bad.xml", "<topology version=\"2.0\">%s</topology>\n", bad[i].inside);
        snprintf(message, sizeof message, "%s:1: %s; make such a file with `lstopo FILE.xml`", path,
                 bad[i].message);
        expect_refusal(path, message);
    }
    char deep[8192] = "";
    for (unsigned i = 0; i < 48; i++)
        strcat(deep, "<object type=\"Misc\">");
    write_file(root, "/bad.xml", "<topology version=\"2.0\">" MACHINE NODE PU "%s", deep);
    snprintf(message, sizeof message,
             "%s:1: its objects are nested too deep; make such a file with `lstopo FILE.xml`",
             path);
    expect_refusal(path, message);

    /* Nothing of all that: one CPU. */
    struct npi_machine machine = {0};
    struct npi_discover_options options = {0};
    char *why = NULL;
    write_file(root, "/bad.xml",
               "<topology version=\"2.0\">" MACHINE NODE PU "</object></topology>");
    if (npi_discover_text(&machine, path, &options, &why) != 0)
        fail_msg("%s", why);
    assert_int_equal(machine.cpu_count, 1);
    npi_machine_fini(&machine);
}

/* Of a leak checker, where there is one: hwloc loses what it had read of a file it then refuses. */
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);

/* hwloc ends the process over many a damaged file; those have to be stopped before it sees them. */
static void damaged_exports_are_survived(void **state)
{
    (void)state;
    static const char *const names[] = {"memless-cpuless", "snc2", "hmat-sidecache"};
    char path[512];
    uint64_t seed = 21;
    unsigned refused = 0, rounds = 0;
    int saved = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
    assert_true(saved >= 0 && nowhere >= 0);
    for (size_t file = 0; file < 3; file++) {
        size_t length = 0;
        snprintf(path, sizeof path, "%s/machines/%s.xml", NUMAPOOL_TESTS_DIR, names[file]);
        char *whole = read_file(path, &length);
        assert_non_null(whole);
        snprintf(path, sizeof path, "%s/damaged.xml", root);
        for (unsigned round = 0; round < 300; round++, rounds++) {
            struct npi_machine machine = {0};
            struct npi_discover_options options = {0};
            char *why = NULL, *text = strdup(whole);
            for (unsigned i = 1 + next_random(&seed) % 3; i > 0; i--)
                text[next_random(&seed) % length] =
                    next_random(&seed) % 2 ? "0123456789abcdef\"<>/= "[next_random(&seed) % 22]
                                           : whole[next_random(&seed) % length];
            write_file(root, "/damaged.xml", "%s", text);
            fflush(stderr);
            dup2(nowhere, STDERR_FILENO); /* hwloc has its say about some of them */
            if (__lsan_disable != NULL)
                __lsan_disable();
            int result = npi_discover_text(&machine, path, &options, &why);
            if (__lsan_enable != NULL)
                __lsan_enable();
            dup2(saved, STDERR_FILENO);
            if (result == 0) {
                struct numapool_config config = plain_config();
                struct npi_plan *plan = plan_of(&machine, &config);
                check_plan(plan, &machine, names[file]);
                npi_plan_free(plan);
                npi_machine_fini(&machine);
            } else {
                assert_int_equal(result, -EINVAL);
                refused++;
            }
            free(why);
            free(text);
        }
        free(whole);
    }
    close(saved);
    close(nowhere);
    assert_true(refused > 100 && refused < rounds);
}

static void nothing_is_printed(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/stderr", root);
    fflush(stderr);
    int saved = dup(STDERR_FILENO), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(saved >= 0 && file >= 0);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    texts_that_are_no_machines_are_mistakes(NULL);
    files_no_export_looks_like_are_mistakes(NULL);
    struct npi_machine machine = {0};
    struct npi_discover_options options = {.root = root};
    bool failed;
    int result = npi_discover_live(&machine, &options, &failed);
    fflush(stderr);
    off_t printed = lseek(file, 0, SEEK_END);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(file);
    npi_machine_fini(&machine);
    assert_int_equal(result, 0);
    assert_int_equal(printed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_all_kinds_are_machines),
        cmocka_unit_test_setup_teardown(texts_that_are_no_machines_are_mistakes, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(files_no_export_looks_like_are_mistakes, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(damaged_exports_are_survived, make_root, remove_root),
        cmocka_unit_test_setup_teardown(nothing_is_printed, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
