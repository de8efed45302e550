/*
 * The library's clocks with a hand on them: npi_clock_now_ns() and npi_clock_ticks() pass here, and so
 * does every wait with a deadline, so that the library sees one consistent clock that stands still,
 * leaps, or began long ago.
 */
#ifndef TESTS_FAULT_CLOCK_H
#define TESTS_FAULT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Adds to both clocks; negative = back. */
void clock_leap_ns(int64_t ns);
/* Both stand still, or go on from where they should be by now. */
void clock_stop(bool stopped);
/* Ticks alone begin this far from where they are. */
void clock_offset_ticks(uint64_t ticks);
/* As it really is. */
void clock_restore(void);

/* For inject.c: FUTEX_WAIT_BITSET until a time of the clock above. */
long clock_futex_wait(uint32_t *word, int operation, uint32_t value, const struct timespec *until);

#endif
