/* Questions to a finished run; see measure.h. */
#include "sim/measure.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "sim/event.h"

const struct sim_range SIM_ALL = {0.0, 1e9, -1};

static bool inside(const struct sim_done *done, struct sim_range range)
{
    return (double)done->end_s >= range.from_s && (double)done->end_s < range.until_s &&
           (range.task_class < 0 || done->task_class == range.task_class);
}

static int compare(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

enum part { PART_TOTAL, PART_WAIT, PART_INSIDE };

static double percentile_of(const struct sim_result *result, struct sim_range range,
                            double percentile, enum part part)
{
    float *values = sim_zeroed(result->done_count, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; i < result->done_count; i++) {
        const struct sim_done *done = &result->done[i];
        if (!inside(done, range))
            continue;
        values[count++] = part == PART_INSIDE  ? done->inside_ms
                          : part == PART_TOTAL ? done->total_ms
                                               : done->total_ms - done->inside_ms;
    }
    qsort(values, count, sizeof *values, compare);
    size_t at = (size_t)(percentile * (double)count);
    double answer = count ? (double)values[at < count ? at : count - 1] : (double)NAN;
    free(values);
    return answer;
}

double sim_total_ms(const struct sim_result *result, struct sim_range range, double percentile)
{
    return percentile_of(result, range, percentile, PART_TOTAL);
}

double sim_wait_ms(const struct sim_result *result, struct sim_range range, double percentile)
{
    return percentile_of(result, range, percentile, PART_WAIT);
}

double sim_inside_ms(const struct sim_result *result, struct sim_range range, double percentile)
{
    return percentile_of(result, range, percentile, PART_INSIDE);
}

double sim_inside_ms_mean(const struct sim_result *result, struct sim_range range)
{
    double sum = 0.0, count = 0.0;
    for (size_t i = 0; i < result->done_count; i++) {
        if (inside(&result->done[i], range)) {
            sum += (double)result->done[i].inside_ms;
            count += 1.0;
        }
    }
    return count > 0.0 ? sum / count : (double)NAN;
}

double sim_done_per_s(const struct sim_result *result, double from_s, double until_s)
{
    struct sim_range range = {from_s, until_s, -1};
    double count = 0.0;
    for (size_t i = 0; i < result->done_count; i++)
        count += inside(&result->done[i], range) ? 1.0 : 0.0;
    return count / (until_s - from_s);
}

double sim_reached_s(const struct sim_result *result, double from_s, double per_s)
{
    size_t windows = (size_t)(result->seconds * 10.0 + 0.5);
    uint32_t *counts = sim_zeroed(windows + 1, sizeof *counts);
    for (size_t i = 0; i < result->done_count; i++) {
        size_t window = (size_t)((double)result->done[i].end_s * 10.0);
        counts[window < windows ? window : windows]++;
    }
    double answer = -1.0;
    for (size_t i = (size_t)(from_s * 10.0 + 0.5); i < windows && answer < 0.0; i++)
        if ((double)counts[i] * 10.0 >= per_s)
            answer = (double)i / 10.0;
    free(counts);
    return answer;
}

const struct sim_tick *sim_tick_at(const struct sim_result *result, size_t tick, size_t shard)
{
    return &result->ticks[tick * result->shard_count + shard];
}

static struct sim_span span_of(const struct sim_result *result, size_t shard, double from_s,
                               double until_s, bool limit)
{
    struct sim_span span = {1e30, 0.0, 0.0};
    double count = 0.0;
    for (size_t tick = 0; tick < result->tick_count; tick++) {
        double at = (double)(tick + 1) * result->tick_s;
        if (at < from_s || at >= until_s)
            continue;
        const struct sim_tick *its = sim_tick_at(result, tick, shard);
        double value = limit ? its->limit_workers : (double)its->runnable;
        span.low = fmin(span.low, value);
        span.high = fmax(span.high, value);
        span.mean += value;
        count += 1.0;
    }
    span.mean /= count;
    return span;
}

struct sim_span sim_limit(const struct sim_result *result, size_t shard, double from_s,
                          double until_s)
{
    return span_of(result, shard, from_s, until_s, true);
}

struct sim_span sim_runnable(const struct sim_result *result, size_t shard, double from_s,
                             double until_s)
{
    return span_of(result, shard, from_s, until_s, false);
}

double sim_moved(const struct sim_result *result, double from_s, double until_s)
{
    double sum = 0.0;
    for (size_t tick = 0; tick < result->tick_count; tick++) {
        double at = (double)(tick + 1) * result->tick_s;
        if (at >= from_s && at < until_s)
            sum += result->moved_workers[tick];
    }
    return sum;
}

double sim_remote_share(const struct sim_result *result)
{
    return result->completed ? (double)result->away / (double)result->completed : 0.0;
}

double sim_oracle(const struct sim_result *result, double capacity_tasks, sim_rate *per_s,
                  const void *arg)
{
    double queue = 0.0, done = 0.0;
    for (size_t ms = 0; ms < result->ms_count; ms++) {
        double served = per_s((double)ms * 1e-3, arg) * 1e-3;
        queue += (double)result->arrived_per_ms[ms];
        served = fmin(served, queue);
        queue = fmin(queue - served, capacity_tasks);
        done += served;
    }
    return done;
}
