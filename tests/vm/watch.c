/* Watching a pool from outside; see watch.h. */
#include "vm/watch.h"

#include "vm/cgroup.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AWAIT_S 240
#define PAUSE_MS 5
#define THREADS_MAX 512
#define LINES_MAX 64
#define LINE_BYTES 256

void watch_failed(const char *file, int line, const char *condition)
{
    printf("%s:%d: not so: %s\n", file, line, condition);
    fflush(stdout);
    _exit(1);
}

void watch_equal(const char *file, int line, const char *what, uint64_t is, uint64_t expected)
{
    if (is != expected) {
        printf("%s:%d: %s is %lld, expected %lld\n", file, line, what, (long long)is,
               (long long)expected);
        fflush(stdout);
        _exit(1);
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t watch_end_ns(void)
{
    return now_ns() + AWAIT_S * UINT64_C(1000000000);
}

bool watch_pause(uint64_t end_ns)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};

    if (now_ns() >= end_ns) {
        return false;
    }
    nanosleep(&pause, NULL);
    return true;
}

/* ------------------------------------------------------------------------------ one test */

static void run_child(void **state, bool in_group)
{
    void (*test)(void);
    int status = -1;
    pid_t child;

    /* A function pointer does not fit a void * by the standard. */
    memcpy(&test, state, sizeof test);
    if (in_group) {
        assert_int_equal(cgroup_make(WATCH_GROUP), 0);
    }
    fflush(stdout);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (in_group) {
            CHECK_EQUAL(cgroup_enter(WATCH_GROUP, 0), 0);
        }
        test();
        fflush(stdout);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (in_group) {
        assert_int_equal(cgroup_remove(WATCH_GROUP), 0);
    }
    assert_int_equal(status, 0);
}

void watch_in_child(void **state)
{
    run_child(state, false);
}

void watch_in_group(void **state)
{
    run_child(state, true);
}

int watch_shape(const char *shape)
{
    if (where_guest_shape() != NULL && strcmp(where_guest_shape(), shape) == 0) {
        return 0;
    }
    printf("skip: written for the emulated machine of shape %s\n", shape);
    return 77;
}

/* ------------------------------------------------------------------------------- a pool */

static struct {
    pthread_mutex_t lock;
    unsigned count;
    char line[LINES_MAX][LINE_BYTES];
} journal = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep_line(void *arg, int level, const char *line)
{
    (void)arg;
    if (level > NUMAPOOL_LOG_WARNING) {
        return;
    }
    pthread_mutex_lock(&journal.lock);
    if (journal.count < LINES_MAX) {
        snprintf(journal.line[journal.count++], LINE_BYTES, "%s", line);
    }
    pthread_mutex_unlock(&journal.lock);
}

unsigned watch_logged(const char *part)
{
    unsigned count = 0;

    pthread_mutex_lock(&journal.lock);
    for (unsigned i = 0; i < journal.count; i++) {
        count += strstr(journal.line[i], part) != NULL;
    }
    pthread_mutex_unlock(&journal.lock);
    return count;
}

void watch_config(struct numapool_config *config)
{
    numapool_config_init(config);
    config->workers_max = 16;
    config->queue_tasks = 4 * 1024;
    config->queue_delay_ns = NUMAPOOL_OFF;
    config->codel_target_ns = NUMAPOOL_OFF;
    config->memory_bytes = UINT64_C(64) << 20;
    config->log = keep_line;
}

numapool *watch_create(const struct numapool_config *config)
{
    struct numapool_config own;
    struct numapool_error error = {.count = 0};
    numapool *pool = NULL;
    int result;

    if (config == NULL) {
        watch_config(&own);
        config = &own;
    }
    result = numapool_create(&pool, config, &error);
    if (result != NUMAPOOL_OK) {
        printf("numapool_create: %s: %s\n", numapool_strerror(result), error.text);
        watch_failed(__FILE__, __LINE__, "a pool can be made");
    }
    return pool;
}

struct numapool_shard_stats watch_shard(numapool *pool, size_t shard)
{
    struct numapool_shard_stats stats = {.struct_size = sizeof stats};

    CHECK_EQUAL(numapool_shard_stats(pool, shard, &stats), NUMAPOOL_OK);
    return stats;
}

struct numapool_stats watch_pool(numapool *pool)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};

    CHECK_EQUAL(numapool_stats(pool, &stats), NUMAPOOL_OK);
    return stats;
}

