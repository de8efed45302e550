/* See load.h. */
#include "fault/load.h"

#include "fault/halt.h"
#include "vm/where.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUND_TASKS UINT64_C(250000)
#define PRODUCERS_MAX 8u
#define BATCH 8u
#define CHILD_EVERY 32u

#define RAN 1u
#define DROPPED 16u

/* A load that does not move for so long hangs. */
#define STILL_SECONDS 200

numapool *load_pool;

static struct {
    struct load_shape shape;
    uint64_t tasks, next;
    bool watched, on, stopping, half_way;
    uint8_t *ended, *accepted;
    uint64_t table_bytes, used_bytes; /* of each; those of this load */
    uint64_t refusals, foreign;
    int threads, descriptors;
    numapool_group *group, *cancelled;
    pthread_t producers[PRODUCERS_MAX];
    unsigned producer_count, producers_left;
} load;

static struct {
    uint64_t accepted, run, dropped, refusals, lost, twice;
} total;

uint64_t load_tasks(void)
{
    const char *text = getenv("NPI_FAULT_TASKS");
    if (text != NULL) {
        return strtoull(text, NULL, 0);
    }
    return SANITIZED ? 50000 : where_guest_shape() != NULL ? 10000 : 1000000;
}

/* ---------------------------------------------------------------------------------- tasks */

static uint64_t id_of(const void *arg)
{
    return (uint64_t)((const uint8_t *)arg - load.ended);
}

static void mark(void *arg, unsigned what)
{
    (void)__atomic_add_fetch((uint8_t *)arg, (uint8_t)what, __ATOMIC_RELAXED);
}

static void run_plain(void *arg)
{
    mark(arg, RAN);
}

static void dropped(void *arg, int why)
{
    MUST(why == NUMAPOOL_E_DEADLINE || why == NUMAPOOL_E_CLOSED || why == NUMAPOOL_E_SHED ||
         why == NUMAPOOL_E_CANCELLED);
    if (why == NUMAPOOL_E_CLOSED) {
        MUST(numapool_submit(load_pool, run_plain, arg) == NUMAPOOL_E_CLOSED);
    }
    mark(arg, DROPPED);
}

static void run_bytes(void *arg)
{
    mark(arg, RAN);
    char *scratch = numapool_scratch(200);
    if (scratch != NULL) {
        memset(scratch, 1, 200);
    }
}

static void run_alloc(void *arg)
{
    mark(arg, RAN);
    uint64_t bytes = 16 + id_of(arg) % 3000;
    char *memory = numapool_alloc(load_pool, -1, bytes);
    if (memory != NULL) {
        memory[bytes - 1] = 1;
        numapool_free(load_pool, memory);
    }
}

static void run_block(void *arg)
{
    mark(arg, RAN);
    numapool_block_begin();
    (void)sched_yield();
    if (id_of(arg) % 3 != 0) { /* the others forget */
        numapool_block_end();
    }
}

/* The address sanitizer learns of frames that are left by pthread_exit, but not by cancellation. */
#if defined(__SANITIZE_ADDRESS__)
void __asan_handle_no_return(void);
#define FRAMES_ARE_LEFT() __asan_handle_no_return()
#else
#define FRAMES_ARE_LEFT() ((void)0)
#endif

