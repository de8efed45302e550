/*
 * Everything as JSON. Times are in milliseconds where a name ends in _ms and so on; figures over
 * time stand in arrays under names of their own, so that a name found once is the figure of the
 * whole run.
 */
#include "report.h"

#include "tool/json.h"

static void write_options(struct json *j, const struct options *o)
{
    json_begin_object(j, "options");
    json_double(j, "seconds", (double)o->window_ns / 1e9);
    json_unsigned(j, "rate", o->rate);
    json_double(j, "service_ms", (double)o->service_ns / 1e6);
    json_unsigned(j, "touch_bytes", o->touch_bytes);
    json_unsigned(j, "workers_max", o->workers_max);
    json_unsigned(j, "fixed_workers", o->fixed_workers > 0 ? o->fixed_workers : o->workers_max);
    if (o->queue_tasks > 0)
        json_unsigned(j, "queue_tasks", o->queue_tasks);
    else
        json_null(j, "queue_tasks");
    json_unsigned(j, "memory_bytes", o->memory_bytes);
    json_unsigned(j, "rewarm_bytes", (uint64_t)o->rewarm_bytes);
    json_string(j, "machine_text", o->machine);
    if (o->skew >= 0)
        json_double(j, "skew", o->skew);
    else
        json_null(j, "skew");
    json_unsigned(j, "generators_per_node", o->generators);
    json_bool(j, "usual_priority", o->usual_priority);
    json_bool(j, "fixed_reuse", o->fixed_reuse);
    json_bool(j, "plain", o->plain);
    json_end_object(j);
}

static void write_machine(struct json *j, const struct report *report)
{
    const struct host *host = &report->host;

    json_begin_object(j, "machine");
    json_string(j, "cpu_model", host->cpu_model);
    json_string(j, "architecture", host->architecture);
    json_string(j, "kernel", host->kernel);
    json_bool(j, "virtual", host->virtual_machine);
    json_unsigned(j, "cpus_online", host->cpus_online);
    json_unsigned(j, "cpus_allowed", host->cpus_allowed);
    json_double(j, "cpus_usable", host->cpus_usable);
    json_begin_row(j, "nodes");
    for (unsigned i = 0; i < host->node_count; i++)
        json_element(j, host->node_os_index[i]);
    json_end_row(j);
    json_unsigned(j, "memory_bytes", host->memory_total_bytes);
    json_unsigned(j, "memory_available_bytes", host->memory_available_bytes);
    json_unsigned(j, "page_bytes", host->page_bytes);
    json_string(j, "huge_pages", host->huge_pages);
    json_double(j, "load_1min_before", host->load_1min);
    json_string(j, "numapool_version", numapool_version());
    json_end_object(j);
}

static void write_bound(struct json *j, const struct report *report)
{
    if (!report->has_bound) {
        json_null(j, "bound");
        return;
    }
    json_begin_object(j, "bound");
    json_double(j, "bare_request_us", report->bare_cost_ns / 1e3);
    json_unsigned(j, "bare_threads", report->bare_threads);
    json_double(j, "cpu_per_s", report->bound_per_s);
    json_double(j, "memory_per_s", report->memory_per_s > 0 ? report->memory_per_s : 1.0 / 0.0);
    json_double(j, "workers_per_s", report->workers_per_s > 0 ? report->workers_per_s : 1.0 / 0.0);
    json_end_object(j);
}

static void write_ms(struct json *j, const char *key, const struct latency *latency,
                     uint64_t value_ns)
{
    if (latency->count > 0)
        json_double(j, key, (double)value_ns / 1e6);
    else
        json_null(j, key);
}

