/*
 * numapool-soak: pools live one after the other under load while one fault after the other is done to
 * them, until so many tasks were accepted; then the books. Every task must have ended exactly once,
 * and the process must hold what it held at the start. Exit 0: so it is; 1: not; 2: usage.
 */
#include "soak/faults.h"
#include "soak/life.h"
#include "soak/process.h"
#include "soak/producer.h"
#include "soak/soak.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Nothing accepted for this long: something waits for what never comes. */
#define HANG_NS (UINT64_C(60000) * SOAK_MS)

/* Growth of resident memory over the later half of lives; a leak of one block per
   thousand tasks would be more. Sanitizers keep freed memory by design. */
#define GROWTH_BYTES_MAX (UINT64_C(16) << 20)
#define LIVES_MAX 4096

/* Each kind of pool suffers every fault, ends drained and ends not drained, however few tasks that
   takes; and as many more as a slope needs. */
#define LIVES_WARM (2 * life_kinds)
#define LIVES_LEAST (LIVES_WARM + 3)

struct soak soak;

/* ---------------------------------------------------------------------- what others share */

void soak_violation(const char *format, ...)
{
    if (atomic_fetch_add(&soak.violations, 1) < 20) {
        char line[512];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(line, sizeof line, format, arguments);
        va_end(arguments);
        fprintf(stderr, "\nviolation: %s\n", line);
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
    (void)nanosleep(&pause, NULL); /* a signal may end it early */
}

uint32_t soak_draw(uint64_t *state)
{
    /* splitmix64, the upper half */
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((x ^ x >> 31) >> 32);
}

/* ------------------------------------------------------------------------------- progress */

static struct {
    bool terminal;
    uint64_t begin_ns, shown_ns, measured_ns;
    const char *fault;
    unsigned life;
    struct process_holds holds;
    uint64_t resident_most;
    int threads_most;
} show;

static void print_progress(uint64_t now_ns)
{
    uint64_t tasks = atomic_load(&soak.accepted) + atomic_load(&soak.spawned);
    double seconds = (double)(now_ns - show.begin_ns) / 1e9, rate = (double)tasks / seconds;
    printf("%s%6.0f s  %.3g of %.3g tasks (%.2f M/s)  life %u (%s), %s  %" PRIu64
           " MB  %d threads  %" PRIu64 " violations",
           show.terminal ? "\r\033[K" : "", seconds, (double)tasks, (double)soak.options.tasks,
           rate / 1e6, show.life, life_machine(show.life), show.fault,
           show.holds.resident_bytes >> 20, show.holds.threads, atomic_load(&soak.violations));
    if (show.terminal) {
        uint64_t left_s = tasks < soak.options.tasks
                              ? (uint64_t)((double)(soak.options.tasks - tasks) / rate)
                              : 0;
        printf("  ETA %" PRIu64 ":%02" PRIu64, left_s / 60, left_s % 60);
    } else {
        printf("\n");
    }
    fflush(stdout);
}

static void progress(void)
{
    uint64_t now_ns = soak_now_ns();
    if (now_ns - show.measured_ns < 100 * SOAK_MS) {
        return;
    }
    show.measured_ns = now_ns;
    show.holds = process_read();
    if (show.holds.resident_bytes > show.resident_most) {
        show.resident_most = show.holds.resident_bytes;
    }
    if (show.holds.threads > show.threads_most) {
        show.threads_most = show.holds.threads;
    }
    uint64_t every_ns = (show.terminal ? 500 : 10000) * SOAK_MS;
    if (!soak.options.quiet && now_ns - show.shown_ns >= every_ns) {
        show.shown_ns = now_ns;
        print_progress(now_ns);
    }
}

/* Beside the thread that does everything, which may hang itself. */
static void *watch(void *arg)
{
    (void)arg;
    uint64_t before = 0, moved_ns = soak_now_ns();
    for (;;) {
        soak_sleep_ns(1000 * SOAK_MS);
        uint64_t tasks = atomic_load(&soak.accepted), now_ns = soak_now_ns();
        if (tasks != before) {
            before = tasks;
            moved_ns = now_ns;
        }
        if (now_ns - moved_ns > HANG_NS) {
            fprintf(stderr, "\nnothing moves: life %u (%s), %s\n", show.life,
                    life_machine(show.life), show.fault);
            life_print();
            abort();
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------ the lives */

static bool enough(void)
{
    uint64_t limit_ns = soak.options.seconds * UINT64_C(1000000000);
    return atomic_load(&soak.accepted) + atomic_load(&soak.spawned) >= soak.options.tasks ||
           (limit_ns != 0 && soak_now_ns() - show.begin_ns >= limit_ns);
}

static void shuffle(unsigned *order, unsigned count, uint64_t *random)
{
    for (unsigned i = 0; i < count; i++) {
        order[i] = i;
    }
    for (unsigned i = count - 1; i > 0; i--) {
        unsigned j = soak_draw(random) % (i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

static void suffer(const struct fault *fault, uint64_t *random)
{
    show.fault = fault->name;
    atomic_store(&soak.stressed, (int)fault->stressed);
    atomic_store(&soak.read_always, fault->keeps_reading);
    uint64_t end_ns = soak_now_ns() + soak.options.period_ns;
    while (soak_now_ns() < end_ns) {
        soak_sleep_ns(fault->step(random));
        progress();
    }
    faults_end();
}

static void live(unsigned number, bool may_end_early, struct life_totals *totals, uint64_t *random)
{
    unsigned order[64];
    shuffle(order, fault_count, random);
    show.life = number;
    show.fault = "its beginning";
    life_begin(number, soak_draw(random));
    for (unsigned i = 0; i < fault_count && !(may_end_early && enough()); i++) {
        suffer(&faults[order[i]], random);
    }
    show.fault = "its end";
    atomic_store(&soak.read_always, 0);
    life_end(totals);
}

/* ----------------------------------------------------------------------------- the verdict */

static struct {
    double tasks[LIVES_MAX], resident[LIVES_MAX];
    size_t count;
} readings;

static void take_reading(void)
{
    if (readings.count < LIVES_MAX) {
        readings.tasks[readings.count] = (double)atomic_load(&soak.accepted) / 1e6;
        readings.resident[readings.count] = (double)process_read().resident_bytes;
        readings.count++;
    }
}

static void judge_memory(void)
{
    /* The second half: by then all there is has been touched, and the C library's heaps have grown to
       what many threads at once need, which takes some dozens of lives. */
    size_t first = readings.count / 2 > LIVES_WARM ? readings.count / 2 : LIVES_WARM - 1;
    size_t count = readings.count - first;
    double slope = process_slope(readings.tasks + first, readings.resident + first, count);
    double growth = readings.resident[readings.count - 1] - readings.resident[first];
    printf(
        "memory: resident %+.1f kB over %zu lives, slope %+.2f kB per million tasks, most %" PRIu64
        " MB\n",
        growth / 1024, count, slope / 1024, show.resident_most >> 20);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (growth > (double)GROWTH_BYTES_MAX) {
        soak_violation("resident memory grew by %.0f kB", growth / 1024);
    }
#endif
}

/* Threads that were joined may take a moment to leave /proc. */
static void judge_process(const struct process_holds *start)
{
    struct process_holds end = process_read();
    for (int tries = 0; tries < 2000 && end.threads != start->threads; tries++) {
        soak_sleep_ns(5 * SOAK_MS);
        end = process_read();
    }
    printf("process: threads %d at the start, %d at the end; descriptors %d, %d\n", start->threads,
           end.threads, start->descriptors, end.descriptors);
    SOAK_CHECK(end.threads == start->threads);
    SOAK_CHECK(end.descriptors == start->descriptors);
}

static int verdict(const struct life_totals *totals, const struct process_holds *start)
{
    double seconds = (double)(soak_now_ns() - show.begin_ns) / 1e9;
    uint64_t accepted = atomic_load(&soak.accepted) + atomic_load(&soak.spawned);
    printf("%stasks: %" PRIu64 " accepted in %.0f s (%.2f M/s), %" PRIu64 " run, %" PRIu64
           " dropped, %" PRIu64 " not ended or ended twice; %" PRIu64 " refused\n",
           show.terminal ? "\r\033[K" : "", accepted, seconds, (double)accepted / seconds / 1e6,
           totals->run - atomic_load(&soak.spawned_refused), totals->dropped,
           totals->issued - totals->run - totals->dropped,
           atomic_load(&soak.refused) + atomic_load(&soak.spawned_refused));
    printf("faults: %" PRIu64 " threads frozen, %" PRIu64 " signals, %" PRIu64 " forks, %" PRIu64
           " budgets, %" PRIu64 " groups, %" PRIu64 " remote frees, %" PRIu64
           " pools beside, %" PRIu64 " readings\n",
           atomic_load(&soak.freezes), atomic_load(&soak.signals), atomic_load(&soak.forks),
           atomic_load(&soak.budgets), atomic_load(&soak.groups), atomic_load(&soak.remote_frees),
           atomic_load(&soak.pools_beside), atomic_load(&soak.reads));
    printf("pools: %u lives, %" PRIu64 " threads started, at most %d at once; %" PRIu64
           " tasks forwarded, %" PRIu64 " stolen; the watchdog saw %" PRIu64
           " stuck and wrote %" PRIu64 " lines\n",
           totals->lives, totals->threads_started, show.threads_most, totals->forwarded,
           totals->stolen, totals->tasks_stuck, atomic_load(&soak.told));
    judge_memory();
    judge_process(start);
    uint64_t violations = atomic_load(&soak.violations);
    printf("%s: %" PRIu64 " violations, seed %" PRIu64 "\n", violations == 0 ? "passed" : "FAILED",
           violations, soak.options.seed);
    return violations == 0 ? 0 : 1;
}

/* -------------------------------------------------------------------------------- options */

static const char usage[] =
    "usage: numapool-soak [OPTION...]\n"
    "  --tasks N       until so many tasks were accepted (default 1e7); 1e9 is meant\n"
    "  --seconds S     or until so much time has passed\n"
    "  --seed S        of everything random (default: from the clock)\n"
    "  --period-ms P   of each fault (default 1000)\n"
    "  --producers P   threads that hand tasks in (default 3)\n"
    "  --quiet         no progress\n";

static bool number(const char *text, double most, uint64_t *value)
{
    char *end = NULL;
    double parsed = strtod(text, &end); /* so that 1e9 can be said */
    if (end == text || *end != '\0' || !(parsed >= 0) || parsed > most) {
        fprintf(stderr, "numapool-soak: \"%s\" is not a number up to %g\n", text, most);
        return false;
    }
    *value = (uint64_t)parsed;
    return true;
}

static bool read_options(int argc, char **argv, struct soak_options *options)
{
    static const struct option known[] = {{"tasks", required_argument, NULL, 't'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"seed", required_argument, NULL, 'r'},
                                          {"period-ms", required_argument, NULL, 'm'},
                                          {"producers", required_argument, NULL, 'p'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {NULL, 0, NULL, 0}};
    uint64_t value = 0;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        bool good = c == 'q' || (c != '?' && number(optarg, 9e15, &value));
        good = good && (c != 'p' || (value >= 1 && value <= SOAK_PRODUCERS_MAX)) &&
               (c != 'm' || (value >= 1 && value <= 3600000));
        if (!good) {
            fputs(usage, stderr);
            return false;
        }
        switch (c) {
        case 't':
            options->tasks = value;
            break;
        case 's':
            options->seconds = value;
            break;
        case 'r':
            options->seed = value;
            break;
        case 'm':
            options->period_ns = value * SOAK_MS;
            break;
        case 'p':
            options->producers = (unsigned)value;
            break;
        default:
            options->quiet = true;
        }
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    soak.options = (struct soak_options){.tasks = 10000000,
                                         .seed = soak_now_ns() % UINT64_C(1000000000),
                                         .period_ns = 1000 * SOAK_MS,
                                         .producers = 3};
    if (!read_options(argc, argv, &soak.options)) {
        return 2;
    }
    printf("numapool-soak %s: seed %" PRIu64 "\n", numapool_version(), soak.options.seed);
    fflush(stdout);
    show.terminal = isatty(STDOUT_FILENO) != 0 && !soak.options.quiet;
    show.begin_ns = show.shown_ns = soak_now_ns();
    show.fault = "nothing";
    faults_init();
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, watch, NULL) != 0) {
        return 1;
    }
    (void)pthread_detach(watcher);
    struct process_holds start = process_read();
    struct life_totals totals = {0};
    uint64_t random = soak.options.seed;
    for (unsigned life = 0; life < LIVES_LEAST || !enough(); life++) {
        live(life, life >= LIVES_LEAST, &totals, &random);
        take_reading();
        if (atomic_load(&soak.violations) > 1000) {
            break;
        }
    }
    return verdict(&totals, &start);
}
