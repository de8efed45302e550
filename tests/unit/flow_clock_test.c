/*
 * What submitters and workers make of a clock that is not quite as it should be, with a pool around
 * them: the linker puts a hand on npi_clock_ticks(), npi_clock_now_ns() and npi_park_wait().
 */
#include "unit/core_support.h"

#include "os/os.h"

#include <numapool/numapool.h>

#include <errno.h>

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

uint64_t __real_npi_clock_ticks(void);
uint64_t __wrap_npi_clock_ticks(void);
uint64_t __real_npi_clock_now_ns(void);
uint64_t __wrap_npi_clock_now_ns(void);
int __real_npi_park_wait(npi_a32 *word, uint32_t value, uint64_t deadline_ns);
int __wrap_npi_park_wait(npi_a32 *word, uint32_t value, uint64_t deadline_ns);

/* Of the calling thread. */
static __thread uint64_t ahead_ticks;
static __thread uint64_t frozen_now_ns; /* 0 = the real clock; waiting makes it go on */

#define PAUSES_MAX 4096u
static uint64_t pauses_ns[PAUSES_MAX];
static unsigned pause_count;

uint64_t __wrap_npi_clock_ticks(void)
{
    return __real_npi_clock_ticks() + ahead_ticks;
}

uint64_t __wrap_npi_clock_now_ns(void)
{
    return frozen_now_ns != 0 ? frozen_now_ns : __real_npi_clock_now_ns();
}

int __wrap_npi_park_wait(npi_a32 *word, uint32_t value, uint64_t deadline_ns)
{
    if (frozen_now_ns == 0) {
        return __real_npi_park_wait(word, value, deadline_ns);
    }
    thread_assert(pause_count < PAUSES_MAX && deadline_ns > frozen_now_ns);
    pauses_ns[pause_count++] = deadline_ns - frozen_now_ns;
    frozen_now_ns = deadline_ns;
    return -ETIMEDOUT;
}

static numapool *make(void (*change)(struct numapool_config *config))
{
    struct numapool_config config;
    numapool *pool = NULL;
    numapool_config_init(&config);
    config.machine = "pack:1 [numa] core:2 pu:1";
    config.workers_max = 1;
    config.queue_tasks = 2000;
    config.memory_bytes = 64u << 20;
    config.mode = NUMAPOOL_FIXED;
    config.tick_ns = MS;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    config.stack_bytes = 2u << 20;
#endif
    change(&config);
    assert_int_equal(numapool_create(&pool, &config, NULL), NUMAPOOL_OK);
    return pool;
}

static void nap(void)
{
    (void)usleep(500);
}

/* ------------------------------------------------------------------------------- waiting */

static void one_place(struct numapool_config *config)
{
    config->queue_tasks = 1;
}

static npi_a32 held, let_go;

static void hold(void *arg)
{
    (void)arg;
    npi_a32_store_release(&held, 1);
    while (npi_a32_load_acquire(&let_go) == 0) {
        nap();
    }
}

/* The pauses of a waiting submit grow and stay at their bound, however long it waits. */
static void a_waiting_submit_pauses_ever_longer(void **state)
{
    (void)state;
    numapool *pool = make(one_place);
    npi_a32_store_release(&held, 0);
    npi_a32_store_release(&let_go, 0);
    assert_int_equal(numapool_submit(pool, hold, NULL), NUMAPOOL_OK);
    test_await(&held, 1);
    struct numapool_task task = {.run = hold};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    pause_count = 0;
    frozen_now_ns = __real_npi_clock_now_ns();
    uint64_t begin_ns = frozen_now_ns;
    int result = numapool_submit_wait(pool, &task, SECOND);
    assert_int_equal(frozen_now_ns - begin_ns, SECOND);
    frozen_now_ns = 0;
    npi_a32_store_release(&let_go, 1);
    assert_int_equal(result, NUMAPOOL_E_TIMEDOUT);
    /* 2 ms is the longest; a second has 500 of them, and some more were shorter in the beginning. */
    assert_in_range(pause_count, 500, 520);
    for (unsigned i = 20; i + 1 < pause_count; i++) {
        assert_int_equal(pauses_ns[i], 2 * MS);
    }
    assert_int_equal(numapool_drain(pool, UINT64_MAX), NUMAPOOL_OK);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

/* -------------------------------------------------------------------------------- dropping */

static void impatient(struct numapool_config *config)
{
    config->codel_target_ns = MS;
    config->codel_interval_ns = 20 * MS;
    config->queue_delay_ns = NUMAPOOL_OFF;
}

struct fate {
    npi_a32 run, dropped;
};

static void fate_run(void *arg)
{
    struct fate *fate = arg;
    (void)npi_a32_add_relaxed(&fate->run, 1);
}

static void fate_drop(void *arg, int why)
{
    struct fate *fate = arg;
    thread_assert(why == NUMAPOOL_E_SHED);
    (void)npi_a32_add_relaxed(&fate->dropped, 1);
}

static void linger(void *arg)
{
    (void)arg;
    nap();
}

static void submit_dropping(numapool *pool, struct fate *fate)
{
    struct numapool_task task = {
        .run = fate_run, .arg = fate, .drop = fate_drop, .flags = NUMAPOOL_DROP_OK};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
}

/*
 * A standing queue drops old tasks that may be dropped. One whose submitter's clock is ahead of the
 * worker's is not old, however large the difference is as an unsigned number.
 */
static void a_task_from_the_future_is_not_old(void **state)
{
    (void)state;
    bool stood = false;
    while (!stood) {
        numapool *pool = make(impatient);
        struct fate present = {0}, future = {0};
        npi_a32_store_release(&held, 0);
        npi_a32_store_release(&let_go, 0);
        assert_int_equal(numapool_submit(pool, hold, NULL), NUMAPOOL_OK);
        test_await(&held, 1);
        for (int i = 0; i < 300; i++) {
            assert_int_equal(numapool_submit(pool, linger, NULL), NUMAPOOL_OK);
        }
        submit_dropping(pool, &present);
        ahead_ticks = npi_clock_ns_to_ticks(3600 * SECOND);
        submit_dropping(pool, &future);
        ahead_ticks = 0;
        npi_a32_store_release(&let_go, 1);
        assert_int_equal(numapool_drain(pool, UINT64_MAX), NUMAPOOL_OK);
        stood = npi_a32_load_relaxed(&present.dropped) != 0;
        assert_int_equal(npi_a32_load_relaxed(&future.dropped), 0);
        assert_int_equal(npi_a32_load_relaxed(&future.run), 1);
        assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiting_submit_pauses_ever_longer),
        cmocka_unit_test(a_task_from_the_future_is_not_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
