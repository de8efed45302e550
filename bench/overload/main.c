/*
 * numapool-overload: the same load offered to three ways of running it. This process parses, starts
 * one fresh copy of the program per contender, and reports; a copy measures one contender and is
 * therefore alone with its memory, threads and CPU time.
 */
#include "bound.h"
#include "clock.h"
#include "measure.h"
#include "options.h"
#include "report.h"
#include "rewarm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Time beyond the window after which a copy is taken to hang: its own waits end after one minute.
 */
#define PATIENCE_NS UINT64_C(180000000000)

#define BARE "bare"

static const struct {
    enum contender_bit bit;
    const struct contender *contender;
} contenders[REPORT_CONTENDERS] = {
    {CONTENDER_NAIVE, &contender_naive},
    {CONTENDER_FIXED, &contender_fixed},
    {CONTENDER_NUMAPOOL, &contender_numapool},
};

/* If memory runs short all the same, the kernel shall choose the contender that takes it. */
static void be_first_to_go(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "1000", 4) != 4)
        fputs("numapool-overload: oom_score_adj could not be raised\n", stderr);
    close(fd);
}

static int run_as_child(const struct options *options)
{
    static struct result result;
    bool known = strcmp(options->child, BARE) == 0;

    fcntl(options->result_fd, F_SETFD, FD_CLOEXEC);
    be_first_to_go();
    if (known)
        bound_measure(options, &result);
    for (size_t i = 0; i < REPORT_CONTENDERS; i++) {
        if (strcmp(options->child, contenders[i].contender->name) != 0)
            continue;
        known = true;
        measure(options, contenders[i].contender, &result);
    }
    bool written = known && result_write(&result, options->result_fd);
    result_free(&result);
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* In the child between fork and exec. */
static void become(char **argv, int argc, const char *name, int result_fd, pid_t parent)
{
    char fd_text[32];
    char **arguments = calloc((size_t)argc + 5, sizeof *arguments);

    if (arguments == NULL)
        return;
    snprintf(fd_text, sizeof fd_text, "--result-fd=%d", result_fd);
    memcpy(arguments, argv, (size_t)argc * sizeof *arguments);
    arguments[argc] = (char[]){"--child"};
    arguments[argc + 1] = strdup(name);
    arguments[argc + 2] = fd_text;
    /* A copy must not outlive the program that reports. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        execv("/proc/self/exe", arguments);
}

static bool readable_before(int fd, uint64_t deadline_ns)
{
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        uint64_t now_ns = clock_now_ns();
        int left_ms = now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / 1000000 + 1) : 0;
        int got = poll(&ready, 1, left_ms);
        if (got > 0)
            return true;
        if (got == 0 || errno != EINTR)
            return false;
    }
}

/* Measures one contender in a copy of the program. Without figures the note says why. */
static void run_copy(const struct options *options, char **argv, int argc, const char *name,
                     struct result *result)
{
    int ends[2];
    int status = 0;
    const char *failure = NULL;
    char text[64];

    *result = (struct result){0};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(result->figures.note, sizeof result->figures.note, "pipe: %s", strerror(errno));
        return;
    }
    fflush(NULL);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        fcntl(ends[1], F_SETFD, 0);
        become(argv, argc, name, ends[1], parent);
        _exit(127);
    }
    close(ends[1]);
    if (child < 0) {
        failure = "no process could be started";
    } else if (!readable_before(ends[0], clock_now_ns() + options->window_ns + options->bound_ns +
                                             PATIENCE_NS)) {
        failure = "did not come to an end and was killed";
        kill(child, SIGKILL);
    } else if (!result_read(result, ends[0])) {
        failure = "ended without a result";
    }
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (failure == NULL && status != 0) {
        /* Figures, but then a crash, or a sanitizer that found something. */
        result->figures.ended_badly = true;
        return;
    }
    if (failure != NULL) {
        text[0] = '\0';
        if (child > 0 && WIFSIGNALED(status))
            snprintf(text, sizeof text, " (signal %d)", WTERMSIG(status));
        snprintf(result->figures.note, sizeof result->figures.note, "%s%s", failure, text);
        snprintf(result->figures.name, sizeof result->figures.name, "%s", name);
    }
}

static bool write_json(const struct report *report)
{
    const char *path = report->options->json;
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

    if (file != NULL)
        report_json(file, report);
    bool failed = file == NULL || fflush(file) != 0 || ferror(file);
    if (file != NULL && file != stdout)
        failed |= fclose(file) != 0;
    if (failed)
        fprintf(stderr, "numapool-overload: %s: %s\n", path, strerror(errno));
    return !failed;
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct report report;
    static struct result bare;
    bool failed = false;
    time_t now = time(NULL);
    struct tm utc;

    options_parse(&options, argc, argv);
    if (options.child != NULL)
        return run_as_child(&options);

    report.options = &options;
    host_read(&report.host);
    if (options.rewarm_bytes < 0)
        options.rewarm_bytes = report.host.virtual_machine
                                   ? (int64_t)(options.memory_bytes + options.memory_bytes / 5)
                                   : 0;
    if (gmtime_r(&now, &utc) != NULL)
        strftime(report.time_utc, sizeof report.time_utc, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (options.bound_ns > 0)
        run_copy(&options, argv, argc, BARE, &bare);
    report_bound(&report, options.bound_ns > 0 ? &bare : NULL);
    result_free(&bare);

    for (size_t i = 0; i < REPORT_CONTENDERS; i++) {
        if ((options.contenders & contenders[i].bit) == 0)
            continue;
        struct result *result = &report.results[report.result_count++];
        rewarm_guest_memory((uint64_t)options.rewarm_bytes);
        run_copy(&options, argv, argc, contenders[i].contender->name, result);
        failed = failed || report_failed(&result->figures);
    }

    /* With the JSON on stdout the table goes to stderr, so that either can be piped. */
    FILE *out = options.json != NULL && strcmp(options.json, "-") == 0 ? stderr : stdout;
    report_table(out, &report);
    report_shards(out, &report);
    report_sentence(out, &report);
    if (options.json != NULL && !write_json(&report))
        failed = true;
    for (size_t i = 0; i < report.result_count; i++)
        result_free(&report.results[i]);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
