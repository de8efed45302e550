/* Address space and its backing, as the kernel under us really does it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static size_t resident_pages(void *start, size_t bytes)
{
    unsigned char seen[4096];
    size_t page = npi_pages_size();
    assert_true(bytes / page <= sizeof(seen));
    assert_int_equal(mincore(start, bytes, seen), 0);
    size_t count = 0;
    for (size_t i = 0; i < bytes / page; i++)
        count += seen[i] & 1;
    return count;
}

static void ranges_are_aligned_and_whole(void **state)
{
    (void)state;
    size_t page = npi_pages_size();
    for (size_t align = 0; align <= 64 * MIB; align = align ? align * 4 : page) {
        void *start = NULL;
        assert_int_equal(npi_pages_reserve(&start, 5 * page + 1, align), 0);
        assert_int_equal((uintptr_t)start & (align ? align - 1 : page - 1), 0);
        /* All of it can be made usable, rounded up to a page. */
        assert_int_equal(npi_pages_commit(start, 6 * page), 0);
        memset(start, 1, 6 * page);
        assert_int_equal(npi_pages_release(start, 6 * page), 0);
    }
    void *start = NULL;
    assert_int_equal(npi_pages_reserve(&start, 0, 0), -EINVAL);
    assert_int_equal(npi_pages_reserve(&start, SIZE_MAX, 0), -EINVAL);
    assert_int_equal(npi_pages_reserve(&start, SIZE_MAX - 64 * MIB, 2 * MIB), -ENOMEM);
    assert_null(start);
}

/* A child that touches what is only reserved ends by a signal. */
static void a_reservation_is_inaccessible(void **state)
{
    (void)state;
    void *start = NULL;
    size_t page = npi_pages_size();
    assert_int_equal(npi_pages_reserve(&start, 4 * page, 0), 0);
    assert_int_equal(npi_pages_commit((char *)start + page, page), 0);
    ((volatile char *)start)[page] = 1;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        ((volatile char *)start)[2 * page] = 1;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_int_equal(npi_pages_release(start, 4 * page), 0);
}

static void population_and_return_are_facts(void **state)
{
    (void)state;
    size_t bytes = 4 * MIB;
    size_t count = bytes / npi_pages_size();
    char *start = NULL;
    assert_int_equal(npi_pages_reserve((void **)&start, bytes, 2 * MIB), 0);
    assert_int_equal(npi_pages_populate(start, bytes), -EINVAL); /* an error, not a signal */
    assert_int_equal(npi_pages_commit(start, bytes), 0);
    assert_int_equal(resident_pages(start, bytes), 0);
    assert_int_equal(npi_pages_populate(start, bytes), 0);
    assert_int_equal(resident_pages(start, bytes), count);
    memset(start, 7, bytes);
    assert_int_equal(npi_pages_populate(start, bytes), 0); /* keeps what is there */
    assert_int_equal(start[bytes - 1], 7);
    assert_int_equal(npi_pages_return(start, bytes), 0);
    assert_int_equal(resident_pages(start, bytes), 0);
    assert_int_equal(start[bytes - 1], 0); /* still usable, content lost */
    assert_int_equal(npi_pages_release(start, bytes), 0);
}

static void refusals_are_errors(void **state)
{
    (void)state;
    size_t page = npi_pages_size();
    void *start = NULL;
    assert_int_equal(npi_pages_reserve(&start, 2 * page, 0), 0);
    assert_int_equal(npi_pages_release(start, 2 * page), 0);
    /* No longer mapped. */
    assert_int_equal(npi_pages_commit(start, page), -ENOMEM);
    assert_int_equal(npi_pages_return(start, page), -ENOMEM);
    assert_true(npi_pages_populate(start, page) < 0);
    assert_int_equal(npi_pages_release((char *)start + 1, page), -EINVAL);

    /* Locked pages are not given back. (Sanitizers make mlock() do nothing.) */
    assert_int_equal(npi_pages_reserve(&start, page, 0), 0);
    assert_int_equal(npi_pages_commit(start, page), 0);
    if (syscall(SYS_mlock, start, page) == 0) {
        *(char *)start = 3;
        assert_int_equal(npi_pages_return(start, page), -EINVAL);
        assert_int_equal(*(char *)start, 3);
        syscall(SYS_munlock, start, page);
    }
    assert_int_equal(npi_pages_release(start, page), 0);
}

static void hugepage_advice_is_taken(void **state)
{
    (void)state;
    void *start = NULL;
    assert_int_equal(npi_pages_reserve(&start, 4 * MIB, 2 * MIB), 0);
    int wanted = npi_pages_hugepages(start, 4 * MIB, true);
    /* Both are accepted, or neither where the kernel has no such pages. */
    assert_true(wanted == 0 || wanted == -EINVAL);
    assert_int_equal(npi_pages_hugepages(start, 4 * MIB, false), wanted);
    assert_int_equal(npi_pages_release(start, 4 * MIB), 0);
}

static void a_child_sees_an_empty_mark(void **state)
{
    (void)state;
    void *page = NULL;
    assert_int_equal(npi_pages_fork_mark(&page), 0);
    *(uint64_t *)page = 42;
    pid_t child = fork();
    if (child == 0)
        _exit(*(volatile uint64_t *)page == 0 ? 0 : 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(*(uint64_t *)page, 42);
    assert_int_equal(npi_pages_release(page, npi_pages_size()), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_aligned_and_whole),
        cmocka_unit_test(a_reservation_is_inaccessible),
        cmocka_unit_test(population_and_return_are_facts),
        cmocka_unit_test(refusals_are_errors),
        cmocka_unit_test(hugepage_advice_is_taken),
        cmocka_unit_test(a_child_sees_an_empty_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
