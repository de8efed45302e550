/*
 * A pool whose control group changes under it: CPUs taken away and given back, memory nodes likewise,
 * a CPU quota set. The kernel replaces every thread's pin when a set changes and does not put it back;
 * the pool's supervisor has to. Machine with four sockets of two CPUs.
 */
#include "flow/pool.h"
#include "topology/place.h"
#include "topology/placement.h"
#include "vm/cgroup.h"
#include "vm/watch.h"

#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NODES 4

static const char *const cpus_of[NODES] = {"0-1", "2-3", "4-5", "6-7"};

static void set_cpus(const char *cpus)
{
    CHECK_EQUAL(cgroup_set(WATCH_GROUP, "cpuset.cpus", cpus), 0);
}

static void set_nodes(const char *nodes)
{
    CHECK_EQUAL(cgroup_set(WATCH_GROUP, "cpuset.mems", nodes), 0);
}

/* Something to do for every shard, so that the control threads are awake. True, for use in a wait. */
static bool keep_busy(numapool *pool)
{
    for (int node = 0; node < (int)numapool_node_count(pool); node++) {
        watch_on_node(pool, node, watch_nothing, NULL);
    }
    return true;
}

/* The processors that the pool's laws reckon with just now. */
static double cpus_reckoned(numapool *pool, unsigned shard)
{
    struct npi_shard_view view;

    npi_shard_view_read(pool->shards[shard], &view);
    return (double)view.cpus;
}

static bool reckons(numapool *pool, unsigned shard, double cpus)
{
    double difference = cpus_reckoned(pool, shard) - cpus;

    return difference < 1e-3 && difference > -1e-3;
}

static void await_all_as_planned(numapool *pool)
{
    for (unsigned shard = 0; shard < NODES; shard++) {
        AWAIT(keep_busy(pool) && watch_pinned(shard, cpus_of[shard]) && reckons(pool, shard, 2));
    }
}

static void pins_follow_a_set_that_shrinks_and_grows(void)
{
    numapool *pool = watch_create(NULL);

    await_all_as_planned(pool);
    for (unsigned round = 1; round <= 2; round++) {
        /* Node 2 loses both of its CPUs, node 3 one. */
        set_cpus("0-3,6");
        AWAIT(keep_busy(pool) && watch_pinned(0, "0-1") && reckons(pool, 0, 2));
        AWAIT(keep_busy(pool) && watch_pinned(1, "2-3") && reckons(pool, 1, 2));
        AWAIT(keep_busy(pool) && watch_pinned(2, "0-3,6") && reckons(pool, 2, 1));
        AWAIT(keep_busy(pool) && watch_pinned(3, "6") && reckons(pool, 3, 1));
        CHECK_EQUAL(watch_logged("shard 2: some of its CPUs are not allowed"), round);
        CHECK_EQUAL(watch_logged("shard 3: some of its CPUs are not allowed"), round);

        set_cpus("0-7");
        await_all_as_planned(pool);
        CHECK_EQUAL(watch_logged("shard 2: all of its CPUs are allowed again"), round);
        CHECK_EQUAL(watch_logged("shard 3: all of its CPUs are allowed again"), round);
        CHECK_EQUAL(watch_logged(""), 4 * round); /* said once each, not once a second */
    }
    watch_destroy(pool);
}

static void pins_to_single_cpus_follow_too(void)
{
    struct numapool_config config;
    numapool *pool;

    watch_config(&config);
    config.pinning = NUMAPOOL_PIN_CPU;
    pool = watch_create(&config);
    set_cpus("0-3,6");
    AWAIT(keep_busy(pool) && watch_pinned_single(0, "0-1"));
    AWAIT(keep_busy(pool) && watch_pinned_single(1, "2-3"));
    AWAIT(keep_busy(pool) && watch_pinned_single(3, "6"));
    set_cpus("0-7");
    for (unsigned shard = 0; shard < NODES; shard++) {
        AWAIT(keep_busy(pool) && watch_pinned_single(shard, cpus_of[shard]));
    }
    watch_destroy(pool);
}

/* A pool that sleeps has nobody who looks; the first task wakes the one who does. */
static void a_sleeping_pool_looks_when_it_wakes(void)
{
    struct numapool_config config;
    numapool *pool;

    watch_config(&config);
    config.idle_exit_ns = 1000000; /* asleep two seconds after the last task */
    pool = watch_create(&config);
    await_all_as_planned(pool);
    for (unsigned shard = 0; shard < NODES; shard++) {
        AWAIT(npi_a32_load_sc(&pool->shards[shard]->control_idle) != 0);
    }
    set_cpus("0-3,6");
    set_cpus("0-7");
    for (unsigned shard = 0; shard < NODES; shard++) {
        CHECK(!watch_pinned(shard, cpus_of[shard])); /* as the kernel left it */
    }
    await_all_as_planned(pool);
    watch_destroy(pool);
}

static void a_quota_set_later_is_followed(void)
{
    numapool *pool = watch_create(NULL);

    await_all_as_planned(pool);
    CHECK_EQUAL(cgroup_set(WATCH_GROUP, "cpu.max", "400000 100000"), 0);
    for (unsigned shard = 0; shard < NODES; shard++) {
        AWAIT(keep_busy(pool) && reckons(pool, shard, 1));
    }
    CHECK_EQUAL(cgroup_set(WATCH_GROUP, "cpu.max", "max"), 0);
    await_all_as_planned(pool);
    watch_destroy(pool);
}

