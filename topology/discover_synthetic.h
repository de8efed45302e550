/* A look at a synthetic text before hwloc gets it. Used by discover.c alone. */
#ifndef NPI_TOPOLOGY_DISCOVER_SYNTHETIC_H
#define NPI_TOPOLOGY_DISCOVER_SYNTHETIC_H

/*
 * hwloc 2 takes these texts on trust, too: some end the process, some write behind an array, some
 * keep it busy for hours. What is wrong with a text, as the static end of a sentence that begins
 * with it; NULL = nothing that would do so.
 */
const char *npi_synthetic_unfit(const char *text);

#endif
