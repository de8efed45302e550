/* Sets of CPU numbers: against a plain array of flags, at word borders, and as text both ways. */
#include "unit/topology_support.h"

#include <stdlib.h>
#include <string.h>

#define IDS 300

static void random_set(struct npi_cpuset *set, bool *flags, uint64_t *seed)
{
    npi_cpuset_fini(set);
    memset(flags, 0, IDS * sizeof *flags);
    unsigned count = next_random(seed) % 40;
    for (unsigned i = 0; i < count; i++) {
        unsigned id = next_random(seed) % IDS;
        assert_true(npi_cpuset_add(set, id));
        flags[id] = true;
    }
    /* Trailing zero words must not matter: leave some now and then. */
    if (next_random(seed) % 2 && !flags[IDS - 1]) {
        assert_true(npi_cpuset_add(set, IDS - 1));
        npi_cpuset_remove(set, IDS - 1);
    }
}

static void expect_flags(const struct npi_cpuset *set, const bool *flags)
{
    size_t count = 0;
    int previous = -1;
    for (unsigned id = 0; id < IDS; id++) {
        assert_int_equal(npi_cpuset_has(set, id), flags[id]);
        if (!flags[id])
            continue;
        assert_int_equal(npi_cpuset_next(set, previous), (int)id);
        previous = (int)id;
        count++;
    }
    assert_int_equal(npi_cpuset_next(set, previous), -1);
    assert_int_equal(npi_cpuset_count(set), count);
}

static void operations_agree_with_flags(void **state)
{
    (void)state;
    uint64_t seed = 11;
    struct npi_cpuset a = {0}, b = {0}, c = {0};
    bool in_a[IDS], in_b[IDS], wanted[IDS];
    for (int round = 0; round < 2000; round++) {
        random_set(&a, in_a, &seed);
        random_set(&b, in_b, &seed);
        bool equal = true, meets = false, covers = true;
        for (unsigned id = 0; id < IDS; id++) {
            equal = equal && in_a[id] == in_b[id];
            meets = meets || (in_a[id] && in_b[id]);
            covers = covers && (in_a[id] || !in_b[id]);
        }
        assert_int_equal(npi_cpuset_equal(&a, &b), equal);
        assert_int_equal(npi_cpuset_intersects(&a, &b), meets);
        assert_int_equal(npi_cpuset_contains(&a, &b), covers);
        for (int what = 0; what < 3; what++) {
            assert_true(npi_cpuset_copy(&c, &a));
            expect_flags(&c, in_a);
            if (what == 0)
                assert_true(npi_cpuset_union(&c, &b));
            else if (what == 1)
                npi_cpuset_intersect(&c, &b);
            else
                npi_cpuset_subtract(&c, &b);
            for (unsigned id = 0; id < IDS; id++)
                wanted[id] = what == 0   ? in_a[id] || in_b[id]
                             : what == 1 ? in_a[id] && in_b[id]
                                         : in_a[id] && !in_b[id];
            expect_flags(&c, wanted);
        }
    }
    npi_cpuset_fini(&a);
    npi_cpuset_fini(&b);
    npi_cpuset_fini(&c);
}

static void text_reads_back(void **state)
{
    (void)state;
    uint64_t seed = 12;
    struct npi_cpuset a = {0}, b = {0};
    bool flags[IDS];
    char text[4096];
    for (int round = 0; round < 1000; round++) {
        random_set(&a, flags, &seed);
        size_t length = npi_cpuset_print(&a, text, sizeof text);
        assert_int_equal(length, strlen(text));
        if (npi_cpuset_count(&a) == 0) {
            assert_string_equal(text, "");
            continue;
        }
        assert_int_equal(npi_cpuset_parse(&b, text, NULL), NPI_CPUSET_PARSED);
        assert_true(npi_cpuset_equal(&a, &b));
    }
    npi_cpuset_fini(&a);
    npi_cpuset_fini(&b);
}

static void print_is_terminated_and_tells_the_length(void **state)
{
    (void)state;
    struct npi_cpuset set = set_of("0-3,8,64-70,1000");
    const char whole[] = "0-3,8,64-70,1000";
    assert_int_equal(npi_cpuset_print(&set, NULL, 0), sizeof whole - 1);
    for (size_t size = 1; size < sizeof whole + 2; size++) {
        char text[sizeof whole + 4];
        memset(text, '#', sizeof text);
        assert_int_equal(npi_cpuset_print(&set, text, size), sizeof whole - 1);
        size_t kept = size - 1 < sizeof whole - 1 ? size - 1 : sizeof whole - 1;
        assert_int_equal(strlen(text), kept);
        assert_memory_equal(text, whole, kept);
        assert_int_equal(text[size], '#');
    }
    npi_cpuset_fini(&set);
}

