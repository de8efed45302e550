/* Small files of /sys and /proc, below a root that tests choose. Used by discover.c and cgroup.c.
 */
#ifndef NPI_TOPOLOGY_SYSFS_H
#define NPI_TOPOLOGY_SYSFS_H

#include "topology/cpuset.h"

/*
 * The whole file, terminated, without its last newline; NULL (and errno) when it cannot be read or
 * is larger than such files are. The caller frees it. root NULL = "".
 */
__attribute__((format(printf, 2, 3))) char *npi_sysfs_read(const char *root, const char *format,
                                                           ...);

/* Numbers N of all entries "<prefix>N" of a directory. -ENOENT when there is no such directory. */
int npi_sysfs_numbers(const char *root, const char *directory, const char *prefix,
                      struct npi_cpuset *numbers);

/* The value after a label in a text of lines such as "Node 0 MemFree:  123 kB", in bytes. */
bool npi_sysfs_kilobytes(const char *text, const char *label, uint64_t *bytes);

#endif
