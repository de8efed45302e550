/* The table of `numapool stat`: what its columns say is what stands below them, in every row. */
#include "unit/core_support.h"

#include "tool/stat_print.h"

#define SHARDS 2u

static struct pool_row rows[SHARDS];
static struct stat_pool pool = {.view = {.count = SHARDS, .rows = rows}};

static char text[1024];

static void print(bool per_second)
{
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    stat_print_rows(out, &pool, per_second);
    assert_int_equal(fclose(out), 0);
}

/* One shard has been published between two looks, the other has not yet. */
static void no_total_stands_under_a_rate(void **state)
{
    (void)state;
    rows[0] = (struct pool_row){.seconds = 1.0, .now = {.run = 12300}, .rates = {.run = 50}};
    rows[1] = (struct pool_row){.seconds = 0.0, .now = {.run = 45600, .stolen_in = 78900}};
    pool.view.total =
        (struct pool_row){.seconds = 1.0, .now = {.run = 57900}, .rates = {.run = 50}};
    print(true);
    assert_null(strchr(text, 'k'));
    assert_non_null(strstr(text, "50"));
    const char *second = strchr(text, '\n') + 1;
    assert_non_null(strstr(second, "      -      -      -      - "));
    print(false);
    assert_non_null(strstr(text, "12.3k"));
    assert_non_null(strstr(text, "45.6k"));
    assert_non_null(strstr(text, "78.9k"));
    assert_non_null(strstr(text, "57.9k"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_total_stands_under_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
