/* See contract.h. */
#include "contract.h"

#include <dirent.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

/* A test program takes seconds; one that takes this long waits for something that never comes. */
#define WATCHDOG_SECONDS 500

#define WATCHED_MAX 8

static atomic_int failed_checks;
static uint64_t random_state;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t done_changed;
    bool done;
    numapool *pools[WATCHED_MAX];
    const char *file, *what;
    int line;
} watchdog = {.lock = PTHREAD_MUTEX_INITIALIZER, .done_changed = PTHREAD_COND_INITIALIZER};

void check_failed(const char *file, int line, const char *what)
{
    if (atomic_fetch_add(&failed_checks, 1) < 20) {
        fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
    }
}

/* ------------------------------------------------------------------------------ watchdog */

static void print_shard(numapool *pool, size_t index)
{
    struct numapool_shard_stats stats = {.struct_size = sizeof stats};
    if (numapool_shard_stats(pool, index, &stats) != NUMAPOOL_OK) {
        return;
    }
    fprintf(stderr, "  shard %zu:", index);
#define PRINT(name, kind, text) fprintf(stderr, " %s=%llu", #name, (unsigned long long)stats.name);
    NUMAPOOL_STATS_FIELDS(PRINT)
#undef PRINT
    fprintf(stderr, "\n");
}

static void *watch_dog(void *arg)
{
    (void)arg;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WATCHDOG_SECONDS;
    pthread_mutex_lock(&watchdog.lock);
    int error = 0;
    while (!watchdog.done && error != ETIMEDOUT) {
        error =
            pthread_cond_clockwait(&watchdog.done_changed, &watchdog.lock, CLOCK_MONOTONIC, &until);
    }
    if (!watchdog.done) {
        fprintf(stderr, "watchdog: nothing moves");
        if (watchdog.what != NULL) {
            fprintf(stderr, "; waiting at %s:%d for %s", watchdog.file, watchdog.line,
                    watchdog.what);
        }
        fprintf(stderr, "\n");
        for (int i = 0; i < WATCHED_MAX; i++) {
            for (size_t s = 0; s < numapool_shard_count(watchdog.pools[i]); s++) {
                print_shard(watchdog.pools[i], s);
            }
        }
        fflush(stderr);
        abort();
    }
    pthread_mutex_unlock(&watchdog.lock);
    return NULL;
}

void waiting_for(const char *file, int line, const char *what)
{
    pthread_mutex_lock(&watchdog.lock);
    watchdog.file = file;
    watchdog.line = line;
    watchdog.what = what;
    pthread_mutex_unlock(&watchdog.lock);
}

static void replace_watched(numapool *old, numapool *new)
{
    pthread_mutex_lock(&watchdog.lock);
    for (int i = 0; i < WATCHED_MAX; i++) {
        if (watchdog.pools[i] == old) {
            watchdog.pools[i] = new;
            break;
        }
    }
    pthread_mutex_unlock(&watchdog.lock);
}

void watch(numapool *pool)
{
    replace_watched(NULL, pool);
}

void unwatch(numapool *pool)
{
    replace_watched(pool, NULL);
}

static void clear_environment(void)
{
    for (char **variable = environ; *variable != NULL;) {
        char name[64];
        size_t length = strcspn(*variable, "=");
        if (strncmp(*variable, "NUMAPOOL_", 9) != 0 || length >= sizeof name) {
            variable++;
            continue;
        }
        memcpy(name, *variable, length);
        name[length] = '\0';
        unsetenv(name);
    }
}