static void write_times(struct json *j, const struct figures *f)
{
    write_ms(j, "in_task_ms", &f->in_task, f->in_task.mean_ns);
    write_ms(j, "in_task_p50_ms", &f->in_task, f->in_task.p50_ns);
    write_ms(j, "in_task_p99_ms", &f->in_task, f->in_task.p99_ns);
    write_ms(j, "in_task_max_ms", &f->in_task, f->in_task.max_ns);
    write_ms(j, "e2e_mean_ms", &f->end_to_end, f->end_to_end.mean_ns);
    write_ms(j, "e2e_p50_ms", &f->end_to_end, f->end_to_end.p50_ns);
    write_ms(j, "e2e_p99_ms", &f->end_to_end, f->end_to_end.p99_ns);
    write_ms(j, "e2e_p999_ms", &f->end_to_end, f->end_to_end.p999_ns);
    write_ms(j, "e2e_max_ms", &f->end_to_end, f->end_to_end.max_ns);
    write_ms(j, "wait_p50_ms", &f->wait, f->wait.p50_ns);
    write_ms(j, "wait_p99_ms", &f->wait, f->wait.p99_ns);
    write_ms(j, "generator_late_p50_ms", &f->lateness, f->lateness.p50_ns);
    write_ms(j, "generator_late_p99_ms", &f->lateness, f->lateness.p99_ns);
    write_ms(j, "generator_late_max_ms", &f->lateness, f->lateness.max_ns);
    if (f->refusal.count > 0) {
        json_unsigned(j, "refuse_ns", f->refusal.p50_ns);
        json_unsigned(j, "refuse_mean_ns", f->refusal.mean_ns);
        json_unsigned(j, "refuse_p99_ns", f->refusal.p99_ns);
    } else {
        json_null(j, "refuse_ns");
        json_null(j, "refuse_mean_ns");
        json_null(j, "refuse_p99_ns");
    }
    json_unsigned(j, "refusals_timed", f->refusal.count);
}

static void write_counts(struct json *j, const struct figures *f)
{
    json_unsigned(j, "offered", f->offered);
    json_unsigned(j, "completed", f->completed);
    json_unsigned(j, "refused", f->refused);
    json_unsigned(j, "dropped", f->dropped);
    json_signed(j, "unaccounted", f->unaccounted);
    json_unsigned(j, "completed_twice", f->completed_twice);
    json_unsigned(j, "refused_for_memory_in_task", f->refused_memory);
    json_unsigned(j, "dropped_never_handed_over", f->dropped_unsent);
    json_unsigned(j, "dropped_after_acceptance", f->dropped_accepted);
    json_double(j, "elapsed_s", (double)f->elapsed_ns / 1e9);
    json_double(j, "completed_per_s", report_completed_per_s(f));
    json_double(j, "steady_per_s", f->steady_per_s);
    if (f->steady_after_ns > 0)
        json_double(j, "steady_after_ms", (double)f->steady_after_ns / 1e6);
    else
        json_null(j, "steady_after_ms");
}

static void write_usage(struct json *j, const struct report *report, const struct figures *f)
{
    double left_per_s = report_left_per_s(report, f);

    json_unsigned(j, "rss_peak_bytes", f->rss_peak_bytes);
    json_unsigned(j, "rss_before_load_bytes", f->rss_start_bytes);
    json_unsigned(j, "threads_peak", f->threads_peak);
    json_double(j, "cpu_s", (double)f->cpu_ns / 1e9);
    json_double(j, "cpu_generators_s", (double)f->cpu_generators_ns / 1e9);
    json_double(j, "cpu_sampler_s", (double)f->cpu_sampler_ns / 1e9);
    json_double(j, "cpu_other_processes_s", (double)f->cpu_others_ns / 1e9);
    json_double(j, "cpu_stolen_s", (double)f->cpu_stolen_ns / 1e9);
    json_double(j, "cpu_request_us", report_cost_ns(f) / 1e3);
    json_double(j, "generator_request_ns",
                f->offered > f->dropped_unsent
                    ? (double)f->cpu_generators_ns / (double)(f->offered - f->dropped_unsent)
                    : 1.0 / 0.0);
    json_double(j, "bound_left_per_s", left_per_s > 0 ? left_per_s : 1.0 / 0.0);
    json_double(j, "bound_left_share",
                left_per_s > 0 ? report_completed_per_s(f) / left_per_s : 1.0 / 0.0);
}

#define WRITE_ROW(j, key, count, expression)                                                       \
    do {                                                                                           \
        json_begin_row(j, key);                                                                    \
        for (size_t at = 0; at < (count); at++)                                                    \
            json_element(j, (double)(expression));                                                 \
        json_end_row(j);                                                                           \
    } while (0)

static void write_series(struct json *j, const struct result *r)
{
    json_begin_object(j, "series");
    WRITE_ROW(j, "t_ms", r->sample_count, r->samples[at].time_ns / 1000000);
    WRITE_ROW(j, "handed_over_total", r->sample_count, r->samples[at].handed_over);
    WRITE_ROW(j, "refused_total", r->sample_count, r->samples[at].refused);
    WRITE_ROW(j, "completed_total", r->sample_count, r->samples[at].completed);
    WRITE_ROW(j, "rss_now_bytes", r->sample_count, r->samples[at].rss_bytes);
    WRITE_ROW(j, "threads_now", r->sample_count, r->samples[at].threads);
    WRITE_ROW(j, "fine_t_ms", r->tick_count, r->ticks[at].time_ns / 1000000);
    WRITE_ROW(j, "fine_completed_total", r->tick_count, r->ticks[at].completed);
    json_end_object(j);
}

