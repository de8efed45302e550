/*
 * A pool on a machine with a node that has CPUs and no memory (node 1) and one that has memory and no
 * CPUs (node 3): the CPUs of the first borrow the nearest memory, that of node 2, and the second is
 * nobody's home and gets nothing that the pool places.
 */
#include "flow/control.h"
#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"
#include "vm/slices.h"
#include "vm/watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHARDS 3
#define BLOCK_BYTES 300000

/* In plan order: by node, and within a node those with memory of their own first. */
#define BORROWED 2
static const struct {
    const char *cpus;
    unsigned node_os, node_index, caller_cpu;
} expected[SHARDS] = {{"0-1", 0, 0, 1}, {"4-5", 2, 1, 5}, {"2-3", 2, 1, 3}};

static void cpus_without_memory_have_a_shard_on_borrowed_memory(void)
{
    numapool *pool = watch_create(NULL);

    CHECK_EQUAL(numapool_node_count(pool), 2);
    CHECK_EQUAL(numapool_shard_count(pool), SHARDS);
    for (unsigned shard = 0; shard < SHARDS; shard++) {
        CHECK_EQUAL(watch_node_of(pool, shard), expected[shard].node_os);
        CHECK_EQUAL(watch_shard(pool, shard).node, expected[shard].node_index);
        CHECK_EQUAL(pool->plan->shards[shard].borrowed, shard == BORROWED);
        AWAIT(watch_pinned(shard, expected[shard].cpus));
    }
    /* The memory-less node's own row of the kernel's table counts, not its lender's. */
    CHECK_EQUAL(numapool_distance(pool, BORROWED, 0), where_distance(1, 0));
    CHECK_EQUAL(numapool_distance(pool, BORROWED, 1), where_distance(1, 2));
    CHECK_EQUAL(numapool_distance(pool, 1, 0), where_distance(2, 0));
    CHECK_EQUAL(watch_pool(pool).bind_denied, 0);
    CHECK_EQUAL(watch_logged(""), 0);
    watch_destroy(pool);
}

static void callers_there_have_a_home(void)
{
    numapool *pool = watch_create(NULL);

    for (unsigned shard = 0; shard < SHARDS; shard++) {
        CHECK_EQUAL(where_run_on(expected[shard].caller_cpu), 0);
        for (int i = 0; i < 20; i++) {
            CHECK_EQUAL(numapool_submit(pool, watch_nothing, NULL), NUMAPOOL_OK);
        }
        CHECK_EQUAL(watch_shard(pool, shard).accepted, 20);
    }
    watch_destroy(pool);
}

struct visit {
    unsigned cpu;
    int node_index;
    bool memory_ok;
};

static void visit(void *arg)
{
    struct visit *visit = arg;
    unsigned node_os = 0;
    char *scratch = numapool_scratch(BLOCK_BYTES);
    volatile char local = 1;

    visit->node_index = numapool_current_node();
    CHECK_EQUAL(syscall(SYS_getcpu, &visit->cpu, NULL, NULL), 0);
    CHECK(scratch != NULL);
    memset(scratch, 1, BLOCK_BYTES);
    node_os = visit->cpu < 2 ? 0 : 2;
    visit->memory_ok = where_range_is_on(scratch, BLOCK_BYTES, node_os) &&
                       where_page_node((const char *)&local) == (int)node_os;
}

#define VISITS 60

static void tasks_of_a_node_run_on_all_cpus_that_use_it(void)
{
    static struct visit visits[2][VISITS];
    numapool *pool = watch_create(NULL);

    CHECK_EQUAL(where_run_on(0), 0); /* at home in neither shard of node 2 */
    for (int i = 0; i < VISITS; i++) {
        watch_on_node(pool, 0, visit, &visits[0][i]);
        watch_on_node(pool, 1, visit, &visits[1][i]);
    }
    AWAIT(watch_pool(pool).run == 2 * VISITS);
    for (int i = 0; i < VISITS; i++) {
        CHECK_EQUAL(visits[0][i].node_index, 0);
        CHECK(visits[0][i].cpu < 2);
        CHECK(visits[0][i].memory_ok);
        CHECK_EQUAL(visits[1][i].node_index, 1);
        CHECK(visits[1][i].cpu >= 2);
        CHECK(visits[1][i].memory_ok);
    }
    /* Whichever of the node's shards had less to do: over so many both had their turn. */
    CHECK(watch_shard(pool, 1).accepted > 0);
    CHECK(watch_shard(pool, 2).accepted > 0);
    watch_destroy(pool);
}

