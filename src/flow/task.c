/* The two ends of a task's life; everything between is the eight stops. */
#include "flow/task.h"

#include "flow/group.h"
#include "memory/memory.h"

void npi_task_drop(const struct npi_item *item, int why)
{
    if (npi_item_is_full(item)) {
        void (*drop)(void *, int) = (void (*)(void *, int))(uintptr_t)item->more[NPI_TASK_DROP];
        if (drop != NULL) {
            drop(npi_item_arg(item), why);
        }
    }
}

void npi_task_unreserve(struct npi_space *space, const struct npi_item *item)
{
    uint64_t bytes = npi_item_bytes(item);
    if (bytes != 0) {
        npi_space_unreserve(space, bytes);
    }
}

void npi_task_part(const struct npi_item *item)
{
    numapool_group *group = npi_item_group(item);
    if (group != NULL) {
        npi_group_part(group);
    }
}
