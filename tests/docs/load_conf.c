/* Loads configuration files as a program does: prints their mistakes and exits 1, or makes a plan of each. */
#include <numapool/numapool.h>

#include <stdio.h>
#include <string.h>

/* The pages show CPUs and nodes that this machine need not have: a described one that has them stands in, unless
   the file has its own. Mistakes of the file itself are found by loading; those of its plan by creating. */
static const char *const machine = "pack:4 [numa(memory=64GiB)] l3:2 core:8 pu:2";

static int try_file(const char *path)
{
    static struct numapool_error error;
    struct numapool_config config;
    numapool *pool = NULL;
    numapool_config_init(&config);
    int result = numapool_config_load(&config, path, &error);
    if (result == NUMAPOOL_OK) {
        if (config.machine == NULL) {
            config.machine = machine;
        }
        config.workers_min = 1; /* the file's own may be many threads */
        result = numapool_create(&pool, &config, &error);
    }
    if (result != NUMAPOOL_OK) {
        printf("%s\n", error.text);
    }
    if (result == NUMAPOOL_OK && numapool_destroy(pool) != NUMAPOOL_OK) {
        printf("%s: the pool could not be destroyed\n", path);
        result = NUMAPOOL_E_SYSTEM;
    }
    numapool_config_fini(&config);
    return result;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        failed |= try_file(argv[i]) != NUMAPOOL_OK;
    }
    return failed;
}
