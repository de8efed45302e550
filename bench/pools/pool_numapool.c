/* numapool as a program gets it that sets nothing; and with long spinning. */
#include "pools/pool.h"

#include <numapool/numapool.h>

#include <stdio.h>

static char why_text[160];

static void *create_with(uint64_t spin_ns, const char **why)
{
    struct numapool_config config;
    struct numapool_error error = {0};
    numapool *pool = NULL;
    numapool_config_init(&config);
    config.spin_ns = spin_ns;
    if (numapool_create(&pool, &config, &error) != NUMAPOOL_OK) {
        (void)snprintf(why_text, sizeof why_text, "%.150s", error.text);
        *why = why_text;
    }
    numapool_config_fini(&config);
    return pool;
}

static void *create(unsigned workers, const char **why)
{
    (void)workers;
    return create_with(0, why);
}

/* Workers may spin for 10 ms before they sleep. */
static void *create_spinning(unsigned workers, const char **why)
{
    (void)workers;
    return create_with(UINT64_C(10000000), why);
}

static void destroy(void *pool)
{
    (void)numapool_destroy(pool);
}

void pool_numapool_end(struct bench_run *run, void *pool)
{
    int result = numapool_drain(pool, UINT64_MAX);
    if (result != NUMAPOOL_OK) {
        bench_not_measured(run, "it could not be drained: %s", numapool_strerror(result));
    }
    destroy(pool);
}

static bool submit(void *pool, pool_fn *run, void *arg)
{
    return numapool_submit(pool, run, arg) == NUMAPOOL_OK;
}

static size_t submit_batch(void *pool, pool_fn *run, void *arg, size_t count)
{
    struct numapool_task tasks[64];
    size_t accepted = 0;
    count = count < 64 ? count : 64;
    for (size_t i = 0; i < count; i++) {
        tasks[i] = (struct numapool_task){.run = run, .arg = arg};
    }
    return numapool_submit_batch(pool, tasks, count, &accepted) != NUMAPOOL_E_INVALID ? accepted
                                                                                      : 0;
}

static int submit_and_join(void *pool, pool_fn *run, void *arg, int count)
{
    struct numapool_task task = {.run = run, .arg = arg};
    int result = numapool_group_create(&task.group, pool);
    int called = 0;
    for (int i = 0; i < count; i++) {
        if (numapool_submit_task(pool, &task) != NUMAPOOL_OK) {
            called++;
            run(arg);
        }
    }
    result = result == NUMAPOOL_OK ? numapool_group_wait(task.group, UINT64_MAX) : result;
    (void)numapool_group_destroy(task.group);
    /* No replacement is left: the tasks run all the same, only nobody waits for them here. */
    return result == NUMAPOOL_OK || result == NUMAPOOL_E_DEADLOCK ? called : -1;
}

const struct pool_kind pool_numapool = {
    .name = "numapool",
    .create = create,
    .destroy = destroy,
    .submit = submit,
    .submit_batch = submit_batch,
    .submit_and_join = submit_and_join,
    .bounded = true,
};

const struct pool_kind pool_numapool_spin = {
    .name = "numapool-spin",
    .create = create_spinning,
    .destroy = destroy,
    .submit = submit,
    .submit_batch = submit_batch,
    .submit_and_join = submit_and_join,
    .bounded = true,
    .spins = true,
};
