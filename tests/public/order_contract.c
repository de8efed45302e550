/* In which order tasks start. */
#include "contract.h"

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

/* One worker, in the blocker; a task is overdue after that time. */
static numapool *make_patient(struct blocker *blocker, uint64_t queue_delay_ns)
{
    struct numapool_config config;
    config_of(&config,
              &(struct kind){.workers_max = 1, .queue_tasks = 2000, .mode = NUMAPOOL_FIXED});
    config.queue_delay_ns = queue_delay_ns;
    numapool *pool = make_with(&config);
    block_workers(pool, blocker, 1);
    return pool;
}

/* Longer than a worker goes on with what it saw waiting. */
static void take_a_while(void *arg)
{
    uint64_t begin_ns = now_ns();
    stand_in_line(arg);
    while (now_ns() - begin_ns < 10000) {
    }
}

/* An overdue one has its turn, however many better ones wait. */
static void no_class_starves(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    static struct line line;
    numapool *pool = make_patient(&blocker, 1000000);
    static struct in_line normal = {&line, NUMAPOOL_NORMAL}, critical = {&line, NUMAPOOL_CRITICAL},
                          sheddable = {&line, NUMAPOOL_SHEDDABLE};
    struct numapool_task late[2] = {
        {.run = stand_in_line, .arg = &normal, .task_class = NUMAPOOL_NORMAL},
        {.run = stand_in_line, .arg = &sheddable, .task_class = NUMAPOOL_SHEDDABLE}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(numapool_submit_task(pool, &late[i]), NUMAPOOL_OK);
    }
    uint64_t begin_ns = now_ns();
    while (now_ns() - begin_ns < 5000000) {
        rest();
    }
    for (int i = 0; i < 200; i++) {
        struct numapool_task task = {
            .run = take_a_while, .arg = &critical, .task_class = NUMAPOOL_CRITICAL};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    door_open(&blocker.door);
    finish(pool);
    assert_int_equal(atomic_load(&line.count), 202);
    int at_normal = 0, at_sheddable = 0;
    for (int i = 0; i < 202; i++) {
        at_normal = line.classes[i] == NUMAPOOL_NORMAL ? i : at_normal;
        at_sheddable = line.classes[i] == NUMAPOOL_SHEDDABLE ? i : at_sheddable;
    }
    assert_in_range(at_normal, 0, 16);
    assert_in_range(at_sheddable, at_normal + 1, 32);
}

static void better_classes_go_first(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    static struct line line;
    numapool *pool = make_patient(&blocker, UINT64_C(3600000000000));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_threads_tasks_start_in_order),
        cmocka_unit_test(plain_submits_start_in_order),
        cmocka_unit_test(better_classes_go_first),
        cmocka_unit_test(no_class_starves),
    };
    return RUN(tests);
}
