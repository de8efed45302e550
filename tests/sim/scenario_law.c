/* One shard, one worker law: rows 1, 2, 3, 13, 18 and 19. */
#include <math.h>

#include "table.h"

/* 0.32 ms of CPU and 20 ms of waiting: CPUs saturate at CPUs * 20.32 / 0.32 workers. */
static const double short_cpu_ms = 0.32, short_block_ms = 20.0;

static double constant(double t_s, const void *arg)
{
    (void)t_s;
    return *(const double *)arg;
}

static struct sim_range from(double from_s)
{
    struct sim_range range = {from_s, 1e9, -1};
    return range;
}

int sim_row_rate(void)
{
    const double cpus = 10.0, ideal = cpus * (short_cpu_ms + short_block_ms) / short_cpu_ms;
    const double full_per_s = cpus / (short_cpu_ms * 1e-3);
    struct sim_shard_spec shard = {
        .cpus = cpus, .capacity_tasks = 100000, .workers_at_start = 100, .workers_min = 10};
    struct sim_load load = {.per_s = 60000, .cpu.ms = short_cpu_ms, .block.ms = short_block_ms};
    int failed = 0;
    for (int law = 0; law < 2; law++) {
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 30, 5000);
        spec.shard_count = spec.load_count = 1;
        spec.shards = &shard;
        spec.loads = &load;
        spec.law = law == 0 ? SIM_LAW_ADAPTIVE : SIM_LAW_THRESHOLD;
        struct sim_result *result = sim_run(&spec);
        double oracle = sim_oracle(result, shard.capacity_tasks, constant, &full_per_s);
        double share = 100.0 * (double)result->done_count / oracle;
        double inside = sim_inside_ms_mean(result, from(15)) / (short_cpu_ms + short_block_ms);
        double reached = sim_reached_s(result, 0, 0.95 * full_per_s);
        struct sim_span limit = sim_limit(result, 0, 15, 30);
        if (law == 0) {
            sim_line_begin(&line, "1", "10 CPUs, 0.32 + 20 ms, 100 workers at start, 60 k/s");
            sim_line_least(&line, "% of oracle", share, 95);
            sim_line_most(&line, "time in task x", inside, 1.25);
            sim_line_least(&line, "workers low / ideal", limit.low / ideal, 0.9);
            sim_line_most(&line, "workers high / ideal", limit.high / ideal, 1.3);
            sim_line_least(&line, "95 % rate reached", reached, 0);
            sim_line_most(&line, "s", reached, 0.5);
        } else {
            sim_line_begin(&line, "1", "same, threshold law");
            sim_line_note(&line, "% of oracle", share);
            sim_line_note(&line, "time in task x", inside);
            sim_line_note(&line, "workers at end", limit.high);
            sim_line_note(&line, "95 % rate after s", reached);
        }
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

int sim_row_cpu_bound(void)
{
    static const uint32_t starts[] = {2, 64};
    int failed = 0;
    for (int i = 0; i < 2; i++) {
        struct sim_shard_spec shard = {
            .cpus = 8, .capacity_tasks = 20000, .workers_at_start = starts[i], .workers_min = 8};
        struct sim_load load = {.per_s = 12000, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL};
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 10, 1000);
        spec.shard_count = spec.load_count = 1;
        spec.shards = &shard;
        spec.loads = &load;
        struct sim_result *result = sim_run(&spec);
        struct sim_span limit = sim_limit(result, 0, 0.3, 10);
        sim_line_begin(&line, "2", "8 CPUs, 1 ms of CPU, %u workers at start", starts[i]);
        sim_line_least(&line, "% of CPUs", (double)result->done_count / 800.0, 98);
        sim_line_least(&line, "workers from 0.3 s on: low", limit.low, 8);
        sim_line_most(&line, "high", limit.high, 9.6);
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

int sim_row_mixes(void)
{
    static const struct mix {
        const char *name;
        double cpus, cpu_ms, block_ms, per_s, full_per_s, band, noise;
        uint32_t start, budget;
        bool delay_unknown, shared_cpus;
    } mixes[] = {
        {"5 + 5 ms", 8, 5, 5, 3000, 1600, 0.25, 0, 8, 1000, false, false},
        {"2 + 200 ms", 8, 2, 200, 8000, 4000, 0.25, 0, 8, 5000, false, false},
        {"0.32 + 20 ms", 2, 0.32, 20, 12000, 6250, 0.25, 0, 20, 1000, false, false},
        {"0.32 + 20 ms, 40 % noise", 2, 0.32, 20, 12000, 6250, 0, 0.4, 20, 1000, false, false},
        {"0.32 + 20 ms, no run delay", 2, 0.32, 20, 12000, 6250, 0.25, 0, 1000, 1000, true, false},
        {"1 ms CPU, no run delay", 8, 1, 0, 12000, 8000, 0.25, 0, 64, 1000, true, false},
        {"0.32 + 20 ms, shared CPUs", 2, 0.32, 20, 12000, 6250, 0.25, 0, 20, 1000, false, true},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        const struct mix *mix = &mixes[i];
        for (uint64_t offset = 0; offset < 3; offset++) {
            struct sim_shard_spec shard = {.cpus = mix->cpus,
                                           .capacity_tasks = 20000,
                                           .workers_at_start = mix->start,
                                           .workers_min = (uint32_t)mix->cpus};
            struct sim_load load = {.per_s = mix->per_s,
                                    .cpu.ms = mix->cpu_ms,
                                    .block.ms = mix->block_ms,
                                    .cpu.shape = SIM_EXPONENTIAL,
                                    .block.shape = SIM_EXPONENTIAL,
                                    .cpu_before = 0.5};
            struct sim_spec spec;
            struct sim_line line;
            sim_spec_init(&spec, 10, mix->budget);
            spec.seed += offset;
            spec.shard_count = spec.load_count = 1;
            spec.shards = &shard;
            spec.loads = &load;
            spec.noise = mix->noise;
            spec.delay_unknown = mix->delay_unknown;
            spec.shared_cpus = mix->shared_cpus;
            struct sim_result *result = sim_run(&spec);
            struct sim_span limit = sim_limit(result, 0, 5, 10);
            sim_line_begin(&line, "3", "%s, seed %u", mix->name, (unsigned)spec.seed);
            sim_line_least(&line, "% of CPUs",
                           100.0 * (double)result->done_count / (mix->full_per_s * 10), 90);
            sim_line_note(&line, "workers", limit.mean);
            double band = fmax(limit.high / limit.mean - 1.0, 1.0 - limit.low / limit.mean);
            if (mix->band > 0.0)
                sim_line_most(&line, "band +-", band, mix->band);
            else
                sim_line_note(&line, "band +-", band);
            sim_line_note(&line, "time in task x",
                          sim_inside_ms_mean(result, from(5)) / (mix->cpu_ms + mix->block_ms));
            sim_line_note(&line, "93 % after s", sim_reached_s(result, 0, 0.93 * mix->full_per_s));
            failed |= sim_line_end(&line, result);
            sim_result_free(result);
        }
    }
    return failed;
}

int sim_row_phase(void)
{
    struct sim_shard_spec shard = {
        .cpus = 8, .capacity_tasks = 4000, .workers_at_start = 8, .workers_min = 8};
    struct sim_load loads[] = {
        {.per_s = 15000, .until_s = 2, .cpu.ms = 0.1, .block.ms = 20, .cpu.shape = SIM_EXPONENTIAL},
        {.per_s = 12000, .from_s = 2, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL},
    };
    struct sim_spec spec;
    struct sim_line line;
    sim_spec_init(&spec, 4, 2000);
    spec.shard_count = 1;
    spec.shards = &shard;
    spec.loads = loads;
    spec.load_count = 2;
    struct sim_result *result = sim_run(&spec);
    double settled = -1.0;
    for (size_t tick = result->tick_count; tick-- > 0;) {
        double at = (double)(tick + 1) * result->tick_s;
        if (at < 2.02 || (double)sim_tick_at(result, tick, 0)->runnable > 1.25 * 8)
            break;
        settled = at - 2.0;
    }
    sim_line_begin(&line, "13", "8 CPUs, 0.1 + 20 ms turns into 1 ms of CPU");
    sim_line_note(&line, "workers before", sim_limit(result, 0, 1.9, 2).high);
    sim_line_note(&line, "runnable peak", sim_runnable(result, 0, 2, 4).high);
    sim_line_least(&line, "runnable within 1.25 C for good after", settled, 0);
    sim_line_most(&line, "s", settled, 0.3);
    sim_line_note(&line, "% of CPUs from then", sim_done_per_s(result, 2.5, 4) / 80.0);
    int failed = sim_line_end(&line, result);
    sim_result_free(result);
    return failed;
}

/* Others on our CPUs: a part of them, which is left to them, or as much as they can get. */
int sim_row_neighbours(void)
{
    enum expect { KEEP_REST, TELL, GROW_BESIDE, KEEP_HALF };
    static const struct company {
        const char *name;
        double cpus, cpu_ms, block_ms, per_s, foreign;
        bool unseen;
        enum expect expect;
    } companies[] = {
        {"10 CPUs, 0.32 + 20 ms, others use 10 %", 10, 0.32, 20, 60000, 1, false, KEEP_REST},
        {"10 CPUs, 0.32 + 20 ms, others use 30 %", 10, 0.32, 20, 60000, 3, false, KEEP_REST},
        {"8 CPUs, 1 ms CPU, others use 10 %", 8, 1, 0, 12000, 0.8, false, KEEP_REST},
        {"8 CPUs, 1 ms CPU, others use 30 %", 8, 1, 0, 12000, 2.4, false, KEEP_REST},
        {"10 CPUs, 0.32 + 20 ms, others use 10 %, unseen", 10, 0.32, 20, 60000, 1, true, TELL},
        {"10 CPUs, 0.32 + 20 ms, others spin", 10, 0.32, 20, 60000, 10, false, GROW_BESIDE},
        {"10 CPUs, 0.02 + 20 ms, others spin", 10, 0.02, 20, 60000, 10, false, GROW_BESIDE},
        {"8 CPUs, 1 ms CPU, others spin", 8, 1, 0, 12000, 8, false, KEEP_HALF},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof companies / sizeof *companies; i++) {
        const struct company *its = &companies[i];
        struct sim_shard_spec shard = {.cpus = its->cpus,
                                       .capacity_tasks = 100000,
                                       .workers_at_start = (uint32_t)its->cpus,
                                       .workers_min = (uint32_t)its->cpus,
                                       .foreign_cpus = its->foreign};
        struct sim_load load = {.per_s = its->per_s,
                                .cpu.ms = its->cpu_ms,
                                .block.ms = its->block_ms,
                                .cpu.shape = SIM_EXPONENTIAL};
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 10, 5000);
        spec.shard_count = spec.load_count = 1;
        spec.shards = &shard;
        spec.loads = &load;
        spec.idle_unknown = its->unseen;
        struct sim_result *result = sim_run(&spec);
        double done_per_s = sim_done_per_s(result, 1, 10);
        double share = 100.0 * done_per_s * its->cpu_ms * 1e-3 / (its->cpus - its->foreign);
        double inside = sim_inside_ms_mean(result, from(5)) / (its->cpu_ms + its->block_ms);
        double workers = sim_limit(result, 0, 5, 10).mean;
        sim_line_begin(&line, "18", "%s", its->name);
        switch (its->expect) {
        case KEEP_REST:
            sim_line_least(&line, "% of what is left", share, 95);
            sim_line_most(&line, "time in task x", inside, 1.25);
            break;
        case TELL:
            sim_line_note(&line, "% of what is left", share);
            sim_line_note(&line, "time in task x", inside);
            break;
        case GROW_BESIDE:
            sim_line_least(&line, "workers per CPU", workers / its->cpus, 20);
            sim_line_most(&line, "time in task x", inside, 1.25);
            break;
        case KEEP_HALF:
            sim_line_least(&line, "workers per CPU", workers / its->cpus, 0.5);
            sim_line_note(&line, "time in task x", inside);
            break;
        }
        sim_line_note(&line, "workers", workers);
        sim_line_note(&line, "CPUs got", done_per_s * its->cpu_ms * 1e-3);
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

/*
 * Blocking time 10 ms * (1 + (N/100)^2): completions are highest at about 100 workers and fall
 * beyond. With 1000 workers a task takes a second, so every look at the effect of a change takes
 * that long, too.
 */
static int collapse(uint32_t budget, double settled_s, double seconds, bool guarded)
{
    struct sim_shard_spec shard = {.cpus = 8,
                                   .capacity_tasks = 20000,
                                   .workers_at_start = 8,
                                   .workers_min = 8,
                                   .contention_workers = 100};
    struct sim_load load = {.per_s = 12000,
                            .cpu.ms = 0.1,
                            .block.ms = 10,
                            .cpu.shape = SIM_EXPONENTIAL,
                            .block.shape = SIM_EXPONENTIAL};
    struct sim_spec spec;
    struct sim_line line;
    sim_spec_init(&spec, seconds, budget);
    spec.shard_count = spec.load_count = 1;
    spec.shards = &shard;
    spec.loads = &load;
    if (!guarded)
        spec.params.guard_workers_gain = 1e9;
    struct sim_result *result = sim_run(&spec);
    double best_per_s = 100.0 / 0.0201;
    double share = 100.0 * sim_done_per_s(result, settled_s, seconds) / best_per_s;
    struct sim_span limit = sim_limit(result, 0, settled_s, seconds);
    sim_line_begin(&line, "19", "0.1 + 10 ms that gets slower with workers, budget %u%s", budget,
                   guarded ? "" : ", no guard");
    sim_line_note(&line, "from s", settled_s);
    if (guarded)
        sim_line_least(&line, "% of best", share, 90);
    else
        sim_line_note(&line, "% of best", share);
    sim_line_note(&line, "workers mean", limit.mean);
    sim_line_note(&line, "high", limit.high);
    int failed = sim_line_end(&line, result);
    sim_result_free(result);
    return failed;
}

/* The guard must not mistake tasks that became longer for workers that harm each other. */
static int longer_tasks(void)
{
    struct sim_shard_spec shard = {
        .cpus = 8, .capacity_tasks = 20000, .workers_at_start = 8, .workers_min = 8};
    struct sim_load loads[] = {
        {.per_s = 12000, .until_s = 3, .cpu.ms = 0.2, .block.ms = 10, .block.shape = 1},
        {.per_s = 12000, .from_s = 3, .cpu.ms = 0.2, .block.ms = 100, .block.shape = 1},
    };
    struct sim_spec spec;
    struct sim_line line;
    sim_spec_init(&spec, 8, 400);
    spec.shard_count = 1;
    spec.shards = &shard;
    spec.loads = loads;
    spec.load_count = 2;
    struct sim_result *result = sim_run(&spec);
    double full_per_s = 400.0 / 0.1002;
    double reached = sim_reached_s(result, 3.2, 0.9 * full_per_s);
    sim_line_begin(&line, "19", "8 CPUs, 0.2 + 10 ms turns into 0.2 + 100 ms, budget 400");
    sim_line_least(&line, "90 % of the budget's rate", reached, 0);
    sim_line_most(&line, "after s", reached - 3.0, 1.0);
    sim_line_least(&line, "% of it at the end", 100.0 * sim_done_per_s(result, 6, 8) / full_per_s,
                   95);
    int failed = sim_line_end(&line, result);
    sim_result_free(result);
    return failed;
}

int sim_row_collapse(void)
{
    int failed = collapse(400, 4, 24, true) | collapse(400, 4, 24, false);
    failed |= collapse(1000, 30, 50, true) | collapse(1000, 30, 50, false);
    return failed | longer_tasks();
}
