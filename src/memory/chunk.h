/*
 * Runs of chunks of one slice: taken, given back, and counted by what of them may be resident.
 * Knows nothing of blocks, scratch or budgets. Called by block.c, warm.c, scratch.c and trim.c,
 * with no slice's lock held.
 */
#ifndef NPI_MEMORY_CHUNK_H
#define NPI_MEMORY_CHUNK_H

#include "memory/space.h"

/* A run of count > 0 chunks, usable, of undefined content, its tag set. NPI_RUN_NONE: the slice has
   no such run, or the machine refused to make it usable. Nothing is counted as backed yet. */
uint32_t npi_chunk_take(struct npi_slice *slice, uint32_t count, uint32_t tag);

/* The whole run that begins here. What was backed stays backed until trimmed. */
void npi_chunk_give(struct npi_slice *slice, uint32_t first);

/*
 * The owner of the run is about to use its bytes [from, to): count their pages as backed. Returns
 * how far from the run's start everything is counted now, which may be more than `to`; later calls
 * may begin there.
 */
uint64_t npi_chunk_touch(struct npi_slice *slice, uint32_t first, uint64_t from_bytes,
                         uint64_t to_bytes);

/*
 * Gives the backing of free chunks back to the kernel, lowest first, until `wanted` bytes are back
 * or no more can be had. whole_units: only where a whole huge page becomes free. Returns the bytes.
 */
uint64_t npi_chunk_return(struct npi_slice *slice, uint64_t wanted_bytes, bool whole_units);

/* Lists of runs; who may use one is its owner's affair. */
void npi_run_list_push(struct npi_slice *slice, struct npi_run_list *list, uint32_t chunk);
void npi_run_list_remove(struct npi_slice *slice, struct npi_run_list *list, uint32_t chunk);

#endif
