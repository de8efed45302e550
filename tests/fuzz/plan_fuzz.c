/*
 * Plans: the input decides how a machine is built and what is configured. A plan keeps the
 * invariants, comes back from a file the same, and keeps them when its shards are joined.
 */
#include "fuzz/choices.h"
#include "fuzz/fuzz.h"
#include "fuzz/plan_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t nothing;
    struct choices choices = {.bytes = size > 0 ? data : &nothing, .left = size};
    struct npi_machine machine;
    choose_machine(&machine, &choices, (struct machine_bounds){.nodes = 24, .cpus = 96});
    struct numapool_config config = choose_config(&machine, &choices);
    check_planning(&machine, &config, 1 + choose(&choices, 16));
    fuzz_config_fini(&config);
    npi_machine_fini(&machine);
    return 0;
}
