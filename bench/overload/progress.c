/*
 * The live line. Rates and percentiles in it are of the last second, by subtraction of what was
 * seen a second ago.
 */
#include "progress.h"

#include "contender.h"
#include "request.h"
#include "run.h"

#include <stdio.h>
#include <unistd.h>

static struct {
    bool shown;
    struct sample last;
    struct histogram_view last_times;
} progress;

static double per_s(uint64_t now, uint64_t before, double seconds)
{
    return (double)(now - before) / seconds;
}

void progress_show(struct run *run, const struct sample *now)
{
    const struct sample *last = &progress.last;
    double seconds = (double)(now->time_ns - last->time_ns) / 1e9;
    struct histogram_view times, of_second;

    if (seconds < 0.95 || !isatty(STDERR_FILENO))
        return;
    request_read_times(REQUEST_END_TO_END, &times);
    of_second = times;
    histogram_subtract(&of_second, &progress.last_times);
    fprintf(stderr,
            "\r\033[K%-8s %4.0f/%.4g s  %9.0f handed over/s  %9.0f done/s  %9.0f refused/s  "
            "p99 %7.1f ms  %6llu threads  %6.2f GB%s",
            run->contender->name, (double)now->time_ns / 1e9, (double)run->options->window_ns / 1e9,
            per_s(now->handed_over, last->handed_over, seconds),
            per_s(now->completed, last->completed, seconds),
            per_s(now->refused, last->refused, seconds),
            (double)histogram_percentile_ns(&of_second, 0.99) / 1e6,
            (unsigned long long)now->threads, (double)now->rss_bytes / 1e9,
            atomic_load(&run->stopped) ? "  stopped" : "");
    fflush(stderr);
    progress.shown = true;
    progress.last = *now;
    progress.last_times = times;
}

void progress_clear(void)
{
    if (progress.shown)
        fputs("\r\033[K", stderr);
}
