/*
 * Node-local memory for tasks: one reserved address range with an equal slice per memory node,
 * so the node of a pointer is a subtraction and a shift. Three users: the byte budget, blocks
 * (numapool_alloc) and scratch (numapool_scratch). Who may call what from where stands at each
 * function. Nothing here knows shards, queues or policy.
 */
#ifndef NPI_MEMORY_MEMORY_H
#define NPI_MEMORY_MEMORY_H

#include "base/atomic.h"
#include "topology/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct npi_space;

/* Reserves and binds the slices. bind_denied counts ranges the kernel refused to bind (the memory
   then goes where it is first touched). OK or _E_NOMEM. */
int npi_space_create(struct npi_space **space, const struct npi_plan *plan, uint64_t budget_bytes,
                     npi_a64 *bind_denied);
void npi_space_destroy(struct npi_space *space); /* no thread may use it any more */

/* Node index of an address inside the range, -1 for any other address. Any thread, no lock. */
int npi_space_node_of(const struct npi_space *space, const void *address);

/* --- budget: bytes promised to tasks, exact, pool-wide. Any thread, no lock. A reserve that does
   not fit takes nothing and returns false. */
bool npi_space_reserve(struct npi_space *space, uint64_t bytes);
void npi_space_unreserve(struct npi_space *space, uint64_t bytes);
uint64_t npi_space_in_use(const struct npi_space *space); /* of the whole pool */
/* Blocks there, and what scratch there took beyond the bytes its tasks brought: over all nodes,
   together with what tasks brought, it sums up to npi_space_in_use(). */
uint64_t npi_space_in_use_of(const struct npi_space *space, unsigned node);
uint64_t npi_space_budget(const struct npi_space *space);

/* What may be resident of task memory just now, idle memory included: at most the budget and a
   little, as long as something idle is left to trim. */
uint64_t npi_space_backed(const struct npi_space *space);
/* Huge pages are asked for and counted. Never with NPI_PAGES_SMALL; with NPI_PAGES_THP only where
   the budget is large enough that rounding to 2 MiB is noise. HUGE_2M and HUGE_1G ask for the same
   transparent pages: pages set aside by the administrator end in a signal when they run out. */
bool npi_space_huge(const struct npi_space *space);

/* --- blocks. Any thread. spread: any number that differs between threads that allocate at the same
   time (worker or thread number), so that they use different heaps. What is charged is the usable
   size: the size class up to 32 KiB, whole pages above. 16-byte aligned; NULL for 0 bytes, over the
   budget, for a node that does not exist, or when the machine has no memory. A free that is not the
   first of its block is refused as long as nobody else was given the block. */
void *npi_block_alloc(struct npi_space *space, unsigned node, size_t bytes, unsigned spread);
/* False: not a block of ours (also for NULL), nothing done. */
bool npi_block_free(struct npi_space *space, void *block);
/* Usable bytes, 0 = not ours. */
size_t npi_block_size(const struct npi_space *space, const void *block);

/* --- the same, through what the calling thread keeps of freed blocks (cache.c): up to 64 KiB of one node,
   of all threads together at most 1/64 of the budget. What is kept stays charged, and is not in use. */
void *npi_cache_alloc(struct npi_space *space, unsigned node, size_t bytes);
bool npi_cache_free(struct npi_space *space, void *block);
/* The calling thread is about to sleep: gives back what it keeps. */
void npi_cache_flush(const struct npi_space *space);

/* --- scratch of one worker: only its owner calls these. A zeroed struct with space and node set.
   Cool it before its memory goes away: a run it holds leads back to it. */
struct npi_scratch {
    struct npi_space *space;
    unsigned node;
    npi_a32 state; /* of the warm run; see scratch.c */
    char *base;    /* warm run kept from task to task */
    size_t size_bytes;
    size_t used_bytes;       /* by the running task, of the warm run */
    size_t marked_bytes;     /* of the warm run, from its start: counted as backed */
    size_t wanted_bytes;     /* high-water mark of recent tasks */
    uint64_t reserved_bytes; /* taken from the budget beyond what the task brought */
    uint64_t granted_bytes;  /* what the task brought (its `bytes`) */
    uint64_t covered_bytes;  /* granted, rounded up to 64, and reserved: may be given out */
    uint64_t taken_bytes;    /* given out to the running task, in steps of 64 */
    void *extra;             /* newest of the further runs of the running task */
    size_t extra_size_bytes, extra_used_bytes, extra_marked_bytes;
};
/* A task starts. */
void npi_scratch_begin(struct npi_scratch *scratch, uint64_t granted_bytes);
/* 64-byte aligned, or NULL. */
void *npi_scratch_take(struct npi_scratch *scratch, size_t bytes);
/* The task is over: everything taken is gone; gives back reserved_bytes, not granted_bytes. */
void npi_scratch_end(struct npi_scratch *scratch);
/* The worker parks: its warm run goes to the node's shared warm runs, last in first out. */
void npi_scratch_cool(struct npi_scratch *scratch);

/* Returns the backing of what nobody uses just now: warm runs, empty spans and free chunks. Any
   thread; may take milliseconds where much is to be returned. */
void npi_space_trim(struct npi_space *space);

#endif
