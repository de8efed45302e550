/*
 * Everything numapool asks of an operating system, on one page. Each linux_*.c file implements one
 * block of it and nothing else in src/ makes system calls (topology/place_*.c places threads and
 * pages, topology/discover*.c reads the machine). Functions return 0 or a negative errno unless they
 * say otherwise; none logs, retries for long or aborts.
 */
#ifndef NPI_OS_OS_H
#define NPI_OS_OS_H

#include "base/atomic.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* -------------------------------------------------------------------------------- clock
 * *Ticks* are the cheapest monotonic time there is: the invariant time stamp counter where the
 * kernel trusts it, else nanoseconds of CLOCK_MONOTONIC. Only differences of ticks mean anything.
 */
int npi_clock_init(void);     /* once per process before anything else; safe to call again */
extern bool npi_clock_is_tsc; /* set by npi_clock_init() */
uint64_t npi_clock_ticks_asked(void); /* where there is no such counter */

#if defined(NPI_MODEL) || defined(NPI_WRAPPABLE)
uint64_t npi_clock_ticks(void); /* others stand in for it */
#else
static inline uint64_t npi_clock_ticks(void)
{
#if defined(__x86_64__)
    if (__builtin_expect(npi_clock_is_tsc, 1)) {
        return __builtin_ia32_rdtsc();
    }
#endif
    return npi_clock_ticks_asked();
}
#endif

/* True: ticks are the processor's counter, and npi_clock_counter() reads them without a call. */
static inline bool npi_clock_is_counter(void)
{
#if defined(NPI_MODEL) || defined(NPI_WRAPPABLE)
    return true;
#elif defined(__x86_64__)
    return npi_clock_is_tsc;
#else
    return false;
#endif
}

static inline uint64_t npi_clock_counter(void)
{
#if defined(NPI_MODEL) || defined(NPI_WRAPPABLE)
    return npi_clock_ticks();
#elif defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

uint64_t npi_clock_now_ns(void);                /* CLOCK_MONOTONIC */
uint64_t npi_clock_ticks_to_ns(uint64_t ticks); /* of a difference */
uint64_t npi_clock_ns_to_ticks(uint64_t ns);    /* of a difference; saturates */
const char *npi_clock_source(void);             /* "tsc" or "clock_gettime" */

/* --------------------------------------------------------------------------------- park
 * Sleep on a 32-bit word while it holds a value. deadline_ns is CLOCK_MONOTONIC, UINT64_MAX = none.
 * Wait returns 0 when woken or when the word differed, -ETIMEDOUT at the deadline; it may return 0
 * for no reason.
 */
int npi_park_wait(npi_a32 *word, uint32_t value, uint64_t deadline_ns);
void npi_park_wake(npi_a32 *word, unsigned count);

/* ------------------------------------------------------------------------------- thread */
/* Starts a thread with all but the fatal signals blocked, on a caller-owned stack, under a name of at
   most 15 characters. The thread is joinable. */
int npi_thread_start(pthread_t *thread, void *stack, size_t stack_bytes, const char *name,
                     void *(*body)(void *), void *arg);
pid_t npi_thread_id(void); /* of the caller */
int npi_thread_cpu(void);  /* the CPU the caller is on just now, -1 = unknown */
void npi_thread_yield(void);
/* Asks for a short scheduler slice so that a woken thread is not kept waiting behind its waker.
   -ENOSYS or -EPERM where the kernel has no such thing. */
int npi_thread_slice(uint64_t slice_ns);

/* CPU time and run-queue delay of another thread of this process, in ns since its start. *delay_ns
   is UINT64_MAX where the kernel does not tell. fd is a cached descriptor, -1 at first; close it
   with npi_thread_usage_close(). */
struct npi_thread_usage {
    uint64_t cpu_ns;
    uint64_t delay_ns;
};
int npi_thread_usage(pid_t tid, pthread_t thread, int *fd, struct npi_thread_usage *usage);
void npi_thread_usage_close(int *fd);

/* -------------------------------------------------------------------------------- pages */
size_t npi_pages_size(void);
/* Reserve address space aligned to `align` (a power of two, 0 = a page), inaccessible and uncharged. */
int npi_pages_reserve(void **start, size_t bytes, size_t align);
int npi_pages_commit(void *start, size_t bytes); /* make readable and writable; -ENOMEM possible */
int npi_pages_hugepages(void *start, size_t bytes, bool wanted); /* advice only */
int npi_pages_populate(void *start,
                       size_t bytes); /* have them backed now, errors instead of signals */
int npi_pages_return(void *start,
                     size_t bytes); /* contents lost, backing given back, stays usable */
int npi_pages_release(void *start, size_t bytes); /* the reservation itself */
/* One page that reads as zero in a child of fork(): how a child is told apart. */
int npi_pages_fork_mark(void **page);

/* -------------------------------------------------------------------------------- share
 * A range that other processes of this user may read: a memfd, which they find in /proc/PID/fd under
 * its name. Zeroed, backed, its size sealed; nobody else can write it (Linux 5.1). A child of fork()
 * has the descriptor and not the range.
 */
struct npi_share {
    void *start; /* NULL = none */
    size_t bytes;
    int fd;
    uint64_t device, inode; /* of fd, in case somebody closes what he does not know */
};
int npi_share_create(struct npi_share *share, const char *name, size_t bytes);
void npi_share_release(struct npi_share *share); /* none is fine */

/* --------------------------------------------------------------------------- descriptor */
/* Writes all of it. Also in a signal handler; errno is left as it was. */
int npi_fd_write(int fd, const void *bytes, size_t count);

/* ------------------------------------------------------------------------------ machine */
/* Idle time of each CPU in a set since boot, summed, in ns; -ENOENT where the kernel does not tell.
   cpus as in topology/cpuset.h: words of 64 bits. */
int npi_machine_idle_ns(const uint64_t *cpu_words, size_t word_count, uint64_t *idle_ns);

#endif
