/* The budget: how many tasks run at once, measured by the tasks themselves, while it is changed. */
#include "contract.h"

#include <limits.h>

/* Tasks that run just now, and how many of them may. */
struct meter {
    atomic_int running, most, allowed, excesses;
    atomic_int work; /* spins of a task */
};

static void enter(struct meter *meter)
{
    int running = atomic_fetch_add(&meter->running, 1) + 1;
    int most = atomic_load(&meter->most);
    while (running > most && !atomic_compare_exchange_weak(&meter->most, &most, running)) {
    }
    if (running > atomic_load(&meter->allowed)) {
        atomic_fetch_add(&meter->excesses, 1);
    }
}

static void measured(void *arg)
{
    struct meter *meter = arg;
    enter(meter);
    for (int i = atomic_load(&meter->work); i > 0; i--) {
        atomic_thread_fence(memory_order_seq_cst);
    }
    if (atomic_load(&meter->work) % 4 == 0) {
        rest();
    }
    atomic_fetch_sub(&meter->running, 1);
}

static void idle(numapool *pool, struct meter *meter)
{
    EVENTUALLY(at_rest(pool) && atomic_load(&meter->running) == 0 &&
               stats_of(pool).workers_running == 0);
}

static void flood(numapool *pool, struct meter *meter, int count, unsigned nodes)
{
    for (int i = 0; i < count; i++) {
        struct numapool_task task = {.run = measured,
                                     .arg = meter,
                                     .task_class = NUMAPOOL_CRITICAL,
                                     .node = i % (int)nodes,
                                     .flags = i % 3 == 0 ? NUMAPOOL_ON_NODE : 0};
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
}

static void never_more_than_the_budget_run(void **state)
{
    (void)state;
    const int modes[] = {NUMAPOOL_ADAPTIVE, NUMAPOOL_FIXED};
    for (int m = 0; m < 2; m++) {
        for (unsigned nodes = 1; nodes <= 8; nodes *= 2) {
            for (int budget = (int)nodes; budget <= (int)nodes + 9; budget += 3) {
                struct meter meter = {.allowed = budget, .work = 20};
                numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                                     .workers_max = (unsigned)budget,
                                                     .queue_tasks = 256,
                                                     .mode = modes[m]});
                flood(pool, &meter, TIMES(400, 100), nodes);
                finish(pool);
                assert_int_equal(atomic_load(&meter.excesses), 0);
                assert_true(atomic_load(&meter.most) >= 1);
            }
        }
    }
}

static void a_fixed_pool_uses_all_of_it(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
        struct blocker blocker = BLOCKER;
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                             .workers_max = 3 * nodes,
                                             .queue_tasks = 400,
                                             .mode = NUMAPOOL_FIXED});
        /* Each node can hold its part at the same time. */
        for (unsigned i = 0; i < 3 * nodes; i++) {
            struct numapool_task task = {.run = block,
                                         .arg = &blocker,
                                         .node = (int)(i % nodes),
                                         .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        }
        EVENTUALLY(atomic_load(&blocker.inside) == (int)(3 * nodes));
        door_open(&blocker.door);
        finish(pool);
    }
}

static void an_adaptive_pool_grows_to_it(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 2; nodes *= 2) {
        struct blocker blocker = BLOCKER;
        numapool *pool = make(
            &(struct kind){.machine = machine_of(nodes), .workers_max = 24, .queue_tasks = 400});
        block_workers(pool, &blocker, 24); /* sleepers: the processors are free, so all may run */
        door_open(&blocker.door);
        finish(pool);
    }
}

/* A task that waits at its own door. */
struct guest {
    struct meter *meter;
    struct door door;
    atomic_bool inside;
};

static void measured_guest(void *arg)
{
    struct guest *guest = arg;
    enter(guest->meter);
    atomic_store(&guest->inside, true);
    door_wait(&guest->door);
    atomic_fetch_sub(&guest->meter->running, 1);
}

static int inside_of(struct guest *guests, int count)
{
    int inside = 0;
    for (int i = 0; i < count; i++) {
        inside += atomic_load(&guests[i].inside);
    }
    return inside;
}

