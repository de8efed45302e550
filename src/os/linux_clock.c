/*
 * Ticks: the invariant time stamp counter where the kernel itself keeps time by it, else
 * CLOCK_MONOTONIC. A reading costs about 10 ns instead of 22, and a task needs two.
 *
 * The rate is measured once per process over a few milliseconds against CLOCK_MONOTONIC_RAW, good to
 * about 10 ppm. Only differences are ever converted, so a clock that is slewed later cannot make a
 * duration wrong by more than the slew, and nothing has to be anchored again.
 */
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define NS_PER_S UINT64_C(1000000000)
#define CALIBRATION_NS UINT64_C(4000000)

/* Written once under the init lock before any reader exists (npi_clock_init happens in
   numapool_create), read-only afterwards. */
bool npi_clock_is_tsc;
static uint64_t ns_per_tick_32; /* fixed point, 32 fraction bits */
static uint64_t ticks_per_ns_32;
static pthread_once_t clock_once = PTHREAD_ONCE_INIT;

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t npi_clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

#if defined(__x86_64__)
/* Invariant by CPUID, and trusted by the kernel: it stops using a counter that is not synchronous
   between processors, so its own choice is the best evidence there is. Not kvm-clock: it corrects the
   counter of each processor by itself, and a kernel that could do without would have chosen tsc. */
static bool tsc_is_trusted(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(0x80000007u, &a, &b, &c, &d) || (d & (1u << 8)) == 0) {
        return false;
    }
    char name[32] = "";
    FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (f == NULL) {
        return false;
    }
    bool trusted =
        fgets(name, sizeof name, f) != NULL &&
        (strncmp(name, "tsc", 3) == 0 || strncmp(name, "hyperv_clocksource_tsc", 22) == 0);
    (void)fclose(f);
    return trusted;
}

static void calibrate(void)
{
    /* The pair of readings with the least time between them bounds the error of each end. */
    uint64_t tick[2] = {0, 0}, ns[2] = {0, 0};
    for (int end = 0; end < 2; end++) {
        uint64_t best = UINT64_MAX;
        for (int i = 0; i < 16; i++) {
            uint64_t before = __rdtsc();
            uint64_t now = read_clock(CLOCK_MONOTONIC_RAW);
            uint64_t after = __rdtsc();
            if (after - before < best) {
                best = after - before;
                tick[end] = before + (after - before) / 2;
                ns[end] = now;
            }
        }
        if (end == 0) {
            struct timespec wait = {0, (long)CALIBRATION_NS};
            while (nanosleep(&wait, &wait) != 0 && errno == EINTR) {
            }
        }
    }
    uint64_t ticks = tick[1] - tick[0], nanos = ns[1] - ns[0];
    if (ticks == 0 || nanos == 0 || ticks / nanos > 100 || nanos / ticks > 100) {
        return; /* no plausible rate: stay with the kernel's clock */
    }
    ns_per_tick_32 = (uint64_t)(((unsigned __int128)nanos << 32) / ticks);
    ticks_per_ns_32 = (uint64_t)(((unsigned __int128)ticks << 32) / nanos);
    npi_clock_is_tsc = true;
}
#endif

static void init_once(void)
{
    ns_per_tick_32 = ticks_per_ns_32 = UINT64_C(1) << 32;
#if defined(__x86_64__)
    if (tsc_is_trusted()) {
        calibrate();
    }
#endif
}

int npi_clock_init(void)
{
    return -pthread_once(&clock_once, init_once);
}

#ifdef NPI_WRAPPABLE
uint64_t npi_clock_ticks(void)
{
#if defined(__x86_64__)
    if (npi_clock_is_tsc) {
        return __rdtsc();
    }
#endif
    return npi_clock_ticks_asked();
}
#endif

uint64_t npi_clock_ticks_asked(void)
{
    return npi_clock_now_ns();
}

static uint64_t scale(uint64_t value, uint64_t factor_32)
{
    unsigned __int128 product = ((unsigned __int128)value * factor_32) >> 32;
    return product > UINT64_MAX ? UINT64_MAX : (uint64_t)product;
}

uint64_t npi_clock_ticks_to_ns(uint64_t ticks)
{
    return scale(ticks, ns_per_tick_32);
}

uint64_t npi_clock_ns_to_ticks(uint64_t ns)
{
    return scale(ns, ticks_per_ns_32);
}

const char *npi_clock_source(void)
{
    return npi_clock_is_tsc ? "tsc" : "clock_gettime";
}
