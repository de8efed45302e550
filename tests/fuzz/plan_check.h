/*
 * What holds for every plan on every machine, found by the simplest means rather than by those of
 * the planner.
 */
#ifndef NPI_TESTS_FUZZ_PLAN_CHECK_H
#define NPI_TESTS_FUZZ_PLAN_CHECK_H

#include "topology/machine.h"
#include "topology/plan.h"

void check_plan(const struct npi_plan *plan, const struct npi_machine *machine);

/* Everything but sentences and what the shards were made by. */
void check_same_plan(const struct npi_plan *a, const struct npi_plan *b);

/* The plan as a file, loaded, planned again on the same machine, is the same plan. */
void check_plan_file(const struct npi_plan *plan, const struct npi_machine *machine);

/*
 * All of it for one machine and one configuration, also joined to at most `fewer` shards.
 * Returns how many shards there were; 0: the configuration does not fit, and the error says so.
 */
unsigned check_planning(const struct npi_machine *machine, const struct numapool_config *config,
                        unsigned fewer);

#endif
