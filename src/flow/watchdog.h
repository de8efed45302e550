/*
 * Who does not get on: workers that have been in one task, or stood still between two, for longer
 * than the pool's `watchdog_ns`. They are counted and named in the log; nothing is done to them.
 *
 * The control thread looks, several times within that time, at words that workers write anyway. So
 * it costs a worker nothing, and a worker that the kernel or a debugger stopped is noticed just as
 * one that loops. A task between block_begin and block_end has said that it waits: it is passed over,
 * and its time begins anew when it comes back.
 *
 * A worker is told of when its time is up, then after twice, four times, ... that time, so a task that
 * never returns costs a line ever more seldom. Some lines at most are written per look.
 */
#ifndef NPI_FLOW_WATCHDOG_H
#define NPI_FLOW_WATCHDOG_H

#include "flow/shard.h"

/* A shard's; its control thread's own, and after it the destroying thread's. */
struct npi_watchdog {
    uint64_t looked_ns; /* 0 = never */
};

/* Looks if it is time to. Returns when it is the next time, UINT64_MAX = never. */
uint64_t npi_watchdog_look(struct npi_watchdog *dog, struct npi_shard *shard, uint64_t now_ns);

#endif
