/* Every public function with nothing, and with arguments that are legal in C and wrong here. */
#include "contract.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void nothing_is_no_pool(void **state)
{
    (void)state;
    struct numapool_task task = {.run = count_run};
    size_t size = 77;
    numapool_group *group = NULL;
    struct numapool_stats stats = {.struct_size = sizeof stats};
    struct numapool_shard_stats shard = {.struct_size = sizeof shard};
    char text[16] = "";
    assert_int_equal(numapool_drain(NULL, 0), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_drain(NULL, FOREVER), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_destroy(NULL), NUMAPOOL_OK);
    assert_int_equal(numapool_set_budget(NULL, 1), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit(NULL, count_run, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_task(NULL, &task), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_wait(NULL, &task, FOREVER), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_batch(NULL, &task, 1, &size), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_retry_after_ns(NULL), 0);
    assert_int_equal(numapool_group_create(&group, NULL), NUMAPOOL_E_INVALID);
    assert_null(group);
    assert_int_equal(numapool_group_wait(NULL, FOREVER), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_group_cancel(NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_group_destroy(NULL), NUMAPOOL_OK);
    assert_null(numapool_alloc(NULL, 0, 1));
    numapool_free(NULL, text);
    numapool_free(NULL, NULL);
    assert_int_equal(numapool_node_of(NULL, text), -1);
    assert_int_equal(numapool_node_count(NULL), 0);
    assert_int_equal(numapool_shard_count(NULL), 0);
    assert_int_equal(numapool_distance(NULL, 0, 0), -1);
    assert_int_equal(numapool_plan_write(NULL, 1), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_stats(NULL, &stats), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_shard_stats(NULL, 0, &shard), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_stats_prometheus(NULL, text, sizeof text, &size), NUMAPOOL_E_INVALID);
    assert_int_equal(size, 77); /* untouched */
    numapool_config_init(NULL);
    numapool_config_fini(NULL);
    assert_int_equal(numapool_config_load(NULL, "/dev/null", NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_config_env(NULL, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_config_dump(NULL, 1), NUMAPOOL_E_INVALID);
}

static void a_pool_and_nothing_else(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(2), .workers_max = 4});
    struct numapool_task task = {.run = NULL};
    size_t accepted = 77;
    assert_int_equal(numapool_submit(pool, NULL, pool), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_task(pool, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_wait(pool, NULL, FOREVER), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_batch(pool, NULL, SIZE_MAX, &accepted), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_batch(pool, &task, 1, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(accepted, 77);
    assert_int_equal(numapool_group_create(NULL, pool), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_stats(pool, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_shard_stats(pool, 0, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_stats_prometheus(pool, NULL, 1, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_stats_prometheus(pool, NULL, SIZE_MAX, &accepted),
                     NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_stats_prometheus(pool, NULL, 0, NULL), NUMAPOOL_OK);
    const size_t shards[] = {2, 3, 64, SIZE_MAX};
    for (size_t i = 0; i < sizeof shards / sizeof shards[0]; i++) {
        struct numapool_shard_stats stats = {.struct_size = sizeof stats};
        assert_int_equal(numapool_shard_stats(pool, shards[i], &stats), NUMAPOOL_E_INVALID);
        assert_int_equal(numapool_distance(pool, shards[i], 0), -1);
        assert_int_equal(numapool_distance(pool, 0, shards[i]), -1);
    }
    const int descriptors[] = {-1, INT_MIN, 1 << 20};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++) {
        int result = numapool_plan_write(pool, descriptors[i]);
        assert_true(result == (descriptors[i] < 0 ? NUMAPOOL_E_INVALID : NUMAPOOL_E_SYSTEM));
    }
    int read_only = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(numapool_plan_write(pool, read_only), NUMAPOOL_E_SYSTEM);
    close(read_only);
    assert_int_equal(stats_of(pool).submitted, 0);
    finish(pool);
}

static void sizes_of_statistics(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 2});
    const size_t bad[] = {0, 1, sizeof(size_t), sizeof(size_t) + 7};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct numapool_stats stats = {.struct_size = bad[i]};
        struct numapool_shard_stats shard = {.struct_size = bad[i]};
        assert_int_equal(numapool_stats(pool, &stats), NUMAPOOL_E_INVALID);
        assert_int_equal(numapool_shard_stats(pool, 0, &shard), NUMAPOOL_E_INVALID);
    }
    /* An older program knows fewer fields: no byte beyond its struct is written. */
    struct numapool_shard_stats stats;
    for (size_t size = sizeof(size_t) + 8; size <= sizeof stats; size += 8) {
        memset(&stats, 0x5a, sizeof stats);
        stats.struct_size = size;
        assert_int_equal(numapool_shard_stats(pool, 0, &stats), NUMAPOOL_OK);
        assert_int_equal(stats.struct_size, size);
        for (size_t at = size; at < sizeof stats; at++) {
            assert_int_equal(((unsigned char *)&stats)[at], 0x5a);
        }
    }
    /* A newer one knows more. */
    struct {
        struct numapool_stats stats;
        uint64_t more[20];
    } newer;
    memset(&newer, 0x5a, sizeof newer);
    newer.stats.struct_size = sizeof newer;
    assert_int_equal(numapool_stats(pool, &newer.stats), NUMAPOOL_OK);
    assert_int_equal(newer.stats.struct_size, sizeof newer);
    assert_int_equal(newer.stats.submitted, 0);
    assert_true(newer.stats.quota > 0);
    finish(pool);
}

/* --------------------------------------------------------------------- memory that is not ours */

static void count_errors(void *arg, int level, const char *line)
{
    (void)line;
    if (level == NUMAPOOL_LOG_ERROR) {
        atomic_fetch_add((atomic_int *)arg, 1);
    }
}

static void strange_memory_is_refused(void **state)
{
    (void)state;
    struct numapool_config config;
    atomic_int errors = 0;
    config_of(&config, &(struct kind){.machine = machine_of(2), .workers_max = 2});
    config.log = count_errors;
    config.log_arg = &errors;
    numapool *pool = make_with(&config);
    numapool *other = make(&(struct kind){.workers_max = 2});
    char here[64];
    char *block = numapool_alloc(pool, 0, 1000);
    void *others = numapool_alloc(other, 0, 1000);
    assert_non_null(block);
    assert_non_null(others);
    uint64_t in_use = stats_of(pool).bytes_in_use;
    void *const strange[] = {
        here,      &config, (void *)(uintptr_t)1, (void *)(uintptr_t)UINTPTR_MAX, block + 16,
        block + 1, others};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        numapool_free(pool, strange[i]);
        assert_int_equal(atomic_load(&errors), i + 1); /* said so, and done nothing */
        assert_int_equal(stats_of(pool).bytes_in_use, in_use);
    }
    numapool_free(pool, block);
    assert_int_equal(stats_of(pool).bytes_in_use, 0);
    numapool_free(other, others);
    finish(other);
    finish(pool);
}

/* ---------------------------------------------------------------- a machine that says no */

/* In a child of its own, since a limit on address space cannot be taken back. */
static void without_memory_or_threads_nothing_is_left(void **state)
{
    (void)state;
    if (SANITIZED) {
        print_message("sanitizers reserve address space themselves\n");
        skip();
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct numapool_config config;
        config_of(&config, &(struct kind){.machine = machine_of(2), .workers_max = 8});
        numapool *pool = NULL;
        if (numapool_create(&pool, &config, NULL) != NUMAPOOL_OK ||
            numapool_destroy(pool) != NUMAPOOL_OK) {
            _exit(10);
        }
        int threads = threads_now(), descriptors = descriptors_now(), failures = 0;
        for (rlim_t megabytes = 16; megabytes < 4096; megabytes += megabytes / 4) {
            const struct rlimit limit = {megabytes << 20, RLIM_INFINITY};
            const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
            numapool *const untouched = (numapool *)(uintptr_t)0x1234;
            struct numapool_error error = {.count = 0};
            pool = untouched;
            (void)setrlimit(RLIMIT_AS, &limit);
            int result = numapool_create(&pool, &config, &error);
            (void)setrlimit(RLIMIT_AS, &none);
            if (result == NUMAPOOL_OK) {
                if (numapool_destroy(pool) != NUMAPOOL_OK) {
                    _exit(11);
                }
                continue;
            }
            failures++;
            if (pool != untouched || (result != NUMAPOOL_E_NOMEM && result != NUMAPOOL_E_SYSTEM)) {
                fprintf(stderr, "%d: %s\n", result, error.text);
                _exit(12);
            }
            if (error.count != 1 || error.sys_errno == 0) {
                fprintf(stderr, "%d, errno %d: %s\n", result, error.sys_errno, error.text);
                _exit(13);
            }
        }
        if (failures == 0) {
            _exit(14);
        }
        EVENTUALLY(threads_now() <= threads);
        _exit(descriptors_now() == descriptors ? 0 : 15);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_no_pool),
        cmocka_unit_test(a_pool_and_nothing_else),
        cmocka_unit_test(sizes_of_statistics),
        cmocka_unit_test(strange_memory_is_refused),
        cmocka_unit_test(without_memory_or_threads_nothing_is_left),
    };
    return RUN(tests);
}
