/*
 * An idle pool costs nothing: from 20 s after the last task no thread of it wakes up within 5 s, surplus
 * threads have ended, and resident memory is back to where it began (+ 16 MB). A count of context
 * switches, so the machine's noise cannot change it. The first submit afterwards works as ever.
 */
#include <numapool/numapool.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TASK_BYTES (500u * 1024)
#define PAGE_BYTES 4096u
#define MEMORY_BYTES (UINT64_C(256) << 20)
#define RESIDENT_MARGIN (UINT64_C(16) << 20)
#define TASKS 20000

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0) {
    }
}

static uint64_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
    (void)fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Voluntary and involuntary switches of all threads but the calling one; how many threads there are. */
static unsigned long long switches(unsigned *threads)
{
    unsigned long long sum = 0;
    *threads = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid()) {
            continue;
        }
        char path[300], line[128];
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *f = fopen(path, "r");
        if (f == NULL) {
            continue;
        }
        (*threads)++;
        while (fgets(line, sizeof line, f) != NULL) {
            unsigned long long n;
            if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1 ||
                sscanf(line, "nonvoluntary_ctxt_switches: %llu", &n) == 1) {
                sum += n;
            }
        }
        (void)fclose(f);
    }
    (void)closedir(dir);
    return sum;
}

static void use_memory_and_sleep(void *arg)
{
    (void)arg;
    volatile char *bytes = numapool_scratch(TASK_BYTES);
    for (unsigned i = 0; bytes != NULL && i < TASK_BYTES; i += PAGE_BYTES) {
        bytes[i] = 1;
    }
    pause_ms(2);
}

static void nothing_moves_when_idle(void **state)
{
    (void)state;
    struct numapool_config config;
    numapool_config_init(&config);
    config.memory_bytes = MEMORY_BYTES;
    config.idle_exit_ns = UINT64_C(5000000000);
    numapool *pool = NULL;
    struct numapool_error error;
    assert_int_equal(numapool_create(&pool, &config, &error), NUMAPOOL_OK);
    uint64_t resident_before = resident_bytes();

    struct numapool_task task = {.run = use_memory_and_sleep};
    unsigned long accepted = 0;
    for (int i = 0; i < TASKS; i++) {
        if (numapool_submit_wait(pool, &task, UINT64_MAX) == NUMAPOOL_OK) {
            accepted++;
        }
    }
    struct numapool_stats stats = {.struct_size = sizeof stats};
    do {
        pause_ms(10);
        assert_int_equal(numapool_stats(pool, &stats), NUMAPOOL_OK);
    } while (stats.run < accepted);
    pause_ms(20000);

    unsigned threads, threads_after;
    unsigned long long before = switches(&threads);
    pause_ms(5000);
    unsigned long long after = switches(&threads_after);
    assert_int_equal(threads, threads_after);
    assert_int_equal(after - before, 0);

    assert_int_equal(numapool_stats(pool, &stats), NUMAPOOL_OK);
    print_message("threads %u, resident %+lld kB\n", threads,
                  ((long long)resident_bytes() - (long long)resident_before) / 1024);
    assert_true(stats.workers <= (uint64_t)4 * numapool_shard_count(pool));
    assert_true(resident_bytes() <= resident_before + RESIDENT_MARGIN);

    assert_int_equal(numapool_submit_wait(pool, &task, UINT64_MAX), NUMAPOOL_OK);
    assert_int_equal(numapool_drain(pool, UINT64_MAX), NUMAPOOL_OK);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skip: the sanitizer's own threads and shadow memory would be counted\n");
    return 77;
#endif
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_moves_when_idle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
