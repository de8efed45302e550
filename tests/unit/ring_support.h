/* What the tests of the ring share: a ring with its memory, and items that carry their own proof.
 */
#ifndef NPI_UNIT_RING_SUPPORT_H
#define NPI_UNIT_RING_SUPPORT_H

#include "unit/core_support.h"

#include "queue/ring.h"

struct test_ring {
    struct npi_ring ring;
    void *memory;
    uint64_t capacity;
};

static inline void test_ring_init(struct test_ring *test, uint64_t capacity, uint64_t start)
{
    memset(test, 0, sizeof *test);
    test->memory = calloc(1, npi_ring_bytes(capacity));
    assert_non_null(test->memory);
    test->capacity = capacity;
    npi_ring_init(&test->ring, capacity, test->memory, start);
}

static inline void test_ring_fini(struct test_ring *test)
{
    free(test->memory);
}

/* Every third task has the further words. */
static inline struct npi_item test_item(uint64_t value)
{
    struct npi_item item;
    item.hot[0] = value;
    for (unsigned i = 1; i < NPI_ITEM_META; i++) {
        item.hot[i] = test_mix(value + i);
    }
    item.hot[NPI_ITEM_META] = test_mix(value) >> 1 | (value % 3 == 0 ? NPI_ITEM_FULL : 0);
    for (unsigned i = 0; i < NPI_ITEM_MORE_WORDS; i++) {
        item.more[i] = value % 3 == 0 ? test_mix(~value - i) : 0x5555;
    }
    return item;
}

/* Whether all words belong to the task of item->hot[0]. */
static inline bool test_item_is_whole(const struct npi_item *item)
{
    struct npi_item wanted = test_item(item->hot[0]);
    bool full = (wanted.hot[NPI_ITEM_META] & NPI_ITEM_FULL) != 0;
    return memcmp(item->hot, wanted.hot, sizeof wanted.hot) == 0 &&
           (!full || memcmp(item->more, wanted.more, sizeof wanted.more) == 0);
}

/* As many of count tasks with consecutive values as there is room for; -1 when the claim is held.
 */
static inline int test_ring_push(struct test_ring *test, unsigned rank, uint64_t value,
                                 unsigned count)
{
    struct npi_ring *ring = &test->ring;
    if (!npi_ring_claim(ring, count)) {
        return -1;
    }
    uint64_t depth = npi_ring_depth_cached(ring);
    if (depth + count > test->capacity) {
        depth = npi_ring_depth_refreshed(ring);
    }
    uint64_t room = test->capacity - depth;
    unsigned taken = count < room ? count : (unsigned)room;
    for (unsigned i = 0; i < taken; i++) {
        struct npi_item item = test_item(value + i);
        npi_ring_put(ring, rank, i, &item);
    }
    if (taken != 0) {
        npi_ring_publish(ring, rank, taken);
    }
    npi_ring_unclaim(ring);
    return (int)taken;
}

#endif
