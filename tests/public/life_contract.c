/* Creating pools: what is accepted, what is refused with which words, and that nothing is left over. */
#include "contract.h"

#include <sched.h>
#include <unistd.h>

static void create_needs_a_place_for_the_pool(void **state)
{
    (void)state;
    struct numapool_error error = {.count = 0};
    assert_int_equal(numapool_create(NULL, NULL, &error), NUMAPOOL_E_INVALID);
    assert_true(strlen(error.text) > 0);
    assert_int_equal(numapool_create(NULL, NULL, NULL), NUMAPOOL_E_INVALID);
}

static void use(numapool *pool)
{
    atomic_int ran = 0;
    for (int i = 0; i < 100; i++) {
        /* To wait: by default a worker that stood still makes a queue too long. */
        struct numapool_task task = {.run = count_run, .arg = &ran};
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
    assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
    assert_int_equal(atomic_load(&ran), 100);
}

static void create_takes_defaults(void **state)
{
    (void)state;
    numapool *pool = NULL;
    assert_int_equal(numapool_create(&pool, NULL, NULL), NUMAPOOL_OK);
    watch(pool);
    use(pool);
    finish(pool);

    struct numapool_config config;
    numapool_config_init(&config);
    pool = make_with(&config);
    assert_true(stats_of(pool).quota >= 1);
    use(pool);
    finish(pool);
    numapool_config_fini(&config);
}

static void create_copies_the_config(void **state)
{
    (void)state;
    char machine[64], name[5] = "copy";
    strcpy(machine, machine_of(2));
    struct numapool_config config;
    config_of(&config, &(struct kind){.workers_max = 4});
    config.machine = machine;
    config.name = name;
    numapool *pool = make_with(&config);
    memset(machine, 'x', sizeof machine);
    memset(name, 'x', sizeof name);
    memset(&config, 0xff, sizeof config);
    EVENTUALLY(threads_named("copy/n") >= 2);
    use(pool);
    finish(pool);
}

struct placed {
    int wanted;
    atomic_int right;
};

static void note_node(void *arg)
{
    struct placed *placed = arg;
    if (numapool_current_node() == placed->wanted) {
        atomic_fetch_add(&placed->right, 1);
    }
}

static void machine_texts_give_their_nodes(void **state)
{
    (void)state;
    const unsigned counts[] = {1, 2, 4, 16};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        unsigned nodes = counts[c];
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes), .workers_max = 64});
        assert_int_equal(numapool_node_count(pool), nodes);
        assert_int_equal(numapool_shard_count(pool), nodes);
        struct placed placed[16];
        for (unsigned i = 0; i < nodes; i++) {
            placed[i].wanted = (int)i;
            atomic_init(&placed[i].right, 0);
            struct numapool_task task = {.run = note_node,
                                         .arg = &placed[i],
                                         .node = (int)i,
                                         .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
            for (int n = 0; n < 10; n++) {
                assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
            }
            assert_int_equal(shard_stats_of(pool, i).node, i);
            assert_int_equal(numapool_distance(pool, i, i), 10);
            for (unsigned j = 0; j < nodes; j++) {
                int there = numapool_distance(pool, i, j);
                assert_true(i == j || there > 10);
                assert_int_equal(there, numapool_distance(pool, j, i));
            }
        }
        finish(pool);
        for (unsigned i = 0; i < nodes; i++) {
            assert_int_equal(atomic_load(&placed[i].right), 10);
        }
    }
}

static void fewer_workers_than_shards_merge_them(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(4), .workers_max = 2});
    assert_int_equal(numapool_node_count(pool), 4);
    size_t shards = numapool_shard_count(pool);
    assert_true(shards == 1 || shards == 2);
    use(pool);
    finish(pool);
}

static void one_shard_may_span_nodes(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config, &(struct kind){.machine = machine_of(4), .workers_max = 8});
    config.shards = NUMAPOOL_SINGLE;
    numapool *pool = make_with(&config);
    assert_int_equal(numapool_node_count(pool), 4);
    assert_int_equal(numapool_shard_count(pool), 1);
    atomic_int ran = 0;
    struct numapool_task task = {.run = count_run, .arg = &ran, .flags = NUMAPOOL_STRICT_NODE};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_INVALID);
    use(pool);
    finish(pool);
}

