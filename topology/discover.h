/*
 * Where a machine model comes from: this machine, an hwloc synthetic text, or an hwloc XML file.
 * The planner calls this once per pool; the library behind it is loaded and released inside.
 */
#ifndef NPI_TOPOLOGY_DISCOVER_H
#define NPI_TOPOLOGY_DISCOVER_H

#include "topology/machine.h"

struct npi_discover_options {
    const char *root; /* put before every /sys and /proc path read here; NULL = the real ones */
    const struct npi_cpuset *allowed; /* instead of the caller's affinity; NULL = ask the kernel */
    bool want_kinds; /* read the kinds of cores: slow on some large machines, so only on request */
};

/*
 * This machine. Returns 0, or -ENOMEM. When the machine cannot be looked at the model has the
 * allowed CPUs and nothing else, *failed is set and the last note says why.
 */
int npi_discover_live(struct npi_machine *machine, const struct npi_discover_options *options,
                      bool *failed);

/*
 * A synthetic text ("pack:4 [numa] core:8 pu:2") or the path of an XML file: a path is what
 * contains a slash or ends in ".xml". Returns 0, -ENOMEM or -EINVAL with *why (owned by the caller,
 * may be NULL without memory) saying what is wrong with it.
 */
int npi_discover_text(struct npi_machine *machine, const char *text,
                      const struct npi_discover_options *options, char **why);

/* Whether a machine text is a path by that rule. */
bool npi_discover_is_path(const char *text);

/*
 * The text of an XML file that hwloc may be given. NULL: *why says why not (owned by the caller), or
 * is NULL for want of memory.
 */
char *npi_discover_read_xml(const char *path, char **why);

#endif