#define WRITE_FIELD(field, kind, text) json_unsigned(j, #field, stats->field);

static void write_pool(struct json *j, const struct result *r)
{
    const struct numapool_stats *stats = &r->figures.pool;

    json_begin_object(j, "pool");
    json_bool(j, "agrees", !r->figures.pool_disagrees);
    json_begin_object(j, "stats");
    NUMAPOOL_STATS_FIELDS(WRITE_FIELD)
    json_end_object(j);
    json_string(j, "plan", r->plan);
    json_end_object(j);
}

static void write_shard(struct json *j, const struct result *r, size_t shard)
{
    const struct numapool_shard_stats *stats = &r->shards[shard];
    const struct shard_sample *samples = r->shard_samples;
    size_t n = r->shard_count;

    json_begin_object(j, NULL);
    json_unsigned(j, "shard", shard);
    json_unsigned(j, "node", stats->node);
    json_unsigned(j, "node_os_index", stats->node_os_index);
    json_double(j, "local_share", stats->run > 0 ? 1 - report_remote_share(stats) : 0);
    json_double(j, "remote_share", report_remote_share(stats));
    json_begin_object(j, "stats");
    NUMAPOOL_STATS_FIELDS(WRITE_FIELD)
    json_end_object(j);
    json_begin_object(j, "series");
    WRITE_ROW(j, "t_ms", r->shard_sample_count, samples[at * n + shard].time_ns / 1000000);
    WRITE_ROW(j, "quota_now", r->shard_sample_count, samples[at * n + shard].quota);
    WRITE_ROW(j, "cap_now", r->shard_sample_count, samples[at * n + shard].cap);
    WRITE_ROW(j, "workers_now", r->shard_sample_count, samples[at * n + shard].workers);
    WRITE_ROW(j, "running_now", r->shard_sample_count, samples[at * n + shard].workers_running);
    WRITE_ROW(j, "waiting_now", r->shard_sample_count, samples[at * n + shard].queue_depth);
    WRITE_ROW(j, "ran_total", r->shard_sample_count, samples[at * n + shard].run);
    WRITE_ROW(j, "forwarded_out_total", r->shard_sample_count,
              samples[at * n + shard].forwarded_out);
    WRITE_ROW(j, "stolen_out_total", r->shard_sample_count, samples[at * n + shard].stolen_out);
    json_end_object(j);
    json_end_object(j);
}

static void write_contender(struct json *j, const struct report *report, const struct result *r)
{
    const struct figures *f = &r->figures;

    json_begin_object(j, NULL);
    json_string(j, "name", f->name);
    json_bool(j, "measured", f->measured);
    json_bool(j, "ended_badly", f->ended_badly);
    json_string(j, "note", f->note[0] != '\0' ? f->note : NULL);
    if (f->measured) {
        json_bool(j, "stopped", f->stopped);
        if (f->stopped)
            json_double(j, "stopped_after_s", (double)f->stopped_after_ns / 1e9);
        else
            json_null(j, "stopped_after_s");
        write_counts(j, f);
        write_times(j, f);
        write_usage(j, report, f);
        json_unsigned(j, "nodes_offered_on", f->node_count);
        json_unsigned(j, "generators_realtime", f->generators_realtime);
        write_series(j, r);
    }
    if (f->has_pool) {
        write_pool(j, r);
        json_begin_array(j, "shards");
        for (size_t i = 0; i < r->shard_count; i++)
            write_shard(j, r, i);
        json_end_array(j);
    }
    json_end_object(j);
}

void report_json(FILE *out, const struct report *report)
{
    struct json json = {.out = out, .first = true};
    struct json *j = &json;

    json_begin_object(j, NULL);
    json_string(j, "program", "numapool-overload");
    json_string(j, "time_utc", report->time_utc);
    write_options(j, report->options);
    write_machine(j, report);
    write_bound(j, report);
    json_begin_array(j, "contenders");
    for (size_t i = 0; i < report->result_count; i++)
        write_contender(j, report, &report->results[i]);
    json_end_array(j);
    json_end_object(j);
}
