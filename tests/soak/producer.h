/* Threads that hand tasks of all kinds in, and the tasks. One producer has one ledger. */
#ifndef TESTS_SOAK_PRODUCER_H
#define TESTS_SOAK_PRODUCER_H

#include <stdint.h>

/* Starts options.producers threads on soak.pool. */
void producers_start(uint64_t seed);
/* After soak.stop was set; no task is handed in after it. Some may still wait or run. */
void producers_join(void);
/* When the pool is gone: closes the books of this life. */
struct producers_sum {
    uint64_t issued, run, dropped; /* issued: accepted, or to be handed in by a task */
};
struct producers_sum producers_close(void);

/* Makes a worker's thread open for the signals of faults.h, once per thread; for every task. */
void worker_seen(void);

/* Frees what SOAK_REMOTE_FREE tasks left for one another, when none runs any more; or forgets it, when
   the pool is gone and its memory with it. */
void producers_free_left(void);
void producers_forget_left(void);

#endif
