/* One shard without the pool around it: its lanes, its gate, and as much of a pool as they look at.
 */
#ifndef NPI_UNIT_SHARD_SUPPORT_H
#define NPI_UNIT_SHARD_SUPPORT_H

#include "unit/core_support.h"

#include "flow/pool.h"
#include "flow/shard.h"

#define TEST_WORKERS 4u

struct test_shard {
    struct npi_shard shard;
    struct numapool pool;
    struct npi_sleeper sleepers[TEST_WORKERS];
    void *memory;
};

/* capacity: tasks; limit: workers that may be active. All threads there may be are alive. */
static inline void test_shard_init(struct test_shard *test, uint32_t capacity, uint32_t limit)
{
    memset(test, 0, sizeof *test);
    size_t bytes = npi_ring_bytes(capacity);
    test->memory = calloc(NPI_LANES, bytes);
    assert_non_null(test->memory);
    test->shard.pool = &test->pool;
    test->shard.capacity_tasks = capacity;
    test->shard.worker_slots = TEST_WORKERS;
    npi_a32_init(&test->shard.threads, TEST_WORKERS);
    npi_a32_init(&test->pool.threads, TEST_WORKERS);
    npi_a32_init(&test->pool.budget, TEST_WORKERS);
    test->pool.shard_count = 1;
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        npi_ring_init(&test->shard.lanes[lane], capacity, (char *)test->memory + lane * bytes, 0);
    }
    npi_gate_init(&test->shard.gate, test->sleepers, limit);
}

static inline void test_shard_fini(struct test_shard *test)
{
    free(test->memory);
}

/* A task that waits since `stamp`. */
static inline struct npi_item test_task(uint64_t value, uint64_t stamp)
{
    struct npi_item item = {{0}, {0}};
    item.hot[NPI_TASK_ARG] = value;
    item.hot[NPI_TASK_STAMP] = stamp;
    return item;
}

static inline void test_shard_dump(const struct npi_shard *shard)
{
    (void)dprintf(STDERR_FILENO, "permits %llx parked %llx lanes_used %llu\n",
                  (unsigned long long)npi_a64_load_sc(&shard->gate.permits),
                  (unsigned long long)npi_a64_load_sc(&shard->gate.parked),
                  (unsigned long long)npi_a64_load_sc(&shard->lanes_used));
    for (unsigned i = 0; i < TEST_WORKERS; i++) {
        (void)dprintf(STDERR_FILENO, "sleeper %u: state %u next %u\n", i,
                      npi_a32_load_sc(&shard->gate.sleepers[i].word),
                      npi_a32_load_sc(&shard->gate.sleepers[i].next));
    }
    for (unsigned lane = 0; lane < NPI_LANES; lane++) {
        const struct npi_ring *ring = &shard->lanes[lane];
        (void)dprintf(STDERR_FILENO, "lane %u: claim %llu, waiting", lane,
                      (unsigned long long)npi_a64_load_sc(&ring->claim));
        for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
            (void)dprintf(STDERR_FILENO, " %llu", (unsigned long long)npi_ring_waiting(ring, rank));
        }
        (void)dprintf(STDERR_FILENO, "\n");
    }
}

#endif
