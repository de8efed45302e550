/* Submitting: arguments, batches, waiting for room, order, places, deadlines, hints. */
#include "contract.h"

#include <limits.h>

static numapool *make_blocked(struct blocker *blocker, unsigned workers, uint64_t queue_tasks)
{
    numapool *pool = make(
        &(struct kind){.workers_max = workers, .queue_tasks = queue_tasks, .mode = NUMAPOOL_FIXED});
    block_workers(pool, blocker, (int)workers);
    return pool;
}

/* ----------------------------------------------------------------------------- arguments */

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(2), .workers_max = 4});
    numapool *other = make(&(struct kind){.workers_max = 2});
    numapool_group *strange = NULL;
    assert_int_equal(numapool_group_create(&strange, other), NUMAPOOL_OK);
    atomic_int ran = 0;
    const struct numapool_task good = {.run = count_run, .arg = &ran};
    struct numapool_task bad[32];
    size_t count = 0;
#define BAD(field_, value_)                                                                        \
    do {                                                                                           \
        bad[count] = good;                                                                         \
        bad[count].field_ = value_;                                                                \
        count++;                                                                                   \
    } while (0)
    BAD(run, NULL);
    BAD(group, strange);
    BAD(task_class, -1);
    BAD(task_class, 3);
    BAD(task_class, INT_MAX);
    BAD(task_class, INT_MIN);
    BAD(flags, 1u << 3);
    BAD(flags, UINT_MAX);
    for (int i = 0; i < 4; i++) {
        BAD(reserved[i], 1);
        BAD(reserved[i], UINT64_MAX);
    }
    const int nodes[] = {-1, 2, 3, 64, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        BAD(node, nodes[i]);
        bad[count - 1].flags = NUMAPOOL_ON_NODE;
    }
#undef BAD
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(numapool_submit_task(pool, &bad[i]), NUMAPOOL_E_INVALID);
        assert_int_equal(numapool_submit_wait(pool, &bad[i], FOREVER), NUMAPOOL_E_INVALID);
        size_t accepted = 77;
        assert_int_equal(numapool_submit_batch(pool, &bad[i], 1, &accepted), NUMAPOOL_E_INVALID);
        assert_int_equal(accepted, 0);
    }
    struct numapool_stats stats = stats_of(pool);
    assert_int_equal(stats.submitted, 0);

    /* What is not read is not judged. */
    struct numapool_task task = good;
    task.node = -5;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    task.node = INT_MAX;
    task.flags = NUMAPOOL_STRICT_NODE | NUMAPOOL_DROP_OK;
    task.near_data = &task;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    task.near_data = (const void *)(uintptr_t)UINTPTR_MAX;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    finish(pool);
    assert_int_equal(atomic_load(&ran), 3);
    assert_int_equal(numapool_group_destroy(strange), NUMAPOOL_OK);
    finish(other);
}

static void a_task_is_copied(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 1, 100);
    struct fate fate = {.run = 0};
    struct numapool_task task = fate_task(&fate);
    task.bytes = 1000;
    task.deadline_ns = now_ns() + UINT64_C(3600000) * MS;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    memset(&task, 0xff, sizeof task);
    door_open(&blocker.door);
    finish(pool);
    assert_int_equal(atomic_load(&fate.run), 1);
}

/* ------------------------------------------------------------------------------- batches */

