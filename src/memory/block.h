/*
 * What the rest of src/memory may ask of the blocks; everybody else uses memory.h.
 */
#ifndef NPI_MEMORY_BLOCK_H
#define NPI_MEMORY_BLOCK_H

#include "memory/space.h"

/* Gives the spans of a node that have no block in use back to its slice. Any thread, no slice's
   lock held; heaps that are busy are left out. */
void npi_block_collect(struct npi_slice *slice);

/* For caches: up to count blocks of a class from one heap, not charged. Returns how many. */
unsigned npi_block_take(struct npi_slice *slice, uint32_t class, unsigned spread, void **blocks,
                        unsigned count);
/* And back: blocks of one slice that are marked as freed. Nothing is discharged. */
void npi_block_give(struct npi_slice *slice, void *const *blocks, unsigned count);

#endif
