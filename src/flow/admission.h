/*
 * Stop 2: may this task come in, and where. Called by submit when the home's fast gate said no.
 * Order of the questions: closed, bytes and group (both by submit), the home's own gates, another
 * shard with idle capacity, the home's queue, another shard with room; only then a refusal.
 */
#ifndef NPI_FLOW_ADMISSION_H
#define NPI_FLOW_ADMISSION_H

#include "flow/shard.h"

/* Accepts the task somewhere or refuses it: NUMAPOOL_OK, _E_FULL, _E_SHED, _E_DEADLINE, _E_CLOSED.
   Refusals are counted at the home. */
int npi_admission_decide(struct npi_shard *home, struct npi_item *item);

/*
 * A refusal that is sure to be one needs no questions: since all shards refused a task like it, nothing
 * was taken anywhere and no tick changed a gate. For tasks without deadline that may go to any shard.
 * @room-relied  pool->room is made odd (sc) before a submitter looks (sc) at heads and claims; a taker
 *               moves its head (sc) before it looks at pool->room (sc): either it sees it odd and changes
 *               it, or that look came later and saw the room
 * The submitter who finds everything full makes it odd and says no more; one who saw it odd before it
 * looked, and is refused too, notes that at the home, for all that come after. A claim counts as a task
 * but nobody says when it ends, so nothing is noted when one was held before the look.
 * What still is noted wrongly, by submitters that saw each other's claims, ends with the next tick.
 */
bool npi_admission_refuses(const struct npi_shard *home, enum npi_class rank);

/* Then this refuses: NUMAPOOL_E_FULL, _E_SHED. */
int npi_admission_refuse_again(struct npi_shard *home, enum npi_class rank);

/* Its bytes do not fit: NUMAPOOL_E_FULL, _E_CLOSED. Counted likewise. */
int npi_admission_refuse_bytes(struct npi_shard *home);

/* The calling thread's hint after its last try-later refusal by this pool. */
uint64_t npi_admission_retry_after_ns(const struct numapool *pool);

#endif
