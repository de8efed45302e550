/* Groups without a pool: members counted, waiters told, memory freed by the last one who holds it.
 */
#include "unit/core_support.h"

#include "flow/group.h"
#include "flow/pool.h"
#include "os/os.h"

static const uint64_t alive = NPI_ALIVE;
static struct numapool pool = {.alive = &alive};

static numapool_group *new_group(void)
{
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, &pool), NUMAPOOL_OK);
    assert_non_null(group);
    return group;
}

static void a_new_group_is_empty(void **state)
{
    (void)state;
    numapool_group *group = new_group();
    assert_true(npi_group_await(group, 0));
    assert_true(npi_group_await(group, UINT64_MAX));
    assert_false(npi_group_is_cancelled(group));
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
}

static void members_are_waited_for(void **state)
{
    (void)state;
    numapool_group *group = new_group();
    test_watch("members_are_waited_for", NULL);
    for (int turn = 0; turn < 3; turn++) {
        npi_group_join(group);
        npi_group_join(group);
        assert_false(npi_group_await(group, 0));
        npi_group_part(group);
        uint64_t deadline_ns = npi_clock_now_ns() + 1000000;
        assert_false(npi_group_await(group, deadline_ns));
        assert_true(npi_clock_now_ns() >= deadline_ns);
        npi_group_part(group);
        assert_true(npi_group_await(group, UINT64_MAX));
        assert_int_equal(npi_a32_load_relaxed(&group->waiters), 0);
        assert_int_equal(npi_a32_load_relaxed(&group->turn), (uint32_t)turn + 1);
    }
    test_watch_end();
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
}

static void cancelling_is_seen_and_stays(void **state)
{
    (void)state;
    numapool_group *group = new_group();
    npi_group_join(group);
    assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
    assert_true(npi_group_is_cancelled(group));
    assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
    assert_true(npi_group_is_cancelled(group));
    assert_false(npi_group_await(group, 0)); /* members part all the same */
    npi_group_part(group);
    assert_true(npi_group_await(group, 0));
    assert_true(npi_group_is_cancelled(group));
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
}

static void nothing_given_is_told(void **state)
{
    (void)state;
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(NULL, &pool), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_group_create(&group, NULL), NUMAPOOL_E_INVALID);
    assert_null(group);
    assert_int_equal(numapool_group_cancel(NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_group_wait(NULL, 0), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_group_destroy(NULL), NUMAPOOL_OK);
}

static void a_child_of_fork_has_no_groups(void **state)
{
    (void)state;
    static const uint64_t dead = 0;
    struct numapool forked = {.alive = &dead};
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, &forked), NUMAPOOL_E_FORKED);
    assert_null(group);
    group = new_group();
    group->pool = &forked;
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_E_FORKED);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
}

static void the_public_wait_has_a_time(void **state)
{
    (void)state;
    numapool_group *group = new_group();
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_OK);
    npi_group_join(group);
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(numapool_group_wait(group, 1000), NUMAPOOL_E_TIMEDOUT);
    npi_group_part(group);
    assert_int_equal(numapool_group_wait(group, UINT64_MAX), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
}

/* ------------------------------------------------------------------------ several threads */

#define MEMBERS 3u
#define ROUNDS 6000u

struct race {
    numapool_group *group;
    unsigned members, waiters;
    npi_a32 arrived;
    uint64_t result[MEMBERS]; /* plain: handed over by @group-emptied */
};

static struct race race;

static void dump_race(void)
{
    uint64_t counts = npi_a64_load_sc(&race.group->counts);
    (void)dprintf(STDERR_FILENO, "members %u holds %u turn %u waiters %u\n",
                  npi_group_members(counts), (unsigned)(counts >> 32),
                  npi_a32_load_sc(&race.group->turn), npi_a32_load_sc(&race.group->waiters));
}

/* A barrier that mostly spins, so that threads leave it close together. */
static void meet(uint32_t meeting)
{
    uint32_t all = (race.members + race.waiters) * meeting;
    (void)npi_a32_add_sc(&race.arrived, 1);
    for (unsigned turn = 1; npi_a32_load_sc(&race.arrived) < all; turn++) {
        if (turn % 256 == 0) {
            (void)sched_yield();
        }
        npi_pause();
    }
}

/* Members part at any time, waiters look at any time; nobody waits for ever, and who was told that
   all have parted sees what they wrote. */
static void part_or_wait(void *context, unsigned index)
{
    (void)context;
    struct npi_prng prng;
    npi_prng_seed(&prng, index);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        if (index == 0) {
            for (unsigned i = 0; i < race.members; i++) {
                npi_group_join(race.group);
            }
        }
        meet(2 * round - 1);
        for (uint32_t i = npi_prng_below(&prng, 10); i > 0; i--) {
            npi_pause();
        }
        if (index < race.members) {
            race.result[index] = round;
            npi_group_part(race.group);
        } else {
            thread_assert(npi_group_await(race.group, UINT64_MAX));
            for (unsigned i = 0; i < race.members; i++) {
                thread_assert(race.result[i] == round);
            }
        }
        meet(2 * round);
    }
}

static void no_waiter_is_forgotten(void **state)
{
    (void)state;
    static const unsigned sizes[][2] = {{1, 1}, {MEMBERS, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(&race, 0, sizeof race);
        race.group = new_group();
        race.members = sizes[i][0];
        race.waiters = sizes[i][1];
        test_watch("no_waiter_is_forgotten", dump_race);
        test_run_threads(race.members + race.waiters, part_or_wait, NULL);
        test_watch_end();
        assert_int_equal(npi_a32_load_relaxed(&race.group->turn), ROUNDS);
        assert_int_equal(npi_a32_load_relaxed(&race.group->waiters), 0);
        assert_int_equal(npi_a64_load_relaxed(&race.group->counts), NPI_GROUP_HOLD);
        assert_int_equal(numapool_group_destroy(race.group), NUMAPOOL_OK);
    }
}

/* Creator and members let go in any order; the sanitizers see a use after free, or a leak. */
static void let_go(void *context, unsigned index)
{
    numapool_group *group = context;
    if (index == 0) {
        thread_assert(numapool_group_destroy(group) == NUMAPOOL_OK);
    } else {
        npi_group_part(group);
    }
}

static void the_last_holder_frees(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        numapool_group *group = new_group();
        for (unsigned i = 0; i < MEMBERS; i++) {
            npi_group_join(group);
        }
        test_run_threads(MEMBERS + 1, let_go, group);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_group_is_empty),
        cmocka_unit_test(members_are_waited_for),
        cmocka_unit_test(cancelling_is_seen_and_stays),
        cmocka_unit_test(nothing_given_is_told),
        cmocka_unit_test(a_child_of_fork_has_no_groups),
        cmocka_unit_test(the_public_wait_has_a_time),
        cmocka_unit_test(no_waiter_is_forgotten),
        cmocka_unit_test(the_last_holder_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
