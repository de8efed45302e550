/*
 * A batch job: files, or generated items, each a task of one group, with a progress line, an orderly
 * end on Ctrl-C, and results in the order of the input.
 *
 *     batch FILE...                       their POSIX checksums, as cksum(1) prints them
 *     find . -type f -print0 | batch -0   likewise, of names from standard input
 *     batch --items 5000 --size 200000    counts the primes below 200000, 5000 times
 *
 * The main thread hands in and waits for room (numapool_submit_wait), so that any number of items needs
 * memory for a few thousand only; workers read files inside numapool_block_begin(), so that a slow disk
 * leaves the CPUs to others.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <numapool/numapool.h>

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 4096 /* items that are not printed yet, at most */
#define BAR 20      /* columns of the progress bar */
#define CHUNK ((size_t)256 << 10)
#define MS UINT64_C(1000000)

enum status { WAITING, DONE, FAILED, CANCELLED };

struct item {
    char *name; /* NULL: generated */
    uint64_t bytes;
    uint64_t value;
    int sys_errno;
    _Atomic int status; /* enum status; all else is the main thread's again after WAITING */
};

struct job {
    numapool *pool;
    numapool_group *group;
    unsigned long items; /* to be generated */
    unsigned long size;
    bool names_from_stdin;
    bool quiet;
    const char *config;
    unsigned workers;
    char **names;   /* of the command line */
    uint64_t total; /* 0 = not known */
    struct item window[WINDOW];
    uint64_t handed_in;
    uint64_t printed;
    uint64_t done;
    uint64_t failed; /* also for what never became an item */
    uint64_t cancelled;
};

static struct job job = {.size = 200000};
static _Atomic uint64_t items_done;
static _Atomic uint64_t bytes_done;
static volatile sig_atomic_t interrupted;

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ------------------------------------------------------------------------------ the tasks */

static uint32_t crc_table[256];

static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t word = i << 24;
        for (int bit = 0; bit < 8; bit++) {
            word = word << 1 ^ (word >> 31 ? 0x04c11db7u : 0);
        }
        crc_table[i] = word;
    }
}

static uint32_t crc_add(uint32_t crc, unsigned char byte)
{
    return crc << 8 ^ crc_table[(crc >> 24 ^ byte) & 0xff];
}

/* The checksum of POSIX: over the bytes, then over their number, lowest byte first. */
static int checksum(struct item *item, unsigned char *buffer)
{
    numapool_block_begin(); /* opening and reading may wait for a disk */
    int fd = open(item->name, O_RDONLY | O_CLOEXEC);
    int why = errno; /* block_end may wait, and calls the kernel for it */
    numapool_block_end();
    if (fd < 0) {
        item->sys_errno = why;
        return FAILED;
    }
    uint32_t crc = 0;
    int status = WAITING;
    while (status == WAITING) {
        numapool_block_begin();
        ssize_t got = read(fd, buffer, CHUNK);
        why = errno;
        numapool_block_end();
        if (numapool_cancelled()) {
            status = CANCELLED;
        } else if (got < 0 && why != EINTR) {
            item->sys_errno = why;
            status = FAILED;
        } else if (got == 0) {
            status = DONE;
        }
        for (ssize_t i = 0; i < got; i++) {
            crc = crc_add(crc, buffer[i]);
        }
        if (got > 0) {
            item->bytes += (uint64_t)got;
            atomic_fetch_add_explicit(&bytes_done, (uint64_t)got, memory_order_relaxed);
        }
    }
    (void)close(fd);
    for (uint64_t rest = item->bytes; rest > 0; rest >>= 8) {
        crc = crc_add(crc, (unsigned char)(rest & 0xff));
    }
    item->value = (uint32_t)~crc;
    return status;
}

/* A sieve, in memory of the node that the task runs on. */
static int count_primes(struct item *item, unsigned char *composite)
{
    uint64_t count = 0;
    memset(composite, 0, job.size);
    for (uint64_t n = 2; n < job.size; n++) {
        if (composite[n]) {
            continue;
        }
        count++;
        if (numapool_cancelled()) {
            return CANCELLED;
        }
        for (uint64_t multiple = n * n; multiple < job.size; multiple += n) {
            composite[multiple] = 1;
        }
    }
    item->value = count;
    item->bytes = job.size;
    return DONE;
}

