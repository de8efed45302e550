/*
 * The planner on random machines, up to the largest there can be: 1024 nodes, thousands of CPUs,
 * holes in every numbering, nodes without CPUs or memory, several kinds of memory over the same
 * CPUs, masks, quotas, tables of distances that are absent or nonsense, and configurations that do
 * or do not fit. What has to hold is in plan_check.h.
 *
 * NPI_SEED=N replays one machine, NPI_COUNT=N tries another number of them; a failure begins with
 * its seed.
 */
#include "fuzz/choices.h"
#include "fuzz/fuzz.h"
#include "fuzz/plan_check.h"

#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 3000, LARGE_EVERY = 500 };

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

int main(void)
{
    uint64_t replay = setting("NPI_SEED", 0), count = setting("NPI_COUNT", COUNT);
    uint64_t first = replay != 0 ? replay : 1, last = replay != 0 ? replay : count;
    uint64_t planned = 0, shards = 0, several = 0;
    unsigned most_shards = 0, most_nodes = 0, most_cpus = 0;
    for (uint64_t number = first; number <= last; number++) {
        char label[64];
        snprintf(label, sizeof label, "NPI_SEED=%llu", (unsigned long long)number);
        fuzz_label(label);
        struct choices choices = {.seed = number};
        struct machine_bounds bounds = {.nodes = 64, .cpus = 512};
        if (number % LARGE_EVERY == 0)
            bounds = (struct machine_bounds){
                .nodes = 1 + choose(&choices, 1024), .cpus = 4096, .large = true};
        struct npi_machine machine;
        choose_machine(&machine, &choices, bounds);
        struct numapool_config config = choose_config(&machine, &choices);
        unsigned made = check_planning(&machine, &config, 1 + choose(&choices, 16));
        planned += made > 0;
        several += made > 1;
        shards += made;
        most_shards = made > most_shards ? made : most_shards;
        most_nodes = machine.node_count > most_nodes ? machine.node_count : most_nodes;
        most_cpus = machine.cpu_count > most_cpus ? machine.cpu_count : most_cpus;
        fuzz_config_fini(&config);
        npi_machine_fini(&machine);
    }
    printf("%llu machines, %llu plans, %llu shards; at most %u nodes, %u CPUs, %u shards\n",
           (unsigned long long)(last - first + 1), (unsigned long long)planned,
           (unsigned long long)shards, most_nodes, most_cpus, most_shards);
    /* Most have to be real plans, and many of several shards, or all this would show nothing. */
    fuzz_label(NULL);
    if (replay == 0 && count >= COUNT) {
        fuzz_check(planned > count * 3 / 4 && several > count / 3);
        fuzz_check(most_nodes > 800 && most_shards > 400);
    }
    return 0;
}
