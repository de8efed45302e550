/* The watchdog with a clock and workers of our own: what counts as not getting on, when it is told
   of, and what makes its time begin anew. */
#include "unit/core_support.h"

#include "flow/pool.h"
#include "flow/watchdog.h"
#include "flow/worker.h"
#include "os/os.h"

#include <string.h>

#define MS UINT64_C(1000000)
#define WORKERS 20u
#define LIMIT_NS (800 * MS)
#define STEP_NS (100 * MS) /* a look takes place at each */

struct fixture {
    struct numapool pool;
    struct npi_shard shard;
    struct npi_worker workers[WORKERS];
    struct npi_sleeper sleepers[WORKERS];
    struct npi_watchdog dog;
    uint64_t now_ns;
    unsigned warnings, infos;
    char line[256]; /* the last warning */
};

static struct fixture fixture;

static void hear(void *arg, int level, const char *line)
{
    struct fixture *f = arg;
    f->warnings += level == NUMAPOOL_LOG_WARNING;
    f->infos += level == NUMAPOOL_LOG_INFO;
    if (level == NUMAPOOL_LOG_WARNING) {
        (void)snprintf(f->line, sizeof f->line, "%s", line);
    }
}

/* So many workers awake between tasks, the rest asleep. */
static struct fixture *begin(unsigned awake)
{
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    (void)npi_clock_init();
    f->pool.config.watchdog_ns = LIMIT_NS;
    f->pool.config.tick_ns = 10 * MS;
    f->pool.config.log = hear;
    f->pool.config.log_arg = f;
    f->shard.pool = &f->pool;
    f->shard.workers = f->workers;
    f->shard.gate.sleepers = f->sleepers;
    npi_a32_init(&f->shard.slots_used, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        f->workers[i].shard = &f->shard;
        f->workers[i].index = i;
        npi_a32_init(&f->workers[i].tid, 1000 + i);
        npi_a32_init(&f->sleepers[i].word, i < awake ? NPI_SLEEPER_AWAKE : NPI_SLEEPER_ASLEEP);
    }
    f->now_ns = 1000 * LIMIT_NS;
    (void)npi_watchdog_look(&f->dog, &f->shard, f->now_ns);
    return f;
}

static uint32_t stuck(struct fixture *f)
{
    return npi_a32_load_relaxed(&f->shard.workers_stuck);
}

static uint64_t ever(struct fixture *f)
{
    return npi_a64_load_relaxed(&f->shard.tasks_stuck);
}

static void pass(struct fixture *f, uint64_t ns)
{
    for (uint64_t end = f->now_ns + ns; f->now_ns < end;) {
        f->now_ns += STEP_NS;
        assert_true(npi_watchdog_look(&f->dog, &f->shard, f->now_ns) == f->now_ns + STEP_NS);
    }
}

static void told_at_the_limit_and_after_twice_that(void **state)
{
    (void)state;
    struct fixture *f = begin(1);
    npi_a64_init(&f->workers[0].started_ticks, npi_clock_ticks());
    npi_a64_init(&f->workers[0].function, 0xabcdef);
    pass(f, LIMIT_NS); /* seen at the first look only */
    assert_int_equal(stuck(f), 0);
    assert_int_equal(f->warnings, 0);
    pass(f, STEP_NS);
    assert_int_equal(stuck(f), 1);
    assert_int_equal(ever(f), 1);
    assert_int_equal(f->warnings, 1);
    assert_non_null(strstr(f->line, "function 0xabcdef"));
    assert_non_null(strstr(f->line, "thread 1000"));
    for (unsigned doubled = 1; doubled < 6; doubled++) {
        pass(f, (LIMIT_NS << (doubled - 1)) - STEP_NS);
        assert_int_equal(f->warnings, doubled);
        pass(f, STEP_NS);
        assert_int_equal(f->warnings, doubled + 1);
    }
    assert_int_equal(ever(f), 1);
    assert_int_equal(stuck(f), 1);

    npi_a64_init(&f->workers[0].done, 1); /* it has returned */
    npi_a64_init(&f->workers[0].started_ticks, 0);
    pass(f, STEP_NS);
    assert_int_equal(stuck(f), 0);
    assert_int_equal(f->infos, 1);
    pass(f, LIMIT_NS); /* and stands still after it */
    assert_int_equal(stuck(f), 1);
    assert_int_equal(ever(f), 2);
    assert_non_null(strstr(f->line, "between tasks"));
}

