/*
 * A sharded pool in virtual time, steered by the very objects the real pool links.
 *
 * A run is a pure function of its specification: machine, loads, changes and seed are plain data,
 * nothing waits and no clock is read. Not a model of locks, caches or wake-ups: it tells what the
 * decisions do, not what they cost. Scenarios (scenario_*.c) describe runs and judge the results;
 * the command `numapool simulate` lets anybody do so.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "sim/arrivals.h"
#include "sim/measure.h"

enum sim_law {
    SIM_LAW_ADAPTIVE, /* policy/scale and policy/balance */
    SIM_LAW_EVEN,     /* the pool's mode "fixed": budget split evenly once, all else as shipped */
    SIM_LAW_FIXED,    /* the same without policy: tasks overflow to any shard with room */
    SIM_LAW_THRESHOLD /* +25 % workers a second while a queue is 70 % full; tasks overflow */
};

struct sim_shard_spec {
    double cpus;
    double speed; /* 0 counts as 1 */
    uint32_t capacity_tasks;
    uint32_t workers_at_start; /* 0 = its guarantee */
    uint32_t workers_min;      /* guarantee; 0 = npi_balance_min() */
    uint32_t workers_max;      /* 0 = no bound but the budget */
    double foreign_cpus;       /* CPUs' worth of work of other programs */
    double contention_workers; /* blocking gets slower with busy workers: factor 1 + (busy/this)^2;
                                  0 = never */
};

enum sim_change_kind {
    SIM_CHANGE_CPUS,        /* the pool notices 100 ms later */
    SIM_CHANGE_CPUS_HIDDEN, /* it never does */
    SIM_CHANGE_SPEED,
    SIM_CHANGE_FOREIGN, /* CPUs' worth of work of other programs; round robin only */
    SIM_CHANGE_SUBMIT   /* `value` tasks of cpu_ms, block_ms at once */
};

struct sim_change {
    double at_s;
    enum sim_change_kind kind;
    uint32_t shard;
    double value;
    double cpu_ms, block_ms;
};

struct sim_spec {
    const char *name;
    uint64_t seed;
    double seconds;
    struct npi_policy_params params;
    uint32_t budget_workers;
    size_t shard_count;
    const struct sim_shard_spec *shards; /* shard_count of them, or one for all if `alike` */
    bool alike;
    const uint32_t *distance; /* shard_count^2; NULL = 10 at home, 20 elsewhere */
    const struct sim_load *loads;
    size_t load_count;
    const struct sim_arrival *trace; /* instead of loads, if not NULL */
    size_t trace_count;
    const struct sim_change *changes;
    size_t change_count;
    enum sim_law law;
    bool no_steal;      /* workers only look at their own queue */
    bool no_forward;    /* tasks wait or are refused at home */
    bool stale;         /* placement sees the last tick's numbers instead of live ones */
    bool shared_cpus;   /* processor sharing instead of round robin */
    bool delay_unknown; /* no run delay: the law's fallback */
    bool idle_unknown;  /* no idle time of CPUs: other programs are invisible */
    double noise;       /* standard deviation of a factor on CPU time and run delay of each tick */
    bool brief;         /* no record of each task: counts, histograms and ticks only */
    bool judged;        /* a crowd of workers on CPU-bound shards counts as a fault */
    size_t slot_count;  /* the run in so many equal parts, each with counts and histograms */
};

/* Runs to the end; the caller frees the result. */
struct sim_result *sim_run(const struct sim_spec *spec);
void sim_result_free(struct sim_result *result);

#endif
