/*
 * Assertions in three tiers. A release build has none that can end the process: the library never
 * aborts. NPI_DEBUG_CHECK is for the debug preset and costs little, NPI_EXPENSIVE_CHECK may walk
 * structures. They stop in the place where the invariant broke.
 */
#ifndef NPI_BASE_CHECK_H
#define NPI_BASE_CHECK_H

#ifndef NUMAPOOL_CHECKS
#define NUMAPOOL_CHECKS 0
#endif

#if NUMAPOOL_CHECKS >= 1
#include <assert.h>
#undef NDEBUG
#define NPI_DEBUG_CHECK(condition) assert(condition)
#else
#define NPI_DEBUG_CHECK(condition) ((void)sizeof(condition))
#endif

#if NUMAPOOL_CHECKS >= 2
#define NPI_EXPENSIVE_CHECK(condition) assert(condition)
#else
#define NPI_EXPENSIVE_CHECK(condition) ((void)sizeof(condition))
#endif

#define NPI_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define NPI_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
/* Off the common path, and kept out of it: its registers and its stack are then not paid for there. */
#define NPI_APART_FROM_PATH __attribute__((noinline))
#define NPI_ON_PATH inline __attribute__((always_inline))

#endif
