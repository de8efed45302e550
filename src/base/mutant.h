/*
 * Places where a bug can be planted, to see that a test finds it: tests/mutants. In the library the
 * macro is its second argument and nothing else; with NPI_MUTANTS defined, a test program chooses by
 * name which place takes the third one.
 *
 *   good, bad   expressions of one type, void included
 */
#ifndef NPI_BASE_MUTANT_H
#define NPI_BASE_MUTANT_H

#ifdef NPI_MUTANTS
#include "mutants/choice.h"
#else
#define NPI_MUTANT(name, good, bad) (good)
#endif

#endif
