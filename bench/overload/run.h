/*
 * One measurement in progress: what generators, contender and sampler share. There is one per
 * process, made by measure.c.
 */
#ifndef OVERLOAD_RUN_H
#define OVERLOAD_RUN_H

#include "host.h"
#include "options.h"
#include "result.h"
#include "schedule.h"

#include <stdatomic.h>
#include <stddef.h>

/* Where load is offered. */
struct run_node {
    int index;    /* as the contender numbers it */
    int os_index; /* as the kernel does, -1 = it is not a node of this computer */
};

struct contender;

struct run {
    const struct options *options;
    const struct contender *contender;
    void *state; /* the contender's own */
    struct host host;
    uint64_t start_ns;

    unsigned node_count;
    struct run_node nodes[HOST_NODES_MAX];

    size_t generator_count;
    struct generator *generators;

    /* Set by the contender that gives up, read by everybody. */
    atomic_bool stopped;
    uint64_t stopped_at_ns;

    struct result *result;
};

/* Writes why the contender cannot or could not go on into the result. */
void run_note(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
