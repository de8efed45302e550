/* The plain machine model: what counts as valid, finding by number, nearest-first order. */
#include "unit/topology_support.h"

#include <stdlib.h>
#include <string.h>

static void numbers_are_found(void **state)
{
    (void)state;
    struct npi_machine machine;
    build_machine(&machine, 2, 1, 1, 4, 2);
    forbid_cpus(&machine, "0-2,9");
    static const unsigned left[] = {3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15};
    assert_int_equal(machine.cpu_count, 12);
    for (unsigned id = 0; id < 40; id++) {
        int wanted = -1;
        for (unsigned i = 0; i < 12; i++)
            if (left[i] == id)
                wanted = (int)i;
        assert_int_equal(npi_machine_cpu_slot(&machine, id), wanted);
    }
    add_node(&machine, 252, "");
    assert_int_equal(npi_machine_node_slot(&machine, 1), 1);
    assert_int_equal(npi_machine_node_slot(&machine, 252), 2);
    assert_int_equal(npi_machine_node_slot(&machine, 2), -1);
    struct npi_cpuset all = {0};
    assert_true(npi_machine_cpuset(&machine, &all));
    assert_set(&all, "3-8,10-15");
    npi_cpuset_fini(&all);
    npi_machine_fini(&machine);
}

static void broken_models_are_refused(void **state)
{
    (void)state;
    struct npi_machine machine;
    const char *why = "unset";
    build_machine(&machine, 2, 1, 1, 2, 1);
    assert_true(npi_machine_valid(&machine, &why));
    assert_null(why);

    machine.cpus[1].os_index = 0; /* twice the same number */
    assert_false(npi_machine_valid(&machine, &why));
    assert_non_null(why);
    machine.cpus[1].os_index = 1;

    machine.cpus[3].os_index = NPI_CPU_ID_MAX + 1;
    assert_false(npi_machine_valid(&machine, &why));
    machine.cpus[3].os_index = 3;

    machine.nodes[1].os_index = 0;
    assert_false(npi_machine_valid(&machine, &why));
    machine.nodes[1].os_index = NPI_NODE_ID_MAX;
    assert_true(npi_machine_valid(&machine, &why));
    machine.nodes[1].os_index =
        NPI_NODE_ID_MAX + 1; /* its plan would be a file that does not load */
    assert_false(npi_machine_valid(&machine, &why));
    machine.nodes[1].os_index = 1;

    assert_true(npi_cpuset_add(&machine.nodes[0].cpus, 77)); /* a CPU that is not there */
    assert_false(npi_machine_valid(&machine, &why));
    npi_cpuset_remove(&machine.nodes[0].cpus, 77);

    set_distances(&machine, (const unsigned[]){10, 9, 21, 10});
    assert_false(npi_machine_valid(&machine, &why));
    set_distances(&machine, (const unsigned[]){10, 0, 0, 10}); /* unknown is fine */
    assert_true(npi_machine_valid(&machine, &why));

    unsigned cpu_count = machine.cpu_count;
    machine.cpu_count = 0;
    assert_false(npi_machine_valid(&machine, &why));
    machine.cpu_count = cpu_count;
    npi_machine_fini(&machine);
}

static void ties_begin_after_oneself(void **state)
{
    (void)state;
    static const unsigned flat[16] = {10, 20, 20, 20, 20, 10, 20, 20,
                                      20, 20, 10, 20, 20, 20, 20, 10};
    static const unsigned wanted[4][3] = {{1, 2, 3}, {2, 3, 0}, {3, 0, 1}, {0, 1, 2}};
    for (unsigned self = 0; self < 4; self++) {
        unsigned order[3];
        npi_nearest_order(flat, 4, self, order);
        assert_memory_equal(order, wanted[self], sizeof order);
    }
    /* A square: the two beside you first, then the one across. */
    static const unsigned square[16] = {10, 20, 30, 20, 20, 10, 20, 30,
                                        30, 20, 10, 20, 20, 30, 20, 10};
    static const unsigned around[4][3] = {{1, 3, 2}, {2, 0, 3}, {3, 1, 0}, {0, 2, 1}};
    for (unsigned self = 0; self < 4; self++) {
        unsigned order[3];
        npi_nearest_order(square, 4, self, order);
        assert_memory_equal(order, around[self], sizeof order);
    }
}

static void everybody_is_first_choice_equally_often_on_a_flat_machine(void **state)
{
    (void)state;
    enum { COUNT = 24 };
    unsigned distance[COUNT * COUNT], first_choices[COUNT] = {0}, order[COUNT - 1];
    for (unsigned i = 0; i < COUNT * COUNT; i++)
        distance[i] = i % (COUNT + 1) == 0 ? 10 : 20;
    for (unsigned self = 0; self < COUNT; self++) {
        npi_nearest_order(distance, COUNT, self, order);
        first_choices[order[0]]++;
    }
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(first_choices[i], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_found),
        cmocka_unit_test(broken_models_are_refused),
        cmocka_unit_test(ties_begin_after_oneself),
        cmocka_unit_test(everybody_is_first_choice_equally_often_on_a_flat_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
