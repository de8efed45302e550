/* One plan of the budget between so many shards, which all want something else each time: what the
 * balancer does in each tick. One iteration is one plan; making up what they want is not counted. */
#include "policy/balance.h"
#include "policy/params.h"
#include "questions/questions.h"
#include "suite/measure.h"

#define SHARDS_MAX 256

static double unit(uint64_t *random)
{
    return (double)(random_next(random) >> 11) / 9007199254740992.0;
}

static void run(struct bench_run *run)
{
    static struct npi_balance_shard shards[SHARDS_MAX];
    static struct npi_balance_scratch scratch[SHARDS_MAX];
    static uint32_t quota[SHARDS_MAX], reach[SHARDS_MAX];
    struct npi_balance_result result;
    struct npi_policy_params params;
    size_t count = (size_t)run->values[0];
    uint64_t random = 88172645463325252u, spent = 0;
    npi_policy_defaults(&params);
    for (int64_t i = 0; i < run->iterations; i++) {
        for (size_t s = 0; s < count; s++) {
            shards[s] = (struct npi_balance_shard){.need_workers = unit(&random) * 300,
                                                   .held_workers = unit(&random) * 300,
                                                   .mean_workers = unit(&random) * 300,
                                                   .weight = 8,
                                                   .min_workers = 2,
                                                   .cap_workers = 500,
                                                   .quota_workers = i == 0 ? 0 : quota[s]};
        }
        uint64_t begin = ticks_now();
        npi_balance(&params, (uint32_t)count * 100, shards, count, scratch, quota, reach, &result);
        spent += ticks_now() - begin;
    }
    run->seconds = ticks_ns(spent) / 1e9;
    bench_figure(run, "plan_ns", ticks_ns(spent) / (double)run->iterations);
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{1}, {4}, {32}, {SHARDS_MAX}};

const struct bench_question question_tick = {
    .name = "tick",
    .asks = "one plan of the worker budget between so many shards",
    .keys = {"shards"},
    .variants = variants,
    .variant_count = 4,
    .run = run,
    .compared = {"plan_ns"},
};
