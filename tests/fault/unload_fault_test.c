/*
 * F15: the library is loaded, used and unloaded again and again. It leaves no thread, no descriptor, no
 * mapping of itself, and no thread-specific key whose destructor would be gone.
 */
#include "fault/must.h"

#include <numapool/numapool.h>

#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define TASKS 25000

static unsigned char ended[TASKS];

static void run(void *arg)
{
    (void)__atomic_add_fetch((unsigned char *)arg, 1, __ATOMIC_RELAXED);
}

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    MUST(folder != NULL);
    int count = 0;
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static bool is_mapped(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    char line[512];
    bool found = false;
    MUST(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        found = found || strstr(line, "libnumapool") != NULL;
    }
    (void)fclose(file);
    return found;
}

struct library {
    void *handle;
    void (*init)(struct numapool_config *config);
    int (*create)(numapool **pool, const struct numapool_config *config,
                  struct numapool_error *error);
    int (*submit_wait)(numapool *pool, const struct numapool_task *task, uint64_t timeout_ns);
    int (*drain)(numapool *pool, uint64_t timeout_ns);
    int (*destroy)(numapool *pool);
};

static void find(void *handle, const char *name, void *function)
{
    void *symbol = dlsym(handle, name);
    MUST(symbol != NULL);
    memcpy(function, &symbol, sizeof symbol); /* POSIX allows it, C does not */
}

static void load_library(struct library *library)
{
    library->handle = dlopen(NUMAPOOL_SHARED, RTLD_NOW | RTLD_LOCAL);
    MUST(library->handle != NULL);
    find(library->handle, "numapool_config_init", &library->init);
    find(library->handle, "numapool_create", &library->create);
    find(library->handle, "numapool_submit_wait", &library->submit_wait);
    find(library->handle, "numapool_drain", &library->drain);
    find(library->handle, "numapool_destroy", &library->destroy);
}

static uint64_t use(struct library *library, unsigned round)
{
    struct numapool_config config;
    numapool *pool = NULL;
    library->init(&config);
    config.machine = round % 2 == 0 ? "pack:4 [numa] core:2 pu:1" : "pack:1 [numa] core:2 pu:1";
    config.workers_max = 8;
    config.stack_bytes = SANITIZED ? 2 << 20 : 0;
    memset(ended, 0, sizeof ended);
    MUST(library->create(&pool, &config, NULL) == NUMAPOOL_OK);
    for (unsigned i = 0; i < TASKS; i++) {
        struct numapool_task task = {.run = run, .arg = &ended[i]};
        MUST(library->submit_wait(pool, &task, UINT64_MAX) == NUMAPOOL_OK);
    }
    if (round % 2 == 0) {
        MUST(library->drain(pool, UINT64_MAX) == NUMAPOOL_OK);
    }
    MUST(library->destroy(pool) == NUMAPOOL_OK);
    uint64_t count = 0;
    for (unsigned i = 0; i < TASKS; i++) { /* without a drain those that waited are dropped */
        MUST(ended[i] == 1 || (round % 2 != 0 && ended[i] == 0));
        count += ended[i];
    }
    return count;
}

int main(void)
{
    const unsigned rounds = SANITIZED ? 4 : 40;
    uint64_t accepted = 0, ran = 0;
    int threads = 0, descriptors = 0;
    for (unsigned round = 0; round < rounds; round++) {
        struct library library;
        MUST(!is_mapped());
        load_library(&library);
        MUST(is_mapped());
        ran += use(&library, round);
        accepted += TASKS;
        MUST(dlclose(library.handle) == 0);
        threads = round == 0 ? entries("/proc/self/task") : threads;
        while (entries("/proc/self/task") > threads) { /* a joined thread has a last moment */
            (void)sched_yield();
        }
        descriptors = round == 0 ? entries("/proc/self/fd") : descriptors;
        MUST(entries("/proc/self/fd") == descriptors);
    }
    MUST(!is_mapped());
    printf("F15: dlopen, use, dlclose: %llu accepted, %llu run, 0 double\n",
           (unsigned long long)accepted, (unsigned long long)ran);
    return 0;
}
