/*
 * Who of a shard's workers may run, and who sleeps: one word of permits and a stack of sleepers.
 *
 *   permits   active    workers that run or look for tasks; each holds a permit
 *             searching those of them that look; as long as one does, nobody else is woken
 *             free      permits nobody holds; negative when more are held than the limit allows.
 *                       limit = active + free. Kept instead of the limit because every submit and
 *                       every task asks only whether it is positive, or negative
 *   parked    top of the stack of sleepers, last in first out, with a change count
 *
 * Waking is publish -> look for sleepers, sleeping is announce -> look for work -> wait:
 *
 *     submitter                                worker
 *     claim the ring       (sc)                push itself onto the stack
 *     write, publish                           permits: active - 1             (sc)
 *     permits: active < limit and nobody       rings quiet?                    (sc)
 *     searching?           (sc)                  no:  wakes one, perhaps itself
 *       yes: permits: active + 1, searching + 1  yes: waits on its word
 *            pop a sleeper, set its word, wake
 *
 * @sleep-announced  Either the submitter's look at permits comes after the worker's subtraction, then
 *   it wakes somebody; or the worker's look at the ring comes after the submitter's claim, then it
 *   does not sleep. Both looks and both writes are sequentially consistent, on these two words.
 *   A worker that finds a claim held but nothing published waits with a deadline, since the
 *   claimer's store may still be on its way when it has looked already.
 * @permit-passed  The waker takes the permit (active + 1, searching + 1) on behalf of the sleeper and
 *   hands it over by swapping the sleeper's word to WOKEN (acq_rel; the sleeper's load acquires).
 * @sleeper-pushed  push, release parked -> pop, acquire parked: the sleeper's word and link are set.
 *
 * Each subtraction from active is followed by a look at the rings by whoever subtracted, and each
 * growth of limit by a look by whoever raised it; so whenever tasks wait and active < limit,
 * somebody is searching or about to look, or, where submitters leave short tasks to the workers that run
 * (npi_shard_call() in flow/shard.h), active and will look.
 *
 *   word           written by                  read by       why this order
 *   permits        all workers, submitters     all           sc: @sleep-announced
 *   parked         workers, wakers             same          acq_rel: @sleeper-pushed
 *   sleeper.word   owner, popper               owner         acq_rel: @permit-passed
 *   sleeper.next   owner before its push       poppers       relaxed: published by parked
 *
 * A sleeper's slot: AWAKE -> ASLEEP [push] -> WOKEN [pop] or LEFT [quit; the slot stays in
 * the stack until somebody pops it, then it is FREE and may get a new thread].
 * DISMISSED instead of WOKEN tells the sleeper to end: its thread is wanted elsewhere; no permit.
 */
#ifndef NPI_QUEUE_GATE_H
#define NPI_QUEUE_GATE_H

#include "base/atomic.h"
#include "base/cacheline.h"

#include <stdbool.h>
#include <stdint.h>

#define NPI_GATE_FIELD_BITS 20
#define NPI_GATE_FIELD_MAX ((UINT64_C(1) << NPI_GATE_FIELD_BITS) - 1)
/* From the lowest bit: searching, active, and the rest is free, signed. */
#define NPI_GATE_FREE_SHIFT (2 * NPI_GATE_FIELD_BITS)
#define NPI_GATE_SEARCHING (UINT64_C(1))
/* One permit taken: one more active, one less free. */
#define NPI_GATE_PERMIT                                                                            \
    ((UINT64_C(1) << NPI_GATE_FIELD_BITS) - (UINT64_C(1) << NPI_GATE_FREE_SHIFT))
#define NPI_GATE_NOBODY UINT32_MAX

enum npi_sleeper_state {
    NPI_SLEEPER_FREE,  /* no thread, not in the stack */
    NPI_SLEEPER_AWAKE, /* its thread is not in the stack */
    NPI_SLEEPER_ASLEEP,
    NPI_SLEEPER_WOKEN,
    NPI_SLEEPER_LEFT,      /* its thread has gone, the slot is still in the stack */
    NPI_SLEEPER_DISMISSED, /* popped, and has to end */
};

struct npi_sleeper {
    alignas(NPI_LINE_BYTES) npi_a32 word; /* enum npi_sleeper_state; the word the thread waits on */
    npi_a32 next;                         /* index + 1 of the sleeper below, 0 = none */
};

