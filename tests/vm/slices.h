/*
 * The address ranges of a pool's node-local memory. Apart from the tests that ask, because
 * memory/space.h and policy/admit.h give one tag two meanings.
 */
#ifndef NUMAPOOL_TESTS_VM_SLICES_H
#define NUMAPOOL_TESTS_VM_SLICES_H

#include "memory/memory.h"

/* The part of a node's slice that was ever made usable, tables included. */
void slices_of(const struct npi_space *space, unsigned node, char **start, size_t *bytes);

#endif