static void a_pool_made_in_a_small_set_has_its_nodes_only(void)
{
    numapool *pool;

    set_cpus("2-3,6");
    set_nodes("1,3");
    pool = watch_create(NULL);
    CHECK_EQUAL(numapool_node_count(pool), 2);
    CHECK_EQUAL(numapool_shard_count(pool), 2);
    CHECK_EQUAL(watch_node_of(pool, 0), 1);
    CHECK_EQUAL(watch_node_of(pool, 1), 3);
    AWAIT(watch_pinned(0, "2-3"));
    AWAIT(watch_pinned(1, "6"));
    CHECK_EQUAL(watch_pool(pool).bind_denied, 0);
    CHECK_EQUAL(watch_logged(""), 0);
    watch_destroy(pool);
}

/* ------------------------------------------------------------------------------ memory */

static char *allocate(numapool *pool, int node, size_t bytes)
{
    char *block = numapool_alloc(pool, node, bytes);

    CHECK(block != NULL);
    memset(block, 1, bytes);
    return block;
}

static bool block_is_on(numapool *pool, int node, unsigned os_index)
{
    const size_t bytes = 300000;
    char *block = allocate(pool, node, bytes);
    bool is_there = where_range_is_on(block, bytes, os_index);

    numapool_free(pool, block);
    npi_space_trim(pool->space); /* the next one gets fresh pages */
    return is_there;
}

/* A node that is taken away costs locality and nothing else, and what is asked for later, when it is
   there again, comes from it. */
static void check_nodes_taken_and_given(numapool *pool)
{
    for (unsigned node = 0; node < NODES; node++) {
        CHECK(block_is_on(pool, (int)node, node));
    }
    set_nodes("0,2-3");
    CHECK(block_is_on(pool, 0, 0));
    CHECK(!block_is_on(pool, 1, 1));
    CHECK(block_is_on(pool, 2, 2));
    CHECK(block_is_on(pool, 3, 3));
    keep_busy(pool);
    set_nodes("0-3");
    for (unsigned node = 0; node < NODES; node++) {
        CHECK(block_is_on(pool, (int)node, node));
    }
    watch_destroy(pool);
}

static void preferred_memory_keeps_its_node(void)
{
    check_nodes_taken_and_given(watch_create(NULL));
}

static numapool *create_bound(void)
{
    struct numapool_placement placement;
    struct numapool_config config;

    memset(&placement, 0, sizeof placement);
    placement.memory_policy = NPI_MEMORY_BIND;
    watch_config(&config);
    config.placement = &placement;
    return watch_create(&config);
}

static void bound_memory_keeps_its_node(void)
{
    numapool *pool = create_bound();
    struct where_policy policy;

    for (unsigned shard = 0; shard < NODES; shard++) {
        CHECK_EQUAL(where_policy_of(pool->shards[shard]->pages, &policy), 0);
        CHECK_EQUAL(policy.mode, MPOL_BIND | MPOL_F_STATIC_NODES);
    }
    check_nodes_taken_and_given(pool);
}

static char *placed_pages(enum npi_memory_policy policy, unsigned node, size_t bytes)
{
    char *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(pages != MAP_FAILED);
    CHECK_EQUAL(npi_place_range(pages, bytes, policy, node), 0);
    return pages;
}

/* The same for the system call alone, and for each node that is spared when another one goes. */
static void a_placed_range_is_not_renumbered(void)
{
    const size_t bytes = 8 * (size_t)sysconf(_SC_PAGESIZE);
    static const enum npi_memory_policy policies[] = {NPI_MEMORY_BIND, NPI_MEMORY_PREFER};

    for (unsigned lost = 0; lost < NODES; lost++) {
        static const char *const without[NODES] = {"1-3", "0,2-3", "0-1,3", "0-2"};
        for (unsigned node = 0; node < NODES; node++) {
            char *pages[2];
            for (unsigned i = 0; i < 2; i++) {
                pages[i] = placed_pages(policies[i], node, bytes);
            }
            set_nodes(without[lost]);
            for (unsigned i = 0; i < 2; i++) {
                pages[i][0] = 1;
                CHECK_EQUAL(where_page_node(pages[i]) == (int)node, node != lost);
            }
            set_nodes("0-3");
            for (unsigned i = 0; i < 2; i++) {
                memset(pages[i] + bytes / 2, 1, bytes / 2);
                CHECK(where_range_is_on(pages[i] + bytes / 2, bytes / 2, node));
                munmap(pages[i], bytes);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_GROUP_TEST(pins_follow_a_set_that_shrinks_and_grows),
        WATCH_GROUP_TEST(pins_to_single_cpus_follow_too),
        WATCH_GROUP_TEST(a_sleeping_pool_looks_when_it_wakes),
        WATCH_GROUP_TEST(a_quota_set_later_is_followed),
        WATCH_GROUP_TEST(a_pool_made_in_a_small_set_has_its_nodes_only),
        WATCH_GROUP_TEST(preferred_memory_keeps_its_node),
        WATCH_GROUP_TEST(bound_memory_keeps_its_node),
        WATCH_GROUP_TEST(a_placed_range_is_not_renumbered),
    };
    int status = watch_shape("square");

    return status != 0 ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
