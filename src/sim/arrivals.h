/*
 * Loads: who sends tasks to which shard, when, and what the tasks do.
 *
 * A load is plain data. Several loads on one shard add up, so a burst is a second load with a
 * window.
 */
#ifndef SIM_ARRIVALS_H
#define SIM_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "policy/params.h"

enum sim_shape { SIM_FIXED, SIM_EXPONENTIAL };

struct sim_load {
    uint32_t home;
    double per_s;           /* Poisson arrivals while active */
    double from_s, until_s; /* active window; until 0 = to the end */
    double period_s;        /* 0 = always active in the window; else a square wave ... */
    double on_s, off_s;     /* ... active from on_s to off_s of each period, counted from time 0 */
    double cpu_ms, block_ms;
    enum sim_shape cpu_shape, block_shape;
    double cpu_before; /* share of the CPU work done before the task blocks; 0 counts as all */
    double mix[NPI_CLASS_COUNT]; /* shares of the classes; all 0 = only normal */
    double deadline_ms;          /* 0 = none */
};

struct sim_job {
    double cpu_ns;
    uint64_t block_ns;
    uint64_t deadline_ns; /* after arrival; 0 = none */
    double cpu_before;
    enum npi_class task_class;
};

/* First arrival after now_ns; false = the load has ended. */
bool sim_load_next(const struct sim_load *load, struct npi_prng *prng, uint64_t now_ns,
                   uint64_t *at_ns);
void sim_load_job(const struct sim_load *load, struct npi_prng *prng, struct sim_job *job);

double sim_exponential(struct npi_prng *prng, double mean);
double sim_gauss(struct npi_prng *prng);

#endif
