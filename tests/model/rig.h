/*
 * A pool for the cases, in static memory: the shipped submit, admission, lanes, gate, workers, control,
 * groups, drain and destroy on one or two small shards. Built anew for every execution.
 */
#ifndef NPI_MODEL_RIG_H
#define NPI_MODEL_RIG_H

#include "model/engine.h"

#include "flow/balancer.h"
#include "flow/control.h"
#include "flow/group.h"
#include "flow/pool.h"
#include "flow/worker.h"

#define RIG_SHARDS 2
#define RIG_WORKERS 3 /* slots of a shard */
#define RIG_CAPACITY 4
#define RIG_TASKS 8

struct rig_shape {
    unsigned shards;         /* 0 = 1 */
    uint32_t capacity_tasks; /* of each; at most RIG_CAPACITY */
    uint32_t budget;
    uint32_t limit[RIG_SHARDS];
    unsigned workers[RIG_SHARDS]; /* threads that run from the beginning */
    bool control;                 /* start shards as create does: with their control threads */
    int claim_turns;              /* how patient a submitter is with a held claim; 0 = 2 */
};

/* A task of a case and what became of it. */
struct rig_task {
    unsigned ran, dropped;
    int why;                /* of the drop */
    int thread;             /* that ran it */
    unsigned number;        /* n-th to begin */
    uint64_t payload;       /* plain data, written by the submitter and read by the task */
    void (*inside)(void *); /* what it does; may be NULL */
    int result;             /* of its submit */
};

struct rig {
    struct numapool pool;
    struct npi_shard shards[RIG_SHARDS];
    struct npi_shard *list[RIG_SHARDS];
    struct npi_sleeper sleepers[RIG_SHARDS][RIG_WORKERS];
    struct npi_worker workers[RIG_SHARDS][RIG_WORKERS];
    struct npi_control controls[RIG_SHARDS];
    _Alignas(64) char memory[RIG_SHARDS][NPI_LANES][1024];
    struct npi_balance_shard balance[RIG_SHARDS];
    struct npi_balance_scratch scratch[RIG_SHARDS];
    uint32_t quota[RIG_SHARDS], reach[RIG_SHARDS];
    struct npi_plan plan;
    struct npi_plan_shard plan_shards[RIG_SHARDS];
    uint16_t order[RIG_SHARDS][RIG_SHARDS];
    struct npi_forward_class classes[RIG_SHARDS][RIG_SHARDS];
    struct npi_route_node routes[RIG_SHARDS];
    unsigned distance[RIG_SHARDS * RIG_SHARDS];
    uint16_t shard_of_cpu[RIG_SHARDS];
    unsigned cpu_of_thread[MODEL_THREADS]; /* = its shard */
    uint64_t alive;
    uint64_t bytes_in_use;
    unsigned threads_refused; /* next starts that fail */
    bool freed;

    struct rig_task tasks[RIG_TASKS];
    unsigned begun;   /* tasks */
    unsigned running; /* just now, and the most there were */
    unsigned running_max;
};

extern struct rig rig;

void rig_init(const struct rig_shape *shape);

/* Submits task number n from the calling thread. The result is kept in the task, too. */
int rig_submit(unsigned n);
int rig_submit_task(unsigned n, struct numapool_task *task); /* run, arg and drop are filled in */
size_t rig_submit_batch(unsigned first, size_t count);       /* how many were accepted */
void rig_run(void *task);
void rig_drop(void *task, int why);

/* Every task that was accepted has run once, or was dropped once; none else. */
void rig_check_tasks(unsigned count);
/* Nobody holds a permit, searches or waits in vain; no guest, no byte is left over. */
void rig_check_rest(void);

#endif
