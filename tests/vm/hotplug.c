/* CPU off and on through /sys; see hotplug.h. */
#include "vm/hotplug.h"

#include "vm/where.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int hotplug_cpu(unsigned cpu, bool online)
{
    char path[80];
    int error = 0;
    int fd;

    if (where_guest_shape() == NULL) {
        return -EXDEV;
    }
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/online", cpu);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (write(fd, online ? "1" : "0", 1) != 1) {
        error = -errno;
    }
    close(fd);
    return error;
}
