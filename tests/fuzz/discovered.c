/* See discovered.h. */
#include "fuzz/discovered.h"

#include "fuzz/fuzz.h"
#include "fuzz/plan_check.h"
#include "topology/discover.h"

#include <errno.h>
#include <stdlib.h>

/* Of a leak checker, where there is one: hwloc loses what it had read of a text it then refuses. */
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);

void check_discovery(const char *text)
{
    /* Not to look at this machine every time: nothing of it matters here. */
    static uint64_t word = 3;
    struct npi_cpuset allowed = {&word, 1};
    struct npi_discover_options options = {
        .root = "/nonexistent", .allowed = &allowed, .want_kinds = true};
    struct npi_machine machine = {0};
    char *why = NULL;
    if (__lsan_disable != NULL)
        __lsan_disable();
    int result = npi_discover_text(&machine, text, &options, &why);
    if (__lsan_enable != NULL)
        __lsan_enable();
    if (result != 0) {
        fuzz_check(result == -EINVAL);
        fuzz_check(why != NULL && why[0] != '\0' && machine.cpus == NULL);
        free(why);
        return;
    }
    const char *wrong = NULL;
    fuzz_check(why == NULL);
    fuzz_check(npi_machine_valid(&machine, &wrong));
    fuzz_check(machine.summary != NULL && machine.source != NULL && !machine.live);
    struct numapool_config config = fuzz_config();
    check_planning(&machine, &config, 2);
    config.shards = NUMAPOOL_PER_L3;
    config.smt = NUMAPOOL_SMT_ALL;
    check_planning(&machine, &config, 1);
    npi_machine_fini(&machine);
}
