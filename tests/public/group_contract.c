/* Groups: waiting, cancelling, giving up, and waiting inside tasks as deep as there are replacements. */
#include "contract.h"

static numapool_group *group_of(numapool *pool)
{
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    assert_non_null(group);
    return group;
}

static void an_empty_group_is_done(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 2});
    numapool_group *group = group_of(pool);
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_OK);
    assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(NULL), NUMAPOOL_OK);
    finish(pool);
}

/* ------------------------------------------------------------------------------- waiting */

struct part {
    int in, out; /* plain memory: waiting is what makes it visible */
};

static void work(void *arg)
{
    struct part *part = arg;
    part->out = part->in * 2;
}

static void waiting_sees_what_members_wrote(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    static struct part parts[COUNT];
    for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes), .workers_max = 8});
        numapool_group *group = group_of(pool);
        for (int round = 0; round < TIMES(300, 50); round++) { /* a group may be filled again */
            for (int i = 0; i < COUNT; i++) {
                parts[i] = (struct part){.in = i + round};
                struct numapool_task task = {.run = work, .arg = &parts[i], .group = group};
                assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
            }
            assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
            for (int i = 0; i < COUNT; i++) {
                assert_int_equal(parts[i].out, (i + round) * 2);
            }
            /* Who was told that they have ended finds them counted. */
            assert_int_equal(stats_of(pool).run, (round + 1) * COUNT);
        }
        assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
        finish(pool);
    }
}

static void waiting_may_time_out(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
    numapool_group *group = group_of(pool);
    struct numapool_task task = {.run = block, .arg = &blocker, .group = group};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(numapool_group_wait(group, 2 * MS), NUMAPOOL_E_TIMEDOUT);
    EVENTUALLY(atomic_load(&blocker.inside) == 1);
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(numapool_group_wait(group, 1), NUMAPOOL_E_TIMEDOUT);
    door_open(&blocker.door);
    assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
    assert_int_equal(numapool_group_wait(group, 0), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    finish(pool);
}

static void *wait_body(void *group)
{
    CHECK(numapool_group_wait(group, FOREVER) == NUMAPOOL_OK);
    return NULL;
}

static void many_may_wait(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 4});
    for (int round = 0; round < TIMES(100, 20); round++) {
        struct blocker blocker = BLOCKER;
        numapool_group *group = group_of(pool);
        struct numapool_task task = {.run = block, .arg = &blocker, .group = group};
        for (int i = 0; i < 5; i++) {
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        }
        pthread_t threads[6];
        for (int i = 0; i < 6; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, wait_body, group), 0);
        }
        door_open(&blocker.door);
        for (int i = 0; i < 6; i++) {
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(atomic_load(&blocker.left), 5);
        assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    }
    finish(pool);
}

/* ---------------------------------------------------------------------------- cancelling */

struct runner {
    atomic_int inside, learned;
};

static void run_until_cancelled(void *arg)
{
    struct runner *runner = arg;
    CHECK(!numapool_cancelled());
    atomic_fetch_add(&runner->inside, 1);
    while (!numapool_cancelled()) {
        rest();
    }
    atomic_fetch_add(&runner->learned, 1);
}

