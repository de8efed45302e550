/*
 * One pool of each granularity on whatever machine this is: every CPU has a home of its own cache and
 * node, workers stay on their shard's cores, tasks and memory are on the node they were meant for. What is
 * right is worked out from /sys alone. For shapes that no other test of a pool is written for: more nodes
 * than a word has bits, CPU numbers beyond a CPU set, shared and split caches, slow memory.
 */
#include "flow/pool.h"
#include "vm/watch.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CPUS_MAX 64
#define BLOCK_BYTES 300000

static unsigned cpu_count;
static struct {
    unsigned node; /* the kernel's */
    unsigned home; /* the nearest node that has memory */
    struct where_set cache, core;
    unsigned shard; /* what the pool makes of it */
} cpus[CPUS_MAX];

static unsigned nearest_memory(unsigned node)
{
    struct where_set with_memory;
    unsigned nearest = node;
    int distance = 256;

    CHECK_EQUAL(where_set_read(&with_memory, WHERE_NODES_WITH_MEMORY), 0);
    for (unsigned other = 0; other < WHERE_NODES_MAX; other++) {
        if (where_set_has(&with_memory, other) && where_distance(node, other) < distance) {
            distance = where_distance(node, other);
            nearest = other;
        }
    }
    CHECK(where_set_has(&with_memory, nearest));
    return nearest;
}

/* False where the file is not there: a processor without such a cache. */
static bool read_sharers(struct where_set *set, unsigned cpu, const char *file)
{
    char path[120];

    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", cpu, file);
    return where_set_read(set, path) == 0;
}

/* The guests' CPUs are numbered without holes, and more than 64 nobody waits for. */
static void read_machine(void)
{
    struct where_set online;

    CHECK_EQUAL(where_set_read(&online, WHERE_CPUS_ONLINE), 0);
    cpu_count = where_set_count(&online);
    CHECK(cpu_count > 0 && cpu_count <= CPUS_MAX && where_set_has(&online, cpu_count - 1));
    for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
        cpus[cpu].node = (unsigned)where_cpu_node(cpu);
        cpus[cpu].home = nearest_memory(cpus[cpu].node);
        CHECK(read_sharers(&cpus[cpu].core, cpu, "topology/thread_siblings_list"));
        if (!read_sharers(&cpus[cpu].cache, cpu, "cache/index3/shared_cpu_list")) {
            CHECK_EQUAL(where_node_cpus(cpus[cpu].node, &cpus[cpu].cache), 0);
        }
    }
}

static bool belong_together(int shards, unsigned a, unsigned b)
{
    return shards == NUMAPOOL_SINGLE ||
           (cpus[a].node == cpus[b].node &&
            (shards == NUMAPOOL_PER_NODE || where_set_has(&cpus[a].cache, b)));
}

/* A caller on each CPU: it has exactly one home, and shares it with those it belongs together with. */
static void check_homes(numapool *pool, int shards)
{
    size_t count = numapool_shard_count(pool);
    size_t homes = 0;

    for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
        uint64_t before[CPUS_MAX];
        unsigned rose = 0;

        CHECK(count <= CPUS_MAX);
        for (size_t shard = 0; shard < count; shard++) {
            before[shard] = watch_shard(pool, shard).accepted;
        }
        CHECK_EQUAL(where_run_on(cpu), 0);
        CHECK_EQUAL(numapool_submit(pool, watch_nothing, NULL), NUMAPOOL_OK);
        for (size_t shard = 0; shard < count; shard++) {
            if (watch_shard(pool, shard).accepted != before[shard]) {
                cpus[cpu].shard = (unsigned)shard;
                rose++;
            }
        }
        CHECK_EQUAL(rose, 1);
        if (shards != NUMAPOOL_SINGLE) {
            CHECK_EQUAL(watch_node_of(pool, cpus[cpu].shard), cpus[cpu].home);
        }
        bool is_new = true;
        for (unsigned other = 0; other < cpu; other++) {
            bool together = belong_together(shards, cpu, other);
            CHECK_EQUAL(cpus[other].shard == cpus[cpu].shard, together);
            is_new = is_new && !together;
        }
        homes += is_new;
    }
    CHECK_EQUAL(count, homes); /* no shard is nobody's */
}

