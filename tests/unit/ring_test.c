/* The ring with one thread: full and empty, wrap-around, batches, classes, the claim. */
#include "unit/ring_support.h"

static const uint64_t capacities[] = {1, 2, 3, 4, 5, 7, 8, 33, 64};

/* Positions that pass the ends of 32 and 64 bits while a test runs. */
static const uint64_t starts[] = {0, 1, (UINT64_C(1) << 32) - 5, UINT64_MAX - 4, UINT64_C(1) << 63};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint64_t take_one(struct test_ring *test, unsigned rank)
{
    struct npi_item item;
    assert_int_equal(npi_ring_take(&test->ring, rank, 0, &item, 1), 1);
    assert_true(test_item_is_whole(&item));
    return item.hot[0];
}

static void check_empty(struct test_ring *test)
{
    struct npi_item item;
    uint64_t word = 4711;
    for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
        assert_int_equal(npi_ring_take(&test->ring, rank, 0, &item, 1), 0);
        assert_false(npi_ring_peek(&test->ring, rank, 0, &word));
        assert_int_equal(npi_ring_waiting(&test->ring, rank), 0);
    }
    assert_int_equal(word, 4711);
    assert_int_equal(npi_ring_depth(&test->ring), 0);
    assert_true(npi_ring_quiet(&test->ring));
}

static void memory_is_for_the_next_power_of_two(void **state)
{
    (void)state;
    size_t one = NPI_RING_CLASSES * (sizeof(struct npi_ring_slot) + sizeof(struct npi_ring_more));
    assert_int_equal(npi_ring_bytes(1), one);
    assert_int_equal(npi_ring_bytes(2), 2 * one);
    assert_int_equal(npi_ring_bytes(3), 4 * one);
    assert_int_equal(npi_ring_bytes(4), 4 * one);
    assert_int_equal(npi_ring_bytes(1000), 1024 * one);
    assert_int_equal(npi_ring_bytes(UINT64_C(1) << 20), (UINT64_C(1) << 20) * one);
}

/* Fills to the bound and empties, in order, over and over. */
static void fill_and_empty(uint64_t capacity, uint64_t start)
{
    struct test_ring test;
    test_ring_init(&test, capacity, start);
    uint64_t next_in = 1, next_out = 1;
    check_empty(&test);
    for (unsigned turn = 0; turn < 12; turn++) {
        unsigned rank = turn % NPI_RING_CLASSES;
        for (uint64_t depth = 0; depth < capacity; depth++) {
            assert_int_equal(npi_ring_depth(&test.ring), depth);
            assert_int_equal(test_ring_push(&test, rank, next_in++, 1), 1);
            assert_false(npi_ring_quiet(&test.ring));
        }
        assert_int_equal(npi_ring_depth(&test.ring), capacity);
        assert_int_equal(npi_ring_waiting(&test.ring, rank), capacity);
        for (unsigned other = 0; other < NPI_RING_CLASSES; other++) {
            assert_int_equal(test_ring_push(&test, other, 99, 1),
                             0); /* one bound for all classes */
        }
        for (uint64_t depth = capacity; depth > 0; depth--) {
            uint64_t seen;
            assert_true(npi_ring_peek(&test.ring, rank, 0, &seen));
            assert_int_equal(seen, next_out);
            assert_int_equal(take_one(&test, rank), next_out++);
            assert_int_equal(npi_ring_depth(&test.ring), depth - 1);
        }
        check_empty(&test);
    }
    test_ring_fini(&test);
}

static void full_and_empty_at_every_capacity(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(capacities); c++) {
        for (size_t s = 0; s < COUNT(starts); s++) {
            fill_and_empty(capacities[c], starts[s]);
        }
    }
}

/* ------------------------------------------------------------------- against plain arrays */

#define MODEL_MAX 4096

struct model {
    uint64_t value[NPI_RING_CLASSES][MODEL_MAX];
    size_t head[NPI_RING_CLASSES], tail[NPI_RING_CLASSES];
};

static uint64_t model_depth(const struct model *model)
{
    uint64_t depth = 0;
    for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
        depth += model->tail[rank] - model->head[rank];
    }
    return depth;
}

