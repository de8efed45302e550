/*
 * Runs test programs one after another and says how each ended; the guest's default driver, but an
 * ordinary program that also works on a host. Not a test framework: a program is a test, its exit
 * status is its result (0 pass, 77 skip, anything else or a signal: fail).
 *
 *   runner PROGRAM...   ends with "N passed, N failed, N skipped"; status 0 only if none failed
 *   NPVM_PROGRAM_S=N    seconds one program may take, 120 if unset
 *
 * A program that hangs gets SIGABRT, so that it may print its state, and two seconds later SIGKILL
 * together with its children. A program that leaves CPUs offline or control groups behind has
 * failed, whatever its status was: the next one would run on another machine. The damage is
 * repaired.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_S_DEFAULT 120
#define GRACE_S 2
#define EXIT_SKIP 77
#define EXIT_NOT_RUN 127
#define CGROUP_ROOT "/sys/fs/cgroup"
#define ONLINE_CPUS "/sys/devices/system/cpu/online"

enum outcome { PASSED, FAILED, SKIPPED, OUTCOME_COUNT };

static const char *const outcome_words[OUTCOME_COUNT] = {"pass", "fail", "skip"};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* First line of a file without its newline; empty when it cannot be read. */
static void read_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "re");

    line[0] = '\0';
    if (file == NULL) {
        return;
    }
    if (fgets(line, (int)bytes, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
    }
    fclose(file);
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t ignored = write(fd, text, strlen(text));
        (void)ignored;
        close(fd);
    }
}

/* What a program may not change: which CPUs are online, which control groups exist. */
struct machine {
    char cpus[1024];
    unsigned cgroup_count;
};

static struct machine machine_now(void)
{
    struct machine machine = {.cgroup_count = 0};
    struct stat info;

    read_line(ONLINE_CPUS, machine.cpus, sizeof machine.cpus);
    if (stat(CGROUP_ROOT, &info) == 0 && info.st_nlink > 2) {
        machine.cgroup_count = (unsigned)info.st_nlink - 2; /* a directory has a link per child */
    }
    return machine;
}

static void repair_cpus(void)
{
    DIR *dir = opendir("/sys/devices/system/cpu");
    struct dirent *entry;
    char path[400];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, "cpu", 3) == 0) {
            snprintf(path, sizeof path, "/sys/devices/system/cpu/%s/online", entry->d_name);
            write_text(path, "1");
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static void repair_cgroups(void)
{
    DIR *dir = opendir(CGROUP_ROOT);
    struct dirent *entry;
    char path[400];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            snprintf(path, sizeof path, CGROUP_ROOT "/%s", entry->d_name);
            rmdir(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

/* True when the machine is as it was; otherwise says what is not, and repairs it where that is
 * safe. */
static int machine_kept(const char *name, const struct machine *before)
{
    struct machine after = machine_now();
    int in_guest = getenv("NPVM_SHAPE") != NULL;
    int kept = 1;

    if (strcmp(before->cpus, after.cpus) != 0) {
        printf("%s: left CPUs %s online instead of %s\n", name, after.cpus, before->cpus);
        kept = 0;
        if (in_guest) {
            repair_cpus();
        }
    }
    if (in_guest && before->cgroup_count != after.cgroup_count) {
        printf("%s: left %u control groups instead of %u\n", name, after.cgroup_count,
               before->cgroup_count);
        kept = 0;
        repair_cgroups();
    }
    return kept;
}

/* Waits until the program ends or the time is over; 0 when it has ended. */
static int wait_until(int pidfd, double end_s)
{
    for (;;) {
        struct pollfd watch = {.fd = pidfd, .events = POLLIN};
        double left_s = end_s - now_s();
        int ready = poll(&watch, 1, left_s > 0 ? (int)(left_s * 1e3) + 1 : 0);

        if (ready > 0) {
            return 0;
        }
        if (ready == 0 && now_s() >= end_s) {
            return -1;
        }
        if (ready < 0 && errno != EINTR) {
            return -1;
        }
    }
}

static enum outcome judge(const char *name, int status, int timed_out, double limit_s,
                          double took_s, int kept)
{
    if (timed_out) {
        printf("%s: fail (killed after %.0f s)\n", name, limit_s);
        return FAILED;
    }
    if (WIFSIGNALED(status)) {
        printf("%s: fail (signal %d, %s)\n", name, WTERMSIG(status), strsignal(WTERMSIG(status)));
        return FAILED;
    }
    if (!kept) {
        printf("%s: fail (changed the machine)\n", name);
        return FAILED;
    }
    if (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EXIT_SKIP) {
        enum outcome outcome = WEXITSTATUS(status) == 0 ? PASSED : SKIPPED;
        printf("%s: %s (%.1f s)\n", name, outcome_words[outcome], took_s);
        return outcome;
    }
    printf("%s: fail (status %d)\n", name, WEXITSTATUS(status));
    return FAILED;
}

static enum outcome run_one(char *path, double limit_s)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    struct machine before = machine_now();
    double start_s = now_s();
    int timed_out = 0;
    int status = 0;
    pid_t child;
    int pidfd;
    double took_s;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        char *arguments[] = {path, NULL};
        int null_fd = open("/dev/null", O_RDONLY);

        setpgid(0, 0);
        dup2(null_fd, STDIN_FILENO);
        execv(path, arguments);
        perror(path);
        _exit(EXIT_NOT_RUN);
    }
    if (child < 0) {
        printf("%s: fail (fork: %s)\n", name, strerror(errno));
        return FAILED;
    }
    setpgid(child, child); /* both sides set it, so that neither can be too late */
    pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    if (pidfd < 0 || wait_until(pidfd, start_s + limit_s) != 0) {
        timed_out = 1;
        kill(child, SIGABRT);
        if (pidfd < 0 || wait_until(pidfd, now_s() + GRACE_S) != 0) {
            kill(-child, SIGKILL);
        }
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    kill(-child, SIGKILL); /* children it left behind */
    if (pidfd >= 0) {
        close(pidfd);
    }
    took_s = now_s() - start_s;
    return judge(name, status, timed_out, limit_s, took_s, machine_kept(name, &before));
}

int main(int argc, char **argv)
{
    const char *limit_text = getenv("NPVM_PROGRAM_S");
    double limit_s = limit_text != NULL ? atof(limit_text) : 0;
    unsigned counts[OUTCOME_COUNT] = {0};

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (limit_s <= 0) {
        limit_s = LIMIT_S_DEFAULT;
    }
    for (int i = 1; i < argc; i++) {
        counts[run_one(argv[i], limit_s)]++;
    }
    printf("%u passed, %u failed, %u skipped\n", counts[PASSED], counts[FAILED], counts[SKIPPED]);
    if (counts[FAILED] > 0 || argc == 1) {
        return 1;
    }
    return counts[PASSED] > 0 ? 0 : EXIT_SKIP;
}
