/* policy/route: whose word counts for the home of a task. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/route.h"

/* Node 0: shard 0; node 1: shards 1 to 4 (one per cache); node 2: no CPUs; nodes 3 and 4 share
 * shard 5. */
static const struct npi_route_node nodes[] = {{0, 1}, {1, 4}, {0, 0}, {5, 1}, {5, 1}};
enum { NODES = sizeof nodes / sizeof *nodes };

static struct npi_route ask(int on_node, int data_node, uint32_t caller_shard, bool strict)
{
    struct npi_route_ask question = {on_node, data_node, caller_shard, strict};
    struct npi_route route;
    npi_route_home(nodes, NODES, &question, &route);
    return route;
}

static void expect(struct npi_route route, unsigned first, unsigned count,
                   enum npi_affinity affinity)
{
    assert_int_equal(route.first_shard, first);
    assert_int_equal(route.shard_count, count);
    assert_int_equal(route.affinity, affinity);
}

static void the_callers_shard_is_the_default(void **state)
{
    (void)state;
    expect(ask(-1, -1, 3, false), 3, 1, NPI_AFFINITY_CALLER);
    expect(ask(-1, -1, 3, true), 3, 1, NPI_AFFINITY_STRICT);
}

static void data_draws_the_task_and_an_explicit_node_overrules(void **state)
{
    (void)state;
    expect(ask(-1, 0, 3, false), 0, 1, NPI_AFFINITY_DATA);
    expect(ask(0, 3, 3, false), 0, 1, NPI_AFFINITY_CALLER);
    expect(ask(3, 0, 3, true), 5, 1, NPI_AFFINITY_STRICT);
    expect(ask(-1, 4, 0, true), 5, 1, NPI_AFFINITY_STRICT);
}

static void on_a_node_with_several_shards_the_callers_own_is_taken(void **state)
{
    (void)state;
    expect(ask(1, -1, 3, false), 3, 1, NPI_AFFINITY_CALLER);
    expect(ask(1, -1, 4, false), 4, 1, NPI_AFFINITY_CALLER);
    expect(ask(1, -1, 0, false), 1, 4, NPI_AFFINITY_CALLER); /* from outside: the least waiting */
    expect(ask(-1, 1, 5, false), 1, 4, NPI_AFFINITY_DATA);
}

static void unknown_nodes_are_no_hint(void **state)
{
    (void)state;
    expect(ask(5, -1, 1, false), 1, 1, NPI_AFFINITY_CALLER);
    expect(ask(INT32_MAX, INT32_MIN, 1, false), 1, 1, NPI_AFFINITY_CALLER);
    expect(ask(-1, 2, 1, false), 1, 1, NPI_AFFINITY_CALLER); /* memory without CPUs */
    expect(ask(9, 0, 1, false), 0, 1, NPI_AFFINITY_DATA);
}

static void least_waiting_wins_and_ties_rotate(void **state)
{
    (void)state;
    static const uint32_t depths[] = {5, 3, 9, 3};
    assert_int_equal(npi_route_least(depths, 4, 0), 1);
    assert_int_equal(npi_route_least(depths, 4, 2), 3);
    assert_int_equal(npi_route_least(depths, 1, 77), 0);
    static const uint32_t equal[] = {4, 4, 4};
    for (uint32_t turn = 0; turn < 9; turn++)
        assert_int_equal(npi_route_least(equal, 3, turn), turn % 3);
    assert_in_range(npi_route_least(equal, 3, UINT32_MAX), 0, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_callers_shard_is_the_default),
        cmocka_unit_test(data_draws_the_task_and_an_explicit_node_overrules),
        cmocka_unit_test(on_a_node_with_several_shards_the_callers_own_is_taken),
        cmocka_unit_test(unknown_nodes_are_no_hint),
        cmocka_unit_test(least_waiting_wins_and_ties_rotate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
