/* A simulation as a text for people. */
#include "tool/simulate.h"

#include <inttypes.h>

/* More shards than this are told by those that are worst off. */
#define SHARDS_SHOWN 16u

static double share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0.0 : 100.0 * (double)part / (double)whole;
}

static uint64_t refused_of(const struct sim_result *result)
{
    uint64_t refused = 0;
    for (int c = 0; c < NPI_CLASS_COUNT; c++)
        refused += result->refused[c];
    return refused;
}

static void print_head(const struct simulation *simulation, FILE *out)
{
    static const char *const modes[] = {"adaptive", "fixed"};
    const struct numapool_config *config = &simulation->config;
    const struct npi_plan *plan = simulation->plan;
    double cpus = 0.0;
    for (unsigned i = 0; i < plan->shard_count; i++)
        cpus += simulation->shards[i].cpus;
    (void)fprintf(out, "machine  %s: %s\n", plan->source, plan->machine);
    (void)fprintf(out,
                  "pool     %u shards on %u nodes, %.4g CPUs; %s, %u workers, %" PRIu64
                  " waiting tasks\n",
                  plan->shard_count, plan->node_count, cpus, modes[config->mode],
                  config->workers_max, config->queue_tasks);
    (void)fprintf(out, "load     %s: %g s, seed %" PRIu64 "; %" PRIu64 " events\n\n",
                  simulation->load_path, simulation->load.seconds, simulation->load.seed,
                  simulation->result->events);
}

static void print_count(const struct sim_result *result, FILE *out, const char *name,
                        uint64_t count)
{
    (void)fprintf(out, "%-22s %12" PRIu64 " %12.1f %8.2f\n", name, count,
                  (double)count / result->seconds, share(count, result->offered));
}

static void print_totals(const struct sim_result *result, FILE *out)
{
    static const char *const reasons[] = {"", "  no room", "  class share", "  predicted wait",
                                          "  deadline"};
    (void)fprintf(out, "%-22s %12s %12s %8s\n", "tasks", "count", "per second", "%");
    print_count(result, out, "offered", result->offered);
    print_count(result, out, "completed", result->completed);
    print_count(result, out, "refused", refused_of(result));
    for (int v = NPI_VERDICT_FULL; v <= NPI_VERDICT_DEADLINE; v++)
        if (result->refused_for[v] > 0)
            print_count(result, out, reasons[v], result->refused_for[v]);
    print_count(result, out, "dropped, too late", result->dropped);
    print_count(result, out, "inside at the end", result->queued_at_end + result->running_at_end);
    (void)fprintf(out, "%-22s %12" PRIu64 " %12.1f %8.2f of completed\n", "ran away from home",
                  result->away, (double)result->away / result->seconds,
                  share(result->away, result->completed));
}

static void print_times(FILE *out, const struct sim_result *result, int c,
                        double (*of)(const struct sim_result *, int, unsigned))
{
    static const unsigned permille[] = {500, 900, 990, 999, 1000};
    for (size_t i = 0; i < sizeof permille / sizeof *permille; i++)
        (void)fprintf(out, " %8.3f", of(result, c, permille[i]));
}

static void print_classes(const struct sim_result *result, FILE *out)
{
    (void)fprintf(out, "\n%-10s %11s %9s %9s | %-44s | %s\n", "", "", "", "",
                  "wait, ms: arrival to start", "sojourn, ms: arrival to end");
    (void)fprintf(out, "%-10s %11s %9s %9s |", "class", "completed/s", "refused %", "dropped %");
    for (int i = 0; i < 2; i++)
        (void)fprintf(out, " %8s %8s %8s %8s %8s%s", "p50", "p90", "p99", "p99.9", "max",
                      i ? "\n" : " |");
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        if (result->offered_by[c] == 0)
            continue;
        (void)fprintf(out, "%-10s %11.1f %9.2f %9.2f |", load_classes[c],
                      (double)result->completed_by[c] / result->seconds,
                      share(result->refused[c], result->offered_by[c]),
                      share(result->dropped_by[c], result->offered_by[c]));
        print_times(out, result, c, simulate_wait_ms);
        (void)fprintf(out, " |");
        print_times(out, result, c, simulate_total_ms);
        (void)fputc('\n', out);
    }
}

