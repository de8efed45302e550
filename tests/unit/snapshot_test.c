/* Words replaced as a whole: a copy is whole or refused, and never older than the one before it. */
#include "unit/core_support.h"

#include "base/snapshot.h"

#define WORDS 23u

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (size_t count = 0; count <= WORDS; count++) {
        npi_a64 version = {0}, words[WORDS + 1] = {{0}};
        /* Source and target need no alignment. */
        char from[8 * WORDS + 1], to[8 * WORDS + 2];
        for (size_t i = 0; i < sizeof from; i++) {
            from[i] = (char)(i * 7 + count);
        }
        npi_a64_init(&words[count], 99);
        for (uint64_t turn = 1; turn <= 3; turn++) {
            memset(to, 0x55, sizeof to);
            npi_snapshot_write(&version, words, from + 1, count);
            assert_true(npi_snapshot_read(&version, words, to + 1, count));
            assert_memory_equal(to + 1, from + 1, 8 * count);
            assert_int_equal(to[0], 0x55);
            assert_int_equal(to[8 * count + 1], 0x55);
            assert_int_equal(npi_a64_load_relaxed(&version), 2 * turn);
            assert_int_equal(npi_a64_load_relaxed(&words[count]), 99);
        }
    }
}

static void never_written_reads_as_zero(void **state)
{
    (void)state;
    npi_a64 version = {0}, words[2] = {{0}};
    uint64_t to[2] = {1, 2};
    assert_true(npi_snapshot_read(&version, words, to, 2));
    assert_int_equal(to[0] | to[1], 0);
}

static void a_write_under_way_is_refused(void **state)
{
    (void)state;
    npi_a64 version = {0}, words[2] = {{0}};
    uint64_t from[2] = {1, 2}, to[2];
    npi_snapshot_write(&version, words, from, 2);
    npi_a64_store_relaxed(&version, npi_a64_load_relaxed(&version) + 1);
    assert_false(npi_snapshot_read(&version, words, to, 2));
    npi_a64_store_relaxed(&version, npi_a64_load_relaxed(&version) + 1);
    assert_true(npi_snapshot_read(&version, words, to, 2));
}

static void the_version_may_wrap(void **state)
{
    (void)state;
    npi_a64 version, words[1] = {{0}};
    npi_a64_init(&version, UINT64_MAX - 1);
    for (uint64_t value = 1; value < 4; value++) {
        uint64_t read = 0;
        npi_snapshot_write(&version, words, &value, 1);
        assert_true(npi_snapshot_read(&version, words, &read, 1));
        assert_int_equal(read, value);
    }
}

/* ------------------------------------------------------------------------ several threads */

#define READERS 3u
#define WRITES 200000u

struct shared {
    npi_a64 version;
    npi_a64 words[WORDS];
    npi_a32 done;
    npi_a64 whole, torn;
};

static void write_or_read(void *context, unsigned index)
{
    struct shared *shared = context;
    uint64_t words[WORDS];
    if (index == 0) {
        for (uint64_t turn = 1; turn <= WRITES; turn++) {
            for (unsigned i = 0; i < WORDS; i++) {
                words[i] = test_mix(turn * WORDS + i);
            }
            words[WORDS / 2] = turn;
            npi_snapshot_write(&shared->version, shared->words, words, WORDS);
        }
        npi_a32_store_release(&shared->done, 1);
        return;
    }
    uint64_t turn_before = 0, whole = 0, torn = 0;
    bool last;
    do {
        last = npi_a32_load_acquire(&shared->done) != 0;
        if (!npi_snapshot_read(&shared->version, shared->words, words, WORDS)) {
            thread_assert(!last);
            torn++;
            continue;
        }
        whole++;
        uint64_t turn = words[WORDS / 2];
        thread_assert(turn >= turn_before && turn <= WRITES);
        turn_before = turn;
        for (unsigned i = 0; i < WORDS && turn != 0; i++) {
            thread_assert(i == WORDS / 2 || words[i] == test_mix(turn * WORDS + i));
        }
    } while (!last);
    thread_assert(turn_before == WRITES);
    (void)npi_a64_add_relaxed(&shared->whole, whole);
    (void)npi_a64_add_relaxed(&shared->torn, torn);
}

static void copies_are_whole_beside_a_writer(void **state)
{
    (void)state;
    static struct shared shared;
    test_run_threads(READERS + 1, write_or_read, &shared);
    assert_true(npi_a64_load_relaxed(&shared.whole) >= READERS);
    printf("copies: %llu whole, %llu refused\n",
           (unsigned long long)npi_a64_load_relaxed(&shared.whole),
           (unsigned long long)npi_a64_load_relaxed(&shared.torn));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(never_written_reads_as_zero),
        cmocka_unit_test(a_write_under_way_is_refused),
        cmocka_unit_test(the_version_may_wrap),
        cmocka_unit_test(copies_are_whole_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
