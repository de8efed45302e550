/*
 * libuv's pool. Work is queued by the thread of a loop and its end comes back to that loop, so each
 * submitter has a loop and gives it a turn now and then. Requests are used again. The pool is the
 * process's, and its size is fixed when it is first used.
 */
#include "pools/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define TURN_TASKS 64

struct request {
    uv_work_t work;
    pool_fn *run;
    void *arg;
    struct request *next;
};

static __thread struct {
    uv_loop_t *loop;
    struct request *spare;
    unsigned queued;
} own;

static void work(uv_work_t *work)
{
    struct request *request = (struct request *)work;
    request->run(request->arg);
}

static void after(uv_work_t *work, int status)
{
    struct request *request = (struct request *)work;
    (void)status;
    request->next = own.spare;
    own.spare = request;
}

static void submitter_begin(void *pool)
{
    (void)pool;
    own.loop = malloc(sizeof *own.loop);
    if (own.loop != NULL && uv_loop_init(own.loop) != 0) {
        free(own.loop);
        own.loop = NULL;
    }
}

static void submitter_idle(void *pool)
{
    (void)pool;
    if (own.loop != NULL) {
        (void)uv_run(own.loop, UV_RUN_NOWAIT);
    }
}

static void submitter_end(void *pool)
{
    (void)pool;
    if (own.loop != NULL) {
        (void)uv_run(own.loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(own.loop);
        free(own.loop);
        own.loop = NULL;
    }
    while (own.spare != NULL) {
        struct request *request = own.spare;
        own.spare = request->next;
        free(request);
    }
}

static bool submit(void *pool, pool_fn *run, void *arg)
{
    if (++own.queued % TURN_TASKS == 0) {
        submitter_idle(pool);
    }
    struct request *request = own.spare;
    if (request != NULL) {
        own.spare = request->next;
    } else {
        request = malloc(sizeof *request);
    }
    if (request == NULL || own.loop == NULL) {
        return false;
    }
    request->run = run;
    request->arg = arg;
    if (uv_queue_work(own.loop, &request->work, work, after) != 0) {
        after(&request->work, 0);
        return false;
    }
    return true;
}

static void *create(unsigned workers, const char **why)
{
    static char token;
    char size[16];
    (void)snprintf(size, sizeof size, "%u", workers);
    if (setenv("UV_THREADPOOL_SIZE", size, 1) != 0) {
        *why = "its size cannot be set";
        return NULL;
    }
    return &token;
}

static void destroy(void *pool)
{
    (void)pool; /* its threads are the process's, and sleep */
}

const struct pool_kind pool_uv = {
    .name = "uv",
    .create = create,
    .destroy = destroy,
    .submit = submit,
    .submitter_begin = submitter_begin,
    .submitter_end = submitter_end,
    .submitter_idle = submitter_idle,
    .outside_only = true,
};
