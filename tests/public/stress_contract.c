/*
 * Everything at once, with real threads and random numbers: many submitters, all classes, deadlines,
 * groups and their cancellation, bytes, scratch, waiting tasks, tasks that submit, threads that end,
 * and a budget that changes all the while. At the end every task was run or dropped exactly once,
 * and the process holds what it held before.
 */
#include "contract.h"

enum { SUBMITTERS = 6, GROUPS = 8 };

struct ticket {
    struct storm *storm;
    atomic_int ends; /* runs and drops together: 1 for an accepted task, 0 for a refused one */
    atomic_int accepted;
    uint32_t bits;
};

struct storm {
    numapool *pool;
    unsigned nodes;
    struct ticket *tickets;
    size_t ticket_count;
    atomic_size_t next;                  /* ticket */
    atomic_size_t inner_next, inner_end; /* tickets for tasks that submit */
    atomic_ullong accepted, refused, ran, dropped;
    atomic_bool stop;
    pthread_mutex_t lock; /* of groups: taken to swap one, never while waiting */
    numapool_group *groups[GROUPS];
    bool ends_threads;
};

static bool submit_one(struct storm *storm, struct ticket *ticket, uint32_t bits, bool inside);

static void run_ticket(void *arg)
{
    struct ticket *ticket = arg;
    struct storm *storm = ticket->storm;
    uint32_t bits = ticket->bits;
    atomic_fetch_add(&ticket->ends, 1);
    atomic_fetch_add(&storm->ran, 1);
    if (bits % 16 == 0) {
        char *memory = numapool_scratch(1 + (bits >> 8) % 50000);
        if (memory != NULL) {
            memory[0] = 1;
        }
    }
    if (bits % 32 == 1) {
        size_t at = atomic_fetch_add(&storm->inner_next, 1);
        if (at < atomic_load(&storm->inner_end)) {
            (void)submit_one(storm, &storm->tickets[at], bits * 2654435761u, true);
        }
    }
    if (bits % 64 == 2) {
        numapool_block_begin();
        if (bits % 256 == 2) {
            rest();
        }
        if (bits % 512 != 2) {
            numapool_block_end();
        }
    }
    if (bits % 128 == 3) {
        rest();
    }
    if (bits % 256 == 4) {
        void *memory = numapool_alloc(storm->pool, (int)(bits % storm->nodes), 1 + bits % 5000);
        numapool_free(storm->pool, memory);
    }
    if (storm->ends_threads && bits % 1024 == 5) {
        pthread_exit(NULL);
    }
}

static void drop_ticket(void *arg, int why)
{
    struct ticket *ticket = arg;
    CHECK(why == NUMAPOOL_E_DEADLINE || why == NUMAPOOL_E_SHED || why == NUMAPOOL_E_CANCELLED ||
          why == NUMAPOOL_E_CLOSED);
    atomic_fetch_add(&ticket->ends, 1);
    atomic_fetch_add(&ticket->storm->dropped, 1);
}

static struct numapool_task task_of(struct storm *storm, struct ticket *ticket, uint32_t bits)
{
    struct numapool_task task = {.run = run_ticket, .arg = ticket, .drop = drop_ticket};
    ticket->storm = storm;
    ticket->bits = bits;
    task.task_class = (int)(bits >> 3) % NUMAPOOL_CLASSES;
    if (bits >> 5 & 1) {
        task.flags |= NUMAPOOL_ON_NODE;
        task.node = (bits >> 6 & 3) != 0 ? 0 : (int)((bits >> 8) % storm->nodes);
    }
    task.flags |= (bits >> 12 & 7) == 0 ? NUMAPOOL_STRICT_NODE : 0;
    task.flags |= (bits >> 15 & 3) == 0 ? NUMAPOOL_DROP_OK : 0;
    task.bytes = (bits >> 17 & 7) == 0 ? bits >> 12 & 0xffff : 0;
    task.deadline_ns = (bits >> 20 & 7) == 0 ? now_ns() + (bits >> 10 & 0x3fffff) : 0;
    return task;
}

