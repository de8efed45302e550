/* Writing to a descriptor of the caller's. */
#include "os/os.h"

#include <errno.h>
#include <unistd.h>

int npi_fd_write(int fd, const void *bytes, size_t count)
{
    int before = errno, result = 0;
    const char *at = bytes;
    while (count != 0) {
        ssize_t written = write(fd, at, count);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            result = written < 0 ? -errno : -EIO;
            break;
        }
        at += written;
        count -= (size_t)written;
    }
    errno = before;
    return result;
}
