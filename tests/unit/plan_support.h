/* What the tests of the planner share: building configurations, and saying what a plan has to be.
 */
#ifndef NPI_TESTS_PLAN_SUPPORT_H
#define NPI_TESTS_PLAN_SUPPORT_H

#include "unit/topology_support.h"

/* The plan, which has kept all invariants. */
struct npi_plan *checked(const struct npi_machine *machine, const struct numapool_config *config);

bool plan_has_note(const struct npi_plan *plan, const char *part);

void expect_shard(const struct npi_plan *plan, unsigned index, unsigned home_os_index,
                  const char *cpus, const char *owned);

/* No plan, exactly this text, and the out-parameter untouched. */
void expect_mistake(const struct npi_machine *machine, const struct numapool_config *config,
                    const char *text);

/* An empty placement of the configuration; the caller frees it. */
struct numapool_placement *new_placement(struct numapool_config *config);

/* As if line `line` of a file f had said it. */
void say(struct numapool_placement *placement, enum npi_said said, int line);

/* An explicit shard, said in line 10 and on. */
void add_shard(struct numapool_placement *placement, const char *cpus, const char *callers,
               int node);

#endif
