/*
 * The interleaving checker: runs a small program of a few threads in every order that a budget of
 * deviations allows, one execution after the other, and stops at the first that breaks a rule.
 *
 * The program's threads run the shipped sources; base/atomic.h sends each access here (atomic_model.h).
 * An execution without deviations runs each thread until it waits or ends. Every deviation costs one
 * from the budget: a thread is preempted before an access, a load reads an older store, a store stays in
 * the store buffer, a futex returns for no reason, a time-out comes early. Which thread goes on when one
 * waits or ends costs nothing. All executions within the budget are run, by repeating a prefix of choices
 * and changing the last one (depth first, nothing is stored but the choices).
 *
 * What breaks a rule: a failed MODEL_CHECK; a plain access that no edge orders after the write it
 * needs (race); everybody waits and somebody should not (lost wake-up); more steps than the case
 * allows (livelock); an access to memory that was freed.
 */
#ifndef NPI_MODEL_ENGINE_H
#define NPI_MODEL_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_THREADS 6

enum model_memory { MODEL_C11, MODEL_TSO };

/* One program. setup makes its state and its threads anew for each execution; check looks at the
   state when everybody has ended. Both run beside nobody. */
struct model_case {
    const char *name;
    const char *about;
    void (*setup)(void);
    void (*check)(void);
    void (*beside)(void);   /* with a frozen thread: when all others have come to rest */
    uint64_t rescue_ns_max; /* waits that a time-out may end when nobody else would; 0 = none */
    bool timeouts;          /* those may also time out early */
    unsigned steps_max;     /* more are a livelock; 0 = 4000 */
    unsigned reach;         /* bits that model_reach() has to have set when all is exhausted */
    unsigned gate_bound;    /* what ctest exhausts; 0 = 2 */
    unsigned deep_bound;    /* what `./dev model` exhausts at most; 0 = any */
};

struct model_options {
    enum model_memory memory;
    unsigned bound;
    uint64_t random_count; /* executions with random choices, beyond the bound, before the search */
    uint64_t seed;
    double seconds_max; /* of processor time, then the search stops; 0 = when it is exhausted */
    const char *replay; /* run one execution with these deviations */
    bool trace;         /* print each step of it */
};

struct model_result {
    bool failed;
    bool exhausted;
    uint64_t executions;
    uint64_t steps;
    double seconds; /* of processor time */
    char message[256];
    char replay[2048]; /* of the failing execution */
};

void model_run(const struct model_case *program, const struct model_options *options,
               struct model_result *result);

/* --- for setup, and for threads */
/* Returns its number. A daemon need not end: the execution is over when all others have. */
int model_spawn(const char *name, void (*body)(void *), void *arg);
int model_spawn_daemon(const char *name, void (*body)(void *), void *arg);
/* Begins when all others have come to rest for the first time; until then no thread is preempted and
   nothing else deviates, so that a case can begin in the middle: with workers that sleep. */
int model_spawn_late(const char *name, void (*body)(void *), void *arg);
void model_name(int thread, const char *name); /* kept, not copied */
void model_join(int thread);
bool model_ended(int thread);
/* The calling thread may stop once, before any of its accesses, until all others have come to rest.
   Costs nothing. */
void model_may_freeze(bool may);
bool model_is_frozen(int thread);
int model_self(void);
/* A word of each thread's own, swapped in and out with it: what __thread is elsewhere. */
void model_thread_local(void **word);

/* --- rules */
void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define MODEL_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            model_fail("%s:%d: %s", __FILE__, __LINE__, #condition);                               \
        }                                                                                          \
    } while (0)

/* A situation the case is there for has come about; bit of model_case.reach. */
void model_reach(unsigned bit);

/* --- waiting */
int model_park_wait(const uint32_t *word, uint32_t value, uint64_t deadline_ns);
void model_park_wake(const uint32_t *word, unsigned count);
void model_yield(void); /* until somebody else has written something, or waits */
void model_lock(void *mutex);
void model_unlock(void *mutex);

/* --- time. It passes when a case says so and when a wait times out. Ticks are nanoseconds that also
   differ from step to step. */
uint64_t model_now_ns(void);
uint64_t model_ticks(void);
void model_pass_time(uint64_t ns);

/* --- memory that can be freed; all of it is forgotten between executions */
void *model_calloc(size_t count, size_t bytes);
void model_free(void *memory);
void model_retire(const void *memory, size_t bytes); /* nobody may touch it any more */

#endif