/* ------------------------------------------------------------------------- refused configs */

struct mistake {
    const char *field;
    void (*make)(struct numapool_config *config);
};

#define MISTAKE(name, field, value)                                                                \
    static void name(struct numapool_config *config)                                               \
    {                                                                                              \
        config->field = value;                                                                     \
    }

MISTAKE(too_many_workers, workers_max, 1u << 30)
MISTAKE(too_many_kept, workers_min, 1u << 30)
MISTAKE(too_long_queue, queue_tasks, UINT64_C(1) << 40)
MISTAKE(endless_queue, queue_tasks, UINT64_MAX)
MISTAKE(too_long_delay, queue_delay_ns, UINT64_MAX - 1)
MISTAKE(too_little_memory, memory_bytes, 1)
MISTAKE(too_short_exit, idle_exit_ns, 1)
MISTAKE(too_long_spin, spin_ns, UINT64_C(1000000000))
MISTAKE(too_short_tick, tick_ns, 999999)
MISTAKE(too_long_tick, tick_ns, UINT64_C(1000000001))
MISTAKE(too_small_bias, latency_bias, 0.001)
MISTAKE(too_large_bias, latency_bias, 0.6)
MISTAKE(negative_bias, latency_bias, -0.1)
MISTAKE(too_short_target, codel_target_ns, 1)
MISTAKE(too_short_interval, codel_interval_ns, 1)
MISTAKE(too_short_watchdog, watchdog_ns, 1)
MISTAKE(unknown_shards, shards, 4)
MISTAKE(negative_shards, shards, -1)
MISTAKE(unknown_pinning, pinning, 3)
MISTAKE(unknown_smt, smt, 2)
MISTAKE(unknown_mode, mode, 2)
MISTAKE(unknown_page, stats_page, 2)
MISTAKE(negative_page, stats_page, -1)
MISTAKE(long_name, name, "abcde")
MISTAKE(spaced_name, name, "a b")
MISTAKE(small_stack, stack_bytes, 1)
MISTAKE(bad_machine, machine, "this is no machine")
MISTAKE(no_such_file, machine, "/no/such/machine.xml")

static const struct mistake mistakes[] = {
    {"workers_max", too_many_workers},
    {"workers_min", too_many_kept},
    {"queue_tasks", too_long_queue},
    {"queue_tasks", endless_queue},
    {"queue_delay_ns", too_long_delay},
    {"memory_bytes", too_little_memory},
    {"idle_exit_ns", too_short_exit},
    {"spin_ns", too_long_spin},
    {"tick_ns", too_short_tick},
    {"tick_ns", too_long_tick},
    {"latency_bias", too_small_bias},
    {"latency_bias", too_large_bias},
    {"latency_bias", negative_bias},
    {"codel_target_ns", too_short_target},
    {"codel_interval_ns", too_short_interval},
    {"watchdog_ns", too_short_watchdog},
    {"shards", unknown_shards},
    {"shards", negative_shards},
    {"pinning", unknown_pinning},
    {"smt", unknown_smt},
    {"mode", unknown_mode},
    {"stats_page", unknown_page},
    {"stats_page", negative_page},
    {"name", long_name},
    {"name", spaced_name},
    {"stack_bytes", small_stack},
    {"machine", bad_machine},
    {"machine", no_such_file},
};

