/* oneTBB: enqueue() into an arena of its own, as its guide has it for fire and forget. */
#include "pools/pool.h"

#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <memory>

namespace
{

struct Tbb {
    explicit Tbb(unsigned workers)
        /* It keeps one thread back for the one that calls; here that one only enqueues. */
        : control(tbb::global_control::max_allowed_parallelism, workers + 1),
          arena(static_cast<int>(workers), 0)
    {
        arena.initialize();
    }
    tbb::global_control control;
    tbb::task_arena arena;
};

void *create(unsigned workers, const char **why)
{
    try {
        return new Tbb(workers);
    } catch (...) {
        *why = "oneTBB threw";
        return nullptr;
    }
}

void destroy(void *pool)
{
    delete static_cast<Tbb *>(pool);
}

bool submit(void *pool, pool_fn *run, void *arg)
{
    static_cast<Tbb *>(pool)->arena.enqueue([run, arg] { run(arg); });
    return true;
}

/* The task is in the arena already. */
int submit_and_join(void *, pool_fn *run, void *arg, int count)
{
    tbb::task_group group;
    for (int i = 0; i < count; i++) {
        group.run([run, arg] { run(arg); });
    }
    return group.wait() == tbb::complete ? 0 : -1;
}

pool_kind make()
{
    pool_kind kind = {};
    kind.name = "tbb";
    kind.create = create;
    kind.destroy = destroy;
    kind.submit = submit;
    kind.submit_and_join = submit_and_join;
    kind.spins = true; /* for as long as it takes them to give up */
    return kind;
}

} // namespace

const pool_kind pool_tbb = make();
