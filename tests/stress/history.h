/*
 * What happened to a queue, and whether a first-in-first-out queue can explain it.
 *
 * Every operation has taken effect somewhere between its begin and its end on one clock; only if
 * one ended before another began is their order known. A history is impossible exactly when it has
 * one of the faults below; counting alone ("everything came out once") sees the first three and
 * misses the others. The check takes O(n log n). It knows nothing of the queue or of threads.
 */
#ifndef NPI_STRESS_HISTORY_H
#define NPI_STRESS_HISTORY_H

#include <stddef.h>
#include <stdint.h>

/* begin and end of an operation; end < begin of another means: before it. */
struct history_span {
    uint64_t begin, end;
};

/* One value. Puts are unique; of several takes the last is kept. */
struct history_value {
    struct history_span put, take;
    uint32_t puts, takes;
};

struct history {
    struct history_value *values;
    size_t value_count;
    struct history_span *empties; /* takes that found nothing */
    size_t empty_count;
};

struct history_faults {
    uint64_t fresh;       /* taken before its put began, or never put */
    uint64_t repeated;    /* taken more than once */
    uint64_t lost;        /* put and never taken */
    uint64_t order;       /* another was put before it and taken after it */
    uint64_t false_empty; /* nothing found while a value was there all the time */
};

/* Values that were neither put nor taken do not count. False: no memory. */
_Bool history_check(const struct history *history, struct history_faults *faults);

#endif
