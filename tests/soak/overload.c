/*
 * A pool that is offered 2, 5 and 10 times what it can do. Facts that no noise changes fail the program:
 * bounds on waiting tasks and bytes hold, CRITICAL tasks that fit are never refused, STRICT_NODE ones
 * that were accepted run while the overload goes on, and every accepted task runs. What depends on the
 * machine is printed, and judged with --judge: waits, the price of a refusal, memory, recovery.
 */
#include "soak/pressure.h"
#include "soak/process.h"
#include "soak/soak.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES 2
#define WORKERS 16
#define TASK_NS (1 * SOAK_MS) /* asleep: the budget is what there is too little of */
#define TASK_BYTES 4096
#define QUEUE_TASKS 4096
#define QUEUE_DELAY_NS (100 * SOAK_MS)
/* Less than the SHEDDABLE tasks that may wait would reserve: this bound is met, too. */
#define MEMORY_BYTES (UINT64_C(1) << 20)
#define TURN_NS (1 * SOAK_MS)

/* CRITICAL tasks waiting or running at most: less than the tenth of a shard's queue, a half of them
   all, that no other class may fill. So they always fit. */
#define CRITICAL_MOST (QUEUE_TASKS / NODES / 10 - 8)
#define STRICT_MOST 64

/* What --judge asks for. */
#define REFUSAL_NS_MAX 100
#define RECOVERY_NS_MAX (200 * SOAK_MS)
#define SLOPE_BYTES_MAX (1 << 20) /* per minute of overload */

struct soak soak; /* of soak.h only what is said here */

static numapool *pool;
static bool judged;
static atomic_int stop;
static struct spread waits[NUMAPOOL_CLASSES], refusals, strict_waits;
static _Atomic uint64_t accepted[NUMAPOOL_CLASSES], refused[NUMAPOOL_CLASSES], ran;
static uint64_t refused_ever;
static _Atomic uint64_t critical_inside, strict_inside, strict_accepted, strict_ran;
static uint64_t clock_cost_ns;

void soak_violation(const char *format, ...)
{
    if (atomic_fetch_add(&soak.violations, 1) < 20) {
        va_list arguments;
        va_start(arguments, format);
        fprintf(stderr, "violation: ");
        (void)vfprintf(stderr, format, arguments);
        fprintf(stderr, "\n");
        va_end(arguments);
    }
}

uint64_t soak_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void soak_sleep_ns(uint64_t ns)
{
    struct timespec pause = {(time_t)(ns / UINT64_C(1000000000)),
                             (long)(ns % UINT64_C(1000000000))};
    (void)nanosleep(&pause, NULL);
}

/* -------------------------------------------------------------------------------- the tasks */

/* The argument: when it was handed in, in units of 8 ns, and in the lower bits its class. */
static void *stamp(uint64_t now_ns, unsigned low)
{
    return (void *)(uintptr_t)((now_ns & ~UINT64_C(7)) | low);
}

