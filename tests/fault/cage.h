/*
 * A control group of the test's own, version 1 or 2, which only this process and its children are
 * put into. Where it may not be made, or the controller would have to be switched on for
 * others too, cage_make() says so and nothing was changed. Only the emulated machine, which is
 * the test's own, has its controllers switched on.
 */
#ifndef TESTS_FAULT_CAGE_H
#define TESTS_FAULT_CAGE_H

#include <stdbool.h>

/* A group under this controller: "pids", "cpuset", "cpu". 0 or a negative errno. */
int cage_make(const char *controller);
bool cage_is_v2(void);
/* Writes one of its files. */
int cage_set(const char *file, const char *text);
/* The calling process moves into it. */
int cage_enter(void);
/* When nobody is in it any more. */
void cage_remove(void);

#endif
