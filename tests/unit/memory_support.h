/*
 * What the tests of src/memory share: a plan made by hand, and the kernel's word on how much of
 * this process is resident.
 */
#ifndef NPI_UNIT_MEMORY_SUPPORT_H
#define NPI_UNIT_MEMORY_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory/poison.h"
#include "memory/space.h"
#include "topology/cpuset.h"
#include "topology/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

#define TEST_NODES_MAX 8

struct test_plan {
    struct npi_plan plan;
    struct npi_plan_node nodes[TEST_NODES_MAX];
};

/* A machine that is not this one: nothing is bound. */
static inline void test_plan_init(struct test_plan *test, unsigned node_count, unsigned cpus_each,
                                  enum npi_page_kind pages)
{
    memset(test, 0, sizeof(*test));
    test->plan.memory_policy = NPI_MEMORY_LOCAL;
    test->plan.pages = pages;
    test->plan.node_count = node_count;
    test->plan.nodes = test->nodes;
    for (unsigned i = 0; i < node_count; i++) {
        test->nodes[i].os_index = i;
        for (unsigned cpu = 0; cpu < cpus_each; cpu++)
            assert_true(npi_cpuset_add(&test->nodes[i].cpus, i * cpus_each + cpu));
    }
}

static inline void test_plan_fini(struct test_plan *test)
{
    for (unsigned i = 0; i < test->plan.node_count; i++)
        npi_cpuset_fini(&test->nodes[i].cpus);
}

static inline struct npi_space *test_space(unsigned node_count, uint64_t budget_bytes,
                                           enum npi_page_kind pages)
{
    struct test_plan test;
    struct npi_space *space = NULL;
    npi_a64 bind_denied;
    npi_a64_init(&bind_denied, 0);
    test_plan_init(&test, node_count, 4, pages);
    assert_int_equal(npi_space_create(&space, &test.plan, budget_bytes, &bind_denied), NUMAPOOL_OK);
    test_plan_fini(&test);
    assert_non_null(space);
    return space;
}

/* Resident bytes of this process. Under sanitizers their shadow is part of it. */
static inline size_t test_resident_bytes(void)
{
    unsigned long total = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

#if defined(__SANITIZE_THREAD__) || NPI_ASAN
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

/* What the kernel says is resident of a slice's data. */
static inline size_t test_slice_resident_bytes(struct npi_space *space, unsigned node)
{
    struct npi_slice *slice = space->slices[node];
    size_t resident = 0;
    unsigned char seen[NPI_UNIT_CHUNKS * 16];
    uint32_t committed = npi_a32_load_relaxed(&slice->committed);
    for (uint32_t chunk = slice->data_first; chunk < committed; chunk += NPI_UNIT_CHUNKS) {
        assert_int_equal(mincore(npi_chunk_address(slice, chunk), NPI_UNIT_BYTES, seen), 0);
        for (size_t i = 0; i < NPI_UNIT_BYTES / space->page_bytes; i++)
            resident += (seen[i] & 1) * space->page_bytes;
    }
    return resident;
}

/* Chunks of a slice that some run owns, its tables and guards excepted. */
static inline uint32_t test_chunks_in_use(struct npi_space *space, unsigned node)
{
    struct npi_slice *slice = space->slices[node];
    uint32_t count = 0;
    for (uint32_t word = 0; word < slice->map.word_count; word++)
        count += (uint32_t)__builtin_popcountll(slice->map.used[word]);
    return count - slice->data_first - NPI_UNIT_CHUNKS;
}

#endif