static uint64_t waited_ns(const void *arg)
{
    uint64_t now_ns = soak_now_ns(), then_ns = (uint64_t)(uintptr_t)arg & ~UINT64_C(7);
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

static void work(void *arg)
{
    spread_add(&waits[(uintptr_t)arg & 3], waited_ns(arg));
    char *memory = numapool_scratch(TASK_BYTES);
    if (memory != NULL) {
        memory[0] = memory[TASK_BYTES - 1] = 1;
    }
    soak_sleep_ns(TASK_NS);
    atomic_fetch_add_explicit(&ran, 1, memory_order_relaxed);
}

static void work_critical(void *arg)
{
    work(arg);
    atomic_fetch_sub(&critical_inside, 1);
}

static void work_strict(void *arg)
{
    spread_add(&strict_waits, waited_ns(arg));
    work(arg);
    atomic_fetch_add(&strict_ran, 1);
    atomic_fetch_sub(&strict_inside, 1);
}

static int hand_in(struct numapool_task *task)
{
    uint64_t begin_ns = soak_now_ns();
    task->arg = stamp(begin_ns, (unsigned)task->task_class);
    task->bytes = task->task_class == NUMAPOOL_SHEDDABLE ? TASK_BYTES : 0;
    int result = numapool_submit_task(pool, task);
    uint64_t end_ns = soak_now_ns();
    if (result == NUMAPOOL_OK) {
        atomic_fetch_add_explicit(&accepted[task->task_class], 1, memory_order_relaxed);
    } else {
        if (task->bytes == 0) {
            uint64_t took_ns = end_ns - begin_ns;
            spread_add(&refusals, took_ns > clock_cost_ns ? took_ns - clock_cost_ns : 0);
        }
        atomic_fetch_add_explicit(&refused[task->task_class], 1, memory_order_relaxed);
        SOAK_CHECK(result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED);
    }
    return result;
}

/* ------------------------------------------------------------------------------ the offer */

/* Tasks that are due are handed in every millisecond, however late the generator is. */
static void offer(double per_second, void (*turn)(uint64_t count))
{
    uint64_t begin_ns = soak_now_ns(), handed = 0;
    while (atomic_load(&stop) == 0) {
        uint64_t due = (uint64_t)((double)(soak_now_ns() - begin_ns) / 1e9 * per_second);
        /* One that was held up does not offer a second's worth at once. */
        uint64_t most = (uint64_t)(per_second / 50) + 1;
        turn(due - handed < most ? due - handed : most);
        handed = due;
        soak_sleep_ns(TURN_NS);
    }
}

static double rate_now; /* set before the threads begin */

static void turn_usual(uint64_t count)
{
    static unsigned number;
    for (uint64_t i = 0; i < count; i++) {
        struct numapool_task task = {
            .run = work, .task_class = number++ % 5 == 0 ? NUMAPOOL_SHEDDABLE : NUMAPOOL_NORMAL};
        (void)hand_in(&task);
    }
}

static void turn_critical(uint64_t count)
{
    for (uint64_t i = 0; i < count && atomic_load(&critical_inside) < CRITICAL_MOST; i++) {
        struct numapool_task task = {.run = work_critical, .task_class = NUMAPOOL_CRITICAL};
        atomic_fetch_add(&critical_inside, 1);
        int result = hand_in(&task);
        if (result != NUMAPOOL_OK) {
            atomic_fetch_sub(&critical_inside, 1);
            soak_violation("a CRITICAL task that fits was refused: %s", numapool_strerror(result));
        }
    }
}

static void turn_strict(uint64_t count)
{
    for (uint64_t i = 0; i < count && atomic_load(&strict_inside) < STRICT_MOST; i++) {
        struct numapool_task task = {.run = work_strict,
                                     .node = NODES - 1,
                                     .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        atomic_fetch_add(&strict_inside, 1);
        if (hand_in(&task) == NUMAPOOL_OK) {
            atomic_fetch_add(&strict_accepted, 1);
        } else {
            atomic_fetch_sub(&strict_inside, 1);
        }
    }
}

static void *offer_usual(void *arg)
{
    (void)arg;
    offer(rate_now, turn_usual);
    return NULL;
}

static void *offer_critical(void *arg)
{
    (void)arg;
    offer(rate_now / 20, turn_critical);
    return NULL;
}

static void *offer_strict(void *arg)
{
    (void)arg;
    offer(500, turn_strict);
    return NULL;
}

/* --------------------------------------------------------------------------- the readings */

#define READINGS_MAX 4096

struct readings {
    double seconds[READINGS_MAX], resident[READINGS_MAX];
    size_t count;
    uint64_t depth_most, bytes_most;
};

static void read_now(struct readings *readings, uint64_t begin_ns)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};
    SOAK_CHECK(numapool_stats(pool, &stats) == NUMAPOOL_OK);
    SOAK_CHECK(stats.queue_depth <= stats.queue_capacity);
    SOAK_CHECK(stats.bytes_in_use <= MEMORY_BYTES);
    for (size_t i = 0; i < NODES; i++) {
        struct numapool_shard_stats shard = {.struct_size = sizeof shard};
        SOAK_CHECK(numapool_shard_stats(pool, i, &shard) == NUMAPOOL_OK);
        SOAK_CHECK(shard.queue_depth <= QUEUE_TASKS / NODES);
    }
    readings->depth_most =
        stats.queue_depth > readings->depth_most ? stats.queue_depth : readings->depth_most;
    readings->bytes_most =
        stats.bytes_in_use > readings->bytes_most ? stats.bytes_in_use : readings->bytes_most;
    if (readings->count < READINGS_MAX) {
        readings->seconds[readings->count] = (double)(soak_now_ns() - begin_ns) / 1e9;
        readings->resident[readings->count] = (double)process_read().resident_bytes;
        readings->count++;
    }
}

static void judge(bool good, const char *what, double value, double bound)
{
    if (!good) {
        if (judged) {
            soak_violation("%s: %.4g, bound %.4g", what, value, bound);
        } else {
            printf("    beyond its bound (judged with --judge): %s: %.4g, bound %.4g\n", what,
                   value, bound);
        }
    }
}

static uint64_t ended(void)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};
    SOAK_CHECK(numapool_stats(pool, &stats) == NUMAPOOL_OK);
    return stats.run + stats.dropped;
}

/* ------------------------------------------------------------------------------- the steps */

