/*
 * Where a task goes when its home has no room or too long a wait, and what an idle worker may take
 * from others.
 *
 * Pull does the balancing, push only overflow. Every function judges copies of live numbers its
 * caller read; the caller owns the order of reading (home first, then one distance class at a time)
 * and carries decisions out.
 *
 * On submit at home l:
 * 1. free permit and empty queue: run here, no question asked;
 * 2. npi_forward_idle() over each distance class, nearest first, if the home's wait is worth it;
 * 3. queue at home if there is room;
 * 4. npi_forward_has_room() over each distance class, then one scan of all shards, then refuse.
 * A task is forwarded at most once, and stolen at most once more.
 */
#ifndef NPI_POLICY_FORWARD_H
#define NPI_POLICY_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/params.h"

#define NPI_DISTANCE_LOCAL 10 /* kernel node distance of a node to itself */

/* How hard a task holds to its home. */
enum npi_affinity {
    NPI_AFFINITY_CALLER, /* the home is merely where the caller runs */
    NPI_AFFINITY_DATA,   /* its data is known to live at home */
    NPI_AFFINITY_STRICT  /* must not leave the node; penalty is infinite */
};

/* Live numbers of one shard that might take a task. */
struct npi_forward_target {
    uint32_t queued_tasks;
    uint32_t capacity_tasks;
    uint32_t guest_tasks; /* queued tasks of other homes */
    uint32_t busy_workers;
    uint32_t limit_workers;
    float cpus;
    bool cpu_free; /* not saturated at the last tick */
};

/* Shards of one distance from some home: ids[first .. first+count) of its order table. */
struct npi_forward_class {
    uint32_t distance;
    uint16_t first, count;
};

/*
 * Sort the other shards by distance from `home` into ids and cut them into classes (both sized
 * count; at most count - 1 are used). Ties keep a rotation that starts after `home`, so that
 * last-resort scans of different homes do not all begin at shard 0. Returns the number of classes.
 * Done once per shard; O(count^2).
 */
size_t npi_forward_order(const uint32_t *distance, size_t count, size_t home, uint16_t *ids,
                         struct npi_forward_class *classes);

/* Positions in [0, count) to look at: all if at most 2, else two different ones. Returns how many.
 */
size_t npi_forward_draw(size_t count, uint32_t random, size_t pick[2]);

/* Expected wait at a shard: 0 while it has a free permit. The cost comes from npi_forward_gates. */
double npi_forward_wait_ns(uint32_t queued_tasks, uint32_t busy_workers, uint32_t limit_workers,
                           double wait_ns_per_task);

/* What running remotely costs: slower memory plus a fixed part. task_cpu_ns: its home's mean. */
double npi_forward_penalty_ns(const struct npi_policy_params *params, double task_cpu_ns,
                              uint32_t distance, enum npi_affinity affinity);

/* Rule 2. Best of `count` idle targets, or -1: none is idle, or the move does not pay. */
int npi_forward_idle(const struct npi_policy_params *params, double home_wait_ns, double penalty_ns,
                     const struct npi_forward_target *targets, size_t count);

/* Rule 4. Whether it takes overflow. */
bool npi_forward_has_room(const struct npi_policy_params *params,
                          const struct npi_forward_target *target);

/* An idle worker of `thief` looks at the head of another shard's queue. */
struct npi_steal_view {
    uint32_t queued_tasks, busy_workers, limit_workers; /* victim, live */
    uint64_t head_age_ns;    /* victim's oldest stealable task; 0 if not known */
    double wait_ns_per_task; /* victim, last tick */
    double task_cpu_ns;      /* victim, last tick */
    uint32_t distance;
    enum npi_affinity affinity; /* of that task; _CALLER if not known before taking it */
    bool thief_cpu_free;
};
bool npi_forward_may_steal(const struct npi_policy_params *params,
                           const struct npi_steal_view *view);

/* Once per tick and shard: the rules above as bounds on queue depth, for the common path. */
struct npi_forward_view {
    double service_ns; /* N/X; 0 = unknown */
    double task_cpu_ns;
    uint32_t limit_workers;
    uint32_t capacity_tasks;
    uint32_t distance_min; /* to the nearest other shard; 0 = there is none */
};
struct npi_forward_gates {
    /* Queue wait that each queued task stands for: service_ns / limit_workers. */
    double wait_ns_per_task;
    /* From this depth on rule 2 can pay, so other shards are worth a look; UINT32_MAX = never. */
    uint32_t soft_tasks;
    /* The shard takes overflow only while it holds fewer guests and fewer tasks than these. */
    uint32_t guest_tasks_max, overflow_tasks_max;
};
void npi_forward_gates(const struct npi_policy_params *params, const struct npi_forward_view *view,
                       struct npi_forward_gates *gates);

#endif
