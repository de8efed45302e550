/*
 * What src/os makes of a kernel that refuses, or that is older than the one under us: the system's calls
 * are replaced at link time. Each case in which the clock is set up is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int __real_madvise(void *start, size_t bytes, int advice);
int __wrap_madvise(void *start, size_t bytes, int advice);
int __real_munmap(void *start, size_t bytes);
int __wrap_munmap(void *start, size_t bytes);
int __real_mprotect(void *start, size_t bytes, int protection);
int __wrap_mprotect(void *start, size_t bytes, int protection);
int __real_pthread_attr_init(pthread_attr_t *attributes);
int __wrap_pthread_attr_init(pthread_attr_t *attributes);
int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
FILE *__wrap_fopen(const char *path, const char *mode);
long __wrap_syscall(long number, ...);

/* 0 = as the kernel says. */
static int madvise_error, munmap_error, mprotect_error, attr_error;
static unsigned madvise_failures; /* so many, then as the kernel says */
static unsigned madvise_calls, munmap_calls;

int __wrap_madvise(void *start, size_t bytes, int advice)
{
    madvise_calls++;
    if (madvise_error != 0 && madvise_failures != 0) {
        madvise_failures--;
        errno = madvise_error;
        return -1;
    }
    return __real_madvise(start, bytes, advice);
}

int __wrap_munmap(void *start, size_t bytes)
{
    munmap_calls++;
    errno = munmap_error;
    return munmap_error != 0 ? -1 : __real_munmap(start, bytes);
}

int __wrap_mprotect(void *start, size_t bytes, int protection)
{
    errno = mprotect_error;
    return mprotect_error != 0 ? -1 : __real_mprotect(start, bytes, protection);
}

int __wrap_pthread_attr_init(pthread_attr_t *attributes)
{
    return attr_error != 0 ? attr_error : __real_pthread_attr_init(attributes);
}

static void refuse(int error, unsigned times)
{
    madvise_error = error;
    madvise_failures = times;
    madvise_calls = 0;
}

static char *pages(size_t count)
{
    void *start = mmap(NULL, count * npi_pages_size(), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(start, MAP_FAILED);
    return start;
}

static void drop(char *start, size_t count)
{
    assert_int_equal(__real_munmap(start, count * npi_pages_size()), 0);
}

static void populating_is_tried_again(void **state)
{
    (void)state;
    char *start = pages(4);
    const int passing[] = {EAGAIN, EINTR};
    for (unsigned i = 0; i < 2; i++) {
        refuse(passing[i], 2);
        assert_int_equal(npi_pages_populate(start, 4 * npi_pages_size()), 0);
        assert_int_equal(madvise_calls, 3);
    }
    /* for ever: it gives up and says why */
    refuse(EAGAIN, UINT32_MAX);
    assert_int_equal(npi_pages_populate(start, 4 * npi_pages_size()), -EAGAIN);
    assert_in_range(madvise_calls, 2, 1000);
    refuse(ENOMEM, UINT32_MAX);
    assert_int_equal(npi_pages_populate(start, 4 * npi_pages_size()), -ENOMEM);
    assert_int_equal(madvise_calls, 1);
    refuse(0, 0);
    drop(start, 4);
}

static void a_kernel_without_populate_gets_touches(void **state)
{
    (void)state;
    size_t page = npi_pages_size();
    char *start = pages(4);
    start[page + 7] = 'x';
    refuse(EINVAL, UINT32_MAX);
    assert_int_equal(npi_pages_populate(start, 4 * page), 0);
    refuse(0, 0);
    unsigned char seen[4];
    assert_int_equal(mincore(start, 4 * page, seen), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(seen[i] & 1);
    }
    assert_int_equal(start[page + 7], 'x');
    /* A kernel that has it and refuses this range: nothing is touched. */
    refuse(EINVAL, 1);
    assert_int_equal(npi_pages_populate(start, 4 * page), -EINVAL);
    refuse(0, 0);
    drop(start, 4);
}

static void refusals_keep_their_reason(void **state)
{
    (void)state;
    size_t page = npi_pages_size();
    char *start = pages(1);
    refuse(EPERM, UINT32_MAX);
    assert_int_equal(npi_pages_return(start, page), -EPERM);
    assert_int_equal(npi_pages_hugepages(start, page, true), -EPERM);
    refuse(0, 0);
    mprotect_error = ENOMEM;
    assert_int_equal(npi_pages_commit(start, page), -ENOMEM);
    mprotect_error = 0;
    munmap_error = EINVAL;
    assert_int_equal(npi_pages_release(start, page), -EINVAL);
    munmap_error = 0;
    drop(start, 1);
    attr_error = ENOMEM;
    pthread_t thread;
    assert_int_equal(npi_thread_start(&thread, NULL, 0, "none", NULL, NULL), -ENOMEM);
    attr_error = 0;
}

static void a_mark_that_fork_would_keep_is_none(void **state)
{
    (void)state;
    void *page = &madvise_error;
    munmap_calls = 0;
    refuse(EINVAL, UINT32_MAX);
    assert_int_equal(npi_pages_fork_mark(&page), -EINVAL);
    refuse(0, 0);
    assert_int_equal(munmap_calls, 1);
    assert_ptr_equal(page, &madvise_error);
}

/* ------------------------------------------------------------------ scheduler slices */

static unsigned getattr_calls, setattr_calls;
static unsigned getattr_fails_at; /* the call that fails, from 1 on */
static int setattr_error;
static uint32_t policy;
static bool slice_is_kept;
static uint64_t slice_given;

/* Of sched_getattr(2): size, policy, flags, nice, priority, runtime. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime;
};

long __wrap_syscall(long number, ...)
{
    va_list arguments;
    va_start(arguments, number);
    (void)va_arg(arguments, int);
    struct attributes *attributes = va_arg(arguments, struct attributes *);
    va_end(arguments);
    if (number == SYS_sched_getattr) {
        if (++getattr_calls == getattr_fails_at) {
            errno = EPERM;
            return -1;
        }
        attributes->policy = policy;
        attributes->runtime = slice_is_kept ? slice_given : 2800000;
        return 0;
    }
    assert_int_equal(number, SYS_sched_setattr);
    setattr_calls++;
    slice_given = attributes->runtime;
    errno = setattr_error;
    return setattr_error != 0 ? -1 : 0;
}

static int ask_slice(void)
{
    getattr_calls = setattr_calls = 0;
    return npi_thread_slice(100000);
}

static void a_slice_is_asked_for_and_verified(void **state)
{
    (void)state;
    policy = SCHED_OTHER;
    slice_is_kept = true;
    assert_int_equal(ask_slice(), 0);
    assert_int_equal(slice_given, 100000);
    slice_is_kept = false; /* an older kernel takes the number and forgets it */
    assert_int_equal(ask_slice(), -ENOSYS);
    assert_int_equal(setattr_calls, 1);
    policy = SCHED_FIFO; /* not ours to change */
    assert_int_equal(ask_slice(), -ENOSYS);
    assert_int_equal(setattr_calls, 0);
    policy = SCHED_OTHER;
    getattr_fails_at = 1;
    assert_int_equal(ask_slice(), -EPERM);
    assert_int_equal(setattr_calls, 0);
    getattr_fails_at = 2;
    assert_int_equal(ask_slice(), -ENOSYS);
    getattr_fails_at = 0;
    setattr_error = EINVAL;
    assert_int_equal(ask_slice(), -EINVAL);
    setattr_error = 0;
}

