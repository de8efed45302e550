/*
 * All load on one of four sockets: the budget moves there for tasks that wait, tasks that compute are
 * taken over by the other sockets' idle CPUs, a full queue overflows into those with room, and the
 * books balance. Counts and places only: an emulated machine tells nothing about speed.
 */
#include "flow/pool.h"
#include "vm/watch.h"

#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NODES 4
#define BUDGET 16
#define QUEUE_TASKS 64 /* per shard */

/* What tasks have done, by the node they ran on. */
static unsigned ran_on[NODES];
static unsigned running, running_max;
static unsigned running_here[NODES], running_here_max[NODES];

static void note_max(unsigned *max, unsigned value)
{
    unsigned seen = __atomic_load_n(max, __ATOMIC_RELAXED);

    while (seen < value && !__atomic_compare_exchange_n(max, &seen, value, true, __ATOMIC_RELAXED,
                                                        __ATOMIC_RELAXED)) {
    }
}

static unsigned begin(void)
{
    int node = numapool_current_node();

    CHECK(node >= 0 && node < NODES);
    note_max(&running_max, __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST));
    note_max(&running_here_max[node], __atomic_add_fetch(&running_here[node], 1, __ATOMIC_SEQ_CST));
    return (unsigned)node;
}

static void end(unsigned node)
{
    (void)__atomic_add_fetch(&ran_on[node], 1, __ATOMIC_RELAXED);
    (void)__atomic_sub_fetch(&running_here[node], 1, __ATOMIC_SEQ_CST);
    (void)__atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
}

/* ------------------------------------------------------------------------ tasks that wait */

static void wait_a_while(void *arg)
{
    const struct timespec nap = {.tv_nsec = 50000000};
    unsigned node = begin();

    (void)arg;
    nanosleep(&nap, NULL);
    end(node);
}

/* Keeps so many tasks of the pool unfinished by more of them for the node. True, for use in a wait. */
static bool keep_loaded_by(numapool *pool, int node, unsigned unfinished)
{
    struct numapool_stats all = watch_pool(pool);
    uint64_t quotas = 0;

    for (uint64_t i = all.accepted - all.run; i < unfinished; i++) {
        watch_on_node(pool, node, wait_a_while, NULL);
    }
    pthread_mutex_lock(&pool->balancer.lock); /* between two deals the sum is exact */
    for (unsigned shard = 0; shard < NODES; shard++) {
        quotas += watch_shard(pool, shard).quota;
    }
    pthread_mutex_unlock(&pool->balancer.lock);
    CHECK(quotas <= BUDGET);
    return true;
}

/* More than the whole budget could run. */
static bool keep_loaded(numapool *pool, int node)
{
    return keep_loaded_by(pool, node, 3 * BUDGET);
}

/* What one shard gets at most: the rest is what is kept for the others. */
static unsigned most_quota(const numapool *pool)
{
    unsigned kept = 0;

    for (unsigned shard = 1; shard < NODES; shard++) {
        kept += npi_balance_min(BUDGET, NODES, pool->plan->shards[shard].capacity);
    }
    return BUDGET - kept;
}

static void budget_goes_where_tasks_wait(void)
{
    numapool *pool = watch_create(NULL);
    unsigned most = most_quota(pool);

    CHECK(most > BUDGET / NODES); /* more than an equal share, or this shows nothing */
    for (int node = 0; node < NODES; node += NODES - 1) {
        AWAIT(keep_loaded(pool, node) && watch_shard(pool, (size_t)node).quota == most);
        AWAIT(keep_loaded(pool, node) &&
              __atomic_load_n(&running_here_max[node], __ATOMIC_RELAXED) == most);
    }
    AWAIT(watch_pool(pool).run == watch_pool(pool).accepted);
    CHECK(running_max <= BUDGET);
    CHECK_EQUAL(running, 0);
    CHECK_EQUAL(watch_shard(pool, 0).run, ran_on[0]);
    CHECK_EQUAL(watch_shard(pool, NODES - 1).run, ran_on[NODES - 1]);
    CHECK_EQUAL(watch_pool(pool).run, ran_on[0] + ran_on[NODES - 1]); /* they were strict */
    CHECK_EQUAL(watch_pool(pool).refused_full + watch_pool(pool).refused_shed, 0);
    watch_destroy(pool);
}