static void fields_out_of_range_are_refused(void **state)
{
    (void)state;
    numapool *const untouched = (numapool *)(uintptr_t)0x1234;
    int threads = threads_now(), descriptors = descriptors_now();
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct numapool_config config;
        config_of(&config, &(struct kind){.workers_max = 2});
        mistakes[i].make(&config);
        struct numapool_error error = {.count = 0};
        numapool *pool = untouched;
        int result = numapool_create(&pool, &config, &error);
        if (result != NUMAPOOL_E_CONFIG) {
            fail_msg("%s: %d, not E_CONFIG", mistakes[i].field, result);
        }
        assert_ptr_equal(pool, untouched);
        assert_true(error.count >= 1);
        if (strstr(error.text, mistakes[i].field) == NULL) {
            fail_msg("%s is not named in: %s", mistakes[i].field, error.text);
        }
        assert_int_equal(numapool_create(&pool, &config, NULL), NUMAPOOL_E_CONFIG);
        assert_ptr_equal(pool, untouched);
    }
    EVENTUALLY(threads_now() <= threads);
    assert_int_equal(descriptors_now(), descriptors);
}

static void all_mistakes_are_collected(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config, &(struct kind){.workers_max = 2});
    too_short_tick(&config);
    unknown_mode(&config);
    too_large_bias(&config);
    struct numapool_error error = {.count = 0};
    numapool *pool = NULL;
    assert_int_equal(numapool_create(&pool, &config, &error), NUMAPOOL_E_CONFIG);
    assert_int_equal(error.count, 3);
    assert_non_null(strstr(error.text, "tick_ns"));
    assert_non_null(strstr(error.text, "mode"));
    assert_non_null(strstr(error.text, "latency_bias"));
}

static void more_kept_than_allowed_is_a_mistake(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config, &(struct kind){.workers_max = 4});
    config.workers_min = 5;
    numapool *pool = NULL;
    assert_int_equal(numapool_create(&pool, &config, NULL), NUMAPOOL_E_INVALID);
    assert_null(pool);
    /* A derived default is clamped instead. */
    config.workers_min = 0;
    config.workers_max = 1;
    pool = make_with(&config);
    finish(pool);
}

static void sizes_nobody_knows_are_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {0,
                            1,
                            sizeof(size_t),
                            offsetof(struct numapool_config, queue_tasks),
                            offsetof(struct numapool_config, placement),
                            sizeof(struct numapool_config) + 1000000,
                            SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct numapool_config config;
        config_of(&config, &(struct kind){.workers_max = 2});
        config.struct_size = sizes[i];
        numapool *pool = NULL;
        struct numapool_error error = {.count = 0};
        assert_int_equal(numapool_create(&pool, &config, &error), NUMAPOOL_E_INVALID);
        assert_null(pool);
        assert_int_equal(error.count, 1);
    }
}

static void older_and_newer_configs_are_read(void **state)
{
    (void)state;
    struct {
        struct numapool_config config;
        char added[256];
    } newer;
    memset(&newer, 0, sizeof newer);
    config_of(&newer.config, &(struct kind){.machine = machine_of(2), .workers_max = 2});
    newer.config.struct_size = sizeof newer;
    numapool *pool = make_with(&newer.config);
    assert_int_equal(numapool_shard_count(pool), 2);
    finish(pool);

    newer.config.struct_size = offsetof(struct numapool_config, watchdog_ns);
    newer.config.watchdog_ns = 1; /* garbage to a program that does not know the field */
    memset(newer.config.reserved, 0xff, sizeof newer.config.reserved);
    pool = make_with(&newer.config);
    assert_int_equal(numapool_shard_count(pool), 2);
    finish(pool);
}

/* ----------------------------------------------------------------------- nothing left over */

