/*
 * The traveller: what a task is between submit and return, and how it is packed into a queue item.
 *
 * Ownership: from acceptance until its run or drop has returned, the pool owns the item; the caller's
 * arg is the task's from its first instruction.
 */
#ifndef NPI_FLOW_TASK_H
#define NPI_FLOW_TASK_H

#include "policy/admit.h"
#include "policy/forward.h"
#include "queue/ring.h"

#include <numapool/numapool.h>

enum npi_task_word { NPI_TASK_RUN, NPI_TASK_ARG, NPI_TASK_STAMP, NPI_TASK_META };
enum npi_task_more { NPI_TASK_DROP, NPI_TASK_GROUP, NPI_TASK_DEADLINE, NPI_TASK_BYTES };

/* The meta word: bits 0..15 home shard, 16..17 rank, then flags. */
#define NPI_META_HOME UINT64_C(0xffff)
#define NPI_META_RANK_SHIFT 16
#define NPI_META_STRICT (UINT64_C(1) << 18)  /* stays on its node */
#define NPI_META_DATA (UINT64_C(1) << 19)    /* its data lives at home */
#define NPI_META_DROP_OK (UINT64_C(1) << 20) /* may be sloughed off */
#define NPI_META_GUEST (UINT64_C(1) << 21)   /* queued at a shard that is not its home */

static inline uint64_t npi_meta(unsigned home, enum npi_class rank, uint64_t flags)
{
    return home | (uint64_t)rank << NPI_META_RANK_SHIFT | flags;
}

static inline unsigned npi_meta_home(uint64_t meta)
{
    return (unsigned)(meta & NPI_META_HOME);
}

static inline enum npi_class npi_meta_rank(uint64_t meta)
{
    return (enum npi_class)(meta >> NPI_META_RANK_SHIFT & 3);
}

static inline enum npi_affinity npi_meta_affinity(uint64_t meta)
{
    return (meta & NPI_META_STRICT) != 0 ? NPI_AFFINITY_STRICT
           : (meta & NPI_META_DATA) != 0 ? NPI_AFFINITY_DATA
                                         : NPI_AFFINITY_CALLER;
}

/* The public classes by rank, best first. */
static inline enum npi_class npi_rank_of_class(int task_class)
{
    return task_class == NUMAPOOL_CRITICAL    ? NPI_CLASS_CRITICAL
           : task_class == NUMAPOOL_SHEDDABLE ? NPI_CLASS_SHEDDABLE
                                              : NPI_CLASS_NORMAL;
}

/* Nothing but a function and its argument, of this shard and submitted to it. */
static inline bool npi_item_is_plain(const struct npi_item *item, unsigned shard)
{
    return (item->hot[NPI_TASK_META] & (NPI_ITEM_FULL | NPI_META_GUEST | NPI_META_HOME)) == shard;
}

static inline numapool_fn *npi_item_run(const struct npi_item *item)
{
    return (numapool_fn *)(uintptr_t)item->hot[NPI_TASK_RUN];
}

static inline void *npi_item_arg(const struct npi_item *item)
{
    return (void *)(uintptr_t)item->hot[NPI_TASK_ARG];
}

static inline bool npi_item_is_full(const struct npi_item *item)
{
    return (item->hot[NPI_TASK_META] & NPI_ITEM_FULL) != 0;
}

static inline numapool_group *npi_item_group(const struct npi_item *item)
{
    return npi_item_is_full(item) ? (numapool_group *)(uintptr_t)item->more[NPI_TASK_GROUP] : NULL;
}

static inline uint64_t npi_item_deadline_ticks(const struct npi_item *item)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.UndefReturn): set wherever the mark is */
    return npi_item_is_full(item) ? item->more[NPI_TASK_DEADLINE] : 0;
}

static inline uint64_t npi_item_bytes(const struct npi_item *item)
{
    return npi_item_is_full(item) ? item->more[NPI_TASK_BYTES] : 0;
}

struct npi_space;

/*
 * The end of a task, in this order: its function or npi_task_drop() has returned, its bytes are given
 * back, it is counted, it parts from its group. So whoever learns from a group, from drain or from
 * the counters that a task has ended finds everything it held free.
 */
void npi_task_drop(const struct npi_item *item, int why); /* holds no lock */
void npi_task_unreserve(struct npi_space *space, const struct npi_item *item);
void npi_task_part(const struct npi_item *item);

#endif
