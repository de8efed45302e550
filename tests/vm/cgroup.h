/*
 * Control groups (version 2) for tests: what a container's CPU set, memory nodes and CPU quota do
 * to a running process. Only in the emulated machine: on any other every call returns -EXDEV.
 */
#ifndef NUMAPOOL_TESTS_VM_CGROUP_H
#define NUMAPOOL_TESTS_VM_CGROUP_H

#include <stddef.h>
#include <sys/types.h>

/* Makes an empty group below the root, with the cpuset, cpu, memory and pids controllers. */
int cgroup_make(const char *name);

/* Writes one of its files: cgroup_set("g", "cpuset.cpus", "2-5"), cgroup_set("g", "cpu.max", "50000
 * 100000"). */
int cgroup_set(const char *name, const char *file, const char *text);

/* Value of a "key value" line, e.g. cgroup_get("g", "cpu.stat", "nr_throttled", &count). */
int cgroup_get(const char *name, const char *file, const char *key, unsigned long long *value);

/* Moves a whole process; pid 0 is the caller, name "" is the root group. */
int cgroup_enter(const char *name, pid_t pid);

/* Removes a group that no process is in any more. */
int cgroup_remove(const char *name);

#endif