static void make_and_end(unsigned nodes)
{
    numapool *pool = make(&(struct kind){.machine = machine_of(nodes), .workers_max = 8});
    atomic_int ran = 0;
    for (int i = 0; i < 20; i++) {
        struct numapool_task task = {.run = count_run, .arg = &ran, .bytes = 100};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    assert_non_null(numapool_alloc(pool, 0, 1000)); /* destroy frees it */
    unwatch(pool);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

static void two_hundred_lives_leave_nothing(void **state)
{
    (void)state;
    const unsigned kinds[] = {1, 2, 4, 1, 2, 16, 1, 2, 4, 2};
    const int rounds = TIMES(20, 10);
    for (size_t k = 0; k < 10; k++) { /* what is made once per process is made here */
        make_and_end(kinds[k]);
    }
    int threads = threads_now(), descriptors = descriptors_now(), maps = maps_now();
    for (int i = 0; i < rounds; i++) {
        for (size_t k = 0; k < 10; k++) {
            make_and_end(kinds[k]);
        }
    }
    EVENTUALLY(threads_now() <= threads);
    assert_int_equal(descriptors_now(), descriptors);
    /* The C library and sanitizers keep some; one map per life would be many times as many. */
    int grown = maps_now() - maps;
    if (grown >= TIMES(rounds, 5 * rounds)) {
        fail_msg("%d lives left %d memory maps", rounds * 10, grown);
    }
}

static void idle_threads_end_down_to_the_kept(void **state)
{
    (void)state;
    for (unsigned kept = 2; kept <= 5; kept++) {
        struct numapool_config config;
        struct blocker blocker = BLOCKER;
        config_of(
            &config,
            &(struct kind){.machine = machine_of(2), .workers_max = 12, .mode = NUMAPOOL_FIXED});
        config.workers_min = kept;
        config.idle_exit_ns = MS;
        numapool *pool = make_with(&config);
        for (int round = 0; round < 5; round++) {
            door_shut(&blocker.door);
            for (int i = 0; i < 12; i++) {
                struct numapool_task task = {.run = block,
                                             .arg = &blocker,
                                             .node = i % 2,
                                             .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
                assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
            }
            EVENTUALLY(atomic_load(&blocker.inside) == 12);
            assert_true(stats_of(pool).workers >= 12);
            door_open(&blocker.door);
            EVENTUALLY(stats_of(pool).workers == kept);
            EVENTUALLY(workers_named("np") == (int)kept);
        }
        struct numapool_stats stats = stats_of(pool);
        assert_int_equal(stats.threads_started - stats.threads_exited, kept);
        finish(pool);
    }
}

static void pools_live_side_by_side(void **state)
{
    (void)state;
    numapool *pools[4];
    for (unsigned i = 0; i < 4; i++) {
        pools[i] = make(&(struct kind){.machine = machine_of(1 + (i & 1)), .workers_max = 4});
    }
    for (unsigned i = 0; i < 4; i++) {
        use(pools[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        finish(pools[3 - i]);
    }
}

static void destroy_takes_null(void **state)
{
    (void)state;
    assert_int_equal(numapool_destroy(NULL), NUMAPOOL_OK);
}

static void the_callers_affinity_is_left_alone(void **state)
{
    (void)state;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    const int pinnings[] = {NUMAPOOL_PIN_SHARD, NUMAPOOL_PIN_CPU, NUMAPOOL_PIN_NONE};
    for (size_t i = 0; i < 3; i++) {
        struct numapool_config config;
        numapool_config_init(&config);
        config.pinning = pinnings[i];
        numapool *pool = make_with(&config);
        use(pool);
        assert_non_null(numapool_alloc(pool, -1, 100));
        finish(pool);
        assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
        assert_true(CPU_EQUAL(&before, &after));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_needs_a_place_for_the_pool),
        cmocka_unit_test(create_takes_defaults),
        cmocka_unit_test(create_copies_the_config),
        cmocka_unit_test(machine_texts_give_their_nodes),
        cmocka_unit_test(fewer_workers_than_shards_merge_them),
        cmocka_unit_test(one_shard_may_span_nodes),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(all_mistakes_are_collected),
        cmocka_unit_test(more_kept_than_allowed_is_a_mistake),
        cmocka_unit_test(sizes_nobody_knows_are_refused),
        cmocka_unit_test(older_and_newer_configs_are_read),
        cmocka_unit_test(two_hundred_lives_leave_nothing),
        cmocka_unit_test(idle_threads_end_down_to_the_kept),
        cmocka_unit_test(pools_live_side_by_side),
        cmocka_unit_test(destroy_takes_null),
        cmocka_unit_test(the_callers_affinity_is_left_alone),
    };
    return RUN(tests);
}
