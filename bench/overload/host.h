/*
 * What this computer is, read from /proc and /sys: for the machine's description in the report, for
 * placing generators on real nodes, and for the CPU that other programs used during a run. It knows
 * nothing of emulated machines.
 */
#ifndef OVERLOAD_HOST_H
#define OVERLOAD_HOST_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_NODES_MAX 256

struct host {
    char cpu_model[128];
    char kernel[160];
    char architecture[72];
    char huge_pages[64];
    bool virtual_machine;
    unsigned cpus_online;
    unsigned cpus_allowed; /* of this process */
    double cpus_usable;    /* ... at most the control group's quota */
    unsigned node_count;   /* nodes with an allowed CPU, at least 1 */
    int node_os_index[HOST_NODES_MAX];
    uint64_t memory_total_bytes;
    uint64_t memory_available_bytes; /* at most the control group's room */
    uint64_t page_bytes;
    double load_1min;
};

void host_read(struct host *host);

/* Restricts the calling thread to the node's CPUs it is allowed on. False where that is not
   possible; the thread then runs where it did. */
bool host_pin_to_node(int node_os_index);

/* CPU time of all CPUs of this computer since it started. */
struct host_cpu {
    uint64_t busy_ns;
    uint64_t stolen_ns; /* wanted, but the hypervisor ran somebody else */
};

void host_cpu_read(struct host_cpu *cpu);

#endif
