/* Things go wrong on the machine: stuck tasks, CPUs taken away. Rows 9 and 10. */
#include "table.h"

static double constant(double t_s, const void *arg)
{
    (void)t_s;
    return *(const double *)arg;
}

int sim_row_stuck(void)
{
    const double each_per_s = 0.6 * 8000, full_per_s = 16000;
    struct sim_shard_spec shard = {.cpus = 8, .capacity_tasks = 1000, .workers_at_start = 8};
    struct sim_load loads[2] = {
        {.home = 0, .per_s = each_per_s, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL},
        {.home = 1, .per_s = each_per_s, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL},
    };
    struct sim_change stuck = {.at_s = 1.0,
                               .kind = SIM_CHANGE_SUBMIT,
                               .shard = 0,
                               .value = 60,
                               .cpu_ms = 0.1,
                               .block_ms = 2000};
    struct sim_spec spec;
    struct sim_line line;
    sim_spec_init(&spec, 4, 200);
    spec.shard_count = 2;
    spec.shards = &shard;
    spec.alike = true;
    spec.loads = loads;
    spec.load_count = 2;
    spec.changes = &stuck;
    spec.change_count = 1;
    struct sim_result *result = sim_run(&spec);
    double worst = 1e30;
    for (size_t tick = 100; tick + 10 < 300; tick++) {
        double done = 0.0;
        for (size_t k = tick; k < tick + 10; k++)
            done += sim_tick_at(result, k, 0)->done_tasks + sim_tick_at(result, k, 1)->done_tasks;
        double share = done / 0.1 / (2 * each_per_s);
        worst = share < worst ? share : worst;
    }
    sim_line_begin(&line, "9", "60 tasks stuck for 2 s on one of 2 shards");
    sim_line_least(
        &line, "% of oracle",
        100.0 * (double)result->done_count / sim_oracle(result, 2000, constant, &full_per_s), 98);
    sim_line_least(&line, "worst 100 ms %", 100 * worst, 85);
    sim_line_note(&line, "refused", (double)result->refused[NPI_CLASS_NORMAL]);
    int failed = sim_line_end(&line, result);
    sim_result_free(result);
    return failed;
}

static double shrunk(double t_s, const void *arg)
{
    (void)arg;
    return 2.0 * (t_s >= 2 && t_s < 4 ? 4 : 16) * 1000;
}

int sim_row_quota_change(void)
{
    int failed = 0;
    for (int hidden = 0; hidden < 2; hidden++) {
        struct sim_shard_spec shard = {.cpus = 16, .capacity_tasks = 200, .workers_at_start = 16};
        struct sim_load loads[2] = {
            {.home = 0, .per_s = 4800, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL},
            {.home = 1, .per_s = 4800, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL},
        };
        struct sim_change changes[4];
        for (uint32_t i = 0; i < 4; i++)
            changes[i] =
                (struct sim_change){.at_s = i < 2 ? 2 : 4,
                                    .kind = hidden ? SIM_CHANGE_CPUS_HIDDEN : SIM_CHANGE_CPUS,
                                    .shard = i % 2,
                                    .value = i < 2 ? 4 : 16};
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 6, 256);
        spec.shard_count = 2;
        spec.shards = &shard;
        spec.alike = true;
        spec.loads = loads;
        spec.load_count = 2;
        spec.changes = changes;
        spec.change_count = 4;
        struct sim_result *result = sim_run(&spec);
        struct sim_span limit = sim_limit(result, 0, 2.5, 4);
        sim_line_begin(&line, "10", "16 to 4 to 16 CPUs, %s", hidden ? "unseen" : "seen");
        sim_line_least(&line, "% of oracle",
                       100.0 * (double)result->done_count / sim_oracle(result, 400, shrunk, NULL),
                       97);
        if (hidden)
            sim_line_most(&line, "workers mean / CPUs", limit.mean / 4, 2);
        sim_line_most(&line, "workers high / CPUs", limit.high / 4, hidden ? 2.5 : 1.25);
        struct sim_range range = {2.5, 4, -1};
        sim_line_note(&line, "time in task p50 ms", sim_inside_ms(result, range, 0.5));
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}
