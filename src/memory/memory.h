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

/* Reserves and binds the slices. bind_denied counts ranges the kernel refused to bind (the memory then
   goes where it is first touched). OK or _E_NOMEM. */
int npi_space_create(struct npi_space **space, const struct npi_plan *plan, uint64_t budget_bytes,
                     npi_a64 *bind_denied);
void npi_space_destroy(struct npi_space *space); /* no thread may use it any more */

/* Node index of an address inside the range, -1 for any other address. Any thread, no lock. */
int npi_space_node_of(const struct npi_space *space, const void *address);

/* --- budget: bytes promised to tasks, exact, pool-wide. Any thread, no lock. */
bool npi_space_reserve(struct npi_space *space, uint64_t bytes); /* false: over budget, nothing taken */
void npi_space_unreserve(struct npi_space *space, uint64_t bytes);
uint64_t npi_space_in_use(const struct npi_space *space);            /* of the whole pool */
uint64_t npi_space_in_use_of(const struct npi_space *space, unsigned node); /* blocks + scratch there */
uint64_t npi_space_budget(const struct npi_space *space);

/* --- blocks. Any thread. spread: any number that differs between threads that allocate at the same
   time (worker or thread number), so that they use different heaps. */
void *npi_block_alloc(struct npi_space *space, unsigned node, size_t bytes, unsigned spread);
bool npi_block_free(struct npi_space *space, void *block); /* false: not a block of ours, nothing done */
size_t npi_block_size(const struct npi_space *space, const void *block); /* usable bytes, 0 = not ours */

/* --- scratch of one worker: only its owner calls these. A zeroed struct with space and node set. */
struct npi_scratch {
    struct npi_space *space;
    unsigned node;
    char *base;            /* warm run kept from task to task */
    size_t size_bytes;
    size_t used_bytes;     /* by the running task, of the warm run */
    size_t wanted_bytes;   /* high-water mark of recent tasks */
    uint64_t reserved_bytes; /* taken from the budget beyond what the task brought */
    uint64_t granted_bytes;  /* what the task brought (its `bytes`) */
    uint64_t taken_bytes;    /* given out to the running task */
    void *extra;           /* further runs of the running task */
};
void npi_scratch_begin(struct npi_scratch *scratch, uint64_t granted_bytes); /* a task starts */
void *npi_scratch_take(struct npi_scratch *scratch, size_t bytes);           /* 64-byte aligned or NULL */
void npi_scratch_end(struct npi_scratch *scratch);  /* it returned: everything taken is gone; gives
                                                       back reserved_bytes, not granted_bytes */
void npi_scratch_cool(struct npi_scratch *scratch); /* the worker parks: its warm run goes to the node's
                                                       shared warm runs, last in first out */

/* Returns backing of what nobody uses just now: warm runs and free chunks. Any thread. */
void npi_space_trim(struct npi_space *space);

#endif
