/* Between what a program asked for and what a pool is built with: every field gets its value. */
#ifndef NPI_API_CONFIG_H
#define NPI_API_CONFIG_H

#include "policy/params.h"
#include "topology/plan.h"

#include <numapool/numapool.h>

/*
 * Copies the fields a caller's struct has (its struct_size may be an older, smaller one) and gives the
 * others their defaults, but for those that depend on the machine. Checks ranges.
 * OK, _E_INVALID (struct_size), _E_CONFIG (all mistakes in error), _E_NOMEM.
 */
int npi_config_settle(struct numapool_config *settled, const struct numapool_config *config,
                      struct numapool_error *error);

/* The defaults that depend on the machine. OK or _E_CONFIG. */
int npi_config_settle_by_plan(struct numapool_config *settled, const struct npi_plan *plan,
                              struct numapool_error *error);

/* What a settled configuration means to the policy. */
void npi_config_params(const struct numapool_config *settled, struct npi_policy_params *params);

#endif
