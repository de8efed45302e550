/*
 * numapool simulate: shared by its files. A simulation is a configuration, the plan the pool would
 * make of it, a load, and the runs of the simulator over them.
 */
#ifndef NPI_TOOL_SIMULATE_H
#define NPI_TOOL_SIMULATE_H

#include "tool/load.h"

#include <stdio.h>

struct simulation {
    struct numapool_config config; /* settled: every field has its value */
    struct npi_plan *plan;
    const char *load_path;
    struct load load;
    bool against_real; /* as this machine would do it: capacity shared with what is really here */
    struct sim_spec spec;
    struct sim_shard_spec *shards;
    struct sim_result *result; /* as configured */
    struct sim_result *even;   /* the same load with mode "fixed", or NULL */
};

/* The specification of the run from configuration, plan and load. */
void simulate_specify(struct simulation *simulation);

/* The law of a second run: the budget split evenly, for good. */
struct sim_result *simulate_run_even(const struct simulation *simulation);

/* A percentile in milliseconds, of one class or (-1) of all. */
double simulate_wait_ms(const struct sim_result *result, int task_class, unsigned permille);
double simulate_total_ms(const struct sim_result *result, int task_class, unsigned permille);

void simulate_print(const struct simulation *simulation, FILE *out);
void simulate_write_json(const struct simulation *simulation, FILE *out);

/* Draws by gnuplot; `terminal` is "svg" or "png". enum tool_exit. */
int simulate_draw(const struct simulation *simulation, const char *terminal, const char *path);

/* Offers the same load to a real pool and prints both beside each other. enum tool_exit. */
int simulate_against_real(const struct simulation *simulation, const struct numapool_config *asked);

#endif
