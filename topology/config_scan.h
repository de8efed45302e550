/*
 * What libconfig does not say well or not at all, found before it sees the text: settings given
 * twice (with both lines), files included, numbers too large for its integers, quotes and comments
 * that are never closed, nesting without end. Pure; needs no libconfig.
 */
#ifndef NPI_TOPOLOGY_CONFIG_SCAN_H
#define NPI_TOPOLOGY_CONFIG_SCAN_H

#include "topology/mistakes.h"
#include "topology/text.h"

#define NPI_CONFIG_HUGE '\x01'

/*
 * Reads the text of a file called `path`, adds mistakes, and writes a text with the same lines that
 * is safe to parse: integers that need it carry an L, larger ones become
 * texts that begin with NPI_CONFIG_HUGE (a control character, so nobody else's), a setting's second
 * occurrence has a '*' at the end of its name (no name of ours has one), @include lines are blank.
 * false: not worth parsing, the mistakes say why.
 */
bool npi_config_scan(const char *path, const char *text, size_t length, struct npi_text *out,
                     struct npi_mistakes *mistakes);

#endif
