/*
 * Lets the public-contract tests run on real nodes. They ask for pools on described machines of so many
 * equal nodes of two CPUs; linked with --wrap=numapool_create they get, where the emulated machine is made
 * of such nodes, a pool on as many of them: pinned, bound, with callers at home where they run.
 */
#include "vm/where.h"

#include <numapool/numapool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define NODES 4
#define CPUS_PER_NODE 2

int __real_numapool_create(numapool **pool, const struct numapool_config *config,
                           struct numapool_error *error);
int __wrap_numapool_create(numapool **pool, const struct numapool_config *config,
                           struct numapool_error *error);

static unsigned live_count;

/*
 * Two tests hold on described machines only.
 * idle_nodes_run_their_own_tasks: a worker that is woken has to start within some tens of microseconds,
 * else an idle worker of another node, which looks around before it goes to sleep, finds the task that
 * waits and rightly takes it.
 * blocks_that_cannot_be_are_null: the kernel is to know nothing of nodes that are only described.
 */
__attribute__((constructor)) static void leave_out(void)
{
#ifdef LEFT_OUT
    cmocka_set_skip_filter(LEFT_OUT);
#endif
}

static void tell(void)
{
    printf("%u pools were on nodes of this machine\n", live_count);
}

/* How many nodes of this machine are the described one; 0 = it is another kind of machine. */
static unsigned nodes_of(const char *text)
{
    char expected[64];

    for (unsigned nodes = 1; nodes <= NODES; nodes++) {
        snprintf(expected, sizeof expected, "pack:%u [numa] core:%d pu:1", nodes, CPUS_PER_NODE);
        if (strcmp(text, expected) == 0) {
            return nodes;
        }
    }
    return 0;
}

int __wrap_numapool_create(numapool **pool, const struct numapool_config *config,
                           struct numapool_error *error)
{
    const char *shape = where_guest_shape();
    struct numapool_config live;
    struct where_set before;
    struct where_set cpus = {{0}};
    unsigned nodes = 0;
    int result;

    if (shape != NULL && strcmp(shape, "square") == 0 && config != NULL &&
        config->machine != NULL && config->struct_size <= sizeof live) {
        nodes = nodes_of(config->machine);
    }
    if (nodes == 0 || where_allowed_cpus(0, &before) != 0) {
        return __real_numapool_create(pool, config, error);
    }
    if (__atomic_fetch_add(&live_count, 1, __ATOMIC_RELAXED) == 0) {
        atexit(tell);
    }
    /* A pool gets the CPUs that its creator may use. */
    for (unsigned cpu = 0; cpu < nodes * CPUS_PER_NODE; cpu++) {
        where_set_add(&cpus, cpu);
    }
    syscall(SYS_sched_setaffinity, 0, sizeof cpus.word, cpus.word);
    memset(&live, 0, sizeof live);
    memcpy(&live, config, config->struct_size);
    live.machine = NULL;
    result = __real_numapool_create(pool, &live, error);
    syscall(SYS_sched_setaffinity, 0, sizeof before.word, before.word);
    return result;
}
