/*
 * Waking with several threads: workers that search, sleep and leave, submitters that push and look
 * for sleepers, a limit that changes. In each round a few tasks are pushed, and the next begins
 * when they have run; nothing else happens meanwhile, so that a wake-up that was lost stays lost.
 */
#include "unit/shard_support.h"

#include "os/os.h"

#define CAPACITY 32u
#define SUBMITTERS_MAX 2u
#define LAST_WORKER (TEST_WORKERS - 1)
#define PATIENCE_NS 60000

static struct test_shard test;
static struct npi_shard *const shard = &test.shard;

/* What a worker runs: counts itself, after it has met the others of its round if it has to. */
struct errand {
    npi_a32 started, ran;
    npi_a32 meets; /* this many have to run at once; 0 = none waits for another */
};

struct scene {
    unsigned submitters, rounds;
    bool meeting; /* tasks of a round wait for each other */
    bool slow;    /* now and then a claim is held for a while */
    bool limit_moves;
    bool impatient; /* all workers but the last leave when they have slept for long */
    pthread_barrier_t round_end;
    struct errand errands[SUBMITTERS_MAX];
    npi_a32 round, submitters_done;
    npi_a32 ran, left;
};

static struct scene scene;

static void dump(void)
{
    (void)dprintf(STDERR_FILENO, "round %u, ran %u, left %u, submitters done %u\n",
                  npi_a32_load_sc(&scene.round), npi_a32_load_sc(&scene.ran),
                  npi_a32_load_sc(&scene.left), npi_a32_load_sc(&scene.submitters_done));
    for (unsigned i = 0; i < scene.submitters; i++) {
        (void)dprintf(STDERR_FILENO, "tasks of submitter %u: started %u ran %u\n", i,
                      npi_a32_load_sc(&scene.errands[i].started),
                      npi_a32_load_sc(&scene.errands[i].ran));
    }
    test_shard_dump(shard);
}

static bool over(void)
{
    return npi_a32_load_sc(&scene.submitters_done) == scene.submitters;
}

/* Between two steps of a protocol: usually nothing, sometimes a moment, sometimes a turn of others.
 */
static void hesitate(struct npi_prng *prng)
{
    uint32_t choice = npi_prng_below(prng, 16);
    if (choice == 0) {
        (void)sched_yield();
    } else if (choice < 6) {
        for (uint32_t i = npi_prng_below(prng, 60); i > 0; i--) {
            npi_pause();
        }
    }
}

/* ------------------------------------------------------------------------------- workers */

struct hand {
    uint32_t self;
    struct npi_prng prng;
};

/* After quitting: a thread that starts in the slot, once somebody has freed it, takes a permit. */
static bool come_back(const struct hand *hand)
{
    npi_a32 *word = &test.sleepers[hand->self].word;
    (void)npi_a32_add_relaxed(&scene.left, 1);
    while (npi_a32_load_acquire(word) != NPI_SLEEPER_FREE) {
        if (over()) {
            return false;
        }
        (void)sched_yield();
    }
    npi_a32_store_relaxed(word, NPI_SLEEPER_AWAKE);
    while (!npi_gate_reserve(&shard->gate, false)) {
        if (over()) {
            return false;
        }
        (void)sched_yield();
    }
    return true;
}

/* Sleeps as a worker does (flow/worker.c). True: awake again, with a permit, searching. */
static bool park(struct hand *hand, bool searching, bool holds_permit)
{
    struct npi_gate *gate = &shard->gate;
    bool impatient = scene.impatient && hand->self != LAST_WORKER;
    hesitate(&hand->prng);
    npi_gate_push(gate, hand->self);
    hesitate(&hand->prng);
    if (holds_permit) {
        npi_gate_leave(gate, searching);
    }
    for (;;) {
        hesitate(&hand->prng);
        bool claims_free = npi_shard_claims_free(shard);
        if (npi_shard_waiting(shard) != 0) {
            npi_shard_wake(shard, hand->self);
        }
        uint64_t now_ns = npi_clock_now_ns();
        uint64_t until_ns = impatient || !claims_free ? now_ns + PATIENCE_NS : UINT64_MAX;
        hesitate(&hand->prng);
        enum npi_sleeper_state found = npi_gate_sleep(gate, hand->self, until_ns);
        if (found != NPI_SLEEPER_ASLEEP) {
            return found == NPI_SLEEPER_WOKEN;
        }
        if (impatient && claims_free && npi_gate_quit(gate, hand->self)) {
            return come_back(hand);
        }
    }
}

