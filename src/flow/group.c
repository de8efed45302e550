/* Groups; their words and edges stand in group.h. */
#include "flow/group.h"

#include "os/os.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static void release(numapool_group *group)
{
    /* The last hold is given up by nobody while there are members. */
    if (npi_a64_add_acq_rel(&group->counts, 0 - NPI_GROUP_HOLD) == NPI_GROUP_HOLD) {
        free(group);
    }
}

void npi_group_join(numapool_group *group)
{
    /* Whoever submits knows that the group lives, and ours is a member until we return. */
    if (npi_group_members(npi_a64_add_sc(&group->counts, NPI_GROUP_MEMBER)) == 0) {
        (void)NPI_MUTANT(hold_not_taken, npi_a64_add_relaxed(&group->counts, NPI_GROUP_HOLD),
                         (uint64_t)0);
    }
}

void npi_group_part(numapool_group *group)
{
    uint64_t before = npi_a64_add_sc(&group->counts, 0 - NPI_GROUP_MEMBER); /* @group-emptied */
    if (NPI_MUTANT(emptied_early, npi_group_members(before) != 1, npi_group_members(before) != 2)) {
        return;
    }
    (void)npi_a32_add_sc(&group->turn, 1);
    if (npi_a32_load_sc(&group->waiters) != 0) {
        NPI_MUTANT(wake_one_waiter, npi_park_wake(&group->turn, INT_MAX),
                   npi_park_wake(&group->turn, 1));
    }
    release(group);
}

static bool empty(const numapool_group *group)
{
    return npi_group_members(npi_a64_load_sc(&group->counts)) == 0; /* @group-emptied */
}

bool npi_group_await(numapool_group *group, uint64_t deadline_ns)
{
    if (empty(group)) {
        return true;
    }
    (void)npi_a32_add_sc(&group->waiters, 1);
    bool emptied = false;
    for (;;) {
        /* turn before members: if it empties in between, the wait returns at once */
        uint32_t turn = npi_a32_load_sc(&group->turn);
        emptied = empty(group);
        if (emptied || npi_clock_now_ns() >= deadline_ns) {
            break;
        }
        (void)npi_park_wait(&group->turn, turn, deadline_ns);
    }
    (void)npi_a32_add_sc(&group->waiters, (uint32_t)-1);
    return emptied;
}

int numapool_group_cancel(numapool_group *group)
{
    if (group == NULL) {
        return NUMAPOOL_E_INVALID;
    }
    npi_a32_store_release(&group->cancelled, 1); /* @group-cancelled */
    return NUMAPOOL_OK;
}

int numapool_group_destroy(numapool_group *group)
{
    if (group != NULL) {
        release(group);
    }
    return NUMAPOOL_OK;
}
