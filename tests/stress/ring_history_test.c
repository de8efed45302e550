/*
 * The ring under real threads, every operation written down, and the history held against what a
 * first-in-first-out queue may do. First the checker itself: against the plain definition, and with
 * a queue that is wrong on purpose.
 */
#include "stress/history.h"
#include "unit/ring_support.h"

/* ---------------------------------------------------------------------------- the checker */

/* The definitions as they stand in history.h, in quadratic time. */
static struct history_faults by_definition(const struct history *history)
{
    struct history_faults faults = {0};
    const struct history_value *values = history->values;
    for (size_t i = 0; i < history->value_count; i++) {
        faults.repeated += values[i].takes > 1;
        faults.lost += values[i].puts != 0 && values[i].takes == 0;
        faults.fresh += values[i].takes != 0 &&
                        (values[i].puts == 0 || values[i].take.end < values[i].put.begin);
        bool overtaken = false;
        for (size_t k = 0; k < history->value_count; k++) {
            overtaken =
                overtaken || (values[i].puts != 0 && values[i].takes != 0 && values[k].puts != 0 &&
                              values[k].takes != 0 && values[k].put.end < values[i].put.begin &&
                              values[k].take.begin > values[i].take.end);
        }
        faults.order += overtaken;
    }
    for (size_t i = 0; i < history->empty_count; i++) {
        bool there = false;
        for (size_t k = 0; k < history->value_count; k++) {
            there =
                there || (values[k].puts != 0 && values[k].put.end < history->empties[i].begin &&
                          (values[k].takes == 0 || values[k].take.begin > history->empties[i].end));
        }
        faults.false_empty += there;
    }
    return faults;
}

static void the_checker_agrees_with_the_definition(void **state)
{
    (void)state;
    enum { VALUES = 24, EMPTIES = 8, HORIZON = 60 };
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    struct history_faults seen = {0};
    for (int turn = 0; turn < 20000; turn++) {
        struct history_value values[VALUES];
        struct history_span empties[EMPTIES];
        struct history history = {values, npi_prng_below(&prng, VALUES + 1), empties,
                                  npi_prng_below(&prng, EMPTIES + 1)};
        for (size_t i = 0; i < history.value_count; i++) {
            uint64_t put = i * 2 + npi_prng_below(&prng, 4);
            uint64_t take = put + npi_prng_below(&prng, HORIZON / 4);
            values[i] = (struct history_value){{put, put + npi_prng_below(&prng, 6)},
                                               {take, take + npi_prng_below(&prng, 6)},
                                               1,
                                               1};
            uint32_t fault = npi_prng_below(&prng, 60);
            values[i].takes = fault == 0 ? 2 : fault == 1 ? 0 : 1;
            values[i].puts = fault == 2 ? 0 : 1;
            if (fault == 3) {
                values[i].take.begin = values[i].take.end = put > 3 ? put - 3 : 0;
            }
        }
        for (size_t i = 0; i < history.empty_count; i++) {
            empties[i].begin = npi_prng_below(&prng, HORIZON);
            empties[i].end = empties[i].begin + npi_prng_below(&prng, 6);
        }
        struct history_faults found, wanted = by_definition(&history);
        assert_true(history_check(&history, &found));
        assert_memory_equal(&found, &wanted, sizeof wanted);
        seen.fresh += found.fresh;
        seen.repeated += found.repeated;
        seen.lost += found.lost;
        seen.order += found.order;
        seen.false_empty += found.false_empty;
    }
    assert_true(seen.fresh != 0 && seen.repeated != 0 && seen.lost != 0 && seen.order != 0 &&
                seen.false_empty != 0);
}

/* One planted fault each, in a history of two that is right without it. */
static void each_fault_is_found_alone(void **state)
{
    (void)state;
    const struct history_value right[2] = {{{1, 2}, {5, 6}, 1, 1}, {{3, 4}, {7, 8}, 1, 1}};
    const struct history_span empty_right = {9, 10};
    struct {
        struct history_value values[2];
        struct history_span empty;
        struct history_faults wanted;
    } cases[] = {
        {.wanted = {0}},
        {.wanted = {.fresh = 1}},
        {.wanted = {.fresh = 1}},
        {.wanted = {.repeated = 1}},
        {.wanted = {.lost = 1}},
        {.wanted = {.order = 1}},
        {.wanted = {.false_empty = 1}},
        {.wanted = {0}},
    };
    const size_t count = sizeof cases / sizeof cases[0];
    for (size_t i = 0; i < count; i++) {
        memcpy(cases[i].values, right, sizeof right);
        cases[i].empty = empty_right;
    }
    cases[1].values[1].put = (struct history_span){11, 12}; /* taken before it was put */
    cases[2].values[1].puts = 0;                            /* never put */
    cases[3].values[0].takes = 2;
    cases[4].values[1].takes = 0;
    cases[4].empty = (struct history_span){0, 0};
    cases[5].values[0].take = (struct history_span){9, 10}; /* the later one was out before it */
    cases[5].empty = (struct history_span){11, 12};
    cases[6].empty = (struct history_span){4, 4}; /* the first was in all the time */
    cases[7].empty = (struct history_span){2, 3}; /* overlaps its put: allowed */
    for (size_t i = 0; i < count; i++) {
        struct history history = {cases[i].values, 2, &cases[i].empty, 1};
        struct history_faults found;
        assert_true(history_check(&history, &found));
        assert_memory_equal(&found, &cases[i].wanted, sizeof found);
    }
}