static void run(const struct npi_item *item)
{
    struct errand *errand = (struct errand *)(uintptr_t)item->hot[NPI_TASK_ARG];
    (void)npi_a32_add_sc(&errand->started, 1);
    while (npi_a32_load_sc(&errand->started) < npi_a32_load_relaxed(&errand->meets)) {
        (void)sched_yield();
    }
    (void)npi_a32_add_relaxed(&scene.ran, 1);
    (void)npi_a32_add_sc(&errand->ran, 1);
}

static void work(uint32_t self)
{
    struct npi_gate *gate = &shard->gate;
    struct hand hand = {.self = self};
    npi_prng_seed(&hand.prng, self);
    bool awake = park(&hand, false, false), searching = true;
    while (awake) {
        struct npi_item item;
        if (!searching && npi_gate_leave_if_over(gate)) {
            awake = park(&hand, false, false);
            searching = true;
            continue;
        }
        bool found = npi_shard_take(shard, 0, &item, 1) != 0;
        if (searching && found) {
            hesitate(&hand.prng);
            searching = false;
            uint64_t permits = npi_gate_found(gate);
            if (npi_permits_want_wake(permits) && !npi_shard_quiet(shard)) {
                npi_shard_wake(shard, NPI_GATE_NOBODY);
            }
        }
        if (found) {
            run(&item);
        } else if (!searching) {
            searching = true;
            npi_gate_search(gate);
        } else {
            awake = park(&hand, true, true);
        }
    }
}

/* ---------------------------------------------------------------------------- submitters */

/* As somebody does who is preempted in the middle: workers go to sleep beside the claim. */
static bool push_slowly(const struct npi_item *item, struct npi_prng *prng)
{
    struct npi_ring *ring = &shard->lanes[1];
    if (!npi_ring_claim(ring, 1)) {
        return false;
    }
    npi_a64_store_sc(&shard->lanes_used, 1);
    for (uint32_t turns = npi_prng_below(prng, 6); turns > 0; turns--) {
        (void)sched_yield();
    }
    npi_ring_put(ring, NPI_CLASS_NORMAL, 0, item);
    npi_ring_publish(ring, NPI_CLASS_NORMAL, 1);
    npi_ring_unclaim(ring);
    return true;
}

static void submit(unsigned index)
{
    struct errand *errand = &scene.errands[index];
    struct npi_prng prng;
    npi_prng_seed(&prng, index + 7);
    for (unsigned round = 1; round <= scene.rounds; round++) {
        uint32_t count = 1 + npi_prng_below(&prng, 3);
        npi_a32_store_relaxed(&errand->started, 0);
        npi_a32_store_relaxed(&errand->ran, 0);
        npi_a32_store_relaxed(&errand->meets, scene.meeting ? count : 0);
        if (index == 0) {
            npi_a32_store_sc(&scene.round, round);
        }
        /* From "everybody is still searching" to "everybody sleeps". */
        for (uint32_t turns = npi_prng_below(&prng, 4); turns > 0; turns--) {
            hesitate(&prng);
        }
        for (uint32_t i = 0; i < count;) {
            struct npi_item item = test_task((uint64_t)(uintptr_t)errand, npi_clock_ticks());
            bool slowly = scene.slow && npi_prng_below(&prng, 4) == 0;
            if (slowly ? push_slowly(&item, &prng)
                       : npi_shard_push(shard, NPI_CLASS_NORMAL, &item, 1, CAPACITY) == 1) {
                npi_shard_notify(shard, 0);
                i++;
            }
        }
        test_await(&errand->ran, count);
        (void)pthread_barrier_wait(&scene.round_end);
    }
    (void)npi_a32_add_sc(&scene.submitters_done, 1);
}

/* ----------------------------------------------------------------------------- the limit */

static void set_limit(uint32_t limit)
{
    uint64_t before = npi_gate_set_limit(&shard->gate, limit);
    if (limit > npi_permits_limit(before)) {
        npi_shard_look(shard, NPI_GATE_NOBODY);
    }
}

/* A few changes in each round, then none until the next. */
static void move_limit(void)
{
    struct npi_prng prng;
    npi_prng_seed(&prng, 5);
    uint32_t seen = 0;
    while (!over()) {
        uint32_t round = npi_a32_load_sc(&scene.round);
        if (round == seen) {
            (void)sched_yield();
            continue;
        }
        seen = round;
        for (uint32_t changes = npi_prng_below(&prng, 6); changes > 0; changes--) {
            set_limit(npi_prng_below(&prng, TEST_WORKERS + 1));
            hesitate(&prng);
        }
        set_limit(1 + npi_prng_below(&prng, TEST_WORKERS));
        npi_shard_close_lanes(shard);
    }
    set_limit(TEST_WORKERS);
}

