/*
 * A thousand times a CPU goes offline and comes back under load, now and then with the other one of its
 * node: no task is lost or run twice, tasks go on meanwhile, and in the end every thread is where it was
 * planned to be. Machine with four sockets of two CPUs. pool_hotplug_test looks at each step.
 */
#include "vm/hotplug.h"
#include "vm/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TIMES 1000
#define CPUS 8
#define SUBMITTERS 2
#define BURST 40
#define TASKS_MAX 4000000 /* of one submitter: far more than there is time for */

static const char *const cpus_of[CPUS / 2] = {"0-1", "2-3", "4-5", "6-7"};

struct submitter {
    numapool *pool;
    pthread_t thread;
    unsigned char *ran, *accepted; /* by task */
    unsigned count;
    bool stop;
};

static void run(void *ran)
{
    (void)__atomic_add_fetch((unsigned char *)ran, 1, __ATOMIC_RELAXED);
}

static void *submit(void *arg)
{
    struct submitter *submitter = arg;
    const struct timespec pause = {.tv_nsec = 4000000};

    while (!__atomic_load_n(&submitter->stop, __ATOMIC_RELAXED)) {
        for (int i = 0; i < BURST && submitter->count < TASKS_MAX; i++) {
            unsigned id = submitter->count++;
            struct numapool_task task = {.run = run, .arg = &submitter->ran[id]};
            if (id % 2 == 0) {
                task.node = (int)(id / 2 % (CPUS / 2));
                task.flags = NUMAPOOL_ON_NODE | (id % 4 == 0 ? NUMAPOOL_STRICT_NODE : 0u);
            }
            submitter->accepted[id] = numapool_submit_task(submitter->pool, &task) == NUMAPOOL_OK;
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void replug(numapool *pool, unsigned turn)
{
    unsigned cpu = 1 + turn % (CPUS - 1); /* the first one cannot go */
    unsigned other = cpu ^ 1u;
    bool both = other != 0 && turn % 5 == 0;
    uint64_t before;

    CHECK_EQUAL(hotplug_cpu(cpu, false), 0);
    if (both) {
        CHECK_EQUAL(hotplug_cpu(other, false), 0);
    }
    before = watch_shard(pool, cpu / 2).run;
    AWAIT(watch_shard(pool, cpu / 2).run > before);
    if (both) {
        CHECK_EQUAL(hotplug_cpu(other, true), 0);
    }
    CHECK_EQUAL(hotplug_cpu(cpu, true), 0);
}

static void no_task_is_lost(void)
{
    static struct submitter submitters[SUBMITTERS];
    numapool *pool = watch_create(NULL);
    uint64_t accepted = 0;
    uint64_t tasks = 0;

    for (int i = 0; i < SUBMITTERS; i++) {
        struct submitter *submitter = &submitters[i];
        submitter->pool = pool;
        submitter->ran = calloc(TASKS_MAX, 1);
        submitter->accepted = calloc(TASKS_MAX, 1);
        CHECK(submitter->ran != NULL && submitter->accepted != NULL);
        CHECK_EQUAL(pthread_create(&submitter->thread, NULL, submit, submitter), 0);
    }
    for (unsigned turn = 0; turn < TIMES; turn++) {
        replug(pool, turn);
    }
    /* With the load still on: the control threads are awake. */
    for (unsigned node = 0; node < CPUS / 2; node++) {
        AWAIT(watch_pinned(node, cpus_of[node]));
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        __atomic_store_n(&submitters[i].stop, true, __ATOMIC_RELAXED);
        CHECK_EQUAL(pthread_join(submitters[i].thread, NULL), 0);
        CHECK(submitters[i].count < TASKS_MAX);
    }
    AWAIT(watch_pool(pool).run == watch_pool(pool).accepted);
    for (int i = 0; i < SUBMITTERS; i++) {
        for (unsigned id = 0; id < submitters[i].count; id++) {
            CHECK_EQUAL(submitters[i].ran[id], submitters[i].accepted[id]);
            accepted += submitters[i].accepted[id];
        }
        tasks += submitters[i].count;
        free(submitters[i].ran);
        free(submitters[i].accepted);
    }
    CHECK_EQUAL(watch_pool(pool).submitted, tasks);
    CHECK_EQUAL(watch_pool(pool).run, accepted);
    printf("%d times a CPU went offline and came back: %llu tasks, %llu accepted, each run once\n",
           TIMES, (unsigned long long)tasks, (unsigned long long)accepted);
    watch_destroy(pool);
}

static int all_cpus_online(void **state)
{
    (void)state;
    for (unsigned cpu = 1; cpu < CPUS; cpu++) {
        (void)hotplug_cpu(cpu, true); /* refused where it is online already */
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {WATCH_TEST_TEARDOWN(no_task_is_lost, all_cpus_online)};
    int status = watch_shape("square");

    return status != 0 ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
