/*
 * The stats page of real pools, through the reader that the command uses: at rest it says what
 * numapool_stats() says, it ends with its pool, a child of fork() has none, and a pool runs as well where
 * it cannot be had.
 */
#include "unit/page_support.h"

#include "api/prometheus.h"
#include "flow/pool.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---------------------------------------------------------------------------------- rest */

static void check_shard(numapool *pool, const struct page_sample *sample, size_t i)
{
    const struct numapool_page_shard *shard = &sample->shards[i];
    const struct numapool_page_times *times = &sample->times[i];
    struct numapool_shard_stats stats = {.struct_size = sizeof stats};
    assert_int_equal(numapool_shard_stats(pool, i, &stats), NUMAPOOL_OK);
    assert_int_equal(shard->node, stats.node);
    assert_int_equal(shard->node_os_index, stats.node_os_index);
    if (i == 0) { /* the pool's, which numapool_shard_stats() leaves out */
        stats.bind_denied = shard->bind_denied;
    }
#define SAME(name, kind, text)                                                                     \
    if (shard->name != stats.name) {                                                               \
        fail_msg(#name " of shard %zu: the page says %llu, the pool %llu", i,                      \
                 (unsigned long long)shard->name, (unsigned long long)stats.name);                 \
    }
    NUMAPOOL_STATS_FIELDS(SAME)
#undef SAME
    const struct numapool_page_histogram *both[] = {&times->wait, &times->run};
    for (unsigned h = 0; h < 2; h++) {
        uint64_t sum = 0;
        for (unsigned b = 0; b < NUMAPOOL_PAGE_BUCKETS; b++) {
            sum += both[h]->bucket[b];
        }
        assert_int_equal(sum, both[h]->count);
        assert_int_equal(both[h]->count, stats.run);
    }
    assert_int_equal(times->wait.max_ns, stats.wait_max_ns);
    assert_int_equal(times->run.max_ns, stats.run_max_ns);
}

static void check_header(numapool *pool, const struct page *page, const char *name)
{
    const struct numapool_page_header *header = &page->header;
    assert_int_equal(header->version, NUMAPOOL_PAGE_VERSION);
    assert_string_equal(header->pool_name, name);
    assert_string_equal(header->library, numapool_version());
    assert_int_equal(header->pid, getpid());
    assert_int_equal(header->shard_count, numapool_shard_count(pool));
    assert_int_equal(header->node_count, numapool_node_count(pool));
    assert_int_equal(header->tick_ns, 1000000);
    assert_int_equal(header->memory_bytes, UINT64_C(64) << 20);
    assert_true(header->created_ns != 0 && header->created_ns < npi_clock_now_ns());
}

/* The same text from the page as from the pool. */
static void check_prometheus(numapool *pool, const struct page_sample *sample, const char *name)
{
    static char from_pool[1 << 17], from_page[1 << 17];
    struct npi_prometheus_row rows[8];
    struct numapool_shard_stats stats[8];
    assert_true(sample->shard_count <= 8);
    for (size_t i = 0; i < sample->shard_count; i++) {
        stats[i].node_os_index = sample->shards[i].node_os_index;
#define COPY(field, kind, text) stats[i].field = sample->shards[i].field;
        NUMAPOOL_STATS_FIELDS(COPY)
#undef COPY
        rows[i] = (struct npi_prometheus_row){name, (unsigned)i, &stats[i], &sample->times[i].wait,
                                              &sample->times[i].run};
    }
    size_t length = npi_prometheus_write(from_page, sizeof from_page, rows, sample->shard_count);
    assert_true(length > 1000 && length < sizeof from_page);
    assert_int_equal(numapool_stats_prometheus(pool, from_pool, sizeof from_pool, NULL),
                     NUMAPOOL_OK);
    assert_string_equal(from_page, from_pool);
}

/* A child has the descriptor, but the page is its parent's, and nothing it does reaches it. */
static void check_fork(numapool *pool, const struct page *page)
{
    struct page_sample before = {0}, after = {0};
    int told[2], go[2];
    assert_int_equal(page_sample_take(&before, page), PAGE_OK);
    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte = 0;
        bool as_said = numapool_drain(pool, UINT64_MAX) == NUMAPOOL_E_FORKED &&
                       numapool_set_budget(pool, 5) == NUMAPOOL_E_FORKED &&
                       numapool_destroy(pool) == NUMAPOOL_E_FORKED && write(told[1], "", 1) == 1 &&
                       read(go[0], &byte, 1) == 1;
        _exit(as_said ? 0 : 1);
    }
    char byte;
    assert_int_equal(read(told[0], &byte, 1), 1);
    struct page_process other;
    assert_int_equal(page_process_open(&other, child, NULL), PAGE_NONE);
    assert_int_equal(write(go[1], "", 1), 1);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(page_sample_take(&after, page), PAGE_OK);
    assert_int_equal(after.phase, NUMAPOOL_PAGE_OPEN);
    assert_memory_equal(before.shards, after.shards, 2 * sizeof *before.shards);
    page_sample_fini(&before);
    page_sample_fini(&after);
    for (unsigned i = 0; i < 2; i++) {
        (void)close(told[i]);
        (void)close(go[i]);
    }
}

