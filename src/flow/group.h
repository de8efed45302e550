/*
 * A set of tasks to wait for or cancel. Part of a task's record (flow/task.h); no stop of its own.
 *
 *   word      written by              read by    why this order
 *   counts    creator, submitters,    waiters    members: accepted and not yet returned; holds: who may
 *             workers                            still touch the group. sc with turn; acq_rel: @group-emptied,
 *                                                and whoever brings it to 0 frees the group
 *   turn      last member             waiters    futex word, counts emptyings; sc with waiters
 *   waiters   waiters                 last member  sc: whether turn has to be woken
 *   cancelled cancel                  members    release/acquire: @group-cancelled
 *
 * @group-emptied   part, acq_rel counts -> wait, acquire counts: what members wrote is visible
 * @group-cancelled cancel, release -> cancelled, acquire
 *
 * A waiter announces itself in `waiters` before it looks at the members; the member that brings them
 * to 0 looks at `waiters` afterwards; all four accesses are sequentially consistent.
 *
 * A member that leaves others behind touches the group no more, so it needs no hold. The last one wakes
 * waiters, and one of these may destroy the group meanwhile: for it a hold is taken by whoever makes
 * the first member, as the creator has one.
 */
#ifndef NPI_FLOW_GROUP_H
#define NPI_FLOW_GROUP_H

#include "base/atomic.h"

#include <numapool/numapool.h>

#define NPI_GROUP_MEMBER UINT64_C(1)
#define NPI_GROUP_HOLD (UINT64_C(1) << 32)

struct numapool_group {
    numapool *pool;
    npi_a64 counts; /* low half: members; high half: holds */
    npi_a32 turn;
    npi_a32 waiters;
    npi_a32 cancelled;
};

static inline uint32_t npi_group_members(uint64_t counts)
{
    return (uint32_t)counts;
}

void npi_group_join(numapool_group *group); /* before the task is published */
void npi_group_part(numapool_group *group); /* after its run or drop returned, or it was refused */

static inline bool npi_group_is_cancelled(const numapool_group *group)
{
    return npi_a32_load_acquire(&group->cancelled) != 0; /* @group-cancelled */
}

/* Waits until it has no members or until the deadline. True: it was empty. */
bool npi_group_await(numapool_group *group, uint64_t deadline_ns);

#endif
