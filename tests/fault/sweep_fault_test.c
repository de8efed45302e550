/*
 * F1, F2, F3, F9 one by one: a pool's whole life is gone through again and again, and each time one call
 * fails: the first allocation, the second, ... until there was none to fail any more; then that call and all after it. The same for
 * mappings, mbind, threads and futexes. Every life ends well or with an error; either way
 * nothing is held afterwards, no thread, no descriptor, no block of memory, no mapping.
 */
#include "fault/load.h"

#include "vm/where.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#define TASKS 48u

#define PLAIN_SPEED LOAD_CHILDREN /* 0 with the thread sanitizer */

/* Every call; with the thread sanitizer, which makes each life ten times as long, every sixteenth. */
#define STEP (PLAIN_SPEED ? 1u : 16u)

#define SWEEP_FILE NUMAPOOL_TESTS_DIR "/fault/sweep.conf"

static const char *const machines[] = {
    NULL, /* the one it runs on */
    "pack:4 [numa] core:2 pu:1",
    NUMAPOOL_TESTS_DIR "/machines/lopsided.xml",
    SWEEP_FILE,
    "environment", /* which names that file */
};
#define MACHINES (sizeof machines / sizeof machines[0])

struct life {
    atomic_int run, dropped;
    int accepted;
    bool made; /* there was a pool */
};

static int null_fd;

static bool of_memory(int result)
{
    return result == NUMAPOOL_E_NOMEM || result == NUMAPOOL_E_SYSTEM;
}

static void run_some(void *arg)
{
    struct life *life = arg;
    char *scratch = numapool_scratch(3000);
    if (scratch != NULL) {
        scratch[2999] = 1;
    }
    numapool_block_begin();
    (void)sched_yield();
    numapool_block_end();
    atomic_fetch_add(&life->run, 1);
}

static void drop_some(void *arg, int why)
{
    struct life *life = arg;
    MUST(why == NUMAPOOL_E_CLOSED || why == NUMAPOOL_E_SHED);
    atomic_fetch_add(&life->dropped, 1);
}

static void quiet_log(void *arg, int level, const char *line)
{
    (void)arg;
    (void)level;
    MUST(line[0] != '\0');
}

/* Looking: each may be refused for want of memory, and says so. */
static void look(numapool *pool)
{
    static char text[1 << 17];
    size_t needed = 0;
    int result = numapool_stats_prometheus(pool, text, sizeof text, &needed);
    MUST(result == NUMAPOOL_OK || of_memory(result));
    result = numapool_plan_write(pool, null_fd);
    MUST(result == NUMAPOOL_OK || of_memory(result));
    struct numapool_stats stats = {.struct_size = sizeof stats};
    MUST(numapool_stats(pool, &stats) == NUMAPOOL_OK);
    MUST(numapool_node_of(pool, text) >= -1);
}

static void submit_some(numapool *pool, numapool_group *group, struct life *life)
{
    for (unsigned i = 0; i < TASKS; i++) {
        struct numapool_task task = {.run = run_some,
                                     .arg = life,
                                     .drop = drop_some,
                                     .bytes = i % 3 == 0 ? 5000 : 0,
                                     .group = i % 2 == 0 ? group : NULL,
                                     .node = (int)(i % numapool_node_count(pool)),
                                     .flags = NUMAPOOL_ON_NODE};
        inject_forbid_memory(true);
        int result = numapool_submit_wait(pool, &task, FOREVER);
        inject_forbid_memory(false);
        MUST(result == NUMAPOOL_OK);
        life->accepted++;
    }
}

static void use(numapool *pool, struct life *life)
{
    numapool_group *group = NULL;
    int result = numapool_group_create(&group, pool);
    MUST(result == NUMAPOOL_OK ? group != NULL : result == NUMAPOOL_E_NOMEM && group == NULL);
    submit_some(pool, group, life);
    char *memory = numapool_alloc(pool, -1, 70000);
    if (memory != NULL) {
        memory[69999] = 1;
        numapool_free(pool, memory);
    }
    MUST(numapool_set_budget(pool, 4) == NUMAPOOL_OK);
    MUST(numapool_set_budget(pool, 16) == NUMAPOOL_OK); /* grows */
    look(pool);
    submit_some(pool, group, life);
    if (group != NULL) {
        MUST(numapool_group_wait(group, FOREVER) == NUMAPOOL_OK);
        MUST(numapool_group_destroy(group) == NUMAPOOL_OK);
    }
    MUST(numapool_drain(pool, FOREVER) == NUMAPOOL_OK);
}

/* The configuration: of a file, or by hand. False: refused, and unchanged. */
static bool configure(struct numapool_config *config, const char *machine)
{
    struct numapool_error error = {.count = 0};
    numapool_config_init(config);
    config->log = quiet_log;
    config->workers_max = 8;
    config->memory_bytes = UINT64_C(32) << 20;
    config->queue_tasks = 512;
    config->stack_bytes = SANITIZED ? 2 << 20 : 0;
    struct numapool_config before = *config;
    bool by_file = machine != NULL && strcmp(machine, SWEEP_FILE) == 0;
    bool by_environment = machine != NULL && strcmp(machine, "environment") == 0;
    if (!by_file && !by_environment) {
        config->machine = machine;
        return true;
    }
    int result = by_file ? numapool_config_load(config, machine, &error)
                         : numapool_config_env(config, &error);
    if (result != NUMAPOOL_OK) {
        if (!of_memory(result)) {
            (void)fprintf(stderr, "%s: %s\n", numapool_strerror(result), error.text);
        }
        MUST(of_memory(result));
        MUST(memcmp(&before, config, sizeof before) == 0);
        return false;
    }
    result = numapool_config_dump(config, null_fd);
    MUST(result == NUMAPOOL_OK || of_memory(result));
    return true;
}