static void count_result(struct storm *storm, struct ticket *ticket, int result)
{
    CHECK(result == NUMAPOOL_OK || result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED ||
          result == NUMAPOOL_E_DEADLINE || result == NUMAPOOL_E_CANCELLED ||
          result == NUMAPOOL_E_TIMEDOUT ||
          (result == NUMAPOOL_E_CLOSED && atomic_load(&storm->stop)));
    if (result == NUMAPOOL_OK) {
        atomic_store(&ticket->accepted, 1);
        atomic_fetch_add(&storm->accepted, 1);
    } else {
        atomic_fetch_add(&storm->refused, 1);
    }
}

static bool submit_one(struct storm *storm, struct ticket *ticket, uint32_t bits, bool inside)
{
    struct numapool_task task = task_of(storm, ticket, bits);
    int result;
    if ((bits >> 25 & 3) == 0) {
        /* The lock keeps the group from being given up before its new member is in. */
        pthread_mutex_lock(&storm->lock);
        task.group = storm->groups[(bits >> 27) % GROUPS];
        result = numapool_submit_task(storm->pool, &task);
        pthread_mutex_unlock(&storm->lock);
    } else if (!inside && (bits >> 25 & 15) == 1) {
        result = numapool_submit_wait(storm->pool, &task, MS);
    } else {
        result = numapool_submit_task(storm->pool, &task);
    }
    count_result(storm, ticket, result);
    return result == NUMAPOOL_OK;
}

struct storm_thread {
    struct storm *storm;
    uint64_t seed;
    size_t end;
    pthread_t thread;
};

static void *submit_storm(void *arg)
{
    struct storm_thread *self = arg;
    struct storm *storm = self->storm;
    for (;;) {
        uint32_t bits = draw(&self->seed);
        if (bits % 8 == 0) {
            enum { MOST = 70 };
            struct numapool_task tasks[MOST];
            size_t count = 1 + draw(&self->seed) % MOST;
            size_t at = atomic_fetch_add(&storm->next, count);
            if (at + count > self->end) {
                return NULL;
            }
            for (size_t i = 0; i < count; i++) {
                tasks[i] = task_of(storm, &storm->tickets[at + i], draw(&self->seed));
            }
            size_t accepted = SIZE_MAX;
            int result = numapool_submit_batch(storm->pool, tasks, count, &accepted);
            CHECK(accepted <= count && (result == NUMAPOOL_OK) == (accepted == count));
            for (size_t i = 0; i < count; i++) {
                if (i < accepted) {
                    count_result(storm, &storm->tickets[at + i], NUMAPOOL_OK);
                } else if (i == accepted) {
                    count_result(storm, &storm->tickets[at + i], result);
                } /* those behind it were not looked at */
            }
        } else {
            size_t at = atomic_fetch_add(&storm->next, 1);
            if (at >= self->end) {
                return NULL;
            }
            if (!submit_one(storm, &storm->tickets[at], bits, false) && bits % 4 == 1) {
                rest(); /* or nearly all would be refused */
            }
        }
    }
}

/* Waits for, cancels and gives up groups, and changes the budget. */
static void *disturb(void *arg)
{
    struct storm_thread *self = arg;
    struct storm *storm = self->storm;
    while (!atomic_load(&storm->stop)) {
        uint32_t bits = draw(&self->seed);
        numapool_group *group = NULL;
        if (bits % 4 != 0) {
            CHECK(numapool_group_create(&group, storm->pool) == NUMAPOOL_OK);
            pthread_mutex_lock(&storm->lock);
            numapool_group *old = storm->groups[(bits >> 4) % GROUPS];
            storm->groups[(bits >> 4) % GROUPS] = group;
            pthread_mutex_unlock(&storm->lock);
            if (bits >> 8 & 1) {
                CHECK(numapool_group_cancel(old) == NUMAPOOL_OK);
            }
            if (bits >> 9 & 1) {
                CHECK(numapool_group_wait(old, FOREVER) == NUMAPOOL_OK);
            }
            CHECK(numapool_group_destroy(old) == NUMAPOOL_OK);
        } else {
            unsigned budget = storm->nodes + (bits >> 8) % 24;
            CHECK(numapool_set_budget(storm->pool, budget) == NUMAPOOL_OK);
        }
        struct numapool_stats stats = stats_of(storm->pool);
        CHECK(stats.queue_depth <= stats.queue_capacity);
        CHECK(stats.bytes_in_use <= UINT64_C(4) << 20);
        rest();
    }
    return NULL;
}

