/*
 * What a contender must do. There is one implementation per file contender_*.c; measure.c calls
 * them in the order of this struct.
 */
#ifndef OVERLOAD_CONTENDER_H
#define OVERLOAD_CONTENDER_H

#include <stdbool.h>
#include <stdint.h>

struct generator;
struct result;
struct run;

/* What became of the requests of one call. Together less than were handed over when the contender
   has stopped for good. */
struct handed {
    uint64_t accepted;
    uint64_t refused;
};

struct contender {
    const char *name;

    /* Makes everything that must exist before the first request. On false run->note says why. It
       may set run->nodes. */
    bool (*open)(struct run *run);

    /* From a generator's thread: requests first..first+count-1. */
    void (*hand_over)(struct generator *generator, uint64_t first, unsigned count,
                      struct handed *handed);

    /* One point of every shard's time line, time_ns after the start. NULL = has no shards. */
    void (*sample)(struct run *run, uint64_t time_ns);

    /* No more requests come: waits until the accepted ones are done. */
    void (*finish)(struct run *run);

    /* Fills what only the contender knows of the result, and frees everything. */
    void (*close)(struct run *run);
};

extern const struct contender contender_naive;
extern const struct contender contender_fixed;
extern const struct contender contender_numapool;

#endif
