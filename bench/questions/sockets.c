/*
 * The reason for shards: 1 us tasks that touch their node's memory, handed in by a thread on each of so many
 * nodes, to a pool with a shard per node, to one with one queue for all, and to a pool of its own in a
 * process per node. One iteration is RUN_NS. Figures are over all nodes, and node0_, node1_ ... of each.
 */
#include "overload/host.h"
#include "pools/pool.h"
#include "questions/questions.h"
#include "suite/measure.h"

#include <numapool/numapool.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES_MAX 8
#define RUN_NS UINT64_C(200000000)
#define WORK_NS 1000.0
#define TOUCHED ((size_t)1 << 20)

enum how { SHARDED, SINGLE, PROCESSES };
static const char *const names[] = {"sharded", "single", "processes", NULL};

/* In memory that forked processes share. */
struct count {
    _Alignas(128) _Atomic uint64_t done;
    uint64_t refused;
};

static struct {
    struct count *counts; /* by node */
    struct host host;
    numapool *pool;
    uint64_t turns;
    unsigned only; /* this process's node, or NODES_MAX: all */
} now;

static char *touched[NODES_MAX];

static void serve(void *arg)
{
    unsigned node = (unsigned)((struct count *)arg - now.counts);
    static __thread uint64_t random = 88172645463325252u;
    if (touched[node] != NULL) {
        touched[node][random_next(&random) % TOUCHED]++;
    }
    work(now.turns);
    atomic_fetch_add_explicit(&now.counts[node].done, 1, memory_order_relaxed);
}

static void hand_in(void *arg, unsigned index)
{
    unsigned node = now.only < NODES_MAX ? now.only : index;
    (void)arg;
    (void)host_pin_to_node(now.host.node_os_index[node]);
    uint64_t until_ns = monotonic_ns() + RUN_NS / (bench_quick ? 10 : 1);
    while (monotonic_ns() < until_ns) {
        for (unsigned i = 0; i < 64; i++) {
            if (numapool_submit(now.pool, serve, &now.counts[node]) != NUMAPOOL_OK) {
                now.counts[node].refused++;
                sleep_until_ns(monotonic_ns() + 50000); /* full: the workers have enough to do */
                break;
            }
        }
    }
}

static bool drive(struct bench_run *run, unsigned producers, enum how how,
                  struct numapool_error *error)
{
    struct numapool_config config;
    numapool_config_init(&config);
    config.shards = how == SINGLE ? NUMAPOOL_SINGLE : NUMAPOOL_PER_NODE;
    if (numapool_create(&now.pool, &config, error) != NUMAPOOL_OK) {
        return false;
    }
    for (unsigned node = 0; node < producers; node++) {
        unsigned at = now.only < NODES_MAX ? now.only : node;
        unsigned index = how == SHARDED ? node : 0;
        touched[at] = numapool_alloc(now.pool, (int)index, TOUCHED);
    }
    (void)crew_run(producers, hand_in, NULL, NULL);
    pool_numapool_end(run, now.pool);
    return true;
}

static bool drive_processes(struct bench_run *run, unsigned nodes)
{
    unsigned started = 0;
    bool fine = true;
    for (unsigned node = 0; node < nodes; node++) {
        pid_t child = fork();
        if (child == 0) {
            struct numapool_error error = {0};
            now.only = node;
            bool ran =
                host_pin_to_node(now.host.node_os_index[node]) && drive(run, 1, PROCESSES, &error);
            _exit(ran && run->why_not[0] == '\0' ? 0 : 1);
        }
        started += child > 0;
        fine = fine && child > 0;
    }
    for (; started > 0; started--) {
        int status = 0;
        fine = wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && fine;
    }
    return fine;
}

static void run(struct bench_run *run)
{
    unsigned nodes = (unsigned)run->values[0];
    struct numapool_error error = {0};
    host_read(&now.host);
    if (nodes > now.host.node_count) {
        bench_not_measured(
            run, now.host.node_count == 1 ? "one node: not measured" : "%u nodes: not measured",
            now.host.node_count);
        return;
    }
    now.counts = mmap(NULL, NODES_MAX * sizeof *now.counts, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (now.counts == MAP_FAILED) {
        bench_not_measured(run, "no memory");
        return;
    }
    now.turns = work_turns(WORK_NS);
    now.only = NODES_MAX;
    uint64_t begin = ticks_now();
    for (int64_t i = 0; i < run->iterations; i++) {
        bool ran = run->contender == PROCESSES
                       ? drive_processes(run, nodes)
                       : drive(run, nodes, (enum how)run->contender, &error);
        if (!ran) {
            bench_not_measured(run, "no pool: %s", error.text);
            break;
        }
    }
    run->seconds = ticks_ns(ticks_now() - begin) / 1e9;
    double seconds = (double)run->iterations * (double)RUN_NS / 1e9, all = 0;
    for (unsigned node = 0; node < nodes; node++) {
        char name[40];
        double done = (double)atomic_load(&now.counts[node].done) / seconds;
        (void)snprintf(name, sizeof name, "node%u_tasks_per_s", node);
        all += done;
        bench_figure(run, name, done);
    }
    bench_figure(run, "tasks_per_s", all);
    (void)munmap(now.counts, NODES_MAX * sizeof *now.counts);
}

static const char *name_of(size_t index)
{
    return names[index];
}

static bool applies(const int64_t *values, size_t contender)
{
    struct host host;
    host_read(&host);
    (void)contender;
    return values[0] <= host.node_count || values[0] == 2;
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}};

const struct bench_question question_sockets = {
    .name = "sockets",
    .asks = "a shard per node, one queue for all, a process per node, over so many nodes",
    .contender = name_of,
    .contender_key = "pool",
    .keys = {"nodes"},
    .variants = variants,
    .variant_count = sizeof variants / sizeof variants[0],
    .iterations = 1,
    .run = run,
    .applies = applies,
    .compared = {"tasks_per_s"},
};
