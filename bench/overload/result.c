/*
 * A result as bytes: the fixed part, the counts, then the arrays. Both ends are the same
 * executable, so the layout needs no description.
 */
#include "result.h"

#include "histogram.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static bool write_all(int fd, const void *data, size_t bytes)
{
    const char *next = data;
    while (bytes > 0) {
        ssize_t wrote = write(fd, next, bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        next += wrote;
        bytes -= (size_t)wrote;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t bytes)
{
    char *next = data;
    while (bytes > 0) {
        ssize_t got = read(fd, next, bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        next += got;
        bytes -= (size_t)got;
    }
    return true;
}

/* Allocates and reads an array; an empty one is NULL. */
static void *read_array(int fd, size_t count, size_t size, bool *ok)
{
    if (!*ok || count == 0)
        return NULL;
    void *array = calloc(count, size);
    *ok = array != NULL && read_all(fd, array, count * size);
    if (!*ok) {
        free(array);
        return NULL;
    }
    return array;
}

bool result_write(const struct result *r, int fd)
{
    return write_all(fd, r, sizeof *r) &&
           write_all(fd, r->samples, r->sample_count * sizeof *r->samples) &&
           write_all(fd, r->ticks, r->tick_count * sizeof *r->ticks) &&
           write_all(fd, r->shards, r->shard_count * sizeof *r->shards) &&
           write_all(fd, r->shard_samples,
                     r->shard_count * r->shard_sample_count * sizeof *r->shard_samples) &&
           write_all(fd, r->plan, r->plan_bytes);
}

bool result_read(struct result *r, int fd)
{
    bool ok = read_all(fd, r, sizeof *r);
    if (!ok) {
        *r = (struct result){0};
        return false;
    }
    r->samples = read_array(fd, r->sample_count, sizeof *r->samples, &ok);
    r->ticks = read_array(fd, r->tick_count, sizeof *r->ticks, &ok);
    r->shards = read_array(fd, r->shard_count, sizeof *r->shards, &ok);
    r->shard_samples =
        read_array(fd, r->shard_count * r->shard_sample_count, sizeof *r->shard_samples, &ok);
    r->plan = read_array(fd, r->plan_bytes, 1, &ok);
    if (!ok)
        result_free(r);
    return ok;
}

void result_free(struct result *r)
{
    free(r->samples);
    free(r->ticks);
    free(r->shards);
    free(r->shard_samples);
    free(r->plan);
    *r = (struct result){0};
}

void result_summarize(struct latency *latency, const struct histogram_view *view)
{
    *latency = (struct latency){
        .count = view->total,
        .mean_ns = histogram_mean_ns(view),
        .p50_ns = histogram_percentile_ns(view, 0.50),
        .p99_ns = histogram_percentile_ns(view, 0.99),
        .p999_ns = histogram_percentile_ns(view, 0.999),
        .max_ns = view->max_ns,
    };
}
