/*
 * The mistakes of a configuration, collected so that all of them can be told in one go.
 * Each line reads "where: what, and what would be right".
 */
#ifndef NPI_TOPOLOGY_MISTAKES_H
#define NPI_TOPOLOGY_MISTAKES_H

#include <numapool/numapool.h>

struct npi_mistake {
    int line; /* sort key only */
    char *text;
};

struct npi_mistakes {
    struct npi_mistake *items; /* owned */
    unsigned count;
    bool no_memory; /* something could not be written down: the outcome is E_NOMEM */
};

__attribute__((format(printf, 3, 4))) void npi_mistakes_add(struct npi_mistakes *mistakes, int line,
                                                            const char *format, ...);

/* The same with its place in front, "file:line" or the like, from which the line is taken. */
__attribute__((format(printf, 3, 4))) void
npi_mistakes_add_at(struct npi_mistakes *mistakes, const char *where, const char *format, ...);

/* How many of the `count` are in `items`: beyond some they are only counted. */
unsigned npi_mistakes_kept(const struct npi_mistakes *mistakes);

/* Puts them into the order of their lines. */
void npi_mistakes_sort(struct npi_mistakes *mistakes);

/*
 * Writes all of them in the order of their lines into error (may be NULL) and empties the
 * collection. Text that does not fit is cut at a line's end and a last line says how many more
 * there were. Returns NUMAPOOL_OK when there were none (error is then untouched), _E_CONFIG,
 * _E_NOMEM.
 */
int npi_mistakes_report(struct npi_mistakes *mistakes, struct numapool_error *error);

#endif