static void batches_accept_a_prefix(void **state)
{
    (void)state;
    numapool *pool =
        make(&(struct kind){.machine = machine_of(2), .workers_max = 4, .queue_tasks = 4000});
    enum { COUNT = 200 };
    static struct numapool_task tasks[COUNT];
    static struct fate fates[COUNT];
    memset(fates, 0, sizeof fates);
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = fate_task(&fates[i]);
        tasks[i].task_class = i / 7 % NUMAPOOL_CLASSES;
        tasks[i].node = i / 5 % 2;
        tasks[i].flags = i % 3 == 0 ? NUMAPOOL_ON_NODE : 0;
        tasks[i].group = i % 11 == 0 ? group : NULL;
        tasks[i].bytes = i % 13 == 0 ? 500 : 0;
        tasks[i].deadline_ns = i % 17 == 0 ? now_ns() + UINT64_C(3600000) * MS : 0;
    }
    size_t accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, tasks, COUNT, &accepted), NUMAPOOL_OK);
    assert_int_equal(accepted, COUNT);
    assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
    EVENTUALLY(at_rest(pool));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(atomic_load(&fates[i].run), 1);
    }

    /* A mistake in the middle, at every place around the size of an inner step. */
    const size_t places[] = {0, 1, 31, 32, 33, 63, 64, 65, 100, COUNT - 1};
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
        memset(fates, 0, sizeof fates);
        for (int plain = 0; plain < 2; plain++) {
            for (int i = 0; i < COUNT; i++) {
                tasks[i] = fate_task(&fates[i]);
                tasks[i].bytes = plain ? 0 : 64;
            }
            tasks[places[p]].reserved[0] = 1;
            accepted = 77;
            assert_int_equal(numapool_submit_batch(pool, tasks, COUNT, &accepted),
                             NUMAPOOL_E_INVALID);
            assert_int_equal(accepted, places[p]);
        }
        EVENTUALLY(at_rest(pool));
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(atomic_load(&fates[i].run), i < places[p] ? 2 : 0);
            assert_int_equal(atomic_load(&fates[i].dropped), 0);
        }
    }

    accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, tasks, 0, &accepted), NUMAPOOL_OK);
    assert_int_equal(accepted, 0);
    accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, NULL, 0, &accepted), NUMAPOOL_OK);
    assert_int_equal(accepted, 0);
    accepted = 77;
    assert_int_equal(numapool_submit_batch(pool, NULL, 1, &accepted), NUMAPOOL_E_INVALID);
    assert_int_equal(accepted, 77);
    assert_int_equal(numapool_submit_batch(pool, tasks, 1, NULL), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_submit_batch(NULL, tasks, 1, &accepted), NUMAPOOL_E_INVALID);
    assert_int_equal(accepted, 77);

    /* A cancelled group ends the prefix. */
    assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = fate_task(&fates[i]);
    }
    tasks[40].group = group;
    assert_int_equal(numapool_submit_batch(pool, tasks, COUNT, &accepted), NUMAPOOL_E_CANCELLED);
    assert_int_equal(accepted, 40);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    finish(pool);
}

/* ---------------------------------------------------------------------- waiting for room */

struct waiter {
    numapool *pool;
    struct numapool_task task;
    uint64_t timeout_ns;
    atomic_bool returned;
    int result;
    pthread_t thread;
};

static void *submit_and_wait(void *arg)
{
    struct waiter *waiter = arg;
    waiter->result = numapool_submit_wait(waiter->pool, &waiter->task, waiter->timeout_ns);
    atomic_store(&waiter->returned, true);
    return NULL;
}

static void waiting_ends_with_room_or_time(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make_blocked(&blocker, 1, 4);
    struct numapool_task task = {.run = count_run, .arg = &ran};
    for (int i = 0; i < 4; i++) { /* ceil(0.9 * 4) = 4 */
        assert_int_equal(numapool_submit_wait(pool, &task, 0), NUMAPOOL_OK);
    }
    assert_int_equal(numapool_submit_wait(pool, &task, 0), NUMAPOOL_E_FULL);
    assert_int_equal(numapool_submit_wait(pool, &task, 5 * MS), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(numapool_submit_wait(pool, &task, 1), NUMAPOOL_E_TIMEDOUT);
    task.task_class = NUMAPOOL_SHEDDABLE;
    assert_int_equal(numapool_submit_wait(pool, &task, 2 * MS), NUMAPOOL_E_TIMEDOUT);
    assert_int_equal(stats_of(pool).accepted, 5);

    struct waiter waiters[4];
    for (int i = 0; i < 4; i++) {
        waiters[i] = (struct waiter){.pool = pool, .task = task, .timeout_ns = FOREVER};
        waiters[i].task.task_class = i % NUMAPOOL_CLASSES;
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, submit_and_wait, &waiters[i]), 0);
    }
    /* Each of them was refused at least once before there is room. */
    uint64_t refused = stats_of(pool).refused_full + stats_of(pool).refused_shed;
    EVENTUALLY(stats_of(pool).refused_full + stats_of(pool).refused_shed >= refused + 8);
    for (int i = 0; i < 4; i++) {
        assert_false(atomic_load(&waiters[i].returned));
    }
    door_open(&blocker.door);
    for (int i = 0; i < 4; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].result, NUMAPOOL_OK);
    }
    finish(pool);
    assert_int_equal(atomic_load(&ran), 8);
}