static void stay(void *hold)
{
    unsigned node = begin();

    watch_hold_task(hold);
    end(node);
}

/*
 * The budget that moves is still in use where it comes from, by tasks that do not return. Whoever gets
 * it has to wait for them: at no moment do more tasks run than the budget allows.
 */
static void budget_in_use_is_not_given_away(void)
{
    struct watch_hold hold = WATCH_HOLD;
    numapool *pool = watch_create(NULL);
    unsigned most = most_quota(pool);
    unsigned others = BUDGET - most;

    AWAIT(keep_loaded(pool, 0) && watch_shard(pool, 0).quota == most);
    for (unsigned i = 0; i < most; i++) {
        watch_on_node(pool, 0, stay, &hold);
    }
    AWAIT(watch_inside(&hold) == most);
    /* What is kept for the other nodes is used there, so that nothing is free ... */
    for (unsigned node = 1; node < NODES - 1; node++) {
        for (unsigned i = 0; i < others / (NODES - 1); i++) {
            watch_on_node(pool, (int)node, stay, &hold);
        }
    }
    AWAIT(watch_inside(&hold) == BUDGET - others / (NODES - 1));
    /* ... and the last one asks for more than its share. */
    AWAIT(keep_loaded_by(pool, NODES - 1, BUDGET + 3 * BUDGET) &&
          watch_shard(pool, NODES - 1).quota > others / (NODES - 1));
    for (int i = 0; i < 60; i++) {
        keep_loaded_by(pool, NODES - 1, BUDGET + 3 * BUDGET);
        CHECK(watch_pause(UINT64_MAX));
    }
    CHECK_EQUAL(running_here_max[NODES - 1], others / (NODES - 1));
    CHECK_EQUAL(running_max, BUDGET);
    watch_let_go(&hold);
    AWAIT(keep_loaded(pool, NODES - 1) &&
          __atomic_load_n(&running_here_max[NODES - 1], __ATOMIC_RELAXED) == most);
    AWAIT(watch_pool(pool).run == watch_pool(pool).accepted);
    CHECK_EQUAL(running_max, BUDGET);
    watch_destroy(pool);
}

/* With fixed quotas the same load stays within its share. */
static void fixed_shares_do_not_move(void)
{
    struct numapool_config config;
    numapool *pool;

    watch_config(&config);
    config.mode = NUMAPOOL_FIXED;
    pool = watch_create(&config);
    for (int i = 0; i < 5 * BUDGET; i++) {
        watch_on_node(pool, 0, wait_a_while, NULL);
    }
    AWAIT(watch_pool(pool).run == 5 * BUDGET);
    CHECK_EQUAL(running_here_max[0], BUDGET / NODES);
    CHECK_EQUAL(watch_shard(pool, 0).quota, BUDGET / NODES);
    CHECK_EQUAL(ran_on[0], 5 * BUDGET);
    watch_destroy(pool);
}

/* --------------------------------------------------------------------- tasks that compute */

static void compute(void *arg)
{
    unsigned node = begin();
    volatile uint64_t x = 1;
    unsigned cpu = 0;
    unsigned node_os = NODES;

    (void)arg;
    for (int i = 0; i < 100000; i++) {
        x = x * UINT64_C(6364136223846793005) + 1;
    }
    CHECK_EQUAL(syscall(SYS_getcpu, &cpu, &node_os, NULL), 0);
    CHECK_EQUAL(node_os, node); /* wherever it went, it runs on the CPUs of that node */
    end(node);
}

static bool keep_computing(numapool *pool, unsigned *submitted)
{
    for (int i = 0; i < 100 && watch_pool(pool).queue_depth < 200; i++) {
        CHECK_EQUAL(numapool_submit(pool, compute, NULL), NUMAPOOL_OK);
        ++*submitted;
    }
    return true;
}

