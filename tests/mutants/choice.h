/* The bugs that can be planted, by name, and the one that is. For test programs only. */
#ifndef NPI_MUTANTS_CHOICE_H
#define NPI_MUTANTS_CHOICE_H

enum npi_mutant_name {
    NPI_MUTANT_none,
#define MUTANT(name, ...) NPI_MUTANT_##name,
#include "mutants/list.inc"
#undef MUTANT
};

/* Set once, before main, from the environment: NPI_MUTANT=name. */
extern int npi_mutant;

#define NPI_MUTANT(name, good, bad) (npi_mutant == NPI_MUTANT_##name ? (bad) : (good))

#endif
