/*
 * Makes and frees plans: gets a machine, takes the draft through its steps. The steps themselves
 * are in plan_*.c and are pure; only npi_plan_make() looks at the world.
 */
#include "topology/plan.h"
#include "topology/discover.h"
#include "topology/plan_draft.h"
#include "topology/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void npi_draft_groups_free(struct npi_draft_group *groups, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        npi_cpuset_fini(&groups[i].owned);
        npi_cpuset_fini(&groups[i].cpus);
    }
    free(groups);
}

void npi_draft_free(struct npi_draft *draft)
{
    if (draft == NULL)
        return;
    npi_draft_groups_free(draft->groups, draft->group_count);
    npi_mistakes_report(&draft->mistakes, NULL);
    npi_machine_fini(&draft->machine);
    npi_placement_free(draft->placement);
    npi_notes_free(draft->notes, draft->note_count);
    free(draft->cpus);
    free(draft->is_home);
    free(draft->votes);
    free(draft);
}

void npi_plan_free(struct npi_plan *plan)
{
    if (plan == NULL)
        return;
    for (unsigned i = 0; i < plan->node_count && plan->nodes != NULL; i++) {
        npi_cpuset_fini(&plan->nodes[i].cpus);
        npi_cpuset_fini(&plan->nodes[i].far_nodes);
    }
    for (unsigned i = 0; i < plan->shard_count; i++) {
        npi_cpuset_fini(&plan->shards[i].cpus);
        npi_cpuset_fini(&plan->shards[i].owned_cpus);
        free(plan->shards[i].neighbours);
        free(plan->shards[i].reason);
    }
    npi_notes_free(plan->notes, plan->note_count);
    free(plan->nodes);
    free(plan->shards);
    free(plan->distance);
    free(plan->shard_of_cpu);
    free(plan->machine);
    free(plan->source);
    npi_draft_free(plan->draft);
    free(plan);
}

static int out_of_memory(struct numapool_error *error)
{
    if (error != NULL) {
        *error = (struct numapool_error){.sys_errno = ENOMEM, .count = 1};
        (void)snprintf(error->text, sizeof error->text, "out of memory");
    }
    return NUMAPOOL_E_NOMEM;
}

/*
 * Less than one CPU's worth of time for a shard makes shards that only split the queue; so under a
 * tight cpu.max neighbours are joined. Never what a file laid out by hand.
 */
static int join_under_limit(struct npi_plan *plan)
{
    if (!plan->live || plan->shards_by < 0 || plan->cpu_limit <= 0 ||
        plan->cpu_limit >= plan->shard_count)
        return NUMAPOOL_OK;
    unsigned whole = (unsigned)plan->cpu_limit;
    return npi_plan_merge(plan, whole > 0 ? whole : 1);
}

/* Owns copies of everything. NULL: no memory. */
static struct npi_draft *new_draft(const struct npi_machine *machine,
                                   const struct numapool_config *config, bool discovery_failed)
{
    struct npi_draft *draft = calloc(1, sizeof *draft);
    if (draft == NULL)
        return NULL;
    draft->smt = config->smt;
    draft->pinning = config->pinning;
    draft->discovery_failed = discovery_failed;
    draft->shards_by = discovery_failed ? NUMAPOOL_SINGLE : config->shards;
    draft->cpus = calloc(machine->cpu_count, sizeof *draft->cpus);
    draft->is_home = calloc(machine->node_count + 1u, sizeof *draft->is_home);
    draft->votes = calloc(3u * machine->node_count + 1u, sizeof *draft->votes);
    bool done = draft->cpus != NULL && draft->is_home != NULL && draft->votes != NULL &&
                npi_placement_copy(&draft->placement, config->placement);
    if (done && draft->placement == NULL)
        draft->placement = calloc(1, sizeof *draft->placement);
    if (!done || draft->placement == NULL || !npi_machine_copy(&draft->machine, machine)) {
        npi_draft_free(draft);
        return NULL;
    }
    if (draft->placement->shard_count > 0)
        draft->shards_by = -1;
    return draft;
}

int npi_plan_build(struct npi_plan **plan, const struct npi_machine *machine,
                   const struct numapool_config *config, bool discovery_failed,
                   struct numapool_error *error)
{
    struct npi_draft *draft = new_draft(machine, config, discovery_failed);
    if (draft == NULL || !npi_draft_find_homes(draft) || !npi_draft_find_works(draft) ||
        !npi_draft_form_groups(draft)) {
        npi_draft_free(draft);
        return out_of_memory(error);
    }
    int result = npi_mistakes_report(&draft->mistakes, error);
    struct npi_plan *fresh = result == NUMAPOOL_OK ? npi_draft_to_plan(draft) : NULL;
    if (fresh == NULL) {
        npi_draft_free(draft);
        return result == NUMAPOOL_OK ? out_of_memory(error) : result;
    }
    fresh->draft = draft;
    if (join_under_limit(fresh) != NUMAPOOL_OK) {
        npi_plan_free(fresh);
        return out_of_memory(error);
    }
    *plan = fresh;
    return NUMAPOOL_OK;
}

static int machine_of(struct npi_machine *machine, const struct numapool_config *config,
                      bool *discovery_failed, struct numapool_error *error)
{
    struct npi_discover_options options = {
        .want_kinds =
            config->placement != NULL && config->placement->cpu_kind == NPI_CPU_KIND_FASTEST,
    };
    char *why = NULL;
    *discovery_failed = false;
    int result = config->machine == NULL
                     ? npi_discover_live(machine, &options, discovery_failed)
                     : npi_discover_text(machine, config->machine, &options, &why);
    if (result == -EINVAL) {
        struct npi_mistakes mistakes = {0};
        bool from_file = config->placement != NULL && config->placement->machine_where != NULL &&
                         config->machine == config->placement->machine;
        npi_mistakes_add_at(&mistakes, from_file ? config->placement->machine_where : "config",
                            "%smachine: %s", from_file ? "pool." : "",
                            why != NULL ? why : "the text cannot be used");
        free(why);
        return npi_mistakes_report(&mistakes, error);
    }
    return result == 0 ? NUMAPOOL_OK : out_of_memory(error);
}

int npi_plan_make(struct npi_plan **plan, const struct numapool_config *config,
                  struct numapool_error *error)
{
    struct npi_machine machine = {0};
    bool discovery_failed;
    int result = machine_of(&machine, config, &discovery_failed, error);
    if (result != NUMAPOOL_OK)
        return result;
    result = npi_plan_build(plan, &machine, config, discovery_failed, error);
    npi_machine_fini(&machine);
    return result;
}

void npi_plan_shards_of(const struct npi_plan *plan, unsigned node, unsigned *first,
                        unsigned *count)
{
    *first = *count = 0;
    for (unsigned i = 0; i < plan->shard_count; i++) {
        if (plan->shards[i].node != node)
            continue;
        if (*count == 0)
            *first = i;
        if (*first + *count == i)
            ++*count;
    }
    if (*count == 0) { /* a shard that spans nodes stands for this one too */
        *first = plan->nodes[node].shard;
        *count = 1;
    }
}