static void lists_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *set;
    } good[] = {
        {"0", "0"},         {"0-0", "0"},           {" 1 , 3-5\t,\n7 ", "1,3-5,7"},
        {"5,3,4", "3-5"},   {"0-8:2", "0,2,4,6,8"}, {"0-9:3", "0,3,6,9"},
        {"0-3:100", "0"},   {"65535", "65535"},     {"007", "7"},
        {"0-3,2-5", "0-5"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct npi_cpuset set = {0};
        assert_int_equal(npi_cpuset_parse(&set, good[i].text, NULL), NPI_CPUSET_PARSED);
        assert_set(&set, good[i].set);
        npi_cpuset_fini(&set);
    }
}

static void bad_lists_are_refused_and_leave_the_set(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum npi_cpuset_parse result;
        size_t where;
    } bad[] = {
        {"", NPI_CPUSET_MALFORMED, 0},        {"  ", NPI_CPUSET_MALFORMED, 2},
        {"x", NPI_CPUSET_MALFORMED, 0},       {"1,", NPI_CPUSET_MALFORMED, 2},
        {",1", NPI_CPUSET_MALFORMED, 0},      {"1,,2", NPI_CPUSET_MALFORMED, 2},
        {"1-", NPI_CPUSET_MALFORMED, 0},      {"-1", NPI_CPUSET_MALFORMED, 0},
        {"3-1", NPI_CPUSET_BACKWARDS, 0},     {"0,5-4", NPI_CPUSET_BACKWARDS, 2},
        {"0-4:0", NPI_CPUSET_MALFORMED, 0},   {"0-4:", NPI_CPUSET_MALFORMED, 0},
        {"1 2", NPI_CPUSET_MALFORMED, 0},     {"1;2", NPI_CPUSET_MALFORMED, 0},
        {"65536", NPI_CPUSET_MALFORMED, 0},   {"99999999999999999999", NPI_CPUSET_MALFORMED, 0},
        {"0-65536", NPI_CPUSET_MALFORMED, 0}, {"0x10", NPI_CPUSET_MALFORMED, 0},
        {"0-3:2:1", NPI_CPUSET_MALFORMED, 0}, {"1.5", NPI_CPUSET_MALFORMED, 0},
    };
    struct npi_cpuset set = set_of("9");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t where = 77;
        assert_int_equal(npi_cpuset_parse(&set, bad[i].text, &where), bad[i].result);
        assert_int_equal(where, bad[i].where);
        assert_set(&set, "9");
    }
    npi_cpuset_fini(&set);
}

static void numbers_have_a_bound(void **state)
{
    (void)state;
    struct npi_cpuset set = {0};
    assert_true(npi_cpuset_add(&set, NPI_CPU_ID_MAX));
    assert_false(npi_cpuset_add(&set, NPI_CPU_ID_MAX + 1));
    assert_false(npi_cpuset_add(&set, UINT32_MAX));
    assert_false(npi_cpuset_has(&set, UINT32_MAX));
    npi_cpuset_remove(&set, UINT32_MAX);
    assert_set(&set, "65535");
    npi_cpuset_fini(&set);
}

/* A file of whole ranges could otherwise keep a CPU busy for minutes. */
static void lists_name_no_more_than_is_sane(void **state)
{
    (void)state;
    struct npi_cpuset set = {0};
    size_t where = 0;
    assert_int_equal(npi_cpuset_parse(&set, "0-65535,0-65535,0-65535,0-65535", NULL),
                     NPI_CPUSET_PARSED);
    assert_int_equal(npi_cpuset_count(&set), 65536);
    assert_int_equal(npi_cpuset_parse(&set, "0-65535,0-65535,0-65535,0-65535,0", &where),
                     NPI_CPUSET_MALFORMED);
    assert_int_equal(where, 32);
    npi_cpuset_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_name_no_more_than_is_sane),
        cmocka_unit_test(operations_agree_with_flags),
        cmocka_unit_test(text_reads_back),
        cmocka_unit_test(print_is_terminated_and_tells_the_length),
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(bad_lists_are_refused_and_leave_the_set),
        cmocka_unit_test(numbers_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
