/*
 * The bare loop. The number of threads is chosen so that the CPUs are busy but not fought over:
 * with few, each wake-up finds the CPU asleep and costs more; far too many, and switching costs
 * more.
 */
#include "bound.h"

#include "clock.h"
#include "host.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define THREADS_PER_CPU 512
#define THREADS_MOST 4096
#define STACK_BYTES 65536

static struct {
    const struct options *options;
    size_t page_bytes;
    atomic_uint ready;
    atomic_bool stop;
} bare;

struct looper {
    alignas(64) _Atomic uint64_t completed;
    pthread_t thread;
};

static void *loop(void *argument)
{
    struct looper *looper = argument;
    size_t bytes = bare.options->touch_bytes;
    size_t mapped = bytes > 0 ? bytes : 1;
    volatile unsigned char *memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    atomic_fetch_add(&bare.ready, 1);
    if (memory == MAP_FAILED)
        return NULL;
    for (uint64_t completed = 1; !atomic_load_explicit(&bare.stop, memory_order_relaxed);
         completed++) {
        for (size_t at = 0; at < bytes; at += bare.page_bytes)
            memory[at] = 1;
        if (bare.options->service_ns > 0)
            clock_sleep_for_ns(bare.options->service_ns);
        atomic_store_explicit(&looper->completed, completed, memory_order_relaxed);
    }
    munmap((void *)memory, mapped);
    return NULL;
}

static uint64_t cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

static uint64_t completed_by_all(struct looper *loopers, unsigned count)
{
    uint64_t completed = 0;
    for (unsigned i = 0; i < count; i++)
        completed += atomic_load_explicit(&loopers[i].completed, memory_order_relaxed);
    return completed;
}

static unsigned thread_count(const struct options *options, const struct host *host)
{
    uint64_t count = (uint64_t)host->cpus_allowed * THREADS_PER_CPU;
    uint64_t room = host->memory_available_bytes / 4 < options->memory_bytes
                        ? host->memory_available_bytes / 4
                        : options->memory_bytes;
    uint64_t fit = room / (options->touch_bytes + STACK_BYTES);

    if (count > THREADS_MOST)
        count = THREADS_MOST;
    if (count > fit)
        count = fit;
    /* Without a sleep every thread keeps a CPU busy by itself. */
    if (options->service_ns == 0 && count > host->cpus_allowed)
        count = host->cpus_allowed;
    return count > 0 ? (unsigned)count : 1;
}

void bound_measure(const struct options *options, struct result *result)
{
    struct figures *f = &result->figures;
    struct host host;
    pthread_attr_t attributes;
    unsigned started = 0;

    *result = (struct result){0};
    snprintf(f->name, sizeof f->name, "bare");
    host_read(&host);
    unsigned wanted = thread_count(options, &host);
    struct looper *loopers = aligned_alloc(alignof(struct looper), wanted * sizeof *loopers);
    if (loopers == NULL || pthread_attr_init(&attributes) != 0) {
        free(loopers);
        return;
    }
    bare.options = options;
    bare.page_bytes = (size_t)host.page_bytes;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (; started < wanted; started++) {
        atomic_init(&loopers[started].completed, 0);
        if (pthread_create(&loopers[started].thread, &attributes, loop, &loopers[started]) != 0)
            break;
    }
    while (atomic_load(&bare.ready) < started)
        clock_sleep_for_ns(1000000);

    uint64_t completed = completed_by_all(loopers, started);
    uint64_t start_cpu_ns = cpu_ns(), start_ns = clock_now_ns();
    /* Nothing at all in that time: the machine stood still for it. */
    for (int spell = 0; spell < 50 && f->completed == 0; spell++) {
        clock_sleep_for_ns(options->bound_ns);
        f->completed = completed_by_all(loopers, started) - completed;
    }
    f->cpu_ns = cpu_ns() - start_cpu_ns;
    f->elapsed_ns = clock_now_ns() - start_ns;
    f->threads_peak = started;
    f->measured = f->completed > 0;

    atomic_store(&bare.stop, true);
    for (unsigned i = 0; i < started; i++)
        pthread_join(loopers[i].thread, NULL);
    pthread_attr_destroy(&attributes);
    free(loopers);
}
