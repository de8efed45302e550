/*
 * A plan: which shards a pool has, on which CPUs, with which memory, and why.
 * Plain data made once by npi_plan_make() from a machine and a configuration; the pool only reads
 * it. No type of hwloc, libnuma or libconfig appears here.
 *
 * Two numberings: *OS ids* are the kernel's and may have holes; *indexes* are dense and are what
 * the rest of the library uses.
 */
#ifndef NPI_TOPOLOGY_PLAN_H
#define NPI_TOPOLOGY_PLAN_H

#include "topology/cpuset.h"

#include <numapool/numapool.h>

/* How a shard's memory is asked of the kernel. */
enum npi_memory_policy {
    NPI_MEMORY_PREFER, /* on the home node, elsewhere when that is full (default) */
    NPI_MEMORY_BIND,   /* on the home node or not at all */
    NPI_MEMORY_LOCAL,  /* not bound: first touch decides */
};

enum npi_page_kind {
    NPI_PAGES_THP,   /* small pages, huge ones where the kernel offers them (default) */
    NPI_PAGES_SMALL, /* small pages only */
    NPI_PAGES_HUGE_2M,
    NPI_PAGES_HUGE_1G,
};

/*
 * A home node: a shard lives in its memory, or its CPUs belong to a shard that spans nodes (so a
 * pool with a single shard still has every node of the machine to allocate on).
 */
struct npi_plan_node {
    unsigned os_index;
    unsigned shard; /* the first shard whose memory it is, else the one that runs on its CPUs */
    uint64_t memory_bytes;  /* 0 = unknown */
    uint64_t free_bytes;    /* at discovery; 0 = unknown (always so for a machine text) */
    struct npi_cpuset cpus; /* allowed CPUs of all its shards, reserved ones excluded; where a
                               shard spans nodes, only those of this node */
    struct npi_cpuset
        far_nodes; /* OS ids of memory-only nodes attached to it; never a default target */
};

struct npi_plan_shard {
    unsigned node;                /* index into nodes: where its memory lives */
    bool spans_nodes;             /* its CPUs belong to several nodes */
    bool borrowed;                /* its CPUs have no memory of their own */
    int package;                  /* OS id, -1 = several or unknown */
    struct npi_cpuset cpus;       /* where its workers may run (after smt and reserve) */
    struct npi_cpuset owned_cpus; /* callers on these belong to it: a superset of cpus; the owned
                                     sets of all shards are disjoint and cover all allowed CPUs */
    unsigned cpu_count;           /* of cpus */
    double capacity;      /* CPUs' worth of work: cpu_count, scaled down so that all shards together
                             have no more than cpu.max grants and, for a machine text, no more
                             than this machine's allowed CPUs; > 0 */
    unsigned *neighbours; /* other shards, nearest first, ties rotated; shard_count - 1 */
    unsigned workers_max; /* from the configuration file; 0 = not given */
    uint64_t memory_bytes; /* from the configuration file; 0 = not given */
    char *reason;          /* why these CPUs, this node: one or more sentences, never NULL */
};

struct npi_plan {
    bool live;             /* this machine: threads are pinned and memory is bound */
    bool discovery_failed; /* the one-shard fallback; reason of shard 0 says why */
    int shards_by;         /* enum numapool_shards, or -1 for explicit shards of a file */
    int pinning;           /* enum numapool_pinning; NUMAPOOL_PIN_NONE unless live */
    int smt;               /* enum numapool_smt */
    enum npi_memory_policy memory_policy; /* NPI_MEMORY_LOCAL unless live */
    enum npi_page_kind pages;

    unsigned node_count;
    struct npi_plan_node *nodes;
    unsigned shard_count;
    struct npi_plan_shard *shards; /* by node, so that a node's shards follow each other; explicit
                                      ones in the order of the file */
    unsigned *distance;            /* [a * shard_count + b], 10 = local */
    bool distance_measured;        /* from the machine's table, not the 10/12/20 rule */
    double cpu_limit;              /* CPUs' worth granted by cpu.max; 0 = no limit */

    unsigned cpu_slots;     /* largest owned OS id + 1 */
    uint16_t *shard_of_cpu; /* [cpu_slots]; NPI_NO_SHARD = nobody's. All NPI_NO_SHARD unless live */

    char **notes; /* further sentences: fallbacks taken, what was ignored, merged shards */
    unsigned note_count;
    char *machine; /* one line: what the machine is */
    char *source;  /* where the machine came from: "this machine", the text, the file */

    struct npi_draft *draft; /* what the plan was made from, for npi_plan_merge() */
};

#define NPI_NO_SHARD 0xffffu

/*
 * Makes the plan for a configuration (all its fields already have values; see npi_config_settle in
 * api/config.h). Live discovery never fails: it falls back to one shard over the allowed CPUs.
 * Returns NUMAPOOL_OK, _E_CONFIG (machine text, XML or placement cannot be used), _E_NOMEM.
 */
int npi_plan_make(struct npi_plan **plan, const struct numapool_config *config,
                  struct numapool_error *error);
void npi_plan_free(struct npi_plan *plan);

/*
 * Joins neighbouring shards until there are at most shard_max of them, and notes it.
 * Returns OK or _E_NOMEM (the plan is then unchanged).
 */
int npi_plan_merge(struct npi_plan *plan, unsigned shard_max);

/* The shards that stand for a node, which follow each other: those in its memory, else the one on its
   CPUs. */
void npi_plan_shards_of(const struct npi_plan *plan, unsigned node, unsigned *first,
                        unsigned *count);

/* Text for people: machine, shards, reasons, notes. Returns OK or _E_SYSTEM. */
int npi_plan_print(const struct npi_plan *plan, int fd);

/* The same plan as a configuration file with explicit shards that loads back to an equal plan. */
int npi_plan_print_config(const struct npi_plan *plan, int fd);

/* The same with everything else that the configuration says which the plan was made from. */
int npi_plan_print_whole_config(const struct npi_plan *plan, const struct numapool_config *asked,
                                int fd);

#endif
