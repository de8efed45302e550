/*
 * The table at the end: one figure a row, one contender a column.
 */
#include "report.h"

#include <inttypes.h>
#include <string.h>

#define NAME_WIDTH 34
#define CELL_WIDTH 16
#define CELL_BYTES 48

/* 30000000 as "30 000 000". */
static void grouped(char *cell, uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value);
    char *out = cell;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *out++ = ' ';
        *out++ = digits[i];
    }
    *out = '\0';
}

enum row {
    ROW_OFFERED,
    ROW_COMPLETED,
    ROW_REFUSED,
    ROW_DROPPED,
    ROW_UNACCOUNTED,
    ROW_RATE,
    ROW_LEFT_SHARE,
    ROW_STEADY,
    ROW_IN_TASK,
    ROW_IN_TASK_P99,
    ROW_END_P50,
    ROW_END_P99,
    ROW_END_P999,
    ROW_END_MAX,
    ROW_RSS,
    ROW_THREADS,
    ROW_CPU,
    ROW_CPU_GENERATORS,
    ROW_CPU_REQUEST,
    ROW_REFUSAL,
    ROW_REFUSAL_MEAN,
    ROW_LATENESS,
    ROWS,
};

static const char *const titles[ROWS] = {
    [ROW_OFFERED] = "offered",
    [ROW_COMPLETED] = "completed",
    [ROW_REFUSED] = "refused",
    [ROW_DROPPED] = "dropped",
    [ROW_UNACCOUNTED] = "unaccounted for",
    [ROW_RATE] = "completed/s",
    [ROW_LEFT_SHARE] = "  of what generators leave, %",
    [ROW_STEADY] = "  95 % of it reached after, ms",
    [ROW_IN_TASK] = "in the task, mean, ms",
    [ROW_IN_TASK_P99] = "in the task, p99, ms",
    [ROW_END_P50] = "end to end, p50, ms",
    [ROW_END_P99] = "end to end, p99, ms",
    [ROW_END_P999] = "end to end, p99.9, ms",
    [ROW_END_MAX] = "end to end, max, ms",
    [ROW_RSS] = "peak resident memory, MB",
    [ROW_THREADS] = "peak threads",
    [ROW_CPU] = "CPU, s",
    [ROW_CPU_GENERATORS] = "  of it generators, s",
    [ROW_CPU_REQUEST] = "  the rest per completed, us",
    [ROW_REFUSAL] = "a refusal, p50, ns",
    [ROW_REFUSAL_MEAN] = "a refusal, mean, ns",
    [ROW_LATENESS] = "generators late, p99, ms",
};

static void milliseconds(char *cell, const struct latency *latency, uint64_t value_ns)
{
    if (latency->count > 0)
        snprintf(cell, CELL_BYTES, "%.1f", (double)value_ns / 1e6);
}

static void write_cell(char *cell, enum row row, const struct report *report,
                       const struct figures *f)
{
    double left_per_s = report_left_per_s(report, f);

    snprintf(cell, CELL_BYTES, "-");
    switch (row) {
    case ROW_OFFERED:
        grouped(cell, f->offered);
        break;
    case ROW_COMPLETED:
        grouped(cell, f->completed);
        break;
    case ROW_REFUSED:
        grouped(cell, f->refused);
        break;
    case ROW_DROPPED:
        grouped(cell, f->dropped);
        break;
    case ROW_UNACCOUNTED:
        snprintf(cell, CELL_BYTES, "%" PRId64, f->unaccounted);
        break;
    case ROW_RATE:
        grouped(cell, (uint64_t)(report_completed_per_s(f) + 0.5));
        break;
    case ROW_LEFT_SHARE:
        if (left_per_s > 0)
            snprintf(cell, CELL_BYTES, "%.1f", report_completed_per_s(f) / left_per_s * 100);
        break;
    case ROW_STEADY:
        if (f->steady_after_ns > 0)
            snprintf(cell, CELL_BYTES, "%.0f", (double)f->steady_after_ns / 1e6);
        break;
    case ROW_IN_TASK:
        milliseconds(cell, &f->in_task, f->in_task.mean_ns);
        break;
    case ROW_IN_TASK_P99:
        milliseconds(cell, &f->in_task, f->in_task.p99_ns);
        break;
    case ROW_END_P50:
        milliseconds(cell, &f->end_to_end, f->end_to_end.p50_ns);
        break;
    case ROW_END_P99:
        milliseconds(cell, &f->end_to_end, f->end_to_end.p99_ns);
        break;
    case ROW_END_P999:
        milliseconds(cell, &f->end_to_end, f->end_to_end.p999_ns);
        break;
    case ROW_END_MAX:
        milliseconds(cell, &f->end_to_end, f->end_to_end.max_ns);
        break;
    case ROW_RSS:
        grouped(cell, (f->rss_peak_bytes + 500000) / 1000000);
        break;
    case ROW_THREADS:
        grouped(cell, f->threads_peak);
        break;
    case ROW_CPU:
        snprintf(cell, CELL_BYTES, "%.2f", (double)f->cpu_ns / 1e9);
        break;
    case ROW_CPU_GENERATORS:
        snprintf(cell, CELL_BYTES, "%.2f", (double)f->cpu_generators_ns / 1e9);
        break;
    case ROW_CPU_REQUEST:
        if (f->completed > 0)
            snprintf(cell, CELL_BYTES, "%.1f", report_cost_ns(f) / 1e3);
        break;
    case ROW_REFUSAL:
        if (f->refusal.count > 0)
            snprintf(cell, CELL_BYTES, "%" PRIu64, f->refusal.p50_ns);
        break;
    case ROW_REFUSAL_MEAN:
        if (f->refusal.count > 0)
            snprintf(cell, CELL_BYTES, "%" PRIu64, f->refusal.mean_ns);
        break;
    case ROW_LATENESS:
        milliseconds(cell, &f->lateness, f->lateness.p99_ns);
        break;
    case ROWS:
        break;
    }
}

