/*
 * Proves the eyes of the placement tests: where.c must see pages where they were put, and must not
 * see them where they were not. Runs on any Linux machine; only several nodes make it a hard test.
 */
#include "vm/where.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define PAGE_COUNT 60 /* divides by 1, 2, 3, 4, 5 and 6 nodes */

static size_t page_bytes;
static struct where_set memory_nodes;

/* Fresh pages between two guards, so that the kernel cannot merge the mapping with a neighbour. */
static char *map_pages(void)
{
    size_t bytes = (PAGE_COUNT + 2) * page_bytes;
    char *base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(base, MAP_FAILED);
    base += page_bytes;
    assert_int_equal(mprotect(base, PAGE_COUNT * page_bytes, PROT_READ | PROT_WRITE), 0);
    /* Huge pages would make the number of pages depend on the host's settings. */
    madvise(base, PAGE_COUNT * page_bytes, MADV_NOHUGEPAGE);
    return base;
}

static void unmap_pages(char *pages)
{
    munmap(pages - page_bytes, (PAGE_COUNT + 2) * page_bytes);
}

static long bind_pages(void *pages, int mode, const struct where_set *nodes)
{
    return syscall(SYS_mbind, pages, PAGE_COUNT * page_bytes, mode, nodes->word,
                   (unsigned long)WHERE_NODES_MAX + 1, 0);
}

static void lists_are_read_as_the_kernel_writes_them(void **state)
{
    struct where_set set;
    (void)state;

    assert_int_equal(where_set_parse(&set, "0-3,8,1099\n"), 0);
    assert_int_equal(where_set_count(&set), 6);
    assert_true(where_set_has(&set, 3) && where_set_has(&set, 8) && where_set_has(&set, 1099));
    assert_false(where_set_has(&set, 4) || where_set_has(&set, WHERE_SET_BITS + 8));
    assert_int_equal(where_set_parse(&set, ""), 0);
    assert_int_equal(where_set_count(&set), 0);
    assert_int_equal(where_set_parse(&set, "3-1"), -ERANGE);
    assert_int_equal(where_set_parse(&set, "4096"), -ERANGE);
    assert_int_equal(where_set_parse(&set, "1,,2"), -EINVAL);
    assert_int_equal(where_set_parse(&set, "1-"), -EINVAL);
    assert_int_equal(where_set_parse(&set, "two"), -EINVAL);
}

static void a_cpu_is_on_the_node_that_getcpu_names(void **state)
{
    struct where_set allowed;
    (void)state;

    assert_int_equal(where_allowed_cpus(0, &allowed), 0);
    for (unsigned cpu = 0; cpu < WHERE_SET_BITS; cpu++) {
        struct where_set pinned;
        unsigned cpu_now = 0;
        unsigned node_now = 0;

        if (!where_set_has(&allowed, cpu)) {
            continue;
        }
        assert_int_equal(where_run_on(cpu), 0);
        assert_int_equal(syscall(SYS_getcpu, &cpu_now, &node_now, NULL), 0);
        assert_int_equal(cpu_now, cpu);
        assert_int_equal(where_cpu_node(cpu), node_now);
        assert_int_equal(where_allowed_cpus(0, &pinned), 0);
        assert_int_equal(where_set_count(&pinned), 1);
        assert_true(where_set_has(&pinned, cpu));
    }
    assert_int_equal(where_cpu_node(WHERE_SET_BITS - 1), -ENOENT);
    syscall(SYS_sched_setaffinity, 0, sizeof allowed.word, allowed.word);
}

static void only_a_written_page_has_a_node(void **state)
{
    char *pages = map_pages();
    struct where_spread spread;
    (void)state;

    assert_int_equal(where_page_node(pages), -ENOENT);
    /* What was only read is the kernel's page of zeros, which is nobody's; some kernels tell where it lies. */
    assert_int_equal(*(volatile char *)pages, 0);
    int zeros = where_page_node(pages);
    assert_true(zeros == -ENOENT || zeros >= 0);
    *(volatile char *)(pages + page_bytes + 5) = 1;
    assert_true(where_page_node(pages + page_bytes + 7) >= 0);
    assert_int_equal(where_range_spread(pages, PAGE_COUNT * page_bytes, &spread), 0);
    assert_int_equal(spread.total, PAGE_COUNT);
    assert_int_equal(spread.absent, zeros >= 0 ? PAGE_COUNT - 2 : PAGE_COUNT - 1);
    unmap_pages(pages);
}

