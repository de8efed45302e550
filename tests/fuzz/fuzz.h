/*
 * What the fuzz targets share: stopping when something that must hold does not, and handing bytes
 * to functions that read files.
 *
 * A target is one file with LLVMFuzzerTestOneInput(). Linked with libFuzzer it searches; linked with
 * replay.c, by any compiler, it goes through files that a search has left.
 */
#ifndef NPI_TESTS_FUZZ_H
#define NPI_TESTS_FUZZ_H

#include <numapool/numapool.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says what does not hold and aborts, which is a finding. */
#define fuzz_check(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(__FILE__, __LINE__, #condition);                                             \
    } while (0)
__attribute__((noreturn)) void fuzz_fail(const char *file, int line, const char *what);

/* What to say first in a failure, such as how to replay it. */
void fuzz_label(const char *label);

/* The bytes up to the first 0 as a string, so that code which ends there has no more to read. */
char *fuzz_string(const uint8_t *data, size_t size);

/* A file in memory with these bytes; the path stays valid until the next call. */
const char *fuzz_file(const void *data, size_t size);

/* What a writer puts on a descriptor, owned by the caller. NULL when it refuses. */
char *fuzz_capture(int (*writer)(const void *subject, int fd), const void *subject);

/* Defaults with struct_size set; to be freed by fuzz_config_fini(). */
struct numapool_config fuzz_config(void);
void fuzz_config_fini(struct numapool_config *config);

/*
 * The configuration as a file, which has to load, to give the same file again, and to validate.
 */
void fuzz_config_round_trip(const struct numapool_config *config);

#endif
