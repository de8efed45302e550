/* The screen of numapool top as text: columns for every width, order, bars. */
#include "unit/core_support.h"

#include "tool/top_view.h"

#define ROWS 5u

static struct pool_row rows[ROWS];
static const struct pool_view view = {.count = ROWS, .rows = rows};

static void begin(void)
{
    memset(rows, 0, sizeof rows);
    for (unsigned i = 0; i < ROWS; i++) {
        rows[i].seconds = 1.0;
        rows[i].now.queue_capacity = 1000;
        rows[i].now.quota = 10;
    }
}

static bool shows(const struct top_layout *layout, enum top_column column)
{
    for (unsigned i = 0; i < layout->count; i++) {
        if (layout->at[i].column == column) {
            return true;
        }
    }
    return false;
}

static void columns_fit_every_width(void **state)
{
    (void)state;
    unsigned before = 0;
    for (unsigned width = 1; width < 300; width++) {
        struct top_layout layout;
        char titles[400], row[400];
        top_view_lay_out(&layout, width);
        assert_true(layout.count >= 1 && layout.count >= before);
        assert_int_equal(layout.at[0].column, TOP_SHARD);
        before = layout.count;
        unsigned end = 0;
        for (unsigned i = 0; i < layout.count; i++) {
            assert_int_equal(layout.at[i].x, end == 0 ? 0 : end + 1);
            end = layout.at[i].x + layout.at[i].width;
        }
        assert_true(end <= width || layout.count == 1);
        top_view_titles(&layout, titles, sizeof titles);
        top_view_row(&layout, &rows[0], "0", row, sizeof row);
        assert_int_equal(strlen(titles), end);
        assert_int_equal(strlen(row), end);
        char small[8]; /* nothing is written behind the buffer's end */
        memset(small, 'x', sizeof small);
        top_view_row(&layout, &rows[0], "0", small, sizeof small - 1);
        assert_int_equal(small[sizeof small - 1], 'x');
        assert_true(strlen(small) < sizeof small - 1);
    }
    assert_int_equal(before, TOP_COLUMNS);
}

static void eighty_columns_show_what_matters(void **state)
{
    (void)state;
    struct top_layout layout;
    top_view_lay_out(&layout, 80);
    for (int column = 0; column < TOP_RUN_P50; column++) {
        assert_true(shows(&layout, (enum top_column)column));
    }
    top_view_lay_out(&layout, 60);
    static const enum top_column kept[] = {TOP_SHARD, TOP_QUEUE,   TOP_RUN,     TOP_PARKED,
                                           TOP_DONE,  TOP_REFUSED, TOP_WAIT_P99};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        assert_true(shows(&layout, kept[i]));
    }
    char titles[100];
    top_view_lay_out(&layout, 80);
    top_view_titles(&layout, titles, sizeof titles);
    assert_non_null(strstr(titles, "SHRD NODE QUEUE "));
    assert_non_null(strstr(titles, " DONE/S REF/S FWD/S STL/S   W50   W99"));
}

static void a_row_says_it(void **state)
{
    (void)state;
    struct top_layout layout;
    char row[200];
    begin();
    struct pool_row *r = &rows[1];
    r->now.node_os_index = 3;
    r->now.queue_depth = 500;
    r->now.workers_running = 10;
    r->now.workers_parked = 21;
    r->now.workers_blocked = 22;
    r->rates.run = 12300.0;
    r->rates.refused_full = 40.0;
    r->rates.refused_shed = 2.0;
    r->rates.forwarded_in = 5.0;
    r->rates.stolen_in = 6.0;
    r->since = (struct pool_times){12000.0, 1.2e6, -1.0, -1.0};
    top_view_lay_out(&layout, 80);
    top_view_row(&layout, r, "1", row, sizeof row);
    char shard[8], node[8], queue[16], run[16], parked[8], blocked[8], done[8], refused[8],
        forwarded[8], stolen[8], p50[8], p99[8];
    assert_int_equal(sscanf(row, "%7s %7s [%15[^]]] [%15[^]]] %7s %7s %7s %7s %7s %7s %7s %7s",
                            shard, node, queue, run, parked, blocked, done, refused, forwarded,
                            stolen, p50, p99),
                     12);
    assert_string_equal(shard, "1");
    assert_string_equal(node, "3");
    assert_non_null(strstr(queue, "500/1k"));
    assert_non_null(strstr(run, "10/10"));
    assert_string_equal(parked, "21");
    assert_string_equal(blocked, "22");
    assert_string_equal(done, "12.3k");
    assert_string_equal(refused, "42");
    assert_string_equal(forwarded, "5");
    assert_string_equal(stolen, "6");
    assert_string_equal(p50, "12us");
    assert_string_equal(p99, "1.2ms");
    assert_int_equal(run[0], '|'); /* full */
    /* Without an earlier sample there are no rates. */
    r->seconds = 0.0;
    top_view_row(&layout, r, "1", row, sizeof row);
    assert_null(strstr(row, "12.3k"));
    /* Of the sum no node is said. */
    top_view_row(&layout, r, "all", row, sizeof row);
    assert_int_equal(strncmp(row, " all      [", 10), 0);
}

