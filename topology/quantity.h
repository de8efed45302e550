/* Times, sizes and fractions between text and number. Pure, and the same under every locale. */
#ifndef NPI_TOPOLOGY_QUANTITY_H
#define NPI_TOPOLOGY_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum npi_quantity {
    NPI_QUANTITY_READ,
    NPI_QUANTITY_NO_NUMBER, /* does not begin with a number */
    NPI_QUANTITY_NO_UNIT,   /* a time needs one */
    NPI_QUANTITY_BAD_UNIT,
    NPI_QUANTITY_TOO_FINE, /* not a whole number of nanoseconds or bytes */
    NPI_QUANTITY_TOO_LARGE,
};

/* "1.5ms": ns, us, ms, s, min, h. "16G": bytes with nothing, K, M, G, T, each also as KiB. */
enum npi_quantity npi_time_parse(const char *text, uint64_t *time_ns);
enum npi_quantity npi_bytes_parse(const char *text, uint64_t *bytes);

/* Digits only. */
bool npi_count_parse(const char *text, uint64_t *count);

/* A decimal fraction with a point, whatever the locale says. */
bool npi_share_parse(const char *text, double *share);

/* The shortest exact text with the largest unit that divides. Buffers of this size are enough. */
#define NPI_QUANTITY_TEXT 32
void npi_time_text(uint64_t time_ns, char text[NPI_QUANTITY_TEXT]);
void npi_bytes_text(uint64_t bytes, char text[NPI_QUANTITY_TEXT]);
void npi_share_text(double share, char text[NPI_QUANTITY_TEXT]); /* reads back equal */

#endif