static void cancelling_drops_what_waits_and_tells_what_runs(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    static struct fate fates[COUNT], others[COUNT];
    for (int round = 0; round < TIMES(100, 20); round++) {
        memset(fates, 0, sizeof fates);
        memset(others, 0, sizeof others);
        unsigned nodes = 1 + (unsigned)round % 2;
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                             .workers_max = 2,
                                             .queue_tasks = 400,
                                             .mode = NUMAPOOL_FIXED});
        numapool_group *group = group_of(pool), *other = group_of(pool);
        struct runner runner = {.inside = 0};
        for (int i = 0; i < 2; i++) {
            struct numapool_task task = {.run = run_until_cancelled,
                                         .arg = &runner,
                                         .group = group,
                                         .node = i % (int)nodes,
                                         .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        }
        EVENTUALLY(atomic_load(&runner.inside) == 2);
        for (int i = 0; i < COUNT; i++) {
            struct numapool_task task = fate_task(&fates[i]);
            task.group = group;
            task.bytes = i % 2 ? 128 : 0;
            task.drop = i % 5 == 0 ? NULL : fate_drop; /* without one it just disappears */
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
            task = fate_task(&others[i]);
            task.group = other;
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        }
        assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
        struct numapool_task late = fate_task(&fates[0]);
        late.group = group;
        assert_int_equal(numapool_submit_task(pool, &late), NUMAPOOL_E_CANCELLED);
        assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
        assert_int_equal(atomic_load(&runner.learned), 2);
        assert_int_equal(stats_of(pool).dropped, COUNT); /* counted before waiters are told */
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(atomic_load(&fates[i].run), 0);
            assert_int_equal(atomic_load(&fates[i].dropped), i % 5 == 0 ? 0 : 1);
            assert_int_equal(atomic_load(&fates[i].why), i % 5 == 0 ? 0 : NUMAPOOL_E_CANCELLED);
        }
        assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK); /* once more is no mistake */
        assert_int_equal(numapool_submit_task(pool, &late), NUMAPOOL_E_CANCELLED); /* for good */
        assert_int_equal(numapool_group_wait(other, FOREVER), NUMAPOOL_OK);
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(atomic_load(&others[i].run), 1);
        }
        assert_int_equal(stats_of(pool).bytes_in_use, 0);
        assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
        assert_int_equal(numapool_group_destroy(other), NUMAPOOL_OK);
        finish(pool);
    }
}

static void is_not_cancelled(void *arg)
{
    CHECK(!numapool_cancelled());
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void cancelling_concerns_members_only(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 2});
    numapool_group *group = group_of(pool);
    assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
    atomic_int ran = 0;
    assert_int_equal(numapool_submit(pool, is_not_cancelled, &ran), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&ran) == 1);
    assert_false(numapool_cancelled());
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    finish(pool);
}

/* ---------------------------------------------------------------------------- giving up */

static void a_group_may_be_given_up_before_its_members_end(void **state)
{
    (void)state;
    for (int round = 0; round < TIMES(100, 20); round++) {
        struct blocker blocker = BLOCKER;
        struct fate fate = {.run = 0};
        numapool *pool = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
        numapool_group *group = group_of(pool);
        struct numapool_task task = {.run = block, .arg = &blocker, .group = group};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        task = fate_task(&fate);
        task.group = group;
        for (int i = 0; i < 10; i++) {
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        }
        if (round % 2 == 0) {
            assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
        }
        assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
        door_open(&blocker.door);
        if (round % 3 == 0) {
            unwatch(pool);
            assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
        } else {
            finish(pool);
        }
        assert_int_equal(atomic_load(&fate.run) + atomic_load(&fate.dropped), 10);
        if (round % 2 == 0) {
            assert_int_equal(atomic_load(&fate.run), 0);
        }
    }
}

struct giver {
    numapool_group *group;
    atomic_int ended;
};

static void give_up(void *arg)
{
    struct giver *giver = arg;
    CHECK(numapool_group_destroy(giver->group) == NUMAPOOL_OK);
    (void)numapool_cancelled(); /* a member's group outlives it */
    atomic_fetch_add(&giver->ended, 1);
}

static void give_up_in_drop(void *arg, int why)
{
    CHECK(why == NUMAPOOL_E_CANCELLED);
    give_up(arg);
}

/* The only reference beside the last member's is given up by that member itself. */
static void the_last_member_may_give_the_group_up(void **state)
{
    (void)state;
    for (int round = 0; round < TIMES(100, 20); round++) {
        struct blocker blocker = BLOCKER;
        numapool *pool = make_blocked(&blocker, 1, 10);
        struct giver giver = {.group = group_of(pool)};
        struct numapool_task task = {
            .run = give_up, .arg = &giver, .drop = give_up_in_drop, .group = giver.group};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        if (round % 2 == 0) {
            assert_int_equal(numapool_group_cancel(giver.group), NUMAPOOL_OK);
        }
        door_open(&blocker.door);
        finish(pool);
        assert_int_equal(atomic_load(&giver.ended), 1);
    }
}