static void check_memory(const struct npi_shard *shard, unsigned node_os)
{
    uint32_t slots = npi_a32_load_acquire(&shard->slots_used);

    CHECK(where_range_is_on(shard, sizeof *shard, node_os));
    CHECK(where_range_is_on(shard->workers, sizeof *shard->workers, node_os));
    CHECK(where_range_is_on(shard->control, sizeof *shard->control, node_os));
    CHECK(watch_only_on(shard->pages, shard->pages_bytes, node_os));
    for (uint32_t i = 0; i <= slots; i++) {
        uint32_t slot = i < slots ? i : shard->worker_slots;
        CHECK(watch_only_on(shard->stacks + slot * shard->stack_stride_bytes + npi_pages_size(),
                            shard->stack_stride_bytes - npi_pages_size(), node_os));
    }
}

/* By first touch the borrowed shard's memory would be wherever the kernel falls back to. */
static void everything_of_the_borrowed_shard_is_on_its_home(void)
{
    static struct visit visits[SHARDS];
    numapool *pool = watch_create(NULL);

    for (unsigned shard = 0; shard < SHARDS; shard++) {
        const struct numapool_task task = {.run = visit, .arg = &visits[shard]};
        CHECK_EQUAL(where_run_on(expected[shard].caller_cpu), 0);
        CHECK_EQUAL(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        AWAIT(watch_pool(pool).run == shard + 1);
    }
    for (unsigned shard = 0; shard < SHARDS; shard++) {
        CHECK(visits[shard].memory_ok);
        check_memory(pool->shards[shard], expected[shard].node_os);
    }
    for (unsigned node = 0; node < 2; node++) {
        char *block = numapool_alloc(pool, (int)node, BLOCK_BYTES);
        char *start;
        size_t bytes;
        CHECK(block != NULL);
        memset(block, 1, BLOCK_BYTES); /* by a thread on node 2 */
        CHECK(where_range_is_on(block, BLOCK_BYTES, node == 0 ? 0 : 2));
        numapool_free(pool, block);
        slices_of(pool->space, node, &start, &bytes);
        CHECK(watch_only_on(start, bytes, node == 0 ? 0 : 2));
    }
    watch_destroy(pool);
}

static void memory_without_cpus_is_no_target(void)
{
    numapool *pool = watch_create(NULL);
    const struct numapool_task task = {.run = watch_nothing, .node = 2, .flags = NUMAPOOL_ON_NODE};

    CHECK_EQUAL(numapool_submit_task(pool, &task), NUMAPOOL_E_INVALID);
    CHECK(numapool_alloc(pool, 2, 100) == NULL);
    for (unsigned shard = 0; shard < SHARDS; shard++) {
        CHECK(watch_node_of(pool, shard) != 3);
    }
    watch_destroy(pool);
}

/* The process may use the CPUs of the memory-less node only. */
static void the_cpus_without_memory_alone_make_a_pool(void)
{
    static struct visit seen;
    struct where_set cpus;
    numapool *pool;

    CHECK_EQUAL(where_set_parse(&cpus, "2-3"), 0);
    CHECK_EQUAL(syscall(SYS_sched_setaffinity, 0, sizeof cpus.word, cpus.word), 0);
    pool = watch_create(NULL);
    CHECK_EQUAL(numapool_shard_count(pool), 1);
    CHECK_EQUAL(numapool_node_count(pool), 1);
    CHECK_EQUAL(watch_node_of(pool, 0), 2);
    AWAIT(watch_pinned(0, "2-3"));
    watch_on_node(pool, 0, visit, &seen);
    AWAIT(watch_pool(pool).run == 1);
    CHECK(seen.memory_ok);
    watch_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(cpus_without_memory_have_a_shard_on_borrowed_memory),
        WATCH_TEST(callers_there_have_a_home),
        WATCH_TEST(tasks_of_a_node_run_on_all_cpus_that_use_it),
        WATCH_TEST(everything_of_the_borrowed_shard_is_on_its_home),
        WATCH_TEST(memory_without_cpus_is_no_target),
        WATCH_TEST(the_cpus_without_memory_alone_make_a_pool),
    };
    int status = watch_shape("lopsided");

    return status != 0 ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