/* One hardware thread of each of the shard's cores, which is what a pool uses unless told otherwise. */
static void check_pins(numapool *pool)
{
    for (unsigned shard = 0; shard < numapool_shard_count(pool); shard++) {
        struct where_set expected = {{0}};

        for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
            bool is_first = cpus[cpu].shard == shard;
            for (unsigned lower = 0; lower < cpu; lower++) {
                is_first = is_first && !where_set_has(&cpus[cpu].core, lower);
            }
            if (is_first) {
                where_set_add(&expected, cpu);
            }
        }
        AWAIT(watch_pinned_set(shard, &expected));
    }
}

struct visit {
    unsigned cpu;
    int node_index;
    int stack_node, scratch_node;
};

static void visit(void *arg)
{
    struct visit *visit = arg;
    char *scratch = numapool_scratch(BLOCK_BYTES);
    volatile char local = 1;

    CHECK_EQUAL(syscall(SYS_getcpu, &visit->cpu, NULL, NULL), 0);
    CHECK(scratch != NULL);
    memset(scratch, 1, BLOCK_BYTES);
    visit->scratch_node = where_page_node(scratch);
    CHECK(where_range_is_on(scratch, BLOCK_BYTES, (unsigned)visit->scratch_node));
    visit->stack_node = where_page_node((const char *)&local);
    visit->node_index = numapool_current_node();
}

static void check_tasks_and_memory(numapool *pool, bool spans_nodes)
{
    for (unsigned node = 0; node < numapool_node_count(pool); node++) {
        unsigned os_index = pool->plan->nodes[node].os_index;
        struct visit seen = {.cpu = CPUS_MAX};
        char *block = numapool_alloc(pool, (int)node, BLOCK_BYTES);

        CHECK(block != NULL);
        memset(block, 1, BLOCK_BYTES);
        CHECK(where_range_is_on(block, BLOCK_BYTES, os_index));
        CHECK_EQUAL(numapool_node_of(pool, block), node);
        numapool_free(pool, block);
        if (spans_nodes) {
            continue; /* its workers run anywhere, its memory is on one of its nodes */
        }
        watch_on_node(pool, (int)node, visit, &seen);
        AWAIT(watch_pool(pool).run == watch_pool(pool).accepted);
        CHECK_EQUAL(seen.node_index, node);
        CHECK_EQUAL(cpus[seen.cpu].home, os_index);
        CHECK_EQUAL(seen.scratch_node, os_index);
        CHECK_EQUAL(seen.stack_node, os_index);
    }
}

static void check_pool(int shards)
{
    struct numapool_config config;
    struct where_set homes = {{0}};
    numapool *pool;

    read_machine();
    for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
        where_set_add(&homes, cpus[cpu].home);
    }
    watch_config(&config);
    config.shards = shards;
    config.workers_max = 2 * cpu_count; /* no shards are merged for want of workers */
    pool = watch_create(&config);
    CHECK_EQUAL(numapool_node_count(pool), where_set_count(&homes));
    check_homes(pool, shards);
    check_pins(pool);
    check_tasks_and_memory(pool, shards == NUMAPOOL_SINGLE && where_set_count(&homes) > 1);
    CHECK_EQUAL(watch_pool(pool).bind_denied, 0);
    CHECK_EQUAL(watch_logged(""), 0);
    watch_destroy(pool);
}

static void a_shard_for_each_node(void)
{
    check_pool(NUMAPOOL_PER_NODE);
}

static void a_shard_for_each_cache(void)
{
    check_pool(NUMAPOOL_PER_L3);
}

static void one_shard_for_all(void)
{
    check_pool(NUMAPOOL_SINGLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(a_shard_for_each_node),
        WATCH_TEST(a_shard_for_each_cache),
        WATCH_TEST(one_shard_for_all),
    };

    if (where_guest_shape() == NULL) {
        printf("skip: written for emulated machines\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
