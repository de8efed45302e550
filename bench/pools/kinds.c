/* The kinds there are in this build, and the one pool that lives. */
#include "pools/pool.h"

#include "suite/measure.h"

#include <sched.h>

const struct pool_kind *const pool_kinds[] = {
    &pool_bare,   &pool_numapool, &pool_numapool_spin, &pool_mutex,
#ifdef BENCH_TBB
    &pool_tbb,
#endif
#ifdef BENCH_GLIB
    &pool_glib,
#endif
#ifdef BENCH_UV
    &pool_uv,
#endif
#ifdef BENCH_CK
    &pool_ck,
#endif
    &pool_thread, NULL,
};

static const struct pool_kind *living_kind;
static void *living;

const char *pool_name(size_t index)
{
    return pool_kinds[index] != NULL ? pool_kinds[index]->name : NULL;
}

void *pool_of_run(struct bench_run *run, const struct pool_kind **kind)
{
    *kind = pool_kinds[run->contender];
    if (living_kind != *kind) {
        pool_leave();
        const char *why = "no memory";
        living = (*kind)->create(cpus_allowed(), &why);
        if (living == NULL) {
            bench_not_measured(run, "%s: %s", (*kind)->name, why);
            return NULL;
        }
        living_kind = *kind;
    }
    return living;
}

void pool_leave(void)
{
    if (living_kind != NULL) {
        living_kind->destroy(living);
    }
    living_kind = NULL;
}

void pool_submit_surely(const struct pool_kind *kind, void *pool, pool_fn *run, void *arg)
{
    for (unsigned turn = 1; !kind->submit(pool, run, arg); turn++) {
        /* A full queue means that the workers are behind: let them run. */
        if (turn % 64 == 0) {
            sched_yield();
        } else {
            relax();
        }
    }
}
