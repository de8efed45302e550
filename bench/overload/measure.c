/*
 * The order of a measurement: contender, generators, sampler, load, the rest of the accepted
 * requests, the count.
 */
#include "measure.h"

#include "clock.h"
#include "request.h"
#include "run.h"
#include "sampler.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Between the start of the threads and the first request, so that all of them are waiting. */
#define LEAD_NS UINT64_C(50000000)

#define STEADY_SHARE 0.95
#define RATE_WINDOW_NS UINT64_C(100000000)

void run_note(struct run *run, const char *format, ...)
{
    char *note = run->result->figures.note;
    size_t room = sizeof run->result->figures.note;
    size_t used = strlen(note);
    va_list arguments;

    if (used > 0 && used + 3 < room) {
        memcpy(note + used, "; ", 3);
        used += 2;
    }
    va_start(arguments, format);
    vsnprintf(note + used, room - used, format, arguments);
    va_end(arguments);
}

static uint64_t process_cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

static bool make_generator(struct run *run, const struct run_node *node, uint64_t rate)
{
    uint64_t count = schedule_count(rate, run->options->window_ns);
    if (count == 0)
        return true;

    size_t bytes = (size_t)(count / 64 + 1) * sizeof(uint64_t);
    void *ran = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ran == MAP_FAILED)
        return false;
    struct generator *g = &run->generators[run->generator_count];
    memset(g, 0, sizeof *g);
    g->run = run;
    g->index = (unsigned)run->generator_count++;
    g->node = node->index;
    g->pin_os_index = run->node_count > 1 ? node->os_index : -1;
    g->rate = rate;
    g->count = count;
    g->ran = ran;
    return true;
}

static bool make_generators(struct run *run)
{
    unsigned per_node = run->options->generators;
    size_t most = (size_t)run->node_count * per_node;
    uint64_t *rates = calloc(most, sizeof *rates);
    bool made = rates != NULL;

    run->generators = aligned_alloc(alignof(struct generator), most * sizeof *run->generators);
    if (made && run->generators != NULL) {
        schedule_split(rates, run->node_count, per_node, run->options->rate, run->options->skew);
        for (size_t i = 0; made && i < most; i++)
            made = make_generator(run, &run->nodes[i / per_node], rates[i]);
    }
    free(rates);
    return made && run->generators != NULL;
}

/* Offers the whole schedule. False when a generator's thread could not be had; the others then run
   to their end all the same. */
static bool offer(struct run *run)
{
    size_t started = 0;

    for (; started < run->generator_count; started++)
        if (pthread_create(&run->generators[started].thread, NULL, schedule_thread,
                           &run->generators[started]) != 0)
            break;
    for (size_t i = 0; i < started; i++)
        pthread_join(run->generators[i].thread, NULL);
    return started == run->generator_count;
}

static void count_requests(struct run *run)
{
    struct figures *f = &run->result->figures;
    struct request_totals totals;
    uint64_t handed_over = 0, refused = 0;

    request_read_totals(&totals);
    for (size_t i = 0; i < run->generator_count; i++) {
        struct generator *g = &run->generators[i];
        f->offered += g->count;
        f->cpu_generators_ns += g->cpu_ns;
        handed_over += atomic_load(&g->handed_over);
        refused += atomic_load(&g->refused);
    }
    f->completed = totals.completed;
    f->completed_twice = totals.twice;
    f->refused_memory = totals.no_memory;
    f->refused = refused + totals.no_memory;
    f->dropped_unsent = f->offered - handed_over;
    f->dropped_accepted = totals.dropped;
    f->dropped = f->dropped_unsent + f->dropped_accepted;
    f->unaccounted = (int64_t)(f->offered - f->completed - f->refused - f->dropped);

    uint64_t window_ns = run->options->window_ns;
    uint64_t last_ns = totals.last_ns > run->start_ns ? totals.last_ns - run->start_ns : 0;
    f->elapsed_ns = last_ns > window_ns ? last_ns : window_ns;
    f->stopped = atomic_load(&run->stopped);
    f->stopped_after_ns = f->stopped ? run->stopped_at_ns - run->start_ns : 0;
}

