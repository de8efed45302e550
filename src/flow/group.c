/* Groups; their words and edges stand in group.h. */
#include "flow/group.h"

#include "os/os.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static void release(numapool_group *group)
{
    if (npi_a64_add_acq_rel(&group->holders, (uint64_t)-1) == 1) {
        free(group);
    }
}

void npi_group_join(numapool_group *group)
{
    (void)NPI_MUTANT(holder_not_counted, npi_a64_add_relaxed(&group->holders, 1),
                     (uint64_t)0); /* the submitter holds one: it cannot be 0 */
    (void)npi_a64_add_sc(&group->members, 1);
}

void npi_group_part(numapool_group *group)
{
    if (NPI_MUTANT(emptied_early, npi_a64_add_sc(&group->members, (uint64_t)-1) == 1,
                   npi_a64_add_sc(&group->members, (uint64_t)-1) == 2)) { /* @group-emptied */
        (void)npi_a32_add_sc(&group->turn, 1);
        if (npi_a32_load_sc(&group->waiters) != 0) {
            NPI_MUTANT(wake_one_waiter, npi_park_wake(&group->turn, INT_MAX),
                       npi_park_wake(&group->turn, 1));
        }
    }
    release(group);
}

bool npi_group_await(numapool_group *group, uint64_t deadline_ns)
{
    if (npi_a64_load_sc(&group->members) == 0) { /* @group-emptied */
        return true;
    }
    (void)npi_a32_add_sc(&group->waiters, 1);
    bool empty = false;
    for (;;) {
        /* turn before members: if it empties in between, the wait returns at once */
        uint32_t turn = npi_a32_load_sc(&group->turn);
        empty = npi_a64_load_sc(&group->members) == 0;
        if (empty || npi_clock_now_ns() >= deadline_ns) {
            break;
        }
        (void)npi_park_wait(&group->turn, turn, deadline_ns);
    }
    (void)npi_a32_add_sc(&group->waiters, (uint32_t)-1);
    return empty;
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