static void bars_fill(void **state)
{
    (void)state;
    begin();
    struct pool_row *r = &rows[0];
    assert_true(top_view_fill(TOP_QUEUE, r) <= 0.0 && top_view_fill(TOP_QUEUE, r) >= 0.0);
    assert_true(top_view_fill(TOP_DONE, r) < 0.0);
    r->now.queue_depth = 250;
    assert_true(top_view_fill(TOP_QUEUE, r) > 0.24 && top_view_fill(TOP_QUEUE, r) < 0.26);
    r->now.workers_running = 12; /* more than the quota, for a moment */
    assert_true(top_view_fill(TOP_RUN, r) > 0.99 && top_view_fill(TOP_RUN, r) < 1.01);
    r->now.quota = 0;
    r->now.workers_running = 0;
    assert_true(top_view_fill(TOP_RUN, r) >= 0.0 && top_view_fill(TOP_RUN, r) <= 0.0);
    /* One task of a million is seen. */
    struct top_layout layout;
    char row[200];
    r->now.queue_depth = 1;
    r->now.queue_capacity = 1000000;
    top_view_lay_out(&layout, 120);
    top_view_row(&layout, r, "0", row, sizeof row);
    assert_non_null(strstr(row, "[| "));
}

static void expect_order(enum top_sort sort, bool reverse, const char *expected)
{
    size_t order[ROWS];
    char text[ROWS + 1] = "";
    top_view_order(&view, sort, reverse, order);
    for (unsigned i = 0; i < ROWS; i++) {
        text[i] = (char)('0' + order[i]);
    }
    assert_string_equal(text, expected);
}

static void shards_come_in_order(void **state)
{
    (void)state;
    begin();
    rows[3].now.queue_depth = 9;
    rows[1].now.queue_depth = 5;
    rows[2].rates.run = 4.0;
    rows[4].rates.refused_shed = 1.0;
    rows[0].now.workers_running = 3;
    for (unsigned i = 0; i < ROWS; i++) {
        rows[i].since.wait_p99_ns = i == 2 ? -1.0 : (double)i;
    }
    expect_order(TOP_SORT_SHARD, false, "01234");
    expect_order(TOP_SORT_SHARD, true, "43210");
    expect_order(TOP_SORT_QUEUE, false, "31024");
    expect_order(TOP_SORT_QUEUE, true, "42013");
    expect_order(TOP_SORT_DONE, false, "20134");
    expect_order(TOP_SORT_REFUSED, false, "40123");
    expect_order(TOP_SORT_RUN, false, "01234");
    expect_order(TOP_SORT_WAIT, false, "43102");
    for (int sort = 0; sort < TOP_SORTS; sort++) {
        assert_true(strlen(top_sort_name((enum top_sort)sort)) <= 8);
    }
}

static void the_help_fits_a_small_screen(void **state)
{
    (void)state;
    unsigned lines = 0;
    for (; top_help[lines] != NULL; lines++) {
        assert_true(strlen(top_help[lines]) <= 50);
    }
    assert_true(lines > 5 && lines <= 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_fit_every_width),
        cmocka_unit_test(eighty_columns_show_what_matters),
        cmocka_unit_test(a_row_says_it),
        cmocka_unit_test(bars_fill),
        cmocka_unit_test(shards_come_in_order),
        cmocka_unit_test(the_help_fits_a_small_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
