/* block_begin and block_end: who runs meanwhile, how many threads that takes, and what is forgotten. */
#include "contract.h"

static unsigned replacements_of(unsigned nodes, unsigned budget)
{
    return budget / 4 > nodes ? budget / 4 : nodes;
}

struct pair {
    struct door door;
    atomic_int entered, opened;
    int nested, extra_ends;
};

static void wait_for_the_other(void *arg)
{
    struct pair *pair = arg;
    for (int i = 0; i < pair->extra_ends; i++) {
        numapool_block_end(); /* nothing was begun: no effect */
    }
    for (int i = 0; i <= pair->nested; i++) {
        numapool_block_begin();
    }
    for (int i = 0; i < pair->nested; i++) {
        numapool_block_end(); /* the inner ones */
    }
    atomic_fetch_add(&pair->entered, 1);
    door_wait(&pair->door);
    numapool_block_end();
    numapool_block_end();
}

static void open_for_the_other(void *arg)
{
    struct pair *pair = arg;
    atomic_fetch_add(&pair->opened, 1);
    door_open(&pair->door);
}

static void another_task_runs_meanwhile(void **state)
{
    (void)state;
    for (int nested = 0; nested < 3; nested++) {
        for (int extra = 0; extra < 3; extra++) {
            struct pair pair = {.door = DOOR, .nested = nested, .extra_ends = extra};
            numapool *pool = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
            for (int round = 0; round < 20; round++) {
                atomic_store(&pair.entered, 0);
                door_shut(&pair.door);
                /* Waiting in the queue when the first begins to wait, or submitted afterwards. */
                assert_int_equal(numapool_submit(pool, wait_for_the_other, &pair), NUMAPOOL_OK);
                if (round % 2 == 0) {
                    EVENTUALLY(atomic_load(&pair.entered) == 1);
                    assert_int_equal(stats_of(pool).workers_blocked, 1);
                }
                assert_int_equal(numapool_submit(pool, open_for_the_other, &pair), NUMAPOOL_OK);
                EVENTUALLY(at_rest(pool));
                assert_int_equal(stats_of(pool).workers_blocked, 0);
            }
            assert_int_equal(atomic_load(&pair.opened), 20);
            finish(pool);
        }
    }
}

static void outside_a_task_nothing_happens(void **state)
{
    (void)state;
    numapool_block_end();
    numapool_block_begin();
    numapool_block_begin();
    numapool_block_end();
    assert_int_equal(numapool_current_node(), -1);
    assert_false(numapool_cancelled());
}

/* ----------------------------------------------------------------------------- forgotten */

struct meter {
    atomic_int running, excesses, ran;
    int allowed;
};

static void forget_to_end(void *arg)
{
    (void)arg;
    numapool_block_begin();
    numapool_block_begin();
}

static void measured(void *arg)
{
    struct meter *meter = arg;
    if (atomic_fetch_add(&meter->running, 1) >= meter->allowed) {
        atomic_fetch_add(&meter->excesses, 1);
    }
    rest();
    atomic_fetch_sub(&meter->running, 1);
    atomic_fetch_add(&meter->ran, 1);
}

