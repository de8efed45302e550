/*
 * Tasks that do not return and workers that stand still: they are counted and named, tasks that say
 * that they wait are not, and the rest of the shard goes on.
 */
#include "contract.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define LINES_MAX 64

static struct {
    pthread_mutex_t lock;
    int count; /* of warnings about workers */
    char line[LINES_MAX][256];
    int moves; /* lines about workers that get on again */
} heard = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void hear(void *arg, int level, const char *line)
{
    (void)arg;
    if (strstr(line, "worker") == NULL) {
        return;
    }
    pthread_mutex_lock(&heard.lock);
    if (level == NUMAPOOL_LOG_WARNING && heard.count < LINES_MAX) {
        (void)snprintf(heard.line[heard.count++], sizeof heard.line[0], "%s", line);
    }
    heard.moves += level == NUMAPOOL_LOG_INFO;
    pthread_mutex_unlock(&heard.lock);
}

static int lines_heard(void)
{
    pthread_mutex_lock(&heard.lock);
    int count = heard.count;
    pthread_mutex_unlock(&heard.lock);
    return count;
}

static int moves_heard(void)
{
    pthread_mutex_lock(&heard.lock);
    int moves = heard.moves;
    pthread_mutex_unlock(&heard.lock);
    return moves;
}

static numapool *make_watched(unsigned workers, uint64_t watchdog_ns, int mode)
{
    heard.count = heard.moves = 0;
    struct numapool_config config;
    config_of(&config, &(struct kind){.workers_max = workers, .mode = mode});
    config.watchdog_ns = watchdog_ns;
    config.log = hear;
    numapool *pool = make_with(&config);
    EVENTUALLY(stats_of(pool).workers_running == 0); /* they have begun, and sleep */
    return pool;
}

static bool line_names(const char *line, const char *what, uintptr_t function)
{
    char address[32];
    (void)snprintf(address, sizeof address, "function %#llx", (unsigned long long)function);
    return strstr(line, what) != NULL && strstr(line, address) != NULL;
}

static bool heard_names(const char *what, uintptr_t function)
{
    pthread_mutex_lock(&heard.lock);
    bool found = false;
    for (int i = 0; i < heard.count; i++) {
        found = found || line_names(heard.line[i], what, function);
    }
    pthread_mutex_unlock(&heard.lock);
    return found;
}

/* Of the lines heard: how many name the function, or how many do not. The machine may hold a worker up
   between two tasks for longer than the watchdog waits; it is told of then, and counted. */
static int lines_about(uintptr_t function, bool names)
{
    pthread_mutex_lock(&heard.lock);
    int count = 0;
    for (int i = 0; i < heard.count; i++) {
        count += line_names(heard.line[i], "", function) == names;
    }
    pthread_mutex_unlock(&heard.lock);
    return count;
}

/* So many tasks were counted, and for each one more the machine is to blame, in a line. */
static bool tasks_counted(numapool *pool, uint64_t tasks, void (*function)(void *))
{
    uint64_t counted = stats_of(pool).tasks_stuck;
    return counted >= tasks && counted <= tasks + (uint64_t)lines_about((uintptr_t)function, false);
}

static bool heard_of(int thread)
{
    char text[32];
    (void)snprintf(text, sizeof text, "(thread %d)", thread);
    pthread_mutex_lock(&heard.lock);
    bool found = false;
    for (int i = 0; i < heard.count; i++) {
        found = found || strstr(heard.line[i], text) != NULL;
    }
    pthread_mutex_unlock(&heard.lock);
    return found;
}

/* ------------------------------------------------------------------------------ reported */

static void a_task_that_does_not_return_is_told_of_ever_more_seldom(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_watched(2, 200 * MS, NUMAPOOL_FIXED);
    block_workers(pool, &blocker, 1);
    EVENTUALLY(shard_stats_of(pool, 0).workers_stuck == 1 && stats_of(pool).workers_stuck == 1);
    EVENTUALLY(lines_about((uintptr_t)block, true) >= 4);
    int told = 0;
    for (int i = 0; i < lines_heard(); i++) {
        const char *line = heard.line[i], *spell = strstr(line, " for ");
        if (line_names(line, "in one task", (uintptr_t)block)) {
            /* After 200 ms, and doubled each time, rounded to a tenth. */
            assert_non_null(spell);
            assert_true(strtod(spell + 5, NULL) >= 0.2 * (1 << told) - 0.06);
            told++;
        }
    }
    assert_true(told >= 4);
    assert_true(tasks_counted(pool, 1, block)); /* once, however often it was told */
    int moves = moves_heard();
    assert_true(moves <= lines_about((uintptr_t)block, false));
    door_open(&blocker.door);
    EVENTUALLY(stats_of(pool).workers_stuck == 0);
    EVENTUALLY(moves_heard() > moves);
    assert_true(tasks_counted(pool, 1, block));

    /* The next one is another. */
    door_shut(&blocker.door);
    block_workers(pool, &blocker, 2);
    EVENTUALLY(stats_of(pool).workers_stuck == 2);
    EVENTUALLY(stats_of(pool).tasks_stuck >= 3);
    assert_true(tasks_counted(pool, 3, block));
    door_open(&blocker.door);
    finish(pool);
}

