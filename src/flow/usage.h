/*
 * What a shard's workers use of the processors: CPU time, and time spent runnable without one.
 * At most 64 workers are asked per tick (about 1.5 us each); where there are more, an even sample of
 * them stands for all, and moves on every few ticks. Used by the balancer's tick alone.
 */
#ifndef NPI_FLOW_USAGE_H
#define NPI_FLOW_USAGE_H

#include "flow/shard.h"

struct npi_tick;

struct npi_usage {
    double cpu_ns;  /* of all workers since the last tick */
    double spin_ns; /* the part of it in which they waited for tasks: theirs to give to any task */
    double delay_ns;
    bool delay_known;
    double run_ns_per_task; /* mean over tasks the sampled workers finished; 0 = none did */
};

void npi_usage_sample(struct npi_tick *tick, struct npi_shard *shard, struct npi_usage *usage);
void npi_usage_forget(struct npi_shard *shard); /* what was read before is no baseline any more */
void npi_usage_close(struct npi_shard *shard);  /* gives the descriptors back */

#endif
