/* See life.h. */
#include "soak/life.h"

#include "soak/faults.h"
#include "soak/producer.h"
#include "soak/soak.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READERS 2

struct kind {
    const char *machine, *name;
    int mode;
    unsigned workers_max;
};

/* The machine itself, and emulated ones: of several shards, with one worker each, with one law or the
   other. */
static const struct kind kinds[] = {
    {"pack:4 [numa] core:2 pu:1", "4 nodes, adaptive", NUMAPOOL_ADAPTIVE, 32},
    {NULL, "this machine, adaptive", NUMAPOOL_ADAPTIVE, 0},
    {"pack:2 [numa] core:4 pu:1", "2 nodes, fixed", NUMAPOOL_FIXED, 8},
    {"pack:16 [numa] core:1 pu:1", "16 nodes, adaptive", NUMAPOOL_ADAPTIVE, 24},
};

const unsigned life_kinds = sizeof kinds / sizeof *kinds;

static struct {
    const struct kind *kind;
    pthread_t readers[READERS];
    atomic_int readers_stop;
    uint64_t accepted, spawned, spawned_refused; /* before it began */
} life;

static void hear(void *arg, int level, const char *line)
{
    (void)arg;
    if (level <= NUMAPOOL_LOG_ERROR) {
        soak_violation("log: %s", line);
    }
    if (strstr(line, "has been in") != NULL || strstr(line, "stood still") != NULL) {
        atomic_fetch_add(&soak.told, 1);
    }
}

const char *life_machine(unsigned number)
{
    return kinds[number % life_kinds].name;
}

/* ------------------------------------------------------------------------------- readers */

