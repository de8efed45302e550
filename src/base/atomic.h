/*
 * Atomic words with the memory order in the name of every access. Shared words have the types below,
 * so that a plain access does not compile; what the orders are for is said at each use, by the name
 * of the edge.
 *
 * Every access goes through this file: the interleaving checker compiles the same sources with
 * NPI_MODEL defined, and these names then call its scheduler.
 */
#ifndef NPI_BASE_ATOMIC_H
#define NPI_BASE_ATOMIC_H

#include "base/mutant.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t value_;
} npi_a64;

typedef struct {
    uint32_t value_;
} npi_a32;

#ifdef NPI_MODEL
#include "model/atomic_model.h"
#else

#define NPI_ATOMIC_WORD(prefix, word, type)                                                        \
    static inline void prefix##_init(word *a, type value)                                          \
    {                                                                                              \
        __atomic_store_n(&a->value_, value, __ATOMIC_RELAXED);                                     \
    }                                                                                              \
    static inline type prefix##_load_relaxed(const word *a)                                        \
    {                                                                                              \
        return __atomic_load_n(&a->value_, __ATOMIC_RELAXED);                                      \
    }                                                                                              \
    static inline type prefix##_load_acquire(const word *a)                                        \
    {                                                                                              \
        return __atomic_load_n(&a->value_, __ATOMIC_ACQUIRE);                                      \
    }                                                                                              \
    static inline type prefix##_load_sc(const word *a)                                             \
    {                                                                                              \
        return __atomic_load_n(&a->value_, __ATOMIC_SEQ_CST);                                      \
    }                                                                                              \
    static inline void prefix##_store_relaxed(word *a, type value)                                 \
    {                                                                                              \
        __atomic_store_n(&a->value_, value, __ATOMIC_RELAXED);                                     \
    }                                                                                              \
    static inline void prefix##_store_release(word *a, type value)                                 \
    {                                                                                              \
        __atomic_store_n(&a->value_, value, __ATOMIC_RELEASE);                                     \
    }                                                                                              \
    static inline void prefix##_store_sc(word *a, type value)                                      \
    {                                                                                              \
        __atomic_store_n(&a->value_, value, __ATOMIC_SEQ_CST);                                     \
    }                                                                                              \
    static inline type prefix##_add_relaxed(word *a, type value) /* returns the old value */       \
    {                                                                                              \
        return __atomic_fetch_add(&a->value_, value, __ATOMIC_RELAXED);                            \
    }                                                                                              \
    static inline type prefix##_add_sc(word *a, type value)                                        \
    {                                                                                              \
        return __atomic_fetch_add(&a->value_, value, __ATOMIC_SEQ_CST);                            \
    }                                                                                              \
    static inline type prefix##_add_release(word *a, type value)                                   \
    {                                                                                              \
        return __atomic_fetch_add(&a->value_, value, __ATOMIC_RELEASE);                            \
    }                                                                                              \
    static inline type prefix##_add_acq_rel(word *a, type value)                                   \
    {                                                                                              \
        return __atomic_fetch_add(&a->value_, value, __ATOMIC_ACQ_REL);                            \
    }                                                                                              \
    static inline type prefix##_swap_sc(word *a, type value)                                       \
    {                                                                                              \
        return __atomic_exchange_n(&a->value_, value, __ATOMIC_SEQ_CST);                           \
    }                                                                                              \
    static inline type prefix##_swap_acq_rel(word *a, type value)                                  \
    {                                                                                              \
        return __atomic_exchange_n(&a->value_, value, __ATOMIC_ACQ_REL);                           \
    }                                                                                              \
    /* On failure *expected becomes the value found, read with relaxed order. */                   \
    static inline bool prefix##_cas_relaxed(word *a, type *expected, type value)                   \
    {                                                                                              \
        return __atomic_compare_exchange_n(&a->value_, expected, value, false, __ATOMIC_RELAXED,   \
                                           __ATOMIC_RELAXED);                                      \
    }                                                                                              \
    static inline bool prefix##_cas_release(word *a, type *expected, type value)                   \
    {                                                                                              \
        return __atomic_compare_exchange_n(&a->value_, expected, value, false, __ATOMIC_RELEASE,   \
                                           __ATOMIC_RELAXED);                                      \
    }                                                                                              \
    static inline bool prefix##_cas_acq_rel(word *a, type *expected, type value)                   \
    {                                                                                              \
        return __atomic_compare_exchange_n(&a->value_, expected, value, false, __ATOMIC_ACQ_REL,   \
                                           __ATOMIC_ACQUIRE);                                      \
    }                                                                                              \
    static inline bool prefix##_cas_sc(word *a, type *expected, type value)                        \
    {                                                                                              \
        return __atomic_compare_exchange_n(&a->value_, expected, value, false, __ATOMIC_SEQ_CST,   \
                                           __ATOMIC_SEQ_CST);                                      \
    }

NPI_ATOMIC_WORD(npi_a64, npi_a64, uint64_t)
NPI_ATOMIC_WORD(npi_a32, npi_a32, uint32_t)

/* Plain data that a protocol of atomics hands over: marked so that the checker can look for races. */
#define NPI_PLAIN_READ(object) ((void)0)
#define NPI_PLAIN_WRITE(object) ((void)0)

/* One turn of a wait loop. */
static inline void npi_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
#endif
