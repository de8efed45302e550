/*
 * A virtual machine's host gives memory that the guest has freed to others, and takes milliseconds to
 * give 2 MB of it back: figures of a cold start would then be the host's. Touching as much as a
 * contender may use, in a process that ends before it starts, leaves the guest with memory the host has
 * already given. Every contender gets the same.
 */
#ifndef OVERLOAD_REWARM_H
#define OVERLOAD_REWARM_H

#include <stdint.h>

/* Returns when done; does nothing for 0 bytes or when no process can be started. */
void rewarm_guest_memory(uint64_t bytes);

#endif
