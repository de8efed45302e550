/*
 * Inside of the simulated pool; shared by its three files: sim.c (time and tasks), intake.c
 * (submit, place, steal) and control.c (the tick). Not for scenarios.
 */
#ifndef SIM_POOL_H
#define SIM_POOL_H

#include "policy/admit.h"
#include "policy/balance.h"
#include "policy/forward.h"
#include "policy/scale.h"
#include "sim/event.h"
#include "sim/plant.h"
#include "sim/sim.h"

enum task_phase { TASK_FREE, TASK_QUEUED, TASK_FIRST_CPU, TASK_BLOCKED, TASK_LAST_CPU };

struct sim_task {
    uint64_t arrived_ns, started_ns, deadline_ns, block_ns;
    double cpu_ns, cpu_before;
    uint32_t next;
    uint16_t home, at;
    uint8_t task_class, hops, phase;
    bool lent;
};

struct sim_list {
    uint32_t first, last, count;
};

struct sim_shard {
    struct sim_plant plant;
    struct sim_list queue[NPI_CLASS_COUNT];
    uint32_t queued_tasks, capacity_tasks, guest_tasks;
    uint32_t turn; /* see npi_admit_overdue_ns() */
    uint32_t limit_workers, quota_workers, min_workers, workers_max;
    uint32_t lent_in, lent_out;
    double contention_workers;
    struct npi_scale scale;
    struct npi_scale_result last;
    struct npi_admit_gates admit;
    struct npi_forward_gates forward;
    struct npi_codel codel[NPI_CLASS_COUNT];
    uint64_t sojourn_ns_min[NPI_CLASS_COUNT];
    double accepted_per_ns[NPI_CLASS_COUNT];
    /* since the last tick */
    uint64_t done_tasks, accepted_tasks[NPI_CLASS_COUNT];
    double done_run_ns;
    struct npi_forward_target published; /* as of the last tick */
    uint16_t *order;
    struct npi_forward_class *classes;
    size_t class_count;
    uint64_t over_since_ns; /* CPU-bound and above 1.25 C since; 0 = not */
};

struct sim_pool {
    const struct sim_spec *spec;
    struct sim_result *result;
    struct npi_policy_params params;
    struct sim_event_heap heap;
    struct sim_source source;
    struct sim_arrival arrival; /* the next one */
    struct npi_prng prng, noise;
    uint64_t now_ns, end_ns, tick_at_ns;
    size_t count;
    struct sim_shard *shards;
    struct sim_task *tasks;
    struct sim_work *work; /* same index as tasks */
    size_t task_count, task_space, work_space;
    uint32_t free_task;
    uint32_t budget_workers, running_workers;
    bool permit_denied; /* somebody could run but for the budget */
    uint32_t turn;
    struct npi_balance_shard *balance;
    struct npi_balance_scratch *scratch;
    uint32_t *quota, *reach;
    uint64_t next_growth_ns; /* threshold law */
};

/* sim.c */
void sim_fault(struct sim_pool *pool, const char *what);
void sim_start(struct sim_pool *pool, uint32_t shard, uint32_t task);
/* The part of the run that is now; NULL = it has no parts. */
struct sim_slot *sim_slot(struct sim_pool *pool);
/* intake.c */
bool sim_policy_places(const struct sim_pool *pool);
void sim_submit(struct sim_pool *pool, uint32_t home, const struct sim_job *job);
void sim_pull(struct sim_pool *pool, uint32_t shard);
uint32_t sim_ahead(const struct sim_shard *shard, int task_class);
/* control.c */
void sim_control_init(struct sim_pool *pool);
void sim_tick(struct sim_pool *pool);

#endif