static void waiting_ends_when_the_pool_closes(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make_blocked(&blocker, 1, 1);
    struct numapool_task task = {.run = count_run, .arg = &ran};
    assert_int_equal(numapool_submit_wait(pool, &task, 0), NUMAPOOL_OK);
    struct waiter waiter = {.pool = pool, .task = task, .timeout_ns = FOREVER};
    assert_int_equal(pthread_create(&waiter.thread, NULL, submit_and_wait, &waiter), 0);
    EVENTUALLY(stats_of(pool).refused_full >= 2);
    assert_int_equal(numapool_drain(pool, 0), NUMAPOOL_E_TIMEDOUT);
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.result, NUMAPOOL_E_CLOSED);
    door_open(&blocker.door);
    finish(pool);
}

static void waiting_returns_other_codes_at_once(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    struct numapool_task task = {.run = block, .deadline_ns = 1};
    assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_E_DEADLINE);
    task.deadline_ns = 0;
    assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
    assert_int_equal(numapool_group_cancel(task.group), NUMAPOOL_OK);
    assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_E_CANCELLED);
    assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
    finish(pool);
}

struct inner_submit {
    numapool *pool, *other;
    atomic_int *ran;
    int own[3], foreign, plain;
    atomic_bool done;
};

static void submit_from_inside(void *arg)
{
    struct inner_submit *inner = arg;
    struct numapool_task task = {.run = count_run, .arg = inner->ran};
    inner->own[0] = numapool_submit_wait(inner->pool, &task, 0);
    inner->own[1] = numapool_submit_wait(inner->pool, &task, MS);
    inner->own[2] = numapool_submit_wait(inner->pool, &task, FOREVER);
    inner->foreign = numapool_submit_wait(inner->other, &task, FOREVER);
    inner->plain = numapool_submit_task(inner->pool, &task);
    atomic_store(&inner->done, true);
}

static void a_worker_may_not_wait_for_its_own_pool(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    numapool *other = make(&(struct kind){.workers_max = 1});
    atomic_int ran = 0;
    struct inner_submit inner = {.pool = pool, .other = other, .ran = &ran};
    assert_int_equal(numapool_submit(pool, submit_from_inside, &inner), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&inner.done));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(inner.own[i], NUMAPOOL_E_DEADLOCK);
    }
    assert_int_equal(inner.foreign, NUMAPOOL_OK);
    assert_int_equal(inner.plain, NUMAPOOL_OK);
    finish(pool);
    finish(other);
    assert_int_equal(atomic_load(&ran), 2);
}

/* --------------------------------------------------------------------------------- order */

enum { SUBMITTERS = 4, EACH = 2000 };

struct sequence {
    atomic_int last[SUBMITTERS]; /* tasks of one worker: no two write at once */
    atomic_int disorders;
};

struct numbered {
    struct sequence *sequence;
    int submitter, number;
};

static void check_order(void *arg)
{
    const struct numbered *numbered = arg;
    struct sequence *sequence = numbered->sequence;
    if (atomic_exchange(&sequence->last[numbered->submitter], numbered->number) !=
        numbered->number - 1) {
        atomic_fetch_add(&sequence->disorders, 1);
    }
}

struct orderly {
    numapool *pool;
    struct numbered *tasks;
    int count, how, node;
    pthread_t thread;
};