static void model_step(struct test_ring *test, struct model *model, struct npi_prng *prng,
                       uint64_t *next)
{
    unsigned rank = npi_prng_below(prng, NPI_RING_CLASSES);
    unsigned count = npi_prng_below(prng, 9);
    size_t *head = &model->head[rank], *tail = &model->tail[rank];
    if (npi_prng_below(prng, 2) == 0 && count != 0) {
        uint64_t room = test->capacity - model_depth(model);
        unsigned wanted = count < room ? count : (unsigned)room;
        assert_int_equal(test_ring_push(test, rank, *next, count), (int)wanted);
        for (unsigned i = 0; i < wanted; i++) {
            model->value[rank][(*tail)++] = *next + i;
        }
        *next += count;
    } else {
        struct npi_item items[9];
        size_t waiting = *tail - *head;
        unsigned wanted = count < waiting ? count : (unsigned)waiting;
        assert_int_equal(npi_ring_take(&test->ring, rank, 0, items, count), wanted);
        for (unsigned i = 0; i < wanted; i++) {
            assert_true(test_item_is_whole(&items[i]));
            assert_int_equal(items[i].hot[0], model->value[rank][(*head)++]);
        }
    }
}

static void check_model(struct test_ring *test, const struct model *model)
{
    for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
        size_t head = model->head[rank], tail = model->tail[rank];
        uint64_t word[2];
        assert_int_equal(npi_ring_waiting(&test->ring, rank), tail - head);
        assert_int_equal(npi_ring_peek(&test->ring, rank, 0, &word[0]), head != tail);
        if (head != tail) {
            assert_int_equal(word[0], model->value[rank][head]);
            assert_true(npi_ring_peek(&test->ring, rank, NPI_ITEM_META, &word[1]));
            assert_int_equal(word[1], test_item(word[0]).hot[NPI_ITEM_META]);
        }
    }
    assert_int_equal(npi_ring_depth(&test->ring), model_depth(model));
    assert_int_equal(npi_ring_quiet(&test->ring), model_depth(model) == 0);
}

static void batches_and_classes_agree_with_a_model(void **state)
{
    (void)state;
    static struct model model;
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    for (size_t c = 0; c < COUNT(capacities); c++) {
        for (size_t s = 0; s < COUNT(starts); s++) {
            struct test_ring test;
            uint64_t next = 1;
            memset(&model, 0, sizeof model);
            test_ring_init(&test, capacities[c], starts[s]);
            for (int step = 0; step < 800; step++) {
                model_step(&test, &model, &prng, &next);
                check_model(&test, &model);
            }
            test_ring_fini(&test);
        }
    }
}

/* ---------------------------------------------------------------------------- publishing */

static void a_batch_is_seen_at_once(void **state)
{
    (void)state;
    struct test_ring test;
    test_ring_init(&test, 8, 0);
    struct npi_item item;
    assert_true(npi_ring_claim(&test.ring, 5));
    for (unsigned i = 0; i < 5; i++) {
        item = test_item(100 + i);
        npi_ring_put(&test.ring, 1, i, &item);
        assert_int_equal(npi_ring_waiting(&test.ring, 1), 0);
        assert_int_equal(npi_ring_take(&test.ring, 1, 0, &item, 1), 0);
        assert_int_equal(npi_ring_depth(&test.ring), 5); /* a claim counts as the tasks to come */
        assert_false(npi_ring_quiet(&test.ring));
    }
    npi_ring_publish(&test.ring, 1, 5);
    assert_int_equal(npi_ring_waiting(&test.ring, 1), 5);
    assert_int_equal(npi_ring_depth(&test.ring), 10); /* too many rather than too few */
    npi_ring_unclaim(&test.ring);
    assert_int_equal(npi_ring_depth(&test.ring), 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(take_one(&test, 1), 100 + i);
    }
    check_empty(&test);
    test_ring_fini(&test);
}

