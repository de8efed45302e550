/*
 * The sampler's thread and its readings of /proc/self.
 */
#include "sampler.h"

#include "clock.h"
#include "contender.h"
#include "progress.h"
#include "request.h"
#include "run.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS UINT64_C(20000000)
#define TICKS_MOST 15000 /* of the window; a longer one is sampled less often */
#define TICKS_AFTER 1500 /* room for what is noted after the window */
#define TICKS_PER_SAMPLE 5

static struct {
    pthread_t thread;
    atomic_bool stop;
    _Atomic uint64_t threads_seen;
    uint64_t threads_peak;
    uint64_t tick_ns;
    size_t tick_room;
    size_t sample_room;
    uint64_t cpu_ns;
} sampler;

void process_read(struct process_gauge *gauge)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");

    *gauge = (struct process_gauge){0};
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long long value = 0;
        if (sscanf(line, "VmHWM: %llu", &value) == 1)
            gauge->rss_peak_bytes = value * 1024;
        else if (sscanf(line, "VmRSS: %llu", &value) == 1)
            gauge->rss_bytes = value * 1024;
        else if (sscanf(line, "Threads: %llu", &value) == 1)
            gauge->threads = value;
    }
    if (file != NULL)
        fclose(file);
}

void sampler_saw_threads(uint64_t threads)
{
    uint64_t seen = atomic_load_explicit(&sampler.threads_seen, memory_order_relaxed);
    while (threads > seen &&
           !atomic_compare_exchange_weak_explicit(&sampler.threads_seen, &seen, threads,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static void note_sample(struct run *run, uint64_t time_ns, uint64_t completed)
{
    struct result *result = run->result;
    struct process_gauge gauge;

    process_read(&gauge);
    if (gauge.threads > sampler.threads_peak)
        sampler.threads_peak = gauge.threads;
    if (result->sample_count == sampler.sample_room)
        return;
    struct sample *sample = &result->samples[result->sample_count];
    *sample = (struct sample){
        .time_ns = time_ns,
        .completed = completed,
        .rss_bytes = gauge.rss_bytes,
        .threads = gauge.threads,
    };
    for (size_t i = 0; i < run->generator_count; i++) {
        struct generator *g = &run->generators[i];
        sample->handed_over += atomic_load_explicit(&g->handed_over, memory_order_relaxed);
        sample->refused += atomic_load_explicit(&g->refused, memory_order_relaxed);
    }
    result->sample_count++;
    if (run->contender->sample != NULL && result->shard_samples != NULL) {
        run->contender->sample(run, time_ns);
        result->shard_sample_count++;
    }
    progress_show(run, sample);
}

static void note(struct run *run, bool with_sample)
{
    struct result *result = run->result;
    uint64_t now_ns = clock_now_ns();
    uint64_t time_ns = now_ns > run->start_ns ? now_ns - run->start_ns : 0;
    struct request_totals totals;

    request_read_totals(&totals);
    if (result->tick_count < sampler.tick_room)
        result->ticks[result->tick_count++] =
            (struct tick){.time_ns = time_ns, .completed = totals.completed};
    if (with_sample)
        note_sample(run, time_ns, totals.completed);
}

static void *watch(void *argument)
{
    struct run *run = argument;
    uint64_t wake_ns = run->start_ns;

    pthread_setname_np(pthread_self(), "sampler");
    clock_sleep_until_ns(wake_ns);
    uint64_t cpu_before_ns = clock_thread_cpu_ns();
    for (unsigned i = 0; !atomic_load(&sampler.stop); i++) {
        note(run, i % TICKS_PER_SAMPLE == 0);
        /* A sampler that was held up skips what it missed: two points at once say nothing. */
        uint64_t now_ns = clock_now_ns();
        wake_ns += sampler.tick_ns;
        if (wake_ns < now_ns)
            wake_ns = now_ns;
        clock_sleep_until_ns(wake_ns);
    }
    sampler.cpu_ns = clock_thread_cpu_ns() - cpu_before_ns;
    return NULL;
}

bool sampler_start(struct run *run)
{
    struct result *result = run->result;
    uint64_t window_ns = run->options->window_ns;

    sampler.tick_ns = window_ns / TICKS_MOST > TICK_NS ? window_ns / TICKS_MOST : TICK_NS;
    sampler.tick_room = (size_t)(window_ns / sampler.tick_ns) + TICKS_AFTER;
    sampler.sample_room = sampler.tick_room / TICKS_PER_SAMPLE + 2;
    result->ticks = calloc(sampler.tick_room, sizeof *result->ticks);
    result->samples = calloc(sampler.sample_room, sizeof *result->samples);
    if (result->shard_count > 0)
        result->shard_samples =
            calloc(sampler.sample_room * result->shard_count, sizeof *result->shard_samples);
    if (result->ticks == NULL || result->samples == NULL ||
        (result->shard_count > 0 && result->shard_samples == NULL))
        return false;
    return pthread_create(&sampler.thread, NULL, watch, run) == 0;
}

void sampler_stop(struct run *run)
{
    struct figures *figures = &run->result->figures;
    struct process_gauge gauge;

    atomic_store(&sampler.stop, true);
    pthread_join(sampler.thread, NULL);
    note(run, true);
    progress_clear();

    process_read(&gauge);
    uint64_t seen = atomic_load(&sampler.threads_seen);
    figures->rss_peak_bytes = gauge.rss_peak_bytes;
    figures->threads_peak = sampler.threads_peak > seen ? sampler.threads_peak : seen;
    figures->cpu_sampler_ns = sampler.cpu_ns;
}