static void run_leave(void *arg)
{
    mark(arg, RAN);
    if (id_of(arg) % 3 == 0) {
        numapool_block_begin(); /* and never comes back */
    }
    if (id_of(arg) % 2 == 0) {
        pthread_exit(NULL);
    }
    (void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    (void)pthread_cancel(pthread_self());
    FRAMES_ARE_LEFT();
    pthread_testcancel();
}

static void run_parent(void *arg)
{
    mark(arg, RAN);
    uint64_t child = load.tasks + id_of(arg) / CHILD_EVERY;
    struct numapool_task task = {.run = run_plain, .arg = &load.ended[child], .drop = dropped};
    int result = child % 2 == 0 && (load.shape.mix & LOAD_DROP_ALL) == 0
                     ? numapool_submit(load_pool, task.run, task.arg)
                     : numapool_submit_task(load_pool, &task);
    if (result == NUMAPOOL_OK) {
        load.accepted[child] = 1;
    } else {
        (void)__atomic_add_fetch(&load.refusals, 1, __ATOMIC_RELAXED);
    }
}

/* What task number `id` is like; `plain` after a refusal that would come again. */
static void describe(uint64_t id, bool plain, struct numapool_task *task)
{
    unsigned mix = load.shape.mix;
    *task = (struct numapool_task){.run = run_plain, .arg = &load.ended[id]};
    if ((mix & LOAD_DROP_ALL) != 0 || ((mix & LOAD_DROP) != 0 && id % 2 == 0)) {
        task->drop = dropped;
        task->task_class = (int)(id / 2 % NUMAPOOL_CLASSES);
        task->flags |= id % 8 == 0 ? (unsigned)NUMAPOOL_DROP_OK : 0;
    }
    if ((mix & LOAD_CHILD) != 0 && id % CHILD_EVERY == 7) {
        task->run = run_parent;
    } else if (((mix & LOAD_LEAVE) != 0 && id % 128 == 5) ||
               ((mix & LOAD_LEAVE_SELDOM) != 0 && id % 4096 == 5)) {
        task->run = run_leave;
    } else if ((mix & LOAD_BLOCK) != 0 && id % 256 == 9) {
        task->run = run_block;
    } else if ((mix & LOAD_ALLOC) != 0 && id % 16 == 1) {
        task->run = run_alloc;
    } else if ((mix & LOAD_BYTES) != 0 && id % 8 == 4) {
        task->run = run_bytes;
        task->bytes = id % 2000;
    }
    if ((mix & LOAD_NODE) != 0 && id % 4 == 2) {
        task->flags |= NUMAPOOL_ON_NODE | (id % 3 == 0 ? (unsigned)NUMAPOOL_STRICT_NODE : 0);
        task->node = (int)(id / 4 % numapool_node_count(load_pool));
    }
    if (plain) {
        return;
    }
    if ((mix & LOAD_GROUP) != 0 && id % 8 == 6) {
        task->group = id % 64 == 6 ? load.cancelled : load.group;
        task->drop = dropped;
    }
    if ((mix & LOAD_DEADLINE) != 0 && id % 64 == 10) {
        task->drop = dropped;
        task->deadline_ns = now_ns() + (id % 128 == 10 ? 1000 : 50 * MS);
    }
}

static bool is_bare(const struct numapool_task *task)
{
    return task->drop == NULL && task->bytes == 0 && task->flags == 0 && task->group == NULL &&
           task->task_class == NUMAPOOL_NORMAL;
}

/* ------------------------------------------------------------------------------ producers */

static void nap(void)
{
    struct timespec pause = {0, 50000};
    (void)nanosleep(&pause, NULL);
}

static void refused(uint64_t id)
{
    MUST(__atomic_load_n(&load.ended[id], __ATOMIC_RELAXED) == 0); /* no side effect */
    (void)__atomic_add_fetch(&load.refusals, 1, __ATOMIC_RELAXED);
}

/* Until it is accepted; false: the pool is closed. */
static bool hand_in(uint64_t id)
{
    bool plain = false;
    for (unsigned turn = 1;; turn++) {
        struct numapool_task task;
        describe(id, plain, &task);
        inject_forbid_memory(true);
        int result = turn % 4 == 0    ? numapool_submit_wait(load_pool, &task, 2 * MS)
                     : is_bare(&task) ? numapool_submit(load_pool, task.run, task.arg)
                                      : numapool_submit_task(load_pool, &task);
        inject_forbid_memory(false);
        if (result == NUMAPOOL_OK) {
            load.accepted[id] = 1;
            return true;
        }
        refused(id);
        if (result == NUMAPOOL_E_CLOSED) {
            return false;
        }
        plain = result == NUMAPOOL_E_DEADLINE || result == NUMAPOOL_E_CANCELLED || plain;
        MUST(plain || result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED ||
             result == NUMAPOOL_E_TIMEDOUT);
        if (!plain) {
            nap();
        }
    }
}

static bool hand_in_batch(uint64_t first)
{
    struct numapool_task tasks[BATCH];
    for (unsigned i = 0; i < BATCH; i++) {
        describe(first + i, false, &tasks[i]);
    }
    size_t accepted = 77;
    inject_forbid_memory(true);
    int result = numapool_submit_batch(load_pool, tasks, BATCH, &accepted);
    inject_forbid_memory(false);
    MUST(accepted <= BATCH && (result == NUMAPOOL_OK) == (accepted == BATCH));
    for (unsigned i = 0; i < BATCH; i++) {
        if (i < accepted) {
            load.accepted[first + i] = 1;
        } else if (!hand_in(first + i)) {
            return false;
        }
    }
    return true;
}

static void *produce(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&load.on, __ATOMIC_SEQ_CST)) {
        nap();
    }
    halt_enrol_producer();
    bool open = true;
    while (open && !__atomic_load_n(&load.stopping, __ATOMIC_RELAXED)) {
        uint64_t first = __atomic_fetch_add(&load.next, BATCH, __ATOMIC_RELAXED);
        if (first >= load.tasks) {
            break;
        }
        if (first >= load.tasks / 2 && load.cancelled != NULL &&
            !__atomic_exchange_n(&load.half_way, true, __ATOMIC_RELAXED)) {
            MUST(numapool_group_cancel(load.cancelled) == NUMAPOOL_OK);
        }
        if ((load.shape.mix & LOAD_BATCH) != 0 && first / BATCH % 4 == 0 &&
            first + BATCH <= load.tasks) {
            open = hand_in_batch(first);
            continue;
        }
        for (uint64_t id = first; open && id < first + BATCH && id < load.tasks; id++) {
            open = hand_in(id);
        }
    }
    halt_leave_producer();
    (void)__atomic_sub_fetch(&load.producers_left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* ------------------------------------------------------------------------------- the load */

static void say_nothing(void *arg, int level, const char *line)
{
    (void)arg;
    if (level <= NUMAPOOL_LOG_ERROR) {
        (void)fprintf(stderr, "log: %s\n", line);
        MUST(level > NUMAPOOL_LOG_ERROR);
    }
}

static void make_pool(const struct load_shape *shape)
{
    struct numapool_config config;
    numapool_config_init(&config);
    config.machine = shape->machine != NULL ? shape->machine
                     : shape->nodes != 0    ? machine_of(shape->nodes)
                                            : NULL;
    config.workers_max = shape->workers != 0 ? shape->workers : 8;
    config.queue_tasks = shape->queue_tasks != 0 ? shape->queue_tasks : 4096;
    config.memory_bytes = UINT64_C(64) << 20;
    config.mode = shape->mode;
    config.idle_exit_ns = shape->idle_exit_ns;
    config.stack_bytes = SANITIZED ? 2 << 20 : 0;
    config.log = say_nothing;
    struct numapool_error error = {.count = 0};
    int result = numapool_create(&load_pool, &config, &error);
    if (result != NUMAPOOL_OK) {
        (void)fprintf(stderr, "numapool_create: %s\n", error.text);
    }
    MUST(result == NUMAPOOL_OK);
}

void load_begin(const struct load_shape *shape, uint64_t tasks)
{
    uint64_t used_bytes = (tasks + tasks / CHILD_EVERY + 64) & ~UINT64_C(7);
    MUST(used_bytes <= load.table_bytes);
    __atomic_store_n(&load.used_bytes, used_bytes,
                     __ATOMIC_RELAXED); /* the watchdog may be reading */
    load_clear();
    load.shape = *shape;
    load.tasks = tasks;
    load.next = 0;
    load.refusals = load.foreign = 0;
    load.stopping = load.half_way = false;
    load.threads = threads_now();
    load.descriptors = descriptors_now();
    load.producer_count = shape->producers != 0 ? shape->producers : 3;
    MUST(load.producer_count <= PRODUCERS_MAX);
    load.producers_left = load.producer_count;
    for (unsigned i = 0; i < load.producer_count; i++) { /* while nothing else takes threads */
        MUST(inject_thread(&load.producers[i], produce, NULL) == 0);
    }
    if (!shape->adopts) {
        make_pool(shape);
    }
    load.group = load.cancelled = NULL;
    if ((shape->mix & LOAD_GROUP) != 0) {
        MUST(numapool_group_create(&load.group, load_pool) == NUMAPOOL_OK);
        MUST(numapool_group_create(&load.cancelled, load_pool) == NUMAPOOL_OK);
    }
    __atomic_store_n(&load.on, true, __ATOMIC_SEQ_CST);
}

bool load_goes_on(void)
{
    return __atomic_load_n(&load.producers_left, __ATOMIC_SEQ_CST) != 0;
}

void load_foreign(uint64_t tasks)
{
    load.foreign = tasks;
}

void load_stop(void)
{
    __atomic_store_n(&load.stopping, true, __ATOMIC_SEQ_CST);
}

void load_await_producers(void)
{
    for (unsigned i = 0; i < load.producer_count; i++) {
        (void)pthread_join(load.producers[i], NULL);
    }
    load.producer_count = 0;
}

uint64_t load_ended(void)
{
    uint64_t ended = 0, used_bytes = __atomic_load_n(&load.used_bytes, __ATOMIC_RELAXED);
    for (uint64_t i = 0; i < used_bytes; i++) {
        ended += __atomic_load_n(&load.ended[i], __ATOMIC_RELAXED) != 0;
    }
    return ended;
}

/* The library's own books, at rest. */
static void check_stats(void)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};
    MUST(numapool_stats(load_pool, &stats) == NUMAPOOL_OK);
    uint64_t accepted = load.foreign, run = load.foreign, dropped_count = 0;
    for (uint64_t i = 0; i < load.used_bytes; i++) {
        accepted += load.accepted[i];
        run += load.ended[i] == RAN;
        dropped_count += load.ended[i] == DROPPED;
    }
    if (!load.shape.counts_begin_high) {
        MUST(stats.accepted == accepted);
        MUST(stats.accepted == stats.run + stats.dropped);
        MUST(stats.submitted == stats.accepted + stats.refused_full + stats.refused_shed +
                                    stats.refused_deadline + stats.refused_bytes +
                                    stats.refused_other);
        /* A dropped task without a drop function leaves no mark. */
        MUST(stats.run == run && stats.dropped >= dropped_count);
    }
    MUST(stats.queue_depth == 0);
    MUST(stats.bytes_in_use == 0);
    MUST(stats.workers_blocked == 0);
}

