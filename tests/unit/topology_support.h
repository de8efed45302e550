/*
 * What the tests of topology/ share: machines written down in a few words, the invariants every
 * plan has to keep, files and trees in a temporary place, and what a function writes to a
 * descriptor.
 */
#ifndef NPI_TESTS_TOPOLOGY_SUPPORT_H
#define NPI_TESTS_TOPOLOGY_SUPPORT_H

#include "topology/machine.h"
#include "topology/plan.h"
#include "topology/plan_draft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A set from a list; "" is empty. Fails the test when the list is wrong. */
struct npi_cpuset set_of(const char *list);
void assert_set(const struct npi_cpuset *set, const char *list);

/*
 * A machine of packages x nodes per package x caches per node x cores per cache x threads per core.
 * Threads of a core are numbered as on many real machines: all first threads, then all second ones.
 * Nodes have 1 GiB each; distances are unknown until set.
 */
void build_machine(struct npi_machine *machine, unsigned packages, unsigned nodes, unsigned caches,
                   unsigned cores, unsigned threads);
void set_distances(struct npi_machine *machine, const unsigned *table); /* node_count squared */
/* Takes CPUs away from the machine, as an affinity mask does. */
void forbid_cpus(struct npi_machine *machine, const char *list);
/* Adds a node at its place in the order; CPUs it is local to as a list. Existing distances are
 * lost. */
struct npi_machine_node *add_node(struct npi_machine *machine, unsigned os_index, const char *cpus);

/* Defaults with struct_size set. */
struct numapool_config plain_config(void);

/* The plan, or a failed test with the error's text. */
struct npi_plan *plan_of(const struct npi_machine *machine, const struct numapool_config *config);

/* All that holds for every plan on every machine. `label` says which in a failure. */
void check_plan(const struct npi_plan *plan, const struct npi_machine *machine, const char *label);

/* Everything but reasons, notes and shards_by. */
void assert_same_plan(const struct npi_plan *a, const struct npi_plan *b, const char *label);

/* A new directory, removed with all in it by remove_tree(). */
char *make_tree(void);
void remove_tree(char *root);
/* Writes a file below a root, making its directories. */
__attribute__((format(printf, 3, 4))) void write_file(const char *root, const char *path,
                                                      const char *format, ...);
char *read_file(const char *path, size_t *length); /* owned by the caller; NULL = no such file */

/* What a writer puts on a descriptor, as a string owned by the caller. */
char *capture(int (*writer)(const void *subject, int fd), const void *subject);

/* Small and seeded, the same sequence everywhere. */
uint32_t next_random(uint64_t *state);

#endif
