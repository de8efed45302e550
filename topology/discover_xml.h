/* A look at an XML file before hwloc gets it. Used by discover.c alone. */
#ifndef NPI_TOPOLOGY_DISCOVER_XML_H
#define NPI_TOPOLOGY_DISCOVER_XML_H

#include <stdbool.h>

/*
 * hwloc 2 takes files on trust: objects without sets or with sets that contradict each other end the
 * process, tables of distances are as large as they say, nesting uses up the stack. What is wrong
 * with a text, as a static string; NULL = nothing that would do so, or *no_memory. *line tells where.
 */
const char *npi_xml_unfit(const char *text, int *line, bool *no_memory);

#endif