void watch_destroy(numapool *pool)
{
    struct numapool_stats all;
    struct numapool_shard_stats sum = {.struct_size = sizeof sum};

    CHECK_EQUAL(numapool_drain(pool, AWAIT_S * UINT64_C(1000000000)), NUMAPOOL_OK);
    all = watch_pool(pool);
    CHECK_EQUAL(all.submitted, all.accepted + all.refused_full + all.refused_shed +
                                   all.refused_deadline + all.refused_bytes + all.refused_other);
    CHECK_EQUAL(all.accepted, all.run + all.dropped);
    CHECK_EQUAL(all.forwarded_in, all.forwarded_out);
    CHECK_EQUAL(all.stolen_in, all.stolen_out);
    CHECK_EQUAL(all.queue_depth, 0);
    for (size_t i = 0; i < numapool_shard_count(pool); i++) {
        struct numapool_shard_stats one = watch_shard(pool, i);
        sum.submitted += one.submitted;
        sum.accepted += one.accepted;
        sum.run += one.run;
        sum.forwarded_in += one.forwarded_in;
        sum.stolen_in += one.stolen_in;
        /* What came to a shard is what it ran, or what others took from it. */
        CHECK_EQUAL(one.accepted + one.forwarded_in + one.stolen_in,
                    one.run + one.dropped + one.forwarded_out + one.stolen_out);
    }
    CHECK_EQUAL(sum.submitted, all.submitted);
    CHECK_EQUAL(sum.accepted, all.accepted);
    CHECK_EQUAL(sum.run, all.run);
    CHECK_EQUAL(sum.forwarded_in, all.forwarded_in);
    CHECK_EQUAL(sum.stolen_in, all.stolen_in);
    CHECK_EQUAL(numapool_destroy(pool), NUMAPOOL_OK);
}

void watch_on_node(numapool *pool, int node, numapool_fn *run, void *arg)
{
    const struct numapool_task task = {
        .run = run, .arg = arg, .node = node, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};

    CHECK_EQUAL(numapool_submit_task(pool, &task), NUMAPOOL_OK);
}

unsigned watch_node_of(numapool *pool, size_t shard)
{
    return (unsigned)watch_shard(pool, shard).node_os_index;
}

/* ------------------------------------------------------------------------------- threads */

struct thread {
    pid_t tid;
    bool worker;
};

/* The threads of a shard that are there just now. Whoever ends meanwhile is left out. */
static size_t list_threads(size_t shard, struct thread *threads, size_t max)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    size_t count = 0;

    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL && count < max) {
        char path[300];
        char name[32];
        char role[32];
        size_t of;

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        if (entry->d_name[0] == '.' || where_read_line(path, name, sizeof name) != 0 ||
            sscanf(name, "np/n%zu/%31s", &of, role) != 2 || of != shard) {
            continue;
        }
        threads[count].tid = (pid_t)atol(entry->d_name);
        threads[count++].worker = role[0] == 'w';
    }
    closedir(dir);
    return count;
}

static bool pinned(size_t shard, const struct where_set *expected, bool single)
{
    struct thread threads[THREADS_MAX];
    size_t count = list_threads(shard, threads, THREADS_MAX);
    size_t workers = 0;

    for (size_t i = 0; i < count; i++) {
        struct where_set allowed;

        if (where_allowed_cpus(threads[i].tid, &allowed) != 0) {
            continue; /* it has ended */
        }
        workers += threads[i].worker;
        if (single && threads[i].worker) {
            bool inside = false;
            for (unsigned cpu = 0; cpu < WHERE_SET_BITS; cpu++) {
                inside |= where_set_has(&allowed, cpu) && where_set_has(expected, cpu);
            }
            if (!inside || where_set_count(&allowed) != 1) {
                return false;
            }
        } else if (!where_set_equal(&allowed, expected)) {
            return false;
        }
    }
    return workers > 0 && count > workers;
}

bool watch_pinned_set(size_t shard, const struct where_set *cpus)
{
    return pinned(shard, cpus, false);
}

bool watch_pinned(size_t shard, const char *cpus)
{
    struct where_set expected;

    CHECK_EQUAL(where_set_parse(&expected, cpus), 0);
    return pinned(shard, &expected, false);
}

bool watch_pinned_single(size_t shard, const char *cpus)
{
    struct where_set expected;

    CHECK_EQUAL(where_set_parse(&expected, cpus), 0);
    return pinned(shard, &expected, true);
}

/* --------------------------------------------------------------------------------- tasks */

void watch_hold_task(void *arg)
{
    struct watch_hold *hold = arg;

    pthread_mutex_lock(&hold->lock);
    hold->begun++;
    hold->inside++;
    if (hold->inside > hold->inside_max) {
        hold->inside_max = hold->inside;
    }
    while (!hold->open) {
        pthread_cond_wait(&hold->changed, &hold->lock);
    }
    hold->inside--;
    pthread_mutex_unlock(&hold->lock);
}

unsigned watch_inside(struct watch_hold *hold)
{
    unsigned inside;

    pthread_mutex_lock(&hold->lock);
    inside = hold->inside;
    pthread_mutex_unlock(&hold->lock);
    return inside;
}

void watch_let_go(struct watch_hold *hold)
{
    pthread_mutex_lock(&hold->lock);
    hold->open = true;
    pthread_cond_broadcast(&hold->changed);
    pthread_mutex_unlock(&hold->lock);
}

void watch_nothing(void *arg)
{
    (void)arg;
}

/* -------------------------------------------------------------------------------- memory */

bool watch_only_on(const void *start, size_t bytes, unsigned node)
{
    struct where_spread spread;

    return where_range_spread(start, bytes, &spread) == 0 && spread.on_node[node] > 0 &&
           spread.on_node[node] + spread.absent == spread.total;
}