static void *submit_in_order(void *arg)
{
    struct orderly *orderly = arg;
    for (int i = 0; i < orderly->count;) {
        struct numapool_task batch[40];
        int size = orderly->how == 2 ? (orderly->count - i < 40 ? orderly->count - i : 40) : 1;
        for (int n = 0; n < size; n++) {
            batch[n] = (struct numapool_task){.run = check_order,
                                              .arg = &orderly->tasks[i + n],
                                              .node = orderly->node,
                                              .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        }
        size_t accepted = 0;
        if (orderly->how == 2) {
            (void)!numapool_submit_batch(orderly->pool, batch, (size_t)size, &accepted);
        } else if (orderly->how == 1) {
            accepted = numapool_submit_wait(orderly->pool, batch, FOREVER) == NUMAPOOL_OK;
        } else {
            accepted = numapool_submit_task(orderly->pool, batch) == NUMAPOOL_OK;
        }
        i += (int)accepted;
        if (accepted == 0) {
            rest();
        }
    }
    return NULL;
}

/* Each thread with a node to itself, and all of them on one, where they get in each other's way. */
static void one_threads_tasks_start_in_order(void **state)
{
    (void)state;
    static struct numbered tasks[SUBMITTERS][EACH];
    for (int variant = 0; variant < 6; variant++) {
        int nodes = variant < 3 ? SUBMITTERS : 1;
        struct sequence sequence = {.disorders = 0};
        numapool *pool = make(&(struct kind){.machine = machine_of((unsigned)nodes),
                                             .workers_max = (unsigned)nodes,
                                             .queue_tasks = 500 * SUBMITTERS,
                                             .mode = NUMAPOOL_FIXED});
        struct orderly orderly[SUBMITTERS];
        for (int s = 0; s < SUBMITTERS; s++) {
            for (int i = 0; i < EACH; i++) {
                tasks[s][i] = (struct numbered){&sequence, s, i + 1};
            }
            orderly[s] = (struct orderly){.pool = pool,
                                          .tasks = tasks[s],
                                          .count = TIMES(EACH, EACH / 4),
                                          .how = (variant + s) % 3,
                                          .node = s % nodes};
            assert_int_equal(pthread_create(&orderly[s].thread, NULL, submit_in_order, &orderly[s]),
                             0);
        }
        for (int s = 0; s < SUBMITTERS; s++) {
            pthread_join(orderly[s].thread, NULL);
        }
        finish(pool);
        assert_int_equal(atomic_load(&sequence.disorders), 0);
        for (int s = 0; s < SUBMITTERS; s++) {
            assert_int_equal(atomic_load(&sequence.last[s]), orderly[s].count);
        }
    }
}

/* The plainest call has no say in where it goes: one shard, one thread. */
static void plain_submits_start_in_order(void **state)
{
    (void)state;
    static struct numbered tasks[EACH];
    struct sequence sequence = {.disorders = 0};
    numapool *pool =
        make(&(struct kind){.workers_max = 1, .queue_tasks = 500, .mode = NUMAPOOL_FIXED});
    for (int i = 0; i < EACH; i++) {
        tasks[i] = (struct numbered){&sequence, 0, i + 1};
        while (numapool_submit(pool, check_order, &tasks[i]) != NUMAPOOL_OK) {
            rest();
        }
    }
    finish(pool);
    assert_int_equal(atomic_load(&sequence.disorders), 0);
    assert_int_equal(atomic_load(&sequence.last[0]), EACH);
}

struct line {
    atomic_int count;
    int classes[300];
};

struct in_line {
    struct line *line;
    int task_class;
};

static void stand_in_line(void *arg)
{
    struct in_line *in_line = arg;
    int at = atomic_fetch_add(&in_line->line->count, 1);
    in_line->line->classes[at] = in_line->task_class;
}

static void better_classes_go_first(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    static struct line line;
    numapool *pool = make_blocked(&blocker, 1, 2000);
    struct in_line tasks[NUMAPOOL_CLASSES];
    for (int i = 0; i < 300; i++) {
        int c = i % NUMAPOOL_CLASSES;
        tasks[c] = (struct in_line){&line, c};
        struct numapool_task task = {.run = stand_in_line, .arg = &tasks[c], .task_class = c};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    door_open(&blocker.door);
    finish(pool);
    assert_int_equal(atomic_load(&line.count), 300);
    for (int i = 0; i < 300; i++) {
        int expected = i < 100 ? NUMAPOOL_CRITICAL : i < 200 ? NUMAPOOL_NORMAL : NUMAPOOL_SHEDDABLE;
        assert_int_equal(line.classes[i], expected);
    }
}

/* -------------------------------------------------------------------------------- places */

struct spot {
    int wanted;
    atomic_int right, wrong;
};

static void note_spot(void *arg)
{
    struct spot *spot = arg;
    atomic_fetch_add(numapool_current_node() == spot->wanted ? &spot->right : &spot->wrong, 1);
}

static void strict_tasks_never_leave_their_node(void **state)
{
    (void)state;
    numapool *pool =
        make(&(struct kind){.machine = machine_of(4), .workers_max = 8, .queue_tasks = 400});
    struct spot spots[4];
    int accepted[4] = {0};
    for (int i = 0; i < 4; i++) {
        spots[i] = (struct spot){.wanted = i};
    }
    /* Most of it on node 0, so that others are idle and would help if they might. */
    for (int i = 0; i < TIMES(20000, 3000); i++) {
        int node = i % 10 == 0 ? i / 10 % 4 : 0;
        struct numapool_task task = {.run = note_spot,
                                     .arg = &spots[node],
                                     .node = node,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        accepted[node] += numapool_submit_task(pool, &task) == NUMAPOOL_OK;
    }
    finish(pool);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(atomic_load(&spots[i].wrong), 0);
        assert_int_equal(atomic_load(&spots[i].right), accepted[i]);
        assert_true(accepted[i] > 0);
    }
}

static void idle_nodes_run_their_own_tasks(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(4), .workers_max = 16});
    void *memory[4];
    for (int i = 0; i < 4; i++) {
        memory[i] = numapool_alloc(pool, i, 1000);
        assert_non_null(memory[i]);
    }
    /* One task at a time: nobody has a reason to help, but for a worker that wakes up late. */
    uint64_t wrong = 0;
    for (int i = 0; i < 200; i++) {
        struct spot spot = {.wanted = i % 4};
        struct numapool_task task = {.run = note_spot, .arg = &spot};
        if (i % 3 == 0) {
            task.node = i % 4;
            task.flags = NUMAPOOL_ON_NODE;
            task.near_data = memory[(i + 1) % 4]; /* what is said beats what is hinted */
        } else {
            task.near_data = (char *)memory[i % 4] + i % 1000;
        }
        uint64_t before = shard_stats_of(pool, (size_t)i % 4).accepted;
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        assert_int_equal(shard_stats_of(pool, (size_t)i % 4).accepted, before + 1); /* its home */
        EVENTUALLY(atomic_load(&spot.right) + atomic_load(&spot.wrong) == 1);
        wrong += (uint64_t)atomic_load(&spot.wrong);
    }
    struct numapool_stats stats = stats_of(pool);
    assert_true(wrong <= stats.stolen_in + stats.forwarded_in);
    assert_true(wrong < 100);
    for (int i = 0; i < 4; i++) {
        numapool_free(pool, memory[i]);
    }
    finish(pool);
}