/* --------------------------------------------------------------------------- the recorder */

#define EMPTIES_EACH 100000u
#define BATCH_MAX 4u

struct session {
    struct test_ring test;
    unsigned producers, consumers;
    uint32_t each; /* values per producer */
    uint64_t seed;
    /* A fault on purpose: every so many values one is said to be in the queue and held back. 0 =
     * none. */
    uint32_t hold_back;
    struct history_value *values;
    uint8_t *rank_of;
    struct history_span *empties[NPI_RING_CLASSES]; /* EMPTIES_EACH per consumer */
    npi_a64 empty_counts[NPI_RING_CLASSES];
    npi_a64 clock;
    npi_a64 left;
};

/* One counter is the clock: exact on any machine. An operation that begins after another has ended
   sees a larger number. */
static uint64_t begin(struct session *session)
{
    return npi_a64_load_sc(&session->clock);
}

static uint64_t end(struct session *session)
{
    return npi_a64_add_sc(&session->clock, 1);
}

static void put(struct session *session, uint32_t first, unsigned count, unsigned rank)
{
    struct history_span span;
    unsigned done = 0;
    while (done < count) {
        span.begin = begin(session);
        int pushed = test_ring_push(&session->test, rank, first + done, count - done);
        span.end = end(session);
        for (int i = 0; i < pushed; i++, done++) {
            session->values[first + done].put = span;
        }
        if (pushed <= 0) {
            (void)sched_yield();
        }
    }
}

static void produce(struct session *session, unsigned producer)
{
    struct npi_prng prng;
    npi_prng_seed(&prng, session->seed + producer + 1);
    uint32_t next = producer * session->each, last = next + session->each;
    while (next < last) {
        unsigned rank = npi_prng_below(&prng, NPI_RING_CLASSES);
        unsigned count = 1 + npi_prng_below(&prng, BATCH_MAX);
        count = count < last - next ? count : last - next;
        for (unsigned i = 0; i < count; i++) {
            session->rank_of[next + i] = (uint8_t)rank;
        }
        if (session->hold_back != 0 &&
            next / session->hold_back != (next + count) / session->hold_back && count > 1) {
            /* Says that the first is in, then puts the others, then the first. */
            struct history_span said = {begin(session), end(session)};
            put(session, next + 1, count - 1, rank);
            put(session, next, 1, rank);
            session->values[next].put = said;
        } else {
            put(session, next, count, rank);
        }
        next += count;
    }
}

static void note_empty(struct session *session, unsigned rank, struct history_span span)
{
    uint64_t at = npi_a64_add_relaxed(&session->empty_counts[rank], 1);
    if (at < (uint64_t)EMPTIES_EACH * session->consumers) {
        session->empties[rank][at] = span;
    }
}

static void consume(struct session *session, unsigned consumer)
{
    struct npi_prng prng;
    npi_prng_seed(&prng, session->seed + consumer + 50);
    while (npi_a64_load_relaxed(&session->left) != 0) {
        struct npi_item items[BATCH_MAX];
        unsigned rank = npi_prng_below(&prng, NPI_RING_CLASSES);
        struct history_span span;
        span.begin = begin(session);
        unsigned taken = npi_ring_take(&session->test.ring, rank, 0, items,
                                       1 + npi_prng_below(&prng, BATCH_MAX));
        span.end = end(session);
        for (unsigned i = 0; i < taken; i++) {
            uint64_t number = items[i].hot[0];
            thread_assert(test_item_is_whole(&items[i]));
            thread_assert(number < (uint64_t)session->producers * session->each);
            /* Within one batch the order is known without a clock. */
            thread_assert(i == 0 || items[i - 1].hot[0] / session->each != number / session->each ||
                          items[i - 1].hot[0] < number || session->hold_back != 0);
            struct history_value *value = &session->values[number];
            value->take = span;
            (void)__atomic_fetch_add(&value->takes, 1, __ATOMIC_RELAXED);
        }
        (void)npi_a64_add_relaxed(&session->left, 0 - (uint64_t)taken);
        if (taken == 0) {
            note_empty(session, rank, span);
            (void)sched_yield();
        }
    }
}

static void take_part(void *context, unsigned index)
{
    struct session *session = context;
    if (index < session->producers) {
        produce(session, index);
    } else {
        consume(session, index - session->producers);
    }
}

static struct session *watched;

