/* See faults.h. */
#include "soak/faults.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Longest that one thread stands still. */
#define FREEZE_NS_MAX (60 * SOAK_MS)

static int freeze_signal, storm_signal;
static _Atomic uint64_t freeze_until_ns;

/* Where it is: it may hold a claim, a permit, a block, or nothing. */
static void freeze(int number)
{
    (void)number;
    int kept = errno;
    atomic_fetch_add(&soak.freezes, 1);
    while (soak_now_ns() < atomic_load(&freeze_until_ns)) {
        soak_sleep_ns(SOAK_MS);
    }
    errno = kept;
}

static void ignore(int number)
{
    (void)number;
    atomic_fetch_add_explicit(&soak.signals, 1, memory_order_relaxed);
}

void faults_init(void)
{
    freeze_signal = SIGRTMAX;
    storm_signal = SIGRTMAX - 1;
    struct sigaction action = {.sa_handler = freeze};
    sigemptyset(&action.sa_mask);
    sigaction(freeze_signal, &action, NULL);
    action.sa_handler = ignore; /* no SA_RESTART: waits are to end with EINTR */
    sigaction(storm_signal, &action, NULL);
}

void faults_open_thread(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, freeze_signal);
    sigaddset(&set, storm_signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void faults_end(void)
{
    atomic_store(&freeze_until_ns, 0);
    atomic_store(&soak.pause, 0);
}

/* A thread that ended is no error, nor one that has its number now and blocks the signal. */
static void send(int tid, int number)
{
    if (tid > 0) {
        (void)tgkill(getpid(), tid, number);
    }
}

static int some_producer(uint64_t *random)
{
    return atomic_load(&soak.producer_tids[soak_draw(random) % soak.options.producers]);
}

static int some_worker(uint64_t *random)
{
    unsigned seen = atomic_load(&soak.workers_seen);
    unsigned among = seen < SOAK_THREADS_SEEN ? seen : SOAK_THREADS_SEEN;
    if (among == 0) {
        return 0;
    }
    unsigned back = soak_draw(random) % (among < 64 ? among : 64); /* most older ones have ended */
    return atomic_load(&soak.worker_tids[(seen - 1 - back) % SOAK_THREADS_SEEN]);
}

static uint64_t freeze_for_a_while(int tid, uint64_t *random)
{
    uint64_t length = soak_draw(random) % FREEZE_NS_MAX;
    length = soak_draw(random) % 8 == 0 ? length : length / 64;
    atomic_store(&freeze_until_ns, soak_now_ns() + length);
    send(tid, freeze_signal);
    return length + SOAK_MS / 4;
}

/* ------------------------------------------------------------------------------- the table */

static uint64_t nothing(uint64_t *random)
{
    (void)random;
    return SOAK_MS;
}

static uint64_t freeze_producer(uint64_t *random)
{
    return freeze_for_a_while(some_producer(random), random);
}

static uint64_t freeze_worker(uint64_t *random)
{
    return freeze_for_a_while(some_worker(random), random);
}

static uint64_t fork_once(uint64_t *random)
{
    (void)random;
    pid_t child = fork();
    if (child == 0) {
        struct numapool_stats stats = {.struct_size = sizeof stats};
        struct numapool_task task = {.run = free}; /* never run */
        bool refused = numapool_submit(soak.pool, free, NULL) == NUMAPOOL_E_FORKED &&
                       numapool_submit_task(soak.pool, &task) == NUMAPOOL_E_FORKED &&
                       numapool_stats(soak.pool, &stats) == NUMAPOOL_E_FORKED &&
                       numapool_drain(soak.pool, UINT64_MAX) == NUMAPOOL_E_FORKED;
        _exit(refused ? 0 : 1);
    }
    int status = 0;
    pid_t ended;
    do {
        ended = child > 0 ? waitpid(child, &status, 0) : -1;
    } while (ended < 0 && errno == EINTR);
    SOAK_CHECK(ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    atomic_fetch_add(&soak.forks, 1);
    return 5 * SOAK_MS;
}

/* Down to a worker per shard and up again; surplus threads end after idle_exit. */
static uint64_t change_budget(uint64_t *random)
{
    unsigned budget = soak_draw(random) % 2 ? 1 : 1 + soak_draw(random) % soak.budget_most;
    SOAK_CHECK(numapool_set_budget(soak.pool, budget) == NUMAPOOL_OK);
    atomic_fetch_add(&soak.budgets, 1);
    if (soak_draw(random) % 4 == 0) { /* long enough to have threads end */
        atomic_store(&soak.pause, 1);
        soak_sleep_ns(3 * SOAK_MS);
        atomic_store(&soak.pause, 0);
    }
    return SOAK_MS;
}

static uint64_t pause_producers(uint64_t *random)
{
    atomic_store(&soak.pause, 1);
    soak_sleep_ns(soak_draw(random) % (8 * SOAK_MS));
    atomic_store(&soak.pause, 0);
    return soak_draw(random) % (4 * SOAK_MS);
}

static uint64_t storm(uint64_t *random)
{
    for (int i = 0; i < 10; i++) {
        send(some_worker(random), storm_signal);
        send(some_producer(random), storm_signal);
    }
    return SOAK_MS;
}

static void beside_run(void *count)
{
    atomic_fetch_add((atomic_uint *)count, 1);
}

static void beside_drop(void *count, int why)
{
    (void)why;
    atomic_fetch_add((atomic_uint *)count, 1u << 16);
}

static uint64_t live_beside(uint64_t *random)
{
    struct numapool_config config;
    numapool_config_init(&config);
    config.machine = soak_draw(random) % 2 ? "pack:2 [numa] core:1 pu:1" : NULL;
    config.workers_max = 4;
    config.memory_bytes = 1 << 20;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    config.stack_bytes = 2 << 20;
#endif
    numapool *pool = NULL;
    int result = numapool_create(&pool, &config, NULL);
    if (result != NUMAPOOL_OK) {
        soak_violation("a pool beside: %s", numapool_strerror(result));
        return SOAK_MS;
    }
    atomic_uint ended = 0;
    unsigned accepted = 0;
    for (int i = 0; i < 500; i++) {
        struct numapool_task task = {.run = beside_run, .arg = &ended, .drop = beside_drop};
        accepted += numapool_submit_task(pool, &task) == NUMAPOOL_OK;
    }
    bool drained = soak_draw(random) % 2 != 0;
    if (drained) {
        SOAK_CHECK(numapool_drain(pool, UINT64_MAX) == NUMAPOOL_OK);
    }
    SOAK_CHECK(numapool_destroy(pool) == NUMAPOOL_OK);
    unsigned sum = atomic_load(&ended);
    SOAK_CHECK((sum & 0xffff) + (sum >> 16) == accepted);
    SOAK_CHECK(!drained || sum == accepted);
    atomic_fetch_add(&soak.pools_beside, 1);
    return SOAK_MS;
}

const struct fault faults[] = {
    {"nothing", SOAK_PLAIN, nothing, false},
    {"a frozen producer", SOAK_SINGLE, freeze_producer, false},
    {"a frozen worker", SOAK_SPAWN, freeze_worker, false},
    {"fork", SOAK_SINGLE, fork_once, false},
    {"budget", SOAK_CARELESS, change_budget, false},
    {"cancellation", SOAK_GROUP, nothing, false},
    {"deadlines", SOAK_DEADLINE, nothing, false},
    {"scratch", SOAK_SCRATCH, nothing, false},
    {"remote frees", SOAK_REMOTE_FREE, nothing, false},
    {"waiting tasks", SOAK_BLOCK, nothing, false},
    {"tasks that end their thread", SOAK_EXIT, nothing, false},
    {"a pool beside", SOAK_SPAWN, live_beside, false},
    {"readers", SOAK_PLAIN, nothing, true},
    {"signals", SOAK_BLOCK, storm, false},
    {"pauses", SOAK_CARELESS, pause_producers, false},
};

const unsigned fault_count = sizeof faults / sizeof *faults;
