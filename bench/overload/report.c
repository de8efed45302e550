/*
 * Figures that follow from other figures, so that table, JSON and sentence cannot differ.
 */
#include "report.h"

double report_completed_per_s(const struct figures *f)
{
    return f->elapsed_ns == 0 ? 0 : (double)f->completed * 1e9 / (double)f->elapsed_ns;
}

double report_cost_ns(const struct figures *f)
{
    uint64_t own_ns = f->cpu_generators_ns + f->cpu_sampler_ns;
    if (f->completed == 0 || f->cpu_ns < own_ns)
        return 0;
    return (double)(f->cpu_ns - own_ns) / (double)f->completed;
}

double report_left_per_s(const struct report *report, const struct figures *f)
{
    if (!report->has_bound || f->elapsed_ns == 0)
        return 0;
    double cpu_ns = report->host.cpus_usable * (double)f->elapsed_ns -
                    (double)(f->cpu_generators_ns + f->cpu_sampler_ns);
    return cpu_ns <= 0 ? 0 : cpu_ns / report->bare_cost_ns * 1e9 / (double)f->elapsed_ns;
}

double report_remote_share(const struct numapool_shard_stats *shard)
{
    uint64_t remote = shard->forwarded_in + shard->stolen_in;
    if (shard->run == 0)
        return 0;
    /* A task that was forwarded here and stolen away again counts as forwarded only. */
    return remote > shard->run ? 1 : (double)remote / (double)shard->run;
}

bool report_failed(const struct figures *f)
{
    return !f->measured || f->unaccounted != 0 || f->completed_twice != 0 || f->pool_disagrees ||
           f->ended_badly;
}

void report_bound(struct report *report, const struct result *bare)
{
    const struct options *options = report->options;
    double service_s = (double)options->service_ns / 1e9;

    if (service_s > 0) {
        report->workers_per_s = options->workers_max / service_s;
        if (options->touch_bytes > 0)
            report->memory_per_s =
                (double)options->memory_bytes / (double)options->touch_bytes / service_s;
    }
    if (bare == NULL || !bare->figures.measured)
        return;
    report->has_bound = true;
    report->bare_cost_ns = (double)bare->figures.cpu_ns / (double)bare->figures.completed;
    report->bare_threads = (unsigned)bare->figures.threads_peak;
    report->bound_per_s = report->host.cpus_usable * 1e9 / report->bare_cost_ns;
}
