/*
 * What threads keep of freed blocks; private to src/memory, the calls are in memory.h. The drawing
 * stands in cache.c.
 */
#ifndef NPI_MEMORY_CACHE_H
#define NPI_MEMORY_CACHE_H

#include "memory/space.h"

/* Gives a new space its caches, and takes them away from all threads before it ends. A space that gets
   none works without. */
void npi_caches_init(struct npi_space *space);
void npi_caches_fini(struct npi_space *space);

/* Bytes of a node that threads keep: charged, and not in use. */
uint64_t npi_caches_kept(const struct npi_space *space, unsigned node);

#endif
