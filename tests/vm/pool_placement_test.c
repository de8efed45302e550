/*
 * Where a pool's threads, queues, records, stacks and memory are, on the machine with four sockets, as
 * sched_getaffinity, getcpu and move_pages report it. The test's own thread is on node 0: what is found
 * on another node is there because it was put there.
 */
#include "flow/control.h"
#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"
#include "vm/slices.h"
#include "vm/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NODES 4
#define PER_NODE 24
#define ALL_RUN(pool, count) AWAIT(watch_pool(pool).run == (count))

static const char *const cpus_of[NODES] = {"0-1", "2-3", "4-5", "6-7"};

/* Made by a thread that is on node 0, but may go anywhere: the pool gets the CPUs its creator may use.
   From then on the thread stays there. */
static numapool *create_on_node_0(const struct numapool_config *config)
{
    struct where_set all;
    numapool *pool;

    CHECK_EQUAL(where_allowed_cpus(0, &all), 0);
    CHECK_EQUAL(where_run_on(0), 0);
    CHECK_EQUAL(syscall(SYS_sched_setaffinity, 0, sizeof all.word, all.word), 0);
    pool = watch_create(config);
    CHECK_EQUAL(where_run_on(0), 0);
    CHECK_EQUAL(numapool_node_count(pool), NODES);
    CHECK_EQUAL(numapool_shard_count(pool), NODES);
    return pool;
}

/* ------------------------------------------------------------------------------- threads */

/* What a task found out about its own thread. */
struct visit {
    int node_index;
    unsigned cpu;
    unsigned node;
    char cpus_ok;
    char stack_ok, thread_record_ok;
};

static void visit(void *arg)
{
    struct visit *visit = arg;
    struct where_set allowed;
    struct where_set of_node;
    volatile char local = 1;

    visit->node_index = numapool_current_node();
    CHECK_EQUAL(syscall(SYS_getcpu, &visit->cpu, &visit->node, NULL), 0);
    CHECK_EQUAL(where_allowed_cpus(0, &allowed), 0);
    CHECK_EQUAL(where_node_cpus(visit->node, &of_node), 0);
    visit->cpus_ok = where_set_equal(&allowed, &of_node);
    visit->stack_ok = where_page_node((const char *)&local) == (int)visit->node;
    /* The C library keeps a thread's own record at the top of its stack, and the thread that starts
       another one writes it: that page is on the right node only if the stack was bound. */
    visit->thread_record_ok = where_page_node((const char *)pthread_self()) == (int)visit->node;
}

static void workers_and_their_stacks_are_on_their_node(void)
{
    static struct visit visits[NODES][PER_NODE];
    numapool *pool = create_on_node_0(NULL);

    for (int i = 0; i < PER_NODE; i++) {
        for (int node = 0; node < NODES; node++) {
            watch_on_node(pool, node, visit, &visits[node][i]);
        }
    }
    ALL_RUN(pool, NODES * PER_NODE);
    for (unsigned node = 0; node < NODES; node++) {
        CHECK_EQUAL(watch_node_of(pool, node), node);
        CHECK_EQUAL(watch_shard(pool, node).run, PER_NODE);
        for (int i = 0; i < PER_NODE; i++) {
            CHECK_EQUAL(visits[node][i].node_index, node);
            CHECK_EQUAL(visits[node][i].node, node);
            CHECK_EQUAL(visits[node][i].cpu / 2, node);
            CHECK(visits[node][i].cpus_ok);
            CHECK(visits[node][i].stack_ok);
            CHECK(visits[node][i].thread_record_ok);
        }
        AWAIT(watch_pinned(node,
                           cpus_of[node])); /* workers that ran nothing, and the control thread */
    }
    CHECK_EQUAL(watch_pool(pool).bind_denied, 0);
    watch_destroy(pool);
    CHECK_EQUAL(watch_logged(""), 0);
}

static void with_pinning_to_cpus_each_worker_has_one(void)
{
    struct numapool_config config;
    numapool *pool;

    watch_config(&config);
    config.pinning = NUMAPOOL_PIN_CPU;
    pool = watch_create(&config);
    for (unsigned node = 0; node < NODES; node++) {
        watch_on_node(pool, (int)node, watch_nothing, NULL);
        AWAIT(watch_pinned_single(node, cpus_of[node]));
    }
    watch_destroy(pool);
}

