/* See clock.h. */
#include "fault/clock.h"

#include "os/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)
#define SLICE_NS UINT64_C(2000000) /* how soon a wait learns that the clock has leapt */

uint64_t __real_npi_clock_now_ns(void);
uint64_t __real_npi_clock_ticks(void);
uint64_t __wrap_npi_clock_now_ns(void);
uint64_t __wrap_npi_clock_ticks(void);
long __real_syscall(long number, ...);

static uint64_t leap_ns, leap_ticks, start_ticks;
static uint64_t stopped_ns, stopped_ticks; /* 0 = they go */

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

uint64_t __wrap_npi_clock_now_ns(void)
{
    uint64_t stopped = load(&stopped_ns);
    return stopped != 0 ? stopped : __real_npi_clock_now_ns() + load(&leap_ns);
}

uint64_t __wrap_npi_clock_ticks(void)
{
    uint64_t stopped = load(&stopped_ticks);
    return stopped != 0 ? stopped
                        : __real_npi_clock_ticks() + load(&leap_ticks) + load(&start_ticks);
}

void clock_leap_ns(int64_t ns)
{
    uint64_t ticks = npi_clock_ns_to_ticks(ns < 0 ? (uint64_t)-ns : (uint64_t)ns);
    store(&leap_ns, load(&leap_ns) + (uint64_t)ns);
    store(&leap_ticks, load(&leap_ticks) + (ns < 0 ? 0 - ticks : ticks));
}

void clock_stop(bool stopped)
{
    if (stopped) {
        store(&stopped_ns, __wrap_npi_clock_now_ns());
        store(&stopped_ticks, __wrap_npi_clock_ticks());
    } else {
        store(&stopped_ns, 0);
        store(&stopped_ticks, 0);
    }
}

void clock_offset_ticks(uint64_t ticks)
{
    store(&start_ticks, ticks);
}

void clock_restore(void)
{
    clock_stop(false);
    store(&leap_ns, 0);
    store(&leap_ticks, 0);
    store(&start_ticks, 0);
}

long clock_futex_wait(uint32_t *word, int operation, uint32_t value, const struct timespec *until)
{
    if (until == NULL) {
        return __real_syscall(SYS_futex, word, operation, value, NULL, NULL,
                              FUTEX_BITSET_MATCH_ANY);
    }
    uint64_t deadline = (uint64_t)until->tv_sec * NS_PER_S + (uint64_t)until->tv_nsec;
    for (;;) {
        uint64_t seen = __wrap_npi_clock_now_ns(), real = __real_npi_clock_now_ns();
        bool true_clock = load(&stopped_ns) == 0 && load(&leap_ns) == 0;
        uint64_t left = deadline > seen ? deadline - seen : 0;
        uint64_t step = true_clock || left < SLICE_NS ? left : SLICE_NS;
        uint64_t end = real + step;
        struct timespec real_end = {(time_t)(end / NS_PER_S), (long)(end % NS_PER_S)};
        long result = __real_syscall(SYS_futex, word, operation, value, &real_end, NULL,
                                     FUTEX_BITSET_MATCH_ANY);
        if (result == 0 || errno != ETIMEDOUT || step == left) {
            return result;
        }
    }
}
