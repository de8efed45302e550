/*
 * What a configuration file or the environment says beyond the fields of struct numapool_config:
 * explicit shards, reserved CPUs, memory policy and pages, and what the machine is expected to be.
 * Also the owner of the strings that fields of a loaded configuration point to.
 *
 * A zeroed struct says nothing. Plain data: the planner reads it, config_*.c write it.
 */
#ifndef NPI_TOPOLOGY_PLACEMENT_H
#define NPI_TOPOLOGY_PLACEMENT_H

#include "topology/cpuset.h"
#include "topology/plan.h"

/* Things that may be said, as indexes of `where`. */
enum npi_said {
    NPI_SAID_CPUS_ONLY,
    NPI_SAID_CPUS_DROP,
    NPI_SAID_NODES_ONLY,
    NPI_SAID_NODES_DROP,
    NPI_SAID_RESERVE,
    NPI_SAID_CPU_KIND,
    NPI_SAID_QUOTA,
    NPI_SAID_ON_MISSING,
    NPI_SAID_MEMORY_POLICY,
    NPI_SAID_PAGES,
    NPI_SAID_SHARD_MEMORY,
    NPI_SAID_EXPECT_NODES,
    NPI_SAID_EXPECT_PACKAGES,
    NPI_SAID_EXPECT_CPUS,
    NPI_SAID_COUNT,
};

enum npi_cpu_kind { NPI_CPU_KIND_ANY, NPI_CPU_KIND_FASTEST };
enum npi_quota { NPI_QUOTA_FOLLOW, NPI_QUOTA_IGNORE };
enum npi_on_missing { NPI_MISSING_WARN, NPI_MISSING_FAIL };

struct npi_placed_shard {
    struct npi_cpuset cpus;    /* where its workers may run */
    struct npi_cpuset callers; /* callers on these belong to it too; empty = as the planner finds */
    int node;                  /* OS id of its memory, -1 = the node of most of its CPUs */
    unsigned workers_max;      /* 0 = not said */
    uint64_t memory_bytes;     /* 0 = not said */
    char *where;               /* "file:line" */
};

struct numapool_placement {
    char *where[NPI_SAID_COUNT]; /* "file:line" or the variable that said it; NULL = not said */
    struct npi_cpuset cpus_only, cpus_drop, nodes_only, nodes_drop, reserve;
    int cpu_kind;                /* enum npi_cpu_kind */
    int quota;                   /* enum npi_quota: of cpu.max */
    int on_missing;              /* enum npi_on_missing: CPUs or nodes named but not there */
    int memory_policy;           /* enum npi_memory_policy */
    int pages;                   /* enum npi_page_kind */
    uint64_t shard_memory_bytes; /* of each shard, 0 = not said */
    unsigned expect_nodes, expect_packages, expect_cpus; /* 0 = not said */
    unsigned shard_count;
    struct npi_placed_shard *shards; /* explicit ones; in the order of the plan */

    char *machine_where;  /* as `where`, for what is found wrong only when it is used */
    char *machine, *name; /* what the configuration's fields of these names point to, or NULL */
};

/* NULL copies to NULL. false: no memory, *to untouched. */
bool npi_placement_copy(struct numapool_placement **to, const struct numapool_placement *from);
void npi_placement_free(struct numapool_placement *placement); /* NULL is fine */
void npi_placed_shards_free(struct npi_placed_shard *shards, unsigned count);

/* Whether both place alike; where it was said, and whose strings they own, does not matter. NULL
   equals an empty one. */
bool npi_placement_equal(const struct numapool_placement *a, const struct numapool_placement *b);

#endif