static void check_grows(struct numapool_stats *before, const struct numapool_stats *now)
{
#define COUNTS_UP(field, kind, text)                                                               \
    if (strcmp(#kind, "counter") == 0 && now->field < before->field) {                             \
        soak_violation("counter %s fell from %" PRIu64 " to %" PRIu64, #field, before->field,      \
                       now->field);                                                                \
    }
    NUMAPOOL_STATS_FIELDS(COUNTS_UP)
#undef COUNTS_UP
    *before = *now;
}

static void *read_on(void *arg)
{
    (void)arg;
    struct numapool_stats before = {.struct_size = sizeof before};
    static __thread char text[1 << 18];
    while (atomic_load(&life.readers_stop) == 0) {
        struct numapool_stats now = {.struct_size = sizeof now};
        SOAK_CHECK(numapool_stats(soak.pool, &now) == NUMAPOOL_OK);
        /* Over several shards the counters are those of different moments. */
        SOAK_CHECK(numapool_shard_count(soak.pool) > 1 || now.run + now.dropped <= now.accepted);
        check_grows(&before, &now);
        for (size_t i = 0; i < numapool_shard_count(soak.pool); i++) {
            struct numapool_shard_stats shard = {.struct_size = sizeof shard};
            SOAK_CHECK(numapool_shard_stats(soak.pool, i, &shard) == NUMAPOOL_OK);
        }
        size_t needed = 0;
        SOAK_CHECK(numapool_stats_prometheus(soak.pool, text, sizeof text, &needed) == NUMAPOOL_OK);
        SOAK_CHECK(needed == strlen(text) + 1);
        atomic_fetch_add(&soak.reads, 1);
        if (atomic_load(&soak.read_always) == 0) {
            soak_sleep_ns(50 * SOAK_MS);
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------------------- begin, end */

void life_begin(unsigned number, uint64_t seed)
{
    life.kind = &kinds[number % life_kinds];
    struct numapool_config config;
    numapool_config_init(&config);
    config.machine = life.kind->machine;
    config.mode = life.kind->mode;
    config.workers_max = life.kind->workers_max;
    config.memory_bytes = UINT64_C(256) << 20;
    config.idle_exit_ns = 2 * SOAK_MS;
    config.watchdog_ns = 20 * SOAK_MS;
    config.name = "soak";
    config.log = hear;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    config.stack_bytes = 2 << 20;
#endif
    struct numapool_error error = {.count = 0};
    int result = numapool_create(&soak.pool, &config, &error);
    if (result != NUMAPOOL_OK) {
        soak_violation("no pool of %s: %s", life.kind->name, error.text);
        exit(1);
    }
    soak.nodes = (unsigned)numapool_node_count(soak.pool);
    soak.budget_most = life.kind->workers_max != 0 ? life.kind->workers_max : 64;
    soak.ends_drained = number / life_kinds % 2 == 0;
    life.accepted = atomic_load(&soak.accepted);
    life.spawned = atomic_load(&soak.spawned);
    life.spawned_refused = atomic_load(&soak.spawned_refused);
    atomic_store(&soak.stop, 0);
    atomic_store(&life.readers_stop, 0);
    for (int i = 0; i < READERS; i++) {
        SOAK_CHECK(pthread_create(&life.readers[i], NULL, read_on, NULL) == 0);
    }
    producers_start(seed);
}

static void add_up(struct life_totals *totals, bool drained)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};
    SOAK_CHECK(numapool_stats(soak.pool, &stats) == NUMAPOOL_OK);
    uint64_t accepted = atomic_load(&soak.accepted) - life.accepted;
    if (drained) {
        accepted += atomic_load(&soak.spawned) - life.spawned;
        SOAK_CHECK(stats.accepted == accepted);
        SOAK_CHECK(stats.run + stats.dropped == accepted);
        SOAK_CHECK(stats.submitted == stats.accepted + stats.refused_full + stats.refused_shed +
                                          stats.refused_deadline + stats.refused_bytes +
                                          stats.refused_other);
        SOAK_CHECK(stats.queue_depth == 0);
        SOAK_CHECK(stats.forwarded_in == stats.forwarded_out);
        SOAK_CHECK(stats.stolen_in == stats.stolen_out);
    }
    totals->threads_started += stats.threads_started;
    totals->forwarded += stats.forwarded_in;
    totals->stolen += stats.stolen_in;
    totals->tasks_stuck += stats.tasks_stuck;
}

void life_end(struct life_totals *totals)
{
    bool drained = soak.ends_drained;
    if (drained) { /* beside producers, who are told that it is closed */
        SOAK_CHECK(numapool_drain(soak.pool, UINT64_MAX) == NUMAPOOL_OK);
    }
    atomic_store(&soak.stop, 1);
    producers_join();
    if (drained) {
        SOAK_CHECK(numapool_drain(soak.pool, UINT64_MAX) == NUMAPOOL_OK);
    }
    atomic_store(&life.readers_stop, 1);
    for (int i = 0; i < READERS; i++) {
        (void)pthread_join(life.readers[i], NULL);
    }
    add_up(totals, drained);
    if (drained) {
        producers_free_left(); /* else tasks may still be at it; the pool's end frees all */
        struct numapool_stats stats = {.struct_size = sizeof stats};
        SOAK_CHECK(numapool_stats(soak.pool, &stats) == NUMAPOOL_OK);
        SOAK_CHECK(stats.bytes_in_use == 0);
    }
    SOAK_CHECK(numapool_destroy(soak.pool) == NUMAPOOL_OK);
    producers_forget_left();
    soak.pool = NULL;
    struct producers_sum sum = producers_close();
    SOAK_CHECK(sum.issued == sum.run + sum.dropped);
    SOAK_CHECK(sum.issued == atomic_load(&soak.accepted) - life.accepted +
                                 atomic_load(&soak.spawned) - life.spawned +
                                 atomic_load(&soak.spawned_refused) - life.spawned_refused);
    totals->lives++;
    totals->issued += sum.issued;
    totals->run += sum.run;
    totals->dropped += sum.dropped;
}

void life_print(void)
{
    for (size_t i = 0; i < numapool_shard_count(soak.pool); i++) {
        struct numapool_shard_stats stats = {.struct_size = sizeof stats};
        if (numapool_shard_stats(soak.pool, i, &stats) == NUMAPOOL_OK) {
            fprintf(stderr, "  shard %zu:", i);
#define PRINT(field, kind, text) fprintf(stderr, " %s=%" PRIu64, #field, stats.field);
            NUMAPOOL_STATS_FIELDS(PRINT)
#undef PRINT
            fprintf(stderr, "\n");
        }
    }
}
