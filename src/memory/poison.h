/*
 * Telling AddressSanitizer which of our bytes belong to a caller. Elsewhere these are nothing.
 */
#ifndef NPI_MEMORY_POISON_H
#define NPI_MEMORY_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define NPI_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NPI_ASAN 1
#endif
#endif
#ifndef NPI_ASAN
#define NPI_ASAN 0
#endif

#if NPI_ASAN
#include <sanitizer/asan_interface.h>
#define NPI_POISON(start, bytes) __asan_poison_memory_region((start), (bytes))
#define NPI_UNPOISON(start, bytes) __asan_unpoison_memory_region((start), (bytes))
#define NPI_IS_POISONED(address) (__asan_address_is_poisoned(address) != 0)
#else
#define NPI_POISON(start, bytes) ((void)(start), (void)(bytes))
#define NPI_UNPOISON(start, bytes) ((void)(start), (void)(bytes))
#define NPI_IS_POISONED(address) ((void)(address), false)
#endif

/* What freed memory is filled with where checks are compiled in. */
#define NPI_FREED_BYTE 0xDD

#endif
