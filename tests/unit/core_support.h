/*
 * What the tests of src/base, os, queue and flow share: threads that start together, checks that
 * threads may make, a watchdog that says where things stood when they stopped moving, and seeds.
 */
#ifndef NPI_UNIT_CORE_SUPPORT_H
#define NPI_UNIT_CORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "base/prng.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST_THREADS_MAX 16

/* cmocka's assertions jump, which only the main thread may do; this one ends the program. */
#define thread_assert(condition)                                                                   \
    ((condition) ? (void)0 : test_give_up(#condition, __FILE__, __LINE__))

static inline void test_give_up(const char *what, const char *file, int line)
{
    (void)dprintf(STDERR_FILENO, "%s:%d: %s is false\n", file, line, what);
    _exit(EXIT_FAILURE);
}

/* ---------------------------------------------------------------------------- watchdog */

static void (*test_dump_function)(void);
static const char *test_watched = "";

static inline void test_on_alarm(int signal_number)
{
    (void)signal_number;
    (void)dprintf(STDERR_FILENO, "no progress in: %s\n", test_watched);
    if (test_dump_function != NULL) {
        test_dump_function();
    }
    _exit(EXIT_FAILURE);
}

/* Ends the program, after a dump, unless test_watch_end comes first. The time is no expectation:
   it only has to be longer than any machine needs. */
static inline void test_watch(const char *what, void (*dump)(void))
{
    test_watched = what;
    test_dump_function = dump;
    (void)signal(SIGALRM, test_on_alarm);
    (void)alarm(500);
}

static inline void test_watch_end(void)
{
    (void)alarm(0);
}

/* -------------------------------------------------------------------------------- seeds */

/* The same sequence in every run, unless NUMAPOOL_TEST_SEED says otherwise. */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("NUMAPOOL_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 1;
    printf("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* One step of the mixing function: a checksum that tells neighbouring numbers apart. */
static inline uint64_t test_mix(uint64_t value)
{
    struct npi_prng prng = {value};
    return npi_prng_next(&prng);
}

/* ------------------------------------------------------------------------------ threads */

struct test_thread {
    pthread_t thread;
    npi_a32 *waiting; /* threads that are not ready yet */
    void (*body)(void *context, unsigned index);
    void *context;
    unsigned index;
};

static inline void *test_thread_main(void *arg)
{
    struct test_thread *self = arg;
    (void)npi_a32_add_sc(self->waiting, (uint32_t)-1);
    while (npi_a32_load_sc(self->waiting) != 0) {
        (void)sched_yield(); /* no sleep: they leave here close together */
    }
    self->body(self->context, self->index);
    return NULL;
}

/* Runs body(context, 0..count-1) in threads that start together, and waits for all. */
static inline void test_run_threads(unsigned count, void (*body)(void *, unsigned), void *context)
{
    struct test_thread threads[TEST_THREADS_MAX];
    npi_a32 waiting;
    assert_true(count <= TEST_THREADS_MAX);
    npi_a32_init(&waiting, count);
    for (unsigned i = 0; i < count; i++) {
        threads[i] =
            (struct test_thread){.waiting = &waiting, .body = body, .context = context, .index = i};
        thread_assert(pthread_create(&threads[i].thread, NULL, test_thread_main, &threads[i]) == 0);
    }
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
    }
}

/* Waits until another thread has stored the value. */
static inline void test_await(const npi_a32 *word, uint32_t value)
{
    while (npi_a32_load_acquire(word) != value) {
        (void)sched_yield();
    }
}

/* Whether a thread of this process sleeps just now: 'S' in its line of /proc; false when gone. */
static inline bool test_thread_sleeps(pid_t tid)
{
    char path[64], line[512];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    const char *name_end = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    return name_end != NULL && name_end[1] == ' ' && name_end[2] == 'S';
}

#endif
