/*
 * The home shard of a task, and how hard the task holds to it.
 *
 * Explicit node, else the node of its data, else where the caller runs. Read by submit before any queue is touched;
 * forward.h decides whether the task then really stays there.
 */
#ifndef NPI_POLICY_ROUTE_H
#define NPI_POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/forward.h"

/* Shards of one node: consecutive ids. Where a shard spans nodes, all of those nodes name it with count 1. */
struct npi_route_node {
    uint16_t first_shard, shard_count;
};

struct npi_route_ask {
    int32_t on_node;        /* NUMAPOOL_ON_NODE: node index; -1 = not asked for */
    int32_t data_node;      /* node index of near_data; -1 = no hint */
    uint32_t caller_shard;  /* shard of the CPU the caller runs on, or the one it was dealt */
    bool strict;            /* NUMAPOOL_STRICT_NODE; without on_node and data_node it means the caller's node */
};

struct npi_route {
    uint16_t first_shard, shard_count; /* count 1: this is the home; more: the one with least waiting, npi_route_least() */
    enum npi_affinity affinity;
};

/* nodes has node_count entries; a node index outside it, or a node without shards, counts as no hint. */
void npi_route_home(const struct npi_route_node *nodes, size_t node_count, const struct npi_route_ask *ask,
                    struct npi_route *route);

/* Index of the least loaded of count (>= 1) shards: waiting per CPU-weight; ties go to the one after `turn`. */
size_t npi_route_least(const uint32_t *queued_tasks, size_t count, uint32_t turn);

#endif