static void lowered_while_tasks_run(void **state)
{
    (void)state;
    enum { BEFORE = 8, AFTER = 3, COUNT = 20 };
    struct meter meter = {.allowed = BEFORE};
    static struct guest guests[COUNT];
    numapool *pool =
        make(&(struct kind){.workers_max = BEFORE, .queue_tasks = 100, .mode = NUMAPOOL_FIXED});
    for (int i = 0; i < COUNT; i++) {
        guests[i] = (struct guest){.meter = &meter, .door = DOOR};
        assert_int_equal(numapool_submit(pool, measured_guest, &guests[i]), NUMAPOOL_OK);
    }
    EVENTUALLY(inside_of(guests, COUNT) == BEFORE);
    assert_int_equal(numapool_set_budget(pool, AFTER), NUMAPOOL_OK);
    /* Those that run go on; what they leave is not given to others until fewer than three run. */
    int opened = 0;
    for (int i = 0; i < COUNT && opened < BEFORE - AFTER; i++) {
        if (atomic_load(&guests[i].inside)) {
            door_open(&guests[i].door);
            opened++;
        }
    }
    EVENTUALLY(atomic_load(&meter.running) == AFTER);
    atomic_store(&meter.allowed, AFTER);
    assert_int_equal(inside_of(guests, COUNT), BEFORE);
    for (int i = 0; i < COUNT; i++) {
        door_open(&guests[i].door);
    }
    EVENTUALLY(at_rest(pool));
    assert_int_equal(inside_of(guests, COUNT), COUNT);
    assert_int_equal(atomic_load(&meter.excesses), 0);

    /* Up again, and all of it can be used. */
    atomic_store(&meter.allowed, 12);
    assert_int_equal(numapool_set_budget(pool, 12), NUMAPOOL_OK);
    for (int i = 0; i < COUNT; i++) {
        guests[i] = (struct guest){.meter = &meter, .door = DOOR};
        assert_int_equal(numapool_submit(pool, measured_guest, &guests[i]), NUMAPOOL_OK);
    }
    EVENTUALLY(inside_of(guests, COUNT) == 12);
    for (int i = 0; i < COUNT; i++) {
        door_open(&guests[i].door);
    }
    finish(pool);
    assert_int_equal(atomic_load(&meter.excesses), 0);
}

/* Lowered and raised while the same tasks run: what was taken away comes back. */
static void raised_before_it_was_low(void **state)
{
    (void)state;
    const int modes[] = {NUMAPOOL_FIXED, NUMAPOOL_ADAPTIVE};
    for (int m = 0; m < 2; m++) {
        for (unsigned nodes = 1; nodes <= 2; nodes++) {
            struct blocker first = BLOCKER, second = BLOCKER;
            numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                                 .workers_max = 8,
                                                 .queue_tasks = 100,
                                                 .mode = modes[m]});
            block_workers(pool, &first, 8);
            assert_int_equal(numapool_set_budget(pool, 2), NUMAPOOL_OK);
            assert_int_equal(numapool_set_budget(pool, 6), NUMAPOOL_OK);
            door_open(&first.door);
            EVENTUALLY(at_rest(pool));
            block_workers(pool, &second, 6);
            door_open(&second.door);
            finish(pool);
        }
    }
}

/* One node holds more than its new part when the budget is raised again by less than it lost. */
static void raised_while_one_node_holds_too_many(void **state)
{
    (void)state;
    struct blocker first = BLOCKER, second = BLOCKER;
    numapool *pool = make(&(struct kind){
        .machine = machine_of(2), .workers_max = 8, .queue_tasks = 100, .mode = NUMAPOOL_FIXED});
    struct numapool_task task = {
        .run = block, .arg = &first, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    EVENTUALLY(atomic_load(&first.inside) == 4);
    assert_int_equal(numapool_set_budget(pool, 2), NUMAPOOL_OK);
    assert_int_equal(numapool_set_budget(pool, 4), NUMAPOOL_OK);
    door_open(&first.door);
    EVENTUALLY(at_rest(pool));
    task.arg = &second;
    for (int i = 0; i < 4; i++) {
        task.node = i % 2;
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    EVENTUALLY(atomic_load(&second.inside) == 4);
    door_open(&second.door);
    finish(pool);
}

static void changed_under_load(void **state)
{
    (void)state;
    const int budgets[] = {8, 16, 8, 4, 12, 4, 20, 5, 4, 32, 7};
    const int modes[] = {NUMAPOOL_ADAPTIVE, NUMAPOOL_FIXED};
    for (int m = 0; m < 2; m++) {
        for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
            numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                                 .workers_max = 8,
                                                 .queue_tasks = 128,
                                                 .mode = modes[m]});
            struct meter meter = {.allowed = 8, .work = 20};
            int before = 8;
            for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
                int budget = budgets[i];
                /* Raised: the new bound holds from here on. Lowered: once what ran has ended. */
                if (budget > before) {
                    atomic_store(&meter.allowed, budget);
                }
                flood(pool, &meter, 30, nodes);
                assert_int_equal(numapool_set_budget(pool, (unsigned)budget), NUMAPOOL_OK);
                if (budget < before) {
                    idle(pool, &meter);
                    atomic_store(&meter.allowed, budget);
                }
                flood(pool, &meter, TIMES(100, 40), nodes);
                before = budget;
            }
            finish(pool);
            assert_int_equal(atomic_load(&meter.excesses), 0);
        }
    }
}

