/*
 * One planted mistake of each kind that the sanitizers are there for. Built with them only; the test is
 * that they report it, so that a green run of the presets asan and tsan means something.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int shared;

static void *touch(void *arg)
{
    shared++;
    return arg;
}

static int race(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, touch, NULL) != 0) {
            return 0;
        }
    }
    for (int i = 0; i < 2; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    return shared;
}

static char *volatile kept;

static int leak(void)
{
    kept = malloc(40);
    kept = NULL;
    return 0;
}

static int overflow(int by)
{
    int most = INT_MAX;
    return most + by;
}

static int use_after_free(void)
{
    kept = calloc(1, 40);
    free(kept);
    return kept[3];
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    int value = strcmp(kind, "race") == 0       ? race()
                : strcmp(kind, "leak") == 0     ? leak()
                : strcmp(kind, "overflow") == 0 ? overflow(argc)
                : strcmp(kind, "use") == 0      ? use_after_free()
                                                : -1;
    printf("nobody noticed: %d\n", value);
    return 0;
}
