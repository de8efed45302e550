/* What the files of api/ share about a pool's making and ending. */
#ifndef NPI_API_POOL_H
#define NPI_API_POOL_H

#include "flow/pool.h"

/* A shard's memory and structures, on its node; no threads. OK or _E_NOMEM. */
int npi_shard_create(struct npi_shard **shard, struct numapool *pool, unsigned index);
void npi_shard_destroy(struct npi_shard *shard); /* NULL is fine */

/* Ends all threads and drops what is queued, in the order that loses nothing. */
void npi_pool_stop(struct numapool *pool);

void npi_pool_free(struct numapool *pool);

#endif
