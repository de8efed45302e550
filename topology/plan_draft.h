/*
 * A plan in the making. The steps, each a file, in the order plan.c takes them:
 *
 *   plan_home.c    which nodes are homes, whose memory each CPU uses
 *   plan_works.c   which CPUs workers may use, what of the configuration is not on this machine
 *   plan_group.c   which CPUs form a shard
 *   plan_finish.c  distances, order of neighbours, capacity, the finished plan
 *   plan_reason.c  the sentences
 *
 * A plan keeps its draft, since npi_plan_merge() joins groups and takes the last two steps again;
 * so the draft owns copies of all it was made from.
 *
 * Arrays "per CPU" and "per node" are indexed by slot, as in the machine.
 */
#ifndef NPI_TOPOLOGY_PLAN_DRAFT_H
#define NPI_TOPOLOGY_PLAN_DRAFT_H

#include "topology/machine.h"
#include "topology/mistakes.h"
#include "topology/placement.h"
#include "topology/plan.h"

/* Where no table says how far two shards are: same node, same package, else. */
enum { NPI_DISTANCE_NODE = 10, NPI_DISTANCE_PACKAGE = 12, NPI_DISTANCE_FAR = 20 };

/* What a CPU's memory is. */
struct npi_draft_cpu {
    int home;      /* slot of the node whose memory it uses, -1 = the machine has none */
    int seat;      /* slot of the node its distances are measured from: home, or its own
                      memory-less node; -1 = none */
    bool borrowed; /* home is not its own */
    bool works;    /* workers may run on it, before choosing one thread of a core */
    int group;     /* whose callers and workers are on it */
};

struct npi_draft_group {
    struct npi_cpuset owned; /* callers */
    struct npi_cpuset cpus;  /* workers */
    int home, seat, package;
    bool borrowed, spans_nodes;
    int placed;           /* index of the explicit shard it comes from, -1 = none */
    unsigned parts;       /* groups it was joined from, itself included */
    unsigned workers_max; /* as in the plan */
    uint64_t memory_bytes;
};

struct npi_draft {
    struct npi_machine machine;
    int smt, pinning; /* as configured */
    bool discovery_failed;
    struct numapool_placement *placement; /* never NULL */
    struct npi_mistakes mistakes;
    int shards_by; /* enum numapool_shards, -1 = explicit */
    struct npi_draft_cpu *cpus;
    bool *is_home;   /* per node */
    unsigned *votes; /* three per node: room for npi_draft_describe() */
    unsigned home_count;
    unsigned group_count;
    struct npi_draft_group *groups;
    char **notes;
    unsigned note_count;
};

/* All steps return false for want of memory only; mistakes are collected. */
bool npi_draft_find_homes(struct npi_draft *draft);
bool npi_draft_find_works(struct npi_draft *draft);
bool npi_draft_form_groups(struct npi_draft *draft);
bool npi_draft_finish(const struct npi_draft *draft, struct npi_plan *plan);
bool npi_draft_give_reasons(const struct npi_draft *draft, struct npi_plan *plan);

/* The last two steps at once. NULL: no memory. The plan does not have the draft yet. */
struct npi_plan *npi_draft_to_plan(const struct npi_draft *draft);
void npi_draft_free(struct npi_draft *draft); /* NULL is fine */
void npi_draft_groups_free(struct npi_draft_group *groups, unsigned count);

/* Fills in what follows from a set of CPUs: home (if not given, -1), seat, package, borrowed,
 * spans. */
void npi_draft_describe(const struct npi_draft *draft, const struct npi_cpuset *cpus,
                        struct npi_draft_group *group);

/* Leaves the lowest CPU of each core. false: no memory, the set is unchanged. */
bool npi_draft_one_per_core(const struct npi_draft *draft, struct npi_cpuset *cpus);

/* In the kernel's unit, between two described groups. */
unsigned npi_draft_distance(const struct npi_draft *draft, const struct npi_draft_group *a,
                            const struct npi_draft_group *b);

/* Whether a node has memory the plan may use at all. */
bool npi_draft_usable_node(const struct npi_draft *draft, unsigned slot);

/* Which group each CPU belongs to, from the groups' sets. */
void npi_draft_number_cpus(struct npi_draft *draft);

/* The pure planner: what npi_plan_make() does once it has a machine. Tests call it. */
int npi_plan_build(struct npi_plan **plan, const struct npi_machine *machine,
                   const struct numapool_config *config, bool discovery_failed,
                   struct numapool_error *error);

#endif
