/*
 * A load file: who submits how much of what to which node, and what happens to the nodes meanwhile.
 * Read for a plan, since homes are its nodes; what comes out is what the simulator takes.
 * src/sim/README.md has the keys.
 */
#ifndef NPI_TOOL_LOAD_H
#define NPI_TOOL_LOAD_H

#include "sim/sim.h"
#include "topology/mistakes.h"
#include "topology/plan.h"

struct load {
    double seconds;
    uint64_t seed;
    struct sim_load *loads;
    size_t load_count, load_space;
    struct sim_change *changes;
    size_t change_count, change_space;
    struct sim_arrival *trace; /* NULL = the loads make the arrivals */
    size_t trace_count, trace_space;
};

/* All mistakes are collected, each "file:line: path: what, and what would be right". The load is to
   be released in any case. */
void load_read(struct load *load, const char *path, const struct npi_plan *plan,
               struct npi_mistakes *mistakes);
void load_fini(struct load *load);

/* The file of a trace: lines of time_s,node,class,cpu_us,block_us[,deadline_ms]. */
void load_read_trace(struct load *load, const char *path, const struct npi_plan *plan,
                     struct npi_mistakes *mistakes);

/* Writes what the load offers as such a file. 0, or a negative errno. */
int load_write_trace(const struct load *load, const char *path, const struct npi_plan *plan);

/* "critical", ... by enum npi_class; ends with NULL. */
extern const char *const load_classes[];

#endif
