/*
 * Stop 8: tasks that do not run where they were meant to: pushed to another shard on submit, or
 * pulled by an idle worker of another shard. Carries out what policy/forward.h decides.
 *
 * A task moves at most twice: forwarded once by its submitter, stolen once more.
 */
#ifndef NPI_FLOW_OVERFLOW_H
#define NPI_FLOW_OVERFLOW_H

#include "flow/shard.h"

struct npi_worker;

/* One question of a submitter. */
struct npi_overflow_ask {
    struct npi_shard *home;
    struct npi_shard_view *home_view;
    enum npi_affinity affinity;
    enum npi_class rank;
    uint64_t now_ns;
    uint64_t deadline_ns;     /* on the clock of now_ns, 0 = none */
    enum npi_verdict verdict; /* in: the home's; out: the worst of all that were asked */
};

/* Queues the task at another shard with idle capacity, if the wait at home is worth the move. */
bool npi_overflow_to_idle(struct npi_overflow_ask *ask, struct npi_item *item, uint64_t home_depth);

/* Queues the task at the nearest shard with room. */
bool npi_overflow_to_room(struct npi_overflow_ask *ask, struct npi_item *item);

/* An idle worker takes a task from another shard. */
bool npi_overflow_steal(struct npi_worker *worker, const struct npi_shard_view *view,
                        struct npi_item *item);

/* A task of another home begins and ends on a worker: whose demand it is. */
void npi_overflow_borrowed(struct npi_worker *worker, unsigned home);
void npi_overflow_returned(struct npi_worker *worker, unsigned home);

/* Wakes a worker of another shard with idle capacity that may take from this one; per tick. */
void npi_overflow_call_help(struct npi_shard *shard);

#endif