static void storm_over(const struct numapool_config *config, unsigned nodes, size_t count,
                       uint64_t seed, bool ends_threads, bool destroys)
{
    static struct storm storm;
    memset(&storm, 0, sizeof storm);
    pthread_mutex_init(&storm.lock, NULL);
    storm.pool = make_with(config);
    storm.nodes = nodes;
    storm.ends_threads = ends_threads;
    storm.ticket_count = count + count / 8;
    storm.tickets = calloc(storm.ticket_count, sizeof *storm.tickets);
    assert_non_null(storm.tickets);
    atomic_store(&storm.inner_next, count);
    atomic_store(&storm.inner_end, storm.ticket_count);
    for (int i = 0; i < GROUPS; i++) {
        assert_int_equal(numapool_group_create(&storm.groups[i], storm.pool), NUMAPOOL_OK);
    }
    struct storm_thread submitters[SUBMITTERS], disturber;
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i] =
            (struct storm_thread){.storm = &storm, .seed = seed + (uint64_t)i, .end = count};
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit_storm, &submitters[i]),
                         0);
    }
    disturber = (struct storm_thread){.storm = &storm, .seed = ~seed};
    assert_int_equal(pthread_create(&disturber.thread, NULL, disturb, &disturber), 0);

    waiting_for(__FILE__, __LINE__, "the submitters");
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(submitters[i].thread, NULL);
    }
    atomic_store(&storm.stop, true);
    waiting_for(__FILE__, __LINE__, "the disturber, which waits for groups");
    pthread_join(disturber.thread, NULL);
    pthread_mutex_lock(&storm.lock); /* tasks still submit */
    for (int i = 0; i < GROUPS; i++) {
        assert_int_equal(numapool_group_destroy(storm.groups[i]), NUMAPOOL_OK);
        storm.groups[i] = NULL;
    }
    pthread_mutex_unlock(&storm.lock);
    if (destroys) { /* with whatever is queued still in it; inner submits are refused meanwhile */
        atomic_store(&storm.inner_end, 0);
        waiting_for(__FILE__, __LINE__, "numapool_destroy");
        unwatch(storm.pool);
        assert_int_equal(numapool_destroy(storm.pool), NUMAPOOL_OK);
    } else {
        EVENTUALLY(at_rest(storm.pool));
        struct numapool_stats stats = stats_of(storm.pool);
        assert_int_equal(stats.accepted, atomic_load(&storm.accepted));
        assert_int_equal(stats.run, atomic_load(&storm.ran));
        assert_int_equal(stats.dropped, atomic_load(&storm.dropped));
        /* a submit that waits may be refused more than once */
        assert_true(stats.submitted - stats.accepted >= atomic_load(&storm.refused));
        finish(storm.pool);
    }
    assert_int_equal(atomic_load(&storm.accepted),
                     atomic_load(&storm.ran) + atomic_load(&storm.dropped));
    for (size_t i = 0; i < storm.ticket_count; i++) {
        const struct ticket *ticket = &storm.tickets[i];
        if (atomic_load(&ticket->ends) != atomic_load(&ticket->accepted)) {
            fail_msg("task %zu was %s and ended %d times", i,
                     atomic_load(&ticket->accepted) ? "accepted" : "refused",
                     atomic_load(&ticket->ends));
        }
    }
    print_message("%u nodes: %llu run, %llu dropped, %llu refused\n", nodes,
                  atomic_load(&storm.ran), atomic_load(&storm.dropped),
                  atomic_load(&storm.refused));
    assert_true(atomic_load(&storm.ran) > 0);
    free(storm.tickets);
    pthread_mutex_destroy(&storm.lock);
}

