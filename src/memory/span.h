/*
 * A span: a run cut into equal blocks. Hands blocks out and takes them back; which heap it is on
 * and what it is charged to is block.c's affair. Called by block.c under the heap's lock, but for
 * npi_span_find, which only reads what does not change while the block is somebody's.
 */
#ifndef NPI_MEMORY_SPAN_H
#define NPI_MEMORY_SPAN_H

#include "memory/space.h"

struct npi_span {
    uint32_t chunk; /* its first */
    uint32_t class;
    uint32_t heap;
};

/* A new span for a heap, not yet listed. 0: no run could be had. */
uint32_t npi_span_create(struct npi_slice *slice, uint32_t class, uint32_t heap);
void npi_span_destroy(struct npi_slice *slice,
                      uint32_t chunk); /* no block of it is used or listed */

void *npi_span_take(struct npi_slice *slice, uint32_t chunk, const struct npi_class *class);
bool npi_span_full(const struct npi_slice *slice, uint32_t chunk, const struct npi_class *class);
void npi_span_put(struct npi_slice *slice, uint32_t chunk, void *block,
                  const struct npi_class *class);

/* The span of an address; false unless it is the begin of a block of one. */
bool npi_span_find(const struct npi_slice *slice, const void *block, struct npi_span *span);

/*
 * Marks a block as freed before it goes on any list, and clears it when it is handed out. A freed
 * block is known by a key in its second word (by its poison under AddressSanitizer): a second free
 * of it is refused while nobody else got it meanwhile.
 */
bool npi_span_mark_freed(const struct npi_slice *slice, void *block, const struct npi_class *class);

#endif
