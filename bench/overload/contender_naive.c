/*
 * A thread per request: what one writes first. It refuses only when the system gives no thread, and
 * gives up where its memory would pass the limit: without one the kernel would end the process.
 */
#include "contender.h"

#include "clock.h"
#include "request.h"
#include "run.h"
#include "sampler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Stack and kernel memory that a running thread has touched, beside its request's. */
#define THREAD_BYTES 16384

struct naive {
    uint64_t limit_bytes;
    uint64_t base_bytes; /* resident before the first request */
    uint64_t touch_bytes;
    pthread_attr_t detached;
    _Atomic uint64_t alive;
};

/* A thread learns its request from its argument alone; the one contender per process is here. */
static struct naive *the_naive;

static uint64_t default_limit_bytes(const struct host *host)
{
    uint64_t half = host->memory_available_bytes / 2;
    return half > 0 && half < UINT64_C(16000000000) ? half : UINT64_C(16000000000);
}

static bool naive_open(struct run *run)
{
    struct naive *naive = calloc(1, sizeof *naive);
    struct process_gauge process;

    if (naive == NULL || pthread_attr_init(&naive->detached) != 0) {
        free(naive);
        run_note(run, "out of memory");
        return false;
    }
    pthread_attr_setdetachstate(&naive->detached, PTHREAD_CREATE_DETACHED);
    naive->limit_bytes = run->options->naive_limit_bytes > 0 ? run->options->naive_limit_bytes
                                                             : default_limit_bytes(&run->host);
    naive->touch_bytes = run->options->touch_bytes;
    process_read(&process);
    naive->base_bytes = process.rss_bytes;
    run->state = naive;
    the_naive = naive;
    return true;
}

static void *serve(void *argument)
{
    uint64_t begin_ns = clock_now_ns();
    void *memory = malloc(the_naive->touch_bytes > 0 ? the_naive->touch_bytes : 1);

    request_serve((uint64_t)(uintptr_t)argument, begin_ns, memory);
    free(memory);
    /* The last use of anything shared: finish() frees it when the count is 0. */
    atomic_fetch_sub_explicit(&the_naive->alive, 1, memory_order_release);
    return NULL;
}

/* What the accepted requests may still take counts, not only what they have: threads that wait for
   a CPU have touched nothing yet, but will, and cannot be called back. */
static bool over_limit(struct run *run, const struct naive *naive, uint64_t alive)
{
    uint64_t promised = naive->base_bytes + alive * (naive->touch_bytes + THREAD_BYTES);
    if (promised <= naive->limit_bytes)
        return false;
    if (!atomic_exchange(&run->stopped, true)) {
        run->stopped_at_ns = clock_now_ns();
        run_note(run,
                 "stopped after %.2f s: %llu threads at once need %.2f GB, the limit is %.2f GB "
                 "(--naive-limit-mb); without it the kernel would have killed the process",
                 (double)(run->stopped_at_ns - run->start_ns) / 1e9, (unsigned long long)alive,
                 (double)promised / 1e9, (double)naive->limit_bytes / 1e9);
    }
    return true;
}

static void naive_hand_over(struct generator *generator, uint64_t first, unsigned count,
                            struct handed *handed)
{
    struct run *run = generator->run;
    struct naive *naive = run->state;

    for (unsigned i = 0; i < count; i++) {
        pthread_t thread;
        uint64_t id = request_id(generator->index, first + i);
        uint64_t alive = atomic_fetch_add_explicit(&naive->alive, 1, memory_order_relaxed) + 1;

        if (atomic_load_explicit(&run->stopped, memory_order_relaxed) ||
            over_limit(run, naive, alive)) {
            atomic_fetch_sub_explicit(&naive->alive, 1, memory_order_relaxed);
            return;
        }
        sampler_saw_threads(alive);
        if (pthread_create(&thread, &naive->detached, serve, (void *)(uintptr_t)id) == 0) {
            handed->accepted++;
        } else {
            atomic_fetch_sub_explicit(&naive->alive, 1, memory_order_relaxed);
            handed->refused++;
        }
    }
}

static void naive_finish(struct run *run)
{
    struct naive *naive = run->state;
    /* Acquire: pairs with the release of serve(); afterwards no thread uses shared memory. */
    while (atomic_load_explicit(&naive->alive, memory_order_acquire) > 0)
        clock_sleep_for_ns(1000000);
}

static void naive_close(struct run *run)
{
    struct naive *naive = run->state;
    pthread_attr_destroy(&naive->detached);
    the_naive = NULL;
    free(naive);
}

const struct contender contender_naive = {
    .name = "naive",
    .open = naive_open,
    .hand_over = naive_hand_over,
    .finish = naive_finish,
    .close = naive_close,
};
