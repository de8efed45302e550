/* The questions that are asked of each contender. A contender that loses, invents, repeats or
   damages a task ends the program, whatever was asked. */
#ifndef RING_MEASURE_H
#define RING_MEASURE_H

#include "contender.h"

#include <stddef.h>

struct cost {
    uint64_t wall_ns;
    uint64_t cpu_ns; /* of all threads; what others do to the machine touches it least */
    bool refused;    /* nothing was measured, because a push was refused */
};

/* Tasks through the queue from so many producers to so many consumers. */
struct cost measure_traffic(const struct contender *contender, uint64_t capacity,
                            unsigned producers, unsigned consumers, uint64_t tasks);

/* One thread pushes and pops by turns, alone, or beside a producer that has stopped. It does so in
   step_push and step_pop, for callgrind. */
struct cost measure_turns(const struct contender *contender, uint64_t capacity, bool stopped,
                          uint64_t turns);

/* What a producer that stopped inside a push leaves to the others. When it goes on, its own task
   has to come out once. */
struct stopped_facts {
    unsigned before; /* of 8 tasks queued before it stopped, taken afterwards */
    unsigned behind; /* of 8 tasks that others pushed afterwards, accepted and taken */
    uint64_t turns;  /* push and pop by turns, until one was refused or enough were seen */
    uint64_t room;   /* tasks that fit in at most, after these turns */
};
struct stopped_facts measure_stopped(const struct contender *contender, uint64_t capacity,
                                     uint64_t turns_max);

double median(double *values, size_t count); /* sorts them */

#endif
