/*
 * Asks the kernel, and nobody else, where pages, CPUs and threads are. Tests of placement use it to
 * check the library, so it shares no code with topology/, uses neither hwloc nor libnuma, and goes
 * to the system calls and to /sys directly. It changes nothing; see denial.h, cgroup.h and
 * hotplug.h for what does.
 *
 * Functions return 0 or more on success and a negative errno otherwise.
 */
#ifndef NUMAPOOL_TESTS_VM_WHERE_H
#define NUMAPOOL_TESTS_VM_WHERE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* More than any CPU number a guest here can have, and four times the kernel's limit of nodes. */
#define WHERE_SET_BITS 4096
#define WHERE_NODES_MAX 1024

/* A set of CPUs or of nodes, by the kernel's numbers. */
struct where_set {
    unsigned long word[WHERE_SET_BITS / (8 * sizeof(unsigned long))];
};

bool where_set_has(const struct where_set *set, unsigned index);
void where_set_add(struct where_set *set, unsigned index);
bool where_set_equal(const struct where_set *a, const struct where_set *b);
unsigned where_set_count(const struct where_set *set);

/* "0-3,8": the form that /sys, cpusets and taskset use. An empty text is the empty set. */
int where_set_parse(struct where_set *set, const char *text);

/* Reads a file that holds such a list, e.g. WHERE_NODES_WITH_MEMORY. */
int where_set_read(struct where_set *set, const char *path);

#define WHERE_CPUS_ONLINE "/sys/devices/system/cpu/online"
#define WHERE_NODES_ONLINE "/sys/devices/system/node/online"
#define WHERE_NODES_WITH_CPUS "/sys/devices/system/node/has_cpu"
#define WHERE_NODES_WITH_MEMORY "/sys/devices/system/node/has_memory"

/* First line of a file, without its newline. */
int where_read_line(const char *path, char *line, size_t bytes);

/* The node of a CPU; -ENOENT for a CPU that is absent or offline. */
int where_cpu_node(unsigned cpu);

/* The CPUs of a node, online ones only. */
int where_node_cpus(unsigned node, struct where_set *cpus);

/* The kernel's distance between two online nodes. */
int where_distance(unsigned from, unsigned to);

/* The CPUs a thread may run on; tid 0 is the caller. */
int where_allowed_cpus(pid_t tid, struct where_set *cpus);

/* The nodes with memory that the caller may allocate from. */
int where_allowed_nodes(struct where_set *nodes);

/*
 * The node a page is on. -ENOENT while nobody has written to it: the kernel reports -EFAULT both
 * for an untouched page and for the shared page of zeroes that a mere read maps. Also -ENOENT for a
 * page without a policy, in a process with threads, while the kernel watches for who uses it next
 * (NUMA balancing, Linux 6.1); pages that are bound or preferred are not watched.
 */
int where_page_node(const void *address);

/* How the pages of a range are spread. */
struct where_spread {
    size_t on_node[WHERE_NODES_MAX];
    size_t absent; /* never written to */
    size_t total;
};

/* By move_pages; whole pages that the range touches. */
int where_range_spread(const void *start, size_t bytes, struct where_spread *spread);

/* True when every page of the range is present and on that one node. */
bool where_range_is_on(const void *start, size_t bytes, unsigned node);

/* The policy of the mapping an address lies in: one of linux/mempolicy.h's modes, and its nodes. */
struct where_policy {
    int mode;
    struct where_set nodes;
};

int where_policy_of(const void *address, struct where_policy *policy);

/*
 * The same from /proc/self/numa_maps, which stays readable where a container's filter refuses the
 * system calls: the line of the mapping that begins at exactly this address. Counts small and huge
 * pages alike, in units of page_bytes. -ENOENT when no mapping begins there.
 */
struct where_mapping {
    char policy[64]; /* "default", "bind:3", "prefer:1", as the kernel spells it */
    size_t page_bytes;
    struct where_spread spread; /* absent is unknown, so 0 */
};

int where_mapping_at(const void *start, struct where_mapping *mapping);

/* Pins the calling thread to one CPU. */
int where_run_on(unsigned cpu);

/* The shape of the emulated machine we run in, or NULL on any other machine. */
const char *where_guest_shape(void);

#endif
