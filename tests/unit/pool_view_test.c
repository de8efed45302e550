/* From two samples to what is shown: rates, percentiles of an interval, sums, age; and short numbers. */
#include "unit/core_support.h"

#include "tool/pool_view.h"

#define S UINT64_C(1000000000)
#define SHARDS 2u

static struct page page;
static struct numapool_page_shard shards[SHARDS];
static struct numapool_page_times times[SHARDS];
static struct page_sample sample = {.shard_count = SHARDS, .shards = shards, .times = times};

/* At ten seconds, everything published then. */
static void begin(void)
{
    memset(shards, 0, sizeof shards);
    memset(times, 0, sizeof times);
    page.header.tick_ns = 10000000;
    page.header.shard_count = SHARDS;
    sample.phase = NUMAPOOL_PAGE_OPEN;
    sample.taken_ns = 10 * S;
    for (unsigned i = 0; i < SHARDS; i++) {
        shards[i].published_ns = times[i].published_ns = 10 * S;
        shards[i].updates = 1;
        shards[i].budget = 100;
    }
}

static void publish(unsigned i, uint64_t at_ns)
{
    shards[i].published_ns = times[i].published_ns = at_ns;
    shards[i].updates++;
}

static void add_waits(unsigned i, unsigned bucket, uint64_t count)
{
    times[i].wait.bucket[bucket] += count;
    times[i].wait.count += count;
    times[i].wait.max_ns = UINT64_C(1) << 40;
}

static void update(struct pool_view *view)
{
    assert_true(pool_view_update(view, &page, &sample));
}

#define NEAR(value, expected)                                                                      \
    assert_true((value) - (expected) < 1e-6 && (expected) - (value) < 1e-6)

static void the_first_sample_has_totals(void **state)
{
    (void)state;
    struct pool_view view = {0};
    begin();
    shards[0].run = 500;
    shards[1].run = 700;
    shards[0].wait_p50_ns = 1234;
    add_waits(0, 3, 10);
    update(&view);
    assert_int_equal(view.count, 2);
    NEAR(view.rows[0].seconds, 0.0);
    NEAR(view.rows[0].rates.run, 0.0);
    NEAR(view.rows[0].since.wait_p50_ns, 1234.0); /* as the library has it */
    NEAR(view.rows[1].since.wait_p50_ns, -1.0);   /* it has run nothing */
    assert_int_equal(view.total.now.run, 1200);
    assert_int_equal(view.total.now.budget, 100); /* not a sum */
    pool_view_fini(&view);
}

static void what_was_never_published_is_as_old_as_the_pool(void **state)
{
    (void)state;
    struct pool_view view = {0};
    begin();
    memset(shards, 0, sizeof shards);
    page.header.created_ns = 9 * S;
    update(&view);
    NEAR(view.rows[0].age_s, 1.0);
    assert_false(view.total.stale);
    page.header.created_ns = 6 * S;
    update(&view);
    assert_true(view.total.stale);
    page.header.created_ns = 0;
    pool_view_fini(&view);
}

static void counters_become_rates(void **state)
{
    (void)state;
    struct pool_view view = {0};
    begin();
    shards[0].run = 500;
    shards[0].queue_depth = 5;
    update(&view);
    sample.taken_ns = 12 * S + 1;
    publish(0, 12 * S);
    publish(1, 11 * S);
    shards[0].run = 900;
    shards[0].queue_depth = 50; /* a gauge */
    shards[1].stolen_in = 30;
    update(&view);
    NEAR(view.rows[0].seconds, 2.0); /* between the two moments they were true */
    NEAR(view.rows[0].rates.run, 200.0);
    NEAR(view.rows[0].rates.queue_depth, 0.0);
    NEAR(view.rows[1].rates.stolen_in, 30.0);
    NEAR(view.total.rates.run, 200.0);
    NEAR(view.total.rates.stolen_in, 30.0);

    /* A second look before anything was published says the same, and not "nothing happens". */
    sample.taken_ns = 12 * S + S / 10;
    update(&view);
    NEAR(view.rows[0].rates.run, 200.0);
    assert_false(view.rows[0].stale);

    /* But not for ever. */
    sample.taken_ns = 20 * S;
    update(&view);
    assert_true(view.rows[0].stale && view.total.stale);
    NEAR(view.rows[0].age_s, 8.0);
    NEAR(view.rows[0].rates.run, 0.0);
    pool_view_fini(&view);
}

static void a_shard_asleep_is_as_new_as_the_look(void **state)
{
    (void)state;
    struct pool_view view = {0};
    begin();
    shards[0].state = NUMAPOOL_PAGE_ASLEEP;
    add_waits(0, 5, 10);
    sample.taken_ns = 1000 * S;
    update(&view);
    assert_false(view.rows[0].stale);
    assert_true(view.rows[1].stale);
    NEAR(view.rows[0].age_s, 0.0);
    sample.taken_ns = 1001 * S;
    update(&view);
    NEAR(view.rows[0].seconds, 1.0);
    NEAR(view.rows[0].since.wait_p99_ns, -1.0); /* none in this second */
    /* It wakes: the rate is over the time since the last look, not since it fell asleep. */
    shards[0].state = NUMAPOOL_PAGE_TICKING;
    publish(0, 1002 * S);
    shards[0].run = 10;
    sample.taken_ns = 1002 * S;
    update(&view);
    NEAR(view.rows[0].rates.run, 10.0);
    /* Its pool is closed: no news, and no fault. */
    sample.phase = NUMAPOOL_PAGE_CLOSED;
    sample.taken_ns = 2000 * S;
    update(&view);
    assert_false(view.total.stale);
    pool_view_fini(&view);
}

