/*
 * Which chunks of a slice are taken, and the lowest free run that is long enough: two levels of
 * bits (a bit per chunk, a bit per full word of them), so that a slice of terabytes is searched as
 * fast as its low, used part allows. Pure arithmetic over memory it is given; no lock, no system
 * call. Called by chunk.c under the slice's lock.
 *
 * First fit keeps what is used at low addresses, packed: that is what bounds the memory that
 * becomes resident, and lets whole huge pages become free. A hint per run length makes repeated
 * requests of one length (scratch runs, spans) start where the last one ended.
 */
#ifndef NPI_MEMORY_RUNMAP_H
#define NPI_MEMORY_RUNMAP_H

#include <stdint.h>

#define NPI_RUN_NONE UINT32_MAX
#define NPI_RUN_HINTS 64u /* lengths with a hint of their own; longer runs share the last one */

struct npi_runmap {
    uint64_t *used;                   /* bit per chunk, 1 = taken */
    uint64_t *full;                   /* bit per word of used, 1 = all its chunks are taken */
    uint32_t word_count;              /* of used */
    uint32_t hint[NPI_RUN_HINTS + 1]; /* [n]: no free run of n or more chunks begins in an earlier
                                         word of used */
};

/* Words of `full` that belong to so many words of `used`. */
static inline uint32_t npi_runmap_full_words(uint32_t word_count)
{
    return (word_count + 63) / 64;
}

/* used and full are zeroed; chunk_count is a multiple of 64, all of them free. */
void npi_runmap_init(struct npi_runmap *map, uint64_t *used, uint64_t *full, uint32_t chunk_count);

/* The first chunk of the lowest free run of count > 0 chunks, or NPI_RUN_NONE. Takes nothing. */
uint32_t npi_runmap_find(struct npi_runmap *map, uint32_t count);

void npi_runmap_take(struct npi_runmap *map, uint32_t first, uint32_t count); /* all free before */
void npi_runmap_give(struct npi_runmap *map, uint32_t first, uint32_t count); /* all taken before */

/* The bits [from, from + count) of a word; count 1 to 64. */
static inline uint64_t npi_run_mask(unsigned from, unsigned count)
{
    return (~UINT64_C(0) >> (64 - count)) << from;
}

#endif
