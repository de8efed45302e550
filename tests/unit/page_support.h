/* Pools whose stats page is read while they live: what the tests of it share. */
#ifndef NPI_UNIT_PAGE_SUPPORT_H
#define NPI_UNIT_PAGE_SUPPORT_H

#include "unit/core_support.h"

#include "tool/page_reader.h"

#include <time.h>

#define MACHINE "pack:2 [numa] core:2 pu:1"

static char test_logged[512];
static unsigned test_warnings;

static inline void hear(void *arg, int level, const char *line)
{
    (void)arg;
    if (level <= NUMAPOOL_LOG_WARNING) {
        test_warnings++;
        (void)snprintf(test_logged, sizeof test_logged, "%s", line);
    }
}

static inline numapool *make(const char *name, const char *machine, int stats_page)
{
    struct numapool_config config;
    struct numapool_error error = {.count = 0};
    numapool *pool = NULL;
    numapool_config_init(&config);
    config.name = name;
    config.machine = machine;
    config.workers_max = 8;
    config.queue_tasks = 2048;
    config.tick_ns = UINT64_C(1000000);
    config.idle_exit_ns = UINT64_C(1000000);
    config.queue_delay_ns = config.codel_target_ns = NUMAPOOL_OFF;
    config.memory_bytes = UINT64_C(64) << 20;
    config.stats_page = stats_page;
    config.log = hear;
    test_warnings = 0;
    if (numapool_create(&pool, &config, &error) != NUMAPOOL_OK) {
        fail_msg("no pool: %s", error.text);
    }
    return pool;
}

static inline void nap(void)
{
    struct timespec pause = {0, 2000000};
    (void)nanosleep(&pause, NULL);
}

static inline void nothing(void *arg)
{
    (void)arg;
}

static inline void submit(numapool *pool, unsigned count)
{
    struct numapool_task task = {.run = nothing, .flags = NUMAPOOL_ON_NODE};
    for (unsigned i = 0; i < count; i++) {
        task.node = (int)(i % numapool_node_count(pool));
        assert_int_equal(numapool_submit_wait(pool, &task, UINT64_MAX), NUMAPOOL_OK);
    }
}

static inline void open_own(struct page_process *process, size_t pools)
{
    assert_int_equal(page_process_open(process, getpid(), NULL), PAGE_OK);
    assert_int_equal(process->count, pools);
    assert_true(page_process_alive(process));
}

static inline bool asleep(const struct page_sample *sample)
{
    for (size_t i = 0; i < sample->shard_count; i++) {
        if (sample->shards[i].state != NUMAPOOL_PAGE_ASLEEP) {
            return false;
        }
    }
    return true;
}

/* Until every shard's control thread has published for the last time. */
static inline void await_sleep(struct page_sample *sample, const struct page *page)
{
    test_watch("the control threads go to sleep", NULL);
    do {
        nap();
        assert_int_equal(page_sample_take(sample, page), PAGE_OK);
    } while (!asleep(sample));
    test_watch_end();
}

/* Takes samples until something is so. */
#define UNTIL(sample, page, condition)                                                             \
    do {                                                                                           \
        test_watch(#condition, NULL);                                                              \
        do {                                                                                       \
            nap();                                                                                 \
            assert_int_equal(page_sample_take(sample, page), PAGE_OK);                             \
        } while (!(condition));                                                                    \
        test_watch_end();                                                                          \
    } while (0)

#endif
