/*
 * The home shard of a task, and how hard the task holds to it.
 *
 * Explicit node, else the node of its data, else where the caller runs. Read by submit before any
 * queue is touched; forward.h decides whether the task then really stays there.
 */
#ifndef NPI_POLICY_ROUTE_H
#define NPI_POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/forward.h"

/* Shards of one node, consecutive ids. Nodes that share a shard all name it, with count 1. */
struct npi_route_node {
    uint16_t first_shard, shard_count;
};

struct npi_route_ask {
    int32_t on_node;       /* NUMAPOOL_ON_NODE: node index; -1 = not asked for */
    int32_t data_node;     /* node index of near_data; -1 = no hint */
    uint32_t caller_shard; /* shard of the CPU the caller runs on, or the one it was dealt */
    bool strict;           /* NUMAPOOL_STRICT_NODE; alone it means the caller's node */
};

struct npi_route {
    /* One shard: that is the home. Several: npi_route_least() over their depths tells. */
    uint16_t first_shard, shard_count;
    enum npi_affinity affinity;
};

/* A node index outside [0, node_count), or a node without shards, counts as no hint. */
void npi_route_home(const struct npi_route_node *nodes, size_t node_count,
                    const struct npi_route_ask *ask, struct npi_route *route);

/* Index of the one of count (>= 1) shards with least waiting; of equals the first from `turn` on,
 * so that ties rotate. */
size_t npi_route_least(const uint32_t *queued_tasks, size_t count, uint32_t turn);

#endif
