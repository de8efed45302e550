/* Making a group and waiting for one; its words are flow/group.h's. */
#include "flow/group.h"
#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"

#include <stdlib.h>

int numapool_group_create(numapool_group **group, numapool *pool)
{
    if (group == NULL || pool == NULL) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(pool)) {
        return NUMAPOOL_E_FORKED;
    }
    numapool_group *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NUMAPOOL_E_NOMEM;
    }
    made->pool = pool;
    npi_a64_init(&made->counts, NPI_GROUP_HOLD);
    *group = made;
    return NUMAPOOL_OK;
}

int numapool_group_wait(numapool_group *group, uint64_t timeout_ns)
{
    if (group == NULL) {
        return NUMAPOOL_E_INVALID;
    }
    if (npi_pool_forked(group->pool)) {
        return NUMAPOOL_E_FORKED;
    }
    struct npi_worker *self = npi_worker_self;
    bool on_worker = self != NULL && self->shard->pool == group->pool;
    bool in_task = self != NULL && npi_worker_in_task(self);
    if (on_worker && in_task && npi_item_group(&self->item) == group) {
        return NUMAPOOL_E_DEADLOCK;
    }
    uint64_t begin = npi_clock_now_ns();
    uint64_t until = timeout_ns > UINT64_MAX - begin ? UINT64_MAX : begin + timeout_ns;
    if (npi_group_await(group, begin)) {
        return NUMAPOOL_OK;
    }
    if (timeout_ns == 0) {
        return NUMAPOOL_E_TIMEDOUT; /* a look is no waiting, and nobody has to stand in for it */
    }
    if (on_worker && !in_task) {
        return NUMAPOOL_E_DEADLOCK; /* in a drop, which must not wait: nobody stands in for it */
    }
    /* Waiting in a task: its permit runs others meanwhile. Members of another pool do without it. */
    bool replaced = in_task && npi_worker_block_begin(self);
    int result = NUMAPOOL_E_DEADLOCK;
    if (replaced || !on_worker) {
        result = npi_group_await(group, until) ? NUMAPOOL_OK : NUMAPOOL_E_TIMEDOUT;
    }
    if (in_task) {
        npi_worker_block_end(self);
    }
    return result;
}
