/* See producer.h. */
#include "soak/producer.h"

#include "soak/faults.h"
#include "soak/ledger.h"
#include "soak/soak.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 64
#define SLOTS (1u << 15)
#define EXCHANGE 256

/* Every so many turns of a producer is one of another kind than batches of plain tasks; more of those
   that are stressed just now. */
#define TURNS_PER_OTHER 24
#define TURNS_PER_STRESSED 6

static struct ledger ledgers[SOAK_PRODUCERS_MAX];
static uint64_t seeds[SOAK_PRODUCERS_MAX];
static _Atomic(uint64_t *) exchange[EXCHANGE];

/* ------------------------------------------------------------------------------- the tasks */

void worker_seen(void)
{
    static __thread bool seen;
    if (!seen) {
        seen = true;
        faults_open_thread();
        unsigned at = atomic_fetch_add(&soak.workers_seen, 1) % SOAK_THREADS_SEEN;
        atomic_store(&soak.worker_tids[at], (int)gettid());
    }
}

static void run_plain(void *task)
{
    worker_seen();
    ledger_run(task);
}

static void run_scratch(void *task)
{
    worker_seen();
    SOAK_CHECK(numapool_current_node() >= 0);
    size_t words = (size_t)ledger_note(task) + 1;
    uint64_t *first = numapool_scratch(words * sizeof *first);
    uint64_t *second = numapool_scratch(words * sizeof *second);
    for (size_t i = 0; i < words; i++) {
        if (first != NULL) {
            first[i] = (uint64_t)(uintptr_t)task;
        }
        if (second != NULL) {
            second[i] = ~(uint64_t)(uintptr_t)task;
        }
    }
    for (size_t i = 0; i < words; i++) {
        SOAK_CHECK(first == NULL || first[i] == (uint64_t)(uintptr_t)task);
        SOAK_CHECK(second == NULL || second[i] == ~(uint64_t)(uintptr_t)task);
    }
    ledger_run(task);
}

static void free_checked(uint64_t *memory)
{
    if (memory == NULL) {
        return;
    }
    uint64_t words = memory[0];
    SOAK_CHECK(words >= 1 && words <= 4096);
    for (uint64_t i = 1; i < words; i++) {
        SOAK_CHECK(memory[i] == words);
    }
    numapool_free(soak.pool, memory);
    atomic_fetch_add_explicit(&soak.remote_frees, 1, memory_order_relaxed);
}

/* What one worker took another gives back, mostly of another node. */
static void run_remote_free(void *task)
{
    worker_seen();
    uint64_t words = (uint64_t)ledger_note(task) * ledger_note(task) / 16 + 1;
    uint64_t *memory = numapool_alloc(soak.pool, -1, words * sizeof *memory);
    for (uint64_t i = 0; memory != NULL && i < words; i++) {
        memory[i] = words;
    }
    free_checked(atomic_exchange(&exchange[ledger_note(task) % EXCHANGE], memory));
    ledger_run(task);
}

static void run_block(void *task)
{
    worker_seen();
    numapool_block_begin();
    soak_sleep_ns(20000);
    if (ledger_note(task) % 4 != 0) { /* some forget */
        numapool_block_end();
    }
    ledger_run(task);
}

static void run_careless(void *task)
{
    worker_seen();
    soak_sleep_ns((uint64_t)ledger_note(task) * 2000);
    ledger_run(task);
}

static void run_exit(void *task)
{
    worker_seen();
    ledger_run(task);
    if (ledger_note(task) % 2 != 0) {
        numapool_block_begin();
    }
    pthread_exit(NULL);
}

static void run_group(void *task)
{
    worker_seen();
    (void)numapool_cancelled();
    ledger_run(task);
}

