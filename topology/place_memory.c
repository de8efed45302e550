/*
 * Where pages come from, and where they are. The only file that knows numaif.h.
 *
 * libnuma proper is not used: numa_alloc_onnode() prints and places wrongly when it cannot obey,
 * and numa_available() answers yes where a container's filter refuses every call.
 */
#include "topology/place.h"

#include <errno.h>
#include <numaif.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MPOL_F_STATIC_NODES
#define MPOL_F_STATIC_NODES (1 << 15) /* linux/mempolicy.h has it, but not beside numaif.h */
#endif

/*
 * The kernel's largest node number is 1023 (CONFIG_NODES_SHIFT is at most 10). It reads one bit
 * less than maxnode says, hence 1025, and refuses masks shorter than its own number of possible
 * nodes.
 */
#define NODE_BITS 1024u
#define LONG_BITS (8 * (unsigned)sizeof(unsigned long))
#define NODE_WORDS (NODE_BITS / LONG_BITS)

int npi_place_range(void *start, size_t bytes, enum npi_memory_policy policy,
                    unsigned node_os_index)
{
    unsigned long mask[NODE_WORDS] = {0};
    if (policy == NPI_MEMORY_LOCAL || bytes == 0)
        return 0;
    if (node_os_index >= NODE_BITS)
        return -EINVAL;
    mask[node_os_index / LONG_BITS] |= 1ul << (node_os_index % LONG_BITS);
    /* A plain BIND is a rank among the allowed nodes: when a control group's set of nodes changes
       the kernel renumbers it, even to another node where its own is allowed before and after, and
       does not take it back. A static one stays with the node it names, and returns to it. A plain
       preference is not renumbered, so it needs no flag. Seen with Linux 6.1. */
    int mode = policy == NPI_MEMORY_BIND ? MPOL_BIND | MPOL_F_STATIC_NODES : MPOL_PREFERRED;
    return mbind(start, bytes, mode, mask, NODE_BITS + 1, 0) == 0 ? 0 : -errno;
}

/* By the page table alone, which move_pages does not always believe. */
static bool is_present(const void *address)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char present = 0;
    void *page = (void *)((uintptr_t)address & ~(page_bytes - 1));
    return mincore(page, page_bytes, &present) == 0 && (present & 1) != 0;
}

int npi_place_node_of(const void *address)
{
    /* move_pages takes any address inside the page and, asked this way, moves nothing. */
    void *page = (void *)(uintptr_t)address;
    int status = -ENOENT;
    if (move_pages(0, 1, &page, NULL, &status, 0) != 0)
        status = -errno;
    /* Some filters refuse move_pages. And Linux 6.1 says that a page is absent while it watches who
       will use it next, to move it there: that happens every few seconds to memory without a
       policy. The call below is an access like any other, so it comes second: it ends the watch,
       and makes an untouched page be. */
    if (status != -EPERM && (status != -ENOENT || !is_present(address)))
        return status;
    int node = -1;
    if (get_mempolicy(&node, NULL, 0, page, MPOL_F_NODE | MPOL_F_ADDR) != 0)
        return -errno;
    return node;
}
