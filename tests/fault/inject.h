/*
 * Faults put between the library and what it calls. Every program of this folder is linked with
 * --wrap for the functions below (the list is in CMakeLists.txt), so that each call of the library
 * passes here; by default it passes unchanged.
 *
 * Wrapped are calls made by the library's own code. What libc, hwloc and libconfig call inside
 * themselves is out of reach.
 */
#ifndef TESTS_FAULT_INJECT_H
#define TESTS_FAULT_INJECT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inject_kind {
    INJECT_MEMORY,   /* malloc and its relatives: ENOMEM */
    INJECT_MAP,      /* mmap, mprotect, madvise: ENOMEM */
    INJECT_BIND,     /* mbind: EPERM or ENOSYS */
    INJECT_AFFINITY, /* sched_setaffinity: EPERM */
    INJECT_THREAD,   /* pthread_create: EAGAIN */
    INJECT_SHARE,    /* memfd_create, fallocate: EMFILE, ENOSPC */
    INJECT_FUTEX, /* a wait returns at once, with EINTR or for no reason; a wake wakes, and fails */
    INJECT_KINDS,
};

const char *inject_name(enum inject_kind kind);

/* The k-th call from now on fails (the first is 1), and only that one. */
void inject_kth(enum inject_kind kind, uint64_t k);
/* That one and all after it fail. */
void inject_from_kth(enum inject_kind kind, uint64_t k);
/* So many of a thousand calls fail, by chance. */
void inject_share(enum inject_kind kind, unsigned permille);
/* Nothing fails any more; counts stay. */
void inject_nothing(void);
uint64_t inject_calls(enum inject_kind kind);  /* since it was armed */
uint64_t inject_failed(enum inject_kind kind); /* likewise */

/* What the library holds: counted from inject_watch_begin() on. */
struct inject_held {
    int64_t blocks;       /* of memory from malloc and its relatives */
    int64_t mapped_bytes; /* from mmap */
};
void inject_watch_begin(void);
struct inject_held inject_watch_end(void);
/* The code addresses that asked for blocks that are still held: evidence, on stderr. */
void inject_print_held(void);

/* While true, memory asked for by the calling thread ends the program: nothing of a submit may. */
void inject_forbid_memory(bool forbidden);

/* Threads that the kernel itself has refused since the program began. */
uint64_t inject_refused_threads(void);

/* A thread that is the test's own: not counted, never failed, not enrolled (halt.h). */
int inject_thread(pthread_t *thread, void *(*body)(void *), void *arg);

#endif
