/*
 * F7, F8: a producer stands still between claiming a place in the queue and publishing it; a worker
 * stands still anywhere. The others go on, and when it goes on itself nothing is lost.
 */
#include "fault/halt.h"
#include "fault/load.h"

#include "flow/pool.h"

/* ---------------------------------------------------------------- at a random instruction */

static unsigned frozen_roles;
static uint64_t random_state = 1;

static void freeze_at_random(unsigned round, uint64_t tasks)
{
    load_begin(&(struct load_shape){.nodes = 1u << round % 3,
                                    .mode = round % 2 == 0 ? NUMAPOOL_ADAPTIVE : NUMAPOOL_FIXED,
                                    .producers = 4,
                                    .mix = LOAD_ALL},
               tasks);
    while (load_goes_on()) {
        (void)halt_random(frozen_roles, 20000 + random_state % 1000000, &random_state);
        pause_us(100);
    }
    load_end();
}

static void producers_at_random_instructions(void **state)
{
    (void)state;
    frozen_roles = HALT_PRODUCER;
    load_rounds(freeze_at_random);
    printf("%llu producers froze, %llu of them inside a claim\n",
           (unsigned long long)halt_count(HALT_PRODUCER),
           (unsigned long long)halt_count_in_claim());
    assert_true(halt_count(HALT_PRODUCER) > 0);
    load_report("F7", "producers frozen at random instructions");
}

static void workers_at_random_instructions(void **state)
{
    (void)state;
    frozen_roles = HALT_WORKER | HALT_OTHER;
    load_rounds(freeze_at_random);
    printf("%llu workers and %llu control threads froze\n",
           (unsigned long long)halt_count(HALT_WORKER), (unsigned long long)halt_count(HALT_OTHER));
    assert_true(halt_count(HALT_WORKER) > 0);
    load_report("F8", "workers frozen at random instructions");
}

/* ------------------------------------------------------------- producers, at a named place */

#define BATCH 8 /* numbers that a producer draws at once */

/* Everybody else hands in all there is, and all of that runs, before the frozen one goes on. */
static void a_frozen_producer_delays_its_own_task_alone(void **state)
{
    (void)state;
    static const enum halt_place places[] = {HALT_CLAIMED, HALT_WRITTEN, HALT_PUBLISHED};
    const uint64_t tasks = load_tasks() / 9;
    for (unsigned round = 0; round < 9; round++) {
        int frozen = 1 + (int)round % 3; /* of four lanes */
        halt_at(places[round / 3], HALT_PRODUCER, frozen);
        load_begin(&(struct load_shape){.nodes = 1, .producers = 5, .mix = LOAD_ALL}, tasks);
        EVENTUALLY(halt_standing(places[round / 3]) == frozen);
        EVENTUALLY(load_ended() >= tasks - (uint64_t)frozen * BATCH);
        MUST(halt_standing(places[round / 3]) == frozen);
        halt_release();
        load_end();
    }
    load_report("F7", "up to 3 producers frozen inside their claims while all others finish");
}

/* With every lane claimed by somebody who stands still a submit is refused: it neither waits nor
   takes anything. */
static void four_frozen_producers_refuse_the_rest(void **state)
{
    (void)state;
    const uint64_t tasks = load_tasks() / 3;
    for (unsigned place = HALT_CLAIMED; place <= HALT_PUBLISHED; place++) {
        halt_at((enum halt_place)place, HALT_PRODUCER, 4);
        load_begin(&(struct load_shape){.nodes = 1, .producers = 4, .mix = LOAD_ALL}, tasks);
        EVENTUALLY(halt_standing((enum halt_place)place) == 4);
        EVENTUALLY(at_rest(load_pool) && stats_of(load_pool).queue_depth == 0);
        uint64_t ended = load_ended();
        struct numapool_stats before = stats_of(load_pool);
        atomic_int ran = 0;
        struct numapool_task task = {.run = count_run, .arg = &ran, .bytes = 1000};
        for (int i = 0; i < 100; i++) {
            assert_int_equal(numapool_submit(load_pool, count_run, &ran), NUMAPOOL_E_FULL);
            assert_int_equal(numapool_submit_task(load_pool, &task), NUMAPOOL_E_FULL);
        }
        assert_int_equal(numapool_submit_wait(load_pool, &task, MS), NUMAPOOL_E_TIMEDOUT);
        struct numapool_stats after = stats_of(load_pool);
        assert_true(after.refused_other >= before.refused_other + 201);
        assert_int_equal(after.accepted, before.accepted);
        assert_int_equal(after.bytes_in_use, before.bytes_in_use);
        assert_int_equal(load_ended(), ended);
        halt_release();
        load_end();
        assert_int_equal(atomic_load(&ran), 0);
    }
    load_report("F7", "all lanes claimed by frozen producers, then released");
}

/* -------------------------------------------------------------- workers, at a named place */

struct alone {
    enum halt_place place;
    atomic_int handed, ran;
    atomic_bool enough;
};