/* ------------------------------------------------------------------ the clock */

static const char *clocksource; /* what the kernel uses; NULL = it does not say */
static bool raw_clock_stands;

FILE *__wrap_fopen(const char *path, const char *mode)
{
    (void)path, (void)mode;
    if (clocksource == NULL) {
        errno = ENOENT;
        return NULL;
    }
    return fmemopen((void *)(uintptr_t)clocksource, strlen(clocksource), "r");
}

int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    if (id == CLOCK_MONOTONIC_RAW && raw_clock_stands) {
        *t = (struct timespec){1, 0};
        return 0;
    }
    return __real_clock_gettime(id, t);
}

/* In a process of its own: which source is chosen, and whether ticks are the kernel's nanoseconds. */
static void expect_kernel_clock(const char *source, bool stands)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        clocksource = source;
        raw_clock_stands = stands;
        bool fine = npi_clock_init() == 0 && strcmp(npi_clock_source(), "clock_gettime") == 0 &&
                    npi_clock_ticks_to_ns(123456789) == 123456789 &&
                    npi_clock_ns_to_ticks(123456789) == 123456789;
        uint64_t before = npi_clock_now_ns(), ticks = npi_clock_ticks();
        exit(fine && before <= ticks && ticks <= npi_clock_now_ns() ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void without_a_trusted_counter_the_kernel_is_asked(void **state)
{
    (void)state;
    expect_kernel_clock(NULL, false);
    expect_kernel_clock("hpet\n", false);
    expect_kernel_clock("kvm-clock\n", false);
    expect_kernel_clock("\n", false);
    expect_kernel_clock("tsc\n", true); /* no plausible rate */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(populating_is_tried_again),
        cmocka_unit_test(a_kernel_without_populate_gets_touches),
        cmocka_unit_test(refusals_keep_their_reason),
        cmocka_unit_test(a_mark_that_fork_would_keep_is_none),
        cmocka_unit_test(a_slice_is_asked_for_and_verified),
        cmocka_unit_test(without_a_trusted_counter_the_kernel_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
