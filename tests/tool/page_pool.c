/*
 * A process with pools, for whoever looks at it from outside. Obeys lines on its standard input and
 * answers each with one line (or a text that ends with a line "."): see obey().
 */
#include <numapool/numapool.h>

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POOLS 4
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "page_pool: line %d: %s\n", __LINE__, #condition);               \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static numapool *pools[POOLS];
static atomic_bool streaming;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static bool held; /* under the lock */

static void pause_us(long us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    (void)nanosleep(&t, NULL);
}

static void work(void *arg)
{
    (void)arg;
}

/* Wakes for nothing else: on a busy machine workers that wake again and again wait for a CPU, and the pool
   would take them for starved and start no more. */
static void hold(void *arg)
{
    (void)arg;
    CHECK(pthread_mutex_lock(&lock) == 0);
    while (held) {
        CHECK(pthread_cond_wait(&let_go, &lock) == 0);
    }
    CHECK(pthread_mutex_unlock(&lock) == 0);
}

static void set_held(bool value)
{
    CHECK(pthread_mutex_lock(&lock) == 0);
    held = value;
    CHECK(pthread_cond_broadcast(&let_go) == 0);
    CHECK(pthread_mutex_unlock(&lock) == 0);
}

/* A pool's name, and the text of its machine or "-". */
static void create(unsigned i, const char *name, const char *machine)
{
    struct numapool_config config;
    struct numapool_error error = {.count = 0};
    CHECK(i < POOLS && pools[i] == NULL);
    numapool_config_init(&config);
    CHECK(numapool_config_env(&config, &error) == NUMAPOOL_OK);
    config.name = name;
    config.machine = strcmp(machine, "-") == 0 ? NULL : machine;
    config.workers_max = config.workers_max != 0 ? config.workers_max : 8;
    config.queue_tasks = 4096;
    config.idle_exit_ns = UINT64_C(50000000);
    config.queue_delay_ns = NUMAPOOL_OFF;
    config.codel_target_ns = NUMAPOOL_OFF;
    if (numapool_create(&pools[i], &config, &error) != NUMAPOOL_OK) {
        (void)fprintf(stderr, "page_pool: %s\n", error.text);
        exit(1);
    }
    numapool_config_fini(&config);
}

static void submit(unsigned i, unsigned count, numapool_fn *run)
{
    struct numapool_task task = {.run = run};
    for (unsigned n = 0; n < count; n++) {
        task.node = (int)(n % numapool_node_count(pools[i]));
        task.flags = NUMAPOOL_ON_NODE;
        CHECK(numapool_submit_wait(pools[i], &task, UINT64_MAX) == NUMAPOOL_OK);
    }
}

static void print_stats(unsigned i)
{
    struct numapool_stats all = {.struct_size = sizeof all};
    CHECK(numapool_stats(pools[i], &all) == NUMAPOOL_OK);
    printf("{\"total\": {\"end\": 0");
#define PRINT(name, kind, text) printf(", \"%s\": %" PRIu64, #name, all.name);
    NUMAPOOL_STATS_FIELDS(PRINT)
#undef PRINT
    printf("}, \"shards\": [");
    for (size_t s = 0; s < numapool_shard_count(pools[i]); s++) {
        struct numapool_shard_stats one = {.struct_size = sizeof one};
        CHECK(numapool_shard_stats(pools[i], s, &one) == NUMAPOOL_OK);
        printf("%s{\"node\": %" PRIu64, s != 0 ? ", " : "", one.node);
#define PRINT(name, kind, text) printf(", \"%s\": %" PRIu64, #name, one.name);
        NUMAPOOL_STATS_FIELDS(PRINT)
#undef PRINT
        printf("}");
    }
    printf("]}\n");
}

static void print_prometheus(unsigned i)
{
    size_t needed = 0;
    CHECK(numapool_stats_prometheus(pools[i], NULL, 0, &needed) == NUMAPOOL_OK);
    char *text = malloc(needed + 4096);
    CHECK(text != NULL);
    CHECK(numapool_stats_prometheus(pools[i], text, needed + 4096, NULL) == NUMAPOOL_OK);
    printf("%s.\n", text);
    free(text);
}

/* Tasks for all pools until told otherwise, by a child that only holds the descriptors. */
static void stream_on(void)
{
    atomic_store(&streaming, true);
}

static bool obey(char *line)
{
    char word[32] = "", name[16] = "", machine[128] = "";
    unsigned i = 0, count = 0;
    int parts = sscanf(line, "%31s %u", word, &i);
    CHECK(i < POOLS);
    if (strcmp(word, "create") == 0) {
        CHECK(sscanf(line, "%*s %u %15s %127[^\n]", &i, name, machine) == 3);
        create(i, name, machine);
    } else if (strcmp(word, "run") == 0) {
        CHECK(sscanf(line, "%*s %u %u", &i, &count) == 2);
        submit(i, count, work);
    } else if (strcmp(word, "hold") == 0) {
        CHECK(sscanf(line, "%*s %u %u", &i, &count) == 2);
        set_held(true);
        submit(i, count, hold);
    } else if (strcmp(word, "release") == 0) {
        set_held(false);
    } else if (strcmp(word, "stats") == 0) {
        print_stats(i);
        return true;
    } else if (strcmp(word, "prom") == 0) {
        print_prometheus(i);
        return true;
    } else if (strcmp(word, "drain") == 0) {
        CHECK(numapool_drain(pools[i], UINT64_MAX) == NUMAPOOL_OK);
    } else if (strcmp(word, "destroy") == 0) {
        CHECK(numapool_destroy(pools[i]) == NUMAPOOL_OK);
        pools[i] = NULL;
    } else if (strcmp(word, "budget") == 0) {
        CHECK(sscanf(line, "%*s %u %u", &i, &count) == 2);
        CHECK(numapool_set_budget(pools[i], count) == NUMAPOOL_OK);
    } else if (strcmp(word, "stream") == 0) {
        stream_on();
    } else if (strcmp(word, "fork") ==
               0) { /* a child that has the descriptors and waits to be killed */
        pid_t child = fork();
        CHECK(child >= 0);
        while (child == 0) {
            (void)pause();
        }
        printf("%d\n", (int)child);
        return true;
    } else {
        CHECK(parts < 1);
        return false;
    }
    printf("ok\n");
    return true;
}

/* While it streams, tasks go to the first pool as fast as they are taken. */
static void *stream(void *arg)
{
    (void)arg;
    for (;;) {
        if (atomic_load(&streaming) && pools[0] != NULL) {
            int refused = numapool_submit(pools[0], work, NULL);
            (void)refused;
        } else {
            pause_us(1000);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t thread;
    char line[256];
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)alarm(300); /* whoever drives us may have been killed */
    CHECK(pthread_create(&thread, NULL, stream, NULL) == 0);
    printf("%d\n", (int)getpid());
    while (fgets(line, sizeof line, stdin) != NULL && obey(line)) {
    }
    return 0;
}