/* Little bursts from rest, until somebody stands at the place: perhaps this thread. Where the machine gives
   no worker time for a while they fill the share of their class. */
static void *submit_until_one_stands(void *arg)
{
    struct alone *alone = arg;
    halt_enrol_producer();
    while (halt_standing(alone->place) == 0 && !atomic_load(&alone->enough)) {
        for (int i = 0; i < 3; i++) {
            atomic_fetch_add(&alone->handed, 1);
            int result;
            while ((result = numapool_submit(load_pool, count_run, &alone->ran)) ==
                   NUMAPOOL_E_SHED) {
                rest();
            }
            MUST(result == NUMAPOOL_OK);
        }
        pause_us(200);
    }
    halt_leave_producer();
    return NULL;
}

/*
 * A pool at rest; one thread stops where others rely on it: with the mark of somebody who looks for
 * work, or with a sleeper in its hand. Every task is run meanwhile but the one it has in its hand,
 * which a worker may have that wakes the next one.
 */
static void a_frozen_thread_holds_up_no_task(void **state)
{
    (void)state;
    static const struct {
        enum halt_place place;
        unsigned role;
        int in_hand;
    } stops[] = {
        {HALT_LET_GO, HALT_PRODUCER, 0},   {HALT_SEARCHING, HALT_WORKER, 0},
        {HALT_RESERVED, HALT_PRODUCER, 0}, {HALT_POPPED, HALT_PRODUCER, 0},
        {HALT_PUSHED, HALT_WORKER, 0},     {HALT_RESERVED, HALT_WORKER, 1},
        {HALT_POPPED, HALT_WORKER, 1},
    };
    for (unsigned i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        for (int mode = NUMAPOOL_ADAPTIVE; mode <= NUMAPOOL_FIXED; mode++) {
            load_pool = make(&(struct kind){.workers_max = 4, .mode = mode});
            EVENTUALLY(stats_of(load_pool).workers_running == 0);
            struct alone alone = {.place = stops[i].place};
            pthread_t submitter;
            halt_at(stops[i].place, stops[i].role, 1);
            MUST(inject_thread(&submitter, submit_until_one_stands, &alone) == 0);
            EVENTUALLY(halt_standing(stops[i].place) == 1);
            if (stops[i].role == HALT_WORKER) {
                (void)pthread_join(submitter, NULL);
            }
            for (int more = 0; more < 20; more++) {
                int least = atomic_load(&alone.handed) - stops[i].in_hand;
                EVENTUALLY(atomic_load(&alone.ran) >= least);
                MUST(halt_standing(stops[i].place) == 1);
                atomic_fetch_add(&alone.handed, 1);
                MUST(numapool_submit(load_pool, count_run, &alone.ran) == NUMAPOOL_OK);
            }
            atomic_store(&alone.enough, true);
            halt_release();
            if (stops[i].role == HALT_PRODUCER) {
                (void)pthread_join(submitter, NULL);
            }
            finish(load_pool);
            assert_int_equal(atomic_load(&alone.ran), atomic_load(&alone.handed));
        }
    }
}

/*
 * Its slot says that it sleeps, and it holds its permit still: as long as it does, it keeps every task
 * waiting for a tick. The others lie above it in the stack, so nobody ever wakes it.
 */
static void a_worker_frozen_as_it_goes_to_sleep_is_told_of(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    struct numapool_config config;
    config_of(&config, &(struct kind){.workers_max = 3, .mode = NUMAPOOL_FIXED});
    config.watchdog_ns = 50 * MS;
    numapool *pool = make_with(&config);
    atomic_int ran = 0;
    block_workers(pool, &blocker, 2);
    halt_at(HALT_PUSHED, HALT_WORKER, 1);
    MUST(numapool_submit(pool, count_run, &ran) == NUMAPOOL_OK);
    EVENTUALLY(halt_standing(HALT_PUSHED) == 1);
    door_open(&blocker.door);
    EVENTUALLY(stats_of(pool).workers_stuck == 1);
    assert_true(stats_of(pool).tasks_stuck >= 1);
    for (int tasks = 2; tasks < 20; tasks++) {
        MUST(numapool_submit(pool, count_run, &ran) == NUMAPOOL_OK);
        EVENTUALLY(atomic_load(&ran) == tasks);
    }
    assert_int_equal(halt_standing(HALT_PUSHED), 1);
    halt_release();
    EVENTUALLY(stats_of(pool).workers_stuck == 0);
    finish(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frozen_producer_delays_its_own_task_alone),
        cmocka_unit_test(four_frozen_producers_refuse_the_rest),
        cmocka_unit_test(a_frozen_thread_holds_up_no_task),
        cmocka_unit_test(a_worker_frozen_as_it_goes_to_sleep_is_told_of),
        cmocka_unit_test(producers_at_random_instructions),
        cmocka_unit_test(workers_at_random_instructions),
    };
    return FAULT_RUN(tests);
}
