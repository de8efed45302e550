/*
 * What an agent knows of the process it speaks for: which one it is, also after a restart, whether it takes tasks,
 * and how much more it could take. Looks at stats pages, and says on standard error what changes.
 *
 * Several pools of one process: closed ones are forgotten, one that drains makes the process drain, and of
 * the others the one with the least room counts.
 */
#ifndef NPI_TOOL_AGENT_WATCH_H
#define NPI_TOOL_AGENT_WATCH_H

#include "tool/headroom.h"
#include "tool/page_reader.h"

/* Which process. All NULL: the only one that shows a pool, then those with its name. */
struct agent_target {
    const char *pid;      /* this one and no other */
    const char *pid_file; /* the one whose number is in a file, whenever it changes */
    const char *command;  /* the only one of this name that takes tasks */
    const char *pool;     /* only pools of this name count; NULL = all */
};

enum agent_state {
    AGENT_NONE, /* no process so far, or it shows no pool yet */
    AGENT_UP,
    AGENT_STALLED, /* takes tasks for all we know, but its figures are old */
    AGENT_DRAINING,
    AGENT_STOPPED, /* all pools are closed, or it ended after it drained */
    AGENT_DOWN,    /* it ended without that */
};

struct agent_pool {
    struct page_sample sample;
    struct pool_view view;
    struct headroom headroom; /* of an open pool that counts */
    enum numapool_page_phase phase;
    bool counts;
};

#define AGENT_REASON_BYTES 96
struct agent_watch {
    struct agent_target target;
    double percent_least, smooth_s;
    bool tells;
    enum agent_state state;
    bool open; /* `process` is */
    int pidfd; /* tells of its end also while there are no descriptors left for /proc; -1 = the kernel has none */
    struct page_process process;
    struct agent_pool *pools; /* as process.pages */
    size_t count;
    double room;        /* smoothed */
    uint64_t looked_ns; /* when `room` was; 0 = never with this process */
    uint64_t search_ns; /* next time */
    uint64_t again_ns;  /* next look for pools that are new */
    bool several_told;
    pid_t last_pid;
    char command[64];                /* of the last process: what its successor is called */
    char reason[AGENT_REASON_BYTES]; /* why there is none */
};

/* Complains and returns TOOL_USAGE or TOOL_FAILED when the target can never be looked at, or is not one
   process; TOOL_OK also when there is none yet. smooth_s: time constant of the weight. `tells`: changes are said on standard error. */
int agent_watch_begin(struct agent_watch *watch, const struct agent_target *target,
                      double percent_least, double smooth_s, bool tells);
void agent_watch_end(struct agent_watch *watch);

/* Takes a sample, and looks for the process if there is none; now and then for its successor. */
void agent_watch_look(struct agent_watch *watch);

/* Only whether the process is there and takes tasks, which is quick; what has changed is looked at. */
void agent_watch_glance(struct agent_watch *watch);

/* The answer to HAProxy, with the newline. */
#define AGENT_LINE_BYTES 160
void agent_watch_answer(const struct agent_watch *watch, char line[AGENT_LINE_BYTES]);

unsigned agent_watch_percent(const struct agent_watch *watch);
const char *agent_state_name(enum agent_state state);

#endif