static void a_forgotten_end_is_made_good(void **state)
{
    (void)state;
    enum { BUDGET = 4 };
    numapool *pool = make(&(struct kind){.workers_max = BUDGET, .mode = NUMAPOOL_FIXED});
    struct meter meter = {.allowed = BUDGET};
    for (int i = 0; i < 200; i++) {
        assert_int_equal(numapool_submit(pool, forget_to_end, NULL), NUMAPOOL_OK);
    }
    EVENTUALLY(at_rest(pool) && stats_of(pool).workers_running == 0);
    assert_int_equal(stats_of(pool).workers_blocked, 0);
    for (int i = 0; i < 200; i++) {
        struct numapool_task task = {.run = measured, .arg = &meter};
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
    finish(pool);
    assert_int_equal(atomic_load(&meter.ran), 200);
    assert_int_equal(atomic_load(&meter.excesses), 0);
}

/* ------------------------------------------------------------------------------- threads */

static void block_and_tell(void *arg)
{
    struct blocker *blocker = arg;
    numapool_block_begin();
    block(blocker);
    numapool_block_end();
}

/* More waiting tasks than threads: as many get in as the header says, and never more threads. */
static void threads_stay_within_their_bound(void **state)
{
    (void)state;
    const struct {
        unsigned nodes, budget;
    } cases[] = {{1, 1}, {1, 3}, {1, 16}, {2, 2}, {2, 20}, {4, 4}, {4, 40}};
    const int modes[] = {NUMAPOOL_FIXED, NUMAPOOL_ADAPTIVE};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        for (int m = 0; m < 2; m++) {
            unsigned nodes = cases[c].nodes, budget = cases[c].budget;
            int most = (int)(budget + replacements_of(nodes, budget));
            struct blocker blocker = BLOCKER;
            numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                                 .workers_max = budget,
                                                 .queue_tasks = 1000,
                                                 .mode = modes[m]});
            int tasks = 3 * most;
            for (int i = 0; i < tasks; i++) {
                struct numapool_task task = {.run = block_and_tell,
                                             .arg = &blocker,
                                             .node = i % (int)nodes,
                                             .flags = NUMAPOOL_ON_NODE};
                assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
            }
            EVENTUALLY(atomic_load(&blocker.inside) == most);
            EVENTUALLY(workers_named("np") == most); /* a thread gets its name after it has begun */
            for (int look = 0; look < 20; look++) {
                assert_true(workers_named("np") <= most);
                assert_int_equal(stats_of(pool).workers, most);
                assert_int_equal(atomic_load(&blocker.inside), most);
                rest();
            }
            assert_int_equal(stats_of(pool).workers_blocked, replacements_of(nodes, budget));
            door_open(&blocker.door);
            finish(pool);
            assert_int_equal(atomic_load(&blocker.left), tasks);
        }
    }
}

/* Tasks that come and go, some waiting for others: sampled all the while. */
struct churn {
    atomic_int ran;
};

static void wait_a_little(void *arg)
{
    struct churn *churn = arg;
    numapool_block_begin();
    rest();
    numapool_block_end();
    atomic_fetch_add(&churn->ran, 1);
}

static void threads_stay_within_their_bound_under_load(void **state)
{
    (void)state;
    const struct {
        unsigned nodes, budget;
    } cases[] = {{1, 2}, {2, 9}, {4, 6}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        unsigned nodes = cases[c].nodes, budget = cases[c].budget;
        int most = (int)(budget + replacements_of(nodes, budget));
        struct churn churn = {.ran = 0};
        numapool *pool = make(&(struct kind){
            .machine = machine_of(nodes), .workers_max = budget, .queue_tasks = 400});
        const int count = TIMES(3000, 600);
        for (int i = 0; i < count; i++) {
            struct numapool_task task = {.run = wait_a_little,
                                         .arg = &churn,
                                         .node = i % (int)nodes,
                                         .flags = i % 2 ? NUMAPOOL_ON_NODE : 0,
                                         .task_class = NUMAPOOL_CRITICAL};
            assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
            if (i % 10 == 0) {
                int threads = workers_named("np");
                if (threads > most) {
                    fail_msg("%d threads; %u workers on %u nodes may have %d", threads, budget,
                             nodes, most);
                }
            }
        }
        finish(pool);
        assert_int_equal(atomic_load(&churn.ran), count);
    }
}

/* Tasks that wait keep their replacement when the budget is lowered and every other thread has ended:
   what they wait for may be queued. */
static void a_lowered_budget_leaves_replacements(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config, &(struct kind){.workers_max = 8, .mode = NUMAPOOL_FIXED});
    config.workers_min = 1;
    config.idle_exit_ns = MS;
    numapool *pool = make_with(&config);
    struct pair pair = {.door = DOOR};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(numapool_submit(pool, wait_for_the_other, &pair), NUMAPOOL_OK);
    }
    EVENTUALLY(atomic_load(&pair.entered) == 2);
    assert_int_equal(numapool_set_budget(pool, 1), NUMAPOOL_OK);
    EVENTUALLY(stats_of(pool).workers == 2);
    assert_int_equal(stats_of(pool).workers_blocked, 2);
    assert_int_equal(numapool_submit(pool, open_for_the_other, &pair), NUMAPOOL_OK);
    finish(pool);
    assert_int_equal(atomic_load(&pair.opened), 1);
}