static void overflow_goes_to_other_nodes(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make(&(struct kind){
        .machine = machine_of(2), .workers_max = 2, .queue_tasks = 40, .mode = NUMAPOOL_FIXED});
    struct numapool_task task = {
        .run = block, .arg = &blocker, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&blocker.inside) == 1);
    task = (struct numapool_task){.run = count_run, .arg = &ran, .flags = NUMAPOOL_ON_NODE};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(numapool_submit_wait(pool, &task, FOREVER), NUMAPOOL_OK);
    }
    /* Node 0 runs nothing; what it could not hold ran on node 1, and idle workers there take more. */
    EVENTUALLY(atomic_load(&ran) >= 80);
    struct numapool_shard_stats there = shard_stats_of(pool, 1);
    assert_true(there.forwarded_in + there.stolen_in >= 80);
    door_open(&blocker.door);
    finish(pool);
    assert_int_equal(atomic_load(&ran), 100);
}

/* Tasks that were queued elsewhere and dropped there must not count as guests for ever: their place
   can be used by others again and again. */
static void dropped_guests_leave_their_place(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){
        .machine = machine_of(2), .workers_max = 2, .queue_tasks = 20, .mode = NUMAPOOL_FIXED});
    for (int round = 0; round < 10; round++) {
        struct blocker blocker = BLOCKER;
        struct numapool_task hold = {
            .run = block, .arg = &blocker, .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        for (hold.node = 0; hold.node < 2; hold.node++) {
            assert_int_equal(numapool_submit_task(pool, &hold), NUMAPOOL_OK);
            EVENTUALLY(atomic_load(&blocker.inside) == hold.node + 1);
        }
        struct fate fate = {.run = 0};
        struct numapool_task task = fate_task(&fate);
        task.flags = NUMAPOOL_ON_NODE;
        task.task_class = NUMAPOOL_CRITICAL;
        assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
        uint64_t before = shard_stats_of(pool, 1).forwarded_in;
        int accepted = 0;
        while (numapool_submit_task(pool, &task) == NUMAPOOL_OK) {
            accepted++;
        }
        assert_int_equal(shard_stats_of(pool, 1).forwarded_in - before, accepted - 10);
        assert_int_equal(accepted, 15); /* half of the other's ten places are for guests */
        assert_int_equal(numapool_group_cancel(task.group), NUMAPOOL_OK);
        door_open(&blocker.door);
        assert_int_equal(numapool_group_wait(task.group, FOREVER), NUMAPOOL_OK);
        assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
        assert_int_equal(atomic_load(&fate.dropped), accepted);
        EVENTUALLY(at_rest(pool));
    }
    finish(pool);
}

