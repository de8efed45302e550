/* The table of pools: what is shown is found, what is hidden is not, and more than it holds are counted. */
#include "api/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct npi_registry registry;
static char pools[NPI_REGISTRY_POOLS + 2];

static struct numapool *pool_of(unsigned i)
{
    return (struct numapool *)(void *)&pools[i]; /* an address is all it needs */
}

static void test_shown_and_hidden(void **state)
{
    (void)state;
    assert_null(npi_registry_look(&registry, 0));
    unsigned first = npi_registry_show(&registry, pool_of(0));
    unsigned second = npi_registry_show(&registry, pool_of(1));
    assert_int_not_equal(first, second);
    assert_ptr_equal(npi_registry_look(&registry, first), pool_of(0));
    assert_ptr_equal(npi_registry_look(&registry, second), pool_of(1));
    npi_registry_end_look(&registry, first);
    npi_registry_end_look(&registry, second);
    npi_registry_hide(&registry, first);
    assert_null(npi_registry_look(&registry, first));
    assert_int_equal(npi_registry_show(&registry, pool_of(2)), first); /* used again */
    npi_registry_hide(&registry, first);
    npi_registry_hide(&registry, second);
    assert_int_equal(npi_a32_load_relaxed(&registry.slots[first].looks), 0);
}

static void test_more_than_it_holds(void **state)
{
    (void)state;
    unsigned slots[NPI_REGISTRY_POOLS + 2];
    for (unsigned i = 0; i < NPI_REGISTRY_POOLS + 2; i++) {
        slots[i] = npi_registry_show(&registry, pool_of(i));
    }
    assert_int_equal(slots[NPI_REGISTRY_POOLS - 1], NPI_REGISTRY_POOLS - 1);
    assert_int_equal(slots[NPI_REGISTRY_POOLS], NPI_REGISTRY_NONE);
    assert_int_equal(npi_a32_load_relaxed(&registry.unshown), 2);
    for (unsigned i = 0; i < NPI_REGISTRY_POOLS + 2; i++) {
        npi_registry_hide(&registry, slots[i]);
    }
    assert_int_equal(npi_a32_load_relaxed(&registry.unshown), 0);
}

/* A look that was cut off by a fork stays in the child: its slot is left alone. */
static void test_look_without_end(void **state)
{
    (void)state;
    assert_int_equal(npi_registry_show(&registry, pool_of(0)), 0);
    assert_non_null(npi_registry_look(&registry, 0));
    npi_a64_store_sc(&registry.slots[0].pool, 0);
    unsigned slot = npi_registry_show(&registry, pool_of(1));
    assert_int_not_equal(slot, 0);
    npi_registry_hide(&registry, slot); /* does not wait for it */
    npi_registry_end_look(&registry, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown_and_hidden),
        cmocka_unit_test(test_more_than_it_holds),
        cmocka_unit_test(test_look_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
