/* One pool from its creation to its end, with producers and readers, and its books. */
#ifndef TESTS_SOAK_LIFE_H
#define TESTS_SOAK_LIFE_H

#include <stdbool.h>
#include <stdint.h>

/* What is summed up over the pools that are gone. */
struct life_totals {
    unsigned lives;
    uint64_t issued, run, dropped;
    uint64_t threads_started, forwarded, stolen, tasks_stuck, shed;
};

/* Kinds of pools; a life is one of them, by its number. */
extern const unsigned life_kinds;
const char *life_machine(unsigned number);

void life_begin(unsigned number, uint64_t seed);
/* Ends it, drained or not, and holds its books against the library's own. */
void life_end(struct life_totals *totals);
/* The numbers of the pool that lives, for a process that hangs. */
void life_print(void);

#endif
