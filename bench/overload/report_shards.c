/*
 * What the table cannot hold: numapool shard by shard, and how its quotas moved.
 */
#include "report.h"

#include <inttypes.h>

#define POINTS 10

static const struct result *with_shards(const struct report *report)
{
    for (size_t i = 0; i < report->result_count; i++)
        if (report->results[i].figures.has_pool)
            return &report->results[i];
    return NULL;
}

static void write_totals(FILE *out, const struct result *result)
{
    fprintf(out, "\n%-6s%6s%12s%9s%9s%12s%12s%12s%12s\n", "shard", "node", "ran", "local %",
            "remote %", "forw. out", "forw. in", "stolen out", "stolen in");
    for (size_t i = 0; i < result->shard_count; i++) {
        const struct numapool_shard_stats *s = &result->shards[i];
        double remote = report_remote_share(s) * 100;
        fprintf(out,
                "%-6zu%6" PRIu64 "%12" PRIu64 "%9.1f%9.1f%12" PRIu64 "%12" PRIu64 "%12" PRIu64
                "%12" PRIu64 "\n",
                i, s->node, s->run, s->run > 0 ? 100 - remote : 0, remote, s->forwarded_out,
                s->forwarded_in, s->stolen_out, s->stolen_in);
    }
}

/* Evenly spaced points of the window. */
static void write_time_line(FILE *out, const struct result *result, uint64_t window_ns)
{
    size_t points[POINTS];
    size_t count = 0, next = 0;

    for (unsigned point = 0; point < POINTS; point++) {
        uint64_t from_ns = window_ns / POINTS * point + window_ns / POINTS / 2;
        while (next < result->shard_sample_count &&
               result->shard_samples[next * result->shard_count].time_ns < from_ns)
            next++;
        if (next < result->shard_sample_count && (count == 0 || points[count - 1] != next))
            points[count++] = next;
    }
    fprintf(out, "\n%-16s", "quota at, s");
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%7.1f",
                (double)result->shard_samples[points[i] * result->shard_count].time_ns / 1e9);
    fputc('\n', out);
    for (size_t shard = 0; shard < result->shard_count; shard++) {
        fprintf(out, "shard %-10zu", shard);
        for (size_t i = 0; i < count; i++)
            fprintf(out, "%7" PRIu64,
                    result->shard_samples[points[i] * result->shard_count + shard].quota);
        fputc('\n', out);
    }
}

void report_shards(FILE *out, const struct report *report)
{
    const struct result *result = with_shards(report);
    if (result == NULL)
        return;
    if (result->figures.emulated)
        fprintf(out, "\nnumapool ran on the emulated machine \"%s\"\n", report->options->machine);
    write_totals(out, result);
    if (result->shard_sample_count > 0)
        write_time_line(out, result, report->options->window_ns);
}