static void every_task_ends_once(void **state)
{
    (void)state;
    int threads = threads_now(), descriptors = descriptors_now();
    for (unsigned nodes = 1; nodes <= 8; nodes *= 2) {
        for (int variant = 0; variant < 3; variant++) {
            struct numapool_config config;
            config_of(&config, &(struct kind){.machine = machine_of(nodes),
                                              .workers_max = 16,
                                              .queue_tasks = 100 * nodes,
                                              .memory_bytes = UINT64_C(4) << 20,
                                              .mode = variant == 1 ? NUMAPOOL_FIXED : 0});
            config.tick_ns = variant == 2 ? MS : 0;
            config.idle_exit_ns = variant == 2 ? 2 * MS : 0; /* threads come and go */
            config.codel_target_ns = variant == 0 ? 2 * MS : 0;
            config.queue_delay_ns = 0; /* as it is by default */
            config.spin_ns = variant == 1 ? NUMAPOOL_OFF : 0;
            storm_over(&config, nodes, TIMES(40000, 12000),
                       seed_of_run() + nodes * 100 + (unsigned)variant, variant == 2,
                       (nodes + (unsigned)variant) % 3 == 0);
        }
    }
    EVENTUALLY(threads_now() <= threads);
    assert_int_equal(descriptors_now(), descriptors);
}

/* ------------------------------------------------------------------- no wake-up is lost */

struct ping {
    numapool *pool;
    unsigned nodes;
    uint64_t seed;
    int count;
    pthread_t thread;
};

static void pong(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
}

/* One task at a time, each from a pool that has gone or is just going to sleep. */
static void *ping_all_the_time(void *arg)
{
    struct ping *ping = arg;
    for (int i = 0; i < ping->count; i++) {
        atomic_bool done = false;
        uint32_t bits = draw(&ping->seed);
        struct numapool_task task = {.run = pong,
                                     .arg = &done,
                                     .task_class = NUMAPOOL_CRITICAL,
                                     .flags = bits & NUMAPOOL_ON_NODE,
                                     .node = (int)((bits >> 4) % ping->nodes)};
        int result = numapool_submit_wait(ping->pool, &task, FOREVER);
        CHECK(result == NUMAPOOL_OK);
        if (result != NUMAPOOL_OK) {
            return NULL;
        }
        for (uint32_t spin = 0; !atomic_load(&done); spin++) {
            if (spin > 100) {
                rest(); /* a lost wake-up would be waited for here until the watchdog comes */
            }
        }
        for (uint32_t pause = (bits >> 8) % 4096; pause > 0; pause--) {
            atomic_thread_fence(memory_order_seq_cst);
        }
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
        for (int variant = 0; variant < 3; variant++) {
            struct numapool_config config;
            config_of(&config, &(struct kind){.machine = machine_of(nodes),
                                              .workers_max = variant == 0 ? nodes : 8,
                                              .mode = variant == 1 ? NUMAPOOL_FIXED : 0});
            config.spin_ns = variant == 1 ? NUMAPOOL_OFF : 0;
            config.idle_exit_ns = variant == 2 ? MS : 0;
            config.tick_ns = variant == 2 ? MS : 0;
            numapool *pool = make_with(&config);
            struct ping pings[3];
            waiting_for(__FILE__, __LINE__, "pings");
            for (int i = 0; i < 3; i++) {
                pings[i] = (struct ping){pool, nodes, seed_of_run() + (uint64_t)i, TIMES(2500, 800),
                                         pthread_self()};
                assert_int_equal(
                    pthread_create(&pings[i].thread, NULL, ping_all_the_time, &pings[i]), 0);
            }
            for (int i = 0; i < 3; i++) {
                pthread_join(pings[i].thread, NULL);
            }
            waiting_for(NULL, 0, NULL);
            finish(pool);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_ends_once),
        cmocka_unit_test(no_wake_up_is_lost),
    };
    return RUN(tests);
}