static void creating_a_pool_leaves_the_caller_where_it_was(void)
{
    struct where_set before;
    struct where_set after;
    int mode = -1;
    numapool *pool;

    CHECK_EQUAL(where_set_parse(&before, "1,5-6"), 0);
    CHECK_EQUAL(syscall(SYS_sched_setaffinity, 0, sizeof before.word, before.word), 0);
    pool = watch_create(NULL);
    CHECK_EQUAL(where_allowed_cpus(0, &after), 0);
    CHECK(where_set_equal(&before, &after));
    CHECK_EQUAL(syscall(SYS_get_mempolicy, &mode, NULL, 0UL, NULL, 0UL), 0);
    CHECK_EQUAL(mode, 0);
    watch_destroy(pool);
}

/* `taskset` around the application, as operators use it. */
static void a_pinned_process_has_a_pool_of_its_own_cpus(void)
{
    struct where_set cpus;
    numapool *pool;

    CHECK_EQUAL(where_set_parse(&cpus, "2-3,6"), 0);
    CHECK_EQUAL(syscall(SYS_sched_setaffinity, 0, sizeof cpus.word, cpus.word), 0);
    pool = watch_create(NULL);
    CHECK_EQUAL(numapool_shard_count(pool), 2);
    CHECK_EQUAL(watch_node_of(pool, 0), 1);
    CHECK_EQUAL(watch_node_of(pool, 1), 3);
    AWAIT(watch_pinned(0, "2-3"));
    AWAIT(watch_pinned(1, "6"));
    watch_destroy(pool);
}

static void a_task_belongs_to_the_node_of_its_caller(void)
{
    numapool *pool = watch_create(NULL);

    for (unsigned node = 0; node < NODES; node++) {
        CHECK_EQUAL(where_run_on(2 * node + 1), 0);
        for (int i = 0; i < PER_NODE; i++) {
            CHECK_EQUAL(numapool_submit(pool, watch_nothing, NULL), NUMAPOOL_OK);
        }
        for (unsigned other = 0; other < NODES; other++) {
            CHECK_EQUAL(watch_shard(pool, other).accepted, other <= node ? PER_NODE : 0);
        }
    }
    watch_destroy(pool);
}

/* ------------------------------------------------------------------- the pool's own memory */

static void check_shard_memory(const struct npi_shard *shard, unsigned node)
{
    const struct npi_ring *lane = &shard->lanes[0];
    size_t stack_bytes = shard->stack_stride_bytes - npi_pages_size();
    uint32_t slots = npi_a32_load_acquire(&shard->slots_used);

    CHECK(where_range_is_on(shard, sizeof *shard, node));
    CHECK(where_range_is_on(shard->workers, sizeof *shard->workers, node));
    CHECK(where_range_is_on(shard->gate.sleepers, sizeof *shard->gate.sleepers, node));
    CHECK(where_range_is_on(shard->control, sizeof *shard->control, node));
    CHECK(where_range_is_on(lane->slots[NPI_CLASS_NORMAL],
                            shard->capacity_tasks / 2 * sizeof **lane->slots, node));
    CHECK(watch_only_on(shard->pages, shard->pages_bytes, node));
    for (uint32_t i = 0; i <= slots; i++) { /* and the control thread's, which is the last */
        uint32_t slot = i < slots ? i : shard->worker_slots;
        CHECK(watch_only_on(shard->stacks + slot * shard->stack_stride_bytes + npi_pages_size(),
                            stack_bytes, node));
    }
}

