/*
 * The textbook pool: one bounded queue behind one mutex, one condition variable, a fixed number of
 * threads. It gets the same bounds as numapool, so that the difference is not the size of a queue.
 */
#include "contender.h"

#include "clock.h"
#include "request.h"
#include "run.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES (256 * 1024) /* numapool's default */

struct fixed {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    uint64_t *queue; /* ring of request ids */
    size_t capacity;
    size_t head;
    size_t depth;
    bool closed;
    size_t touch_bytes;
    bool reuse;
    unsigned worker_count;
    pthread_t *workers;
};

static void *work(void *argument)
{
    struct fixed *fixed = argument;
    void *own = fixed->reuse ? malloc(fixed->touch_bytes) : NULL;

    pthread_mutex_lock(&fixed->lock);
    for (;;) {
        while (fixed->depth == 0 && !fixed->closed)
            pthread_cond_wait(&fixed->filled, &fixed->lock);
        if (fixed->depth == 0)
            break;
        uint64_t id = fixed->queue[fixed->head];
        fixed->head = fixed->head + 1 == fixed->capacity ? 0 : fixed->head + 1;
        fixed->depth--;
        pthread_mutex_unlock(&fixed->lock);

        uint64_t begin_ns = clock_now_ns();
        void *memory = fixed->reuse ? own : malloc(fixed->touch_bytes);
        request_serve(id, begin_ns, memory);
        if (!fixed->reuse)
            free(memory);

        pthread_mutex_lock(&fixed->lock);
    }
    pthread_mutex_unlock(&fixed->lock);
    free(own);
    return NULL;
}

/* Starts as many workers as the system gives; at least one. */
static bool start_workers(struct run *run, struct fixed *fixed, unsigned wanted)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);

    if (error == 0) {
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        while (fixed->worker_count < wanted && error == 0) {
            error = pthread_create(&fixed->workers[fixed->worker_count], &attributes, work, fixed);
            fixed->worker_count += error == 0;
        }
        pthread_attr_destroy(&attributes);
    }
    if (error != 0)
        run_note(run, "%u of %u threads started: %s", fixed->worker_count, wanted, strerror(error));
    return fixed->worker_count > 0;
}

static bool fixed_open(struct run *run)
{
    const struct options *options = run->options;
    unsigned wanted = options->fixed_workers > 0 ? options->fixed_workers : options->workers_max;
    struct fixed *fixed = calloc(1, sizeof *fixed);

    if (fixed == NULL)
        goto no_memory;
    pthread_mutex_init(&fixed->lock, NULL);
    pthread_cond_init(&fixed->filled, NULL);
    fixed->capacity =
        options->queue_tasks > 0 ? options->queue_tasks : (size_t)run->host.cpus_allowed * 1024;
    fixed->touch_bytes = options->touch_bytes > 0 ? options->touch_bytes : 1;
    fixed->reuse = options->fixed_reuse;
    fixed->queue = calloc(fixed->capacity, sizeof *fixed->queue);
    fixed->workers = calloc(wanted, sizeof *fixed->workers);
    if (fixed->queue == NULL || fixed->workers == NULL)
        goto no_memory;
    if (!start_workers(run, fixed, wanted))
        goto failed;
    run->state = fixed;
    return true;

no_memory:
    run_note(run, "out of memory");
failed:
    if (fixed != NULL) {
        free(fixed->queue);
        free(fixed->workers);
    }
    free(fixed);
    return false;
}

static void fixed_hand_over(struct generator *generator, uint64_t first, unsigned count,
                            struct handed *handed)
{
    struct fixed *fixed = generator->run->state;

    /* One lock per request, as its users call it. */
    for (unsigned i = 0; i < count; i++) {
        pthread_mutex_lock(&fixed->lock);
        bool room = fixed->depth < fixed->capacity;
        if (room) {
            size_t tail = fixed->head + fixed->depth;
            fixed->queue[tail < fixed->capacity ? tail : tail - fixed->capacity] =
                request_id(generator->index, first + i);
            fixed->depth++;
        }
        pthread_mutex_unlock(&fixed->lock);
        if (room) {
            pthread_cond_signal(&fixed->filled);
            handed->accepted++;
        } else {
            handed->refused++;
        }
    }
}

static void fixed_finish(struct run *run)
{
    struct fixed *fixed = run->state;

    pthread_mutex_lock(&fixed->lock);
    fixed->closed = true;
    pthread_cond_broadcast(&fixed->filled);
    pthread_mutex_unlock(&fixed->lock);
    for (unsigned i = 0; i < fixed->worker_count; i++)
        pthread_join(fixed->workers[i], NULL);
}

static void fixed_close(struct run *run)
{
    struct fixed *fixed = run->state;

    pthread_cond_destroy(&fixed->filled);
    pthread_mutex_destroy(&fixed->lock);
    free(fixed->queue);
    free(fixed->workers);
    free(fixed);
}

const struct contender contender_fixed = {
    .name = "fixed",
    .open = fixed_open,
    .hand_over = fixed_hand_over,
    .finish = fixed_finish,
    .close = fixed_close,
};
