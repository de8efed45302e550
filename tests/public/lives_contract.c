/*
 * Short lives of many pools: machines, laws, budgets and mixtures of tasks drawn anew for each, with tasks
 * that end their threads, wait, hand in others, and are dropped. One thread submits and then only drains or
 * destroys, so that nothing helps the pool to end what it accepted. A soak does the same for long to few mixtures.
 */
#include "contract.h"

enum { STEPS_MAX = 6, STEP_TASKS_MAX = 200 };

struct life {
    numapool *pool;
    numapool_group *group; /* NULL: the pool ends with tasks in its queues */
    unsigned nodes;
    atomic_uint accepted, ran, dropped;
};

static struct job {
    struct life *life;
    int node; /* of the task it hands in */
    unsigned rest_us;
    bool ends_thread, waits, forgets_to_end_it, submits;
} jobs[STEPS_MAX * STEP_TASKS_MAX];

/* The chances of a step's jobs, in percent, and where they go. */
struct mixture {
    unsigned end_thread, wait, rest, submit, member, bytes;
    int node;
    unsigned flags;
};

static void end_thread_if(const struct job *job)
{
    if (job->ends_thread) {
        pthread_exit(NULL);
    }
}

static void run_handed_in(void *arg)
{
    atomic_fetch_add(&((struct life *)arg)->ran, 1);
}

static void drop_handed_in(void *arg, int why)
{
    (void)why;
    atomic_fetch_add(&((struct life *)arg)->dropped, 1);
}

