/* A simulation as a picture by gnuplot, another program: nothing of it is linked. */
#include "tool/program.h"
#include "tool/simulate.h"
#include "tool/tool.h"

#include <errno.h>
#include <string.h>

/* More shards than this cannot be told apart as lines: they become rows of colour. */
#define LINES_MAX 8u

/* A large picture takes some seconds; a program of that name that never ends is ended. */
#define SECONDS_MAX 60

extern char **environ;

/* A text in double quotes as gnuplot reads it. */
static void put_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            (void)fputc('\\', out);
        (void)fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
    (void)fputc('"', out);
}

static double slot_s(const struct sim_result *result)
{
    return result->seconds / (double)result->slot_count;
}

static double middle_s(const struct sim_result *result, size_t slot)
{
    return ((double)slot + 0.5) * slot_s(result);
}

static void put_rates(const struct sim_result *result, FILE *out)
{
    (void)fputs("$rates << EOD\n", out);
    for (size_t i = 0; i < result->slot_count; i++) {
        const struct sim_slot *slot = &result->slots[i];
        double per_s = 1.0 / slot_s(result);
        (void)fprintf(out, "%g %g %g %g\n", middle_s(result, i), (double)slot->offered * per_s,
                      (double)slot->done * per_s, (double)(slot->refused + slot->dropped) * per_s);
    }
    (void)fputs("EOD\n"
                "set ylabel 'tasks per second'\nset format y '%.1s %c'\nset yrange [0:*]\n"
                "plot $rates using 1:2 with lines lw 3 lc rgb '#bbbbbb' title 'offered', "
                "'' using 1:3 with lines lw 2 lc rgb '#1b7837' title 'completed', "
                "'' using 1:4 with lines lw 2 lc rgb '#b2182b' title 'refused or dropped'\n",
                out);
}

static void put_waits(const struct sim_result *result, FILE *out)
{
    static const char *const colours[] = {"#b2182b", "#2166ac", "#999999"};
    (void)fputs("$waits << EOD\n", out);
    for (size_t i = 0; i < result->slot_count; i++) {
        (void)fprintf(out, "%g", middle_s(result, i));
        for (int c = 0; c < NPI_CLASS_COUNT; c++) {
            const struct npi_histogram_sum *wait = &result->slots[i].wait[c];
            double p99_ms = (double)npi_histogram_quantile(wait, 990) * 1e-6;
            /* A logarithm has no zero: what did not wait is at the bottom, what did not run is not. */
            if (wait->count == 0)
                (void)fputs(" NaN", out);
            else
                (void)fprintf(out, " %g", p99_ms > 0.001 ? p99_ms : 0.001);
        }
        (void)fputc('\n', out);
    }
    (void)fputs(
        "EOD\n"
        "set ylabel 'wait, 99th percentile, ms (0.001: none)'\nset format y '%g'\nset logscale y\n"
        "set yrange [0.001:*]\nplot ",
        out);
    const char *comma = "";
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        if (result->offered_by[c] == 0)
            continue;
        (void)fprintf(out, "%s$waits using 1:%d with lines lw 2 lc rgb '%s' title '%s'", comma,
                      c + 2, colours[c], load_classes[c]);
        comma = ", ";
    }
    (void)fputs("\nunset logscale y\n", out);
}

/* The quota of a shard at the end of a part of the run. */
static uint32_t quota_at(const struct sim_result *result, size_t slot, size_t shard)
{
    size_t ticks = (slot + 1) * result->tick_count / result->slot_count;
    return sim_tick_at(result, ticks > 0 ? ticks - 1 : 0, shard)->quota_workers;
}