static void at_rest_it_is_exact(void **state)
{
    (void)state;
    numapool *pool = make("rest", MACHINE, NUMAPOOL_STATS_PAGE_ON);
    struct page_process process;
    struct page_sample sample = {0};
    assert_int_equal(test_warnings, 0);
    open_own(&process, 1);
    const struct page *page = &process.pages[0];
    check_header(pool, page, "rest");
    submit(pool, 6000);
    UNTIL(&sample, page, sample.shards[0].run + sample.shards[1].run == 6000);
    submit(pool, 3000);
    await_sleep(&sample, page);
    assert_int_equal(sample.shards[0].run + sample.shards[1].run, 9000);
    for (size_t i = 0; i < sample.shard_count; i++) {
        check_shard(pool, &sample, i);
    }
    check_prometheus(pool, &sample, "rest");
    check_fork(pool, page);

    /* What changes a pool that sleeps, and no task does. */
    assert_int_equal(numapool_set_budget(pool, 6), NUMAPOOL_OK);
    UNTIL(&sample, page, sample.shards[0].budget == 6 && sample.shards[1].budget == 6);
    assert_int_equal(page_phase(page), NUMAPOOL_PAGE_OPEN);
    assert_int_equal(numapool_drain(pool, UINT64_MAX), NUMAPOOL_OK);
    assert_int_equal(page_phase(page), NUMAPOOL_PAGE_DRAINING);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);

    /* The last numbers stay with who has it mapped; nobody else finds it. */
    assert_int_equal(page_phase(page), NUMAPOOL_PAGE_CLOSED);
    assert_int_equal(page_sample_take(&sample, page), PAGE_OK);
    assert_int_equal(sample.shards[0].run + sample.shards[1].run, 9000);
    assert_int_equal(sample.phase, NUMAPOOL_PAGE_CLOSED);
    page_sample_fini(&sample);
    page_process_close(&process);
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_NONE);
}

struct gate {
    npi_a32 open, dropped;
};

static void wait_at(void *arg)
{
    struct gate *gate = arg;
    while (npi_a32_load_acquire(&gate->open) == 0) {
        nap();
    }
}

static void count_drop(void *arg, int why)
{
    struct gate *gate = arg;
    thread_assert(why == NUMAPOOL_E_CLOSED);
    (void)npi_a32_add_acq_rel(&gate->dropped, 1);
}

static void *destroy(void *pool)
{
    thread_assert(numapool_destroy(pool) == NUMAPOOL_OK);
    return NULL;
}

static void what_is_dropped_at_the_end_is_shown(void **state)
{
    (void)state;
    numapool *pool = make("end", MACHINE, NUMAPOOL_STATS_PAGE_ON);
    struct page_process process;
    struct page_sample sample = {0};
    struct gate gate = {{0}, {0}};
    open_own(&process, 1);
    struct numapool_task task = {.run = wait_at, .drop = count_drop, .arg = &gate};
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(numapool_submit_wait(pool, &task, UINT64_MAX), NUMAPOOL_OK);
    }
    UNTIL(&sample, &process.pages[0],
          sample.shards[0].workers_running + sample.shards[1].workers_running != 0 &&
              sample.shards[0].workers_running + sample.shards[1].workers_running +
                      sample.shards[0].queue_depth + sample.shards[1].queue_depth ==
                  100);
    pthread_t ender;
    assert_int_equal(pthread_create(&ender, NULL, destroy, pool), 0);
    test_watch("waiting tasks are dropped", NULL);
    while (npi_a32_load_acquire(&gate.dropped) == 0) {
        nap();
    }
    test_watch_end();
    assert_int_equal(page_phase(&process.pages[0]), NUMAPOOL_PAGE_CLOSED);
    npi_a32_store_release(&gate.open, 1);
    assert_int_equal(pthread_join(ender, NULL), 0);
    assert_int_equal(page_sample_take(&sample, &process.pages[0]), PAGE_OK);
    uint64_t accepted = 0, ended = 0, dropped = 0;
    for (size_t i = 0; i < 2; i++) {
        accepted += sample.shards[i].accepted;
        ended += sample.shards[i].run + sample.shards[i].dropped;
        dropped += sample.shards[i].dropped;
        assert_int_equal(sample.shards[i].queue_depth, 0);
    }
    assert_int_equal(accepted, 100);
    assert_int_equal(ended, 100);
    assert_int_equal(dropped, npi_a32_load_acquire(&gate.dropped));
    page_sample_fini(&sample);
    page_process_close(&process);
}

