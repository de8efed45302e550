/* A program of somebody who has the installed package and nothing else. */
#include <numapool/numapool.h>
#include <stdio.h>

static void mark(void *arg)
{
    *(int *)arg = 42;
}

int main(void)
{
    numapool *pool = NULL;
    struct numapool_error error = {0};
    int seen = 0;
    if (numapool_create(&pool, NULL, &error) || numapool_submit(pool, mark, &seen) ||
        numapool_drain(pool, UINT64_MAX) || numapool_destroy(pool) || seen != 42) {
        fprintf(stderr, "seen %d: %s\n", seen, error.text);
        return 1;
    }
    printf("numapool %s ran the task\n", numapool_version());
    return 0;
}
