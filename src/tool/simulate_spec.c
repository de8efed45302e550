/* From a configuration and its plan to what the simulator runs. */
#include "tool/simulate.h"

#include "api/config.h"
#include "base/histogram.h"
#include "sim/event.h"

#include <stdlib.h>

/* Parts of a run that get percentiles of their own: enough for a curve, few enough for memory. */
#define SLOTS_MAX 200u

void simulate_specify(struct simulation *simulation)
{
    const struct numapool_config *config = &simulation->config;
    const struct npi_plan *plan = simulation->plan;
    const struct load *load = &simulation->load;
    struct sim_spec *spec = &simulation->spec;
    size_t count = plan->shard_count;
    bool here = plan->live || simulation->against_real;

    *spec = (struct sim_spec){
        .name = simulation->load_path,
        .seed = load->seed,
        .seconds = load->seconds,
        .budget_workers = config->workers_max,
        .shard_count = count,
        .distance = plan->distance,
        .loads = load->loads,
        .load_count = load->load_count,
        .trace = load->trace,
        .trace_count = load->trace_count,
        .changes = load->changes,
        .change_count = load->change_count,
        .law = config->mode == NUMAPOOL_FIXED ? SIM_LAW_EVEN : SIM_LAW_ADAPTIVE,
        .idle_unknown = !plan->live && simulation->against_real, /* as flow/balancer.c has it */
        .brief = true,
    };
    npi_config_params(config, &spec->params);
    double ticks = load->seconds * 1e9 / (double)spec->params.tick_ns;
    spec->slot_count = ticks < SLOTS_MAX ? (size_t)ticks + 1 : SLOTS_MAX;

    simulation->shards = sim_zeroed(count, sizeof *simulation->shards);
    spec->shards = simulation->shards;
    for (size_t i = 0; i < count; i++) {
        const struct npi_plan_shard *its = &plan->shards[i];
        struct sim_shard_spec *shard = &simulation->shards[i];
        uint32_t part = config->workers_max / (uint32_t)count + (i < config->workers_max % count);
        /* A described machine has the CPUs it is described with, however few are here. */
        shard->cpus = here ? its->capacity : its->cpu_count;
        shard->capacity_tasks =
            (uint32_t)(config->queue_tasks / count + (config->queue_tasks % count != 0));
        shard->workers_max = its->workers_max;
        if (its->workers_max != 0 && its->workers_max < part)
            part = its->workers_max;
        uint32_t useful = shard->cpus > 1.0 ? (uint32_t)shard->cpus : 1;
        bool whole = spec->law == SIM_LAW_EVEN || part < useful;
        shard->workers_at_start = whole ? part : useful;
    }
}

struct sim_result *simulate_run_even(const struct simulation *simulation)
{
    struct simulation other = *simulation;
    other.config.mode = NUMAPOOL_FIXED;
    simulate_specify(&other);
    struct sim_result *result = sim_run(&other.spec);
    free(other.shards);
    return result;
}

static double percentile_ms(const struct npi_histogram_sum *by_class, int task_class,
                            unsigned permille)
{
    struct npi_histogram_sum sum = {0};
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        if (task_class >= 0 && c != task_class)
            continue;
        for (size_t i = 0; i < NPI_HISTOGRAM_BUCKETS; i++)
            sum.bucket[i] += by_class[c].bucket[i];
        sum.count += by_class[c].count;
        sum.max = by_class[c].max > sum.max ? by_class[c].max : sum.max;
    }
    return (double)npi_histogram_quantile(&sum, permille) * 1e-6;
}

double simulate_wait_ms(const struct sim_result *result, int task_class, unsigned permille)
{
    return percentile_ms(result->times->wait, task_class, permille);
}

double simulate_total_ms(const struct sim_result *result, int task_class, unsigned permille)
{
    return percentile_ms(result->times->total, task_class, permille);
}
