/*
 * What a pool on the machine in NUMAPOOL_MACHINE (else on this one) really begins with, as JSON: read by
 * plan_test.py, which holds the plan of the command against it.
 */
#include <inttypes.h>
#include <numapool/numapool.h>
#include <stdio.h>

int main(void)
{
    numapool *pool = NULL;
    struct numapool_error error = {0};
    if (numapool_create(&pool, NULL, &error) != NUMAPOOL_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    size_t count = numapool_shard_count(pool);
    (void)printf("{\"nodes\": %zu, \"shards\": [", numapool_node_count(pool));
    for (size_t i = 0; i < count; i++) {
        struct numapool_shard_stats stats = {.struct_size = sizeof stats};
        if (numapool_shard_stats(pool, i, &stats) != NUMAPOOL_OK)
            return 1;
        (void)printf(
            "%s\n{\"node\": %" PRIu64 ", \"os_node\": %" PRIu64 ", \"quota_workers\": %" PRIu64
            ", \"queue_tasks\": %" PRIu64 ", \"distance\": [",
            i > 0 ? "," : "", stats.node, stats.node_os_index, stats.quota, stats.queue_capacity);
        for (size_t k = 0; k < count; k++)
            (void)printf("%s%d", k > 0 ? ", " : "", numapool_distance(pool, i, k));
        (void)printf("]}");
    }
    (void)printf("]}\n");
    return numapool_destroy(pool) != NUMAPOOL_OK;
}
