/*
 * Threads that stand still: one at a time, by a signal at whatever instruction it is at, or at a named
 * place in the library. SIGSTOP would stop the whole process.
 *
 * The library's threads are enrolled when they are created (inject.c), producers enrol themselves.
 * The library blocks all signals in its threads; enrolled ones are open for SIGRTMAX.
 */
#ifndef TESTS_FAULT_HALT_H
#define TESTS_FAULT_HALT_H

#include <stdbool.h>
#include <stdint.h>

enum halt_role {
    HALT_NOBODY = 0,
    HALT_PRODUCER = 1,
    HALT_WORKER = 2,
    HALT_OTHER = 4, /* of the library: control threads */
    HALT_ANYBODY = 7,
};

enum halt_place {
    HALT_CLAIMED,   /* a producer holds the claim and has written nothing */
    HALT_WRITTEN,   /* ... has written its task and not published it */
    HALT_PUBLISHED, /* ... has published it and holds the claim still */
    HALT_LET_GO,    /* ... has given the claim up and woken nobody */
    HALT_RESERVED,  /* a waker holds a permit for a sleeper it has not looked for yet */
    HALT_POPPED,    /* ... has taken the sleeper from the stack and not roused it */
    HALT_PUSHED,    /* a worker lies in the stack and holds its permit still */
    HALT_SEARCHING, /* a worker looks for tasks: nobody else is woken meanwhile */
    HALT_PLACES,
};

/* Once per program, before anything else of this file. */
void halt_init(void);
void halt_enrol_producer(void);
void halt_leave_producer(void);

/* Sends a random enrolled thread of these roles to sleep for so long where it is just now; 0 = only
   the signal. False: nobody was there. */
bool halt_random(unsigned roles, uint64_t ns, uint64_t *random);
uint64_t halt_count(enum halt_role role); /* how many have stood still by a signal */
uint64_t halt_count_in_claim(void);       /* and how many of them inside their claim */
uint64_t halt_signals(void);              /* handlers that have run, also those for 0 ns */

/* The next `count` threads of these roles that come to the place stand there until released. */
void halt_at(enum halt_place place, unsigned roles, int count);
int halt_standing(enum halt_place place);
void halt_release(void); /* all, and nobody is stopped any more */

/* For inject.c. */
struct halt_start;
struct halt_start *halt_enrol_start(void *(*body)(void *), void *arg);
void halt_forget_start(struct halt_start *start);
void *halt_thread_main(void *start);

#endif
