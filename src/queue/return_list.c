/* Many-to-one list of freed blocks; the ledger of its edges is in the header. */
#include "queue/return_list.h"

#include <stddef.h>

void npi_return_list_init(struct npi_return_list *list)
{
    npi_a64_init(&list->head, 0);
}

void npi_return_list_push(struct npi_return_list *list, struct npi_return_link *link)
{
    /* Relaxed: the old head is only passed on, never looked into. */
    uint64_t head = npi_a64_load_relaxed(&list->head);
    do {
        NPI_PLAIN_WRITE(link);
        link->next = (struct npi_return_link *)(uintptr_t)head;
        /* release @returned: pairs with npi_return_list_take_all() */
    } while (
        !NPI_MUTANT(return_relaxed,
                    NPI_MUTANT(return_by_store,
                               npi_a64_cas_release(&list->head, &head, (uint64_t)(uintptr_t)link),
                               (npi_a64_store_sc(&list->head, (uint64_t)(uintptr_t)link), true)),
                    npi_a64_cas_relaxed(&list->head, &head, (uint64_t)(uintptr_t)link)));
}

struct npi_return_link *npi_return_list_take_all(struct npi_return_list *list)
{
    if (npi_return_list_seems_empty(list))
        return NULL;
    /* acquire @returned: pairs with npi_return_list_push(). The release half is not needed. */
    uint64_t head = npi_a64_swap_acq_rel(&list->head, 0);
    return (struct npi_return_link *)(uintptr_t)head;
}