struct course {
    double quota_low, quota_mean, quota_high, queue_mean, cpu_percent;
};

static struct course course_of(const struct simulation *simulation, size_t shard)
{
    const struct sim_result *result = simulation->result;
    struct course course = {.quota_low = 1e9};
    for (size_t tick = 0; tick < result->tick_count; tick++) {
        const struct sim_tick *its = sim_tick_at(result, tick, shard);
        double quota = its->quota_workers;
        course.quota_low = quota < course.quota_low ? quota : course.quota_low;
        course.quota_high = quota > course.quota_high ? quota : course.quota_high;
        course.quota_mean += quota / (double)result->tick_count;
        course.queue_mean += (double)its->queued_tasks / (double)result->tick_count;
        course.cpu_percent += 100.0 * (double)its->used_cpus / simulation->shards[shard].cpus /
                              (double)result->tick_count;
    }
    return course;
}

static void print_shard(const struct simulation *simulation, FILE *out, size_t i)
{
    const struct sim_share *its = &simulation->result->shards[i];
    struct course course = course_of(simulation, i);
    double seconds = simulation->result->seconds;
    (void)fprintf(out,
                  "%5zu %5u %6.4g %11.1f %11.1f %9.2f %9.2f %9.2f %6.1f %6.0f %6.0f %6.0f %9.1f\n",
                  i, simulation->plan->shards[i].node, simulation->shards[i].cpus,
                  (double)its->offered / seconds, (double)its->ran / seconds,
                  share(its->refused, its->offered), share(its->away, its->done),
                  share(its->guests, its->ran), course.cpu_percent, course.quota_low,
                  course.quota_mean, course.quota_high, course.queue_mean);
}

/* Of many shards those with the largest refused share, then the largest offer, first. */
static bool worse_off(const struct sim_share *left, const struct sim_share *right)
{
    double a = share(left->refused, left->offered), b = share(right->refused, right->offered);
    return a > b || (a >= b && left->offered > right->offered);
}

static void print_shards(const struct simulation *simulation, FILE *out)
{
    const struct sim_result *result = simulation->result;
    size_t count = result->shard_count, shown = count < SHARDS_SHOWN ? count : SHARDS_SHOWN;
    (void)fprintf(out, "\n%5s %5s %6s %11s %11s %9s %9s %9s %6s %20s %9s\n", "shard", "node",
                  "CPUs", "offered/s", "ran/s", "refused %", "away %", "guests %", "CPU %",
                  "quota: low mean high", "waiting");
    size_t order[SHARDS_SHOWN] = {0};
    size_t have = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = have < shown ? have++ : shown;
        while (count > SHARDS_SHOWN && at > 0 &&
               worse_off(&result->shards[i], &result->shards[order[at - 1]])) {
            if (at < shown)
                order[at] = order[at - 1];
            at--;
        }
        if (at < shown)
            order[at] = i;
    }
    for (size_t k = 0; k < shown; k++)
        print_shard(simulation, out, order[k]);
    if (count > shown)
        (void)fprintf(out, "and %zu shards that are better off; --json has all of them\n",
                      count - shown);
}

static void print_contrast(const struct simulation *simulation, FILE *out)
{
    const struct sim_result *results[] = {simulation->result, simulation->even};
    static const char *const names[] = {"as configured", "budget split evenly"};
    (void)fprintf(out, "\n%-22s %12s %10s %10s %12s %12s\n", "the same load", "completed/s",
                  "refused %", "away %", "wait p50, ms", "wait p99, ms");
    for (int i = 0; i < 2; i++)
        (void)fprintf(out, "%-22s %12.1f %10.2f %10.2f %12.3f %12.3f\n", names[i],
                      (double)results[i]->completed / results[i]->seconds,
                      share(refused_of(results[i]), results[i]->offered),
                      share(results[i]->away, results[i]->completed),
                      simulate_wait_ms(results[i], -1, 500), simulate_wait_ms(results[i], -1, 990));
}

void simulate_print(const struct simulation *simulation, FILE *out)
{
    print_head(simulation, out);
    print_totals(simulation->result, out);
    print_classes(simulation->result, out);
    print_shards(simulation, out);
    if (simulation->even != NULL)
        print_contrast(simulation, out);
    (void)fflush(out);
}
