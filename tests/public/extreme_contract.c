/*
 * Pools made of the least and the greatest values there are, in any combination: each is refused
 * cleanly or works, and what it accepted is accounted for.
 */
#include "contract.h"

#define TASKS 200

#define PICK(...)                                                                                  \
    ((const uint64_t[]){                                                                           \
        __VA_ARGS__})[draw(&state) % (sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))]

static uint64_t state;

static const char *pick_machine(void)
{
    static const char *const machines[] = {
        "pack:1 [numa] core:1 pu:1", "pack:1 [numa] core:2 pu:2",  "pack:2 [numa] l3:2 core:2 pu:1",
        "pack:4 [numa] core:1 pu:1", "pack:16 [numa] core:2 pu:1",
    };
    return machines[draw(&state) % (sizeof machines / sizeof machines[0])];
}

static void forget_log(void *arg, int level, const char *line)
{
    (void)arg;
    (void)level;
    (void)line;
}

/* Bounds of the fields are those of numapool.conf; 0 is the default. */
static void pick_config(struct numapool_config *config)
{
    numapool_config_init(config);
    config->machine = pick_machine();
    config->workers_max = (unsigned)PICK(0, 1, 2, 3, 17, 1000, 32768);
    config->workers_min = (unsigned)PICK(0, 0, 1, 2, 40);
    config->queue_tasks = PICK(0, 1, 2, 3, 64, UINT64_C(1) << 26);
    config->queue_delay_ns = PICK(0, 1000, UINT64_C(3600000) * MS, NUMAPOOL_OFF);
    config->memory_bytes = PICK(0, 65536, 1 << 20, UINT64_C(1) << 50);
    config->idle_exit_ns = PICK(0, MS, UINT64_C(86400000) * MS, NUMAPOOL_OFF);
    config->spin_ns = PICK(0, 1, 10 * MS, NUMAPOOL_OFF);
    config->tick_ns = PICK(0, MS, 1000 * MS);
    config->codel_target_ns = PICK(0, 1000, 10000 * MS, NUMAPOOL_OFF);
    config->codel_interval_ns = PICK(0, 100000, 100000 * MS);
    config->watchdog_ns = PICK(0, 10 * MS, NUMAPOOL_OFF);
    config->latency_bias = (double)PICK(0, 10, 500) / 1000.0;
    config->stack_bytes = SANITIZED ? 2 << 20 : (size_t)PICK(0, 32768, 1 << 20, 1 << 30);
    config->shards =
        (int)PICK(NUMAPOOL_PER_NODE, NUMAPOOL_PER_L3, NUMAPOOL_PER_PACKAGE, NUMAPOOL_SINGLE);
    config->pinning = (int)PICK(NUMAPOOL_PIN_SHARD, NUMAPOOL_PIN_CPU, NUMAPOOL_PIN_NONE);
    config->smt = (int)PICK(NUMAPOOL_SMT_ONE, NUMAPOOL_SMT_ALL);
    config->mode = (int)PICK(NUMAPOOL_ADAPTIVE, NUMAPOOL_FIXED);
    config->log = forget_log;
}

static void use_a_little(void *fate)
{
    char *memory = numapool_scratch(100);
    if (memory != NULL) {
        memset(memory, 1, 100);
    }
    numapool_block_begin();
    fate_run(fate);
}

/* True: all it accepted has ended once. */
static bool account(numapool *pool)
{
    static struct fate fates[TASKS];
    memset(fates, 0, sizeof fates);
    bool accepted[TASKS];
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    for (int i = 0; i < TASKS; i++) {
        struct numapool_task task = fate_task(&fates[i]);
        task.run = use_a_little;
        task.task_class = i % NUMAPOOL_CLASSES;
        task.group = i % 2 ? group : NULL;
        task.bytes = (size_t)PICK(0, 0, 1, 70000, UINT64_C(1) << 62);
        task.deadline_ns = PICK(0, 0, 1, now_ns() + MS, UINT64_MAX);
        task.flags = i % 5 == 0 ? NUMAPOOL_DROP_OK : 0;
        int result = numapool_submit_task(pool, &task);
        accepted[i] = result == NUMAPOOL_OK;
        assert_true(accepted[i] || result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED ||
                    result == NUMAPOOL_E_DEADLINE);
    }
    (void)!numapool_submit_wait(pool,
                                &(struct numapool_task){.run = use_a_little, .arg = &fates[0]}, MS);
    void *memory = numapool_alloc(pool, -1, 1000);
    numapool_free(pool, memory);
    bool drained = draw(&state) % 2 == 0;
    if (drained) {
        assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
        struct numapool_stats stats = stats_of(pool);
        assert_int_equal(stats.accepted, stats.run + stats.dropped);
        assert_int_equal(stats.bytes_in_use, 0);
        assert_int_equal(stats.queue_depth, 0);
    }
    unwatch(pool);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    int wrong = 0;
    for (int i = 1; i < TASKS; i++) {
        wrong +=
            atomic_load(&fates[i].run) + atomic_load(&fates[i].dropped) != (accepted[i] ? 1 : 0);
    }
    return wrong == 0;
}

static void any_combination_works_or_is_refused(void **unused)
{
    (void)unused;
    state = seed_of_run();
    int works = 0, refused = 0;
    for (int round = 0; round < TIMES(80, 20); round++) {
        struct numapool_config config;
        pick_config(&config);
        numapool *const untouched = (numapool *)(uintptr_t)0x1234;
        numapool *pool = untouched;
        struct numapool_error error = {.count = 0};
        int result = numapool_create(&pool, &config, &error);
        if (result == NUMAPOOL_OK) {
            watch(pool);
            assert_true(account(pool));
            works++;
            continue;
        }
        refused++;
        assert_ptr_equal(pool, untouched);
        assert_true(error.text[0] != '\0' && error.count >= 1);
        if (config.workers_max != 0 && config.workers_min > config.workers_max) {
            assert_int_equal(result, NUMAPOOL_E_INVALID);
        } else { /* address space or threads for the largest may not be had */
            assert_true(result == NUMAPOOL_E_NOMEM || result == NUMAPOOL_E_SYSTEM);
            assert_true(config.queue_tasks > 64 || config.workers_max > 17 ||
                        config.stack_bytes > 1 << 20 || config.memory_bytes > 1 << 20);
        }
    }
    printf("%d pools worked, %d were refused\n", works, refused);
    assert_true(works > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_combination_works_or_is_refused),
    };
    return RUN(tests);
}