static void summarize_times(struct run *run)
{
    struct figures *f = &run->result->figures;
    struct histogram_view view;

    request_read_times(REQUEST_IN_TASK, &view);
    result_summarize(&f->in_task, &view);
    request_read_times(REQUEST_END_TO_END, &view);
    result_summarize(&f->end_to_end, &view);
    request_read_times(REQUEST_WAIT, &view);
    result_summarize(&f->wait, &view);

    view = (struct histogram_view){0};
    for (size_t i = 0; i < run->generator_count; i++)
        histogram_merge(&view, &run->generators[i].lateness);
    result_summarize(&f->lateness, &view);

    view = (struct histogram_view){0};
    for (size_t i = 0; i < run->generator_count; i++)
        histogram_merge(&view, &run->generators[i].refusal);
    result_summarize(&f->refusal, &view);
    f->refusal.count *= SCHEDULE_BATCH;
    f->refusal.mean_ns /= SCHEDULE_BATCH;
    f->refusal.p50_ns /= SCHEDULE_BATCH;
    f->refusal.p99_ns /= SCHEDULE_BATCH;
    f->refusal.p999_ns /= SCHEDULE_BATCH;
    f->refusal.max_ns /= SCHEDULE_BATCH;
}

static double rate_per_s(const struct tick *from, const struct tick *to)
{
    uint64_t span_ns = to->time_ns - from->time_ns;
    return span_ns == 0 ? 0 : (double)(to->completed - from->completed) * 1e9 / (double)span_ns;
}

/* How soon the completion rate over the last 100 ms reached 95 % of what it was in the second half.
 */
static void find_steady(struct run *run)
{
    struct figures *f = &run->result->figures;
    const struct tick *ticks = run->result->ticks;
    uint64_t window_ns = run->options->window_ns;
    size_t middle = 0, end = 0;

    for (size_t i = 0; i < run->result->tick_count && ticks[i].time_ns <= window_ns; i++) {
        end = i;
        if (ticks[i].time_ns <= window_ns / 2)
            middle = i;
    }
    if (f->stopped || end == middle)
        return;
    f->steady_per_s = rate_per_s(&ticks[middle], &ticks[end]);
    for (size_t from = 0, to = 0; to <= end; to++) {
        while (ticks[to].time_ns - ticks[from].time_ns > RATE_WINDOW_NS && from + 1 < to)
            from++;
        if (ticks[to].time_ns >= RATE_WINDOW_NS && f->steady_per_s > 0 &&
            rate_per_s(&ticks[from], &ticks[to]) >= STEADY_SHARE * f->steady_per_s) {
            f->steady_after_ns = ticks[to].time_ns;
            return;
        }
    }
}

/* From the first request to the last. False when there are no figures. */
static bool take_load(struct run *run)
{
    struct figures *f = &run->result->figures;
    struct process_gauge gauge;
    struct host_cpu before, after;

    process_read(&gauge);
    f->rss_start_bytes = gauge.rss_bytes;
    run->start_ns = clock_now_ns() + LEAD_NS;
    for (size_t i = 0; i < run->generator_count; i++)
        run->generators[i].start_ns = run->start_ns;
    if (!sampler_start(run)) {
        run_note(run, "the sampler could not be started");
        return false;
    }
    host_cpu_read(&before);
    uint64_t cpu_before_ns = process_cpu_ns();
    bool offered = offer(run);
    if (!offered)
        run_note(run, "not every generator could be started");
    for (size_t i = 0; offered && i < run->generator_count; i++)
        f->generators_realtime += run->generators[i].realtime;
    run->contender->finish(run);
    f->cpu_ns = process_cpu_ns() - cpu_before_ns;
    host_cpu_read(&after);
    sampler_stop(run);

    uint64_t busy_ns = after.busy_ns - before.busy_ns;
    f->cpu_others_ns = busy_ns > f->cpu_ns ? busy_ns - f->cpu_ns : 0;
    f->cpu_stolen_ns = after.stolen_ns - before.stolen_ns;
    return offered;
}

void measure(const struct options *options, const struct contender *contender,
             struct result *result)
{
    static struct run run;
    struct figures *f = &result->figures;

    *result = (struct result){0};
    run = (struct run){.options = options, .contender = contender, .result = result};
    snprintf(f->name, sizeof f->name, "%s", contender->name);
    host_read(&run.host);
    if (!contender->open(&run))
        return;
    for (; run.node_count < run.host.node_count && contender->sample == NULL; run.node_count++)
        run.nodes[run.node_count] = (struct run_node){
            .index = (int)run.node_count, .os_index = run.host.node_os_index[run.node_count]};
    f->node_count = run.node_count;
    bool measured = false;
    if (run.node_count == 0 || !make_generators(&run) ||
        request_setup(options, run.generators) != 0)
        run_note(&run, "no nodes, or no memory for the schedule");
    else
        measured = take_load(&run);
    contender->close(&run);
    if (!measured)
        return;
    count_requests(&run);
    summarize_times(&run);
    find_steady(&run);
    f->measured = true;
}
