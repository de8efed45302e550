/*
 * A lock that is nearly always tried, not waited for: one word, two instructions when it is free.
 * For heaps, which are taken and let go twice for every block; everything slower uses a mutex.
 *
 * word   values                        written by   why this order
 * latch  FREE, HELD, HELD_AND_WAITED   everybody    carries the edge below
 *
 * @latch-free  release: swap to FREE  ->  try or wait: acquire, FREE to held
 *              what the last holder did to the heap is complete before the next one looks
 *
 * No wake-up is lost: who waits has set HELD_AND_WAITED and sleeps only while the word still says
 * so; whoever lets go of that value wakes one. A waiter keeps the value when it gets the latch,
 * because it cannot know whether it was the last; at worst a wake-up finds nobody. Progress: try
 * never waits. A waiter waits for a holder that does a bounded number of steps.
 */
#ifndef NPI_MEMORY_LATCH_H
#define NPI_MEMORY_LATCH_H

#include "base/atomic.h"
#include "base/check.h"
#include "os/os.h"

enum npi_latch_value {
    NPI_LATCH_FREE = 0,
    NPI_LATCH_HELD,
    NPI_LATCH_HELD_AND_WAITED,
};

static inline bool npi_latch_try(npi_a32 *latch)
{
    uint32_t value = NPI_LATCH_FREE;
    /* A look first: failing to write a busy line would still take it away from its user. */
    return npi_a32_load_relaxed(latch) == NPI_LATCH_FREE &&
           NPI_MUTANT(latch_by_store, npi_a32_cas_acq_rel(latch, &value, NPI_LATCH_HELD),
                      (npi_a32_store_sc(latch, NPI_LATCH_HELD),
                       value == NPI_LATCH_FREE)); /* acquire @latch-free */
}

static inline void npi_latch_wait(npi_a32 *latch)
{
    if (npi_latch_try(latch))
        return;
    /* acquire @latch-free */
    while (npi_a32_swap_acq_rel(latch, NPI_LATCH_HELD_AND_WAITED) != NPI_LATCH_FREE)
        (void)npi_park_wait(latch, NPI_LATCH_HELD_AND_WAITED, UINT64_MAX);
}

static inline void npi_latch_release(npi_a32 *latch)
{
    /* release @latch-free */
    if (NPI_UNLIKELY(npi_a32_swap_acq_rel(latch, NPI_LATCH_FREE) == NPI_LATCH_HELD_AND_WAITED))
        NPI_MUTANT(latch_without_wake, npi_park_wake(latch, 1), (void)0);
}

#endif
