/*
 * What a container's CPU set, memory nodes and CPU quota do to a process that is already running:
 * the facts that the pool's supervisor is built on. Needs the emulated machine (shape square).
 * Each test runs in a forked child that joins a group, so that the group can be removed afterwards.
 */
#include "vm/cgroup.h"

#include "vm/where.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define GROUP "test"
#define PAGE_COUNT 32

/* A child cannot report by a cmocka assertion; it says what failed and lets its status tell. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                         \
            fflush(stdout);                                                                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static size_t range_bytes;

static bool allowed_is(const char *list)
{
    struct where_set expected;
    struct where_set allowed;

    return where_set_parse(&expected, list) == 0 && where_allowed_cpus(0, &allowed) == 0 &&
           where_set_equal(&allowed, &expected);
}

static struct where_set set_of(const char *list)
{
    struct where_set set;

    CHECK(where_set_parse(&set, list) == 0);
    return set;
}

/* Fresh pages bound to some nodes; the errno through *error when the kernel refuses. */
static char *bound_pages(const char *nodes, int *error)
{
    struct where_set set = set_of(nodes);
    char *pages =
        mmap(NULL, range_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(pages != MAP_FAILED);
    *error = 0;
    if (syscall(SYS_mbind, pages, range_bytes, MPOL_BIND, set.word,
                (unsigned long)WHERE_NODES_MAX + 1, 0) != 0) {
        *error = errno;
    }
    return pages;
}

static bool policy_is(const void *pages, const char *nodes)
{
    struct where_set set = set_of(nodes);
    struct where_policy policy;

    return where_policy_of(pages, &policy) == 0 && policy.mode == MPOL_BIND &&
           where_set_equal(&policy.nodes, &set);
}

static bool kernel_is_at_least(unsigned major, unsigned minor)
{
    struct utsname name;
    unsigned have_major = 0;
    unsigned have_minor = 0;

    uname(&name);
    sscanf(name.release, "%u.%u", &have_major, &have_minor);
    return have_major > major || (have_major == major && have_minor >= minor);
}

static void joining_a_set_replaces_the_pin(void)
{
    CHECK(where_run_on(0) == 0);
    CHECK(cgroup_set(GROUP, "cpuset.cpus", "2-5") == 0);
    CHECK(cgroup_enter(GROUP, 0) == 0);
    CHECK(allowed_is("2-5"));
    CHECK(where_run_on(0) == -EINVAL);
}

static void a_shrunk_set_widens_the_pin(void)
{
    CHECK(cgroup_set(GROUP, "cpuset.cpus", "2-5") == 0);
    CHECK(cgroup_enter(GROUP, 0) == 0);
    CHECK(where_run_on(3) == 0);
    CHECK(cgroup_set(GROUP, "cpuset.cpus", "4-5") == 0);
    CHECK(allowed_is("4-5"));
    CHECK(cgroup_set(GROUP, "cpuset.cpus", "2-5") == 0);
    /* From 6.2 on the kernel remembers what the thread once asked for. */
    CHECK(allowed_is(kernel_is_at_least(6, 2) ? "3" : "2-5"));
}

static void joining_a_set_moves_pages_and_rewrites_their_policy(void)
{
    int error;
    char *pages = bound_pages("0", &error);

    CHECK(error == 0);
    memset(pages, 1, range_bytes);
    CHECK(where_range_is_on(pages, range_bytes, 0));
    CHECK(cgroup_set(GROUP, "cpuset.mems", "1-2") == 0);
    CHECK(cgroup_enter(GROUP, 0) == 0);
    CHECK(where_range_is_on(pages, range_bytes, 1));
    CHECK(policy_is(pages, "1"));

    bound_pages("0", &error);
    CHECK(error == EINVAL);
    pages = bound_pages("0,2", &error);
    CHECK(error == 0);
    CHECK(policy_is(pages, "2"));
}

static void pages_do_not_come_back_when_the_set_grows_again(void)
{
    int error;
    char *pages;

    CHECK(cgroup_set(GROUP, "cpuset.mems", "1-2") == 0);
    CHECK(cgroup_enter(GROUP, 0) == 0);
    pages = bound_pages("1", &error);
    CHECK(error == 0);
    memset(pages, 1, range_bytes);
    CHECK(where_range_is_on(pages, range_bytes, 1));

    CHECK(cgroup_set(GROUP, "cpuset.mems", "2") == 0);
    CHECK(where_range_is_on(pages, range_bytes, 2));
    CHECK(policy_is(pages, "2"));
    CHECK(cgroup_set(GROUP, "cpuset.mems", "1-2") == 0);
    CHECK(where_range_is_on(pages, range_bytes, 2));
}

/* Where a range that asks for node 3 gets its next page after node 1 was taken away and given back.
 */
static unsigned new_page_of_node_3(int mode)
{
    struct where_set node_3 = set_of("3");
    char *pages =
        mmap(NULL, range_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(pages != MAP_FAILED);
    CHECK(cgroup_set(GROUP, "cpuset.mems", "0-3") == 0);
    CHECK(cgroup_enter(GROUP, 0) == 0);
    CHECK(syscall(SYS_mbind, pages, range_bytes, mode, node_3.word,
                  (unsigned long)WHERE_NODES_MAX + 1, 0) == 0);
    CHECK(cgroup_set(GROUP, "cpuset.mems", "0,2-3") == 0);
    CHECK(cgroup_set(GROUP, "cpuset.mems", "0-3") == 0);
    *pages = 1;
    CHECK(where_page_node(pages) >= 0);
    return (unsigned)where_page_node(pages);
}

/*
 * The kernel renumbers a plain BIND by its rank among the allowed nodes: rank 3 of four becomes
 * rank 3 modulo 3 of three. The node was allowed all the time, and still the range has lost it for
 * good.
 */
static void a_plain_bind_is_sent_elsewhere_by_a_change_that_spares_its_node(void)
{
    CHECK(new_page_of_node_3(MPOL_BIND) == 0);
}

static void a_static_bind_keeps_its_node(void)
{
    CHECK(new_page_of_node_3(MPOL_BIND | MPOL_F_STATIC_NODES) == 3);
}

static void a_preference_keeps_its_node(void)
{
    CHECK(new_page_of_node_3(MPOL_PREFERRED) == 3);
}

static void a_quota_throttles_and_leaves_the_mask_alone(void)
{
    unsigned long long throttled_count = 0;

    CHECK(cgroup_set(GROUP, "cpu.max", "20000 100000") == 0);
    CHECK(cgroup_get(GROUP, "cpu.max", "20000", &throttled_count) == 0);
    CHECK(throttled_count == 100000);
    CHECK(cgroup_enter(GROUP, 0) == 0);
    CHECK(allowed_is("0-7"));
    do { /* ends by the kernel's own count; the runner's limit ends it if that never comes */
        CHECK(cgroup_get(GROUP, "cpu.stat", "nr_throttled", &throttled_count) == 0);
    } while (throttled_count < 3);
}

static void in_a_group(void (*test)(void))
{
    int status = -1;
    pid_t child;

    assert_int_equal(cgroup_make(GROUP), 0);
    fflush(stdout);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        test();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(cgroup_remove(GROUP), 0);
    assert_int_equal(status, 0);
}

static void run_in_a_group(void **state)
{
    void (*test)(void);

    memcpy(&test, state,
           sizeof test); /* a function pointer does not fit a void * by the standard */
    in_a_group(test);
}

#define GROUP_TEST(name)                                                                           \
    {                                                                                              \
#name, run_in_a_group, NULL, NULL, (void *)(uintptr_t)(name)                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        GROUP_TEST(joining_a_set_replaces_the_pin),
        GROUP_TEST(a_shrunk_set_widens_the_pin),
        GROUP_TEST(joining_a_set_moves_pages_and_rewrites_their_policy),
        GROUP_TEST(pages_do_not_come_back_when_the_set_grows_again),
        GROUP_TEST(a_plain_bind_is_sent_elsewhere_by_a_change_that_spares_its_node),
        GROUP_TEST(a_static_bind_keeps_its_node),
        GROUP_TEST(a_preference_keeps_its_node),
        GROUP_TEST(a_quota_throttles_and_leaves_the_mask_alone),
    };

    if (where_guest_shape() == NULL || strcmp(where_guest_shape(), "square") != 0) {
        printf("skip: makes control groups, so only in the emulated machine of shape square\n");
        return 77;
    }
    range_bytes = PAGE_COUNT * (size_t)sysconf(_SC_PAGESIZE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
