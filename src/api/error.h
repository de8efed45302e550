/* Filling in a caller's struct numapool_error, which may be NULL. */
#ifndef NPI_API_ERROR_H
#define NPI_API_ERROR_H

#include <numapool/numapool.h>

/* Sets the text, counts one mistake, keeps the errno; returns the code. */
int npi_error(struct numapool_error *error, int code, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