/* Two shards on each of two nodes: strict tasks may use both of their node's, and no other. */
static void strict_tasks_move_within_their_node(void **state)
{
    (void)state;
    for (int node = 0; node < 2; node++) {
        struct numapool_config config;
        struct blocker blocker = BLOCKER;
        config_of(&config, &(struct kind){.machine = "pack:2 [numa] l3:2 core:2 pu:1",
                                          .workers_max = 4,
                                          .queue_tasks = 40,
                                          .mode = NUMAPOOL_FIXED});
        config.shards = NUMAPOOL_PER_L3;
        numapool *pool = make_with(&config);
        assert_int_equal(numapool_node_count(pool), 2);
        assert_int_equal(numapool_shard_count(pool), 4);
        size_t own[2], count = 0;
        for (size_t i = 0; i < 4; i++) {
            if (shard_stats_of(pool, i).node == (uint64_t)node) {
                assert_true(count < 2);
                own[count++] = i;
            }
        }
        assert_int_equal(count, 2);
        struct numapool_task task = {.run = block,
                                     .arg = &blocker,
                                     .node = node,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        for (int i = 0; i < 2; i++) { /* one worker each; the second task finds or is taken by it */
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        }
        EVENTUALLY(atomic_load(&blocker.inside) == 2);
        struct spot spot = {.wanted = node};
        task.run = note_spot;
        task.arg = &spot;
        task.task_class = NUMAPOOL_CRITICAL;
        int accepted = 0;
        while (numapool_submit_task(pool, &task) == NUMAPOOL_OK) {
            accepted++;
        }
        assert_true(accepted > 10); /* more than one of them holds */
        assert_int_equal(shard_stats_of(pool, own[0]).queue_depth +
                             shard_stats_of(pool, own[1]).queue_depth,
                         accepted);
        door_open(&blocker.door);
        finish(pool);
        assert_int_equal(atomic_load(&spot.right), accepted);
        assert_int_equal(atomic_load(&spot.wrong), 0);
    }
}

/* ----------------------------------------------------------------------------- deadlines */

static void passed_deadlines_are_refused(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    struct fate fate = {.run = 0};
    struct numapool_task task = fate_task(&fate);
    const uint64_t passed[] = {1, now_ns() - 1, now_ns()};
    for (size_t i = 0; i < 3; i++) {
        task.deadline_ns = passed[i];
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_E_DEADLINE);
    }
    assert_int_equal(stats_of(pool).refused_deadline, 3);
    const uint64_t far[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63,
                            now_ns() + UINT64_C(1000000000000)};
    for (size_t i = 0; i < 4; i++) {
        task.deadline_ns = far[i];
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    finish(pool);
    assert_int_equal(atomic_load(&fate.run), 4);
    assert_int_equal(atomic_load(&fate.dropped), 0);
}

static void deadlines_that_pass_in_the_queue_drop_the_task(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 1, 100);
    struct fate late = {.run = 0}, far = {.run = 0};
    struct numapool_task task = fate_task(&late);
    assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
    task.bytes = 1000;
    uint64_t deadline = 0;
    int accepted = 0;
    while (accepted < 20) { /* a slow machine may take longer than that to submit */
        deadline = now_ns() + 30 * MS;
        task.deadline_ns = deadline;
        int result = numapool_submit_task(pool, &task);
        assert_true(result == NUMAPOOL_OK || result == NUMAPOOL_E_DEADLINE);
        accepted += result == NUMAPOOL_OK;
    }
    struct numapool_task patient = fate_task(&far);
    patient.deadline_ns = deadline + UINT64_C(3600000) * MS;
    assert_int_equal(numapool_submit_task(pool, &patient), NUMAPOOL_OK);
    EVENTUALLY(now_ns() > deadline);
    assert_int_equal(atomic_load(&late.dropped), 0); /* at their turn, not before */
    door_open(&blocker.door);
    assert_int_equal(numapool_group_wait(task.group, FOREVER), NUMAPOOL_OK);
    assert_int_equal(atomic_load(&late.dropped), 20);
    assert_int_equal(atomic_load(&late.run), 0);
    assert_int_equal(atomic_load(&late.why), NUMAPOOL_E_DEADLINE);
    assert_int_equal(stats_of(pool).dropped, 20);
    assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
    finish(pool);
    assert_int_equal(atomic_load(&far.run), 1);
    assert_int_equal(atomic_load(&far.dropped), 0);
}

