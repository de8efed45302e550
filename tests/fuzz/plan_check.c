/* See plan_check.h. */
#include "fuzz/plan_check.h"

#include "fuzz/fuzz.h"
#include "topology/placement.h"
#include "topology/plan_draft.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every allowed CPU is in exactly one shard; workers run only on CPUs of their own shard. */
static void check_cpus(const struct npi_plan *plan, const struct npi_machine *machine)
{
    size_t owned = 0;
    for (unsigned s = 0; s < plan->shard_count; s++) {
        const struct npi_plan_shard *shard = &plan->shards[s];
        owned += npi_cpuset_count(&shard->owned_cpus);
        fuzz_check(shard->cpu_count > 0);
        fuzz_check(shard->cpu_count == npi_cpuset_count(&shard->cpus));
        fuzz_check(npi_cpuset_contains(&shard->owned_cpus, &shard->cpus));
        fuzz_check(shard->reason != NULL && shard->reason[0] != '\0');
    }
    /* As many as there are, and each of them somewhere: so each exactly once. */
    fuzz_check(owned == machine->cpu_count);
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        unsigned id = machine->cpus[i].os_index, owner = 0;
        while (owner < plan->shard_count && !npi_cpuset_has(&plan->shards[owner].owned_cpus, id))
            owner++;
        fuzz_check(owner < plan->shard_count);
        fuzz_check(id < plan->cpu_slots);
        fuzz_check(plan->shard_of_cpu[id] == (plan->live ? owner : NPI_NO_SHARD));
    }
    size_t mapped = 0;
    for (unsigned id = 0; id < plan->cpu_slots; id++)
        mapped += plan->shard_of_cpu[id] != NPI_NO_SHARD;
    fuzz_check(mapped == (plan->live ? machine->cpu_count : 0));
}

/* With one thread of each core, no shard has two. */
static void check_threads(const struct npi_plan *plan, const struct npi_machine *machine)
{
    for (unsigned s = 0; plan->smt == NUMAPOOL_SMT_ONE && s < plan->shard_count; s++) {
        struct npi_cpuset cores = {0};
        const struct npi_cpuset *cpus = &plan->shards[s].cpus;
        for (int id = npi_cpuset_next(cpus, -1); id >= 0; id = npi_cpuset_next(cpus, id)) {
            int core = machine->cpus[npi_machine_cpu_slot(machine, (unsigned)id)].core;
            fuzz_check(core < 0 || !npi_cpuset_has(&cores, (unsigned)core));
            fuzz_check(core < 0 || npi_cpuset_add(&cores, (unsigned)core));
        }
        npi_cpuset_fini(&cores);
    }
}

/* Every home is on the machine and has memory, unless no memory at all is known. */
static void check_homes(const struct npi_plan *plan, const struct npi_machine *machine)
{
    bool known = false;
    for (unsigned n = 0; n < machine->node_count; n++)
        known |= machine->nodes[n].memory_bytes > 0;
    bool homeless = plan->draft->groups[0].home < 0;
    fuzz_check(plan->node_count > 0);
    fuzz_check(!homeless || (plan->node_count == 1 && plan->memory_policy == NPI_MEMORY_LOCAL));
    for (unsigned n = 0; !homeless && n < plan->node_count; n++) {
        const struct npi_plan_node *node = &plan->nodes[n];
        int slot = npi_machine_node_slot(machine, node->os_index);
        fuzz_check(slot >= 0);
        const struct npi_machine_node *home = &machine->nodes[slot];
        /* A file may name a node of unknown size; of itself the planner chooses none. */
        bool named = false;
        for (unsigned s = 0; s < plan->draft->placement->shard_count; s++)
            named |= plan->draft->placement->shards[s].node == (int)node->os_index;
        fuzz_check(!home->memoryless && home->kind != NPI_NODE_DEVICE);
        fuzz_check(named || !known || home->memory_bytes > 0);
        fuzz_check(n == 0 || plan->nodes[n - 1].os_index < node->os_index);
        fuzz_check(node->shard < plan->shard_count);
        for (unsigned m = 0; m < plan->node_count; m++) {
            fuzz_check(!npi_cpuset_has(&node->far_nodes, plan->nodes[m].os_index));
            fuzz_check(m == n || !npi_cpuset_intersects(&node->cpus, &plan->nodes[m].cpus));
        }
    }
    for (unsigned s = 0; s < plan->shard_count; s++)
        fuzz_check(plan->shards[s].node < plan->node_count);
}

