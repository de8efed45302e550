/*
 * The load every fault is put on, and the verdict: each accepted task has run or was dropped, exactly
 * once; a refused one neither; what the library counted agrees.
 *
 * A task is one byte of a table, which its run and its drop add to. Producers hand in every
 * number until it is accepted, so a refusal that had an effect after all shows as a double.
 */
#ifndef TESTS_FAULT_LOAD_H
#define TESTS_FAULT_LOAD_H

#include "public/contract.h"

#include "fault/inject.h"
#include "fault/must.h"

/* What tasks are like, beside the plain ones: bits of load_shape.mix. */
enum {
    LOAD_DROP = 1,            /* with a drop function */
    LOAD_BATCH = 2,           /* handed in by eights */
    LOAD_GROUP = 4,           /* members of a group */
    LOAD_BYTES = 8,           /* reserve bytes and use scratch */
    LOAD_NODE = 16,           /* for one node, some strictly */
    LOAD_DEADLINE = 32,       /* some expire */
    LOAD_ALLOC = 64,          /* allocate and free memory of the pool */
    LOAD_BLOCK = 128,         /* some wait inside block_begin and block_end */
    LOAD_LEAVE = 256,         /* some end their thread */
    LOAD_CHILD = 512,         /* some submit another task of the table */
    LOAD_DROP_ALL = 1024,     /* none without a drop function */
    LOAD_LEAVE_SELDOM = 2048, /* where a new thread may be some time in coming */
    LOAD_COMMON = LOAD_DROP | LOAD_BATCH | LOAD_GROUP | LOAD_BYTES | LOAD_NODE | LOAD_DEADLINE,
    LOAD_ALL = 1023 & ~LOAD_LEAVE,
};

struct load_shape {
    unsigned nodes;   /* 0 = the machine as it is */
    unsigned workers; /* budget, default 8 */
    int mode;
    unsigned producers; /* default 3 */
    unsigned mix;
    uint64_t queue_tasks;   /* default 4096 */
    uint64_t idle_exit_ns;  /* 0 = default */
    const char *machine;    /* instead of nodes */
    bool adopts;            /* load_pool is there already */
    bool counts_begin_high; /* statistics do not begin at 0 (counter_fault_test) */
};

/* How many tasks a fault gets: NPI_FAULT_TASKS, or what the build and the machine are good for. */
uint64_t load_tasks(void);

extern numapool *load_pool;

/* Makes a pool and starts producers on `tasks` tasks. Then the fault happens, on the caller's thread,
   as long as load_goes_on(); load_end() ends it all and gives the verdict. */
void load_begin(const struct load_shape *shape, uint64_t tasks);
bool load_goes_on(void);
void load_await_producers(void);
uint64_t load_ended(void); /* tasks that have ended so far, counted anew each time */
void load_end(void);

/* So many tasks that are not of the table were accepted and have run. */
void load_foreign(uint64_t tasks);

/* The end without a drain, after load_await_producers(): what waits is dropped. */
void load_destroy(void);
void load_stop(void); /* producers stop at the next number */

/* After the process of a load was killed, in its parent: nothing came twice. What was accepted and had
   not run is gone with the process. Returns how many had ended. */
uint64_t load_judge_killed(void);
void load_clear(void); /* the table, before */

/* A round of the fault for every million tasks or part of it: body gets the tasks of its round. */
void load_rounds(void (*body)(unsigned round, uint64_t tasks));

/* Prints the line of the fault: what was accepted, run, dropped, refused; ends the program if any was
   lost or came twice. */
void load_report(const char *fault, const char *how);

/* main() of a fault test. */
#define FAULT_RUN(tests) load_run(tests, sizeof(tests) / sizeof(tests)[0], __FILE__)
int load_run(const struct CMUnitTest *tests, size_t count, const char *name);

/* The thread sanitizer ends a child of fork() that starts threads. */
#if defined(__SANITIZE_THREAD__)
#define LOAD_CHILDREN 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LOAD_CHILDREN 0
#endif
#endif
#ifndef LOAD_CHILDREN
#define LOAD_CHILDREN 1
#endif

/* Runs body in a child process; the child ends when it returns. True: well. */
bool load_in_child(void (*body)(void));

/* Prints why a program cannot run here; main() returns it. */
int load_skip(const char *what, int error);

/* A pause of the faulting thread between two faults. */
void pause_us(unsigned us);

#endif
