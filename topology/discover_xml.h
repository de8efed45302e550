/* A look at an XML file before hwloc gets it. Used by discover.c alone. */
#ifndef NPI_TOPOLOGY_DISCOVER_XML_H
#define NPI_TOPOLOGY_DISCOVER_XML_H

#include <stddef.h>

/*
 * hwloc 2 takes the attributes of objects on trust: one without its sets ends the process. What is
 * wrong with the text, as a static string; NULL = nothing that would do so. *line tells where.
 */
const char *npi_xml_unfit(const char *text, int *line);

#endif
