/* Sleeping and waking on a 32-bit word: the futex, private to the process. */
#include "os/os.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

int npi_park_wait(npi_a32 *word, uint32_t value, uint64_t deadline_ns)
{
    /* WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, so a wait that is repeated after a
       spurious return does not grow longer. */
    struct timespec until, *limit = NULL;
    if (deadline_ns != UINT64_MAX) {
        until.tv_sec = (time_t)(deadline_ns / NS_PER_S);
        until.tv_nsec = (long)(deadline_ns % NS_PER_S);
        limit = &until;
    }
    long result = syscall(SYS_futex, &word->value_, FUTEX_WAIT_BITSET_PRIVATE, value, limit, NULL,
                          FUTEX_BITSET_MATCH_ANY);
    return result != 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

void npi_park_wake(npi_a32 *word, unsigned count)
{
    (void)syscall(SYS_futex, &word->value_, FUTEX_WAKE_PRIVATE,
                  count > INT_MAX ? INT_MAX : (int)count, NULL, NULL, 0);
}