/* The others, each once, nearest first. */
static void check_neighbours(const struct npi_plan *plan)
{
    unsigned count = plan->shard_count;
    bool *seen = calloc(count, sizeof *seen);
    fuzz_check(seen != NULL);
    for (unsigned s = 0; s < count; s++) {
        const unsigned *row = plan->distance + (size_t)s * count;
        const unsigned *order = plan->shards[s].neighbours;
        memset(seen, 0, count * sizeof *seen);
        seen[s] = true;
        fuzz_check(row[s] == NPI_DISTANCE_NODE);
        for (unsigned i = 0; i + 1 < count; i++) {
            fuzz_check(order[i] < count && !seen[order[i]]);
            seen[order[i]] = true;
            fuzz_check(row[order[i]] >= NPI_DISTANCE_NODE);
            fuzz_check(i == 0 || row[order[i - 1]] <= row[order[i]]);
        }
    }
    free(seen);
}

/* What the shards have together is what there is: CPUs, or what is granted of them. */
static void check_budget(const struct npi_plan *plan, const struct npi_machine *machine)
{
    double sum = 0, cpus = 0;
    for (unsigned s = 0; s < plan->shard_count; s++) {
        const struct npi_plan_shard *shard = &plan->shards[s];
        fuzz_check(shard->capacity > 0 && shard->capacity <= shard->cpu_count + 1e-9);
        sum += shard->capacity;
        cpus += shard->cpu_count;
    }
    double granted = cpus;
    if (plan->cpu_limit > 0 && plan->cpu_limit < granted)
        granted = plan->cpu_limit;
    if (!plan->live && machine->cpus_here > 0 && machine->cpus_here < granted)
        granted = machine->cpus_here;
    fuzz_check(fabs(sum - granted) <= 1e-6 * granted);
    if (!plan->live)
        fuzz_check(plan->pinning == NUMAPOOL_PIN_NONE && plan->memory_policy == NPI_MEMORY_LOCAL);
}

void check_plan(const struct npi_plan *plan, const struct npi_machine *machine)
{
    fuzz_check(plan->shard_count > 0 && plan->shard_count <= 1024);
    fuzz_check(plan->machine != NULL && plan->source != NULL);
    check_cpus(plan, machine);
    check_threads(plan, machine);
    check_homes(plan, machine);
    check_neighbours(plan);
    check_budget(plan, machine);
}

static void check_same_shard(const struct npi_plan *a, const struct npi_plan *b, unsigned s)
{
    const struct npi_plan_shard *x = &a->shards[s], *y = &b->shards[s];
    unsigned count = a->shard_count;
    fuzz_check(npi_cpuset_equal(&x->cpus, &y->cpus));
    fuzz_check(npi_cpuset_equal(&x->owned_cpus, &y->owned_cpus));
    fuzz_check(x->node == y->node && x->package == y->package);
    fuzz_check(x->spans_nodes == y->spans_nodes && x->borrowed == y->borrowed);
    fuzz_check(x->workers_max == y->workers_max && x->memory_bytes == y->memory_bytes);
    fuzz_check(fabs(x->capacity - y->capacity) <= 1e-9);
    fuzz_check(memcmp(x->neighbours, y->neighbours, (count - 1) * sizeof *x->neighbours) == 0);
    fuzz_check(memcmp(a->distance + (size_t)s * count, b->distance + (size_t)s * count,
                      count * sizeof *a->distance) == 0);
}