int contract_run(const struct CMUnitTest *tests, size_t count, const char *name)
{
    /* The tests say what a pool is like, not the environment they happen to run in; and the library
       takes an unknown variable of ours, the seed, for a mistake. */
    const char *seed = getenv("NUMAPOOL_TEST_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 0) : now_ns();
    printf("NUMAPOOL_TEST_SEED=%llu\n", (unsigned long long)random_state);
    clear_environment();
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_t dog;
    if (pthread_create(&dog, NULL, watch_dog, NULL) != 0) {
        return 1;
    }
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    pthread_mutex_lock(&watchdog.lock);
    watchdog.done = true;
    pthread_cond_signal(&watchdog.done_changed);
    pthread_mutex_unlock(&watchdog.lock);
    pthread_join(dog, NULL);
    int checks = atomic_load(&failed_checks);
    if (checks != 0) {
        fprintf(stderr, "%d checks failed\n", checks);
    }
    return failed != 0 || checks != 0;
}

uint64_t seed_of_run(void)
{
    return random_state;
}

uint32_t draw(uint64_t *state)
{
    /* splitmix64, the upper half */
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((x ^ x >> 31) >> 32);
}

/* ------------------------------------------------------------------------------- waiting */

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void rest(void)
{
    struct timespec pause = {0, 500000};
    nanosleep(&pause, NULL);
}

static void door_set(struct door *door, bool open)
{
    pthread_mutex_lock(&door->lock);
    door->open = open;
    pthread_cond_broadcast(&door->opened);
    pthread_mutex_unlock(&door->lock);
}

void door_open(struct door *door)
{
    door_set(door, true);
}

void door_shut(struct door *door)
{
    door_set(door, false);
}

void door_wait(struct door *door)
{
    pthread_mutex_lock(&door->lock);
    while (!door->open) {
        pthread_cond_wait(&door->opened, &door->lock);
    }
    pthread_mutex_unlock(&door->lock);
}

/* --------------------------------------------------------------------------------- tasks */

void block(void *arg)
{
    struct blocker *blocker = arg;
    atomic_fetch_add(&blocker->inside, 1);
    door_wait(&blocker->door);
    atomic_fetch_sub(&blocker->inside, 1);
    atomic_fetch_add(&blocker->left, 1);
}

void block_workers(numapool *pool, struct blocker *blocker, int count)
{
    for (int i = 0; i < count; i++) {
        struct numapool_task task = {.run = block, .arg = blocker, .task_class = NUMAPOOL_CRITICAL};
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
    EVENTUALLY(atomic_load(&blocker->inside) == count);
}

void count_run(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

void fate_run(void *arg)
{
    struct fate *fate = arg;
    atomic_fetch_add(&fate->run, 1);
}

void fate_drop(void *arg, int why)
{
    struct fate *fate = arg;
    atomic_store(&fate->why, why);
    atomic_fetch_add(&fate->dropped, 1);
}

struct numapool_task fate_task(struct fate *fate)
{
    return (struct numapool_task){.run = fate_run, .arg = fate, .drop = fate_drop};
}

/* --------------------------------------------------------------------------------- pools */

const char *machine_of(unsigned nodes)
{
    switch (nodes) {
    case 1:
        return "pack:1 [numa] core:2 pu:1";
    case 2:
        return "pack:2 [numa] core:2 pu:1";
    case 4:
        return "pack:4 [numa] core:2 pu:1";
    case 8:
        return "pack:8 [numa] core:2 pu:1";
    default:
        assert_int_equal(nodes, 16);
        return "pack:16 [numa] core:2 pu:1";
    }
}

static void collect_log(void *arg, int level, const char *line)
{
    (void)arg;
    if (level <= NUMAPOOL_LOG_ERROR) {
        check_failed("log", 0, line);
    }
}

void config_of(struct numapool_config *config, const struct kind *kind)
{
    numapool_config_init(config);
    config->machine = kind->machine != NULL ? kind->machine : machine_of(1);
    config->workers_max = kind->workers_max;
    config->queue_tasks = kind->queue_tasks;
    config->memory_bytes = kind->memory_bytes != 0 ? kind->memory_bytes : UINT64_C(64) << 20;
    config->mode = kind->mode;
    /* Nothing is refused because of time unless a test is about that: how long a task takes, and so
       how long others would wait, is the machine's affair. */
    config->queue_delay_ns = NUMAPOOL_OFF;
    config->codel_target_ns = NUMAPOOL_OFF;
    config->stack_bytes =
        SANITIZED ? 2 << 20 : 0; /* their frames and thread-local data are large */
    config->log = collect_log;
}

numapool *make_with(const struct numapool_config *config)
{
    numapool *pool = NULL;
    struct numapool_error error = {.count = 0};
    int result = numapool_create(&pool, config, &error);
    if (result != NUMAPOOL_OK) {
        fail_msg("numapool_create: %s: %s", numapool_strerror(result), error.text);
    }
    watch(pool);
    return pool;
}

numapool *make(const struct kind *kind)
{
    struct numapool_config config;
    config_of(&config, kind);
    return make_with(&config);
}

numapool *make_blocked(struct blocker *blocker, unsigned workers, uint64_t queue_tasks)
{
    numapool *pool = make(
        &(struct kind){.workers_max = workers, .queue_tasks = queue_tasks, .mode = NUMAPOOL_FIXED});
    block_workers(pool, blocker, (int)workers);
    return pool;
}

struct numapool_stats stats_of(numapool *pool)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};
    CHECK(numapool_stats(pool, &stats) == NUMAPOOL_OK);
    return stats;
}

struct numapool_shard_stats shard_stats_of(numapool *pool, size_t shard)
{
    struct numapool_shard_stats stats = {.struct_size = sizeof stats};
    CHECK(numapool_shard_stats(pool, shard, &stats) == NUMAPOOL_OK);
    return stats;
}

bool at_rest(numapool *pool)
{
    /* Counters are read one after the other, so one look may count an end and not the task that was
       accepted meanwhile. When two agree nothing was accepted between them, and all had ended. */
    struct numapool_stats first = stats_of(pool), second = stats_of(pool);
    return first.accepted == first.run + first.dropped && second.accepted == first.accepted;
}

void finish(numapool *pool)
{
    waiting_for("finish", 0, "numapool_drain");
    assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
    waiting_for(NULL, 0, NULL);
    struct numapool_stats stats = stats_of(pool);
    assert_int_equal(stats.accepted, stats.run + stats.dropped);
    assert_int_equal(stats.submitted, stats.accepted + stats.refused_full + stats.refused_shed +
                                          stats.refused_deadline + stats.refused_bytes +
                                          stats.refused_other);
    assert_int_equal(stats.queue_depth, 0);
    unwatch(pool);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

uint64_t share_of(uint64_t capacity, int task_class)
{
    uint64_t percent = task_class == NUMAPOOL_CRITICAL ? 100
                       : task_class == NUMAPOOL_NORMAL ? 90
                                                       : 50;
    uint64_t share = (capacity * percent + 99) / 100;
    return share < 1 ? 1 : share;
}

/* -------------------------------------------------------------------- what the process holds */

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return -1;
    }
    int count = 0;
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count - 2;
}