static void fewer_than_claimed_may_be_published(void **state)
{
    (void)state;
    struct test_ring test;
    test_ring_init(&test, 4, UINT64_MAX - 1);
    /* Three classes under one claim, and less than was announced. */
    assert_true(npi_ring_claim(&test.ring, 10));
    for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
        struct npi_item item = test_item(10 + rank);
        npi_ring_put(&test.ring, rank, 0, &item);
        npi_ring_publish(&test.ring, rank, 1);
    }
    npi_ring_unclaim(&test.ring);
    assert_int_equal(npi_ring_depth(&test.ring), 3);
    /* A claim given up without anything leaves no trace, whatever was written. */
    struct npi_item item = test_item(1000);
    assert_true(npi_ring_claim(&test.ring, 1));
    npi_ring_put(&test.ring, 0, 0, &item);
    npi_ring_unclaim(&test.ring);
    assert_int_equal(npi_ring_depth(&test.ring), 3);
    assert_int_equal(test_ring_push(&test, 0, 11, 1), 1);
    assert_int_equal(take_one(&test, 2), 12);
    assert_int_equal(take_one(&test, 1), 11);
    assert_int_equal(take_one(&test, 0), 10);
    assert_int_equal(take_one(&test, 0), 11);
    check_empty(&test);
    test_ring_fini(&test);
}

static void the_cached_depth_is_never_below_the_truth(void **state)
{
    (void)state;
    struct test_ring test;
    test_ring_init(&test, 8, 7);
    for (uint64_t i = 0; i < 6; i++) {
        assert_int_equal(test_ring_push(&test, (unsigned)(i % 3), i + 1, 1), 1);
    }
    for (unsigned taken = 1; taken <= 6; taken++) {
        (void)take_one(&test, (taken - 1) % 3);
        assert_true(npi_ring_claim(&test.ring, 1));
        assert_int_equal(npi_ring_depth_cached(&test.ring), 6);
        npi_ring_unclaim(&test.ring);
    }
    assert_true(npi_ring_claim(&test.ring, 1));
    assert_int_equal(npi_ring_depth_refreshed(&test.ring), 0);
    assert_int_equal(npi_ring_depth_cached(&test.ring), 0);
    npi_ring_unclaim(&test.ring);
    check_empty(&test);
    test_ring_fini(&test);
}

/* -------------------------------------------------------------------------------- taking */

/* Values of which the meta word has none, or the last, of the bits that a taker refuses. */
#define REFUSED UINT64_C(0x100)

static void push_meta(struct test_ring *test, uint64_t value, uint64_t meta)
{
    struct npi_item item = {.hot = {value, 0, 0, meta}};
    assert_true(npi_ring_claim(&test->ring, 1));
    npi_ring_put(&test->ring, 0, 0, &item);
    npi_ring_publish(&test->ring, 0, 1);
    npi_ring_unclaim(&test->ring);
}

static void taking_stops_before_what_is_refused(void **state)
{
    (void)state;
    struct test_ring test;
    struct npi_item items[8];
    test_ring_init(&test, 8, 3);
    push_meta(&test, 1, 1);
    push_meta(&test, 2, 2);
    push_meta(&test, 3, REFUSED | 3);
    push_meta(&test, 4, 4);
    assert_int_equal(npi_ring_take(&test.ring, 0, REFUSED, items, 8), 2);
    assert_int_equal(items[0].hot[0], 1);
    assert_int_equal(items[1].hot[0], 2);
    assert_int_equal(npi_ring_take(&test.ring, 0, REFUSED, items, 8), 0);
    assert_int_equal(npi_ring_take(&test.ring, 0, REFUSED | 0x200, items, 1), 0);
    assert_int_equal(npi_ring_waiting(&test.ring, 0), 2);
    /* What one refuses another takes. */
    assert_int_equal(npi_ring_take(&test.ring, 0, 0x200, items, 1), 1);
    assert_int_equal(items[0].hot[0], 3);
    assert_int_equal(npi_ring_take(&test.ring, 0, REFUSED, items, 8), 1);
    assert_int_equal(items[0].hot[0], 4);
    check_empty(&test);
    test_ring_fini(&test);
}

static void taking_nothing_takes_nothing(void **state)
{
    (void)state;
    struct test_ring test;
    struct npi_item item = {.hot = {5}};
    test_ring_init(&test, 2, 0);
    assert_int_equal(test_ring_push(&test, 0, 1, 2), 2);
    assert_int_equal(npi_ring_take(&test.ring, 0, 0, &item, 0), 0);
    assert_int_equal(item.hot[0], 5);
    assert_int_equal(npi_ring_waiting(&test.ring, 0), 2);
    test_ring_fini(&test);
}

