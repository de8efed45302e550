/* See plan_support.h. */
#include "unit/plan_support.h"

#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

struct npi_plan *checked(const struct npi_machine *machine, const struct numapool_config *config)
{
    struct npi_plan *plan = plan_of(machine, config);
    check_plan(plan, machine, "a plan");
    return plan;
}

bool plan_has_note(const struct npi_plan *plan, const char *part)
{
    for (unsigned i = 0; i < plan->note_count; i++)
        if (strstr(plan->notes[i], part) != NULL)
            return true;
    return false;
}

void expect_shard(const struct npi_plan *plan, unsigned index, unsigned home_os_index,
                  const char *cpus, const char *owned)
{
    assert_true(index < plan->shard_count);
    const struct npi_plan_shard *shard = &plan->shards[index];
    assert_int_equal(plan->nodes[shard->node].os_index, home_os_index);
    assert_set(&shard->cpus, cpus);
    assert_set(&shard->owned_cpus, owned);
}

void expect_mistake(const struct npi_machine *machine, const struct numapool_config *config,
                    const char *text)
{
    struct npi_plan untouched, *plan = &untouched;
    struct numapool_error error = {0};
    assert_int_equal(npi_plan_build(&plan, machine, config, false, &error), NUMAPOOL_E_CONFIG);
    assert_string_equal(error.text, text);
    assert_ptr_equal(plan, &untouched);
}

void say(struct numapool_placement *placement, enum npi_said said, int line)
{
    placement->where[said] = npi_text_format("f:%d", line);
}

struct numapool_placement *new_placement(struct numapool_config *config)
{
    config->placement = calloc(1, sizeof *config->placement);
    assert_non_null(config->placement);
    return config->placement;
}

void add_shard(struct numapool_placement *placement, const char *cpus, const char *callers,
               int node)
{
    placement->shards =
        realloc(placement->shards, (placement->shard_count + 1) * sizeof *placement->shards);
    assert_non_null(placement->shards);
    placement->shards[placement->shard_count] =
        (struct npi_placed_shard){.cpus = set_of(cpus),
                                  .callers = set_of(callers),
                                  .node = node,
                                  .where = npi_text_format("f:%u", 10 + placement->shard_count)};
    placement->shard_count++;
}