/* The queue is written by submitters of other nodes: its pages must not follow them. */
static void queues_and_records_are_on_their_node(void)
{
    struct watch_hold hold = WATCH_HOLD;
    struct numapool_config config;
    numapool *pool;

    watch_config(&config);
    config.mode = NUMAPOOL_FIXED; /* four workers per node */
    pool = create_on_node_0(&config);
    for (int node = 0; node < NODES; node++) {
        for (unsigned i = 0; i < 4; i++) {
            watch_on_node(pool, node, watch_hold_task, &hold);
        }
    }
    AWAIT(watch_inside(&hold) == 4 * NODES);
    for (unsigned i = 0; i < 1024 / 2; i++) {
        for (int node = 0; node < NODES; node++) {
            watch_on_node(pool, node, watch_nothing, NULL);
        }
    }
    for (unsigned node = 0; node < NODES; node++) {
        CHECK_EQUAL(watch_shard(pool, node).queue_depth, 1024 / 2);
        check_shard_memory(pool->shards[node], node);
    }
    watch_let_go(&hold);
    ALL_RUN(pool, NODES * (4 + 1024 / 2));
    for (unsigned node = 0; node < NODES; node++) {
        const struct npi_shard *shard = pool->shards[node];
        check_shard_memory(shard, node);
        CHECK(watch_only_on(shard->times, shard->times_count * sizeof *shard->times, node));
    }
    watch_destroy(pool);
}

/* --------------------------------------------------------------------------- task memory */

static void take_scratch(void *arg)
{
    static const size_t sizes[] = {64, 4096, 60000, 1 << 20, 3 << 20};
    unsigned cpu;
    unsigned node;

    CHECK_EQUAL(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *piece = numapool_scratch(sizes[i]);
        CHECK(piece != NULL);
        memset(piece, 1, sizes[i]);
        CHECK(where_range_is_on(piece, sizes[i], node));
    }
    __atomic_fetch_add((unsigned *)arg, 1, __ATOMIC_RELAXED);
}

static void scratch_is_on_the_node_of_its_task(void)
{
    unsigned finished = 0;
    numapool *pool = create_on_node_0(NULL);

    for (int round = 0; round < 3; round++) {
        for (int node = 0; node < NODES; node++) {
            watch_on_node(pool, node, take_scratch, &finished);
        }
        ALL_RUN(pool, (unsigned)(round + 1) * NODES);
    }
    CHECK_EQUAL(__atomic_load_n(&finished, __ATOMIC_RELAXED), 3 * NODES);
    watch_destroy(pool);
}

#define SIZES 5
static const size_t block_sizes[SIZES] = {48, 1000, 20000, 200000, 3 << 20};

struct blocks {
    numapool *pool;
    int node;
    char *block[SIZES][8];
};

/* From any thread: memory of the node, written here. */
static void allocate(void *arg)
{
    struct blocks *blocks = arg;

    for (int size = 0; size < SIZES; size++) {
        for (int i = 0; i < (size < SIZES - 1 ? 8 : 1); i++) {
            char *block = numapool_alloc(blocks->pool, blocks->node, block_sizes[size]);
            CHECK(block != NULL);
            memset(block, 1, block_sizes[size]);
            CHECK_EQUAL(numapool_node_of(blocks->pool, block), blocks->node);
            CHECK(where_range_is_on(block, block_sizes[size], (unsigned)blocks->node));
            blocks->block[size][i] = block;
        }
    }
}

static void free_all(void *arg)
{
    struct blocks *blocks = arg;

    for (int size = 0; size < SIZES; size++) {
        for (int i = 0; i < (size < SIZES - 1 ? 8 : 1); i++) {
            numapool_free(blocks->pool, blocks->block[size][i]);
        }
    }
}

/* Everything that was ever touched of a node's memory, the tables about it included. */
static void check_slices(numapool *pool)
{
    for (unsigned node = 0; node < NODES; node++) {
        char *start;
        size_t bytes;
        slices_of(pool->space, node, &start, &bytes);
        CHECK(watch_only_on(start, bytes, node));
    }
}

