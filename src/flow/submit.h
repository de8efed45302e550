/*
 * Stop 1: copy the task on the caller's thread and find its home. The public submit calls live here.
 */
#ifndef NPI_FLOW_SUBMIT_H
#define NPI_FLOW_SUBMIT_H

#include "flow/shard.h"

/* The shard of the calling thread: its own for a worker, else that of the CPU it runs on; a thread on
   nobody's CPU keeps the one it was dealt. */
unsigned npi_submit_caller_shard(struct numapool *pool);

#endif
