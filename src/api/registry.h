/*
 * Which pools this process has, for whoever has to find them without help: numapool_dump_state() in a signal
 * handler, and a debugger. No lock that an interrupted thread could hold: a handler never waits, and
 * a pool that ends waits for lookers only while they read, which does not include their writing.
 *
 *   word     written by            read by             why this order
 *   pool     create, destroy       lookers             sc: @pool-shown, @pool-hidden
 *   looks    lookers               destroy, create     sc: @pool-hidden
 *   unshown  create, destroy       lookers             relaxed: a number for people
 *
 * @pool-shown   create, store pool (sc) -> look, load pool (sc): everything of the pool is built
 * @pool-hidden  destroy stores pool = 0 (sc), then loads looks (sc); a looker adds to looks (sc), then
 *               loads pool (sc). Either the looker sees that the pool is gone, or destroy sees the
 *               looker and waits until it has taken its part of looks back (release -> sc load):
 *               what it read is read before the pool's memory goes.
 *
 * Beside:  all with all. One pool is shown and hidden once, by the thread that creates or destroys it.
 */
#ifndef NPI_API_REGISTRY_H
#define NPI_API_REGISTRY_H

#include "base/atomic.h"

/* Pools beyond these exist as well as others, but are not shown. A process has one, or a few. */
#define NPI_REGISTRY_POOLS 256

struct numapool;

struct npi_registry_slot {
    npi_a64 pool; /* address, 0 = free */
    npi_a32 looks;
};

struct npi_registry {
    struct npi_registry_slot slots[NPI_REGISTRY_POOLS];
    npi_a32 unshown;
};

extern struct npi_registry npi_registry; /* the process's; a debugger looks for this name */

#define NPI_REGISTRY_NONE NPI_REGISTRY_POOLS

/* Returns the slot, or NPI_REGISTRY_NONE when all are taken: the pool is counted as not shown. */
unsigned npi_registry_show(struct npi_registry *registry, struct numapool *pool);
/* Returns when nobody reads the pool any more, and nobody will. */
void npi_registry_hide(struct npi_registry *registry, unsigned slot);

/* The pool of a slot, NULL = none. It stays until npi_registry_end_look(), which is to follow unless it was
   NULL. What lies between must neither wait nor leave. */
const struct numapool *npi_registry_look(struct npi_registry *registry, unsigned slot);
void npi_registry_end_look(struct npi_registry *registry, unsigned slot);

#endif
