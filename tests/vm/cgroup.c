/* File operations on /sys/fs/cgroup; see cgroup.h. */
#include "vm/cgroup.h"

#include "vm/where.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"

static int write_file(const char *path, const char *text)
{
    size_t bytes = strlen(text);
    int error = 0;
    int fd;

    if (where_guest_shape() == NULL) {
        return -EXDEV;
    }
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (write(fd, text, bytes) != (ssize_t)bytes) {
        error = -errno;
    }
    close(fd);
    return error;
}

int cgroup_make(const char *name)
{
    char path[256];
    int error = write_file(ROOT "/cgroup.subtree_control", "+cpuset +cpu +memory +pids");

    if (error != 0) {
        return error;
    }
    snprintf(path, sizeof path, ROOT "/%s", name);
    return mkdir(path, 0755) != 0 ? -errno : 0;
}

int cgroup_set(const char *name, const char *file, const char *text)
{
    char path[256];

    snprintf(path, sizeof path, ROOT "/%s/%s", name, file);
    return write_file(path, text);
}

int cgroup_get(const char *name, const char *file, const char *key, unsigned long long *value)
{
    char path[256];
    char line[256];
    char found[64];
    int error = -ENOENT;
    FILE *stream;

    snprintf(path, sizeof path, ROOT "/%s/%s", name, file);
    stream = fopen(path, "re");
    if (stream == NULL) {
        return -errno;
    }
    while (error != 0 && fgets(line, sizeof line, stream) != NULL) {
        unsigned long long number;
        if (sscanf(line, "%63s %llu", found, &number) == 2 && strcmp(found, key) == 0) {
            *value = number;
            error = 0;
        }
    }
    fclose(stream);
    return error;
}

int cgroup_enter(const char *name, pid_t pid)
{
    char text[24];

    snprintf(text, sizeof text, "%d", (int)pid);
    return cgroup_set(name, "cgroup.procs", text);
}

int cgroup_remove(const char *name)
{
    char path[256];

    if (where_guest_shape() == NULL) {
        return -EXDEV;
    }
    snprintf(path, sizeof path, ROOT "/%s", name);
    return rmdir(path) != 0 ? -errno : 0;
}