static const char *priority(const struct report *report)
{
    if (report->options->usual_priority)
        return "with the usual priority, as asked for";
    bool measured = false;
    for (size_t i = 0; i < report->result_count; i++) {
        measured = measured || report->results[i].figures.measured;
        if (report->results[i].figures.generators_realtime > 0)
            return "with real-time priority";
    }
    return measured ? "with the usual priority, since the system grants no other" : "none ran";
}

static void write_machine(FILE *out, const struct report *report)
{
    const struct host *host = &report->host;
    const struct options *o = report->options;

    fprintf(
        out, "%s, %s%s: %u of %u CPUs (%.4g usable), %u node%s, %.1f GB memory (%.1f available)\n",
        host->cpu_model, host->kernel, host->virtual_machine ? ", virtual" : "", host->cpus_allowed,
        host->cpus_online, host->cpus_usable, host->node_count, host->node_count == 1 ? "" : "s",
        (double)host->memory_total_bytes / 1e9, (double)host->memory_available_bytes / 1e9);
    fprintf(
        out,
        "offered: %.4g requests/s for %.4g s; each takes and touches %.4g KB and sleeps %.4g ms\n",
        (double)o->rate, (double)o->window_ns / 1e9, (double)o->touch_bytes / 1e3,
        (double)o->service_ns / 1e6);
    fprintf(out, "generators: %u a node, %s\n", o->generators, priority(report));
    if (o->rewarm_bytes > 0)
        fprintf(out,
                "before each contender %.0f MB were touched, so that the host has given them\n",
                (double)o->rewarm_bytes / 1e6);
    if (report->has_bound)
        fprintf(out,
                "bound: %.4g CPUs / %.2f us for a bare request (%u threads, no pool) = %.0f "
                "requests/s\n",
                host->cpus_usable, report->bare_cost_ns / 1e3, report->bare_threads,
                report->bound_per_s);
    if (report->memory_per_s > 0)
        fprintf(out, "bound by memory (numapool): %.0f requests/s; by workers: %.0f requests/s\n",
                report->memory_per_s, report->workers_per_s);
    fputc('\n', out);
}

/* A run that shared its CPUs with other programs measures them too, and must say so. */
static void write_disturbance(FILE *out, const struct report *report, const struct figures *f)
{
    double capacity_ns = report->host.cpus_usable * (double)f->elapsed_ns;
    double lost = capacity_ns > 0 ? (double)(f->cpu_others_ns + f->cpu_stolen_ns) / capacity_ns : 0;
    if (f->measured && lost > 0.05)
        fprintf(out, "%s: disturbed, other programs and the hypervisor took %.0f %% of the CPUs\n",
                f->name, lost * 100);
}

void report_table(FILE *out, const struct report *report)
{
    write_machine(out, report);
    fprintf(out, "%-*s", NAME_WIDTH, "");
    for (size_t i = 0; i < report->result_count; i++)
        fprintf(out, "%*s", CELL_WIDTH, report->results[i].figures.name);
    fputc('\n', out);
    for (int row = 0; row < ROWS; row++) {
        if (row == ROW_LEFT_SHARE && !report->has_bound)
            continue;
        fprintf(out, "%-*s", NAME_WIDTH, titles[row]);
        for (size_t i = 0; i < report->result_count; i++) {
            char cell[CELL_BYTES] = "-";
            if (report->results[i].figures.measured)
                write_cell(cell, (enum row)row, report, &report->results[i].figures);
            fprintf(out, "%*s", CELL_WIDTH, cell);
        }
        fputc('\n', out);
    }
    fputc('\n', out);
    for (size_t i = 0; i < report->result_count; i++) {
        const struct figures *f = &report->results[i].figures;
        if (f->note[0] != '\0')
            fprintf(out, "%s: %s\n", f->name, f->note);
        if (f->measured && f->unaccounted != 0)
            fprintf(out, "%s: %" PRId64 " requests are unaccounted for\n", f->name, f->unaccounted);
        if (f->completed_twice > 0)
            fprintf(out, "%s: %" PRIu64 " requests ran more than once\n", f->name,
                    f->completed_twice);
        if (f->pool_disagrees)
            fprintf(out, "%s: the pool's own counters do not agree with ours\n", f->name);
        if (f->ended_badly)
            fprintf(out, "%s: its process failed after the measurement\n", f->name);
        write_disturbance(out, report, f);
    }
}
