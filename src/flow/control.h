/*
 * A shard's control thread: starts workers when none sleeps, runs the tick while there is work, joins
 * threads that ended, gives memory back, puts pins back that the kernel took away, looks for workers
 * that do not get on, and publishes the shard's statistics.
 *
 * It runs on the shard's own CPUs and never on a submitter's time. When nothing has happened for a
 * while it stops all of that and sleeps without a date, so that an idle pool makes no wake-ups. A task
 * that runs or waits is load, however long it takes: the tick goes on as long, since only the tick can
 * replace a worker that does not come back.
 *
 * @control-idle  control stores control_idle (sc), then looks at the permits; a worker is woken only
 *                after somebody took a permit for it (sc) and loads control_idle afterwards. Either
 *                control sees the permit, or the worker sees that control has to be woken.
 */
#ifndef NPI_FLOW_CONTROL_H
#define NPI_FLOW_CONTROL_H

#include "flow/balancer.h"
#include "flow/shard.h"
#include "flow/stats_page.h"
#include "flow/watchdog.h"

struct npi_control {
    struct npi_shard *shard;
    struct npi_tick tick;
    struct npi_watchdog watchdog;
    struct npi_publisher publisher;
    pthread_t thread;
    bool started;
    npi_a32 stop;

    /* the thread's own */
    uint32_t next_slot;
    uint64_t taken_before;   /* tasks ever taken, at the last tick */
    bool waited_before;      /* and whether tasks waited */
    uint64_t retry_start_ns; /* a thread could not be started; try again then */
    uint64_t retry_step_ns;
    uint64_t reap_step_ns; /* threads that ended could not be joined yet; look again then */
    uint64_t supervised_ns;
    uint64_t idle_since_ns; /* 0 = busy */
    bool trimmed;
    bool pins_lost;
};

/* Starts the control thread and the shard's first worker. A negative errno when either fails; then
   nothing of it is left running. */
int npi_control_start(struct npi_shard *shard);

/* Stops and joins the control thread; workers go on. */
void npi_control_stop(struct npi_shard *shard);

/* After npi_control_stop, with the pool closing: wakes every sleeper to its end and joins all. */
void npi_control_join_workers(struct npi_shard *shard);

#endif
