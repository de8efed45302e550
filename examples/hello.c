/* Four tasks, a group to wait for them, and the pool's account of what became of them. */
#include <inttypes.h>
#include <numapool/numapool.h>
#include <stdio.h>

static void greet(void *arg)
{
    printf("task %d runs on node %d\n", *(int *)arg, numapool_current_node());
}

int main(void)
{
    numapool *pool = NULL;
    numapool_group *group = NULL;
    struct numapool_error error = {0};
    if (numapool_create(&pool, NULL, &error) || numapool_group_create(&group, pool)) {
        fprintf(stderr, "no pool: %s\n", error.text);
        return 1;
    }

    int numbers[4] = {1, 2, 3, 4};
    for (int i = 0; i < 4; i++) {
        struct numapool_task task = {.run = greet, .arg = &numbers[i], .group = group};
        int result = numapool_submit_task(pool, &task);
        if (result != NUMAPOOL_OK) /* nothing was queued: here a server answers "busy" */
            printf("task %d refused: %s\n", numbers[i], numapool_strerror(result));
    }

    struct numapool_stats stats = {.struct_size = sizeof(stats)};
    if (numapool_group_wait(group, UINT64_MAX) || numapool_stats(pool, &stats))
        return 1;
    printf("%" PRIu64 " accepted, %" PRIu64 " run\n", stats.accepted, stats.run);
    numapool_group_destroy(group);
    return numapool_destroy(pool) != NUMAPOOL_OK;
}
