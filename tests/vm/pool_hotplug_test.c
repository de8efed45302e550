/*
 * A pool whose machine loses CPUs and gets them back. The kernel widens the pin of a thread that has
 * lost its last CPU to all there are, and leaves it so; the pool's supervisor has to put it back.
 * Machine with four sockets of two CPUs.
 */
#include "vm/hotplug.h"
#include "vm/watch.h"

#include <sys/syscall.h>
#include <unistd.h>

#define NODES 4

static const char *const cpus_of[NODES] = {"0-1", "2-3", "4-5", "6-7"};

/* CPUs come back even when a test's child was ended by a failed check. */
static int all_cpus_online(void **state)
{
    (void)state;
    for (unsigned cpu = 1; cpu < 8; cpu++) {
        (void)hotplug_cpu(cpu, true); /* refused where it is online already */
    }
    return 0;
}

static void take_off(unsigned cpu)
{
    CHECK_EQUAL(hotplug_cpu(cpu, false), 0);
}

static void put_back(unsigned cpu)
{
    CHECK_EQUAL(hotplug_cpu(cpu, true), 0);
}

/* Tasks that say on which CPU they ran. */
static uint64_t cpus_seen;

static void see_cpu(void *arg)
{
    unsigned cpu = 0;

    (void)arg;
    CHECK_EQUAL(syscall(SYS_getcpu, &cpu, NULL, NULL), 0);
    (void)__atomic_fetch_or(&cpus_seen, UINT64_C(1) << cpu, __ATOMIC_RELAXED);
}

/* Something to do for every shard, so that the control threads are awake. True, for use in a wait. */
static bool keep_busy(numapool *pool)
{
    for (int node = 0; node < NODES; node++) {
        watch_on_node(pool, node, watch_nothing, NULL);
    }
    return true;
}

static void await_as_planned(numapool *pool)
{
    for (unsigned shard = 0; shard < NODES; shard++) {
        AWAIT(keep_busy(pool) && watch_pinned(shard, cpus_of[shard]));
    }
}

/* The CPUs that a node's tasks run on, as far as some dozens of them tell. */
static uint64_t where_tasks_run(numapool *pool, int node)
{
    AWAIT(watch_pool(pool).run == watch_pool(pool).accepted);
    __atomic_store_n(&cpus_seen, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 50; i++) {
        watch_on_node(pool, node, see_cpu, NULL);
    }
    AWAIT(watch_pool(pool).run == watch_pool(pool).accepted);
    return __atomic_load_n(&cpus_seen, __ATOMIC_RELAXED);
}

static void a_shard_goes_on_with_the_cpu_that_is_left(void)
{
    numapool *pool = watch_create(NULL);

    await_as_planned(pool);
    take_off(5);
    AWAIT(keep_busy(pool) && watch_pinned(2, "4"));
    AWAIT(keep_busy(pool) && watch_logged("shard 2: some of its CPUs are not allowed") == 1);
    CHECK_EQUAL(where_tasks_run(pool, 2), 1 << 4);
    put_back(5);
    await_as_planned(pool);
    AWAIT(keep_busy(pool) && watch_logged("shard 2: all of its CPUs are allowed again") == 1);
    CHECK_EQUAL(watch_logged(""), 2);
    watch_destroy(pool);
}

static void a_shard_without_cpus_runs_on_those_of_others(void)
{
    numapool *pool = watch_create(NULL);

    for (unsigned round = 1; round <= 2; round++) {
        await_as_planned(pool);
        take_off(4);
        take_off(5);
        AWAIT(keep_busy(pool) && watch_pinned(2, "0-3,6-7"));
        AWAIT(keep_busy(pool) &&
              watch_logged("shard 2: some of its CPUs are not allowed") == round);
        CHECK_EQUAL(where_tasks_run(pool, 2) & 0x30, 0); /* accepted for that node, and run */
        for (unsigned shard = 0; shard < NODES; shard++) {
            CHECK(shard == 2 || watch_pinned(shard, cpus_of[shard]));
        }
        put_back(4);
        put_back(5);
        await_as_planned(pool);
        CHECK_EQUAL(where_tasks_run(pool, 2) & ~UINT64_C(0x30), 0);
        AWAIT(keep_busy(pool) &&
              watch_logged("shard 2: all of its CPUs are allowed again") == round);
        CHECK_EQUAL(watch_logged(""), 2 * round);
    }
    watch_destroy(pool);
}

/* Nothing that is seen once a second can see this; the workers' pins are wide all the same. */
static void a_cpu_that_was_away_for_a_moment_is_noticed(void)
{
    numapool *pool = watch_create(NULL);

    await_as_planned(pool);
    take_off(4);
    take_off(5);
    put_back(4);
    put_back(5);
    await_as_planned(pool);
    watch_destroy(pool);
}

static void workers_on_one_cpu_each_return_to_it(void)
{
    struct numapool_config config;
    numapool *pool;

    watch_config(&config);
    config.pinning = NUMAPOOL_PIN_CPU;
    pool = watch_create(&config);
    AWAIT(keep_busy(pool) && watch_pinned_single(2, "4-5"));
    for (unsigned cpu = 4; cpu <= 5; cpu++) {
        take_off(cpu); /* the set of the shard keeps one, so the kernel restores it by itself ... */
        put_back(cpu);
        AWAIT(keep_busy(pool) && watch_pinned_single(2, "4-5")); /* ... but not a worker's */
    }
    take_off(5);
    AWAIT(keep_busy(pool) && watch_pinned_single(2, "4"));
    put_back(5);
    AWAIT(keep_busy(pool) && watch_pinned_single(2, "4-5"));
    watch_destroy(pool);
}

/* CPU numbers with a hole, and a node that has memory but no CPU for now. */
static void a_pool_made_meanwhile_has_what_is_there(void)
{
    numapool *pool;

    take_off(3);
    take_off(4);
    take_off(5);
    pool = watch_create(NULL);
    CHECK_EQUAL(numapool_node_count(pool), 3);
    CHECK_EQUAL(numapool_shard_count(pool), 3);
    CHECK_EQUAL(watch_node_of(pool, 0), 0);
    CHECK_EQUAL(watch_node_of(pool, 1), 1);
    CHECK_EQUAL(watch_node_of(pool, 2), 3);
    AWAIT(watch_pinned(0, "0-1"));
    AWAIT(watch_pinned(1, "2"));
    AWAIT(watch_pinned(2, "6-7"));
    /* CPUs that come later are nobody's: a caller on one of them is served all the same. */
    put_back(4);
    CHECK_EQUAL(where_run_on(4), 0);
    CHECK_EQUAL(numapool_submit(pool, watch_nothing, NULL), NUMAPOOL_OK);
    AWAIT(watch_pool(pool).run == 1);
    watch_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST_TEARDOWN(a_shard_goes_on_with_the_cpu_that_is_left, all_cpus_online),
        WATCH_TEST_TEARDOWN(a_shard_without_cpus_runs_on_those_of_others, all_cpus_online),
        WATCH_TEST_TEARDOWN(a_cpu_that_was_away_for_a_moment_is_noticed, all_cpus_online),
        WATCH_TEST_TEARDOWN(workers_on_one_cpu_each_return_to_it, all_cpus_online),
        WATCH_TEST_TEARDOWN(a_pool_made_meanwhile_has_what_is_there, all_cpus_online),
    };
    int status = watch_shape("square");

    return status != 0 ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
