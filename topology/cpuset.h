/*
 * A set of small numbers (CPUs or nodes in the kernel's numbering), of any size.
 * Not an hwloc bitmap and not a cpu_set_t, so that neither leaks into the rest of the code and no
 * bound of 1024 CPUs creeps in. A zeroed struct is the empty set.
 */
#ifndef NPI_TOPOLOGY_CPUSET_H
#define NPI_TOPOLOGY_CPUSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct npi_cpuset {
    uint64_t *words; /* owned */
    size_t word_count;
};

/* Ids above this are refused everywhere: no kernel has as many, and a typo must not cost memory. */
#define NPI_CPU_ID_MAX 65535u

void npi_cpuset_fini(struct npi_cpuset *set);
bool npi_cpuset_add(struct npi_cpuset *set, unsigned id); /* false: no memory or id too large */
void npi_cpuset_remove(struct npi_cpuset *set, unsigned id);
bool npi_cpuset_has(const struct npi_cpuset *set, unsigned id);
bool npi_cpuset_copy(struct npi_cpuset *to, const struct npi_cpuset *from);
size_t npi_cpuset_count(const struct npi_cpuset *set);
int npi_cpuset_next(const struct npi_cpuset *set, int after); /* -1 to begin; -1 = no more */
bool npi_cpuset_equal(const struct npi_cpuset *a, const struct npi_cpuset *b);
bool npi_cpuset_intersects(const struct npi_cpuset *a, const struct npi_cpuset *b);
bool npi_cpuset_contains(const struct npi_cpuset *set, const struct npi_cpuset *subset);
bool npi_cpuset_union(struct npi_cpuset *set, const struct npi_cpuset *other);
void npi_cpuset_intersect(struct npi_cpuset *set, const struct npi_cpuset *other);
void npi_cpuset_subtract(struct npi_cpuset *set, const struct npi_cpuset *other);

/* "0-3,8" into buffer, always terminated; returns the length it needs (as snprintf does). */
size_t npi_cpuset_print(const struct npi_cpuset *set, char *buffer, size_t size);

enum npi_cpuset_parse {
    NPI_CPUSET_PARSED,
    NPI_CPUSET_MALFORMED, /* not a list, a number above NPI_CPU_ID_MAX, or far too many of them */
    NPI_CPUSET_BACKWARDS, /* a range that ends before it begins */
    NPI_CPUSET_NO_MEMORY,
};

/*
 * Reads a Linux CPU list: items N, N-M or N-M:STRIDE, separated by commas, blanks around them.
 * An empty list is malformed here; callers that allow one test for it first. On failure the set is
 * unchanged and *where (may be NULL) is the offset of the item that cannot be read.
 */
enum npi_cpuset_parse npi_cpuset_parse(struct npi_cpuset *set, const char *text, size_t *where);

#endif
