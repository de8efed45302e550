/*
 * A few words that one writer replaces as a whole and any thread reads as a whole, without a lock.
 * The reader takes a copy and throws it away when the writer was at work meanwhile.
 *
 *   word      written by   read by   why this order
 *   version   writer       readers   odd while writing; release/acquire: @snapshot-open, @snapshot-done
 *   word[]    writer       readers   release/acquire each, so that a reader that saw one new word
 *                                    also sees the odd version before it
 *
 * @snapshot-open  odd version, then release word -> acquire word, then version: a torn copy is noticed
 * @snapshot-done  release even version -> acquire version: the words are complete
 *
 * Ordered accesses rather than fences, which the thread sanitizer does not model; on x86 they cost
 * the same as relaxed ones. One writer at a time: its callers hold a lock or are one thread.
 */
#ifndef NPI_BASE_SNAPSHOT_H
#define NPI_BASE_SNAPSHOT_H

#include "base/atomic.h"

#include <stddef.h>
#include <string.h>

static inline void npi_snapshot_write(npi_a64 *version, npi_a64 *words, const void *from,
                                      size_t count)
{
    const char *bytes = from;
    uint64_t odd = npi_a64_load_relaxed(version) + 1;
    NPI_MUTANT(write_not_marked, npi_a64_store_relaxed(version, odd), (void)0);
    for (size_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, bytes + i * sizeof word, sizeof word);
        npi_a64_store_release(&words[i], word); /* @snapshot-open */
    }
    npi_a64_store_release(version, odd + 1); /* @snapshot-done */
}

/* True when the copy is whole. */
static inline bool npi_snapshot_read(const npi_a64 *version, const npi_a64 *words, void *to,
                                     size_t count)
{
    char *bytes = to;
    uint64_t before = npi_a64_load_acquire(version); /* @snapshot-done */
    for (size_t i = 0; i < count; i++) {
        uint64_t word = npi_a64_load_acquire(&words[i]); /* @snapshot-open */
        memcpy(bytes + i * sizeof word, &word, sizeof word);
    }
    return (before & 1) == 0 &&
           NPI_MUTANT(torn_copy, npi_a64_load_relaxed(version) == before, true);
}

#endif