static void put_quotas(const struct sim_result *result, FILE *out)
{
    size_t count = result->shard_count;
    bool lines = count <= LINES_MAX;
    (void)fputs("$quotas << EOD\n", out);
    for (size_t i = 0; i < result->slot_count; i++) {
        if (lines)
            (void)fprintf(out, "%g", middle_s(result, i));
        for (size_t shard = 0; shard < count; shard++) {
            if (lines)
                (void)fprintf(out, " %u", quota_at(result, i, shard));
            else
                (void)fprintf(out, "%g %zu %u\n", middle_s(result, i), shard,
                              quota_at(result, i, shard));
        }
        (void)fputc('\n', out);
    }
    (void)fputs("EOD\nset xlabel 'time, s'\n", out);
    if (!lines) {
        (void)fprintf(out,
                      "set ylabel 'shard'\nset format y '%%g'\nset yrange [-0.5:%g]\n"
                      "set colorbox user origin 0.85,0.075 size 0.02,0.22\n"
                      "set cblabel 'quota, workers' offset 1\nset cbrange [0:*]\n"
                      "set palette defined (0 '#f7fbff', 0.5 '#6baed6', 1 '#08306b')\n"
                      "plot $quotas using 1:2:3 with image notitle\n",
                      (double)count - 0.5);
        return;
    }
    (void)fputs("set ylabel 'quota, workers'\nset format y '%g'\nset yrange [0:*]\nplot ", out);
    for (size_t shard = 0; shard < count; shard++)
        (void)fprintf(out, "%s$quotas using 1:%zu with steps lw 2 lc %zu title 'shard %zu'",
                      shard > 0 ? ", " : "", shard + 2, shard + 1, shard);
    (void)fputc('\n', out);
}

static void put_script(const struct simulation *simulation, const char *terminal, const char *path,
                       FILE *out)
{
    const struct sim_result *result = simulation->result;
    char title[400];
    (void)snprintf(title, sizeof title, "%s on %s: %u shards, %u workers", simulation->load_path,
                   simulation->plan->source, simulation->plan->shard_count,
                   simulation->config.workers_max);
    (void)fprintf(
        out, "set terminal %s size 1100,1000 font 'sans,11' background rgb 'white'\nset output ",
        strcmp(terminal, "png") == 0 ? "pngcairo" : "svg");
    put_quoted(out, path);
    (void)fputs("\nset multiplot layout 3,1 title ", out);
    put_quoted(out, title);
    /* noenhanced: names of files have underscores. */
    (void)fprintf(
        out,
        " noenhanced\nset lmargin 12\nset rmargin 24\nset grid back lt 1 lw 1 lc rgb '#e0e0e0'\n"
        "set key at graph 1.02, graph 1 left top Left reverse samplen 2 noenhanced\nset xrange "
        "[0:%g]\n",
        result->seconds);
    put_rates(result, out);
    put_waits(result, out);
    put_quotas(result, out);
    (void)fputs("unset multiplot\nset output\n", out);
}

int simulate_draw(const struct simulation *simulation, const char *terminal, const char *path)
{
    if (simulation->result->tick_count == 0 || simulation->result->offered == 0) {
        tool_complain("%s: the load offers nothing within a tick; there is nothing to draw", path);
        return TOOL_USAGE;
    }
    static char name[] = "gnuplot";
    char *const arguments[] = {name, NULL};
    struct program_files files = {.in = tmpfile()};
    int status = -1, error = files.in == NULL ? errno : 0;
    if (files.in != NULL) {
        put_script(simulation, terminal, path, files.in);
        error = program_run(arguments, environ, &files, SECONDS_MAX, &status);
        (void)fclose(files.in);
    }
    if (error == ENOENT)
        tool_complain("%s: pictures are drawn by gnuplot, which is not installed; on Debian: "
                      "apt install gnuplot-nox",
                      path);
    else if (error != 0)
        tool_complain("%s: gnuplot could not be started: %s", path, strerror(error));
    else if (status != 0)
        tool_complain("%s: gnuplot did not draw it; what it says is above", path);
    return error == 0 && status == 0 ? TOOL_OK : TOOL_USAGE;
}