/* ------------------------------------------------------------------------- inside a task */

struct inner {
    numapool *pool;
    numapool_group *own, *other;
    int forever, now, again;
    atomic_int *ran;
    atomic_bool done;
};

static void wait_for_own_group(void *arg)
{
    struct inner *inner = arg;
    inner->forever = numapool_group_wait(inner->own, FOREVER);
    inner->now = numapool_group_wait(inner->own, 0);
    struct numapool_task task = {.run = count_run, .arg = inner->ran, .group = inner->other};
    CHECK(numapool_submit_task(inner->pool, &task) == NUMAPOOL_OK);
    inner->again = numapool_group_wait(inner->other, FOREVER); /* the refusal had no effect */
    atomic_store(&inner->done, true);
}

static void a_member_may_not_wait_for_its_group(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
    atomic_int ran = 0;
    struct inner inner = {
        .pool = pool, .own = group_of(pool), .other = group_of(pool), .ran = &ran};
    struct numapool_task task = {.run = wait_for_own_group, .arg = &inner, .group = inner.own};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    assert_int_equal(numapool_group_wait(inner.own, FOREVER), NUMAPOOL_OK);
    assert_true(atomic_load(&inner.done));
    assert_int_equal(inner.forever, NUMAPOOL_E_DEADLOCK);
    assert_int_equal(inner.now, NUMAPOOL_E_DEADLOCK);
    assert_int_equal(inner.again, NUMAPOOL_OK);
    assert_int_equal(atomic_load(&ran), 1);
    assert_int_equal(numapool_group_destroy(inner.own), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(inner.other), NUMAPOOL_OK);
    finish(pool);
}

/* A chain of tasks, each of which waits for the next. */
struct chain {
    numapool *pool;
    int depth;
    atomic_int waited, reached;
};

struct link {
    struct chain *chain;
    int level;
};

static void descend(void *arg)
{
    struct link *link = arg;
    struct chain *chain = link->chain;
    atomic_fetch_add(&chain->reached, 1);
    if (link->level == chain->depth) {
        return;
    }
    struct link next = {chain, link->level + 1};
    numapool_group *group = NULL;
    CHECK(numapool_group_create(&group, chain->pool) == NUMAPOOL_OK);
    struct numapool_task task = {.run = descend, .arg = &next, .group = group};
    CHECK(numapool_submit_task(chain->pool, &task) == NUMAPOOL_OK);
    CHECK(numapool_group_wait(group, FOREVER) == NUMAPOOL_OK);
    atomic_fetch_add(&chain->waited, 1);
    CHECK(numapool_group_destroy(group) == NUMAPOOL_OK);
}

static void waits_nest_as_deep_as_there_are_replacements(void **state)
{
    (void)state;
    const struct {
        unsigned nodes, budget, replacements;
    } cases[] = {{1, 1, 1}, {1, 3, 1}, {1, 8, 2}, {1, 16, 4}, {2, 2, 2}, {4, 4, 4}, {4, 32, 8}};
    const int modes[] = {NUMAPOOL_FIXED, NUMAPOOL_ADAPTIVE};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        for (int m = 0; m < 2; m++) {
            numapool *pool = make(&(struct kind){.machine = machine_of(cases[c].nodes),
                                                 .workers_max = cases[c].budget,
                                                 .mode = modes[m]});
            for (int round = 0; round < 20; round++) {
                /* As deep as replacements go: everybody gets what it waits for. */
                struct chain chain = {.pool = pool, .depth = (int)cases[c].replacements};
                struct link first = {&chain, 0};
                assert_int_equal(numapool_submit(pool, descend, &first), NUMAPOOL_OK);
                EVENTUALLY(at_rest(pool));
                assert_int_equal(atomic_load(&chain.reached), chain.depth + 1);
                assert_int_equal(atomic_load(&chain.waited), chain.depth);
            }
            assert_int_equal(stats_of(pool).workers_blocked, 0);
            finish(pool);
        }
    }
}

