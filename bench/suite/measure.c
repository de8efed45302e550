/* See measure.h. */
#include "suite/measure.h"

#include "overload/clock.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------- clock */

uint64_t monotonic_ns(void)
{
    return clock_now_ns();
}

uint64_t process_cpu_ns(void)
{
    return clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void sleep_until_ns(uint64_t when_ns)
{
    clock_sleep_until_ns(when_ns);
}

/* Ticks a nanosecond, against the kernel's clock over 20 ms. */
static double ticks_per_ns(void)
{
    static double rate;
    if (rate == 0) {
        uint64_t ns = monotonic_ns(), ticks = ticks_now(), end_ns;
        do {
            end_ns = monotonic_ns();
        } while (end_ns - ns < 20000000);
        rate = (double)(ticks_now() - ticks) / (double)(end_ns - ns);
    }
    return rate;
}

double ticks_ns(uint64_t ticks)
{
    return (double)ticks / ticks_per_ns();
}

uint64_t ticks_of_ns(double ns)
{
    return (uint64_t)(ns * ticks_per_ns());
}

double random_exponential(uint64_t *state, double mean)
{
    double u = ((double)(random_next(state) >> 11) + 0.5) / 9007199254740992.0;
    return -mean * log(u);
}

/* ---------------------------------------------------------------------------------- crew */

struct crew {
    crew_fn *fn;
    void *arg;
    const struct crew_hooks *hooks;
    atomic_uint ready, next;
    atomic_bool go;
};

static void *crew_main(void *arg)
{
    struct crew *crew = arg;
    unsigned index = atomic_fetch_add(&crew->next, 1);
    if (crew->hooks != NULL && crew->hooks->begin != NULL) {
        crew->hooks->begin(crew->hooks->arg);
    }
    atomic_fetch_add(&crew->ready, 1);
    while (!atomic_load(&crew->go)) {
        sched_yield();
    }
    crew->fn(crew->arg, index);
    if (crew->hooks != NULL && crew->hooks->end != NULL) {
        crew->hooks->end(crew->hooks->arg);
    }
    return NULL;
}

uint64_t crew_run(unsigned count, crew_fn *fn, void *arg, const struct crew_hooks *hooks)
{
    struct crew crew = {.fn = fn, .arg = arg, .hooks = hooks};
    pthread_t threads[256];
    unsigned started = 0;
    while (started < count && started < 256 &&
           pthread_create(&threads[started], NULL, crew_main, &crew) == 0) {
        started++;
    }
    if (started < count) {
        (void)fprintf(stderr, "numapool-bench: %u threads instead of %u\n", started, count);
    }
    while (atomic_load(&crew.ready) < started) {
        sched_yield();
    }
    uint64_t begin = ticks_now();
    atomic_store(&crew.go, true);
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    return begin;
}

/* ---------------------------------------------------------------------------------- done */

#define WORDS 512

static struct {
    _Alignas(128) _Atomic uint64_t count;
} words[WORDS];
static atomic_uint words_used;
static __thread unsigned own; /* index + 1 */

void done_reset(void)
{
    for (unsigned i = 0; i < WORDS; i++) {
        atomic_store(&words[i].count, 0);
    }
}

static _Atomic uint64_t *own_word(void)
{
    if (own == 0) {
        own = atomic_fetch_add(&words_used, 1) % (WORDS - 1) + 1;
    }
    return &words[own].count;
}

/* A thread's own word while fewer than WORDS live; more threads than that have ended when the index comes
   round. */
void done_one(void)
{
    _Atomic uint64_t *word = own_word();
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1,
                          memory_order_release);
}

void done_one_of_many_threads(void)
{
    (void)atomic_fetch_add_explicit(&words[0].count, 1, memory_order_release);
}

uint64_t done_sum(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        sum += atomic_load_explicit(&words[i].count, memory_order_acquire);
    }
    return sum;
}

void done_wait(uint64_t count)
{
    while (done_sum() < count) {
        sleep_until_ns(monotonic_ns() + 20000);
    }
}

/* ------------------------------------------------------------------------------- samples */

bool samples_init(struct samples *samples, size_t space)
{
    *samples = (struct samples){.ticks = malloc(space * sizeof *samples->ticks), .space = space};
    if (samples->ticks == NULL) {
        samples->space = 0;
        return false;
    }
    memset(samples->ticks, 0, space * sizeof *samples->ticks); /* no page fault while measuring */
    return true;
}

void samples_fini(struct samples *samples)
{
    free(samples->ticks);
    *samples = (struct samples){0};
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void samples_sort(struct samples *samples)
{
    qsort(samples->ticks, samples->count, sizeof *samples->ticks, ascending);
}

double samples_percentile_ns(const struct samples *samples, double share)
{
    if (samples->count == 0) {
        return 0;
    }
    size_t at = (size_t)(share * (double)samples->count);
    return ticks_ns(samples->ticks[at < samples->count ? at : samples->count - 1]);
}

void samples_tell(struct samples *samples, struct bench_run *run, const char *prefix)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {
        {"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}, {"p999_ns", 0.999}, {"max_ns", 1}};
    samples_sort(samples);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        char name[sizeof run->figures[0].name];
        (void)snprintf(name, sizeof name, "%s%s", prefix, shares[i].name);
        bench_figure(run, name, samples_percentile_ns(samples, shares[i].share));
    }
}

/* ---------------------------------------------------------------------------------- work */

void work(uint64_t turns)
{
    /* A chain of multiplications: its time depends on the processor's frequency and nothing else. */
    uint64_t x = turns | 1;
    for (uint64_t i = 0; i < turns; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
}

/* The least of several tries is the one that nobody interrupted. */
uint64_t work_turns(double ns)
{
    static double turns_per_ns;
    if (turns_per_ns == 0) {
        uint64_t best = UINT64_MAX;
        for (int i = 0; i < 200; i++) {
            uint64_t begin = ticks_now();
            work(20000);
            uint64_t took = ticks_now() - begin;
            best = took < best ? took : best;
        }
        turns_per_ns = 20000 / ticks_ns(best);
    }
    return (uint64_t)(ns * turns_per_ns);
}

/* ---------------------------------------------------------------------------------- CPUs */

#define SETS 8
static cpu_set_t all[SETS];
static unsigned all_count;

static void read_all(void)
{
    if (all_count == 0 && sched_getaffinity(0, sizeof all, all) == 0) {
        all_count = (unsigned)CPU_COUNT_S(sizeof all, all);
    }
}

unsigned cpus_allowed(void)
{
    read_all();
    return all_count != 0 ? all_count : 1;
}

static bool keep(bool first)
{
    if (cpus_allowed() < 2) {
        return false;
    }
    cpu_set_t some[SETS];
    CPU_ZERO_S(sizeof some, some);
    bool passed = false;
    for (size_t cpu = 0; cpu < sizeof all * 8; cpu++) {
        if (CPU_ISSET_S(cpu, sizeof all, all)) {
            if (passed != first) {
                CPU_SET_S(cpu, sizeof some, some);
            }
            passed = true;
        }
    }
    return sched_setaffinity(0, sizeof some, some) == 0;
}

bool cpus_take_first_away(void)
{
    return keep(false);
}

bool cpus_first_alone(void)
{
    return keep(true);
}

void cpus_all_again(void)
{
    if (cpus_allowed() >= 2) {
        (void)sched_setaffinity(0, sizeof all, all);
    }
}
