/* The seam between discover.c and the one file that knows hwloc. Nobody else includes this. */
#ifndef NPI_TOPOLOGY_DISCOVER_HWLOC_H
#define NPI_TOPOLOGY_DISCOVER_HWLOC_H

#include "topology/machine.h"

enum npi_hwloc_source {
    NPI_HWLOC_LIVE,
    NPI_HWLOC_SYNTHETIC,
    NPI_HWLOC_XML,
};

/*
 * Fills CPUs, nodes, distances and domains; leaves the rest alone. `text` is the synthetic text or
 * that of the XML file. Returns 0, -ENOMEM, -EINVAL (the text or file), -ENOTSUP (hwloc was told by its own
 * environment variables to describe another machine), -EIO (hwloc failed).
 */
int npi_hwloc_load(struct npi_machine *machine, enum npi_hwloc_source source, const char *text,
                   bool want_kinds);

#endif
