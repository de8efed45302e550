/* What another thread has used: against that thread's own clock, and where the kernel tells less.
 */
#include "unit/core_support.h"

#include "os/os.h"

#include <dirent.h>
#include <errno.h>
#include <time.h>

#define BURN_NS UINT64_C(20000000)

static uint64_t own_cpu_ns(void)
{
    struct timespec t;
    thread_assert(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

enum { BURNING, BURNT, END };

struct burner {
    pthread_t thread;
    npi_a32 tid;
    npi_a32 stage;
    uint64_t used_ns; /* by its own clock, when it had burnt */
};

static void *burn(void *arg)
{
    struct burner *burner = arg;
    npi_a32_store_release(&burner->tid, (uint32_t)npi_thread_id());
    do {
        burner->used_ns = own_cpu_ns();
    } while (burner->used_ns < BURN_NS);
    npi_a32_store_release(&burner->stage, BURNT);
    npi_park_wake(&burner->stage, 1);
    while (npi_a32_load_acquire(&burner->stage) != END) {
        (void)npi_park_wait(&burner->stage, BURNT, UINT64_MAX);
    }
    return NULL;
}

static void start(struct burner *burner)
{
    memset(burner, 0, sizeof *burner);
    assert_int_equal(pthread_create(&burner->thread, NULL, burn, burner), 0);
    while (npi_a32_load_acquire(&burner->stage) != BURNT ||
           !test_thread_sleeps((pid_t)npi_a32_load_acquire(&burner->tid))) {
        (void)sched_yield();
    }
}

static void let_go(struct burner *burner)
{
    npi_a32_store_release(&burner->stage, END);
    npi_park_wake(&burner->stage, 1);
}

static void finish(struct burner *burner)
{
    let_go(burner);
    assert_int_equal(pthread_join(burner->thread, NULL), 0);
}

static bool has_schedstat(void)
{
    return access("/proc/self/schedstat", R_OK) == 0;
}

static void a_sleeping_threads_usage_is_exact(void **state)
{
    (void)state;
    struct burner burner;
    test_watch("a_sleeping_threads_usage_is_exact", NULL);
    start(&burner);
    pid_t tid = (pid_t)npi_a32_load_acquire(&burner.tid);
    int fd = -1;
    struct npi_thread_usage usage = {0}, again = {0};
    assert_int_equal(npi_thread_usage(tid, burner.thread, &fd, &usage), 0);
    assert_true(usage.cpu_ns >= burner.used_ns);
    /* It sleeps, so two readings are the same, by the descriptor kept from the first; once it has left the
       processor, which is a little after it says that it sleeps. */
    int kept = fd;
    assert_int_equal(npi_thread_usage(tid, burner.thread, &fd, &again), 0);
    while (again.cpu_ns != usage.cpu_ns || again.delay_ns != usage.delay_ns) {
        usage = again;
        assert_int_equal(npi_thread_usage(tid, burner.thread, &fd, &again), 0);
    }
    assert_int_equal(fd, kept);
    if (has_schedstat()) {
        assert_true(fd >= 0);
        assert_true(usage.delay_ns != UINT64_MAX);
        assert_int_equal(again.delay_ns, usage.delay_ns);
    } else {
        assert_int_equal(fd, -1);
        assert_true(usage.delay_ns == UINT64_MAX);
    }
    npi_thread_usage_close(&fd);
    assert_int_equal(fd, -1);
    finish(&burner);
    test_watch_end();
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static void without_schedstat_the_cpu_clock_answers(void **state)
{
    (void)state;
    struct burner burner;
    unsigned descriptors = open_descriptors();
    test_watch("without_schedstat_the_cpu_clock_answers", NULL);
    start(&burner);
    /* No thread has this number, so its file does not exist. */
    int fd = -1;
    struct npi_thread_usage usage = {0};
    assert_int_equal(npi_thread_usage(INT32_MAX, burner.thread, &fd, &usage), 0);
    assert_int_equal(fd, -1);
    assert_true(usage.cpu_ns >= burner.used_ns);
    assert_true(usage.delay_ns == UINT64_MAX);

    /* A descriptor that gives nothing, or no numbers, is closed and the clock asked. */
    static const char *const useless[] = {"/dev/null", "/proc/self/comm"};
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        FILE *file = fopen(useless[i], "re");
        assert_non_null(file);
        fd = dup(fileno(file));
        (void)fclose(file);
        assert_int_equal(npi_thread_usage(INT32_MAX, burner.thread, &fd, &usage), 0);
        assert_int_equal(fd, -1);
        assert_true(usage.cpu_ns >= burner.used_ns);
        assert_true(usage.delay_ns == UINT64_MAX);
    }
    finish(&burner);
    assert_int_equal(open_descriptors(), descriptors);
    test_watch_end();
}

static void a_thread_that_has_ended_is_an_error(void **state)
{
    (void)state;
    struct burner burner;
    test_watch("a_thread_that_has_ended_is_an_error", NULL);
    start(&burner);
    pid_t tid = (pid_t)npi_a32_load_acquire(&burner.tid);
    int fd = -1;
    struct npi_thread_usage usage = {0};
    assert_int_equal(npi_thread_usage(tid, burner.thread, &fd, &usage), 0);
    let_go(&burner);
    /* Until it is joined the handle stays valid; the kernel forgets the thread a little later. */
    int result;
    while ((result = npi_thread_usage(tid, burner.thread, &fd, &usage)) == 0) {
        (void)sched_yield();
    }
    assert_true(result == -ESRCH || result == -EINVAL);
    assert_int_equal(fd, -1);
    assert_int_equal(pthread_join(burner.thread, NULL), 0);
    test_watch_end();
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    int fd = -1;
    npi_thread_usage_close(&fd);
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sleeping_threads_usage_is_exact),
        cmocka_unit_test(without_schedstat_the_cpu_clock_answers),
        cmocka_unit_test(a_thread_that_has_ended_is_an_error),
        cmocka_unit_test(closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
