/*
 * What the questions measure with: a clock, threads that start together, a count of tasks done, samples
 * and their percentiles, and work of a known size.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "suite/bench.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* ---- the clock: the processor's counter where it is one, else CLOCK_MONOTONIC */
static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

double ticks_ns(uint64_t ticks); /* a duration in nanoseconds */
uint64_t ticks_of_ns(double ns);
uint64_t monotonic_ns(void);
uint64_t process_cpu_ns(void);
void sleep_until_ns(uint64_t when_ns); /* CLOCK_MONOTONIC */

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Small, fast, seeded: gaps and sizes are the same in every run. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
double random_exponential(uint64_t *state, double mean);

/* ---- threads that start together; begin: ticks when they were let go */
typedef void crew_fn(void *arg, unsigned index);
struct crew_hooks {
    void (*begin)(void *arg), (*end)(void *arg); /* in each thread, around the time; may be NULL */
    void *arg;
};
/* Runs fn in `count` threads and waits for all. */
uint64_t crew_run(unsigned count, crew_fn *fn, void *arg, const struct crew_hooks *hooks);

/* ---- a count of tasks done, cheap for who counts: each thread has its own word */
void done_reset(void); /* beside nobody */
void done_one(void);
void done_one_of_many_threads(void); /* where threads come and go with each task */
uint64_t done_sum(void);
void done_wait(uint64_t count); /* sleeping, not spinning: the workers need the processors */

/* ---- samples of a duration, in ticks */
struct samples {
    uint64_t *ticks;
    size_t count, space;
};
bool samples_init(struct samples *samples, size_t space);
void samples_fini(struct samples *samples);
static inline void samples_add(struct samples *samples, uint64_t ticks)
{
    if (samples->count < samples->space) {
        samples->ticks[samples->count++] = (int64_t)ticks > 0 ? ticks : 0;
    }
}
/* Figures p50_ns, p90_ns, p99_ns, p999_ns and max_ns; sorts. prefix: before each name, or "". */
void samples_tell(struct samples *samples, struct bench_run *run, const char *prefix);
double samples_percentile_ns(const struct samples *samples, double share); /* when sorted */
void samples_sort(struct samples *samples);

/* ---- work on a CPU that takes as many nanoseconds when nobody interrupts it */
uint64_t work_turns(double ns);
void work(uint64_t turns);

/* ---- CPUs */
unsigned cpus_allowed(void);
/* The calling thread, and what it starts, runs on all allowed CPUs but the first, or on the first alone, or
   on all again. False where there are less than two. */
bool cpus_take_first_away(void);
bool cpus_first_alone(void);
void cpus_all_again(void);

#endif
