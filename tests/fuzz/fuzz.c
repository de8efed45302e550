/* See fuzz.h. */
#include "fuzz/fuzz.h"

#include "topology/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *said_first;

void fuzz_label(const char *label)
{
    said_first = label;
}

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s%s%s:%d: does not hold: %s\n", said_first != NULL ? said_first : "",
            said_first != NULL ? ": " : "", file, line, what);
    abort();
}

char *fuzz_string(const uint8_t *data, size_t size)
{
    const uint8_t *end = size != 0 ? memchr(data, 0, size) : NULL;
    size_t length = end != NULL ? (size_t)(end - data) : size;
    char *text = malloc(length + 1);
    fuzz_check(text != NULL);
    if (length != 0)
        memcpy(text, data, length);
    text[length] = '\0';
    return text;
}

/* One descriptor for all inputs: making one is a good part of the time that an input takes. */
static int memory_file(void)
{
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        fuzz_check(fd >= 0);
        fuzz_check(fchmod(fd, 0600) == 0);
    }
    fuzz_check(ftruncate(fd, 0) == 0);
    fuzz_check(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

const char *fuzz_file(const void *data, size_t size)
{
    static char path[64];
    int fd = memory_file();
    fuzz_check(pwrite(fd, data, size, 0) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

char *fuzz_capture(int (*writer)(const void *subject, int fd), const void *subject)
{
    int fd = memory_file();
    if (writer(subject, fd) != NUMAPOOL_OK)
        return NULL;
    off_t size = lseek(fd, 0, SEEK_END);
    fuzz_check(size >= 0);
    char *text = malloc((size_t)size + 1);
    fuzz_check(text != NULL);
    fuzz_check(pread(fd, text, (size_t)size, 0) == (ssize_t)size);
    text[size] = '\0';
    return text;
}

struct numapool_config fuzz_config(void)
{
    return (struct numapool_config){.struct_size = sizeof(struct numapool_config)};
}

void fuzz_config_fini(struct numapool_config *config)
{
    npi_placement_free(config->placement);
    *config = fuzz_config();
}

static int dump(const void *config, int fd)
{
    return numapool_config_dump(config, fd);
}

void fuzz_config_round_trip(const struct numapool_config *config)
{
#ifdef NUMAPOOL_CONFIG_FILE
    char *first = fuzz_capture(dump, config);
    /* The two counts may contradict each other when they come from several sources. */
    if (first == NULL && config->workers_max > 0 && config->workers_min > config->workers_max)
        return;
    fuzz_check(first != NULL);
    struct numapool_config again = fuzz_config();
    struct numapool_error error = {0};
    int result = numapool_config_load(&again, fuzz_file(first, strlen(first)), &error);
    if (result != NUMAPOOL_OK)
        fprintf(stderr, "%s\n%s\n", first, error.text);
    fuzz_check(result == NUMAPOOL_OK);
    char *second = fuzz_capture(dump, &again);
    fuzz_check(second != NULL);
    if (strcmp(first, second) != 0)
        fprintf(stderr, "%s\nbecame\n%s\n", first, second);
    fuzz_check(strcmp(first, second) == 0);
    fuzz_check(npi_placement_equal(config->placement, again.placement));
    free(first);
    free(second);
    fuzz_config_fini(&again);
#else
    (void)config;
    (void)dump;
#endif
}