static void percentiles_are_of_the_interval(void **state)
{
    (void)state;
    struct pool_view view = {0};
    begin();
    add_waits(0, 100, 1000); /* before */
    update(&view);
    publish(0, 11 * S);
    publish(1, 11 * S);
    sample.taken_ns = 11 * S;
    add_waits(0, 8, 98);
    add_waits(0, 16, 2);
    add_waits(1, 40, 900);
    update(&view);
    NEAR(view.rows[0].since.wait_p50_ns, 2048.0);
    NEAR(view.rows[0].since.wait_p99_ns, 4096.0);
    NEAR(view.rows[0].since.run_p50_ns, -1.0);
    NEAR(view.total.since.wait_p50_ns, 32768.0); /* 900 of 1000 */
    /* Counters are published, times not yet: the percentiles stand. */
    shards[0].published_ns = sample.taken_ns = 11 * S + S / 10;
    shards[0].updates++;
    update(&view);
    NEAR(view.rows[0].since.wait_p99_ns, 4096.0);
    /* Beyond the last bound the largest ever stands for all. */
    publish(0, 12 * S);
    add_waits(0, NUMAPOOL_PAGE_BUCKETS - 1, 1);
    sample.taken_ns = 12 * S;
    update(&view);
    NEAR(view.rows[0].since.wait_p50_ns, (double)(UINT64_C(1) << 40));
    pool_view_fini(&view);
}

static void what_is_the_pools_is_of_who_saw_it_last(void **state)
{
    (void)state;
    struct pool_view view = {0};
    begin();
    shards[0].budget = 64;
    shards[0].pool_bytes = 4096;
    shards[0].bytes_in_use = shards[1].bytes_in_use = 9999; /* of one node */
    publish(0, 10 * S + 5);
    update(&view);
    assert_int_equal(view.total.now.budget, 64);
    assert_int_equal(view.total.now.bytes_in_use, 4096);
    pool_view_fini(&view);
}

/* The figures of a shard that sleeps are its own still, but those of the pool go on without it. */
static void what_is_the_pools_is_not_of_who_sleeps(void **state)
{
    (void)state;
    struct pool_view view = {0};
    begin();
    shards[0].budget = 64;
    shards[0].pool_bytes = 4096;
    publish(0, 3600 * S);
    shards[1].state = NUMAPOOL_PAGE_ASLEEP;
    shards[1].pool_bytes = 9999;
    sample.taken_ns = 3600 * S + 5;
    update(&view);
    assert_int_equal(view.total.now.budget, 64);
    assert_int_equal(view.total.now.bytes_in_use, 4096);
    pool_view_fini(&view);
}

/* Whose rows they are is not known: nothing is read past their end, and no rate is made of two pools. */
static void a_sample_of_other_shards_begins_afresh(void **state)
{
    (void)state;
    struct pool_view view = {0};
    begin();
    shards[0].run = 500;
    update(&view);
    struct page_sample one = sample;
    one.shard_count = 1;
    one.taken_ns = shards[0].published_ns = 11 * S;
    shards[0].updates++;
    shards[0].run = 900;
    assert_true(pool_view_update(&view, &page, &one));
    assert_int_equal(view.count, 1);
    assert_int_equal(view.total.now.run, 900);
    NEAR(view.total.seconds, 0.0);
    pool_view_fini(&view);
}

static void numbers_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } counts[] = {{-1, "-"},        {0, "0"},       {0.01, ">0"},     {0.25, "0.2"},
                  {3, "3"},         {9.4, "9.4"},   {12.3, "12"},     {999, "999"},
                  {1000, "1k"},     {1234, "1.2k"}, {99900, "99.9k"}, {123456, "123k"},
                  {999499, "999k"}, {999600, "1M"}, {2.5e9, "2.5G"},  {1.8e19, "18E"},
                  {1e22, "10000E"}},
      spans[] = {{-1, "-"},        {0, "0ns"},     {850, "850ns"},    {1000, "1us"},
                 {9949, "9.9us"},  {9951, "10us"}, {12345, "12us"},   {1.2e6, "1.2ms"},
                 {123e6, "123ms"}, {1e9, "1s"},    {99.4e9, "99.4s"}, {200e9, "3m20s"},
                 {7260e9, "2h01m"}};
    char text[POOL_TEXT_BYTES];
    for (double value = 0.001; value < 1e14; value *= 1.003) { /* as wide as the columns are */
        pool_count_text(text, value);
        assert_true(strlen(text) <= 5);
        pool_time_text(text, value);
        assert_true(strlen(text) <= 5 || value >= 600e9);
        pool_bytes_text(text, (uint64_t)value);
        assert_true(strlen(text) <= 5);
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        pool_count_text(text, counts[i].value);
        assert_string_equal(text, counts[i].text);
    }
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        pool_time_text(text, spans[i].value);
        assert_string_equal(text, spans[i].text);
    }
    pool_bytes_text(text, 0);
    assert_string_equal(text, "0");
    pool_bytes_text(text, UINT64_C(1536) << 20);
    assert_string_equal(text, "1.5G");
    pool_bytes_text(text, UINT64_MAX);
    assert_string_equal(text, "16E");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_sample_has_totals),
        cmocka_unit_test(what_was_never_published_is_as_old_as_the_pool),
        cmocka_unit_test(counters_become_rates),
        cmocka_unit_test(a_shard_asleep_is_as_new_as_the_look),
        cmocka_unit_test(percentiles_are_of_the_interval),
        cmocka_unit_test(what_is_the_pools_is_of_who_saw_it_last),
        cmocka_unit_test(what_is_the_pools_is_not_of_who_sleeps),
        cmocka_unit_test(a_sample_of_other_shards_begins_afresh),
        cmocka_unit_test(numbers_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