static void copying_and_taking_are_two_steps(void **state)
{
    (void)state;
    struct test_ring test;
    struct npi_item items[4];
    uint64_t head, word;
    test_ring_init(&test, 4, UINT64_MAX - 1);
    assert_false(npi_ring_oldest(&test.ring, 0, 0, &head, &word));
    assert_int_equal(test_ring_push(&test, 0, 1, 4), 4);
    assert_true(npi_ring_oldest(&test.ring, 0, 0, &head, &word));
    assert_int_equal(head, UINT64_MAX - 1);
    assert_int_equal(head, npi_ring_head(&test.ring, 0));
    assert_int_equal(word, 1);
    /* A copy takes nothing, and may be taken in part. */
    assert_int_equal(npi_ring_copy(&test.ring, 0, head, 0, items, 3), 3);
    assert_int_equal(npi_ring_waiting(&test.ring, 0), 4);
    assert_true(npi_ring_take_copied(&test.ring, 0, head, 2));
    assert_int_equal(npi_ring_waiting(&test.ring, 0), 2);
    /* Whoever copied from the same head comes too late. */
    assert_false(npi_ring_take_copied(&test.ring, 0, head, 1));
    assert_int_equal(npi_ring_waiting(&test.ring, 0), 2);
    assert_true(npi_ring_oldest(&test.ring, 0, 0, &head, &word));
    assert_int_equal(head, 0);
    assert_int_equal(word, 3);
    assert_int_equal(npi_ring_copy(&test.ring, 0, head, 0, items, 4), 2);
    assert_int_equal(items[1].hot[0], 4);
    assert_true(npi_ring_take_copied(&test.ring, 0, head, 2));
    check_empty(&test);
    test_ring_fini(&test);
}

/* The further words travel only with tasks that have them. */
static void further_words_are_copied_when_there_are_any(void **state)
{
    (void)state;
    struct test_ring test;
    struct npi_item items[2];
    test_ring_init(&test, 2, 0);
    assert_int_equal(test_ring_push(&test, 0, 3, 2), 2); /* 3 has them, 4 has not */
    memset(items, 0x77, sizeof items);
    assert_int_equal(npi_ring_take(&test.ring, 0, 0, items, 2), 2);
    assert_true(test_item_is_whole(&items[0]));
    assert_true(test_item_is_whole(&items[1]));
    for (unsigned i = 0; i < NPI_ITEM_MORE_WORDS; i++) {
        assert_int_equal(items[1].more[i], UINT64_C(0x7777777777777777));
    }
    test_ring_fini(&test);
}

/* --------------------------------------------------------------------------------- claim */

static void one_claim_at_a_time(void **state)
{
    (void)state;
    struct test_ring test;
    test_ring_init(&test, 4, UINT64_MAX);
    assert_int_equal(test_ring_push(&test, 0, 1, 2), 2);
    assert_true(npi_ring_claim(&test.ring, 1));
    assert_false(npi_ring_claim(&test.ring, 1));
    assert_int_equal(test_ring_push(&test, 1, 7, 1), -1);
    /* Consumers do not care. */
    assert_int_equal(take_one(&test, 0), 1);
    assert_int_equal(take_one(&test, 0), 2);
    assert_int_equal(npi_ring_depth(&test.ring), 1);
    assert_false(npi_ring_quiet(&test.ring)); /* empty, but something may come */
    npi_ring_unclaim(&test.ring);
    check_empty(&test);
    assert_int_equal(test_ring_push(&test, 1, 7, 1), 1);
    assert_int_equal(take_one(&test, 1), 7);
    test_ring_fini(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_for_the_next_power_of_two),
        cmocka_unit_test(full_and_empty_at_every_capacity),
        cmocka_unit_test(batches_and_classes_agree_with_a_model),
        cmocka_unit_test(a_batch_is_seen_at_once),
        cmocka_unit_test(fewer_than_claimed_may_be_published),
        cmocka_unit_test(the_cached_depth_is_never_below_the_truth),
        cmocka_unit_test(taking_stops_before_what_is_refused),
        cmocka_unit_test(taking_nothing_takes_nothing),
        cmocka_unit_test(copying_and_taking_are_two_steps),
        cmocka_unit_test(further_words_are_copied_when_there_are_any),
        cmocka_unit_test(one_claim_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
