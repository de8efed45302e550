/* More work than CPUs: deadlines, classes, standing queues. Rows 14, 15 and 20. */
#include <math.h>

#include "table.h"

int sim_row_deadline(void)
{
    struct sim_shard_spec shard = {
        .cpus = 8, .capacity_tasks = 1000, .workers_at_start = 8, .workers_min = 8};
    struct sim_load load = {
        .per_s = 16000, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL, .deadline_ms = 50};
    int failed = 0;
    for (int law = 0; law < 2; law++) {
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 3, 64);
        spec.shard_count = spec.load_count = 1;
        spec.shards = &shard;
        spec.loads = &load;
        spec.law = law == 0 ? SIM_LAW_ADAPTIVE : SIM_LAW_FIXED;
        if (law == 1)
            spec.budget_workers = 8;
        struct sim_result *result = sim_run(&spec);
        double useful = 100.0 * (double)result->in_time / (8000.0 * 3);
        if (law == 0) {
            sim_line_begin(&line, "14", "twice the load, deadline 50 ms");
            sim_line_least(&line, "useful % of CPUs", useful, 95);
            sim_line_most(&line, "dropped after acceptance %",
                          100.0 * (double)result->dropped / (double)result->accepted, 1);
        } else {
            sim_line_begin(&line, "14", "same, first come first served until full");
            sim_line_note(&line, "useful % of CPUs", useful);
        }
        sim_line_note(&line, "p99 ms", sim_total_ms(result, SIM_ALL, 0.99));
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

static double refused_percent(const struct sim_result *result, int task_class)
{
    return 100.0 * (double)result->refused[task_class] / (double)result->offered_by[task_class];
}

static double wait_p99_ms(const struct sim_result *result, int task_class)
{
    struct sim_range range = {0, 1e9, task_class};
    return sim_wait_ms(result, range, 0.99);
}

static void note_classes(struct sim_line *line, const struct sim_result *result)
{
    sim_line_note(line, "normal refused %", refused_percent(result, NPI_CLASS_NORMAL));
    sim_line_note(line, "wait p99 ms", wait_p99_ms(result, NPI_CLASS_NORMAL));
    sim_line_note(line, "sheddable refused %", refused_percent(result, NPI_CLASS_SHEDDABLE));
    sim_line_note(line, "wait p99 ms", wait_p99_ms(result, NPI_CLASS_SHEDDABLE));
}

static void three_classes(struct sim_load *load)
{
    load->mix[NPI_CLASS_CRITICAL] = 0.2;
    load->mix[NPI_CLASS_NORMAL] = 0.4;
    load->mix[NPI_CLASS_SHEDDABLE] = 0.4;
}

int sim_row_classes(void)
{
    const double full = 8000;
    int failed = 0;
    for (int kind = 0; kind < 3; kind++) {
        struct sim_shard_spec shard = {
            .cpus = 8, .capacity_tasks = 2000, .workers_at_start = 8, .workers_min = 8};
        struct sim_load loads[2] = {{.cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL},
                                    {.cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL}};
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 5, 512);
        spec.shard_count = 1;
        spec.shards = &shard;
        spec.loads = loads;
        spec.load_count = 2;
        three_classes(&loads[0]);
        three_classes(&loads[1]);
        if (kind == 0) {
            loads[0].per_s = 2 * full;
        } else if (kind == 1) { /* 4 times for 20 ms of 200, 70 % on average */
            loads[0].per_s = full * (0.7 * 0.2 - 4 * 0.02) / 0.18;
            loads[1].per_s = 4 * full - loads[0].per_s;
            loads[1].period_s = 0.2;
            loads[1].off_s = 0.02;
        } else {
            loads[0].per_s = 0.5 * full;
            loads[1].per_s = 4.5 * full;
            loads[1].from_s = 1;
            loads[1].until_s = 1.5;
        }
        struct sim_result *result = sim_run(&spec);
        static const char *const names[] = {"twice the load", "4-fold bursts of 20 ms, mean 70 %",
                                            "5-fold flash of 0.5 s"};
        sim_line_begin(&line, "15", "three classes, %s", names[kind]);
        sim_line_most(&line, "critical refused %", refused_percent(result, NPI_CLASS_CRITICAL), 0);
        if (kind < 2)
            sim_line_most(&line, "wait p99 ms", wait_p99_ms(result, NPI_CLASS_CRITICAL), 5);
        else
            sim_line_note(&line, "wait p99 ms", wait_p99_ms(result, NPI_CLASS_CRITICAL));
        if (kind == 1)
            sim_line_most(&line, "normal refused %", refused_percent(result, NPI_CLASS_NORMAL), 0);
        note_classes(&line, result);
        if (kind == 0)
            sim_line_least(&line, "% of CPUs", (double)result->done_count / (full * 5 / 100), 97);
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

/* Classes, standing queues, worker law, balancer and forwarding together: the whole pool under
 * twice its load. */
int sim_row_classes_sharded(void)
{
    int failed = 0;
    for (int blocking = 0; blocking < 2; blocking++) {
        double cpu_ms = blocking ? 0.1 : 1.0, block_ms = blocking ? 20.0 : 0.0;
        const double budget = 400;
        double full = blocking ? budget / 0.0201 : 32 * 1000;
        struct sim_shard_spec shard = {.cpus = 8, .capacity_tasks = 2000, .workers_at_start = 8};
        struct sim_load loads[4];
        for (uint32_t i = 0; i < 4; i++) { /* half of the load on shard 0 */
            loads[i] = (struct sim_load){.home = i,
                                         .per_s = 2 * full * (i == 0 ? 0.5 : 0.5 / 3),
                                         .cpu.ms = cpu_ms,
                                         .block.ms = block_ms,
                                         .cpu.shape = SIM_EXPONENTIAL,
                                         .block.shape = SIM_EXPONENTIAL};
            three_classes(&loads[i]);
        }
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 6, (uint32_t)budget);
        spec.shard_count = 4;
        spec.shards = &shard;
        spec.alike = true;
        spec.loads = loads;
        spec.load_count = 4;
        struct sim_result *result = sim_run(&spec);
        double done = 100.0 * sim_done_per_s(result, 1, 6) / full;
        struct sim_range settled = {1, 1e9, NPI_CLASS_CRITICAL},
                         normal = {1, 1e9, NPI_CLASS_NORMAL};
        sim_line_begin(&line, "20", "4 shards, half of twice the load on one, three classes, %s",
                       blocking ? "blocking" : "CPU");
        sim_line_most(&line, "critical refused %", refused_percent(result, NPI_CLASS_CRITICAL), 0);
        sim_line_most(&line, "wait p99 ms", sim_wait_ms(result, settled, 0.99), 5);
        sim_line_most(&line, "normal wait p99 ms", sim_wait_ms(result, normal, 0.99), 150);
        sim_line_least(&line, "% of capacity", done, 95);
        note_classes(&line, result);
        sim_line_note(&line, "remote %", 100 * sim_remote_share(result));
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}
