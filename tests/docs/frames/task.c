/* What the pages' short snippets stand in: the body of a task that has a file, a buffer and work to do. */
#include <numapool/numapool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static int file, computed;
static char buffer[64];

static void compute(int step)
{
    computed += step;
}

static void snippet(void)
{
    SNIPPET
    (void)buffer;
}

static void task(void *arg)
{
    (void)compute, (void)file;
    snippet();
    *(int *)arg = 1;
}

int main(void)
{
    int ran = 0;
    numapool *pool = NULL;
    if (numapool_create(&pool, NULL, NULL) != NUMAPOOL_OK || numapool_submit(pool, task, &ran) != NUMAPOOL_OK) {
        return 1;
    }
    return numapool_drain(pool, UINT64_C(10000000000)) | numapool_destroy(pool) | !ran;
}