static void finish(struct item *item, int status)
{
    atomic_fetch_add_explicit(&items_done, 1, memory_order_relaxed);
    atomic_store_explicit(&item->status, status, memory_order_release);
}

static void run(void *arg)
{
    struct item *item = arg;
    unsigned char *memory = numapool_scratch(item->name != NULL ? CHUNK : job.size);
    if (memory == NULL) {
        item->sys_errno = ENOMEM;
        finish(item, FAILED);
        return;
    }
    finish(item, item->name != NULL ? checksum(item, memory) : count_primes(item, memory));
}

static void drop(void *arg, int why)
{
    (void)why; /* there are no deadlines here: it was Ctrl-C */
    finish(arg, CANCELLED);
}

/* ------------------------------------------------------------------------------- progress */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended_condition;
static bool ended;
static bool on_terminal;
static uint64_t begin_ns;

static void print_time(char *text, size_t size, double seconds)
{
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600) {
        (void)snprintf(text, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    } else {
        (void)snprintf(text, size, "%lu:%02lu", s / 60, s % 60);
    }
}

/* `rate` is of the last seconds, for the rest of the job is more like those than like its beginning. */
static void print_progress(uint64_t done, double rate, double bytes_rate)
{
    char left[32] = "";
    char bar[BAR + 4] = "";
    char count[64];
    if (job.total > 0) {
        size_t filled = done * BAR / job.total;
        bar[0] = '[';
        memset(bar + 1, '.', BAR);
        memset(bar + 1, '#', filled < BAR ? filled : BAR);
        (void)strcpy(bar + 1 + BAR, "] ");
        (void)snprintf(count, sizeof count, "%3" PRIu64 "%%  %" PRIu64 "/%" PRIu64,
                       done * 100 / job.total, done, job.total);
        if (done < job.total && rate > 0) {
            (void)strcpy(left, ", ETA ");
            print_time(left + 6, sizeof left - 6, (double)(job.total - done) / rate);
        }
    } else {
        (void)snprintf(count, sizeof count, "%" PRIu64, done);
    }
    char bytes[48] = "";
    if (bytes_rate > 0) {
        (void)snprintf(bytes, sizeof bytes, ", %.1f MB/s", bytes_rate / 1e6);
    }
    (void)fprintf(stderr,
                  on_terminal ? "\r%s%s items, %.0f/s%s%s\033[K" : "%s%s items, %.0f/s%s%s\n",
                  on_terminal ? bar : "", count, rate, bytes, left);
    (void)fflush(stderr);
}

/* Five times a second on a terminal, else every two seconds. */
static void *show_progress(void *arg)
{
    (void)arg;
    uint64_t period_ns = (on_terminal ? 200 : 2000) * MS;
    uint64_t before_ns = begin_ns;
    uint64_t before = 0;
    uint64_t before_bytes = 0;
    double rate = 0;
    double bytes_rate = 0;
    (void)pthread_mutex_lock(&lock);
    while (!ended) {
        uint64_t until_ns = before_ns + period_ns;
        struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * MS)),
                                 .tv_nsec = (long)(until_ns % (1000 * MS))};
        if (pthread_cond_timedwait(&ended_condition, &lock, &until) == 0) {
            continue;
        }
        uint64_t at_ns = now_ns();
        uint64_t done = atomic_load_explicit(&items_done, memory_order_relaxed);
        uint64_t bytes = atomic_load_explicit(&bytes_done, memory_order_relaxed);
        double seconds = (double)(at_ns - before_ns) / 1e9;
        /* Smoothed over some two seconds on a terminal; the first value is taken as it is. */
        double share = before_ns == begin_ns || !on_terminal ? 1 : 0.2;
        rate += share * ((double)(done - before) / seconds - rate);
        bytes_rate += share * ((double)(bytes - before_bytes) / seconds - bytes_rate);
        before_ns = at_ns;
        before = done;
        before_bytes = bytes;
        (void)pthread_mutex_unlock(&lock);
        print_progress(done, rate, bytes_rate);
        (void)pthread_mutex_lock(&lock);
    }
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

/* -------------------------------------------------------------------------------- results */

static void fail(const char *what, const char *why)
{
    job.failed++;
    (void)fprintf(stderr, "%sbatch: %s: %s\n", on_terminal ? "\r\033[K" : "", what, why);
}

