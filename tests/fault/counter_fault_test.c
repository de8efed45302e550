/*
 * F13: every counter that could wrap begins just before it does: ring positions, stamps, the stack's
 * change count, wake counts, a group's turn, drain's word, versions of snapshots, histograms.
 *
 * The shipped code has no switch for that: npi_ring_init() and npi_gate_init() are wrapped, and the
 * clock's ticks are shifted.
 */
#include "fault/clock.h"
#include "fault/load.h"

#include "flow/group.h"
#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"

static uint64_t begin_at, before; /* before: how far below the edge */
static uint32_t begin_at_32;

void __real_npi_ring_init(struct npi_ring *ring, uint64_t capacity, void *memory, uint64_t start);
void __wrap_npi_ring_init(struct npi_ring *ring, uint64_t capacity, void *memory, uint64_t start);
void __real_npi_gate_init(struct npi_gate *gate, struct npi_sleeper *sleepers, uint32_t limit);
void __wrap_npi_gate_init(struct npi_gate *gate, struct npi_sleeper *sleepers, uint32_t limit);

void __wrap_npi_ring_init(struct npi_ring *ring, uint64_t capacity, void *memory, uint64_t start)
{
    __real_npi_ring_init(ring, capacity, memory, start + begin_at);
}

void __wrap_npi_gate_init(struct npi_gate *gate, struct npi_sleeper *sleepers, uint32_t limit)
{
    __real_npi_gate_init(gate, sleepers, limit);
    struct npi_shard *shard = (void *)((char *)gate - offsetof(struct npi_shard, gate));
    npi_a64_init(&gate->parked, (uint64_t)begin_at_32 << 32);
    npi_a64_init(&gate->wakes, begin_at);
    npi_a64_init(&shard->view_version, begin_at & ~UINT64_C(1));
    /* What the rings say was accepted before has ended before. */
    npi_a64_init(&shard->dropped_closed, begin_at * NPI_LANES * NPI_CLASS_COUNT);
    for (uint32_t i = 0; begin_at_32 != 0 && i < shard->times_count; i++) {
        for (size_t b = 0; b < NPI_HISTOGRAM_BUCKETS; b++) {
            npi_a64_init(&shard->times[i].run.bucket[b], (UINT64_C(1) << 32) - 3);
            npi_a64_init(&shard->times[i].wait.bucket[b], (UINT64_C(1) << 32) - 3);
        }
    }
}

static uint64_t bits, ticks_at;

/* By the positions of some ring and by the stack's change count. */
static bool edges_crossed(void)
{
    bool ring = false, stack = false;
    for (unsigned i = 0; i < load_pool->shard_count; i++) {
        const struct npi_shard *shard = load_pool->shards[i];
        ring = ring ||
               npi_a64_load_relaxed(&shard->lanes[0].tail[NPI_CLASS_NORMAL]) - begin_at > before;
        stack = stack || npi_a64_load_relaxed(&shard->gate.parked) >> 32 < begin_at_32;
    }
    return ring && stack;
}

/* Workers that find the next task before they sleep do not use the stack: give them the time. */
static bool edges_are_crossed(atomic_int *ran)
{
    struct numapool_task task = {.run = count_run, .arg = ran};
    MUST(numapool_submit_wait(load_pool, &task, FOREVER) == NUMAPOOL_OK);
    rest();
    return edges_crossed();
}

static void near_the_edge(unsigned round, uint64_t tasks)
{
    before = tasks / 100;
    begin_at = (bits == 64 ? 0 : UINT64_C(1) << bits) - before;
    begin_at_32 = UINT32_MAX - 5;
    if (ticks_at != 0) {
        /* A little of the load's time before the edge. */
        clock_offset_ticks(ticks_at - npi_clock_ticks() - npi_clock_ns_to_ticks(5 * MS));
    }
    load_begin(&(struct load_shape){.nodes = 1u << round % 3,
                                    .mode = (int)(round % 2),
                                    .mix = LOAD_ALL & ~(ticks_at == 0 ? 0 : LOAD_DEADLINE),
                                    .counts_begin_high = true},
               tasks);
    npi_a32_init(&load_pool->drained, UINT32_MAX);
    npi_a32_init(&load_pool->dealt, UINT32_MAX - 1);
    numapool_group *group = NULL;
    MUST(numapool_group_create(&group, load_pool) == NUMAPOOL_OK);
    npi_a32_init(&group->turn, UINT32_MAX - 5);
    atomic_int ran = 0;
    for (int i = 0; i < 20; i++) { /* its turn comes each time it empties */
        struct numapool_task task = {.run = count_run, .arg = &ran, .group = group};
        MUST(numapool_submit_wait(load_pool, &task, FOREVER) == NUMAPOOL_OK);
        MUST(numapool_group_wait(group, FOREVER) == NUMAPOOL_OK);
        MUST(atomic_load(&ran) == i + 1);
    }
    MUST(npi_a32_load_relaxed(&group->turn) < 100);
    MUST(numapool_group_destroy(group) == NUMAPOOL_OK);
    load_await_producers();
    EVENTUALLY(edges_are_crossed(&ran));
    EVENTUALLY(ticks_at == 0 || (int64_t)(npi_clock_ticks() - ticks_at) > 0);
    if (bits == 32) {
        struct numapool_stats stats = stats_of(load_pool);
        MUST(stats.run_p50_ns <= stats.run_p99_ns && stats.run_p99_ns <= stats.run_p999_ns);
    }
    load_end();
    clock_restore();
    begin_at = begin_at_32 = 0;
}

static void positions_at_2_to_the_32(void **state)
{
    (void)state;
    bits = 32;
    load_rounds(near_the_edge);
    load_report("F13", "counters begin just below 2^32");
}

static void positions_at_2_to_the_63(void **state)
{
    (void)state;
    bits = 63;
    load_rounds(near_the_edge);
    load_report("F13", "counters begin just below 2^63");
}

static void positions_at_2_to_the_64(void **state)
{
    (void)state;
    bits = 64;
    load_rounds(near_the_edge);
    load_report("F13", "counters begin just below 2^64");
}

static void stamps_at_the_edges(void **state)
{
    (void)state;
    bits = 64;
    ticks_at = UINT64_C(1) << 32;
    load_rounds(near_the_edge);
    ticks_at = UINT64_C(1) << 63;
    load_rounds(near_the_edge);
    ticks_at = UINT64_MAX;
    load_rounds(near_the_edge);
    ticks_at = 0;
    load_report("F13", "time stamps cross 2^32, 2^63 and 2^64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_at_2_to_the_32),
        cmocka_unit_test(positions_at_2_to_the_63),
        cmocka_unit_test(positions_at_2_to_the_64),
        cmocka_unit_test(stamps_at_the_edges),
    };
    return FAULT_RUN(tests);
}
