/* Several shards and a load that is not where the budget or the CPUs are: rows 4 to 8, 11, 12, 17.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/event.h"
#include "table.h"

/* CPU time of a task that runs at distance 20. */
static const double remote_cost = 1.3;

static double constant(double t_s, const void *arg)
{
    (void)t_s;
    return *(const double *)arg;
}

static double percent_of_oracle(const struct sim_result *result, double capacity, double per_s)
{
    return 100.0 * (double)result->done_count / sim_oracle(result, capacity, constant, &per_s);
}

int sim_row_skew(void)
{
    static const size_t counts[] = {2, 4, 8};
    int failed = 0;
    for (int i = 0; i < 3; i++) {
        size_t n = counts[i];
        double full_per_s = 8000.0 + (double)(n - 1) * 8000.0 / remote_cost;
        struct sim_shard_spec shard = {.cpus = 8, .capacity_tasks = 1000, .workers_at_start = 8};
        struct sim_load load = {
            .per_s = 0.85 * full_per_s, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL};
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 3, (uint32_t)n * 64);
        spec.shard_count = n;
        spec.shards = &shard;
        spec.alike = true;
        spec.loads = &load;
        spec.load_count = 1;
        struct sim_result *result = sim_run(&spec);
        sim_line_begin(&line, "4", "all CPU load on one of %zu shards, 85 %%", n);
        sim_line_least(&line, "% of oracle",
                       percent_of_oracle(result, 1000.0 * (double)n, full_per_s), 97);
        sim_line_most(&line, "p99 ms", sim_total_ms(result, SIM_ALL, 0.99), 10);
        sim_line_note(&line, "remote %", 100 * sim_remote_share(result));
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

int sim_row_blocking_flip(void)
{
    static const size_t counts[] = {2, 8};
    int failed = 0;
    for (int i = 0; i < 4; i++) {
        size_t n = counts[i % 2];
        bool fixed = i >= 2;
        uint32_t budget = 100 * (uint32_t)n;
        double full_per_s = budget / 0.0201;
        struct sim_shard_spec shard = {
            .cpus = 8, .capacity_tasks = 2000, .workers_at_start = fixed ? 100 : 8};
        struct sim_load loads[2] = {
            {.home = 0,
             .until_s = 1.5,
             .per_s = 0.9 * full_per_s,
             .cpu.ms = 0.1,
             .block.ms = 20,
             .cpu.shape = SIM_EXPONENTIAL},
            {.home = 1,
             .from_s = 1.5,
             .per_s = 0.9 * full_per_s,
             .cpu.ms = 0.1,
             .block.ms = 20,
             .cpu.shape = SIM_EXPONENTIAL},
        };
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 3, budget);
        spec.shard_count = n;
        spec.shards = &shard;
        spec.alike = true;
        spec.loads = loads;
        spec.load_count = 2;
        spec.law = fixed ? SIM_LAW_FIXED : SIM_LAW_ADAPTIVE;
        struct sim_result *result = sim_run(&spec);
        double highest = sim_limit(result, 1, 1.5, 3).high, moved_at = -1.0;
        for (size_t tick = 0; tick < result->tick_count && moved_at < 0.0; tick++)
            if ((double)(tick + 1) * result->tick_s > 1.5 &&
                sim_tick_at(result, tick, 1)->limit_workers >= 0.9 * highest)
                moved_at = (double)(tick + 1) * result->tick_s - 1.5;
        double share = percent_of_oracle(result, 2000.0 * (double)n, full_per_s);
        double p99 = sim_total_ms(result, SIM_ALL, 0.99);
        sim_line_begin(&line, "5", "blocking load on one of %zu shards, then on another%s", n,
                       fixed ? ", fixed B/n" : "");
        if (fixed) {
            sim_line_note(&line, "% of oracle", share);
            sim_line_note(&line, "p99 ms", p99);
        } else {
            sim_line_least(&line, "% of oracle", share, 97);
            sim_line_most(&line, "p99 ms", p99, 150);
            sim_line_most(&line, "remote %", 100 * sim_remote_share(result), 15);
            sim_line_most(&line, "90 % of quota after s", moved_at, 0.25);
        }
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

int sim_row_swaps(void)
{
    static const double periods_s[] = {0.05, 0.2, 1.0, 4.0};
    const double budget = 200, full_per_s = budget / 0.0201;
    int failed = 0;
    for (int i = 0; i < 4; i++) {
        double period = periods_s[i];
        struct sim_shard_spec shard = {.cpus = 8, .capacity_tasks = 2000, .workers_at_start = 8};
        struct sim_load loads[2];
        for (uint32_t k = 0; k < 2; k++)
            loads[k] = (struct sim_load){.home = k,
                                         .per_s = 0.85 * full_per_s,
                                         .cpu.ms = 0.1,
                                         .block.ms = 20,
                                         .cpu.shape = SIM_EXPONENTIAL,
                                         .period_s = period,
                                         .on_s = k * period / 2,
                                         .off_s = (k + 1) * period / 2};
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 6, (uint32_t)budget);
        spec.shard_count = 2;
        spec.shards = &shard;
        spec.alike = true;
        spec.loads = loads;
        spec.load_count = 2;
        struct sim_result *result = sim_run(&spec);
        double swaps = 6.0 / (period / 2);
        sim_line_begin(&line, "6", "two shards take turns, period %.2f s", period);
        sim_line_least(&line, "% of oracle", percent_of_oracle(result, 4000, full_per_s), 97);
        sim_line_most(&line, "moved per swap / B", sim_moved(result, 0, 6) / swaps / budget, 1.1);
        sim_line_note(&line, "p99 ms", sim_total_ms(result, SIM_ALL, 0.99));
        sim_line_note(&line, "remote %", 100 * sim_remote_share(result));
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

int sim_row_flash(void)
{
    const double full_per_s = 400 / 0.0201, base = 0.2 * full_per_s / 4;
    struct sim_shard_spec shard = {.cpus = 8, .capacity_tasks = 2000, .workers_at_start = 8};
    struct sim_load loads[5];
    for (uint32_t i = 0; i < 5; i++)
        loads[i] = (struct sim_load){.home = i < 4 ? i : 2,
                                     .per_s = i < 4 ? base : 9 * base,
                                     .from_s = i < 4 ? 0 : 1,
                                     .until_s = i < 4 ? 0 : 2,
                                     .cpu.ms = 0.1,
                                     .block.ms = 20,
                                     .cpu.shape = SIM_EXPONENTIAL};
    struct sim_spec spec;
    struct sim_line line;
    sim_spec_init(&spec, 4, 400);
    spec.shard_count = 4;
    spec.shards = &shard;
    spec.alike = true;
    spec.loads = loads;
    spec.load_count = 5;
    struct sim_result *result = sim_run(&spec);
    double gone = 0.0, longest = 0.0;
    for (size_t tick = 0; tick < result->tick_count; tick++) {
        double at = (double)(tick + 1) * result->tick_s - 1.0, queued = 0.0;
        for (size_t k = 0; k < 4; k++)
            queued += sim_tick_at(result, tick, k)->queued_tasks;
        if (at <= 0.0 || at >= 1.0)
            continue;
        longest = queued > longest ? queued : longest;
        if (queued >= 10.0)
            gone = at;
    }
    sim_line_begin(&line, "7", "10 times the load on one of 4 shards for 1 s");
    sim_line_least(&line, "% of oracle", percent_of_oracle(result, 8000, full_per_s), 99);
    sim_line_most(&line, "queue gone for good after s", gone, 0.1);
    sim_line_note(&line, "longest queue", longest);
    sim_line_note(&line, "p99 ms", sim_total_ms(result, SIM_ALL, 0.99));
    int failed = sim_line_end(&line, result);
    sim_result_free(result);
    return failed;
}

int sim_row_slow_node(void)
{
    const double full_per_s = 3.25 * 8000;
    struct sim_shard_spec shards[4];
    struct sim_load loads[4];
    for (uint32_t i = 0; i < 4; i++) {
        shards[i] = (struct sim_shard_spec){
            .cpus = 8, .speed = i == 3 ? 0.25 : 1.0, .capacity_tasks = 1000, .workers_at_start = 8};
        loads[i] = (struct sim_load){
            .home = i, .per_s = 0.85 * full_per_s / 4, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL};
    }
    struct sim_spec spec;
    struct sim_line line;
    sim_spec_init(&spec, 3, 256);
    spec.shard_count = 4;
    spec.shards = shards;
    spec.loads = loads;
    spec.load_count = 4;
    struct sim_result *result = sim_run(&spec);
    sim_line_begin(&line, "8", "one of 4 nodes at a quarter of the speed");
    sim_line_least(&line, "% of oracle", percent_of_oracle(result, 4000, full_per_s), 97);
    sim_line_most(&line, "p99 ms", sim_total_ms(result, SIM_ALL, 0.99), 15);
    sim_line_note(&line, "remote %", 100 * sim_remote_share(result));
    int failed = sim_line_end(&line, result);
    sim_result_free(result);
    return failed;
}

int sim_row_many_nodes(void)
{
    enum { N = 32, HOT = 8 };
    const double full_per_s = HOT * 64 / 0.02 + (N - HOT) * 64 / (remote_cost * 0.02);
    struct sim_shard_spec shard = {.cpus = 64, .capacity_tasks = 4000, .workers_at_start = 64};
    struct sim_load loads[HOT];
    for (uint32_t i = 0; i < HOT; i++)
        loads[i] = (struct sim_load){.home = i * 4,
                                     .per_s = 0.8 * full_per_s / HOT,
                                     .cpu.ms = 20,
                                     .cpu.shape = SIM_EXPONENTIAL};
    struct sim_spec spec;
    struct sim_line line;
    sim_spec_init(&spec, 1, N * 64 * 2);
    spec.shard_count = N;
    spec.shards = &shard;
    spec.alike = true;
    spec.loads = loads;
    spec.load_count = HOT;
    struct sim_result *result = sim_run(&spec);
    sim_line_begin(&line, "11", "32 nodes of 64 CPUs, load 80 %% on 8 of them, first second");
    sim_line_least(&line, "% of oracle", percent_of_oracle(result, 4000.0 * N, full_per_s), 95);
    sim_line_note(&line, "p99 ms", sim_total_ms(result, SIM_ALL, 0.99));
    sim_line_note(&line, "remote %", 100 * sim_remote_share(result));
    int failed = sim_line_end(&line, result);
    sim_result_free(result);
    return failed;
}

int sim_row_fairness(void)
{
    static const double demand[4] = {20, 20, 100, 400};
    const double budget = 200, each_s = 0.0201;
    struct sim_shard_spec shard = {.cpus = 8, .capacity_tasks = 2000, .workers_at_start = 8};
    struct sim_load loads[4];
    for (uint32_t i = 0; i < 4; i++)
        loads[i] = (struct sim_load){.home = i,
                                     .per_s = demand[i] / each_s,
                                     .cpu.ms = 0.1,
                                     .block.ms = 20,
                                     .cpu.shape = SIM_EXPONENTIAL};
    struct sim_spec spec;
    struct sim_line line;
    sim_spec_init(&spec, 10, (uint32_t)budget);
    spec.shard_count = 4;
    spec.shards = &shard;
    spec.alike = true;
    spec.loads = loads;
    spec.load_count = 4;
    spec.no_steal = spec.no_forward = true;
    struct sim_result *result = sim_run(&spec);
    double served[4] = {0}, sum = 0, squares = 0;
    for (size_t i = 0; i < result->done_count; i++)
        served[result->done[i].home] += each_s / 10;
    for (int i = 2; i < 4; i++) {
        sum += served[i];
        squares += served[i] * served[i];
    }
    double small = 1.0;
    for (int i = 0; i < 2; i++) {
        double share = served[i] / each_s * 10 / (double)result->shards[i].offered;
        small = share < small ? share : small;
    }
    sim_line_begin(&line, "12", "demand 20/20/100/400 workers, budget 200");
    sim_line_least(&line, "small ones served %", 100 * small, 98);
    sim_line_least(&line, "Jain's index of the others", sum * sum / (2 * squares), 0.99);
    sim_line_most(&line, "moved per s / B", sim_moved(result, 1, 10) / 9 / budget, 0.05);
    int failed = sim_line_end(&line, result);
    sim_result_free(result);
    return failed;
}

int sim_row_herding(void)
{
    double p99[4];
    int failed = 0;
    for (int i = 0; i < 4; i++) {
        bool stale = i % 2 == 1, pull = i < 2;
        struct sim_shard_spec shard = {.cpus = 8, .capacity_tasks = 1000, .workers_at_start = 8};
        struct sim_load loads[8];
        for (uint32_t k = 0; k < 8; k++)
            loads[k] = (struct sim_load){.home = k,
                                         .per_s = (k < 4 ? 1.6 : 0.1) * 8000,
                                         .cpu.ms = 1,
                                         .cpu.shape = SIM_EXPONENTIAL};
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 2, 512);
        spec.shard_count = 8;
        spec.shards = &shard;
        spec.alike = true;
        spec.loads = loads;
        spec.load_count = 8;
        spec.stale = stale;
        spec.no_steal = !pull;
        struct sim_result *result = sim_run(&spec);
        p99[i] = sim_total_ms(result, SIM_ALL, 0.99);
        sim_line_begin(&line, "17", "4 hot and 4 cold shards, %s numbers, %s stealing",
                       stale ? "stale" : "live", pull ? "with" : "without");
        sim_line_least(&line, "% of oracle", percent_of_oracle(result, 8000, 64000), 97);
        if (pull && stale)
            sim_line_most(&line, "p99 / p99 live", p99[i] / p99[0], 2);
        sim_line_note(&line, "p99 ms", p99[i]);
        sim_line_most(&line, "moves of one task", result->hops_max, 2);
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}

/* Two packages of four nodes: help comes from the own package while that can give it. */
int sim_row_packages(void)
{
    enum { N = 8 };
    uint32_t distance[N * N];
    for (uint32_t i = 0; i < N * N; i++)
        distance[i] = i / N == i % N ? 10 : (i / N) / 4 == (i % N) / 4 ? 12 : 32;
    int failed = 0;
    for (int flood = 0; flood < 2; flood++) {
        struct sim_shard_spec shard = {.cpus = 8, .capacity_tasks = 1000, .workers_at_start = 8};
        struct sim_load load = {
            .per_s = flood ? 40000 : 20000, .cpu.ms = 1, .cpu.shape = SIM_EXPONENTIAL};
        /* Distance 12 costs 6 %, 32 costs 66 %. */
        double full_per_s = 8000 + 3 * 8000 / 1.06 + 4 * 8000 / 1.66;
        struct sim_spec spec;
        struct sim_line line;
        sim_spec_init(&spec, 3, N * 64);
        spec.shard_count = N;
        spec.shards = &shard;
        spec.alike = true;
        spec.distance = distance;
        spec.loads = &load;
        spec.load_count = 1;
        struct sim_result *result = sim_run(&spec);
        double near = 0.0, far = 0.0;
        for (size_t i = 0; i < result->done_count; i++) {
            near += result->done[i].at > 0 && result->done[i].at < 4 ? 1.0 : 0.0;
            far += result->done[i].at >= 4 ? 1.0 : 0.0;
        }
        sim_line_begin(&line, "21", "2 packages of 4 nodes, one hot: %s",
                       flood ? "more than its package has" : "less");
        sim_line_least(&line, "% of oracle", percent_of_oracle(result, 1000.0 * N, full_per_s), 97);
        if (flood) {
            sim_line_least(&line, "of what moved, % far", 100 * far / (near + far), 20);
        } else {
            sim_line_most(&line, "of what moved, % far", 100 * far / (near + far), 10);
        }
        sim_line_note(&line, "p99 ms", sim_total_ms(result, SIM_ALL, 0.99));
        failed |= sim_line_end(&line, result);
        sim_result_free(result);
    }
    return failed;
}
