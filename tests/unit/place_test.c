/*
 * Placing threads and pages on the machine the test runs on. What needs several nodes or a willing
 * kernel is skipped with the reason.
 */
#include "unit/topology_support.h"

#include "topology/place.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void a_thread_goes_where_it_is_put_and_back(void **state)
{
    (void)state;
    struct npi_cpuset before = {0}, one = {0}, now = {0};
    assert_int_equal(npi_place_allowed_cpus(&before), 0);
    assert_true(npi_cpuset_count(&before) > 0);
    for (int cpu = npi_cpuset_next(&before, -1); cpu >= 0; cpu = npi_cpuset_next(&before, cpu)) {
        npi_cpuset_fini(&one);
        assert_true(npi_cpuset_add(&one, (unsigned)cpu));
        assert_int_equal(npi_place_thread(0, &one), 0);
        assert_int_equal(npi_place_thread_get(0, &now), 0);
        assert_true(npi_cpuset_equal(&one, &now));
        assert_int_equal(sched_getcpu(), cpu);
    }
    assert_int_equal(npi_place_thread(0, &before), 0);
    assert_int_equal(npi_place_thread_get(0, &now), 0);
    assert_true(npi_cpuset_equal(&before, &now));
    npi_cpuset_fini(&before);
    npi_cpuset_fini(&one);
    npi_cpuset_fini(&now);
}

struct other {
    pthread_barrier_t meet;
    pid_t tid;
};

static void *wait_to_be_placed(void *arg)
{
    struct other *other = arg;
    other->tid = gettid();
    pthread_barrier_wait(&other->meet);
    pthread_barrier_wait(&other->meet);
    return NULL;
}

static void another_thread_can_be_placed(void **state)
{
    (void)state;
    struct other other;
    pthread_t thread;
    struct npi_cpuset mine = {0}, one = {0}, now = {0};
    assert_int_equal(npi_place_thread_get(0, &mine), 0);
    assert_true(npi_cpuset_add(&one, (unsigned)npi_cpuset_next(&mine, -1)));
    assert_int_equal(pthread_barrier_init(&other.meet, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_to_be_placed, &other), 0);
    pthread_barrier_wait(&other.meet);
    int placed = npi_place_thread(other.tid, &one);
    int asked = npi_place_thread_get(other.tid, &now);
    pthread_barrier_wait(&other.meet);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&other.meet);
    assert_int_equal(placed, 0);
    assert_int_equal(asked, 0);
    assert_true(npi_cpuset_equal(&one, &now));
    assert_int_equal(npi_place_thread_get(0, &now), 0);
    assert_true(npi_cpuset_equal(&mine, &now)); /* the caller stayed */
    npi_cpuset_fini(&mine);
    npi_cpuset_fini(&one);
    npi_cpuset_fini(&now);
}

static void impossible_places_are_refused_without_effect(void **state)
{
    (void)state;
    struct npi_cpuset before = {0}, absent = {0}, empty = {0}, now = {0};
    assert_int_equal(npi_place_thread_get(0, &before), 0);
    assert_int_equal(npi_place_thread(0, &empty), -EINVAL);
    assert_true(npi_cpuset_add(&absent, NPI_CPU_ID_MAX));
    assert_int_equal(npi_place_thread(0, &absent), -EINVAL);
    assert_int_equal(npi_place_thread_get(0, &now), 0);
    assert_true(npi_cpuset_equal(&before, &now));
    /* Of a partly allowed set the allowed part counts. */
    assert_true(npi_cpuset_union(&absent, &before));
    assert_int_equal(npi_place_thread(0, &absent), 0);
    assert_int_equal(npi_place_thread_get(0, &now), 0);
    assert_true(npi_cpuset_equal(&before, &now));
    assert_int_equal(npi_place_thread_get((pid_t)0x3ffffff, &now), -ESRCH);
    npi_cpuset_fini(&before);
    npi_cpuset_fini(&absent);
    npi_cpuset_fini(&now);
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void *new_page(void)
{
    void *page =
        mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    return page;
}

static void touched_pages_have_a_node_and_untouched_ones_have_not(void **state)
{
    (void)state;
    char *page = new_page();
    int untouched = npi_place_node_of(page);
    page[1] = 1;
    int node = npi_place_node_of(page);
    int inside = npi_place_node_of(page + 100);
    munmap(page, page_bytes());
    if (node == -ENOSYS || node == -EPERM) {
        print_message("the kernel refuses to say where pages are: %s\n", strerror(-node));
        skip();
    }
    assert_true(untouched < 0);
    assert_true(node >= 0 && node < 1024);
    assert_int_equal(inside, node);
    assert_true(npi_place_node_of(page) < 0); /* not mapped any more */
}

/* Whether this kernel and container let us bind at all: asked with the real thing. */
static int try_policy(enum npi_memory_policy policy, unsigned node)
{
    char *page = new_page();
    int result = npi_place_range(page, page_bytes(), policy, node);
    if (result == 0) {
        page[0] = 1;
        int where = npi_place_node_of(page);
        if (where >= 0)
            assert_int_equal(where, (int)node);
    }
    munmap(page, page_bytes());
    return result;
}

static void bound_pages_come_from_their_node(void **state)
{
    (void)state;
    char *page = new_page();
    page[0] = 1;
    int node = npi_place_node_of(page);
    munmap(page, page_bytes());
    if (node < 0 || try_policy(NPI_MEMORY_PREFER, (unsigned)node) != 0) {
        print_message("the kernel refuses memory policies here\n");
        skip();
    }
    assert_int_equal(try_policy(NPI_MEMORY_BIND, (unsigned)node), 0);
}

static void impossible_nodes_are_refused(void **state)
{
    (void)state;
    char *page = new_page();
    assert_int_equal(npi_place_range(page, page_bytes(), NPI_MEMORY_BIND, 1024), -EINVAL);
    assert_int_equal(npi_place_range(page, page_bytes(), NPI_MEMORY_BIND, UINT32_MAX), -EINVAL);
    assert_true(npi_place_range(page, page_bytes(), NPI_MEMORY_BIND, 1023) < 0);
    /* Nothing to do is done without asking anybody. */
    assert_int_equal(npi_place_range(page, page_bytes(), NPI_MEMORY_LOCAL, 1023), 0);
    assert_int_equal(npi_place_range(page, 0, NPI_MEMORY_BIND, 0), 0);
    munmap(page, page_bytes());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_goes_where_it_is_put_and_back),
        cmocka_unit_test(another_thread_can_be_placed),
        cmocka_unit_test(impossible_places_are_refused_without_effect),
        cmocka_unit_test(touched_pages_have_a_node_and_untouched_ones_have_not),
        cmocka_unit_test(bound_pages_come_from_their_node),
        cmocka_unit_test(impossible_nodes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