static void off_is_off(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *silent = make_watched(1, NUMAPOOL_OFF, NUMAPOOL_FIXED);
    block_workers(silent, &blocker, 1);
    struct blocker other = BLOCKER;
    numapool *pool = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
    finish(pool);
    pool = make_watched(1, 20 * MS, NUMAPOOL_FIXED); /* says when it would have been due */
    block_workers(pool, &other, 1);
    EVENTUALLY(lines_heard() >= 3);
    assert_int_equal(stats_of(silent).workers_stuck, 0);
    assert_int_equal(stats_of(silent).tasks_stuck, 0);
    door_open(&blocker.door);
    door_open(&other.door);
    finish(pool);
    finish(silent);
}

static void drop_at_door(void *blocker, int why)
{
    (void)why;
    block(blocker);
}

static void a_drop_that_does_not_return_is_told_of(void **state)
{
    (void)state;
    struct blocker holder = BLOCKER, dropped = BLOCKER;
    numapool *pool = make_watched(1, 50 * MS, NUMAPOOL_FIXED);
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    block_workers(pool, &holder, 1);
    atomic_int ran = 0;
    struct numapool_task task = {
        .run = count_run, .arg = &dropped, .drop = drop_at_door, .group = group};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
    EVENTUALLY(heard_names("in one task", (uintptr_t)block));
    door_open(&holder.door);
    EVENTUALLY(atomic_load(&dropped.inside) == 1);
    EVENTUALLY(heard_names("in the drop of one task", (uintptr_t)drop_at_door));
    EVENTUALLY(stats_of(pool).tasks_stuck >= 2);
    door_open(&dropped.door);
    assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    assert_int_equal(atomic_load(&ran), 0);
    finish(pool);
}

struct life {
    numapool *pool;
    atomic_int ended;
};

static void *destroy(void *arg)
{
    struct life *life = arg;
    CHECK(numapool_destroy(life->pool) == NUMAPOOL_OK);
    atomic_store(&life->ended, 1);
    return NULL;
}

/* The one call that may wait without a bound says what it waits for. */
static void destroy_tells_what_it_waits_for(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    struct life life = {.pool = make_watched(3, 200 * MS, NUMAPOOL_FIXED)};
    block_workers(life.pool, &blocker, 2);
    pthread_t destroyer;
    unwatch(life.pool);
    assert_int_equal(pthread_create(&destroyer, NULL, destroy, &life), 0);
    EVENTUALLY(lines_heard() >= 4); /* both, and both again: destroying had begun by then */
    assert_int_equal(atomic_load(&life.ended), 0);
    door_open(&blocker.door);
    assert_int_equal(pthread_join(destroyer, NULL), 0);
}

/* -------------------------------------------------------------------------- not reported */

static void wait_and_say_so(void *arg)
{
    struct blocker *blocker = arg;
    numapool_block_begin();
    block(blocker);
    numapool_block_end();
}

static void wait_for_group(void *arg)
{
    CHECK(numapool_group_wait(arg, FOREVER) == NUMAPOOL_OK);
}

struct steps {
    struct blocker *until;
    atomic_int taken;
};

/* Never returns for long, but waits again and again. */
static void wait_in_steps(void *arg)
{
    struct steps *steps = arg;
    while (atomic_load(&steps->until->left) == 0) {
        numapool_block_begin();
        rest();
        numapool_block_end();
        atomic_fetch_add(&steps->taken, 1);
    }
}

static void a_task_that_says_it_waits_is_not_stuck(void **state)
{
    (void)state;
    /* A second pool's stuck task tells that the time has been up, several times over. */
    struct blocker clock_door = BLOCKER, blocker = BLOCKER, member = BLOCKER;
    struct steps steps = {.until = &blocker};
    struct numapool_config config;
    config_of(&config, &(struct kind){.workers_max = 32, .mode = NUMAPOOL_FIXED});
    /* The steps may be held up by the machine, and then they are right to be told of. */
    config.watchdog_ns = 1000 * MS;
    numapool *pool = make_with(&config);
    numapool *timed = make_watched(1, 250 * MS, NUMAPOOL_FIXED);
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    struct numapool_task child = {.run = wait_and_say_so, .arg = &member, .group = group};
    assert_int_equal(numapool_submit_task(pool, &child), NUMAPOOL_OK);
    assert_int_equal(numapool_submit(pool, wait_for_group, group), NUMAPOOL_OK);
    assert_int_equal(numapool_submit(pool, wait_and_say_so, &blocker), NUMAPOOL_OK);
    assert_int_equal(numapool_submit(pool, wait_in_steps, &steps), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&blocker.inside) == 1 && atomic_load(&member.inside) == 1);
    EVENTUALLY(atomic_load(&steps.taken) > 0);
    block_workers(timed, &clock_door, 1);
    EVENTUALLY(lines_about((uintptr_t)block, true) >= 4); /* after 2 s */
    EVENTUALLY(stats_of(pool).workers_stuck == 0);
    assert_true(tasks_counted(pool, 0, block));
    assert_false(heard_names("", (uintptr_t)wait_and_say_so));
    assert_false(heard_names("", (uintptr_t)wait_for_group));
    assert_false(heard_names("", (uintptr_t)wait_in_steps));
    door_open(&clock_door.door);
    door_open(&blocker.door);
    door_open(&member.door);
    finish(timed);
    EVENTUALLY(at_rest(pool));
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    finish(pool);
}