struct setter {
    numapool *pool;
    uint64_t seed;
    atomic_bool stop;
};

static void *set_all_the_time(void *arg)
{
    struct setter *setter = arg;
    while (!atomic_load(&setter->stop)) {
        /* A worker that was stopped and woken again finds itself one too many once more. */
        unsigned budget = draw(&setter->seed) % 2 == 0 ? 4 : 16;
        CHECK(numapool_set_budget(setter->pool, budget) == NUMAPOOL_OK);
    }
    return NULL;
}

/* Changes as fast as they can be made must not lose a wake-up: everything runs, at most 16 at once. */
static void changed_all_the_time(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                             .workers_max = 16,
                                             .queue_tasks = 128,
                                             .mode = nodes == 2 ? NUMAPOOL_FIXED : 0});
        /* Some tasks sleep: then it is not always them who make room. */
        struct meter meter = {.allowed = 16, .work = 20};
        struct setter setter = {.pool = pool, .seed = seed_of_run()};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, set_all_the_time, &setter), 0);
        flood(pool, &meter, TIMES(6000, 1000), nodes);
        EVENTUALLY(at_rest(pool));
        atomic_store(&setter.stop, true);
        pthread_join(thread, NULL);
        /* Nobody is left awake who would find a task by chance: a submit has to wake somebody. */
        for (int i = 0; i < 20; i++) {
            idle(pool, &meter);
            flood(pool, &meter, 1, nodes);
        }
        finish(pool);
        assert_int_equal(atomic_load(&meter.excesses), 0);
    }
}

static void bounds_of_the_budget(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(4), .workers_max = 8});
    assert_int_equal(numapool_set_budget(NULL, 1), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_set_budget(pool, 0), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_set_budget(pool, UINT_MAX), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_set_budget(pool, 1025), NUMAPOOL_E_INVALID); /* twice the default */
    assert_int_equal(numapool_set_budget(pool, 1024), NUMAPOOL_OK);
    /* Fewer than shards: at least one per shard remains. */
    assert_int_equal(numapool_set_budget(pool, 1), NUMAPOOL_OK);
    struct blocker blocker = BLOCKER;
    for (int i = 0; i < 4; i++) {
        struct numapool_task task = {.run = block,
                                     .arg = &blocker,
                                     .node = i,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    EVENTUALLY(atomic_load(&blocker.inside) == 4);
    door_open(&blocker.door);
    finish(pool);

    pool = make(&(struct kind){.workers_max = 2000});
    assert_int_equal(numapool_set_budget(pool, 2000), NUMAPOOL_OK);
    assert_int_equal(numapool_set_budget(pool, 2001), NUMAPOOL_E_INVALID);
    finish(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_the_budget_run),
        cmocka_unit_test(a_fixed_pool_uses_all_of_it),
        cmocka_unit_test(an_adaptive_pool_grows_to_it),
        cmocka_unit_test(lowered_while_tasks_run),
        cmocka_unit_test(raised_before_it_was_low),
        cmocka_unit_test(raised_while_one_node_holds_too_many),
        cmocka_unit_test(changed_under_load),
        cmocka_unit_test(changed_all_the_time),
        cmocka_unit_test(bounds_of_the_budget),
    };
    return RUN(tests);
}
