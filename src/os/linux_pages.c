/*
 * Address space and its backing on Linux: the "pages" block of os.h. No state and no policy; which
 * node pages come from is set by topology/place_memory.c on the same ranges.
 *
 * Ranges are reserved inaccessible and without being charged, so that a reservation of terabytes
 * costs nothing; making a part of it writable is where a machine that does not overcommit says no.
 * What was reserved stays in core dumps: untouched pages cost a core nothing, and the touched ones
 * hold the data of tasks that somebody who opens a core is looking for.
 */
#include "os/os.h"

#include "base/cacheline.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older headers lack it */
#endif

/* The kernel asks to be called again when it lost a race for a page; a few times are plenty. */
#define POPULATE_TRIES 8

size_t npi_pages_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int npi_pages_reserve(void **start, size_t bytes, size_t align)
{
    size_t page = npi_pages_size();
    /* Anything is aligned to a page; for more, reserve more and give the two ends back. */
    size_t extra = align > page ? align - page : 0;
    if (bytes == 0 || bytes > SIZE_MAX - extra - page)
        return -EINVAL;
    bytes = npi_round_up(bytes, page);
    char *range =
        mmap(NULL, bytes + extra, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED)
        return -errno;
    size_t before = extra ? (size_t)(-(uintptr_t)range & (align - 1)) : 0;
    if (before)
        munmap(range, before);
    if (extra - before)
        munmap(range + before + bytes, extra - before);
    *start = range + before;
    return 0;
}

int npi_pages_commit(void *start, size_t bytes)
{
    return mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

int npi_pages_hugepages(void *start, size_t bytes, bool wanted)
{
    return madvise(start, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0 ? 0 : -errno;
}

/* For kernels that cannot be asked. Adding nothing writes every page without changing it, also
   while another thread uses it. */
static void touch_pages(char *start, size_t bytes)
{
    size_t page = npi_pages_size();
    for (size_t offset = 0; offset < bytes; offset += page)
        __atomic_fetch_or(start + offset, 0, __ATOMIC_RELAXED);
}

int npi_pages_populate(void *start, size_t bytes)
{
    for (int try = 0; try < POPULATE_TRIES; try++) {
        if (madvise(start, bytes, MADV_POPULATE_WRITE) == 0)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    if (errno != EINVAL)
        return -errno;
    /* A kernel that knows the advice accepts it for no bytes at all: then the range is at fault,
       and touching it would end in a signal. */
    if (madvise(start, 0, MADV_POPULATE_WRITE) == 0)
        return -EINVAL;
    touch_pages(start, bytes);
    return 0;
}

int npi_pages_return(void *start, size_t bytes)
{
    return madvise(start, bytes, MADV_DONTNEED) == 0 ? 0 : -errno;
}

int npi_pages_release(void *start, size_t bytes)
{
    return munmap(start, bytes) == 0 ? 0 : -errno;
}

int npi_pages_fork_mark(void **page)
{
    size_t bytes = npi_pages_size();
    void *mark = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mark == MAP_FAILED)
        return -errno;
    if (madvise(mark, bytes, MADV_WIPEONFORK) != 0) {
        int refused = errno;
        munmap(mark, bytes);
        return -refused;
    }
    *page = mark;
    return 0;
}