static void judge(void)
{
    __atomic_store_n(&load.on, false, __ATOMIC_SEQ_CST);
    uint64_t lost = 0, twice = 0;
    for (uint64_t i = 0; i < load.used_bytes; i++) {
        unsigned ended = load.ended[i];
        total.accepted += load.accepted[i];
        total.run += ended % DROPPED;
        total.dropped += ended / DROPPED;
        unsigned times = ended % DROPPED + ended / DROPPED;
        lost += times < load.accepted[i];
        twice += times > load.accepted[i];
    }
    total.lost += lost;
    total.twice += twice;
    total.refusals += load.refusals;
    if (lost != 0 || twice != 0) {
        (void)fprintf(stderr, "%llu tasks lost, %llu too often\n", (unsigned long long)lost,
                      (unsigned long long)twice);
        MUST(lost == 0 && twice == 0);
    }
    if (!load.shape.adopts) {
        EVENTUALLY(threads_now() <= load.threads);
        MUST(descriptors_now() == load.descriptors);
    }
}

static void end_groups(void)
{
    if (load.group != NULL) {
        MUST(numapool_group_wait(load.group, FOREVER) == NUMAPOOL_OK);
        MUST(numapool_group_wait(load.cancelled, FOREVER) == NUMAPOOL_OK);
        MUST(numapool_group_destroy(load.group) == NUMAPOOL_OK);
        MUST(numapool_group_destroy(load.cancelled) == NUMAPOOL_OK);
    }
}