static void live(const char *machine, struct life *life)
{
    struct numapool_config config;
    if (configure(&config, machine)) {
        struct numapool_error error = {.count = 0};
        numapool *pool = (numapool *)(uintptr_t)64; /* stays on failure */
        int result = numapool_create(&pool, &config, &error);
        if (result == NUMAPOOL_OK) {
            life->made = true;
            load_pool = pool;
            use(pool, life);
            MUST(numapool_destroy(pool) == NUMAPOOL_OK);
        } else {
            if (!of_memory(result) || error.text[0] == '\0') {
                (void)fprintf(stderr, "%s: %s\n", numapool_strerror(result), error.text);
            }
            MUST(of_memory(result));
            MUST(error.text[0] != '\0');
            MUST(pool == (numapool *)(uintptr_t)64);
        }
    }
    numapool_config_fini(&config);
}

static uint64_t lives, failed_lives, tasks_run;

/* One life in which the k-th call fails. False: there was none. */
static bool fail_kth(enum inject_kind kind, const char *machine, uint64_t k, bool for_good)
{
    struct life life = {.accepted = 0};
    int threads = threads_now(), descriptors = descriptors_now();
    inject_watch_begin();
    if (for_good) {
        inject_from_kth(kind, k);
    } else {
        inject_kth(kind, k);
    }
    live(machine, &life);
    bool reached = inject_calls(kind) >= k;
    inject_nothing();
    struct inject_held held = inject_watch_end();
    if (held.blocks != 0 || held.mapped_bytes != 0) {
        (void)fprintf(stderr, "%s %llu of %s: %lld blocks, %lld bytes mapped\n", inject_name(kind),
                      (unsigned long long)k, machine == NULL ? "this machine" : machine,
                      (long long)held.blocks, (long long)held.mapped_bytes);
        inject_print_held();
    }
    MUST(held.blocks == 0 && held.mapped_bytes == 0);
    MUST(atomic_load(&life.run) + atomic_load(&life.dropped) == life.accepted);
    EVENTUALLY(threads_now() <= threads);
    MUST(descriptors_now() == descriptors);
    lives++;
    failed_lives += !life.made;
    tasks_run += (uint64_t)atomic_load(&life.run);
    return reached;
}

static void sweep_by(enum inject_kind kind, bool for_good, size_t machine_count)
{
    for (size_t i = 0; i < machine_count; i++) {
        struct life life = {.accepted = 0};
        live(machines[i], &life); /* what happens once per process has happened */
        MUST(life.made && life.accepted == 2 * TASKS);
        lives = failed_lives = tasks_run = 0;
        uint64_t k = 1;
        while (fail_kth(kind, machines[i], k, for_good)) {
            k += STEP;
        }
        const char *name = machines[i] == NULL ? "this machine" : strrchr(machines[i], '/');
        printf("%s, %llu calls, %s: %llu lives without a pool, %llu tasks run, 0 lost (%s)\n",
               inject_name(kind), (unsigned long long)(k - 1),
               for_good ? "each and all after it" : "each once", (unsigned long long)failed_lives,
               (unsigned long long)tasks_run, name == NULL ? machines[i] : name);
    }
}

static void sweep(enum inject_kind kind)
{
    sweep_by(kind, false, MACHINES);
    if (PLAIN_SPEED) {
        sweep_by(kind, true, MACHINES);
    }
}

static void every_allocation(void **state)
{
    (void)state;
    sweep(INJECT_MEMORY);
}

static void every_mapping(void **state)
{
    (void)state;
    sweep(INJECT_MAP);
}

static void every_binding(void **state)
{
    (void)state;
    sweep(INJECT_BIND);
}

static void every_binding_here(void **state)
{
    (void)state;
    sweep_by(INJECT_BIND, false, 1);
    sweep_by(INJECT_BIND, true, 1);
}

static void every_pin(void **state)
{
    (void)state;
    sweep(INJECT_AFFINITY);
}

static void every_thread(void **state)
{
    (void)state;
    sweep(INJECT_THREAD);
}

/* A pool is made without what others could read it by. */
static void every_share(void **state)
{
    (void)state;
    sweep_by(INJECT_SHARE, false, MACHINES);
    MUST(failed_lives == 0);
    sweep_by(INJECT_SHARE, true, MACHINES);
    MUST(failed_lives == 0);
}

static void every_futex(void **state)
{
    (void)state;
    sweep_by(INJECT_FUTEX, false,
             MACHINES); /* all of them is wait_fault_test's: it makes every wait spin */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation), cmocka_unit_test(every_mapping),
        cmocka_unit_test(every_binding),    cmocka_unit_test(every_pin),
        cmocka_unit_test(every_thread),     cmocka_unit_test(every_share),
        cmocka_unit_test(every_futex),
    };
    MUST(setenv("NUMAPOOL_CONFIG", SWEEP_FILE, 1) == 0);
    MUST(setenv("NUMAPOOL_TICK", "7ms", 1) == 0);
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    MUST(null_fd >= 0);
    if (where_guest_shape() != NULL) { /* what only a machine with several nodes has; it is slow */
        const struct CMUnitTest in_guest[] = {cmocka_unit_test(every_binding_here)};
        return FAULT_RUN(in_guest);
    }
    return FAULT_RUN(tests);
}
