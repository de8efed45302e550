/*
 * Configuration files. One that loads has to survive a way through a dump, and to give a plan on a
 * machine of two nodes or a mistake that says why not; one that does not has changed nothing.
 */
#include "fuzz/fuzz.h"
#include "fuzz/plan_check.h"

#include "topology/placement.h"

#include <stdlib.h>
#include <string.h>

/* libconfig 1.5 loses a few bytes whenever a syntax error follows a text in quotes. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig\n";
}

/* Two packages with a node each, four cores of two threads; siblings are four apart. */
static const struct npi_machine *machine_of_two(void)
{
    static struct npi_machine machine;
    if (machine.cpu_count > 0)
        return &machine;
    static char summary[] = "two nodes", source[] = "a target";
    static struct npi_machine_cpu cpus[16];
    static struct npi_machine_node nodes[2];
    static unsigned distance[] = {10, 21, 21, 10};
    static struct npi_cpuset domains[2];
    for (unsigned i = 0; i < 16; i++) {
        unsigned node = i / 8;
        cpus[i] = (struct npi_machine_cpu){i, (int)(4 * node + i % 4), (int)node, (int)node, -1};
        fuzz_check(npi_cpuset_add(&nodes[node].cpus, i) && npi_cpuset_add(&domains[node], i));
    }
    for (unsigned n = 0; n < 2; n++) {
        nodes[n].os_index = n;
        nodes[n].memory_bytes = UINT64_C(1) << 34;
    }
    machine = (struct npi_machine){
        .live = true,
        .summary = summary,
        .source = source,
        .cpu_count = 16,
        .cpus = cpus,
        .node_count = 2,
        .nodes = nodes,
        .distance = distance,
        .domain_count = 2,
        .domains = domains,
        .cpus_here = 16,
    };
    return &machine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct numapool_config config = fuzz_config(), before = config;
    struct numapool_error error = {0};
    int result = numapool_config_load(&config, fuzz_file(data, size), &error);
    if (result == NUMAPOOL_OK) {
        fuzz_check(error.count == 0);
        fuzz_config_round_trip(&config);
        check_planning(machine_of_two(), &config, 1);
    } else {
        fuzz_check(result == NUMAPOOL_E_CONFIG);
        fuzz_check(error.count > 0 && error.text[0] != '\0');
        fuzz_check(memchr(error.text, '\0', sizeof error.text) != NULL);
        fuzz_check(memcmp(&config, &before, sizeof config) == 0);
    }
    fuzz_config_fini(&config);
    return 0;
}
