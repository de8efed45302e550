/*
 * What base/atomic.h is when NPI_MODEL is defined: the same names, but every access asks the
 * checker's scheduler. Included by base/atomic.h only, behind the types of the words.
 */
#ifndef NPI_MODEL_ATOMIC_MODEL_H
#define NPI_MODEL_ATOMIC_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum model_order { MODEL_RELAXED, MODEL_ACQUIRE, MODEL_RELEASE, MODEL_ACQ_REL, MODEL_SC };

uint64_t model_load(const void *word, unsigned bytes, enum model_order order);
void model_store(void *word, unsigned bytes, uint64_t value, enum model_order order);
uint64_t model_add(void *word, unsigned bytes, uint64_t value, enum model_order order);
uint64_t model_swap(void *word, unsigned bytes, uint64_t value, enum model_order order);
bool model_cas(void *word, unsigned bytes, uint64_t *expected, uint64_t value,
               enum model_order success, enum model_order failure);
void model_plain_read(const void *object);
void model_plain_write(const void *object);
void model_pause(void);

extern int model_claim_turns; /* what CLAIM_TURNS of queue/ring.c is here */

#define NPI_MODEL_LOAD(prefix, word, type, name, order)                                            \
    static inline type prefix##_load_##name(const word *a)                                         \
    {                                                                                              \
        return (type)model_load(&a->value_, sizeof a->value_, order);                              \
    }
#define NPI_MODEL_STORE(prefix, word, type, name, order)                                           \
    static inline void prefix##_store_##name(word *a, type value)                                  \
    {                                                                                              \
        model_store(&a->value_, sizeof a->value_, value, order);                                   \
    }
#define NPI_MODEL_RMW(prefix, word, type, what, name, order)                                       \
    static inline type prefix##_##what##_##name(word *a, type value)                               \
    {                                                                                              \
        return (type)model_##what(&a->value_, sizeof a->value_, value, order);                     \
    }
#define NPI_MODEL_CAS(prefix, word, type, name, success, failure)                                  \
    static inline bool prefix##_cas_##name(word *a, type *expected, type value)                    \
    {                                                                                              \
        uint64_t found = *expected;                                                                \
        bool done = model_cas(&a->value_, sizeof a->value_, &found, value, success, failure);      \
        *expected = (type)found;                                                                   \
        return done;                                                                               \
    }
#define NPI_MODEL_WORD(prefix, word, type)                                                         \
    static inline void prefix##_init(word *a, type value)                                          \
    {                                                                                              \
        model_store(&a->value_, sizeof a->value_, value, MODEL_RELAXED);                           \
    }                                                                                              \
    NPI_MODEL_LOAD(prefix, word, type, relaxed, MODEL_RELAXED)                                     \
    NPI_MODEL_LOAD(prefix, word, type, acquire, MODEL_ACQUIRE)                                     \
    NPI_MODEL_LOAD(prefix, word, type, sc, MODEL_SC)                                               \
    NPI_MODEL_STORE(prefix, word, type, relaxed, MODEL_RELAXED)                                    \
    NPI_MODEL_STORE(prefix, word, type, release, MODEL_RELEASE)                                    \
    NPI_MODEL_STORE(prefix, word, type, sc, MODEL_SC)                                              \
    NPI_MODEL_RMW(prefix, word, type, add, relaxed, MODEL_RELAXED)                                 \
    NPI_MODEL_RMW(prefix, word, type, add, release, MODEL_RELEASE)                                 \
    NPI_MODEL_RMW(prefix, word, type, add, acq_rel, MODEL_ACQ_REL)                                 \
    NPI_MODEL_RMW(prefix, word, type, add, sc, MODEL_SC)                                           \
    NPI_MODEL_RMW(prefix, word, type, swap, acq_rel, MODEL_ACQ_REL)                                \
    NPI_MODEL_RMW(prefix, word, type, swap, sc, MODEL_SC)                                          \
    NPI_MODEL_CAS(prefix, word, type, relaxed, MODEL_RELAXED, MODEL_RELAXED)                       \
    NPI_MODEL_CAS(prefix, word, type, release, MODEL_RELEASE, MODEL_RELAXED)                       \
    NPI_MODEL_CAS(prefix, word, type, acq_rel, MODEL_ACQ_REL, MODEL_ACQUIRE)                       \
    NPI_MODEL_CAS(prefix, word, type, sc, MODEL_SC, MODEL_SC)

NPI_MODEL_WORD(npi_a64, npi_a64, uint64_t)
NPI_MODEL_WORD(npi_a32, npi_a32, uint32_t)

#define NPI_PLAIN_READ(object) model_plain_read(object)
#define NPI_PLAIN_WRITE(object) model_plain_write(object)

static inline void npi_pause(void)
{
    model_pause();
}

#endif