static void wait_for_cancelled(void *arg)
{
    EVENTUALLY(numapool_cancelled());
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void a_running_task_learns_of_its_deadline(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    atomic_int learned = 0;
    struct numapool_task task = {.run = wait_for_cancelled, .arg = &learned};
    int result;
    do {
        task.deadline_ns = now_ns() + 20 * MS;
        result = numapool_submit_task(pool, &task);
    } while (result == NUMAPOOL_E_DEADLINE);
    assert_int_equal(result, NUMAPOOL_OK);
    EVENTUALLY(at_rest(pool)); /* ran, or was too late to begin with */
    assert_int_equal(stats_of(pool).run, atomic_load(&learned));
    finish(pool);
}

static void hold_a_millisecond(void *arg)
{
    (void)arg;
    rest();
    rest();
}

/* Once the pool knows how long tasks take, one that would come too late is refused at the door. */
static void predicted_lateness_is_refused(void **state)
{
    (void)state;
    numapool *pool =
        make(&(struct kind){.workers_max = 1, .queue_tasks = 400, .mode = NUMAPOOL_FIXED});
    struct fate fate = {.run = 0};
    struct numapool_task urgent = fate_task(&fate);
    urgent.task_class = NUMAPOOL_CRITICAL;
    struct numapool_task filler = {.run = hold_a_millisecond, .task_class = NUMAPOOL_CRITICAL};
    int accepted = 0, refused = 0;
    while (refused == 0) {
        for (int i = 0; i < 20; i++) {
            (void)!numapool_submit_task(pool, &filler);
        }
        urgent.deadline_ns = now_ns() + 2 * MS;
        int result = numapool_submit_task(pool, &urgent);
        accepted += result == NUMAPOOL_OK;
        refused += result == NUMAPOOL_E_DEADLINE && now_ns() < urgent.deadline_ns;
        rest();
    }
    finish(pool);
    assert_int_equal(atomic_load(&fate.run) + atomic_load(&fate.dropped), accepted);
}

/* --------------------------------------------------------------------------- standing delay */

static void too_long_a_wait_is_refused(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config,
              &(struct kind){.workers_max = 1, .queue_tasks = 10000, .mode = NUMAPOOL_FIXED});
    config.queue_delay_ns = 3 * MS;
    numapool *pool = make_with(&config);
    struct numapool_task task = {.run = hold_a_millisecond};
    int result;
    do {
        result = numapool_submit_task(pool, &task);
        if (result == NUMAPOOL_OK && stats_of(pool).queue_depth > 100) {
            rest();
        }
    } while (result == NUMAPOOL_OK);
    assert_int_equal(result, NUMAPOOL_E_SHED); /* and there is room for thousands */
    assert_true(stats_of(pool).queue_depth < 5000);
    assert_true(numapool_retry_after_ns(pool) > 0);
    /* What must not be refused is not. */
    task.task_class = NUMAPOOL_CRITICAL;
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    unwatch(pool);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

static void a_standing_queue_sheds_what_may_be_dropped(void **state)
{
    (void)state;
    struct numapool_config config;
    config_of(&config,
              &(struct kind){.workers_max = 1, .queue_tasks = 2000, .mode = NUMAPOOL_FIXED});
    config.codel_target_ns = MS;
    config.codel_interval_ns = 5 * MS;
    config.queue_delay_ns = NUMAPOOL_OFF;
    numapool *pool = make_with(&config);
    struct fate may = {.run = 0}, must = {.run = 0};
    int may_accepted = 0, must_accepted = 0;
    while (atomic_load(&may.dropped) == 0) {
        struct numapool_task task = {.run = hold_a_millisecond};
        (void)!numapool_submit_task(pool, &task);
        task = fate_task(&may);
        task.flags = NUMAPOOL_DROP_OK;
        may_accepted += numapool_submit_task(pool, &task) == NUMAPOOL_OK;
        task = fate_task(&must);
        must_accepted += numapool_submit_task(pool, &task) == NUMAPOOL_OK;
        if (stats_of(pool).queue_depth > 300) {
            rest();
        }
    }
    assert_int_equal(atomic_load(&may.why), NUMAPOOL_E_SHED);
    finish(pool);
    assert_int_equal(atomic_load(&may.run) + atomic_load(&may.dropped), may_accepted);
    assert_int_equal(atomic_load(&must.run), must_accepted);
    assert_int_equal(atomic_load(&must.dropped), 0);
}

/* --------------------------------------------------------------------------------- hints */

static void *ask_for_hint(void *pool)
{
    CHECK(numapool_retry_after_ns(pool) == 0); /* this thread was never refused */
    return NULL;
}

static void hints_are_the_callers_own(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    atomic_int ran = 0;
    numapool *pool = make_blocked(&blocker, 1, 1);
    numapool *other = make(&(struct kind){.workers_max = 1});
    assert_int_equal(numapool_retry_after_ns(pool), 0);
    assert_int_equal(numapool_submit(pool, count_run, &ran), NUMAPOOL_OK);
    assert_int_equal(numapool_retry_after_ns(pool), 0);
    assert_int_equal(numapool_submit(pool, count_run, &ran), NUMAPOOL_E_FULL);
    assert_true(numapool_retry_after_ns(pool) > 0);
    assert_int_equal(numapool_retry_after_ns(other), 0);
    assert_int_equal(numapool_retry_after_ns(NULL), 0);
    /* Jitter: a crowd does not come back together. */
    uint64_t first = numapool_retry_after_ns(pool);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        differs |= numapool_retry_after_ns(pool) != first;
    }
    assert_true(differs);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_for_hint, pool), 0);
    pthread_join(thread, NULL);
    /* Bytes are refused by another rule, and retried by the same hint. */
    struct numapool_task large = {.run = count_run, .arg = &ran, .bytes = UINT64_C(1) << 40};
    assert_int_equal(numapool_submit_task(other, &large), NUMAPOOL_E_FULL);
    assert_true(numapool_retry_after_ns(other) > 0);
    door_open(&blocker.door);
    finish(pool);
    finish(other);
}

