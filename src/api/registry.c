/* The pools of the process; see registry.h. */
#include "api/registry.h"

#include "os/os.h"

#include <stddef.h>

/* Between two looks at whether a looker is done: it formats some lines, or does not run. */
#define STEP_NS UINT64_C(50000)

struct npi_registry npi_registry;

unsigned npi_registry_show(struct npi_registry *registry, struct numapool *pool)
{
    for (unsigned slot = 0; slot < NPI_REGISTRY_POOLS; slot++) {
        uint64_t none = 0;
        /* Somebody reads there still, or did when its process was forked: in the child for ever. */
        if (npi_a32_load_relaxed(&registry->slots[slot].looks) != 0) {
            continue;
        }
        if (NPI_MUTANT(
                shown_relaxed,
                npi_a64_cas_sc(&registry->slots[slot].pool, &none, (uint64_t)(uintptr_t)pool),
                npi_a64_cas_relaxed(&registry->slots[slot].pool, &none,
                                    (uint64_t)(uintptr_t)pool))) { /* @pool-shown */
            return slot;
        }
    }
    (void)npi_a32_add_relaxed(&registry->unshown, 1);
    return NPI_REGISTRY_NONE;
}

void npi_registry_hide(struct npi_registry *registry, unsigned slot)
{
    if (slot == NPI_REGISTRY_NONE) {
        (void)npi_a32_add_relaxed(&registry->unshown, (uint32_t)-1);
        return;
    }
    npi_a32 nothing = {0};
    NPI_MUTANT(hidden_relaxed, npi_a64_store_sc(&registry->slots[slot].pool, 0),
               npi_a64_store_relaxed(&registry->slots[slot].pool, 0)); /* @pool-hidden */
    while (
        NPI_MUTANT(looks_not_awaited, npi_a32_load_sc(&registry->slots[slot].looks) != 0, false)) {
        (void)npi_park_wait(&nothing, 0, npi_clock_now_ns() + STEP_NS);
    }
}

const struct numapool *npi_registry_look(struct npi_registry *registry, unsigned slot)
{
    struct npi_registry_slot *one = &registry->slots[slot];
    /* Of a free slot nothing is written: who hides a pool is not kept waiting by those who come later. */
    if (npi_a64_load_relaxed(&one->pool) == 0) {
        return NULL;
    }
    (void)NPI_MUTANT(look_not_told, npi_a32_add_sc(&one->looks, 1), 0u); /* @pool-hidden */
    uint64_t pool = NPI_MUTANT(looked_relaxed, npi_a64_load_sc(&one->pool),
                               npi_a64_load_relaxed(&one->pool)); /* @pool-shown */
    if (pool == 0) {
        npi_registry_end_look(registry, slot);
    }
    return (const struct numapool *)(uintptr_t)pool;
}

void npi_registry_end_look(struct npi_registry *registry, unsigned slot)
{
    npi_a32 *looks = &registry->slots[slot].looks;
    (void)NPI_MUTANT(look_not_told,
                     NPI_MUTANT(look_ended_relaxed, npi_a32_add_release(looks, (uint32_t)-1),
                                npi_a32_add_relaxed(looks, (uint32_t)-1)),
                     0u); /* @pool-hidden */
}
