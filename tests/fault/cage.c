/* See cage.h. */
#include "fault/cage.h"

#include "vm/where.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"

static char path[256];
static bool v2;

static int write_text(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ssize_t written = write(fd, text, strlen(text));
    int error = written == (ssize_t)strlen(text) ? 0 : -errno;
    (void)close(fd);
    return error;
}

static int read_text(const char *file, char *text, size_t bytes)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ssize_t length = read(fd, text, bytes - 1);
    text[length > 0 ? length : 0] = '\0';
    (void)close(fd);
    return length < 0 ? -EIO : 0;
}

static int copy_of_parent(const char *parent, const char *file)
{
    char from[320], text[256];
    (void)snprintf(from, sizeof from, "%s/%s", parent, file);
    int error = read_text(from, text, sizeof text);
    return error != 0 ? error : cage_set(file, text);
}

int cage_make(const char *controller)
{
    char text[256], parent[128];
    v2 = read_text(ROOT "/cgroup.subtree_control", text, sizeof text) == 0;
    if (v2) {
        (void)snprintf(parent, sizeof parent, ROOT);
        if (where_guest_shape() != NULL) {
            int error = write_text(ROOT "/cgroup.subtree_control", "+cpuset +cpu +memory +pids");
            if (error != 0) {
                return error;
            }
        } else if (strstr(text, controller) == NULL) {
            return -EOPNOTSUPP;
        }
    } else {
        (void)snprintf(parent, sizeof parent, ROOT "/%s", controller);
    }
    (void)snprintf(path, sizeof path, "%s/npi-fault-%d", parent, (int)getpid());
    if (mkdir(path, 0755) != 0) {
        return -errno;
    }
    int error = 0;
    if (!v2 && strcmp(controller, "cpuset") == 0) { /* empty sets let nobody in */
        error = copy_of_parent(parent, "cpuset.cpus");
        error = error != 0 ? error : copy_of_parent(parent, "cpuset.mems");
    }
    if (error != 0) {
        cage_remove();
    }
    return error;
}

bool cage_is_v2(void)
{
    return v2;
}

int cage_set(const char *file, const char *text)
{
    char name[320];
    (void)snprintf(name, sizeof name, "%s/%s", path, file);
    return write_text(name, text);
}

int cage_enter(void)
{
    char pid[24];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    return cage_set("cgroup.procs", pid);
}

void cage_remove(void)
{
    /* The kernel counts a process out a little after its parent has learned of its end. */
    for (int turn = 0; rmdir(path) != 0 && errno == EBUSY && turn < 1000; turn++) {
        struct timespec pause = {0, 1000000};
        (void)nanosleep(&pause, NULL);
    }
}
