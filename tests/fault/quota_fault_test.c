/*
 * F6: a control group throttles the process to a fifth of a CPU: every thread of it is stopped for
 * most of each period, wherever it is. The pool is built for what the group grants, and follows when
 * that changes. Needs leave to make such a group.
 */
#include "fault/cage.h"
#include "fault/load.h"

#include "flow/pool.h"

static int set_quota(const char *quota)
{
    char text[40];
    if (cage_is_v2()) {
        (void)snprintf(text, sizeof text, "%s 20000", strcmp(quota, "-1") == 0 ? "max" : quota);
        return cage_set("cpu.max", text);
    }
    int error = cage_set("cpu.cfs_period_us", "20000");
    return error != 0 ? error : cage_set("cpu.cfs_quota_us", quota);
}

static double cpus_of(const numapool *pool)
{
    double cpus = 0.0;
    for (unsigned i = 0; i < pool->shard_count; i++) {
        struct npi_shard_view view;
        npi_shard_view_read(pool->shards[i], &view);
        cpus += (double)view.cpus;
    }
    return cpus;
}

static void throttled(void)
{
    MUST(cage_enter() == 0);
    /* For so little the nodes share one shard, which no task can be strict in. */
    load_begin(&(struct load_shape){.mix = LOAD_ALL & ~LOAD_NODE}, load_tasks() / 4);
    MUST(cpus_of(load_pool) <= 1.0);
    load_end();
    load_report("F6", "CPU quota of a fifth of a CPU");
}

static void nothing(void *arg)
{
    (void)arg;
}

/* Submits until the pool counts on as much as is asked for; the time limit of the test ends a failure. */
static void await_cpus(numapool *pool, double least, double most)
{
    while (cpus_of(pool) < least || cpus_of(pool) > most) {
        int code = numapool_submit(pool, nothing, NULL);
        MUST(code == NUMAPOOL_OK || code == NUMAPOOL_E_SHED || code == NUMAPOOL_E_FULL);
        pause_us(1000);
    }
}

/* Both ways, with workers on their CPUs and with workers anywhere. */
static void follow(int pinning)
{
    struct numapool_config config;
    numapool *pool = NULL;
    MUST(cage_enter() == 0);
    numapool_config_init(&config);
    config.pinning = pinning;
    MUST(numapool_create(&pool, &config, NULL) == NUMAPOOL_OK);
    numapool_config_fini(&config);
    double all = cpus_of(pool);
    MUST(set_quota("4000") == 0);
    await_cpus(pool, 0.0, all / 2.0 < 0.5 ? all / 2.0 : 0.5);
    MUST(set_quota("-1") == 0);
    await_cpus(pool, all, all);
    MUST(numapool_destroy(pool) == NUMAPOOL_OK);
}

static void follow_on_cpus(void)
{
    follow(NUMAPOOL_PIN_SHARD);
}

static void follow_anywhere(void)
{
    follow(NUMAPOOL_PIN_NONE);
}

static void a_quota_is_kept(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        assert_true(load_in_child(throttled));
    }
}

static void a_changed_quota_is_followed(void **state)
{
    (void)state;
    assert_int_equal(set_quota("-1"), 0);
    assert_true(load_in_child(follow_on_cpus));
    assert_true(load_in_child(follow_anywhere));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_quota_is_kept),
                                       cmocka_unit_test(a_changed_quota_is_followed)};
    if (!LOAD_CHILDREN) {
        return load_skip("a child with threads", 0);
    }
    int error = cage_make("cpu");
    if (error == 0 && (error = set_quota("4000")) != 0) {
        cage_remove();
    }
    if (error != 0) {
        return load_skip("a control group with the cpu controller", error);
    }
    int status = FAULT_RUN(tests);
    cage_remove();
    return status;
}
