/* Who looks for pools (api/registry.c) beside pools that are made and end. */
#include "model/cases.h"

#include "api/registry.h"

static struct npi_registry registry;
static unsigned found, missed;

/* What stands for a pool: one word that must be built before anybody finds it, and gone after nobody does. */
static void make_and_end(void *arg)
{
    (void)arg;
    uint64_t *pool = model_calloc(1, sizeof *pool);
    NPI_PLAIN_WRITE(pool);
    *pool = 42;
    unsigned slot = npi_registry_show(&registry, (struct numapool *)pool);
    npi_registry_hide(&registry, slot);
    NPI_PLAIN_WRITE(pool); /* what its end does to it */
    *pool = 0;
    model_free(pool);
}

static void look(void *arg)
{
    unsigned slot = (unsigned)(uintptr_t)arg;
    const uint64_t *pool = (const uint64_t *)npi_registry_look(&registry, slot);
    if (pool == NULL) {
        missed++;
        return;
    }
    NPI_PLAIN_READ(pool);
    MODEL_CHECK(*pool == 42);
    npi_registry_end_look(&registry, slot);
    found++;
}

static void setup(void)
{
    for (unsigned i = 0; i < 2; i++) {
        npi_a64_init(&registry.slots[i].pool, 0);
        npi_a32_init(&registry.slots[i].looks, 0);
    }
    found = missed = 0;
    (void)model_spawn("pool", make_and_end, NULL);
    (void)model_spawn("look", look, (void *)0);
    (void)model_spawn("look too", look, (void *)0);
}

static void check(void)
{
    MODEL_CHECK(found + missed == 2);
    MODEL_CHECK(npi_a32_load_relaxed(&registry.slots[0].looks) == 0);
    MODEL_CHECK(npi_a64_load_relaxed(&registry.slots[0].pool) == 0);
    model_reach(found == 2);
}

const struct model_case model_case_look_against_end = {
    .name = "look_against_end",
    .about = "who reads a pool it found (a dump in a handler) while that pool ends",
    .setup = setup,
    .check = check,
    .rescue_ns_max = UINT64_C(50000), /* api/registry.c: it looks again whether lookers are done */
    .reach = 3,                       /* nobody found it, both did */
};
