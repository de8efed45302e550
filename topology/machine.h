/*
 * The machine as plain data: CPUs, memory nodes, how far they are from each other. What the planner
 * works on, so that it can be tried on any machine without having one. Made by discover.c from
 * this machine or from a text, or by a test from nothing.
 *
 * Only what this process may use is in it: CPUs outside its affinity or its control group do not
 * exist here. CPUs and nodes have the kernel's numbers; positions in the arrays are called slots.
 */
#ifndef NPI_TOPOLOGY_MACHINE_H
#define NPI_TOPOLOGY_MACHINE_H

#include "topology/cpuset.h"

/* The kernel has no more nodes than 1024, and a file's `node` none above this. */
#define NPI_NODE_ID_MAX 1023u

struct npi_machine_cpu {
    unsigned os_index;
    int core;  /* dense number up to NPI_CPU_ID_MAX, -1 = unknown: then the CPU is a core of its own
                */
    int cache; /* dense number of its last-level cache, -1 = unknown */
    int package; /* OS id, -1 = unknown */
    int kind;    /* 0 = slowest kind of core, ascending; -1 = all alike or unknown */
};

/* In the order in which a node is preferred as a home where several cover the same CPUs. */
enum npi_node_kind {
    NPI_NODE_DRAM,
    NPI_NODE_HBM,
    NPI_NODE_OTHER,  /* slower than DRAM: persistent or expanded memory */
    NPI_NODE_DEVICE, /* a device's memory: never used for anything */
};

struct npi_machine_node {
    unsigned os_index;
    enum npi_node_kind kind;
    bool memoryless;        /* has CPUs and no memory for us; only the live machine tells */
    bool cpuless;           /* known to have no CPUs; the CPUs in `cpus` are merely near it */
    uint64_t memory_bytes;  /* 0 = unknown, unless memoryless */
    uint64_t free_bytes;    /* 0 = unknown */
    struct npi_cpuset cpus; /* CPUs of the machine it is local to; may be empty */
};

struct npi_machine {
    bool live;     /* this machine */
    char *summary; /* one line */
    char *source;  /* "this machine", the text or the file it was made from */
    unsigned cpu_count;
    struct npi_machine_cpu *cpus; /* ascending os_index */
    unsigned node_count;
    struct npi_machine_node *nodes; /* ascending os_index */
    unsigned *distance; /* [slot_a * node_count + slot_b], 0 = unknown; NULL = all unknown */

    /* Nested sets of CPUs that are close to each other, larger than a core: packages, dies, caches,
       groups. Used only to find the memory nearest to CPUs that have none. */
    unsigned domain_count;
    struct npi_cpuset *domains;

    double cpu_limit;   /* CPUs' worth cpu.max grants here; 0 = no limit */
    unsigned cpus_here; /* CPUs this process may use here; differs from cpu_count only for a text */
    char **notes;
    unsigned note_count;
};

void npi_machine_fini(struct npi_machine *machine);
bool npi_machine_copy(struct npi_machine *to,
                      const struct npi_machine *from); /* false: no memory */

/*
 * Whether the planner may rely on it: ascending numbers, node CPUs that exist, at least one CPU,
 * distances that are 0 or at least 10. *why is a static text, set when it returns false.
 */
bool npi_machine_valid(const struct npi_machine *machine, const char **why);

/* Slot of a CPU or node number, -1 when there is none. */
int npi_machine_cpu_slot(const struct npi_machine *machine, unsigned os_index);
int npi_machine_node_slot(const struct npi_machine *machine, unsigned os_index);

/* All CPUs as a set. false: no memory. */
bool npi_machine_cpuset(const struct npi_machine *machine, struct npi_cpuset *set);

/* Distance between two nodes by slot, 0 = unknown. */
unsigned npi_machine_distance(const struct npi_machine *machine, unsigned a, unsigned b);

/*
 * Writes the count - 1 others of `self`, nearest first, into order. Equally near ones begin with
 * the one after `self`, so that not everybody turns to the first for help.
 */
void npi_nearest_order(const unsigned *distance, unsigned count, unsigned self, unsigned *order);

#endif
