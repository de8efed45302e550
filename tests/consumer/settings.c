/*
 * Loads the configuration files it is given, and the dump of each again. Called with the blocks of
 * the first page, see settings.cmake; it shows that they are what the reader takes, not what they
 * do.
 */
#include <numapool/numapool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int load(struct numapool_config *config, const char *path)
{
    struct numapool_error error = {0};
    int result = numapool_config_load(config, path, &error);
    if (result != NUMAPOOL_OK)
        fprintf(stderr, "%s: %s\n%s\n", path, numapool_strerror(result), error.text);
    return result;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return EXIT_FAILURE;
    for (int i = 1; i < argc; i++) {
        struct numapool_config config, again;
        numapool_config_init(&config);
        numapool_config_init(&again);
        char path[] = "/tmp/numapool-settings-XXXXXX";
        int fd = mkstemp(path);
        int failed = fd < 0 || load(&config, argv[i]) || numapool_config_dump(&config, fd) ||
                     load(&again, path) || numapool_config_dump(&config, STDOUT_FILENO);
        if (fd >= 0) {
            close(fd);
            unlink(path);
        }
        numapool_config_fini(&config);
        numapool_config_fini(&again);
        if (failed)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
