/*
 * Where random structures get their decisions from: the bytes of an input, so that a fuzzer can
 * steer them, or a seeded sequence without end. Small numbers stand for plain machines, and bytes
 * that have run out are zeros, so that short inputs are simple.
 */
#ifndef NPI_TESTS_FUZZ_CHOICES_H
#define NPI_TESTS_FUZZ_CHOICES_H

#include "topology/machine.h"
#include "topology/placement.h"

struct choices {
    const uint8_t *bytes; /* NULL: the sequence */
    size_t left;
    uint64_t seed;
};

/* 0 to sides - 1. */
unsigned choose(struct choices *choices, unsigned sides);
/* With the probability of percent in a hundred; never when the bytes have run out. */
bool choose_rarely(struct choices *choices, unsigned percent);

/* The largest machine to be made: small ones make a fuzzer fast. */
struct machine_bounds {
    unsigned nodes, cpus;
    bool large; /* with about as many nodes as that, not mostly a few */
};

/* A machine that npi_machine_valid() accepts. */
void choose_machine(struct npi_machine *machine, struct choices *choices,
                    struct machine_bounds bounds);

/* Settings for it; most fit it, some do not. The configuration is freed by fuzz_config_fini(). */
struct numapool_config choose_config(const struct npi_machine *machine, struct choices *choices);

#endif