struct npi_gate {
    struct npi_sleeper *sleepers; /* set once, indexed by worker */
    NPI_APART npi_a64 permits;
    NPI_APART npi_a64 parked; /* low half: index + 1 of the top, high half: change count */
    npi_a64 wakes;
};

static inline uint32_t npi_permits_active(uint64_t permits)
{
    return (uint32_t)(permits >> NPI_GATE_FIELD_BITS & NPI_GATE_FIELD_MAX);
}

static inline uint32_t npi_permits_searching(uint64_t permits)
{
    return (uint32_t)(permits & NPI_GATE_FIELD_MAX);
}

static inline int32_t npi_permits_free(uint64_t permits)
{
    return (int32_t)((int64_t)permits >> NPI_GATE_FREE_SHIFT);
}

static inline uint32_t npi_permits_limit(uint64_t permits)
{
    return npi_permits_active(permits) + (uint32_t)npi_permits_free(permits);
}

/* More are held than the limit allows. */
static inline bool npi_permits_over(uint64_t permits)
{
    return (int64_t)permits < 0;
}

/* Whoever published work asks this of the permits: should somebody be woken? */
static inline bool npi_permits_want_wake(uint64_t permits)
{
    return npi_permits_searching(permits) == 0 && npi_permits_free(permits) > 0;
}

static inline uint64_t npi_gate_permits(const struct npi_gate *gate)
{
    return NPI_MUTANT(look_relaxed, npi_a64_load_sc(&gate->permits),
                      npi_a64_load_relaxed(&gate->permits)); /* @sleep-announced */
}

void npi_gate_init(struct npi_gate *gate, struct npi_sleeper *sleepers, uint32_t limit);

/* Takes a permit for a worker to come: active + 1, searching + 1. With `alone` only while nobody
   searches (a wake), else also beside searchers (several starts at once). */
bool npi_gate_reserve(struct npi_gate *gate, bool alone);

/* A worker without work begins to search; a searcher found work or starts to run. */
static inline void npi_gate_search(struct npi_gate *gate)
{
    (void)npi_a64_add_sc(&gate->permits, NPI_GATE_SEARCHING);
}

/* Returns the permits after it. */
static inline uint64_t npi_gate_found(struct npi_gate *gate)
{
    return npi_a64_add_sc(&gate->permits, 0 - NPI_GATE_SEARCHING) - NPI_GATE_SEARCHING;
}

/* Gives a permit back. Afterwards the caller has to look at the rings. */
static inline void npi_gate_leave(struct npi_gate *gate, bool searching)
{
    uint64_t held =
        NPI_GATE_PERMIT + (NPI_MUTANT(mark_kept, searching, false) ? NPI_GATE_SEARCHING : 0);
    (void)NPI_MUTANT(leave_relaxed, npi_a64_add_sc(&gate->permits, 0 - held),
                     npi_a64_add_relaxed(&gate->permits, 0 - held));
}

/* Gives a permit back only if more are held than the limit allows. */
bool npi_gate_leave_if_over(struct npi_gate *gate);

/* Takes a permit whatever the limit: a task that comes back from waiting goes on at once. */
static inline void npi_gate_enter(struct npi_gate *gate)
{
    (void)npi_a64_add_sc(&gate->permits, NPI_GATE_PERMIT);
}

/* Returns the permits before it. After a raise the caller has to look at the rings. */
uint64_t npi_gate_set_limit(struct npi_gate *gate, uint32_t limit);

/* The stack. push: by the owner of an AWAKE or WOKEN slot; pop: NPI_GATE_NOBODY when there is none.
   The one popped gets the state: WOKEN, then the caller has taken or takes a permit for it, or
   DISMISSED. Then the caller calls rouse. */
void npi_gate_push(struct npi_gate *gate, uint32_t worker);
uint32_t npi_gate_pop(struct npi_gate *gate, enum npi_sleeper_state state);
void npi_gate_rouse(struct npi_gate *gate, uint32_t worker);

/* Waits, after push and leave, until popped: WOKEN, a permit is held; or DISMISSED. ASLEEP: at the
   deadline, still in the stack; the caller looks at the rings again and sleeps on, or quits. */
enum npi_sleeper_state npi_gate_sleep(struct npi_gate *gate, uint32_t worker, uint64_t deadline_ns);

/* Ends the sleeper's life in the stack. False: it was popped meanwhile and holds a permit. */
bool npi_gate_quit(struct npi_gate *gate, uint32_t worker);

#endif
