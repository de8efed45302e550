/*
 * A cold pool meets tasks that wait: how long until so many run at once. A new pool in each
 * iteration, tasks that sleep 20 ms, three times as many handed in as are to run together.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <numapool/numapool.h>

#include <stdatomic.h>

#define SLEEP_NS UINT64_C(20000000)

static _Atomic int64_t running, wanted;
static _Atomic uint64_t reached, half_reached;

static void serve(void *arg)
{
    (void)arg;
    int64_t now = atomic_fetch_add(&running, 1) + 1;
    uint64_t none = 0;
    if (now == wanted / 2) {
        (void)atomic_compare_exchange_strong(&half_reached, &none, ticks_now());
    }
    none = 0;
    if (now == wanted) {
        (void)atomic_compare_exchange_strong(&reached, &none, ticks_now());
    }
    sleep_until_ns(monotonic_ns() + SLEEP_NS);
    atomic_fetch_sub(&running, 1);
}

static void run(struct bench_run *run)
{
    struct numapool_config config;
    struct numapool_error error = {0};
    numapool_config_init(&config);
    config.workers_max = (unsigned)run->values[0];
    config.queue_tasks = (uint64_t)run->values[0] * 8;
    config.queue_delay_ns = NUMAPOOL_OFF;
    double total_ns = 0, half_ns = 0;
    for (int64_t i = 0; i < run->iterations; i++) {
        numapool *pool = NULL;
        if (numapool_create(&pool, &config, &error) != NUMAPOOL_OK) {
            bench_not_measured(run, "no pool: %s", error.text);
            return;
        }
        atomic_store(&running, 0);
        atomic_store(&reached, 0);
        atomic_store(&half_reached, 0);
        atomic_store(&wanted, run->values[0]);
        uint64_t begin = ticks_now();
        int64_t accepted = 0;
        uint64_t patience_ns = monotonic_ns() + UINT64_C(10000000000);
        while (atomic_load(&reached) == 0 && monotonic_ns() < patience_ns) {
            struct numapool_task task = {.run = serve, .arg = &running};
            int result = accepted < run->values[0] * 3 ? numapool_submit_task(pool, &task) : -1;
            accepted += result == NUMAPOOL_OK;
            if (result != NUMAPOOL_OK) {
                sleep_until_ns(monotonic_ns() + 200000);
                accepted -= run->values[0] / 16; /* they end, and others come */
            }
        }
        if (atomic_load(&reached) == 0) {
            bench_not_measured(run, "not so many ran at once within 10 s");
        }
        total_ns += ticks_ns(atomic_load(&reached) - begin);
        half_ns += ticks_ns(atomic_load(&half_reached) - begin);
        pool_numapool_end(run, pool);
    }
    run->seconds = total_ns / 1e9;
    bench_figure(run, "all_ns", total_ns / (double)run->iterations);
    bench_figure(run, "half_ns", half_ns / (double)run->iterations);
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{32}, {512}};

const struct bench_question question_growth = {
    .name = "growth",
    .asks = "from a cold pool to so many waiting tasks at once",
    .keys = {"workers"},
    .variants = variants,
    .variant_count = 2,
    .iterations = 3,
    .run = run,
    .compared = {"half_ns", "all_ns"},
};
