/*
 * How far apart two words must be so that writers of one do not disturb users of the other.
 * 64 bytes is the line of every machine we run on; pairs of lines are fetched together by several
 * x86 prefetchers, so words that different threads write are kept 128 apart.
 */
#ifndef NPI_BASE_CACHELINE_H
#define NPI_BASE_CACHELINE_H

#include <stdalign.h>
#include <stddef.h>

#define NPI_LINE_BYTES 64
#define NPI_APART_BYTES 128

#define NPI_APART alignas(NPI_APART_BYTES)

/* Two members are written by different threads: they must not share a line. */
#define NPI_ASSERT_APART(type, first, second)                                                      \
    _Static_assert(offsetof(type, first) / NPI_LINE_BYTES !=                                       \
                       offsetof(type, second) / NPI_LINE_BYTES,                                    \
                   #first " and " #second " share a line")

static inline size_t npi_round_up(size_t bytes, size_t unit) /* unit: a power of two */
{
    return (bytes + unit - 1) & ~(unit - 1);
}

#define NPI_CONTAINER_OF(pointer, type, member)                                                    \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* The line at an address is about to be written: asks for it alone, before anybody waits for it. x86-64
   compilers turn the builtin into a read, so that the write would ask again. Processors without
   prefetchw take it as no operation. */
static inline void npi_prefetch_to_write(const void *address)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#else
    __builtin_prefetch(address, 1);
#endif
}

#endif
