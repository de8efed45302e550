/* Runs hwloc's lstopo, another program, to draw a topology that is handed to it as XML. */
#ifndef NPI_TOOL_LSTOPO_H
#define NPI_TOOL_LSTOPO_H

#include <stdbool.h>
#include <stdio.h>

/*
 * The picture in `format` ("svg", "png", "ascii") goes to `out`, an empty file. `legend` ends with
 * NULL. false: *why says why not (owned by the caller), or is NULL for want of memory.
 */
bool lstopo_draw(const char *format, const char *xml, size_t xml_bytes, char *const *legend,
                 FILE *out, char **why);

#endif
