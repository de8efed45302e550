/*
 * What another thread of this process has used: CPU time, and time spent runnable without a CPU.
 * Both come from one read of /proc/self/task/TID/schedstat (about 1.5 us); where that file does not
 * exist the thread's CPU clock gives the first alone.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

static int usage_by_clock(pthread_t thread, struct npi_thread_usage *usage)
{
    clockid_t id;
    struct timespec t;
    int error = pthread_getcpuclockid(thread, &id);
    if (error != 0) {
        return -error;
    }
    if (clock_gettime(id, &t) != 0) {
        return -errno;
    }
    usage->cpu_ns = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
    usage->delay_ns = UINT64_MAX;
    return 0;
}

int npi_thread_usage(pid_t tid, pthread_t thread, int *fd, struct npi_thread_usage *usage)
{
    if (*fd < 0) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", (int)tid);
        *fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (*fd >= 0) {
        char text[96];
        ssize_t length = pread(*fd, text, sizeof text - 1, 0);
        if (length > 0) {
            text[length] = '\0';
            char *rest = NULL, *end = NULL;
            errno = 0;
            usage->cpu_ns = strtoull(text, &rest, 10);
            usage->delay_ns = strtoull(rest, &end, 10);
            if (rest != text && end != rest) {
                return 0;
            }
        }
        npi_thread_usage_close(fd);
    }
    return usage_by_clock(thread, usage);
}

void npi_thread_usage_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}
