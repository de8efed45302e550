/*
 * What it costs tasks that somebody reads the statistics all the time. One iteration is BATCH empty
 * tasks from one thread; readers:1, another thread calls numapool_stats() every millisecond,
 * readers:2, without a rest.
 */
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <numapool/numapool.h>

#include <pthread.h>
#include <stdatomic.h>

#define BATCH 1024

static struct {
    numapool *pool;
    const struct pool_kind *kind;
    int64_t batches;
    bool rest;
    atomic_bool stop;
    _Atomic uint64_t reads;
} now;

static void count(void *arg)
{
    (void)arg;
    done_one();
}

static void hand_in(void *arg, unsigned index)
{
    (void)index;
    for (int64_t i = 0; i < now.batches * BATCH; i++) {
        pool_submit_surely(now.kind, now.pool, count, arg);
    }
}

static void *read_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&now.stop)) {
        struct numapool_stats stats = {.struct_size = sizeof stats};
        if (numapool_stats(now.pool, &stats) == NUMAPOOL_OK) {
            atomic_fetch_add(&now.reads, 1);
        }
        if (now.rest) {
            sleep_until_ns(monotonic_ns() + 1000000);
        }
    }
    return NULL;
}

static void run(struct bench_run *run)
{
    pthread_t reader;
    now.pool = pool_of_run(run, &now.kind);
    if (now.pool == NULL) {
        return;
    }
    now.batches = run->iterations;
    now.rest = run->values[0] == 1;
    atomic_store(&now.stop, false);
    atomic_store(&now.reads, 0);
    bool reads = run->values[0] != 0 && pthread_create(&reader, NULL, read_on, NULL) == 0;
    done_reset();
    uint64_t begin = crew_run(1, hand_in, &now, NULL);
    done_wait((uint64_t)run->iterations * BATCH);
    run->seconds = ticks_ns(ticks_now() - begin) / 1e9;
    if (reads) {
        atomic_store(&now.stop, true);
        (void)pthread_join(reader, NULL);
    }
    bench_figure(run, "tasks_per_s", (double)run->iterations * BATCH / run->seconds);
    bench_figure(run, "reads_per_s", (double)atomic_load(&now.reads) / run->seconds);
}

static bool applies(const int64_t *values, size_t contender)
{
    (void)values;
    return pool_kinds[contender] == &pool_numapool;
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{0}, {1}, {2}};

const struct bench_question question_statistics = {
    .name = "statistics",
    .asks =
        "empty tasks while somebody reads the statistics: never, each millisecond, all the time",
    .contender = pool_name,
    .contender_key = "pool",
    .keys = {"readers"},
    .variants = variants,
    .variant_count = 3,
    .run = run,
    .applies = applies,
    .compared = {"tasks_per_s", "reads_per_s"},
    .leave = pool_leave,
};