static void bound_pages_are_seen_on_their_node_and_no_other(void **state)
{
    (void)state;
    for (unsigned node = 0; node < WHERE_NODES_MAX; node++) {
        struct where_set nodes = {{0}};
        struct where_policy policy;
        struct where_mapping mapping;
        char expected[32];
        char *pages;

        if (!where_set_has(&memory_nodes, node)) {
            continue;
        }
        pages = map_pages();
        where_set_add(&nodes, node);
        assert_int_equal(where_policy_of(pages, &policy), 0);
        assert_int_equal(policy.mode, MPOL_DEFAULT);
        assert_int_equal(bind_pages(pages, MPOL_BIND, &nodes), 0);
        assert_int_equal(where_policy_of(pages, &policy), 0);
        assert_int_equal(policy.mode, MPOL_BIND);
        assert_true(where_set_equal(&policy.nodes, &nodes));

        memset(pages, 1, PAGE_COUNT * page_bytes);
        assert_int_equal(where_page_node(pages), node);
        assert_true(where_range_is_on(pages, PAGE_COUNT * page_bytes, node));
        assert_false(where_range_is_on(pages, PAGE_COUNT * page_bytes, node + 1));

        assert_int_equal(where_mapping_at(pages, &mapping), 0);
        snprintf(expected, sizeof expected, "bind:%u", node);
        assert_string_equal(mapping.policy, expected);
        assert_int_equal(mapping.page_bytes, page_bytes);
        assert_int_equal(mapping.spread.on_node[node], PAGE_COUNT);
        assert_int_equal(mapping.spread.total, PAGE_COUNT);
        assert_int_equal(where_mapping_at(pages + page_bytes, &mapping), -ENOENT);
        unmap_pages(pages);
    }
}

static void interleaved_pages_are_counted_per_node(void **state)
{
    const size_t node_count = where_set_count(&memory_nodes);
    char *pages = map_pages();
    struct where_spread spread;
    struct where_mapping mapping;
    (void)state;

    assert_int_equal(bind_pages(pages, MPOL_INTERLEAVE, &memory_nodes), 0);
    memset(pages, 1, PAGE_COUNT * page_bytes);
    assert_int_equal(where_range_spread(pages, PAGE_COUNT * page_bytes, &spread), 0);
    assert_int_equal(where_mapping_at(pages, &mapping), 0);
    assert_memory_equal(spread.on_node, mapping.spread.on_node, sizeof spread.on_node);
    for (unsigned node = 0; node < WHERE_NODES_MAX; node++) {
        if (where_set_has(&memory_nodes, node)) {
            /* Round robin: no node may get more than one page above its share. */
            assert_in_range(spread.on_node[node], PAGE_COUNT / node_count,
                            PAGE_COUNT / node_count + 1);
        } else {
            assert_int_equal(spread.on_node[node], 0);
        }
    }
    assert_int_equal(where_range_is_on(pages, PAGE_COUNT * page_bytes, 0), node_count == 1);
    unmap_pages(pages);
}

static void moved_pages_are_seen_to_move(void **state)
{
    char *pages = map_pages();
    (void)state;

    memset(pages, 1, PAGE_COUNT * page_bytes);
    for (unsigned node = 0; node < WHERE_NODES_MAX; node++) {
        void *page = pages;
        int target = (int)node;
        int status = -1;

        if (where_set_has(&memory_nodes, node)) {
            assert_int_equal(syscall(SYS_move_pages, 0, 1UL, &page, &target, &status, MPOL_MF_MOVE),
                             0);
            assert_int_equal(where_page_node(pages), node);
        }
    }
    unmap_pages(pages);
}

static void every_node_is_nearest_to_itself(void **state)
{
    struct where_set online;
    (void)state;

    assert_int_equal(where_set_read(&online, WHERE_NODES_ONLINE), 0);
    for (unsigned from = 0; from < WHERE_NODES_MAX; from++) {
        for (unsigned to = 0; to < WHERE_NODES_MAX && where_set_has(&online, from); to++) {
            if (!where_set_has(&online, to)) {
                continue;
            }
            if (from == to) {
                assert_int_equal(where_distance(from, to), 10);
            } else {
                assert_true(where_distance(from, to) >= 10);
            }
        }
    }
    assert_true(where_distance(WHERE_NODES_MAX - 1, 0) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_as_the_kernel_writes_them),
        cmocka_unit_test(a_cpu_is_on_the_node_that_getcpu_names),
        cmocka_unit_test(only_a_written_page_has_a_node),
        cmocka_unit_test(bound_pages_are_seen_on_their_node_and_no_other),
        cmocka_unit_test(interleaved_pages_are_counted_per_node),
        cmocka_unit_test(moved_pages_are_seen_to_move),
        cmocka_unit_test(every_node_is_nearest_to_itself),
    };
    volatile char written = 1;
    char *probe = (char *)&written;
    int error = where_allowed_nodes(&memory_nodes);

    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (error == 0 && where_page_node(probe) < 0) {
        error = where_page_node(probe);
    }
    if (error != 0) {
        printf("skip: this machine does not answer questions about nodes: %s\n", strerror(-error));
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