static unsigned ran_elsewhere(void)
{
    unsigned count = 0;

    for (unsigned node = 1; node < NODES; node++) {
        count += __atomic_load_n(&ran_on[node], __ATOMIC_RELAXED);
    }
    return count;
}

static void idle_sockets_take_over_computing(void)
{
    numapool *pool = watch_create(NULL);
    struct numapool_shard_stats home;
    unsigned submitted = 0;

    CHECK_EQUAL(where_run_on(0), 0); /* so node 0 is the home of everything */
    AWAIT(keep_computing(pool, &submitted) && ran_elsewhere() >= 50 &&
          __atomic_load_n(&ran_on[0], __ATOMIC_RELAXED) >= 50);
    AWAIT(watch_pool(pool).run == submitted);
    home = watch_shard(pool, 0);
    CHECK_EQUAL(home.accepted, submitted);
    CHECK_EQUAL(home.run, ran_on[0]);
    /* One task may be forwarded and then stolen; none comes back by itself. */
    CHECK(home.forwarded_out + home.stolen_out >= ran_elsewhere());
    for (unsigned node = 1; node < NODES; node++) {
        struct numapool_shard_stats other = watch_shard(pool, node);
        CHECK_EQUAL(other.submitted, 0);
        CHECK_EQUAL(other.run, ran_on[node]);
        CHECK_EQUAL(other.forwarded_in + other.stolen_in - other.stolen_out, ran_on[node]);
    }
    CHECK_EQUAL(ran_on[0] + ran_elsewhere(), submitted);
    CHECK(running_max <= BUDGET);
    watch_destroy(pool);
}

/* Strict tasks wait for their node, however idle the others are. */
static void strict_tasks_stay(void)
{
    numapool *pool = watch_create(NULL);

    for (int i = 0; i < 300; i++) {
        watch_on_node(pool, 1, compute, NULL);
    }
    AWAIT(watch_pool(pool).run == 300);
    CHECK_EQUAL(ran_on[1], 300);
    CHECK_EQUAL(watch_pool(pool).forwarded_out + watch_pool(pool).stolen_out, 0);
    watch_destroy(pool);
}

/* -------------------------------------------------------------------------- a full queue */

static unsigned counted;

static void count_me(void *arg)
{
    (void)arg;
    (void)__atomic_add_fetch(&counted, 1, __ATOMIC_RELAXED);
}

static int submit(numapool *pool, int task_class, unsigned flags, int node)
{
    const struct numapool_task task = {
        .run = count_me, .task_class = task_class, .flags = flags, .node = node};

    return numapool_submit_task(pool, &task);
}

static unsigned submit_until_refused(numapool *pool, int task_class, unsigned flags, int node,
                                     int expected)
{
    unsigned accepted = 0;
    int result;

    while ((result = submit(pool, task_class, flags, node)) == NUMAPOOL_OK) {
        accepted++;
        CHECK(accepted <= NODES * QUEUE_TASKS);
    }
    CHECK_EQUAL(result, expected);
    return accepted;
}

