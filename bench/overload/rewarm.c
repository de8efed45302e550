/* Touching memory so that the host of this virtual machine gives it; see rewarm.h. */
#include "rewarm.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Twice: what the first pass was slow to get, the second finds. */
#define PASSES 2
#define PAGE_BYTES 4096u

static void touch(uint64_t bytes)
{
    for (int pass = 0; pass < PASSES; pass++) {
        char *memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            return;
        (void)madvise(memory, (size_t)bytes, MADV_HUGEPAGE);
        for (uint64_t at = 0; at < bytes; at += PAGE_BYTES)
            ((volatile char *)memory)[at] = 1;
        (void)munmap(memory, (size_t)bytes);
    }
}

void rewarm_guest_memory(uint64_t bytes)
{
    if (bytes == 0)
        return;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        touch(bytes);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
}