/* What the pool gets done when it never waits for work. */
static double measure_capacity(uint64_t length_ns)
{
    struct numapool_task task = {.run = work, .task_class = NUMAPOOL_NORMAL};
    uint64_t begin_ns = 0, begin_ended = 0, start_ns = soak_now_ns();
    for (;;) {
        task.arg = stamp(soak_now_ns(), NUMAPOOL_NORMAL);
        SOAK_CHECK(numapool_submit_wait(pool, &task, UINT64_MAX) == NUMAPOOL_OK);
        uint64_t now_ns = soak_now_ns();
        if (begin_ns == 0 && now_ns - start_ns > length_ns / 2) { /* it has grown by then */
            begin_ns = now_ns;
            begin_ended = ended();
        } else if (begin_ns != 0 && now_ns - begin_ns > length_ns) {
            return (double)(ended() - begin_ended) / ((double)(now_ns - begin_ns) / 1e9);
        }
    }
}

static void await_rest(void)
{
    struct numapool_stats stats = {.struct_size = sizeof stats};
    do {
        soak_sleep_ns(SOAK_MS);
        SOAK_CHECK(numapool_stats(pool, &stats) == NUMAPOOL_OK);
    } while (stats.run + stats.dropped != stats.accepted);
}

static struct spread probes;

static void probe(void *arg)
{
    spread_add(&probes, waited_ns(arg));
}

