/* What the pages' short snippets stand in: a pool, something to do, and at the end everything done. */
#include <inttypes.h>
#include <numapool/numapool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct request {
    int number;
    uint64_t received_ns;
    char *bytes;
    size_t length;
};

static int handled, told_busy, dropped;

static void handle(void *arg)
{
    (void)arg;
    __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

static void give_up(void *arg, int why)
{
    (void)arg;
    (void)why;
    __atomic_add_fetch(&dropped, 1, __ATOMIC_RELAXED);
}

static void answer_busy(struct request *request, uint64_t retry_after_ns)
{
    (void)request;
    (void)retry_after_ns;
    told_busy++;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int snippet(numapool *pool, struct request *request)
{
    (void)handle, (void)give_up, (void)answer_busy, (void)now_ns, (void)request;
    SNIPPET
    return pool == NULL;
}

int main(void)
{
    static struct numapool_error error;
    static struct request request = {.number = 1};
    numapool *pool = NULL;
    if (numapool_create(&pool, NULL, &error) != NUMAPOOL_OK) {
        fprintf(stderr, "no pool: %s\n", error.text);
        return 1;
    }
    request.received_ns = now_ns();
    int result = snippet(pool, &request);
    return numapool_drain(pool, UINT64_C(10000000000)) | numapool_destroy(pool) | result;
}