static void dump(void)
{
    (void)dprintf(STDERR_FILENO, "left %llu claim %llu\n",
                  (unsigned long long)npi_a64_load_sc(&watched->left),
                  (unsigned long long)npi_a64_load_sc(&watched->test.ring.claim));
}

/* Runs it and adds up the faults of the three classes. */
static struct history_faults record(struct session *session, uint64_t capacity)
{
    size_t total = (size_t)session->producers * session->each;
    test_ring_init(&session->test, capacity, UINT64_MAX - total / 8);
    session->values = calloc(total, sizeof *session->values);
    session->rank_of = calloc(total, sizeof *session->rank_of);
    assert_true(session->values != NULL && session->rank_of != NULL);
    for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
        session->empties[rank] =
            calloc((size_t)EMPTIES_EACH * session->consumers, sizeof *session->empties[rank]);
        assert_non_null(session->empties[rank]);
    }
    npi_a64_init(&session->left, total);
    watched = session;
    test_watch("record", dump);
    test_run_threads(session->producers + session->consumers, take_part, session);
    test_watch_end();

    struct history_faults sum = {0};
    struct history_value *of_rank = calloc(total, sizeof *of_rank);
    assert_non_null(of_rank);
    uint64_t empties = 0;
    for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
        struct history history = {of_rank, 0, session->empties[rank], 0};
        for (size_t i = 0; i < total; i++) {
            session->values[i].puts = 1;
            if (session->rank_of[i] == rank) {
                of_rank[history.value_count++] = session->values[i];
            }
        }
        uint64_t most = (uint64_t)EMPTIES_EACH * session->consumers;
        uint64_t noted = npi_a64_load_relaxed(&session->empty_counts[rank]);
        history.empty_count = (size_t)(noted < most ? noted : most);
        empties += history.empty_count;
        struct history_faults faults;
        assert_true(history_check(&history, &faults));
        sum.fresh += faults.fresh;
        sum.repeated += faults.repeated;
        sum.lost += faults.lost;
        sum.order += faults.order;
        sum.false_empty += faults.false_empty;
    }
    printf("%u producers, %u consumers, capacity %llu: %zu puts, %zu takes, %llu found it empty; "
           "fresh %llu, repeated %llu, lost %llu, order %llu, false empty %llu\n",
           session->producers, session->consumers, (unsigned long long)capacity, total, total,
           (unsigned long long)empties, (unsigned long long)sum.fresh,
           (unsigned long long)sum.repeated, (unsigned long long)sum.lost,
           (unsigned long long)sum.order, (unsigned long long)sum.false_empty);
    free(of_rank);
    for (unsigned rank = 0; rank < NPI_RING_CLASSES; rank++) {
        free(session->empties[rank]);
    }
    free(session->rank_of);
    free(session->values);
    test_ring_fini(&session->test);
    return sum;
}

/* ------------------------------------------------------------------------------- the tests */

static void a_value_held_back_is_found(void **state)
{
    (void)state;
    struct session session = {.producers = 2, .consumers = 2, .each = 40000, .hold_back = 500};
    struct history_faults faults = record(&session, 64);
    assert_true(faults.order != 0);
    assert_int_equal(faults.repeated | faults.lost, 0); /* counting does not see it */
}

/* Puts and takes; enough for a gate, and as many as somebody has the time for. */
static double operations_wanted(void)
{
    const char *text = getenv("NPI_HISTORY_OPERATIONS");
    return text != NULL ? strtod(text, NULL) : 1e7;
}

static void the_ring_is_first_in_first_out(void **state)
{
    (void)state;
    const double wanted = operations_wanted();
    static const struct {
        unsigned producers, consumers, capacity;
        uint32_t each;
    } settings[] = {
        {2, 2, 64, 300000}, {2, 2, 4, 100000}, {4, 1, 16, 80000},
        {1, 4, 64, 600000}, {3, 3, 1, 10000},  {3, 3, 256, 200000},
    };
    const size_t count = sizeof settings / sizeof settings[0];
    double operations = 0;
    uint64_t seed = test_seed();
    for (size_t turn = 0; operations < wanted || turn < count; turn++) {
        size_t i = turn % count;
        struct session session = {.producers = settings[i].producers,
                                  .consumers = settings[i].consumers,
                                  .each = settings[i].each,
                                  .seed = seed + turn * 100};
        struct history_faults faults = record(&session, settings[i].capacity);
        assert_int_equal(faults.fresh, 0);
        assert_int_equal(faults.repeated, 0);
        assert_int_equal(faults.lost, 0);
        assert_int_equal(faults.order, 0);
        assert_int_equal(faults.false_empty, 0);
        operations += 2.0 * settings[i].producers * settings[i].each;
    }
    printf("%.3g operations\n", operations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checker_agrees_with_the_definition),
        cmocka_unit_test(each_fault_is_found_alone),
        cmocka_unit_test(a_value_held_back_is_found),
        cmocka_unit_test(the_ring_is_first_in_first_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
