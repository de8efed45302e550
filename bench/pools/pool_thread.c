/* No pool: a thread for each task. */
#include "pools/pool.h"

#include <pthread.h>
#include <stdlib.h>

#define STACK_BYTES ((size_t)256 * 1024)

struct one {
    pool_fn *run;
    void *arg;
};

static void *thread_main(void *arg)
{
    struct one one = *(struct one *)arg;
    free(arg);
    one.run(one.arg);
    return NULL;
}

static bool submit(void *pool, pool_fn *run, void *arg)
{
    pthread_t thread;
    struct one *one = malloc(sizeof *one);
    if (one == NULL) {
        return false;
    }
    *one = (struct one){run, arg};
    if (pthread_create(&thread, pool, thread_main, one) != 0) {
        free(one);
        return false;
    }
    return true;
}

static void *create(unsigned workers, const char **why)
{
    (void)workers;
    (void)why;
    pthread_attr_t *attributes = malloc(sizeof *attributes);
    if (attributes != NULL) {
        (void)pthread_attr_init(attributes);
        (void)pthread_attr_setdetachstate(attributes, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(attributes, STACK_BYTES);
    }
    return attributes;
}

static void destroy(void *pool)
{
    (void)pthread_attr_destroy(pool);
    free(pool);
}

const struct pool_kind pool_thread = {
    .name = "thread",
    .create = create,
    .destroy = destroy,
    .submit = submit,
    .bounded = true, /* by the system */
    .thread_a_task = true,
};