static void every_change_begins_the_time_anew(void **state)
{
    (void)state;
    struct fixture *f = begin(6);
    for (unsigned step = 0; step < 40; step++) {
        npi_a64_init(&f->workers[0].done, step);
        npi_a64_init(&f->workers[1].dropped, step);
        npi_a64_init(&f->workers[2].started_ticks, npi_clock_ticks());
        npi_a32_init(&f->workers[3].signs, step * NPI_SIGN);
        npi_a32_init(&f->workers[4].signs, NPI_IN_WAIT); /* waits and said so, all the time */
        npi_a32_init(&f->sleepers[5].word,               /* sleeps now and then */
                     step % 4 == 0 ? NPI_SLEEPER_ASLEEP : NPI_SLEEPER_WOKEN);
        pass(f, STEP_NS);
        assert_int_equal(stuck(f), 0);
    }
    assert_int_equal(f->warnings, 0);
    pass(f, 2 * LIMIT_NS);
    assert_int_equal(stuck(f), 5); /* all but the one that waits */
    npi_a32_init(&f->workers[4].signs, NPI_SIGN);
    pass(f, LIMIT_NS);
    assert_int_equal(stuck(f), 5); /* its time began when it came back */
    pass(f, STEP_NS);
    assert_int_equal(stuck(f), 6);
}

static void who_lies_down_and_holds_a_permit_still_is_looked_at(void **state)
{
    (void)state;
    struct fixture *f = begin(0);
    npi_a32_init(&f->workers[0].signs, NPI_IN_LEAVE);
    npi_a32_init(&f->workers[1].signs, NPI_IN_LEAVE); /* its task has ended its thread */
    npi_a32_init(&f->sleepers[1].word, NPI_SLEEPER_FREE);
    for (uint32_t step = 0; step < 20; step++) {
        npi_a32_init(&f->workers[2].signs, step * NPI_SIGN + NPI_IN_LEAVE); /* again and again */
        pass(f, STEP_NS);
    }
    assert_int_equal(stuck(f), 2);
    assert_int_equal(ever(f), 2);
    assert_non_null(strstr(f->line, "between tasks"));
    npi_a32_init(&f->workers[0].signs, NPI_SIGN);
    npi_a32_init(&f->workers[1].tid, 0);
    pass(f, STEP_NS);
    assert_int_equal(stuck(f), 0);
    assert_int_equal(f->infos, 2);
}

static void nobody_else_is_looked_at(void **state)
{
    (void)state;
    struct fixture *f = begin(0);
    const uint32_t words[] = {NPI_SLEEPER_FREE, NPI_SLEEPER_ASLEEP, NPI_SLEEPER_LEFT,
                              NPI_SLEEPER_DISMISSED};
    for (unsigned i = 0; i < 4; i++) {
        npi_a32_init(&f->sleepers[i].word, words[i]);
        npi_a64_init(&f->workers[i].started_ticks, 1);
    }
    npi_a32_init(&f->sleepers[4].word, NPI_SLEEPER_AWAKE); /* its thread has not begun */
    npi_a32_init(&f->workers[4].tid, 0);
    pass(f, 3 * LIMIT_NS);
    assert_int_equal(stuck(f), 0);
    npi_a32_init(&f->workers[4].tid, 7);
    pass(f, LIMIT_NS + STEP_NS);
    assert_int_equal(stuck(f), 1);
}

static void a_look_that_is_long_overdue_accuses_nobody(void **state)
{
    (void)state;
    struct fixture *f = begin(1);
    npi_a64_init(&f->workers[0].started_ticks, npi_clock_ticks());
    pass(f, LIMIT_NS);
    f->now_ns += 100 * LIMIT_NS; /* the machine was suspended */
    (void)npi_watchdog_look(&f->dog, &f->shard, f->now_ns);
    assert_int_equal(stuck(f), 0);
    pass(f, LIMIT_NS - STEP_NS);
    assert_int_equal(stuck(f), 0);
    pass(f, STEP_NS);
    assert_int_equal(stuck(f), 1);
    f->now_ns += 100 * LIMIT_NS; /* one that was accused already stays so, and is the same */
    (void)npi_watchdog_look(&f->dog, &f->shard, f->now_ns);
    assert_int_equal(stuck(f), 1);
    assert_int_equal(ever(f), 1);
}

static void many_at_once_fill_no_log(void **state)
{
    (void)state;
    struct fixture *f = begin(WORKERS);
    pass(f, LIMIT_NS + STEP_NS);
    assert_int_equal(stuck(f), WORKERS);
    assert_int_equal(ever(f), WORKERS);
    assert_int_equal(f->warnings, 9);
    assert_non_null(strstr(f->line, "12 more"));
}

static void off_looks_at_nothing(void **state)
{
    (void)state;
    struct fixture *f = begin(1);
    f->pool.config.watchdog_ns = NUMAPOOL_OFF;
    assert_true(npi_watchdog_look(&f->dog, &f->shard, f->now_ns + 1000 * LIMIT_NS) == UINT64_MAX);
    assert_int_equal(stuck(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_at_the_limit_and_after_twice_that),
        cmocka_unit_test(every_change_begins_the_time_anew),
        cmocka_unit_test(who_lies_down_and_holds_a_permit_still_is_looked_at),
        cmocka_unit_test(nobody_else_is_looked_at),
        cmocka_unit_test(a_look_that_is_long_overdue_accuses_nobody),
        cmocka_unit_test(many_at_once_fill_no_log),
        cmocka_unit_test(off_looks_at_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
