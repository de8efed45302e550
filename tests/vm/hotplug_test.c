/*
 * What losing CPUs does to a pinned thread and to a node's memory: the facts that the pool's
 * supervisor is built on. Needs the emulated machine with two CPUs on node 2 (shape square).
 */
#include "vm/hotplug.h"

#include "vm/where.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define LOST_CPU 5
#define LOST_NODE 2

static struct where_set all_cpus;

static int all_cpus_online(void **state)
{
    (void)state;
    for (unsigned cpu = 0; cpu < WHERE_SET_BITS; cpu++) {
        if (where_set_has(&all_cpus, cpu)) {
            hotplug_cpu(cpu, true); /* refused where it is online already, or cannot be taken off */
        }
    }
    return 0;
}

static void assert_online(const char *list)
{
    struct where_set expected;
    struct where_set online;

    assert_int_equal(where_set_parse(&expected, list), 0);
    assert_int_equal(where_set_read(&online, WHERE_CPUS_ONLINE), 0);
    assert_true(where_set_equal(&online, &expected));
}

static void assert_allowed(const char *list)
{
    struct where_set expected;
    struct where_set allowed;

    assert_int_equal(where_set_parse(&expected, list), 0);
    assert_int_equal(where_allowed_cpus(0, &allowed), 0);
    assert_true(where_set_equal(&allowed, &expected));
}

static void a_lost_cpu_widens_the_pin_for_good(void **state)
{
    (void)state;
    assert_int_equal(where_run_on(LOST_CPU), 0);
    assert_allowed("5");

    assert_int_equal(hotplug_cpu(LOST_CPU, false), 0);
    assert_online("0-4,6-7");
    assert_int_equal(where_cpu_node(LOST_CPU), -ENOENT);
    assert_allowed("0-4,6-7");
    assert_int_equal(where_run_on(LOST_CPU), -EINVAL);

    /* The CPU comes back, the pin does not: whoever pinned the thread must do it again. */
    assert_int_equal(hotplug_cpu(LOST_CPU, true), 0);
    assert_online("0-7");
    assert_int_equal(where_cpu_node(LOST_CPU), LOST_NODE);
    assert_allowed("0-7");
    assert_int_equal(where_run_on(LOST_CPU), 0);
    assert_allowed("5");
}

static void a_pin_to_two_cpus_survives_the_loss_of_one(void **state)
{
    struct where_set pair;
    (void)state;

    assert_int_equal(where_set_parse(&pair, "4-5"), 0);
    assert_int_equal(syscall(SYS_sched_setaffinity, 0, sizeof pair.word, pair.word), 0);
    assert_int_equal(hotplug_cpu(LOST_CPU, false), 0);
    assert_allowed("4");
    /* The kernel kept the pair and only masked it, so this pin is whole again. */
    assert_int_equal(hotplug_cpu(LOST_CPU, true), 0);
    assert_allowed("4-5");
}

static void a_node_without_cpus_keeps_its_memory(void **state)
{
    const size_t bytes = 16 * (size_t)sysconf(_SC_PAGESIZE);
    struct where_set node_set = {{0}};
    struct where_set with_cpus;
    struct where_set expected;
    struct where_set cpus;
    char *pages;
    (void)state;

    assert_int_equal(where_run_on(0), 0);
    assert_int_equal(hotplug_cpu(4, false), 0);
    assert_int_equal(hotplug_cpu(5, false), 0);
    assert_int_equal(where_node_cpus(LOST_NODE, &cpus), 0);
    assert_int_equal(where_set_count(&cpus), 0);
    assert_int_equal(where_cpu_node(4), -ENOENT);
    assert_int_equal(where_set_parse(&expected, "0-1,3"), 0);
    assert_int_equal(where_set_read(&with_cpus, WHERE_NODES_WITH_CPUS), 0);
    assert_true(where_set_equal(&with_cpus, &expected));

    pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    where_set_add(&node_set, LOST_NODE);
    assert_int_equal(syscall(SYS_mbind, pages, bytes, MPOL_BIND, node_set.word,
                             (unsigned long)WHERE_NODES_MAX + 1, 0),
                     0);
    memset(pages, 1, bytes);
    assert_true(where_range_is_on(pages, bytes, LOST_NODE));
    munmap(pages, bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_lost_cpu_widens_the_pin_for_good, all_cpus_online),
        cmocka_unit_test_teardown(a_pin_to_two_cpus_survives_the_loss_of_one, all_cpus_online),
        cmocka_unit_test_teardown(a_node_without_cpus_keeps_its_memory, all_cpus_online),
    };

    if (where_guest_shape() == NULL) {
        printf("skip: takes CPUs offline, so only in the emulated machine\n");
        return 77;
    }
    if (strcmp(where_guest_shape(), "square") != 0) {
        printf("skip: written for the shape square\n");
        return 77;
    }
    if (where_set_read(&all_cpus, WHERE_CPUS_ONLINE) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