struct deep {
    numapool *pool;
    int depth;
    atomic_int waited, refused;
    struct deep_link {
        struct deep *deep;
        numapool_group *group; /* of the next */
        int level;
    } links[64];
};

/* The same, one deeper than replacements go: the last is told, and nothing hangs. */
static void descend_too_deep(void *arg)
{
    struct deep_link *link = arg;
    struct deep *deep = link->deep;
    if (link->level == deep->depth) {
        return;
    }
    struct deep_link *next = link + 1;
    *next = (struct deep_link){.deep = deep, .level = link->level + 1};
    struct numapool_task task = {.run = descend_too_deep, .arg = next, .group = link->group};
    CHECK(numapool_group_create(&next->group, deep->pool) == NUMAPOOL_OK);
    CHECK(numapool_submit_task(deep->pool, &task) == NUMAPOOL_OK);
    int result = numapool_group_wait(link->group, FOREVER);
    CHECK(result == NUMAPOOL_OK || result == NUMAPOOL_E_DEADLOCK);
    atomic_fetch_add(result == NUMAPOOL_OK ? &deep->waited : &deep->refused, 1);
    if (result == NUMAPOOL_E_DEADLOCK) {
        CHECK(numapool_group_wait(link->group, 0) ==
              NUMAPOOL_E_TIMEDOUT); /* looking is no waiting */
        CHECK(numapool_group_wait(link->group, MS) == NUMAPOOL_E_DEADLOCK);
    }
}

