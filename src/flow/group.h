/*
 * A set of tasks to wait for or cancel. Part of a task's record (flow/task.h); no stop of its own.
 *
 *   word      written by              read by    why this order
 *   members   submitters, workers     waiters    acq_rel: @group-emptied
 *   holders   creator, members        last one   acq_rel: whoever brings it to 0 frees the group
 *   turn      last member             waiters    futex word, counts emptyings; sc with waiters
 *   waiters   waiters                 last member  sc: whether turn has to be woken
 *   cancelled cancel                  members    release/acquire: @group-cancelled
 *
 * @group-emptied   part, acq_rel members -> wait, acquire members: what members wrote is visible
 * @group-cancelled cancel, release -> cancelled, acquire
 *
 * A waiter announces itself in `waiters` before it looks at `members`; the member that brings
 * `members` to 0 looks at `waiters` afterwards; all four accesses are sequentially consistent.
 */
#ifndef NPI_FLOW_GROUP_H
#define NPI_FLOW_GROUP_H

#include "base/atomic.h"

#include <numapool/numapool.h>

struct numapool_group {
    numapool *pool;
    npi_a64 members; /* accepted and not yet returned */
    npi_a64 holders; /* members + 1 for the creator */
    npi_a32 turn;
    npi_a32 waiters;
    npi_a32 cancelled;
};

void npi_group_join(numapool_group *group); /* before the task is published */
void npi_group_part(numapool_group *group); /* after its run or drop returned, or it was refused */

static inline bool npi_group_is_cancelled(const numapool_group *group)
{
    return npi_a32_load_acquire(&group->cancelled) != 0; /* @group-cancelled */
}

/* Waits until it has no members or until the deadline. True: it was empty. */
bool npi_group_await(numapool_group *group, uint64_t deadline_ns);

#endif
