/* Home shard of a task; see route.h. */
#include "policy/route.h"

static bool known(const struct npi_route_node *nodes, size_t node_count, int32_t node)
{
    return node >= 0 && (size_t)node < node_count && nodes[node].shard_count > 0;
}

void npi_route_home(const struct npi_route_node *nodes, size_t node_count,
                    const struct npi_route_ask *ask, struct npi_route *route)
{
    int32_t node = -1;
    route->affinity = NPI_AFFINITY_CALLER;
    if (known(nodes, node_count, ask->on_node)) {
        node = ask->on_node;
    } else if (known(nodes, node_count, ask->data_node)) {
        node = ask->data_node;
        route->affinity = NPI_AFFINITY_DATA;
    }
    if (ask->strict)
        route->affinity = NPI_AFFINITY_STRICT;
    route->first_shard = (uint16_t)ask->caller_shard;
    route->shard_count = 1;
    if (node < 0)
        return;
    const struct npi_route_node *there = &nodes[node];
    bool caller_is_there = ask->caller_shard >= there->first_shard &&
                           ask->caller_shard - there->first_shard < there->shard_count;
    if (!caller_is_there) {
        route->first_shard = there->first_shard;
        route->shard_count = there->shard_count;
    }
}

size_t npi_route_least(const uint32_t *queued_tasks, size_t count, uint32_t turn)
{
    size_t best = turn % count;
    for (size_t step = 1; step < count; step++) {
        size_t next = (turn + step) % count;
        if (queued_tasks[next] < queued_tasks[best])
            best = next;
    }
    return best;
}