static void every_code_has_a_sentence(void **state)
{
    (void)state;
    const char *unknown = numapool_strerror(1);
    assert_non_null(unknown);
    for (int code = NUMAPOOL_OK; code >= NUMAPOOL_E_SYSTEM; code--) {
        const char *text = numapool_strerror(code);
        assert_non_null(text);
        assert_true(strlen(text) > 0);
        assert_string_not_equal(text, unknown);
        for (int before = NUMAPOOL_OK; before > code; before--) {
            assert_string_not_equal(text, numapool_strerror(before));
        }
    }
    assert_non_null(numapool_strerror(INT_MAX));
    assert_non_null(numapool_strerror(INT_MIN));
    assert_non_null(numapool_strerror(NUMAPOOL_E_SYSTEM - 1));
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", NUMAPOOL_VERSION_MAJOR,
                   NUMAPOOL_VERSION_MINOR, NUMAPOOL_VERSION_PATCH);
    assert_string_equal(numapool_version(), version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(a_task_is_copied),
        cmocka_unit_test(batches_accept_a_prefix),
        cmocka_unit_test(waiting_ends_with_room_or_time),
        cmocka_unit_test(waiting_ends_when_the_pool_closes),
        cmocka_unit_test(waiting_returns_other_codes_at_once),
        cmocka_unit_test(a_worker_may_not_wait_for_its_own_pool),
        cmocka_unit_test(one_threads_tasks_start_in_order),
        cmocka_unit_test(plain_submits_start_in_order),
        cmocka_unit_test(better_classes_go_first),
        cmocka_unit_test(strict_tasks_never_leave_their_node),
        cmocka_unit_test(idle_nodes_run_their_own_tasks),
        cmocka_unit_test(overflow_goes_to_other_nodes),
        cmocka_unit_test(dropped_guests_leave_their_place),
        cmocka_unit_test(strict_tasks_move_within_their_node),
        cmocka_unit_test(passed_deadlines_are_refused),
        cmocka_unit_test(deadlines_that_pass_in_the_queue_drop_the_task),
        cmocka_unit_test(a_running_task_learns_of_its_deadline),
        cmocka_unit_test(predicted_lateness_is_refused),
        cmocka_unit_test(too_long_a_wait_is_refused),
        cmocka_unit_test(a_standing_queue_sheds_what_may_be_dropped),
        cmocka_unit_test(hints_are_the_callers_own),
        cmocka_unit_test(every_code_has_a_sentence),
    };
    return RUN(tests);
}
