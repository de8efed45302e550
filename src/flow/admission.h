/*
 * Stop 2: may this task come in, and where. Called by submit when the home's fast gate said no.
 * Order of the questions: closed, bytes and group (both by submit), the home's own gates, another
 * shard with idle capacity, the home's queue, another shard with room; only then a refusal.
 */
#ifndef NPI_FLOW_ADMISSION_H
#define NPI_FLOW_ADMISSION_H

#include "flow/shard.h"

/* Accepts the task somewhere or refuses it: NUMAPOOL_OK, _E_FULL, _E_SHED, _E_DEADLINE, _E_CLOSED.
   Refusals are counted at the home. */
int npi_admission_decide(struct npi_shard *home, struct npi_item *item);

/* Its bytes do not fit: NUMAPOOL_E_FULL, _E_CLOSED. Counted likewise. */
int npi_admission_refuse_bytes(struct npi_shard *home);

/* The calling thread's hint after its last try-later refusal by this pool. */
uint64_t npi_admission_retry_after_ns(const struct numapool *pool);

#endif