/* When all is done everybody goes to sleep, all permits are back, and everybody is dismissed. */
static void send_home(void)
{
    uint64_t permits;
    while (!over()) {
        (void)npi_park_wait(&scene.submitters_done, npi_a32_load_sc(&scene.submitters_done),
                            npi_clock_now_ns() + 1000000);
    }
    do {
        (void)sched_yield();
        permits = npi_gate_permits(&shard->gate);
    } while (npi_permits_active(permits) != 0);
    thread_assert(npi_permits_searching(permits) == 0);
    for (uint32_t sleeping = scene.impatient ? 1 : TEST_WORKERS; sleeping > 0;) {
        uint32_t sleeper = npi_gate_pop(&shard->gate, NPI_SLEEPER_DISMISSED);
        if (sleeper == NPI_GATE_NOBODY) {
            (void)sched_yield();
            continue;
        }
        npi_gate_rouse(&shard->gate, sleeper);
        /* The others may be leaving by themselves. */
        sleeping -= !scene.impatient || sleeper == LAST_WORKER;
    }
}

static void take_part(void *context, unsigned index)
{
    (void)context;
    if (index < TEST_WORKERS) {
        work(index);
    } else if (index < TEST_WORKERS + scene.submitters) {
        submit(index - TEST_WORKERS);
    } else {
        if (scene.limit_moves) {
            move_limit();
        }
        send_home();
    }
}

static void play(const char *name, unsigned limit)
{
    test_shard_init(&test, CAPACITY, limit);
    assert_int_equal(pthread_barrier_init(&scene.round_end, NULL, scene.submitters), 0);
    test_watch(name, dump);
    test_run_threads(TEST_WORKERS + scene.submitters + 1, take_part, NULL);
    test_watch_end();
    assert_true(npi_shard_quiet(shard));
    assert_int_equal(npi_permits_active(npi_gate_permits(&shard->gate)), 0);
    assert_int_equal(npi_permits_searching(npi_gate_permits(&shard->gate)), 0);
    assert_int_equal(npi_shard_taken(shard), npi_a32_load_relaxed(&scene.ran));
    printf("%s: %u ran, %llu woken, %u left\n", name, npi_a32_load_relaxed(&scene.ran),
           (unsigned long long)npi_a64_load_relaxed(&shard->gate.wakes),
           npi_a32_load_relaxed(&scene.left));
    (void)pthread_barrier_destroy(&scene.round_end);
    test_shard_fini(&test);
}

static void a_push_is_never_slept_through(void **state)
{
    (void)state;
    for (unsigned limit = 1; limit <= TEST_WORKERS; limit += 3) {
        scene = (struct scene){.submitters = 1, .rounds = 4000, .slow = true};
        play("one submitter", limit);
        scene = (struct scene){.submitters = 2, .rounds = 2000, .slow = true};
        play("two submitters", limit);
    }
}

/* The chain of wake-ups goes on while tasks wait and more workers may run. */
static void as_many_run_at_once_as_may(void **state)
{
    (void)state;
    scene = (struct scene){.submitters = 1, .rounds = 3000, .meeting = true};
    play("tasks that meet", TEST_WORKERS);
}

static void a_raised_limit_is_never_slept_through(void **state)
{
    (void)state;
    scene = (struct scene){.submitters = 1, .rounds = 4000, .limit_moves = true};
    play("moving limit", 1);
    scene = (struct scene){.submitters = 2, .rounds = 2000, .limit_moves = true, .slow = true};
    play("moving limit, two submitters", 1);
}

static void who_leaves_takes_no_wake_up_along(void **state)
{
    (void)state;
    scene = (struct scene){.submitters = 1, .rounds = 3000, .impatient = true};
    play("leavers", TEST_WORKERS);
    scene = (struct scene){.submitters = 2, .rounds = 1500, .impatient = true, .limit_moves = true};
    play("leavers, moving limit", 1);
}

static int clock_ready(void **state)
{
    (void)state;
    return npi_clock_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_push_is_never_slept_through),
        cmocka_unit_test(as_many_run_at_once_as_may),
        cmocka_unit_test(a_raised_limit_is_never_slept_through),
        cmocka_unit_test(who_leaves_takes_no_wake_up_along),
    };
    return cmocka_run_group_tests(tests, clock_ready, NULL);
}
