/*
 * Scratch runs of a node between two uses: *warm* ones belong to nobody and wait, last in first
 * out, for the next worker; *held* ones belong to a worker, which uses them or keeps them idle
 * between two tasks. Called by scratch.c and trim.c with no slice's lock held.
 */
#ifndef NPI_MEMORY_WARM_H
#define NPI_MEMORY_WARM_H

#include "memory/space.h"

/* Values of npi_scratch.state. Only the first three transitions are the owner's. */
enum npi_warm_state {
    NPI_WARM_BUSY = 0, /* no run, or a task uses it: IDLE -> BUSY by the first take of a task */
    NPI_WARM_IDLE,     /* BUSY -> IDLE at the end of a task */
    NPI_WARM_STOLEN,   /* IDLE -> STOLEN by anybody short of memory; STOLEN -> BUSY when the owner
                          sees it */
};

/*
 * A run of at least `bytes` and not many times as many: the best of the newest warm ones, or, when
 * memory is tight, one that another worker keeps idle. Held by `scratch` from here on. 0 = none.
 */
uint32_t npi_warm_get(struct npi_slice *slice, struct npi_scratch *scratch, uint64_t bytes,
                      bool tight);
/* A fresh run becomes held. */
void npi_warm_hold(struct npi_slice *slice, struct npi_scratch *scratch, uint32_t chunk);
/* A held, busy run becomes warm; marked_bytes as npi_chunk_touch() returned it. */
void npi_warm_put(struct npi_slice *slice, uint32_t chunk, uint64_t marked_bytes);
/* A held, busy run goes back to the slice. */
void npi_warm_drop(struct npi_slice *slice, uint32_t chunk);

/* Frees warm runs, oldest first, or held idle ones, until so many bytes of addresses are free. What
   was backed of them is then backing of free chunks. Returns the bytes. */
uint64_t npi_warm_free(struct npi_slice *slice, uint64_t wanted_bytes);
uint64_t npi_warm_steal(struct npi_slice *slice, uint64_t wanted_bytes);

/* Too large a run to spend on a task that wants so little. */
static inline bool npi_warm_oversized(uint64_t run_bytes, uint64_t bytes, bool tight)
{
    return run_bytes > (tight ? bytes / 4 + bytes : 4 * bytes) + NPI_CHUNK_BYTES;
}

#endif