void check_same_plan(const struct npi_plan *a, const struct npi_plan *b)
{
    fuzz_check(a->shard_count == b->shard_count && a->node_count == b->node_count);
    fuzz_check(a->live == b->live && a->smt == b->smt && a->pinning == b->pinning);
    fuzz_check(a->memory_policy == b->memory_policy && a->pages == b->pages);
    fuzz_check(a->distance_measured == b->distance_measured);
    fuzz_check(a->cpu_slots == b->cpu_slots);
    fuzz_check(memcmp(a->shard_of_cpu, b->shard_of_cpu, a->cpu_slots * sizeof *a->shard_of_cpu) ==
               0);
    for (unsigned n = 0; n < a->node_count; n++) {
        const struct npi_plan_node *x = &a->nodes[n], *y = &b->nodes[n];
        fuzz_check(x->os_index == y->os_index && x->shard == y->shard);
        fuzz_check(npi_cpuset_equal(&x->cpus, &y->cpus));
        fuzz_check(npi_cpuset_equal(&x->far_nodes, &y->far_nodes));
    }
    for (unsigned s = 0; s < a->shard_count; s++)
        check_same_shard(a, b, s);
}

#ifdef NUMAPOOL_CONFIG_FILE
static int write_config(const void *plan, int fd)
{
    return npi_plan_print_config(plan, fd);
}

void check_plan_file(const struct npi_plan *plan, const struct npi_machine *machine)
{
    char *file = fuzz_capture(write_config, plan);
    fuzz_check(file != NULL);
    struct numapool_config config = fuzz_config();
    struct numapool_error error = {0};
    struct npi_plan *again = NULL;
    int result = numapool_config_load(&config, fuzz_file(file, strlen(file)), &error);
    if (result == NUMAPOOL_OK)
        result = npi_plan_build(&again, machine, &config, false, &error);
    if (result != NUMAPOOL_OK)
        fprintf(stderr, "%s\n%s\n", file, error.text);
    fuzz_check(result == NUMAPOOL_OK);
    check_plan(again, machine);
    check_same_plan(plan, again);
    npi_plan_free(again);
    fuzz_config_fini(&config);
    free(file);
}
#else
void check_plan_file(const struct npi_plan *plan, const struct npi_machine *machine)
{
    (void)plan;
    (void)machine;
}
#endif

static int write_plan(const void *plan, int fd)
{
    return npi_plan_print(plan, fd);
}

/* When the machine could not be looked at: one shard over what is allowed, whatever was asked. */
static void check_fallback(const struct npi_machine *machine)
{
    struct numapool_config config = fuzz_config();
    struct numapool_error error = {0};
    struct npi_plan *plan = NULL;
    struct npi_machine bare = {.live = true,
                               .cpu_count = machine->cpu_count,
                               .cpus_here = machine->cpu_count,
                               .cpu_limit = machine->cpu_limit,
                               .cpus = calloc(machine->cpu_count, sizeof *bare.cpus)};
    fuzz_check(bare.cpus != NULL);
    for (unsigned i = 0; i < bare.cpu_count; i++)
        bare.cpus[i] = (struct npi_machine_cpu){machine->cpus[i].os_index, -1, -1, -1, -1};
    fuzz_check(npi_plan_build(&plan, &bare, &config, true, &error) == NUMAPOOL_OK);
    fuzz_check(plan->shard_count == 1 && plan->shards[0].cpu_count == bare.cpu_count);
    check_plan(plan, &bare);
    npi_plan_free(plan);
    npi_machine_fini(&bare);
}

unsigned check_planning(const struct npi_machine *machine, const struct numapool_config *config,
                        unsigned fewer)
{
    struct npi_plan *plan = NULL;
    struct numapool_error error = {0};
    check_fallback(machine);
    int result = npi_plan_build(&plan, machine, config, false, &error);
    if (result != NUMAPOOL_OK) {
        fuzz_check(result == NUMAPOOL_E_CONFIG && plan == NULL);
        fuzz_check(error.count > 0 && error.text[0] != '\0');
        /* Without anything said about it a machine only fails by too many shards. */
        fuzz_check(config->placement != NULL || strstr(error.text, "at most 1024") != NULL);
        return 0;
    }
    unsigned count = plan->shard_count;
    check_plan(plan, machine);
    check_plan_file(plan, machine);
    char *text = fuzz_capture(write_plan, plan);
    fuzz_check(text != NULL && text[0] != '\0');
    free(text);
    fuzz_check(npi_plan_merge(plan, fewer) == NUMAPOOL_OK);
    fuzz_check(plan->shard_count == (fewer < count ? fewer : count));
    check_plan(plan, machine);
    check_plan_file(plan, machine);
    npi_plan_free(plan);
    return count;
}