static void print_item(struct item *item, int status)
{
    static uint64_t expected = UINT64_MAX;
    if (status == CANCELLED) {
        job.cancelled++;
    } else if (status == FAILED) {
        fail(item->name != NULL ? item->name : "item", strerror(item->sys_errno));
    } else if (item->name != NULL) {
        if (on_terminal && isatty(STDOUT_FILENO)) {
            (void)fputs("\r\033[K", stderr); /* the progress line stands where this one begins */
        }
        printf("%" PRIu64 " %" PRIu64 " %s\n", item->value, item->bytes, item->name);
        job.done++;
    } else if (expected == UINT64_MAX || expected == item->value) {
        expected = item->value;
        job.done++;
    } else {
        job.failed++;
        (void)fprintf(stderr, "batch: one item counts %" PRIu64 " primes, another %" PRIu64 "\n",
                      expected, item->value);
    }
    if (item->name == NULL && status == DONE && job.printed + 1 == job.total) {
        printf("%" PRIu64 " primes below %lu\n", item->value, job.size);
    }
}

/* Prints what is finished, in order; with `until` also waits, until so many are printed. */
static void print_finished(uint64_t until)
{
    while (job.printed < job.handed_in) {
        struct item *item = &job.window[job.printed % WINDOW];
        int status = atomic_load_explicit(&item->status, memory_order_acquire);
        if (status == WAITING) {
            if (job.printed >= until) {
                return;
            }
            (void)fflush(stdout);
            const struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)MS};
            (void)nanosleep(&pause, NULL);
            if (interrupted) {
                (void)numapool_group_cancel(job.group);
            }
            continue;
        }
        print_item(item, status);
        free(item->name);
        job.printed++;
    }
}

/* ------------------------------------------------------------------------------- the input */

/* The next item's name, or NULL for a generated one. False: there are no more. */
static bool next_item(char **name)
{
    *name = NULL;
    if (job.items > 0) {
        return job.handed_in < job.items;
    }
    if (!job.names_from_stdin) {
        if (job.names[job.handed_in] == NULL) {
            return false;
        }
        *name = strdup(job.names[job.handed_in]);
        if (*name == NULL) {
            fail(job.names[job.handed_in], strerror(ENOMEM));
        }
        return *name != NULL;
    }
    size_t size = 0;
    ssize_t length = getdelim(name, &size, '\0', stdin);
    if (length <= 0) {
        if (!feof(stdin) && !interrupted) {
            fail("standard input", strerror(errno)); /* or no memory for a name */
        }
        free(*name);
        *name = NULL;
        return false;
    }
    return true;
}

/* False: the pool or the user does not want more. */
static bool hand_in(char *name)
{
    print_finished(job.handed_in >= WINDOW ? job.handed_in - WINDOW + 1 : 0);
    struct item *item = &job.window[job.handed_in % WINDOW];
    *item = (struct item){.name = name};
    struct numapool_task task = {.run = run,
                                 .drop = drop,
                                 .arg = item,
                                 .group = job.group,
                                 .bytes = name != NULL ? CHUNK : job.size};
    int result = NUMAPOOL_E_TIMEDOUT;
    bool alone = false;
    while (result == NUMAPOOL_E_TIMEDOUT && !interrupted) {
        result = numapool_submit_wait(job.pool, &task, 100 * MS);
        print_finished(0);
        if (result == NUMAPOOL_E_TIMEDOUT && alone) {
            result = numapool_submit_wait(job.pool, &task, 0); /* it would wait for ever: say why */
        }
        alone = numapool_group_wait(job.group, 0) == NUMAPOOL_OK; /* nobody's end will make room */
    }
    if (result == NUMAPOOL_OK) {
        job.handed_in++;
        return true;
    }
    if (!interrupted) {
        char what[64];
        (void)snprintf(what, sizeof what, "an item of %zu bytes", task.bytes);
        fail(what,
             result == NUMAPOOL_E_FULL ? "more than the pool's memory" : numapool_strerror(result));
    }
    free(name);
    return false;
}

/* -------------------------------------------------------------------------------- options */