static void run_spawn(void *task)
{
    worker_seen();
    struct numapool_task child = {.run = run_plain,
                                  .arg = ledger_second(task),
                                  .drop = ledger_drop,
                                  .task_class = NUMAPOOL_CRITICAL};
    if (numapool_submit_task(soak.pool, &child) == NUMAPOOL_OK) {
        atomic_fetch_add_explicit(&soak.spawned, 1, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(&soak.spawned_refused, 1, memory_order_relaxed);
        ledger_run(child.arg);
    }
    ledger_run(task);
}

/* --------------------------------------------------------------------------- handing them in */

static bool may_be_refused_with(int result)
{
    return result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED ||
           result == NUMAPOOL_E_DEADLINE || result == NUMAPOOL_E_CANCELLED ||
           result == NUMAPOOL_E_CLOSED;
}

static void note_result(int result, uint64_t accepted, uint64_t refused)
{
    if (accepted != 0) {
        atomic_fetch_add_explicit(&soak.accepted, accepted, memory_order_relaxed);
    }
    if (refused != 0) {
        atomic_fetch_add_explicit(&soak.refused, refused, memory_order_relaxed);
        if (!may_be_refused_with(result)) {
            soak_violation("refused with %d: %s", result, numapool_strerror(result));
        }
        soak_sleep_ns(50000);
    }
}

static void hand_in_batch(struct ledger *ledger, uint32_t bits)
{
    struct numapool_task tasks[BATCH];
    size_t count = 1 + bits % BATCH, drawn = 0, accepted = 0;
    int task_class = bits >> 8 & 7 ? NUMAPOOL_NORMAL : (int)(bits >> 11) % NUMAPOOL_CLASSES;
    memset(tasks, 0, count * sizeof tasks[0]);
    for (; drawn < count; drawn++) {
        void *task = ledger_draw(ledger, 0);
        if (task == NULL) {
            break;
        }
        tasks[drawn].run = run_plain;
        tasks[drawn].arg = task;
        tasks[drawn].drop = soak.ends_drained ? NULL : ledger_drop;
        tasks[drawn].task_class = task_class;
        if (bits >> 14 & 1) {
            tasks[drawn].flags = NUMAPOOL_ON_NODE;
            tasks[drawn].node = (int)((bits >> 16) % soak.nodes);
        }
    }
    int result = numapool_submit_batch(soak.pool, tasks, drawn, &accepted);
    SOAK_CHECK(accepted <= drawn && (result == NUMAPOOL_OK) == (accepted == drawn));
    for (size_t i = 0; i < accepted; i++) {
        ledger_issue(ledger, tasks[i].arg);
    }
    note_result(result, accepted, drawn - accepted);
}

static void hand_in(struct ledger *ledger, const struct numapool_task *task)
{
    int result = numapool_submit_task(soak.pool, task);
    if (result == NUMAPOOL_OK) {
        ledger_issue(ledger, task->arg);
    }
    note_result(result, result == NUMAPOOL_OK, result != NUMAPOOL_OK);
}

static void hand_in_single(struct ledger *ledger, uint32_t bits)
{
    void *task = ledger_draw(ledger, 0);
    if (task == NULL || !soak.ends_drained) {
        return; /* this call has no drop, and a slot that was drawn is simply not issued */
    }
    (void)bits;
    int result = numapool_submit(soak.pool, run_plain, task);
    if (result == NUMAPOOL_OK) {
        ledger_issue(ledger, task);
    }
    note_result(result, result == NUMAPOOL_OK, result != NUMAPOOL_OK);
}

static void hand_in_group(struct ledger *ledger, uint32_t bits)
{
    numapool_group *group = NULL;
    int result = numapool_group_create(&group, soak.pool);
    if (result != NUMAPOOL_OK) {
        soak_violation("group: %s", numapool_strerror(result));
        return;
    }
    unsigned count = 1 + bits % 32, cancel_at = bits >> 5 & 63;
    for (unsigned i = 0; i < count; i++) {
        if (i == cancel_at) {
            SOAK_CHECK(numapool_group_cancel(group) == NUMAPOOL_OK);
        }
        void *arg = ledger_draw(ledger, 0);
        if (arg != NULL) {
            struct numapool_task task = {
                .run = run_group, .arg = arg, .drop = ledger_drop, .group = group};
            int handed = numapool_submit_task(soak.pool, &task);
            if (handed == NUMAPOOL_OK) {
                ledger_issue(ledger, arg);
                atomic_fetch_add_explicit(&soak.accepted, 1, memory_order_relaxed);
            }
            SOAK_CHECK(handed == NUMAPOOL_OK || may_be_refused_with(handed));
        }
    }
    if (bits >> 11 & 1) {
        result = numapool_group_wait(group, 2 * SOAK_MS);
        SOAK_CHECK(result == NUMAPOOL_OK || result == NUMAPOOL_E_TIMEDOUT);
    }
    SOAK_CHECK(numapool_group_destroy(group) == NUMAPOOL_OK);
    atomic_fetch_add_explicit(&soak.groups, 1, memory_order_relaxed);
}

static void hand_in_spawn(struct ledger *ledger)
{
    void *parent = ledger_draw(ledger, 0), *child = ledger_draw(ledger, 0);
    /* If the parent were dropped nobody would hand in the child. */
    if (parent == NULL || child == NULL || !soak.ends_drained) {
        return;
    }
    struct numapool_task task = {.run = run_spawn, .arg = parent};
    ledger_pair(ledger, parent, child);
    int result = numapool_submit_task(soak.pool, &task);
    if (result == NUMAPOOL_OK) {
        ledger_issue(ledger, parent);
        ledger_issue(ledger, child);
    }
    note_result(result, result == NUMAPOOL_OK, result != NUMAPOOL_OK);
}

static void hand_in_other(struct ledger *ledger, enum soak_kind kind, uint32_t bits)
{
    static numapool_fn *const functions[SOAK_KINDS] = {
        [SOAK_DEADLINE] = run_plain,
        [SOAK_SCRATCH] = run_scratch,
        [SOAK_REMOTE_FREE] = run_remote_free,
        [SOAK_BLOCK] = run_block,
        [SOAK_EXIT] = run_exit,
        [SOAK_CARELESS] = run_careless,
    };
    switch (kind) {
    case SOAK_PLAIN:
    case SOAK_KINDS:
        hand_in_batch(ledger, bits);
        return;
    case SOAK_SINGLE:
        hand_in_single(ledger, bits);
        return;
    case SOAK_GROUP:
        hand_in_group(ledger, bits);
        return;
    case SOAK_SPAWN:
        hand_in_spawn(ledger);
        return;
    default:
        break;
    }
    /* Those that take long or end a thread come one by one. */
    unsigned count =
        kind == SOAK_EXIT || kind == SOAK_BLOCK || kind == SOAK_CARELESS ? 1 : 1 + bits % 16;
    for (unsigned i = 0; i < count; i++, bits = bits * 2654435761u + 1) {
        struct numapool_task task = {.run = functions[kind],
                                     .arg = ledger_draw(ledger, (uint8_t)(bits >> 24)),
                                     .drop = ledger_drop,
                                     .task_class = (int)(bits >> 8) % NUMAPOOL_CLASSES};
        if (task.arg == NULL) {
            return;
        }
        if (bits >> 10 & 1) {
            task.flags = NUMAPOOL_ON_NODE | (bits >> 11 & 1 ? NUMAPOOL_STRICT_NODE : 0);
            task.node = (int)((bits >> 12) % soak.nodes);
        }
        task.flags |= bits >> 16 & 1 ? NUMAPOOL_DROP_OK : 0;
        if (kind == SOAK_DEADLINE) {
            task.deadline_ns = soak_now_ns() + (bits >> 17) * UINT64_C(50);
        }
        if (kind == SOAK_SCRATCH && bits >> 18 & 1) {
            task.bytes = ((size_t)(bits >> 24) + 1) * 16;
        }
        hand_in(ledger, &task);
    }
}

static void *produce(void *arg)
{
    unsigned index = (unsigned)(uintptr_t)arg;
    struct ledger *ledger = &ledgers[index];
    uint64_t random = seeds[index];
    faults_open_thread();
    atomic_store(&soak.producer_tids[index], (int)gettid());
    while (atomic_load_explicit(&soak.stop, memory_order_relaxed) == 0) {
        uint32_t bits = soak_draw(&random), turn = soak_draw(&random);
        if (atomic_load_explicit(&soak.pause, memory_order_relaxed) != 0) {
            soak_sleep_ns(SOAK_MS);
        } else if (turn % TURNS_PER_STRESSED == 0) {
            hand_in_other(ledger, (enum soak_kind)atomic_load(&soak.stressed), bits);
        } else if (turn % TURNS_PER_OTHER == 1) {
            hand_in_other(ledger, (enum soak_kind)((turn >> 8) % SOAK_KINDS), bits);
        } else {
            hand_in_batch(ledger, bits);
        }
    }
    atomic_store(&soak.producer_tids[index], 0);
    return NULL;
}

void producers_start(uint64_t seed)
{
    for (unsigned i = 0; i < soak.options.producers; i++) {
        seeds[i] = seed + i * UINT64_C(0x9e3779b97f4a7c15);
        if (!ledger_open(&ledgers[i], i, SLOTS) ||
            pthread_create(&soak.producers[i], NULL, produce, (void *)(uintptr_t)i) != 0) {
            soak_violation("no memory or no thread for a producer");
            abort();
        }
    }
}

void producers_join(void)
{
    for (unsigned i = 0; i < soak.options.producers; i++) {
        (void)pthread_join(soak.producers[i], NULL);
    }
}

void producers_free_left(void)
{
    for (unsigned i = 0; i < EXCHANGE; i++) {
        free_checked(atomic_exchange(&exchange[i], NULL));
    }
}

void producers_forget_left(void)
{
    for (unsigned i = 0; i < EXCHANGE; i++) {
        atomic_store(&exchange[i], NULL);
    }
}

struct producers_sum producers_close(void)
{
    struct producers_sum sum = {0};
    for (unsigned i = 0; i < soak.options.producers; i++) {
        ledger_close(&ledgers[i]);
        sum.issued += ledgers[i].issues;
        sum.run += ledgers[i].run;
        sum.dropped += ledgers[i].dropped;
    }
    return sum;
}
