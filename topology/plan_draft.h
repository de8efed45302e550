/*
 * A plan in the making. The steps, each a file, in the order plan.c takes them:
 *
 *   plan_home.c    which nodes are homes, whose memory each CPU uses
 *   plan_works.c   which CPUs workers may use, what of the configuration is not on this machine
 *   plan_group.c   which CPUs form a shard
 *   plan_finish.c  distances, order of neighbours, capacity, the finished plan
 *   plan_reason.c  the sentences
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
    int placed; /* index of the explicit shard it comes from, -1 = none */
};

struct npi_draft {
    const struct npi_machine *machine;
    const struct numapool_config *config;
    const struct numapool_placement *placement; /* never NULL */
    struct npi_mistakes *mistakes;
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

/* Fills in what follows from a set of CPUs: home (if not given, -1), seat, package, borrowed, spans. */
void npi_draft_describe(const struct npi_draft *draft, const struct npi_cpuset *cpus,
                        struct npi_draft_group *group);

/* In the kernel's unit, between two described groups. */
unsigned npi_draft_distance(const struct npi_draft *draft, const struct npi_draft_group *a,
                            const struct npi_draft_group *b);

/* Whether a node has memory the plan may use at all. */
bool npi_draft_usable_node(const struct npi_draft *draft, unsigned slot);

/* Parts of a plan that follow from its shards; used when they are made and when they are joined. */
bool npi_plan_order_neighbours(struct npi_plan *plan);
bool npi_plan_map_cpus(struct npi_plan *plan);
void npi_plan_settle_nodes(struct npi_plan *plan); /* which shard stands for each node */

/* The pure planner: what npi_plan_make() does once it has a machine. Tests call it. */
int npi_plan_build(struct npi_plan **plan, const struct npi_machine *machine,
                   const struct numapool_config *config, bool discovery_failed,
                   struct numapool_error *error);

#endif