static uint64_t probe_once(void)
{
    spread_clear(&probes);
    struct numapool_task task = {.run = probe, .arg = stamp(soak_now_ns(), 0)};
    if (numapool_submit_task(pool, &task) != NUMAPOOL_OK) {
        return UINT64_MAX;
    }
    while (atomic_load(&probes.count) == 0) {
        soak_sleep_ns(SOAK_MS / 10);
    }
    return atomic_load(&probes.most_ns);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Median of a few probes, a millisecond apart. */
static uint64_t probe_median_ns(void)
{
    uint64_t ns[15];
    for (size_t i = 0; i < 15; i++) {
        soak_sleep_ns(SOAK_MS);
        ns[i] = probe_once();
    }
    qsort(ns, 15, sizeof ns[0], compare);
    return ns[7];
}

static void overload(unsigned times, double capacity, uint64_t length_ns, uint64_t idle_ns)
{
    static struct readings readings;
    memset(&readings, 0, sizeof readings);
    for (int i = 0; i < NUMAPOOL_CLASSES; i++) {
        spread_clear(&waits[i]);
        atomic_store(&accepted[i], 0);
        atomic_store(&refused[i], 0);
    }
    spread_clear(&refusals);
    spread_clear(&strict_waits);
    atomic_store(&ran, 0);
    rate_now = capacity * times;
    atomic_store(&stop, 0);
    pthread_t threads[3];
    void *(*const bodies[3])(void *) = {offer_usual, offer_critical, offer_strict};
    for (int i = 0; i < 3; i++) {
        SOAK_CHECK(pthread_create(&threads[i], NULL, bodies[i], NULL) == 0);
    }
    uint64_t begin_ns = soak_now_ns();
    while (soak_now_ns() - begin_ns < length_ns) {
        read_now(&readings, begin_ns);
        soak_sleep_ns(20 * SOAK_MS);
    }
    /* The load goes on meanwhile. What hangs here starves; ctest's limit ends it. */
    uint64_t strict_before = atomic_load(&strict_accepted);
    while (atomic_load(&strict_ran) < strict_before) {
        soak_sleep_ns(SOAK_MS);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    uint64_t end_ns = soak_now_ns();
    await_rest();
    uint64_t empty_ns = soak_now_ns() - end_ns, now_idle_ns;
    do { /* as idle as before, or a tenth of a millisecond: what one wake-up more or less makes */
        now_idle_ns = probe_median_ns();
    } while (now_idle_ns > 2 * idle_ns && now_idle_ns > idle_ns + SOAK_MS / 10 &&
             soak_now_ns() - end_ns < 10000 * SOAK_MS);
    uint64_t recovery_ns = soak_now_ns() - end_ns;

    uint64_t in = 0, out = 0;
    for (int i = 0; i < NUMAPOOL_CLASSES; i++) {
        in += atomic_load(&accepted[i]);
        out += atomic_load(&refused[i]);
    }
    SOAK_CHECK(atomic_load(&ran) == in);
    SOAK_CHECK(atomic_load(&strict_ran) == atomic_load(&strict_accepted));
    SOAK_CHECK(atomic_load(&critical_inside) == 0);
    SOAK_CHECK(atomic_load(&refused[NUMAPOOL_CRITICAL]) == 0);
    refused_ever += out;
    size_t half = readings.count / 2;
    double slope =
        process_slope(readings.seconds + half, readings.resident + half, readings.count - half);
    printf(
        "%2u times: %" PRIu64 " accepted, all run; %" PRIu64 " refused, %" PRIu64
        " ns each (median)\n"
        "    waits of NORMAL p50 %.1f p99 %.1f ms, SHEDDABLE p99 %.1f, CRITICAL p99 %.1f (%" PRIu64
        ", none refused), STRICT_NODE p99 %.1f most %.1f\n"
        "    waiting at most %" PRIu64 " of %d, bytes at most %" PRIu64
        " kB of %d; resident %+.1f kB/s; empty after %.0f ms, as idle as before after %.0f ms\n",
        times, in, out, spread_quantile_ns(&refusals, 0.5),
        (double)spread_quantile_ns(&waits[NUMAPOOL_NORMAL], 0.5) / 1e6,
        (double)spread_quantile_ns(&waits[NUMAPOOL_NORMAL], 0.99) / 1e6,
        (double)spread_quantile_ns(&waits[NUMAPOOL_SHEDDABLE], 0.99) / 1e6,
        (double)spread_quantile_ns(&waits[NUMAPOOL_CRITICAL], 0.99) / 1e6,
        atomic_load(&accepted[NUMAPOOL_CRITICAL]),
        (double)spread_quantile_ns(&strict_waits, 0.99) / 1e6,
        (double)atomic_load(&strict_waits.most_ns) / 1e6, readings.depth_most, QUEUE_TASKS,
        readings.bytes_most / 1024, (int)(MEMORY_BYTES / 1024), slope / 1024,
        (double)empty_ns / 1e6, (double)recovery_ns / 1e6);
    double p99 = (double)spread_quantile_ns(&waits[NUMAPOOL_NORMAL], 0.99);
    double refusal = (double)spread_quantile_ns(&refusals, 0.5);
    judge(p99 <= (double)QUEUE_DELAY_NS, "p99 of NORMAL's wait, ns", p99, (double)QUEUE_DELAY_NS);
    judge(refusal <= REFUSAL_NS_MAX, "median refusal, ns", refusal, REFUSAL_NS_MAX);
    judge(slope * 60 <= SLOPE_BYTES_MAX, "growth, bytes a minute", slope * 60, SLOPE_BYTES_MAX);
    judge(recovery_ns <= RECOVERY_NS_MAX, "recovery, ns", (double)recovery_ns, RECOVERY_NS_MAX);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {{"seconds", required_argument, NULL, 's'},
                                          {"judge", no_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    double seconds = 20;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 's') {
            seconds = strtod(optarg, NULL);
        } else if (c == 'j') {
            judged = true;
        }
        if (c == '?' || !(seconds > 0 && seconds < 86400)) {
            fprintf(stderr, "usage: numapool-overload-soak [--seconds S] [--judge]\n");
            return 2;
        }
    }
    struct numapool_config config;
    numapool_config_init(&config);
    config.machine = "pack:2 [numa] core:2 pu:1";
    config.workers_max = WORKERS;
    config.queue_tasks = QUEUE_TASKS;
    config.queue_delay_ns = QUEUE_DELAY_NS;
    config.memory_bytes = MEMORY_BYTES;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    config.stack_bytes = 2 << 20;
#endif
    struct numapool_error error = {.count = 0};
    if (numapool_create(&pool, &config, &error) != NUMAPOOL_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    clock_cost_ns = spread_clock_cost_ns();
    uint64_t length_ns = (uint64_t)(seconds * 1e9);
    double capacity = measure_capacity(length_ns < 2000 * SOAK_MS ? length_ns : 2000 * SOAK_MS);
    await_rest();
    soak_sleep_ns(50 * SOAK_MS);
    uint64_t idle_ns = probe_median_ns();
    printf("capacity %.0f tasks of 1 ms per second with %d workers; idle: started after %.1f us "
           "(median)\n",
           capacity, WORKERS, (double)idle_ns / 1e3);
    static const unsigned times[] = {2, 5, 10};
    for (size_t i = 0; i < 3; i++) {
        overload(times[i], capacity, length_ns, idle_ns);
    }
    SOAK_CHECK(refused_ever != 0); /* or none of it was an overload */
    SOAK_CHECK(numapool_drain(pool, UINT64_MAX) == NUMAPOOL_OK);
    struct numapool_stats stats = {.struct_size = sizeof stats};
    SOAK_CHECK(numapool_stats(pool, &stats) == NUMAPOOL_OK);
    SOAK_CHECK(stats.accepted == stats.run && stats.dropped == 0 && stats.bytes_in_use == 0);
    SOAK_CHECK(numapool_destroy(pool) == NUMAPOOL_OK);
    uint64_t violations = atomic_load(&soak.violations);
    printf("%s: %" PRIu64 " violations\n", violations == 0 ? "passed" : "FAILED", violations);
    return violations == 0 ? 0 : 1;
}
