/*
 * The last line. It only puts figures into words; where a contender did badly it says that.
 */
#include "report.h"

#include <inttypes.h>
#include <string.h>

static const struct result *find(const struct report *report, const char *name)
{
    for (size_t i = 0; i < report->result_count; i++)
        if (strcmp(report->results[i].figures.name, name) == 0 &&
            report->results[i].figures.measured)
            return &report->results[i];
    return NULL;
}

static void say_contender(FILE *out, const struct figures *f, const char *what)
{
    if (f->stopped) {
        fprintf(out, "%s gave up after %.1f s", what, (double)f->stopped_after_ns / 1e9);
        return;
    }
    fprintf(out, "%s completed %.0f/s", what, report_completed_per_s(f));
    if (f->in_task.count > 0)
        fprintf(out, ", %.1f ms in the task and %.0f ms end to end at p99",
                (double)f->in_task.mean_ns / 1e6, (double)f->end_to_end.p99_ns / 1e6);
    fprintf(out, " in %.2f GB", (double)f->rss_peak_bytes / 1e9);
    if (f->dropped_unsent > f->offered / 100)
        fprintf(out, ", too late for %.0f %% of them",
                (double)f->dropped_unsent / (double)f->offered * 100);
    if (f->refused > 0 && f->refusal.count > 0)
        fprintf(out, ", refusing %.0f %% at %" PRIu64 " ns each",
                (double)f->refused / (double)f->offered * 100, f->refusal.p50_ns);
}

/* On several shards: how far the busiest one's quota moved, and where its tasks ran. */
static void say_shards(FILE *out, const struct result *result)
{
    size_t hot = 0;
    uint64_t least = UINT64_MAX, most = 0;
    uint64_t out_of_home = 0, elsewhere = 0;

    if (!result->figures.has_pool || result->shard_count < 2)
        return;
    for (size_t shard = 0; shard < result->shard_count; shard++) {
        const struct numapool_shard_stats *s = &result->shards[shard];
        if (s->submitted > result->shards[hot].submitted)
            hot = shard;
        out_of_home += s->forwarded_out;
        elsewhere += s->stolen_out;
    }
    for (size_t i = 0; i < result->shard_sample_count; i++) {
        uint64_t quota = result->shard_samples[i * result->shard_count + hot].quota;
        least = quota < least ? quota : least;
        most = quota > most ? quota : most;
    }
    if (result->shard_sample_count > 0)
        fprintf(out,
                "; of its %zu shards number %zu was asked most, its quota ranged from %" PRIu64
                " to %" PRIu64,
                result->shard_count, hot, least, most);
    fprintf(out, "; %" PRIu64 " tasks were forwarded and %" PRIu64 " stolen", out_of_home,
            elsewhere);
}

void report_sentence(FILE *out, const struct report *report)
{
    const struct result *naive = find(report, "naive");
    const struct result *fixed = find(report, "fixed");
    const struct result *pool = find(report, "numapool");
    bool failed = false;
    const char *between = "";

    if (naive == NULL && fixed == NULL && pool == NULL) {
        fputs("\nNothing could be measured (see above).\n", out);
        return;
    }

    fprintf(out, "\nOffered %.4g requests/s: ", (double)report->options->rate);
    if (naive != NULL) {
        say_contender(out, &naive->figures, "a thread per request");
        between = "; ";
    }
    if (fixed != NULL) {
        fputs(between, out);
        say_contender(out, &fixed->figures, "the fixed pool");
        between = "; ";
    }
    if (pool != NULL) {
        fputs(between, out);
        say_contender(out, &pool->figures, "numapool");
        say_shards(out, pool);
    }
    for (size_t i = 0; i < report->result_count; i++)
        failed = failed || report_failed(&report->results[i].figures);
    fputs(failed ? "; not everything could be measured or accounted for (see above).\n"
                 : "; every request is accounted for.\n",
          out);
}
