/*
 * Growing text, and lists of sentences. A failed allocation is remembered in the text and asked for
 * once at the end, so that code that composes a page does not test every line.
 */
#ifndef NPI_TOPOLOGY_TEXT_H
#define NPI_TOPOLOGY_TEXT_H

#include "topology/cpuset.h"

#include <stdbool.h>
#include <stddef.h>

struct npi_text {
    char *bytes; /* owned; always terminated once something was added */
    size_t length;
    size_t room;
    bool failed; /* some addition found no memory: the text is not complete */
};

void npi_text_fini(struct npi_text *text);
__attribute__((format(printf, 2, 3))) void npi_text_add(struct npi_text *text, const char *format,
                                                        ...);
void npi_text_add_set(struct npi_text *text, const struct npi_cpuset *set);
/* A string as libconfig reads it back: quotes, backslashes and control characters escaped. */
void npi_text_add_quoted(struct npi_text *text, const char *string);
/* 17179869184 as "16 GiB". */
void npi_text_add_bytes(struct npi_text *text, uint64_t bytes);

/* Hands the bytes over, empty string included; NULL when anything failed. The text is empty after.
 */
char *npi_text_take(struct npi_text *text);

/* All of it to a descriptor. 0, or a negative errno (-ENOMEM when the text had failed). */
int npi_text_write(const struct npi_text *text, int fd);

__attribute__((format(printf, 1, 2))) char *npi_text_format(const char *format, ...);

/* A list of sentences, as machines and plans carry them. */
__attribute__((format(printf, 3, 4))) bool npi_notes_add(char ***notes, unsigned *count,
                                                         const char *format, ...);
void npi_notes_free(char **notes, unsigned count);

#endif
