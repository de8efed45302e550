/*
 * Putting threads and pages where the plan wants them, and asking where they are.
 * Thin wrappers over system calls: no state, no retries, no log. Every function returns 0 or a
 * negative errno and leaves the decision what a refusal means to its caller.
 */
#ifndef NPI_TOPOLOGY_PLACE_H
#define NPI_TOPOLOGY_PLACE_H

#include "topology/plan.h"

#include <sys/types.h>

/* The calling process's allowed CPUs, whatever their number. */
int npi_place_allowed_cpus(struct npi_cpuset *allowed);

/* Restrict a thread (0 = the caller) to a set; -EINVAL when none of it is allowed. */
int npi_place_thread(pid_t tid, const struct npi_cpuset *cpus);
int npi_place_thread_get(pid_t tid, struct npi_cpuset *cpus);

/*
 * Ask that untouched pages of a page-aligned range come from a node. PREFER and BIND as in the
 * plan; LOCAL does nothing. -EPERM in containers whose filter refuses it, -ENOSYS without NUMA.
 */
int npi_place_range(void *start, size_t bytes, enum npi_memory_policy policy,
                    unsigned node_os_index);

/* OS index of the node a touched page lives on, or a negative errno. */
int npi_place_node_of(const void *address);

#endif
