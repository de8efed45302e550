/* What the parts of the checker share: engine.c (choices, search), threads.c (who runs), memory.c
   (what a load sees, races). */
#ifndef NPI_MODEL_INTERNAL_H
#define NPI_MODEL_INTERNAL_H

#include "base/atomic.h"
#include "model/engine.h"
#include "model/fiber.h"

#define BUFFER 64 /* stores a thread's buffer holds (TSO) */
#define NOBODY MODEL_THREADS

typedef uint32_t clocks[MODEL_THREADS];

enum thread_state { LATE, RUNNABLE, YIELDED, PARKED, LOCKED_OUT, JOINING, FROZEN, DONE };

struct buffered {
    struct location *location;
    uint64_t value;
    clocks release;
};

struct thread {
    struct model_fiber fiber;
    void (*body)(void *);
    void *arg;
    const char *name;
    enum thread_state state;
    bool daemon;
    bool may_freeze, was_frozen;
    const void *waits_for;         /* futex word or mutex */
    int joins;                     /* thread */
    uint64_t deadline_ns, wait_ns; /* of a park; wait_ns: from its begin */
    uint64_t queued;               /* order of parking */
    bool timed_out;
    clocks clock;
    struct buffered buffer[BUFFER];
    unsigned buffered;
    void *local;
};

/* Everything that lives for one execution. */
struct run {
    const struct model_case *program;
    enum model_memory memory;
    bool all_shared; /* replay: no knowledge from earlier executions */
    bool trace;
    uint32_t epoch; /* number of the execution */
    int budget;
    uint32_t step;
    int current; /* NOBODY: setup and check */
    int count;
    struct thread threads[MODEL_THREADS];
    uint64_t queue_number;
    uint64_t now_ns;
    bool prologue;        /* late threads have not begun */
    unsigned idle_rounds; /* of threads that yield, without anything written */
    unsigned late_rescues;
    bool failed, abandoned;
    char message[256];
    struct model_fiber main;
};

extern struct run run;

/* --- engine.c */
/* Which of n options; option 0 is the one without deviation. values name the options in a replay
   string; kind is one of
     r  who runs next            p  preempted by          z  freezes
     l  how many stores ago      d  store is delayed      f  whose buffer writes a store out
     w  futex returns for no reason                       c  compare-and-swap reads an old value */
unsigned choose(char kind, unsigned n, const uint8_t *values);
bool deviates(char kind, bool free_of_charge); /* yes or no */
void end_execution(void) __attribute__((noreturn));
void trace(const char *what, const void *word, uint64_t value, const void *caller);

/* --- threads.c */
void threads_begin(void);
void threads_start(void); /* runs the execution to its end; called by the main fiber */
void point(void);         /* before an access that others can see */
void progress(void);      /* something was written */

/* --- memory.c */
void memory_forget(void); /* all that was learned about locations */
void memory_drain(struct thread *thread);
void memory_write_out(struct thread *thread); /* its oldest buffered store */
void clocks_join(clocks into, const clocks from);
uint64_t memory_learned(void); /* locations known to be shared */

/* --- freed.c */
extern unsigned freed_count; /* pieces that nobody may touch any more */
void freed_begin(void);      /* an execution */
void freed_check(const void *word);

#endif
