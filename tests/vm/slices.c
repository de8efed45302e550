#include "vm/slices.h"

#include "memory/space.h"

void slices_of(const struct npi_space *space, unsigned node, char **start, size_t *bytes)
{
    const struct npi_slice *slice = space->slices[node];

    *start = slice->base;
    *bytes = (size_t)npi_a32_load_relaxed(&slice->committed) << NPI_CHUNK_SHIFT;
}
