/* The two ends of a task's life; everything between is the eight stops. */
#include "flow/task.h"

#include "flow/group.h"
#include "memory/memory.h"

void npi_task_finish(struct npi_space *space, const struct npi_item *item)
{
    if (!npi_item_is_full(item)) {
        return;
    }
    if (item->more[NPI_TASK_BYTES] != 0) {
        npi_space_unreserve(space, item->more[NPI_TASK_BYTES]);
    }
    numapool_group *group = npi_item_group(item);
    if (group != NULL) {
        npi_group_part(group);
    }
}

void npi_task_drop(struct npi_space *space, const struct npi_item *item, int why)
{
    if (npi_item_is_full(item)) {
        void (*drop)(void *, int) = (void (*)(void *, int))(uintptr_t)item->more[NPI_TASK_DROP];
        if (drop != NULL) {
            drop(npi_item_arg(item), why);
        }
    }
    npi_task_finish(space, item);
}
