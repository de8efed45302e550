/*
 * Memory that others may read: the "share" block of os.h. Every page is there before anybody writes
 * it, since a write that finds none ends in a signal; so does growing a file beyond RLIMIT_FSIZE,
 * which is asked first.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3, which warns without it */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10 /* Linux 5.1 */
#endif

static int open_memory(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    return fd < 0 ? -errno : fd;
}

static int give_size(int fd, size_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) {
        return -EFBIG;
    }
    int error;
    do {
        error = fallocate(fd, 0, 0, (off_t)bytes) == 0 ? 0 : -errno;
    } while (error == -EINTR);
    return error;
}

/* The size is what readers rely on; that they cannot write is a courtesy of newer kernels. */
static int seal(int fd)
{
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 ? 0 : -errno;
}

static int map(struct npi_share *share, int fd, size_t bytes)
{
    struct stat status;
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) {
        return -errno;
    }
    int error = fstat(fd, &status) == 0 && madvise(start, bytes, MADV_DONTFORK) == 0 ? 0 : -errno;
    if (error == 0) {
        error = seal(fd);
    }
    if (error != 0) {
        (void)munmap(start, bytes);
        return error;
    }
    *share = (struct npi_share){start, bytes, fd, status.st_dev, status.st_ino};
    return 0;
}

int npi_share_create(struct npi_share *share, const char *name, size_t bytes)
{
    int fd = open_memory(name);
    if (fd < 0) {
        return fd;
    }
    int error = give_size(fd, bytes);
    if (error == 0) {
        error = map(share, fd, bytes);
    }
    if (error != 0) {
        (void)close(fd);
    }
    return error;
}

void npi_share_release(struct npi_share *share)
{
    struct stat status;
    if (share->start == NULL) {
        return;
    }
    (void)munmap(share->start, share->bytes);
    /* A program that closes descriptors it does not know may have given the number to something else. */
    if (fstat(share->fd, &status) == 0 && status.st_dev == share->device &&
        status.st_ino == share->inode) {
        (void)close(share->fd);
    }
    memset(share, 0, sizeof *share);
}