static void workers_that_sleep_are_not_stuck(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_watched(4, 500 * MS, NUMAPOOL_FIXED);
    atomic_int ran = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(numapool_submit(pool, count_run, &ran), NUMAPOOL_OK);
    }
    EVENTUALLY(at_rest(pool));
    EVENTUALLY(stats_of(pool).workers_running == 0);
    block_workers(pool, &blocker, 1);
    EVENTUALLY(lines_about((uintptr_t)block, true) >= 2);
    EVENTUALLY(stats_of(pool).workers_stuck == 1);
    assert_true(tasks_counted(pool, 1, block));
    door_open(&blocker.door);
    finish(pool);
}

/* ------------------------------------------------------------------------ the others go on */

static void the_shard_goes_on_with_one_worker(void **state)
{
    (void)state;
    for (int mode = NUMAPOOL_ADAPTIVE; mode <= NUMAPOOL_FIXED; mode++) {
        struct blocker blocker = BLOCKER;
        numapool *pool = make_watched(6, 50 * MS, mode);
        block_workers(pool, &blocker, 5);
        EVENTUALLY(stats_of(pool).workers_stuck == 5);
        EVENTUALLY(stats_of(pool).tasks_stuck >= 5);
        atomic_int ran = 0;
        for (int i = 0; i < 2000; i++) {
            struct numapool_task task = {.run = count_run, .arg = &ran};
            assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
        }
        EVENTUALLY(atomic_load(&ran) == 2000);
        assert_int_equal(atomic_load(&blocker.inside), 5);
        door_open(&blocker.door);
        finish(pool);
    }
}

static atomic_int freeze_all, frozen_now;
static atomic_int open_tid;

static void stand_still(int signal)
{
    (void)signal;
    atomic_fetch_add(&frozen_now, 1);
    while (atomic_load(&freeze_all) != 0) {
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    atomic_fetch_sub(&frozen_now, 1);
}

/* The pool's threads block all signals; the one that runs this is open for ours from now on. */
static void open_for_signal(void *arg)
{
    (void)arg;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMAX);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    atomic_store(&open_tid, gettid());
}

static void a_worker_frozen_by_a_signal_is_told_of(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = stand_still};
    assert_int_equal(sigaction(SIGRTMAX, &action, NULL), 0);
    for (int round = 0; round < 10; round++) {
        numapool *pool = make_watched(3, 50 * MS, NUMAPOOL_FIXED);
        atomic_int ran = 0;
        atomic_store(&open_tid, 0);
        assert_int_equal(numapool_submit(pool, open_for_signal, NULL), NUMAPOOL_OK);
        EVENTUALLY(atomic_load(&open_tid) != 0);
        atomic_store(&freeze_all, 1);
        /* It stops wherever it is: in a task, between two, or asleep until somebody wakes it. */
        assert_int_equal(tgkill(getpid(), atomic_load(&open_tid), SIGRTMAX), 0);
        EVENTUALLY(atomic_load(&frozen_now) == 1);
        /* A task for each of the others, and one that needs it: if it sleeps it is woken, too. */
        struct blocker blocker = BLOCKER;
        struct numapool_task task = {
            .run = block, .arg = &blocker, .task_class = NUMAPOOL_CRITICAL};
        for (int i = 0; i < 3; i++) {
            assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
        }
        EVENTUALLY(atomic_load(&blocker.inside) == 2);
        EVENTUALLY(heard_of(atomic_load(&open_tid)));
        EVENTUALLY(stats_of(pool).tasks_stuck >= 1);
        /* And the others do all there is. */
        door_open(&blocker.door);
        task = (struct numapool_task){.run = count_run, .arg = &ran};
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
        }
        EVENTUALLY(atomic_load(&ran) == 1000 && atomic_load(&blocker.left) == 3);
        EVENTUALLY(stats_of(pool).workers_stuck == 1);
        assert_int_equal(atomic_load(&frozen_now), 1);
        atomic_store(&freeze_all, 0);
        EVENTUALLY(atomic_load(&frozen_now) == 0);
        EVENTUALLY(stats_of(pool).workers_stuck == 0);
        finish(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_does_not_return_is_told_of_ever_more_seldom),
        cmocka_unit_test(off_is_off),
        cmocka_unit_test(a_drop_that_does_not_return_is_told_of),
        cmocka_unit_test(destroy_tells_what_it_waits_for),
        cmocka_unit_test(a_task_that_says_it_waits_is_not_stuck),
        cmocka_unit_test(workers_that_sleep_are_not_stuck),
        cmocka_unit_test(the_shard_goes_on_with_one_worker),
        cmocka_unit_test(a_worker_frozen_by_a_signal_is_told_of),
    };
    return RUN(tests);
}
