/* Defaults of struct numapool_config; ranges are the table in topology/settings.h. */
#include "api/config.h"

#include "api/error.h"
#include "topology/cgroup.h"
#include "topology/placement.h"
#include "topology/settings.h"

#include <stdlib.h>
#include <string.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* Why these: policy/params.h says it for those that are policy's. */
#define WORKERS_PER_CPU 8u
#define WORKERS_LEAST 512u
#define WORKERS_KEPT_PER_SHARD 4u
#define QUEUE_TASKS_PER_CPU 1024u
#define STACK_BYTES_LEAST ((size_t)64 * 1024)

/* Tasks may wait without saying so, and some do for seconds: a name that no server answers takes the
   resolver ten. Nothing that ordinary programs do takes longer, and most of them give a whole request
   thirty. Event loops warn after 0.1 s; a warning that is often wrong is one that nobody reads. */
#define WATCHDOG_NS (10 * SECOND)

void numapool_config_init(struct numapool_config *config)
{
    if (config != NULL) {
        memset(config, 0, sizeof *config);
        config->struct_size = sizeof *config;
    }
}

void numapool_config_fini(struct numapool_config *config)
{
    if (config != NULL) {
        npi_placement_free(config->placement);
        numapool_config_init(config);
    }
}

static void give(uint64_t *field, uint64_t value)
{
    if (*field == 0) {
        *field = value;
    }
}

int npi_config_settle(struct numapool_config *settled, const struct numapool_config *config,
                      struct numapool_error *error)
{
    if (config->struct_size < offsetof(struct numapool_config, watchdog_ns) ||
        config->struct_size > sizeof *config + 4096) {
        return npi_error(error, NUMAPOOL_E_INVALID, 0,
                         "config: struct_size is %zu; call numapool_config_init() first",
                         config->struct_size);
    }
    memset(settled, 0, sizeof *settled);
    size_t size = config->struct_size < sizeof *settled ? config->struct_size : sizeof *settled;
    memcpy(settled, config, size);
    settled->struct_size = sizeof *settled;
    int result = npi_settings_validate(settled, error);
    if (result != NUMAPOOL_OK) {
        return result;
    }
    give(&settled->queue_delay_ns, 100 * MS);
    give(&settled->idle_exit_ns, 10 * SECOND);
    give(&settled->tick_ns, 10 * MS);
    give(&settled->codel_target_ns, 5 * MS);
    give(&settled->codel_interval_ns, 100 * MS);
    give(&settled->watchdog_ns, WATCHDOG_NS);
    if (settled->latency_bias <= 0.0) {
        settled->latency_bias = 0.15;
    }
    if (settled->stack_bytes == 0) {
        settled->stack_bytes = (size_t)256 * 1024;
    }
    if (settled->stack_bytes < STACK_BYTES_LEAST) {
        settled->stack_bytes = STACK_BYTES_LEAST;
    }
    if (settled->name == NULL || settled->name[0] == '\0') {
        settled->name = "np";
    }
    return NUMAPOOL_OK;
}

/* A quarter of what is free: of the nodes, of the control group, whichever is less. */
static uint64_t default_memory_bytes(const struct npi_plan *plan)
{
    uint64_t least = 0;
    for (unsigned i = 0; i < plan->node_count; i++) {
        least += plan->nodes[i].free_bytes != 0 ? plan->nodes[i].free_bytes
                                                : plan->nodes[i].memory_bytes / 2;
    }
    uint64_t room;
    if (npi_cgroup_memory_room(NULL, &room) && (least == 0 || room < least)) {
        least = room;
    }
    return least == 0 ? UINT64_C(1) << 30 : (least / 4 > 4096 ? least / 4 : 4096);
}

int npi_config_settle_by_plan(struct numapool_config *settled, const struct npi_plan *plan,
                              struct numapool_error *error)
{
    unsigned cpus = 0;
    for (unsigned i = 0; i < plan->shard_count; i++) {
        cpus += plan->shards[i].cpu_count;
    }
    if (settled->workers_max == 0) {
        unsigned by_cpus = cpus * WORKERS_PER_CPU;
        settled->workers_max = by_cpus > WORKERS_LEAST ? by_cpus : WORKERS_LEAST;
        if (settled->workers_min > settled->workers_max) {
            settled->workers_max = settled->workers_min;
        }
    } else if (settled->workers_min > settled->workers_max) {
        return npi_error(error, NUMAPOOL_E_INVALID, 0,
                         "config: workers_min is %u and workers_max %u; the first may be at most "
                         "the second",
                         settled->workers_min, settled->workers_max);
    }
    if (settled->workers_min == 0) {
        for (unsigned i = 0; i < plan->shard_count; i++) {
            unsigned here = plan->shards[i].cpu_count;
            settled->workers_min += here < WORKERS_KEPT_PER_SHARD ? here : WORKERS_KEPT_PER_SHARD;
        }
        if (settled->workers_min > settled->workers_max) {
            settled->workers_min = settled->workers_max;
        }
    }
    give(&settled->queue_tasks, (uint64_t)QUEUE_TASKS_PER_CPU * cpus);
    give(&settled->memory_bytes, default_memory_bytes(plan));
    return NUMAPOOL_OK;
}

void npi_config_params(const struct numapool_config *settled, struct npi_policy_params *params)
{
    npi_policy_defaults(params);
    params->tick_ns = settled->tick_ns;
    params->wait_share_max = settled->latency_bias;
    if (settled->spin_ns != 0) { /* the user's choice is not adapted */
        params->spin_ns = settled->spin_ns == NUMAPOOL_OFF ? 0 : settled->spin_ns;
        params->spin_measured_ns_max = params->spin_ns;
    }
    params->codel_interval_ns = settled->codel_interval_ns;
    if (settled->codel_target_ns == NUMAPOOL_OFF) {
        for (unsigned rank = 0; rank < NPI_CLASS_COUNT; rank++) {
            params->standing_targets[rank] = 0;
        }
        params->codel_target_ns = UINT64_C(3600000000000);
    } else {
        params->codel_target_ns = settled->codel_target_ns;
    }
    bool bounded = settled->queue_delay_ns != NUMAPOOL_OFF;
    params->queue_delay_ns[NPI_CLASS_NORMAL] = bounded ? settled->queue_delay_ns : NPI_NEVER_NS;
    params->queue_delay_ns[NPI_CLASS_SHEDDABLE] =
        bounded ? settled->queue_delay_ns / 2 : NPI_NEVER_NS;
}