static void one_wait_too_deep_is_refused(void **state)
{
    (void)state;
    const struct {
        unsigned nodes, budget, replacements;
    } cases[] = {{1, 1, 1}, {1, 16, 4}, {2, 2, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        for (int round = 0; round < 20; round++) {
            /* As many others hold workers as to leave one permit for the chain. */
            struct blocker blocker = BLOCKER;
            numapool *pool = make(&(struct kind){.machine = machine_of(cases[c].nodes),
                                                 .workers_max = cases[c].budget,
                                                 .mode = NUMAPOOL_FIXED});
            unsigned here = cases[c].budget / cases[c].nodes; /* permits of node 0 */
            struct numapool_task task = {
                .run = block, .arg = &blocker, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
            for (unsigned node = 0; node < cases[c].nodes; node++) {
                task.node = (int)node;
                for (unsigned i = node == 0 ? 1 : 0; i < here; i++) {
                    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
                }
            }
            EVENTUALLY(atomic_load(&blocker.inside) == (int)cases[c].budget - 1);
            static struct deep deep;
            memset(&deep, 0, sizeof deep);
            deep.pool = pool;
            deep.depth = (int)cases[c].replacements + 1;
            deep.links[0].deep = &deep;
            deep.links[0].group = group_of(pool);
            numapool_group *all = group_of(pool);
            task.run = descend_too_deep;
            task.arg = &deep.links[0];
            task.node = 0;
            task.group = all;
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
            assert_int_equal(numapool_group_wait(all, FOREVER), NUMAPOOL_OK);
            assert_int_equal(atomic_load(&deep.waited), cases[c].replacements);
            assert_int_equal(atomic_load(&deep.refused), 1);
            door_open(&blocker.door);
            assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
            for (int i = 0; i <= deep.depth; i++) {
                assert_int_equal(numapool_group_destroy(deep.links[i].group), NUMAPOOL_OK);
            }
            assert_int_equal(numapool_group_destroy(all), NUMAPOOL_OK);
            finish(pool);
        }
    }
}

/* Every worker waits at once for a child of its own: those without a replacement are told. */
struct parent {
    numapool *pool;
    atomic_int *ready;
    int parents;
    atomic_int child_ran;
    atomic_int result;
};

static void wait_beside_others(void *arg)
{
    struct parent *parent = arg;
    atomic_fetch_add(parent->ready, 1);
    EVENTUALLY(atomic_load(parent->ready) >= parent->parents);
    numapool_group *group = NULL;
    CHECK(numapool_group_create(&group, parent->pool) == NUMAPOOL_OK);
    struct numapool_task task = {.run = count_run, .arg = &parent->child_ran, .group = group};
    /* Refused only if the machine has stopped four others in the midst of theirs. */
    int result;
    while ((result = numapool_submit_task(parent->pool, &task)) == NUMAPOOL_E_FULL) {
        rest();
    }
    CHECK(result == NUMAPOOL_OK);
    atomic_store(&parent->result, numapool_group_wait(group, FOREVER));
    CHECK(numapool_group_destroy(group) == NUMAPOOL_OK);
}

static void all_workers_may_wait_at_once(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
        for (int round = 0; round < 20; round++) {
            enum { PARENTS = 8 };
            numapool *pool = make(&(struct kind){
                .machine = machine_of(nodes), .workers_max = PARENTS, .mode = NUMAPOOL_FIXED});
            static struct parent parents[PARENTS];
            memset(parents, 0, sizeof parents);
            atomic_int ready = 0;
            for (int i = 0; i < PARENTS; i++) {
                parents[i].pool = pool;
                parents[i].ready = &ready;
                parents[i].parents = PARENTS;
                struct numapool_task task = {.run = wait_beside_others,
                                             .arg = &parents[i],
                                             .node = i % (int)nodes,
                                             .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
                assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
            }
            EVENTUALLY(at_rest(pool));
            for (int i = 0; i < PARENTS; i++) {
                int result = atomic_load(&parents[i].result);
                assert_true(result == NUMAPOOL_OK || result == NUMAPOOL_E_DEADLOCK);
                assert_int_equal(atomic_load(&parents[i].child_ran), 1);
            }
            struct numapool_stats stats = stats_of(pool);
            assert_int_equal(stats.workers_blocked, 0);
            assert_int_equal(stats.refused_full + stats.refused_shed, 0);
            finish(pool);
        }
    }
}

struct across {
    numapool *there;
    numapool_group *group;
    struct blocker *blocker;
    int result, timed_out;
    atomic_bool done;
};

static void wait_across(void *arg)
{
    struct across *across = arg;
    across->timed_out = numapool_group_wait(across->group, MS);
    door_open(&across->blocker->door);
    across->result = numapool_group_wait(across->group, FOREVER);
    atomic_store(&across->done, true);
}

static void a_task_may_wait_for_another_pools_group(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *here = make(&(struct kind){.workers_max = 1});
    numapool *there = make(&(struct kind){.workers_max = 1});
    struct across across = {.there = there, .group = group_of(there), .blocker = &blocker};
    struct numapool_task task = {.run = block, .arg = &blocker, .group = across.group};
    assert_int_equal(numapool_submit_task(there, &task), NUMAPOOL_OK);
    assert_int_equal(numapool_submit(here, wait_across, &across), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&across.done));
    assert_int_equal(across.timed_out, NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(across.result, NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(across.group), NUMAPOOL_OK);
    finish(here);
    finish(there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_group_is_done),
        cmocka_unit_test(waiting_sees_what_members_wrote),
        cmocka_unit_test(waiting_may_time_out),
        cmocka_unit_test(many_may_wait),
        cmocka_unit_test(cancelling_drops_what_waits_and_tells_what_runs),
        cmocka_unit_test(cancelling_concerns_members_only),
        cmocka_unit_test(a_group_may_be_given_up_before_its_members_end),
        cmocka_unit_test(the_last_member_may_give_the_group_up),
        cmocka_unit_test(a_member_may_not_wait_for_its_group),
        cmocka_unit_test(waits_nest_as_deep_as_there_are_replacements),
        cmocka_unit_test(one_wait_too_deep_is_refused),
        cmocka_unit_test(all_workers_may_wait_at_once),
        cmocka_unit_test(a_task_may_wait_for_another_pools_group),
    };
    return RUN(tests);
}
