/*
 * F14: machines of unusual shape: memory without CPUs and CPUs without memory, holes in the numbering,
 * 16 nodes, 1,200 CPUs, CPUs that are offline. A pool is built for each and does its work; the ones a
 * plan cannot be made for are refused with a text.
 */
#include "fault/load.h"

static const char *const machines[] = {
    "pack:16 [numa] core:2 pu:1",
    "pack:4 [numa] core:300 pu:1",
    "pack:1 [numa] core:1 pu:1",
    "pack:2 l3:4 [numa] core:2 pu:2",
    "cpus-offline.xml",
    "cpuset-split.xml",
    "cpuset.xml",
    "gap-cpuless.xml",
    "hmat-sidecache.xml",
    "intel-smt-dies.xml",
    "l3-split.xml",
    "lopsided.xml",
    "memless-cpuless.xml",
    "n72.xml",
    "no-sysfs.xml",
    "q4-square.xml",
    "q8.xml",
    "snc2.xml",
};
#define MACHINES (sizeof machines / sizeof machines[0])

static void unusual_machines(void **state)
{
    (void)state;
    const uint64_t tasks = load_tasks() / MACHINES + 1;
    for (size_t i = 0; i < MACHINES; i++) {
        char text[512];
        bool is_file = strstr(machines[i], ".xml") != NULL;
        (void)snprintf(text, sizeof text, is_file ? NUMAPOOL_TESTS_DIR "/machines/%s" : "%s",
                       machines[i]);
        load_begin(&(struct load_shape){.machine = text,
                                        .workers = 160,
                                        .mode = (int)(i % 2),
                                        .queue_tasks = 20000,
                                        .mix = LOAD_ALL | LOAD_LEAVE},
                   tasks);
        load_end();
    }
    load_report("F14", "18 described machines");
}

static void machines_that_make_no_sense(void **state)
{
    (void)state;
    static const char *const wrong[] = {"pack:0 [numa] core:2 pu:1", "nothing:2", "/no/such.xml",
                                        "pack:2 core:2"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct numapool_config config;
        struct numapool_error error = {.count = 0};
        numapool *pool = NULL;
        config_of(&config, &(struct kind){.machine = wrong[i]});
        int result = numapool_create(&pool, &config, &error);
        if (result == NUMAPOOL_OK) { /* hwloc makes something of it */
            finish(pool);
        } else {
            assert_int_equal(result, NUMAPOOL_E_CONFIG);
            assert_true(error.text[0] != '\0');
            assert_null(pool);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unusual_machines),
        cmocka_unit_test(machines_that_make_no_sense),
    };
    return FAULT_RUN(tests);
}
