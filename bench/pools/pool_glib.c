/* GLib's GThreadPool, exclusive, which starts its threads at once. Its function is given when it is
 * created, so the function of this pool is the last submit's. */
#include "pools/pool.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdlib.h>

struct glib {
    GThreadPool *pool;
    _Atomic(pool_fn *) run;
};

static void call(gpointer arg, gpointer user)
{
    struct glib *glib = user;
    atomic_load_explicit(&glib->run, memory_order_relaxed)(arg);
}

static void *create(unsigned workers, const char **why)
{
    struct glib *glib = calloc(1, sizeof *glib);
    if (glib == NULL) {
        return NULL;
    }
    glib->pool = g_thread_pool_new(call, glib, (gint)workers, TRUE, NULL);
    if (glib->pool == NULL) {
        *why = "no threads";
        free(glib);
        return NULL;
    }
    return glib;
}

static void destroy(void *pool)
{
    struct glib *glib = pool;
    g_thread_pool_free(glib->pool, FALSE, TRUE);
    free(glib);
}

static bool submit(void *pool, pool_fn *run, void *arg)
{
    struct glib *glib = pool;
    if (atomic_load_explicit(&glib->run, memory_order_relaxed) != run) {
        atomic_store(&glib->run, run);
    }
    return g_thread_pool_push(glib->pool, arg, NULL) != FALSE;
}

const struct pool_kind pool_glib = {
    .name = "glib",
    .create = create,
    .destroy = destroy,
    .submit = submit,
    .one_function = true,
};
