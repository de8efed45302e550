/*
 * The request and its bookkeeping. Counters and histograms are kept per CPU and shared by the
 * threads that happen to be there: with thousands of threads one each would weigh more than the
 * contenders' own memory, and an add that is rarely contended costs nanoseconds beside a sleep of
 * milliseconds.
 */
#include "request.h"

#include "clock.h"
#include "options.h"
#include "schedule.h"

#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stripe {
    alignas(64) _Atomic uint64_t completed;
    _Atomic uint64_t no_memory;
    _Atomic uint64_t dropped;
    _Atomic uint64_t twice;
    _Atomic uint64_t last_ns;
    struct histogram times[REQUEST_TIMES];
};

static struct {
    struct generator *generators;
    struct stripe *stripes;
    unsigned stripe_count;
    size_t touch_bytes;
    size_t page_bytes;
    uint64_t service_ns;
} context;

int request_setup(const struct options *options, struct generator *generators)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    unsigned count = cpus > 0 ? (unsigned)cpus : 1;
    struct stripe *stripes = aligned_alloc(alignof(struct stripe), count * sizeof *stripes);

    if (stripes == NULL)
        return -1;
    memset(stripes, 0, count * sizeof *stripes);
    context.generators = generators;
    context.stripes = stripes;
    context.stripe_count = count;
    context.touch_bytes = options->touch_bytes;
    context.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    context.service_ns = options->service_ns;
    return 0;
}

static struct stripe *here(void)
{
    int cpu = sched_getcpu();
    return &context.stripes[cpu < 0 ? 0 : (unsigned)cpu % context.stripe_count];
}

static void count_one(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static struct generator *generator_of(uint64_t id, uint64_t *index)
{
    *index = id & ((UINT64_C(1) << REQUEST_INDEX_BITS) - 1);
    return &context.generators[id >> REQUEST_INDEX_BITS];
}

/* Marks the request's only end. The bit tells a request that ran twice from two that ran once. */
static void mark_end(struct stripe *stripe, struct generator *generator, uint64_t index)
{
    uint64_t bit = UINT64_C(1) << (index % 64);
    if (atomic_fetch_or_explicit(&generator->ran[index / 64], bit, memory_order_relaxed) & bit)
        count_one(&stripe->twice);
}

static void touch(void *memory)
{
    volatile unsigned char *bytes = memory;
    for (size_t at = 0; at < context.touch_bytes; at += context.page_bytes)
        bytes[at] = 1;
}

void request_serve(uint64_t id, uint64_t begin_ns, void *memory)
{
    uint64_t index;
    struct generator *generator = generator_of(id, &index);

    if (memory == NULL) {
        struct stripe *stripe = here();
        mark_end(stripe, generator, index);
        count_one(&stripe->no_memory);
        return;
    }
    touch(memory);
    if (context.service_ns > 0)
        clock_sleep_for_ns(context.service_ns);

    uint64_t end_ns = clock_now_ns();
    uint64_t intended_ns = schedule_intended_ns(generator, index);
    struct stripe *stripe = here();
    mark_end(stripe, generator, index);
    histogram_add(&stripe->times[REQUEST_IN_TASK], end_ns - begin_ns);
    histogram_add(&stripe->times[REQUEST_END_TO_END], end_ns - intended_ns);
    histogram_add(&stripe->times[REQUEST_WAIT], begin_ns - intended_ns);
    if (end_ns > atomic_load_explicit(&stripe->last_ns, memory_order_relaxed))
        atomic_store_explicit(&stripe->last_ns, end_ns, memory_order_relaxed);
    count_one(&stripe->completed);
}

void request_dropped(uint64_t id)
{
    uint64_t index;
    struct generator *generator = generator_of(id, &index);
    struct stripe *stripe = here();

    mark_end(stripe, generator, index);
    count_one(&stripe->dropped);
}

void request_read_totals(struct request_totals *totals)
{
    *totals = (struct request_totals){0};
    for (unsigned i = 0; i < context.stripe_count; i++) {
        struct stripe *stripe = &context.stripes[i];
        totals->completed += atomic_load_explicit(&stripe->completed, memory_order_relaxed);
        totals->no_memory += atomic_load_explicit(&stripe->no_memory, memory_order_relaxed);
        totals->dropped += atomic_load_explicit(&stripe->dropped, memory_order_relaxed);
        totals->twice += atomic_load_explicit(&stripe->twice, memory_order_relaxed);
        uint64_t last_ns = atomic_load_explicit(&stripe->last_ns, memory_order_relaxed);
        if (last_ns > totals->last_ns)
            totals->last_ns = last_ns;
    }
}

void request_read_times(enum request_time which, struct histogram_view *view)
{
    *view = (struct histogram_view){0};
    for (unsigned i = 0; i < context.stripe_count; i++)
        histogram_merge(view, &context.stripes[i].times[which]);
}