/* -------------------------------------------------------------------------------- several */

static void pools_of_a_process_are_told_apart(void **state)
{
    (void)state;
    numapool *first = make("one", "core:2 pu:1", NUMAPOOL_STATS_PAGE_ON);
    numapool *second = make("two", MACHINE, NUMAPOOL_STATS_PAGE_ON);
    struct page_process process;
    struct page_sample sample = {0};
    open_own(&process, 2);
    assert_string_equal(process.pages[0].header.pool_name, "one");
    assert_string_equal(process.pages[1].header.pool_name, "two");
    assert_true(process.pages[0].header.pool_id < process.pages[1].header.pool_id);
    submit(first, 10);
    submit(second, 32);
    UNTIL(&sample, &process.pages[1], sample.shards[0].run + sample.shards[1].run == 32);
    UNTIL(&sample, &process.pages[0], sample.shards[0].run == 10);

    /* One goes, another comes: places stay. */
    assert_int_equal(numapool_destroy(first), NUMAPOOL_OK);
    numapool *third = make("six", "core:2 pu:1", NUMAPOOL_STATS_PAGE_ON);
    assert_int_equal(page_process_look_again(&process), PAGE_OK);
    assert_int_equal(process.count, 3);
    assert_string_equal(process.pages[2].header.pool_name, "six");
    assert_int_equal(page_phase(&process.pages[0]), NUMAPOOL_PAGE_CLOSED);
    assert_int_equal(page_phase(&process.pages[2]), NUMAPOOL_PAGE_OPEN);
    page_sample_fini(&sample);
    page_process_close(&process);
    assert_int_equal(numapool_destroy(second), NUMAPOOL_OK);
    assert_int_equal(numapool_destroy(third), NUMAPOOL_OK);
}

/* --------------------------------------------------------------------------------- without */

static void it_may_be_switched_off(void **state)
{
    (void)state;
    struct page_process process;
    numapool *pool = make("off", MACHINE, NUMAPOOL_STATS_PAGE_OFF);
    assert_int_equal(test_warnings, 0);
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_NONE);
    submit(pool, 100);
    assert_int_equal(numapool_drain(pool, UINT64_MAX), NUMAPOOL_OK);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

/* A file that may not grow: the kernel would send SIGXFSZ. */
static void a_pool_runs_without(void **state)
{
    (void)state;
    struct page_process process;
    struct rlimit before, none = {.rlim_cur = 0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    (void)fflush(stdout); /* it is a file, too */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    numapool *pool = make("none", MACHINE, NUMAPOOL_STATS_PAGE_ON);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(test_warnings, 1);
    assert_non_null(strstr(test_logged, "no stats page (File too large)"));
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_NONE);
    submit(pool, 100);
    assert_int_equal(numapool_set_budget(pool, 4), NUMAPOOL_OK);
    assert_int_equal(numapool_drain(pool, UINT64_MAX), NUMAPOOL_OK);
    struct numapool_stats stats = {.struct_size = sizeof stats};
    assert_int_equal(numapool_stats(pool, &stats), NUMAPOOL_OK);
    assert_int_equal(stats.run, 100);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

static void others_cannot_write_it(void **state)
{
    (void)state;
    numapool *pool = make("ro", "core:2 pu:1", NUMAPOOL_STATS_PAGE_ON);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", pool->page.fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, (off_t)pool->page.bytes * 2), -1);
    if ((fcntl(fd, F_GET_SEALS) & 0x10 /* F_SEAL_FUTURE_WRITE */) != 0) {
        assert_int_equal(write(fd, "x", 1), -1);
        assert_int_equal(errno, EPERM);
        assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    }
    (void)close(fd);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

/* What a program does that closes descriptors it does not know, and opens others. */
static void a_descriptor_that_is_not_ours_is_left_open(void **state)
{
    (void)state;
    numapool *pool = make("fd", "core:2 pu:1", NUMAPOOL_STATS_PAGE_ON);
    int fd = pool->page.fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(null >= 0);
    assert_int_equal(dup2(null, fd), fd);
    submit(pool, 10);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    (void)close(fd);
    (void)close(null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_rest_it_is_exact),
        cmocka_unit_test(what_is_dropped_at_the_end_is_shown),
        cmocka_unit_test(pools_of_a_process_are_told_apart),
        cmocka_unit_test(it_may_be_switched_off),
        cmocka_unit_test(a_pool_runs_without),
        cmocka_unit_test(others_cannot_write_it),
        cmocka_unit_test(a_descriptor_that_is_not_ours_is_left_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
