/*
 * Proves that a guest is the machine its shape file describes, as the kernel sees it. A test that
 * expects a node without memory must not pass because the machine had none of that kind.
 */
#include "vm/where.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define NODES_LISTED 8

struct shape {
    const char *name;
    const char *cpus_online;
    const char *nodes_online;
    const char *nodes_with_cpus;
    const char *nodes_with_memory;
    const char *node_cpus[NODES_LISTED]; /* by node number; NULL where the node is not online */
    struct {
        unsigned from, to;
        int distance;
    } distances[12];
};

static const struct shape shapes[] = {
    {"square",
     "0-7",
     "0-3",
     "0-3",
     "0-3",
     {"0-1", "2-3", "4-5", "6-7"},
     {{0, 1, 20}, {0, 2, 30}, {0, 3, 20}, {1, 2, 20}, {1, 3, 30}, {2, 3, 20}, {3, 1, 30}}},
    {"lopsided",
     "0-5",
     "0-3",
     "0-2",
     "0,2-3",
     {"0-1", "2-3", "4-5", ""},
     {{0, 1, 25}, {0, 2, 30}, {0, 3, 17}, {1, 2, 20}, {1, 3, 28}, {2, 3, 28}}},
    {"q8",
     "0-15",
     "0-7",
     "0-7",
     "0-7",
     {"0-1", "2-3", "4-5", "6-7", "8-9", "10-11", "12-13", "14-15"},
     {{0, 7, 20}, {3, 4, 20}}},
    {"n72",
     "0-3",
     "0-71",
     "0-3",
     "0-71",
     {"0", "1", "2", "3", "", "", "", ""},
     {{0, 71, 20}, {71, 63, 20}, {71, 71, 10}}},
    {"gap", "0-3", "0,2", "0", "0,2", {"0-3", NULL, ""}, {{0, 2, 20}}},
    {"smt-dies", "0-15", "0-1", "0-1", "0-1", {"0-7", "8-15"}, {{0, 1, 20}}},
    {"snc2",
     "0-15",
     "0-3",
     "0-3",
     "0-3",
     {"0-3", "4-7", "8-11", "12-15"},
     {{0, 1, 11}, {0, 2, 21}, {1, 2, 21}, {2, 3, 11}}},
    {"manycpus", "0-3", "0-1", "0-1", "0-1", {"0-1", "2-3"}, {{0, 1, 20}}},
    {"l3-split", "0-7", "0", "0", "0", {"0-7"}, {{0, 0, 10}}},
    {"hmat", "0-3", "0-2", "0-1", "0-2", {"0-1", "2-3", ""}, {{0, 1, 21}, {0, 2, 28}, {1, 2, 17}}},
};

static const struct shape *shape;

static void assert_file_holds(const char *path, const char *list)
{
    char line[256];

    assert_int_equal(where_read_line(path, line, sizeof line), 0);
    assert_string_equal(line, list);
}

static void cpus_and_nodes_are_as_described(void **state)
{
    (void)state;
    assert_file_holds(WHERE_CPUS_ONLINE, shape->cpus_online);
    assert_file_holds(WHERE_NODES_ONLINE, shape->nodes_online);
    assert_file_holds(WHERE_NODES_WITH_CPUS, shape->nodes_with_cpus);
    assert_file_holds(WHERE_NODES_WITH_MEMORY, shape->nodes_with_memory);
}

static void each_node_has_its_cpus(void **state)
{
    struct where_set online;
    (void)state;

    assert_int_equal(where_set_read(&online, WHERE_NODES_ONLINE), 0);
    for (unsigned node = 0; node < NODES_LISTED; node++) {
        struct where_set cpus;
        struct where_set expected;

        assert_int_equal(where_set_has(&online, node), shape->node_cpus[node] != NULL);
        if (shape->node_cpus[node] == NULL) {
            continue;
        }
        assert_int_equal(where_node_cpus(node, &cpus), 0);
        assert_int_equal(where_set_parse(&expected, shape->node_cpus[node]), 0);
        assert_true(where_set_equal(&cpus, &expected));
    }
}

static void distances_are_as_described(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shape->distances / sizeof shape->distances[0]; i++) {
        if (shape->distances[i].distance != 0) {
            assert_int_equal(where_distance(shape->distances[i].from, shape->distances[i].to),
                             shape->distances[i].distance);
            assert_int_equal(where_distance(shape->distances[i].to, shape->distances[i].from),
                             shape->distances[i].distance);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpus_and_nodes_are_as_described),
        cmocka_unit_test(each_node_has_its_cpus),
        cmocka_unit_test(distances_are_as_described),
    };
    const char *name = where_guest_shape();

    if (name == NULL) {
        printf("skip: not an emulated machine\n");
        return 77;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            shape = &shapes[i];
        }
    }
    if (shape == NULL) {
        printf("no description of the shape %s in shape_test.c\n", name);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
