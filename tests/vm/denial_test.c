/*
 * Proves that denial.c refuses what a container refuses, and what is left to see by then: the
 * kernel's own page list. Each test runs in a forked child, because a filter cannot be taken off
 * again.
 */
#include "vm/denial.h"

#include "vm/where.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define PAGE_COUNT 16

/* What the filtered child found, in memory shared with its parent; errno or 0 per call. */
struct findings {
    int install;
    int mbind;
    int set_mempolicy;
    int get_mempolicy;
    int move_pages;
    int migrate_pages;
    int older_thread_mbind;
    int madvise;
    int mapping;
    int node_of_cpu;
    size_t pages_here;
    size_t pages_total;
};

static struct findings *found;

static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

static int try_mbind(void *pages, size_t bytes)
{
    /* Asking for the default policy is allowed for every range and on every machine. */
    return errno_of(syscall(SYS_mbind, pages, bytes, MPOL_DEFAULT, NULL, 0UL, 0));
}

/* A thread that exists before the filter does; it must be filtered all the same. */
struct older_thread {
    sem_t filtered;
    void *pages;
    size_t bytes;
};

static void *older_thread(void *argument)
{
    struct older_thread *thread = argument;

    sem_wait(&thread->filtered);
    found->older_thread_mbind = try_mbind(thread->pages, thread->bytes);
    return NULL;
}

static void look_around(enum denial denial)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t bytes = PAGE_COUNT * page_bytes;
    char *base = mmap(NULL, bytes + 2 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct older_thread thread = {.pages = base + page_bytes, .bytes = bytes};
    unsigned long mask[WHERE_NODES_MAX / (8 * sizeof(unsigned long))] = {1};
    struct where_mapping mapping;
    struct where_set allowed;
    void *page = thread.pages;
    pthread_t id;
    int status = 0;
    int mode = 0;
    unsigned cpu = 0;

    mprotect(thread.pages, bytes, PROT_READ | PROT_WRITE);
    madvise(thread.pages, bytes, MADV_NOHUGEPAGE);
    sem_init(&thread.filtered, 0, 0);
    if (pthread_create(&id, NULL, older_thread, &thread) != 0) {
        return;
    }
    found->install = denial_install(denial);
    sem_post(&thread.filtered);
    pthread_join(id, NULL);

    found->mbind = try_mbind(thread.pages, bytes);
    found->set_mempolicy = errno_of(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL));
    found->get_mempolicy = errno_of(syscall(SYS_get_mempolicy, &mode, NULL, 0UL, NULL, 0UL));
    found->move_pages = errno_of(syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0));
    found->migrate_pages =
        errno_of(syscall(SYS_migrate_pages, 0, (unsigned long)WHERE_NODES_MAX, mask, mask));

    /* The way that is left: go there, touch, and read the list of pages. */
    where_allowed_cpus(0, &allowed);
    for (unsigned i = 0; i < WHERE_SET_BITS; i++) {
        cpu = where_set_has(&allowed, i) ? i : cpu;
    }
    where_run_on(cpu);
    found->node_of_cpu = where_cpu_node(cpu);
    found->madvise = errno_of(madvise(thread.pages, bytes, MADV_POPULATE_WRITE));
    if (found->madvise != 0) {
        memset(thread.pages, 1, bytes);
    }
    found->mapping = where_mapping_at(thread.pages, &mapping);
    if (found->mapping == 0 && found->node_of_cpu >= 0) {
        found->pages_here = mapping.spread.on_node[found->node_of_cpu];
        found->pages_total = mapping.spread.total;
    }
}

static void in_filtered_child(enum denial denial)
{
    int status = -1;
    pid_t child;

    memset(found, 0xff, sizeof *found);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        look_around(denial);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(found->install, 0);
}

static void docker_refuses_everything(void **state)
{
    (void)state;
    in_filtered_child(DENIAL_ALL);
    assert_int_equal(found->mbind, EPERM);
    assert_int_equal(found->older_thread_mbind, EPERM);
    assert_int_equal(found->set_mempolicy, EPERM);
    assert_int_equal(found->get_mempolicy, EPERM);
    assert_int_equal(found->move_pages, EPERM);
    assert_int_equal(found->migrate_pages, EPERM);
}

static void podman_refuses_to_move(void **state)
{
    (void)state;
    in_filtered_child(DENIAL_MOVE_ONLY);
    assert_int_equal(found->mbind, 0);
    assert_int_equal(found->older_thread_mbind, 0);
    assert_int_equal(found->set_mempolicy, 0);
    assert_int_equal(found->get_mempolicy, 0);
    assert_int_equal(found->move_pages, EPERM);
    assert_int_equal(found->migrate_pages, EPERM);
}

static void touched_pages_are_local_and_can_be_seen(void **state)
{
    struct where_set memory_nodes;
    (void)state;

    in_filtered_child(DENIAL_ALL);
    assert_int_equal(found->mapping, 0);
    assert_true(found->node_of_cpu >= 0);
    assert_int_equal(found->pages_total, PAGE_COUNT);
    assert_int_equal(where_allowed_nodes(&memory_nodes), 0);
    if (where_set_has(&memory_nodes, (unsigned)found->node_of_cpu)) {
        assert_int_equal(found->pages_here, PAGE_COUNT);
    } else {
        assert_int_equal(found->pages_here, 0);
    }
}

static void the_parent_is_not_filtered(void **state)
{
    int mode = -1;
    (void)state;

    in_filtered_child(DENIAL_ALL);
    assert_int_equal(syscall(SYS_get_mempolicy, &mode, NULL, 0UL, NULL, 0UL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docker_refuses_everything),
        cmocka_unit_test(podman_refuses_to_move),
        cmocka_unit_test(touched_pages_are_local_and_can_be_seen),
        cmocka_unit_test(the_parent_is_not_filtered),
    };
    volatile char written = 1;
    struct where_set nodes;
    int error = where_allowed_nodes(&nodes);

    if (error == 0 && where_page_node((char *)&written) < 0) {
        error = where_page_node((char *)&written);
    }
    if (error != 0) {
        printf("skip: the calls are refused here already: %s\n", strerror(-error));
        return 77;
    }
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