/* ------------------------------------------------------------------------ groups of others */

struct errand {
    numapool *home;
    numapool_group *group;
    struct pair *pair;
    int result;
};

/* A member of another pool's group that has to be done is one that needs this pool. */
static void send_home(void *arg)
{
    struct errand *errand = arg;
    CHECK(numapool_submit(errand->home, open_for_the_other, errand->pair) == NUMAPOOL_OK);
    door_wait(&errand->pair->door);
}

static void wait_for_errand(void *arg)
{
    struct errand *errand = arg;
    errand->result = numapool_group_wait(errand->group, FOREVER);
}

static void waiting_for_another_pools_group_lets_others_run(void **state)
{
    (void)state;
    numapool *home = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
    numapool *away = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
    struct pair pair = {.door = DOOR};
    struct errand errand = {.home = home, .pair = &pair, .result = 1};
    assert_int_equal(numapool_group_create(&errand.group, away), NUMAPOOL_OK);
    /* The member cannot end before somebody waits for it: it is held until then. */
    struct blocker blocker = BLOCKER;
    block_workers(away, &blocker, 1);
    struct numapool_task task = {.run = send_home, .arg = &errand, .group = errand.group};
    assert_int_equal(numapool_submit_task(away, &task), NUMAPOOL_OK);
    assert_int_equal(numapool_submit(home, wait_for_errand, &errand), NUMAPOOL_OK);
    EVENTUALLY(stats_of(home).workers_blocked == 1);
    door_open(&blocker.door);
    finish(away);
    finish(home);
    assert_int_equal(errand.result, NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(errand.group), NUMAPOOL_OK);
}

static atomic_int wait_in_drop_result;

static void wait_in_drop(void *group, int why)
{
    CHECK(why == NUMAPOOL_E_CANCELLED);
    CHECK(numapool_group_wait(group, 0) == NUMAPOOL_E_TIMEDOUT); /* a look is no waiting */
    atomic_store(&wait_in_drop_result, numapool_group_wait(group, FOREVER));
}

static void a_drop_may_not_wait(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 2});
    struct blocker blocker = BLOCKER;
    struct numapool_task task = {.run = block, .arg = &blocker};
    numapool_group *cancelled = NULL;
    assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
    assert_int_equal(numapool_group_create(&cancelled, pool), NUMAPOOL_OK);
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK); /* a member that stays */
    EVENTUALLY(atomic_load(&blocker.inside) == 1);
    for (int i = 0; i < 2; i++) { /* for others, and for itself */
        struct blocker before = BLOCKER;
        block_workers(pool, &before, 1);
        atomic_store(&wait_in_drop_result, 1);
        if (i == 1) {
            assert_int_equal(numapool_group_destroy(cancelled), NUMAPOOL_OK);
            assert_int_equal(numapool_group_create(&cancelled, pool), NUMAPOOL_OK);
        }
        struct numapool_task dropped = {.run = block,
                                        .arg = i == 0 ? task.group : cancelled,
                                        .drop = wait_in_drop,
                                        .group = cancelled};
        assert_int_equal(numapool_submit_task(pool, &dropped), NUMAPOOL_OK);
        assert_int_equal(numapool_group_cancel(cancelled), NUMAPOOL_OK);
        door_open(&before.door);
        EVENTUALLY(atomic_load(&wait_in_drop_result) != 1);
        assert_int_equal(atomic_load(&wait_in_drop_result), NUMAPOOL_E_DEADLOCK);
    }
    door_open(&blocker.door);
    finish(pool);
    assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(cancelled), NUMAPOOL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_task_runs_meanwhile),
        cmocka_unit_test(outside_a_task_nothing_happens),
        cmocka_unit_test(a_forgotten_end_is_made_good),
        cmocka_unit_test(threads_stay_within_their_bound),
        cmocka_unit_test(threads_stay_within_their_bound_under_load),
        cmocka_unit_test(a_lowered_budget_leaves_replacements),
        cmocka_unit_test(waiting_for_another_pools_group_lets_others_run),
        cmocka_unit_test(a_drop_may_not_wait),
    };
    return RUN(tests);
}