int threads_now(void)
{
    return entries("/proc/self/task");
}

#define THREAD_IS_ENDING 0x4u /* PF_EXITING of the kernel's include/linux/sched.h */

/* As "TID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS ...". A thread may be joined before it is gone from
   /proc; it ends from before that on. */
static bool lives_with(char *stat, const char *prefix, const char *part)
{
    char *name = strchr(stat, '('), *rest = strrchr(stat, ')');
    unsigned flags = 0;
    if (name == NULL || rest == NULL ||
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1) {
        return false;
    }
    *rest = '\0';
    return (flags & THREAD_IS_ENDING) == 0 && strncmp(name + 1, prefix, strlen(prefix)) == 0 &&
           strstr(name, part) != NULL;
}

static int threads_with(const char *prefix, const char *part)
{
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL) {
        return -1;
    }
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char path[300], stat[512] = "";
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            count += fgets(stat, sizeof stat, file) != NULL && lives_with(stat, prefix, part);
            fclose(file);
        }
    }
    closedir(folder);
    return count;
}

int threads_named(const char *prefix)
{
    return threads_with(prefix, "");
}

int workers_named(const char *pool)
{
    char prefix[16];
    (void)snprintf(prefix, sizeof prefix, "%s/n", pool);
    return threads_with(prefix, "/w");
}

int descriptors_now(void)
{
    return entries("/proc/self/fd") - 1; /* the one that counts */
}

int maps_now(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    if (file == NULL) {
        return -1;
    }
    int lines = 0;
    for (int c; (c = fgetc(file)) != EOF;) {
        lines += c == '\n';
    }
    fclose(file);
    return lines;
}
