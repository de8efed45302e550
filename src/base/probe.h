/*
 * Static probe points (USDT) of the provider `numapool`, for bpftrace, perf and SystemTap: each is one instruction
 * that does nothing, and a note in the object file that says where it is and where its arguments are.
 * A tracer puts its breakpoint there; without one nothing is called, stored or asked. No semaphores: a test of one
 * costs more than the probe.
 *
 *   probe     arguments                                          where
 *   submit    pool, home shard, function, argument               a task is about to be queued; each try
 *   start     pool, worker, function, argument                   a worker calls a task's function
 *   done      pool, worker, function                             ... and it has returned
 *   refuse    pool, home shard, why, tasks                       a submit was refused
 *   forward   pool, home shard, shard that took it, function     overflow was queued elsewhere
 *   steal     pool, shard it waited at, thief's shard, function  a task was taken by another shard
 *   park      pool, shard, worker                                a worker goes to sleep
 *   wake      pool, shard, worker                                somebody wakes it
 *   resize    pool, shard, from, to                              how many of its workers may run at once
 *   quota     pool, shard, from, to                              its part of the budget
 *
 * A submit that is refused at once, since all shards were found full, is told by `refuse` alone.
 * pool and function are addresses; shard and worker are numbers within the pool and the shard. start and done
 * leave out the shard, which costs an instruction each: the thread's name has it (np/n1/w003). why: 0 full,
 * 1 shed, 2 deadline, 3 bytes, 4 other, as the statistics refused_*. Names and arguments are stable as the
 * statistics are: further arguments come last. src/tool/bpftrace has scripts.
 *
 * Built where <sys/sdt.h> is found (NUMAPOOL_PROBES), never in the interleaving checker.
 */
#ifndef NPI_BASE_PROBE_H
#define NPI_BASE_PROBE_H

#if defined(NPI_PROBES) && !defined(NPI_MODEL)

#include <sys/sdt.h>

/* As one instruction for whoever decides what to inline: the text of the note is many lines. */
#define NPI_PROBE(name, count, ...)                                                                \
    __asm__ __inline__ __volatile__(                                                               \
        STAP_PROBE_ASM(numapool, name, STAP_PROBE_ASM_TEMPLATE(count))::STAP_PROBE_ASM_OPERANDS(   \
            count, __VA_ARGS__))
#define NPI_PROBE3(name, ...) NPI_PROBE(name, 3, __VA_ARGS__)
#define NPI_PROBE4(name, ...) NPI_PROBE(name, 4, __VA_ARGS__)
#define NPI_PROBE5(name, ...) NPI_PROBE(name, 5, __VA_ARGS__)

#else

/* Arguments are not evaluated, and count as used. */
#define NPI_PROBE_UNUSED(a)                                                                        \
    do {                                                                                           \
        if (0) {                                                                                   \
            (void)(a);                                                                             \
        }                                                                                          \
    } while (0)
#define NPI_PROBE3(name, a, b, c)                                                                  \
    do {                                                                                           \
        NPI_PROBE_UNUSED(a);                                                                       \
        NPI_PROBE_UNUSED(b);                                                                       \
        NPI_PROBE_UNUSED(c);                                                                       \
    } while (0)
#define NPI_PROBE4(name, a, b, c, d)                                                               \
    do {                                                                                           \
        NPI_PROBE3(name, a, b, c);                                                                 \
        NPI_PROBE_UNUSED(d);                                                                       \
    } while (0)
#define NPI_PROBE5(name, a, b, c, d, e)                                                            \
    do {                                                                                           \
        NPI_PROBE4(name, a, b, c, d);                                                              \
        NPI_PROBE_UNUSED(e);                                                                       \
    } while (0)

#endif

#endif
