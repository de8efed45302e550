/* Histograms: edges of the buckets, quantiles against a sorted list, merging, several writers. */
#include "unit/core_support.h"

#include "base/histogram.h"

#define VALUES 20000

/* The first value that is too large for the buckets. */
#define BEYOND (UINT64_C(1) << NPI_HISTOGRAM_TOP_BIT)

static void check_value(uint64_t ns)
{
    size_t index = npi_histogram_index(ns);
    assert_true(index < NPI_HISTOGRAM_BUCKETS);
    if (ns >= BEYOND) {
        assert_int_equal(index, NPI_HISTOGRAM_BUCKETS - 1);
        return;
    }
    uint64_t upper = npi_histogram_upper(index);
    assert_true(ns <= upper);
    assert_true(index == 0 || npi_histogram_upper(index - 1) < ns);
    assert_true((upper - ns) * NPI_HISTOGRAM_SUBS <= ns); /* known to 1/32 */
}

static void every_value_has_its_bucket(void **state)
{
    (void)state;
    for (uint64_t ns = 0; ns < 5000; ns++) {
        check_value(ns);
    }
    for (unsigned bit = 1; bit < 64; bit++) {
        for (int offset = -3; offset <= 3; offset++) {
            check_value((UINT64_C(1) << bit) + (uint64_t)(int64_t)offset);
        }
    }
    check_value(UINT64_MAX);
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    for (int i = 0; i < 100000; i++) {
        check_value(npi_prng_next(&prng) >> npi_prng_below(&prng, 64));
    }
}

