/* Reads which bug is planted in this run. */
#include "mutants/choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int npi_mutant = NPI_MUTANT_none;

__attribute__((constructor)) static void choose(void)
{
    static const char *const names[] = {
        "none",
#define MUTANT(name, ...) #name,
#include "mutants/list.inc"
#undef MUTANT
    };
    const char *wanted = getenv("NPI_MUTANT");
    if (wanted == NULL) {
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], wanted) == 0) {
            npi_mutant = (int)i;
            return;
        }
    }
    (void)fprintf(stderr, "no mutant '%s'\n", wanted);
    _Exit(2);
}