static void nothing_is_refused_while_there_is_room(void)
{
    struct watch_hold hold = WATCH_HOLD;
    struct numapool_config config;
    unsigned guests_max;
    unsigned accepted;
    numapool *pool;

    watch_config(&config);
    config.mode = NUMAPOOL_FIXED;
    config.workers_max = 2 * NODES;
    config.queue_tasks = NODES * QUEUE_TASKS;
    pool = watch_create(&config);
    for (int node = 0; node < NODES; node++) {
        watch_on_node(pool, node, watch_hold_task, &hold);
        watch_on_node(pool, node, watch_hold_task, &hold);
    }
    AWAIT(watch_inside(&hold) == 2 * NODES); /* now nothing leaves a queue */
    CHECK_EQUAL(where_run_on(0), 0);

    /* Home to the brim, then the others as far as they take guests: each a part of its queue. */
    guests_max = QUEUE_TASKS * pool->params.guest_permille / 1000;
    CHECK(guests_max > 0 && guests_max < QUEUE_TASKS);
    accepted = submit_until_refused(pool, NUMAPOOL_CRITICAL, 0, 0, NUMAPOOL_E_FULL);
    CHECK_EQUAL(watch_shard(pool, 0).queue_depth, QUEUE_TASKS);
    CHECK_EQUAL(watch_shard(pool, 0).forwarded_out, (NODES - 1) * guests_max);
    for (unsigned node = 1; node < NODES; node++) {
        CHECK_EQUAL(watch_shard(pool, node).forwarded_in, guests_max);
        CHECK_EQUAL(watch_shard(pool, node).queue_depth, guests_max);
    }
    CHECK_EQUAL(accepted, QUEUE_TASKS + (NODES - 1) * guests_max);
    CHECK_EQUAL(watch_shard(pool, 0).refused_full, 1);

    /* The rest of a queue is kept for tasks of its own node. */
    CHECK_EQUAL(submit_until_refused(pool, NUMAPOOL_CRITICAL,
                                     NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE, 2, NUMAPOOL_E_FULL),
                QUEUE_TASKS - guests_max);
    CHECK_EQUAL(watch_shard(pool, 2).forwarded_out, 0);
    accepted += QUEUE_TASKS - guests_max;
    /* Classes with a smaller share have none left at home, and elsewhere there is no room. */
    CHECK(submit(pool, NUMAPOOL_SHEDDABLE, 0, 0) < 0);
    CHECK(submit(pool, NUMAPOOL_NORMAL, 0, 0) < 0);

    watch_let_go(&hold);
    AWAIT(watch_pool(pool).run == 2 * NODES + accepted);
    CHECK_EQUAL(counted, accepted);
    CHECK_EQUAL(watch_pool(pool).submitted, 2 * NODES + accepted + 4);
    CHECK_EQUAL(submit(pool, NUMAPOOL_NORMAL, 0, 0), NUMAPOOL_OK);
    watch_destroy(pool);
}

/* Nearer sockets take overflow first, the opposite corner last. */
static void overflow_goes_to_the_nearest(void)
{
    struct watch_hold hold = WATCH_HOLD;
    struct numapool_config config;
    numapool *pool;
    unsigned near_room;

    watch_config(&config);
    config.mode = NUMAPOOL_FIXED;
    config.workers_max = NODES;
    config.queue_tasks = NODES * QUEUE_TASKS;
    pool = watch_create(&config);
    for (int node = 0; node < NODES; node++) {
        watch_on_node(pool, node, watch_hold_task, &hold);
    }
    AWAIT(watch_inside(&hold) == NODES);
    CHECK_EQUAL(where_run_on(2), 0); /* node 1: 0 and 2 are near, 3 is far */
    near_room = 2 * (QUEUE_TASKS * pool->params.guest_permille / 1000);
    for (unsigned i = 0; i < QUEUE_TASKS + near_room; i++) {
        CHECK_EQUAL(submit(pool, NUMAPOOL_CRITICAL, 0, 0), NUMAPOOL_OK);
    }
    CHECK_EQUAL(watch_shard(pool, 0).forwarded_in, near_room / 2);
    CHECK_EQUAL(watch_shard(pool, 2).forwarded_in, near_room / 2);
    CHECK_EQUAL(watch_shard(pool, 3).forwarded_in, 0);
    CHECK_EQUAL(submit(pool, NUMAPOOL_CRITICAL, 0, 0), NUMAPOOL_OK);
    CHECK_EQUAL(watch_shard(pool, 3).forwarded_in, 1);
    watch_let_go(&hold);
    watch_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(budget_goes_where_tasks_wait),
        WATCH_TEST(budget_in_use_is_not_given_away),
        WATCH_TEST(fixed_shares_do_not_move),
        WATCH_TEST(idle_sockets_take_over_computing),
        WATCH_TEST(strict_tasks_stay),
        WATCH_TEST(nothing_is_refused_while_there_is_room),
        WATCH_TEST(overflow_goes_to_the_nearest),
    };
    int status = watch_shape("square");

    return status != 0 ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