static void hand_in(const struct job *job)
{
    struct numapool_task task = {.run = run_handed_in,
                                 .arg = job->life,
                                 .drop = drop_handed_in,
                                 .node = job->node,
                                 .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
    if (numapool_submit_task(job->life->pool, &task) == NUMAPOOL_OK) {
        atomic_fetch_add(&job->life->accepted, 1);
    }
}

static void run_job(void *arg)
{
    const struct job *job = arg;
    if (job->waits) {
        numapool_block_begin();
    }
    if (job->rest_us != 0) {
        const struct timespec pause = {0, (long)job->rest_us * 1000};
        (void)nanosleep(&pause, NULL);
    }
    if (job->waits && !job->forgets_to_end_it) {
        numapool_block_end();
    }
    if (job->submits) {
        hand_in(job);
    }
    atomic_fetch_add(&job->life->ran, 1);
    end_thread_if(job);
}

static void drop_job(void *arg, int why)
{
    const struct job *job = arg;
    CHECK(why == (job->life->group != NULL ? NUMAPOOL_E_CANCELLED : NUMAPOOL_E_CLOSED));
    atomic_fetch_add(&job->life->dropped, 1);
    if (why != NUMAPOOL_E_CLOSED) { /* then it may be the thread that destroys */
        end_thread_if(job);
    }
}

static bool chance(uint64_t *seed, unsigned percent)
{
    return draw(seed) % 100 < percent;
}

static struct mixture draw_mixture(uint64_t *seed, unsigned nodes)
{
    static const unsigned flags[] = {0, NUMAPOOL_ON_NODE, NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE,
                                     NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
    return (struct mixture){.end_thread = draw(seed) % 3 * 40,
                            .wait = draw(seed) % 3 * 40,
                            .rest = draw(seed) % 2 * 50,
                            .submit = draw(seed) % 3 * 30,
                            .member = draw(seed) % 3 * 20,
                            .bytes = draw(seed) % 2 * 20,
                            .node = (int)(draw(seed) % nodes),
                            .flags = flags[draw(seed) % 4]};
}

static void submit_job(struct life *life, struct job *job, const struct mixture *mixture,
                       uint64_t *seed)
{
    *job = (struct job){.life = life,
                        .node = (int)(draw(seed) % life->nodes),
                        .rest_us = chance(seed, mixture->rest) ? draw(seed) % 300 : 0,
                        .ends_thread = chance(seed, mixture->end_thread),
                        .waits = chance(seed, mixture->wait),
                        .forgets_to_end_it = chance(seed, 50),
                        .submits = chance(seed, mixture->submit)};
    struct numapool_task task = {.run = run_job, .arg = job, .drop = drop_job};
    task.task_class = (int)(draw(seed) % NUMAPOOL_CLASSES);
    task.flags = mixture->flags;
    task.node = chance(seed, 90) ? mixture->node : (int)(draw(seed) % life->nodes);
    task.group = chance(seed, mixture->member) ? life->group : NULL;
    task.bytes = chance(seed, mixture->bytes) ? 1 + draw(seed) % 5000 : 0;
    if (numapool_submit_task(life->pool, &task) == NUMAPOOL_OK) {
        atomic_fetch_add(&life->accepted, 1);
    }
}

static numapool *draw_pool(uint64_t *seed, unsigned nodes)
{
    char machine[64];
    (void)snprintf(machine, sizeof machine, "pack:%u [numa] core:%u pu:1", nodes,
                   1 + draw(seed) % 4);
    struct numapool_config config;
    config_of(&config,
              &(struct kind){.machine = machine,
                             .workers_max = nodes * (draw(seed) % 7),
                             .mode = chance(seed, 50) ? NUMAPOOL_FIXED : NUMAPOOL_ADAPTIVE});
    if (config.workers_max != 0 && chance(seed, 50)) {
        config.workers_min = 1 + draw(seed) % config.workers_max;
    }
    config.idle_exit_ns = draw(seed) % 6 * MS; /* 0: the default */
    return make_with(&config);
}

static void end_drained(struct life *life, uint64_t *seed)
{
    if (chance(seed, 30)) {
        assert_int_equal(numapool_group_cancel(life->group), NUMAPOOL_OK);
    }
    waiting_for("lives", 0, "a group");
    assert_int_equal(numapool_group_wait(life->group, FOREVER), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(life->group), NUMAPOOL_OK);
    finish(life->pool);
}

static void end_at_once(struct life *life)
{
    unwatch(life->pool);
    waiting_for("lives", 0, "numapool_destroy");
    assert_int_equal(numapool_destroy(life->pool), NUMAPOOL_OK);
    waiting_for(NULL, 0, NULL);
}

static void live(uint64_t seed)
{
    const unsigned nodes = 1u << draw(&seed) % 5;
    struct life life = {.pool = draw_pool(&seed, nodes), .nodes = nodes};
    if (chance(&seed, 70)) {
        assert_int_equal(numapool_group_create(&life.group, life.pool), NUMAPOOL_OK);
    }
    size_t used = 0;
    const unsigned steps = 1 + draw(&seed) % STEPS_MAX;
    for (unsigned step = 0; step < steps; step++) {
        if (chance(&seed, 50)) {
            const unsigned most = chance(&seed, 50) ? 1 : 3 * nodes;
            const int result = numapool_set_budget(life.pool, 1 + draw(&seed) % most);
            assert_true(result == NUMAPOOL_OK || result == NUMAPOOL_E_INVALID);
        }
        if (chance(&seed, 25)) {
            rest();
        }
        const struct mixture mixture = draw_mixture(&seed, nodes);
        for (unsigned i = draw(&seed) % STEP_TASKS_MAX; i != 0; i--) {
            submit_job(&life, &jobs[used++], &mixture, &seed);
        }
    }
    if (life.group != NULL) {
        end_drained(&life, &seed);
    } else {
        end_at_once(&life);
    }
    assert_int_equal(atomic_load(&life.accepted),
                     atomic_load(&life.ran) + atomic_load(&life.dropped));
}

static void everything_accepted_ends_in_every_life(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run();
    const int threads = threads_now(), descriptors = descriptors_now();
    for (int i = 0; i < TIMES(150, 60); i++) {
        live(seed + (uint64_t)i);
    }
    EVENTUALLY(threads_now() <= threads);
    assert_int_equal(descriptors_now(), descriptors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_accepted_ends_in_every_life),
    };
    return RUN(tests);
}