void load_destroy(void)
{
    MUST(numapool_destroy(load_pool) == NUMAPOOL_OK);
    if (load.group != NULL) { /* every member has been dropped or has run */
        MUST(numapool_group_destroy(load.group) == NUMAPOOL_OK);
        MUST(numapool_group_destroy(load.cancelled) == NUMAPOOL_OK);
    }
    judge();
}

void load_end(void)
{
    load_await_producers();
    MUST(numapool_drain(load_pool, FOREVER) == NUMAPOOL_OK);
    end_groups();
    check_stats();
    MUST(numapool_destroy(load_pool) == NUMAPOOL_OK);
    judge();
}

void load_clear(void)
{
    /* The watchdog may be reading. */
    for (uint64_t i = 0; i < load.used_bytes; i += sizeof(uint64_t)) {
        __atomic_store_n((uint64_t *)(void *)(load.ended + i), 0, __ATOMIC_RELAXED);
        __atomic_store_n((uint64_t *)(void *)(load.accepted + i), 0, __ATOMIC_RELAXED);
    }
}

uint64_t load_judge_killed(void)
{
    uint64_t ended = 0;
    for (uint64_t i = 0; i < load.used_bytes; i++) {
        unsigned times = load.ended[i] % DROPPED + load.ended[i] / DROPPED;
        total.twice += times > 1;
        total.run += load.ended[i] % DROPPED;
        total.dropped += load.ended[i] / DROPPED;
        total.accepted += load.accepted[i];
        ended += times;
    }
    MUST(total.twice == 0);
    return ended;
}