static void buckets_leave_no_gap(void **state)
{
    (void)state;
    for (size_t index = 0; index < NPI_HISTOGRAM_BUCKETS; index++) {
        uint64_t upper = npi_histogram_upper(index);
        assert_int_equal(npi_histogram_index(upper), index);
        if (index + 1 < NPI_HISTOGRAM_BUCKETS) {
            assert_int_equal(npi_histogram_index(upper + 1), index + 1);
        } else {
            assert_int_equal(upper, BEYOND - 1);
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Against the exact answer: the value of rank ceil(count * permille / 1000), counted from 1. */
static void check_quantiles(uint64_t *values, size_t count)
{
    static struct npi_histogram histogram;
    static struct npi_histogram_sum sum;
    memset(&histogram, 0, sizeof histogram);
    memset(&sum, 0, sizeof sum);
    for (size_t i = 0; i < count; i++) {
        npi_histogram_record(&histogram, values[i]);
    }
    npi_histogram_add(&sum, &histogram);
    qsort(values, count, sizeof *values, compare);
    assert_int_equal(sum.count, count);
    assert_int_equal(sum.max, values[count - 1]);
    uint64_t before = 0;
    for (unsigned permille = 0; permille <= 1000; permille++) {
        size_t rank = (count * permille + 999) / 1000;
        uint64_t exact = values[rank == 0 ? 0 : rank - 1];
        uint64_t found = npi_histogram_quantile(&sum, permille);
        assert_true(found >= exact);
        assert_true((found - exact) * NPI_HISTOGRAM_SUBS <= exact);
        assert_true(found <= sum.max);
        assert_true(found >= before);
        before = found;
    }
}

static void quantiles_agree_with_sorting(void **state)
{
    (void)state;
    static uint64_t values[VALUES];
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    for (int shape = 0; shape < 5; shape++) {
        for (size_t count = 1; count <= VALUES; count = count < 12 ? count + 1 : count * 5 / 2) {
            for (size_t i = 0; i < count; i++) {
                uint64_t random = npi_prng_next(&prng);
                values[i] = shape == 0   ? random >> 30                /* even, to 17 s */
                            : shape == 1 ? random >> 22 >> random % 40 /* even over doublings */
                            : shape == 2 ? 777777                      /* all the same */
                            : shape == 3 ? random % 40                 /* tiny */
                                         : 1000 + (random % 100 == 0) * (random >> 23); /* a tail */
            }
            check_quantiles(values, count);
        }
    }
}

static void nothing_recorded(void **state)
{
    (void)state;
    static struct npi_histogram_sum sum;
    for (unsigned permille = 0; permille <= 1000; permille += 50) {
        assert_int_equal(npi_histogram_quantile(&sum, permille), 0);
    }
}

static void beyond_the_last_bucket_only_the_maximum_is_exact(void **state)
{
    (void)state;
    static struct npi_histogram histogram;
    static struct npi_histogram_sum sum;
    npi_histogram_record(&histogram, 5);
    npi_histogram_record(&histogram, UINT64_MAX);
    npi_histogram_record(&histogram, BEYOND + 17);
    npi_histogram_add(&sum, &histogram);
    assert_int_equal(sum.count, 3);
    assert_int_equal(sum.max, UINT64_MAX);
    assert_int_equal(sum.bucket[NPI_HISTOGRAM_BUCKETS - 1], 2);
    assert_int_equal(npi_histogram_quantile(&sum, 300), 5);
    assert_int_equal(npi_histogram_quantile(&sum, 999), BEYOND - 1);
}

static void merging_is_adding(void **state)
{
    (void)state;
    static struct npi_histogram part[3], whole;
    static struct npi_histogram_sum parts_sum, whole_sum;
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    for (int i = 0; i < VALUES; i++) {
        uint64_t ns = npi_prng_next(&prng) >> npi_prng_below(&prng, 64);
        npi_histogram_record(&part[npi_prng_below(&prng, 3)], ns);
        npi_histogram_record(&whole, ns);
    }
    for (int i = 0; i < 3; i++) {
        npi_histogram_add(&parts_sum, &part[i]);
    }
    npi_histogram_add(&whole_sum, &whole);
    assert_int_equal(parts_sum.count, VALUES);
    assert_memory_equal(&parts_sum, &whole_sum, sizeof whole_sum);
}

/* ------------------------------------------------------------------------ several threads */

#define WRITERS 4u
#define PER_WRITER 400000

struct shared {
    struct npi_histogram histogram;
    npi_a32 writers_done;
};

static uint64_t value_of(unsigned writer, int i)
{
    uint64_t random = test_mix((uint64_t)writer << 32 | (unsigned)i);
    return i % 4 == 0 ? random >> random % 64 : 1000; /* most of them meet in one bucket */
}

static void write_or_read(void *context, unsigned index)
{
    struct shared *shared = context;
    if (index < WRITERS) {
        for (int i = 0; i < PER_WRITER; i++) {
            npi_histogram_record_shared(&shared->histogram, value_of(index, i));
        }
        (void)npi_a32_add_release(&shared->writers_done, 1);
        return;
    }
    uint64_t count_before = 0, max_before = 0;
    bool last;
    do {
        last = npi_a32_load_acquire(&shared->writers_done) == WRITERS;
        struct npi_histogram_sum sum = {0};
        npi_histogram_add(&sum, &shared->histogram);
        thread_assert(sum.count >= count_before && sum.count <= WRITERS * PER_WRITER);
        thread_assert(sum.max >= max_before);
        count_before = sum.count;
        max_before = sum.max;
    } while (!last);
    thread_assert(count_before == WRITERS * PER_WRITER);
}

static void several_writers_lose_nothing(void **state)
{
    (void)state;
    static struct shared shared;
    static struct npi_histogram alone;
    test_run_threads(WRITERS + 1, write_or_read, &shared);
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        for (int i = 0; i < PER_WRITER; i++) {
            npi_histogram_record(&alone, value_of(writer, i));
        }
    }
    assert_memory_equal(&shared.histogram, &alone, sizeof alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_its_bucket),
        cmocka_unit_test(buckets_leave_no_gap),
        cmocka_unit_test(quantiles_agree_with_sorting),
        cmocka_unit_test(nothing_recorded),
        cmocka_unit_test(beyond_the_last_bucket_only_the_maximum_is_exact),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(several_writers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
