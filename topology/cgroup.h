/*
 * What the control groups above this process grant: CPU time and memory, version 1 and 2, through
 * all ancestors that are visible here. hwloc knows nothing of either.
 */
#ifndef NPI_TOPOLOGY_CGROUP_H
#define NPI_TOPOLOGY_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* CPUs' worth per period, the smallest of all ancestors; 0 = no limit. root NULL = the real files.
 */
double npi_cgroup_cpu_limit(const char *root);

/* Bytes until the tightest limit of all ancestors; false = no limit. */
bool npi_cgroup_memory_room(const char *root, uint64_t *bytes);

#endif
