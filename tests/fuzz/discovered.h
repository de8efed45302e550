/* What targets that describe machines have in common: what must follow from a text or a file. */
#ifndef NPI_TESTS_FUZZ_DISCOVERED_H
#define NPI_TESTS_FUZZ_DISCOVERED_H

/*
 * Makes a machine of the text (or of the file it names). Either there is one, and a plan for it, or
 * a sentence that says why not.
 */
void check_discovery(const char *text);

#endif