static const struct argp_option option_table[] = {
    {"null", '0', NULL, 0, "Names of files come from standard input, each ended by a zero byte", 0},
    {"items", 'n', "N", 0, "N generated items instead of files", 0},
    {"size", 's', "N", 0, "Each of them counts the primes below N (default 200000)", 0},
    {"config", 'c', "FILE", 0, "Topology configuration of the pool", 0},
    {"workers", 'w', "N", 0, "How many tasks may run at once", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static unsigned long number(struct argp_state *state, const char *text, unsigned long max)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < 1 || value > max) {
        argp_error(state, "'%s' is not a number from 1 to %lu", text, max);
    }
    return value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    switch (key) {
    case '0':
        job.names_from_stdin = true;
        return 0;
    case 'n':
        job.items = number(state, text, 1000000000);
        return 0;
    case 's':
        job.size = number(state, text, 100000000);
        return 0;
    case 'c':
        job.config = text;
        return 0;
    case 'w':
        job.workers = (unsigned)number(state, text, 1000000);
        return 0;
    case 'q':
        job.quiet = true;
        return 0;
    case ARGP_KEY_ARGS:
        job.names = state->argv + state->next;
        job.total = (uint64_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if ((job.names != NULL) + job.names_from_stdin + (job.items > 0) != 1) {
            argp_error(state, "give files, or -0, or --items");
        }
        if (job.items > 0) {
            job.total = job.items;
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The second Ctrl-C ends the program as if there were no handler. */
static void on_interrupt(int signal_number)
{
    interrupted = signal_number;
}

static bool make_pool(void)
{
    struct numapool_config config;
    static struct numapool_error error;
    numapool_config_init(&config);
    int result = job.config != NULL ? numapool_config_load(&config, job.config, &error) : 0;
    if (result == NUMAPOOL_OK) {
        result = numapool_config_env(&config, &error);
    }
    if (job.workers > 0) {
        config.workers_max = job.workers;
        if (config.workers_min > job.workers) {
            config.workers_min = job.workers;
        }
    }
    if (result == NUMAPOOL_OK) {
        result = numapool_create(&job.pool, &config, &error);
    }
    numapool_config_fini(&config);
    if (result != NUMAPOOL_OK || numapool_group_create(&job.group, job.pool) != NUMAPOOL_OK) {
        (void)fprintf(stderr, "batch: no pool: %s\n", error.text);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {.options = option_table,
                                     .parser = parse,
                                     .args_doc = "[FILE...]",
                                     .doc =
                                         "Checksums of files, or generated work, in a numapool."};
    if (argp_parse(&argp, argc, argv, 0, NULL, NULL) != 0) {
        return 2;
    }
    const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (!make_pool()) {
        return 2;
    }
    make_crc_table();
    on_terminal = isatty(STDERR_FILENO);

    pthread_t progress;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ended_condition, &attributes);
    begin_ns = now_ns();
    bool shown = !job.quiet && pthread_create(&progress, NULL, show_progress, NULL) == 0;

    char *name = NULL;
    while (!interrupted && next_item(&name) && hand_in(name)) {
    }
    print_finished(job.handed_in);
    int result = numapool_group_wait(job.group, UINT64_MAX);
    double seconds = (double)(now_ns() - begin_ns) / 1e9;
    if (shown) {
        (void)pthread_mutex_lock(&lock);
        ended = true;
        (void)pthread_cond_signal(&ended_condition);
        (void)pthread_mutex_unlock(&lock);
        (void)pthread_join(progress, NULL);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fail("standard output", "not all of it could be written");
    }
    if (!job.quiet) {
        uint64_t bytes = atomic_load(&bytes_done);
        (void)fprintf(stderr,
                      "%s%" PRIu64 " done, %" PRIu64 " failed, %" PRIu64
                      " cancelled in %.2f s: %.0f items/s",
                      on_terminal ? "\r\033[K" : "", job.done, job.failed, job.cancelled, seconds,
                      (double)job.done / seconds);
        if (bytes > 0) {
            (void)fprintf(stderr, ", %.1f MB/s", (double)bytes / 1e6 / seconds);
        }
        (void)fputc('\n', stderr);
    }
    (void)numapool_group_destroy(job.group);
    result = result == NUMAPOOL_OK ? numapool_destroy(job.pool) : result;
    if (interrupted) {
        return 128 + interrupted;
    }
    return result == NUMAPOOL_OK && job.failed == 0 ? 0 : 1;
}
