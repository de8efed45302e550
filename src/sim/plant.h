/*
 * The CPUs of one shard: what the policy steers and cannot see directly.
 *
 * Two schedulers: round robin with a time slice, as kernels do it (work is done in slices, run
 * delay is booked when a thread gets a CPU), and ideal processor sharing, the worst case for a law
 * that wants to see waiting. Also here: other programs' threads on the same CPUs, CPU speed, and
 * tasks that slow each other down while they block.
 */
#ifndef SIM_PLANT_H
#define SIM_PLANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/event.h"

#define SIM_NONE UINT32_MAX
#define SIM_FOREIGN UINT32_C(0x80000000) /* thread ids with this bit are other programs' */

/* What the plant knows of a task's thread. */
struct sim_work {
    double left_ns;      /* CPU time at speed 1 */
    uint64_t waiting_ns; /* since when it is runnable without a CPU */
};

/* Integrals since the last sim_plant_take(). */
struct sim_meters {
    double busy_ns, cpu_ns, delay_ns, runnable_ns, idle_ns;
};

struct sim_plant {
    uint32_t shard;
    double cpus; /* really there; round robin sees the next whole number, each a little slower */
    double cpus_seen; /* what the pool believes */
    double speed;
    double foreign_cpus; /* CPUs' worth of work that other programs want */
    bool sharing;        /* processor sharing instead of round robin */
    uint32_t busy;       /* workers inside tasks, blocked or not */
    uint32_t runnable;   /* workers that want a CPU, running included */
    uint64_t at_ns;
    struct sim_meters meters;
    /* round robin */
    uint32_t *queue;
    size_t queue_first, queue_count, queue_space;
    uint32_t running, foreign_running, foreign_threads;
    struct sim_work *foreign; /* [foreign_threads] */
    uint64_t *foreign_due_ns;
    /* processor sharing: heap by virtual finish time */
    struct sim_shared {
        double finish;
        uint64_t order;
        uint32_t thread;
    } * shared;
    size_t shared_count, shared_space;
    uint64_t shared_order;
    double virtual_ns;
    uint32_t version;
};

void sim_plant_init(struct sim_plant *plant, uint32_t shard, double cpus, double speed,
                    double foreign_cpus, bool sharing, struct sim_event_heap *heap);
void sim_plant_fini(struct sim_plant *plant);
/* Bring the integrals to now. Called before anything about the plant changes. */
void sim_plant_advance(struct sim_plant *plant, uint64_t now_ns);
/* A thread wants work[thread].left_ns of CPU. */
void sim_plant_run(struct sim_plant *plant, struct sim_work *work, uint32_t thread, uint64_t now_ns,
                   struct sim_event_heap *heap);
/* A slice ended. Returns the thread whose work is done, or SIM_NONE. */
uint32_t sim_plant_slice(struct sim_plant *plant, struct sim_work *work, uint32_t thread,
                         uint64_t now_ns, struct sim_event_heap *heap);
uint32_t sim_plant_shared(struct sim_plant *plant, uint32_t version, uint64_t now_ns,
                          struct sim_event_heap *heap);
void sim_plant_foreign(struct sim_plant *plant, struct sim_work *work, uint32_t thread,
                       uint64_t now_ns, struct sim_event_heap *heap);
/* Other programs want so many CPUs from now on. Round robin only. */
void sim_plant_others(struct sim_plant *plant, double foreign_cpus, uint64_t now_ns,
                      struct sim_event_heap *heap);
/* CPUs or speed changed: look for threads to start, set the next event again. */
void sim_plant_changed(struct sim_plant *plant, struct sim_work *work, uint64_t now_ns,
                       struct sim_event_heap *heap);
struct sim_meters sim_plant_take(struct sim_plant *plant, uint64_t now_ns);

#endif