static void blocks_stay_on_their_node(uint64_t memory_bytes)
{
    static struct blocks blocks[NODES];
    struct numapool_config config;
    unsigned tasks = 0;
    numapool *pool;

    watch_config(&config);
    config.memory_bytes = memory_bytes;
    pool = create_on_node_0(&config);
    for (int round = 0; round < 3; round++) {
        for (int node = 0; node < NODES; node++) {
            blocks[node].pool = pool;
            blocks[node].node = node;
            if (round == 0) {
                allocate(&blocks[node]);
            } else { /* by a worker of another node: first one neighbour, then the other */
                watch_on_node(pool, (node + round) % NODES, allocate, &blocks[node]);
                tasks++;
                ALL_RUN(pool, tasks);
            }
        }
        check_slices(pool);
        /* Given back by a worker of yet another node. */
        for (int node = 0; node < NODES; node++) {
            watch_on_node(pool, (node + round + 1) % NODES, free_all, &blocks[node]);
            tasks++;
            ALL_RUN(pool, tasks);
        }
        CHECK_EQUAL(watch_pool(pool).bytes_in_use, 0);
        check_slices(pool);
        if (round ==
            1) { /* its pages go back to the kernel, so that others come, touched elsewhere */
            npi_space_trim(pool->space);
        }
    }
    watch_destroy(pool);
}

static void blocks_stay_on_their_node_after_remote_frees(void)
{
    blocks_stay_on_their_node(UINT64_C(64) << 20);
}

static void huge_blocks_stay_on_their_node_after_remote_frees(void)
{
    /* From this budget on the pool asks for huge pages. */
    blocks_stay_on_their_node(UINT64_C(512) << 20);
}

static void a_task_runs_where_its_data_lives(void)
{
    static struct visit visits[NODES];
    numapool *pool = create_on_node_0(NULL);

    for (int node = 0; node < NODES; node++) {
        void *data = numapool_alloc(pool, node, 100);
        const struct numapool_task task = {
            .run = visit, .arg = &visits[node], .near_data = data, .flags = NUMAPOOL_STRICT_NODE};
        CHECK(data != NULL);
        CHECK_EQUAL(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        ALL_RUN(pool, (unsigned)node + 1);
        CHECK_EQUAL(visits[node].node, node);
        numapool_free(pool, data);
    }
    watch_destroy(pool);
}

/* Some of the time that the kernel lets a thread work before it looks at its pages. True. */
static bool work_a_bit(void)
{
    for (volatile int i = 0; i < 5000000; i++) {
    }
    return true;
}

/*
 * The kernel denies that a page is there while it watches for who uses it next, to move it there: it
 * begins after some seconds of work, and goes on until the page is used.
 */
static void other_memory_is_found_by_asking_the_kernel(void)
{
    numapool *pool = watch_create(NULL);
    char *page = NULL;
    char watches[8];

    CHECK_EQUAL(where_run_on(7), 0);
    CHECK_EQUAL(posix_memalign((void **)&page, 4096, 4096), 0);
    page[0] = 1;
    CHECK_EQUAL(where_page_node(page), 3);
    CHECK_EQUAL(numapool_node_of(pool, page), 3);
    CHECK_EQUAL(where_read_line("/proc/sys/kernel/numa_balancing", watches, sizeof watches), 0);
    CHECK_EQUAL(watches[0], '1');
    AWAIT(work_a_bit() && where_page_node(page) == -ENOENT);
    CHECK_EQUAL(numapool_node_of(pool, page), 3);
    free(page);
    watch_destroy(pool);
}

static void distances_are_the_kernels(void)
{
    numapool *pool = watch_create(NULL);

    for (unsigned a = 0; a < NODES; a++) {
        for (unsigned b = 0; b < NODES; b++) {
            CHECK_EQUAL(numapool_distance(pool, a, b), where_distance(a, b));
        }
    }
    watch_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(workers_and_their_stacks_are_on_their_node),
        WATCH_TEST(with_pinning_to_cpus_each_worker_has_one),
        WATCH_TEST(creating_a_pool_leaves_the_caller_where_it_was),
        WATCH_TEST(a_pinned_process_has_a_pool_of_its_own_cpus),
        WATCH_TEST(a_task_belongs_to_the_node_of_its_caller),
        WATCH_TEST(queues_and_records_are_on_their_node),
        WATCH_TEST(scratch_is_on_the_node_of_its_task),
        WATCH_TEST(blocks_stay_on_their_node_after_remote_frees),
        WATCH_TEST(huge_blocks_stay_on_their_node_after_remote_frees),
        WATCH_TEST(a_task_runs_where_its_data_lives),
        WATCH_TEST(other_memory_is_found_by_asking_the_kernel),
        WATCH_TEST(distances_are_the_kernels),
    };
    int status = watch_shape("square");

    return status != 0 ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