void load_rounds(void (*body)(unsigned round, uint64_t tasks))
{
    uint64_t left = load_tasks();
    uint64_t most = left / 4 < 1000 ? 1000 : left / 4 < ROUND_TASKS ? left / 4 : ROUND_TASKS;
    for (unsigned round = 0; left != 0; round++) {
        uint64_t tasks = left < most ? left : most;
        body(round, tasks);
        left -= tasks;
    }
}

void load_report(const char *fault, const char *how)
{
    printf("%s: %s: %llu accepted, %llu run, %llu dropped, %llu refusals, %llu lost, %llu double\n",
           fault, how, (unsigned long long)total.accepted, (unsigned long long)total.run,
           (unsigned long long)total.dropped, (unsigned long long)total.refusals,
           (unsigned long long)total.lost, (unsigned long long)total.twice);
    memset(&total, 0, sizeof total);
}

/* -------------------------------------------------------------------------------- running */

static void print_pool(void)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};
    if (numapool_stats(load_pool, &stats) != NUMAPOOL_OK) {
        return;
    }
#define PRINT(name, kind, text)                                                                    \
    (void)fprintf(stderr, " %s=%llu", #name, (unsigned long long)stats.name);
    NUMAPOOL_STATS_FIELDS(PRINT)
#undef PRINT
    (void)fprintf(stderr, "\n");
}

/* Turns a load that does not move into a failure with evidence. */
static void *watch_dog(void *arg)
{
    (void)arg;
    uint64_t before = 0;
    __atomic_store_n(&load.watched, true, __ATOMIC_SEQ_CST);
    for (int still = 0;;) {
        struct timespec second = {1, 0};
        (void)nanosleep(&second, NULL);
        uint64_t now = load_ended();
        still = __atomic_load_n(&load.on, __ATOMIC_SEQ_CST) && now == before ? still + 1 : 0;
        before = now;
        if (still >= STILL_SECONDS) {
            (void)fprintf(stderr, "nothing moves: %llu of %llu tasks have ended\n",
                          (unsigned long long)now, (unsigned long long)load.tasks);
            print_pool();
            abort();
        }
    }
    return NULL;
}

static uint8_t *make_table(void)
{
    /* Shared, so that a parent sees how far a child came. */
    void *table =
        mmap(NULL, load.table_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(table != MAP_FAILED);
    return table;
}

int load_run(const struct CMUnitTest *tests, size_t count, const char *name)
{
    pthread_t dog;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    uint64_t most = load_tasks() / 4 > ROUND_TASKS ? load_tasks() / 4 : ROUND_TASKS;
    load.table_bytes = load.used_bytes = (2 * most) & ~UINT64_C(7);
    load.ended = make_table();
    load.accepted = make_table();
    halt_init();
    MUST(inject_thread(&dog, watch_dog, NULL) == 0);
    /* A thread that starts allocates, and a child forked meanwhile would inherit the address
       sanitizer's locks as they are. */
    while (!__atomic_load_n(&load.watched, __ATOMIC_SEQ_CST)) {
        pause_us(100);
    }
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

int load_skip(const char *what, int error)
{
    printf("skip: %s: %s\n", what, error == 0 ? "not here" : strerror(-error));
    return 77;
}

void pause_us(unsigned us)
{
    struct timespec pause = {0, (long)us * 1000};
    (void)nanosleep(&pause, NULL);
}
