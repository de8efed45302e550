/*
 * F16: SIGKILL in the middle of the work. A pool holds nothing that outlives its process: no file, no
 * shared memory but the stats page, which has no name in any file system, so nothing can be left behind;
 * whoever reads from the process sees the end of the stream. And no task ran twice before.
 */
#include "fault/load.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_TASKS UINT64_C(250000)

#define STATS_PAGE "/memfd:numapool/"

/* A name that outlives the process: anything but pipes, devices, what the kernel makes up, and what
   the test itself was started with. */
static bool outlives(pid_t process, const char *fd)
{
    char path[320], target[256], inherited[256];
    struct stat about;
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)process, fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0 || stat(path, &about) != 0) {
        return false; /* closed meanwhile */
    }
    target[length] = '\0';
    (void)snprintf(path, sizeof path, "/proc/self/fd/%s", fd);
    length = readlink(path, inherited, sizeof inherited - 1);
    inherited[length > 0 ? length : 0] = '\0';
    if (strcmp(target, inherited) == 0) {
        return false;
    }
    bool page = strncmp(target, STATS_PAGE, sizeof STATS_PAGE - 1) == 0 && about.st_nlink == 0;
    bool memory_file = strncmp(target, "/memfd:", 7) == 0 && !page;
    bool known = strncmp(target, "/proc/", 6) == 0 || strncmp(target, "/sys/", 5) == 0;
    return memory_file || (S_ISREG(about.st_mode) && !known && !page);
}

static void check_descriptors(pid_t process)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)process);
    DIR *folder = opendir(path);
    MUST(folder != NULL);
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        MUST(entry->d_name[0] == '.' || !outlives(process, entry->d_name));
    }
    (void)closedir(folder);
}

/* Every writable mapping that is shared or named is the table of load.c, made before the child, or the
   stats page. */
static unsigned shared_mappings(const char *process)
{
    char path[64], line[512];
    (void)snprintf(path, sizeof path, "/proc/%s/maps", process);
    FILE *file = fopen(path, "r");
    MUST(file != NULL);
    unsigned count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *flags = strchr(line, ' ');
        count +=
            flags != NULL && flags[2] == 'w' && flags[4] == 's' && strstr(line, STATS_PAGE) == NULL;
    }
    (void)fclose(file);
    return count;
}

static uint64_t random_state = 11;

static uint64_t kill_one(unsigned round)
{
    int stream[2];
    MUST(pipe(stream) == 0);
    unsigned shared = shared_mappings("self");
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint64_t tasks = load_tasks() < CHILD_TASKS ? load_tasks() : CHILD_TASKS;
    uint64_t some = (random_state >> 33) % tasks;
    load_clear();
    (void)fflush(stdout);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        (void)close(stream[0]);
        (void)alarm(300);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            load_begin(&(struct load_shape){.nodes = 1u << round % 3, .mix = LOAD_ALL}, tasks);
            load_await_producers();
            for (;;) { /* killed with an idle pool, then */
                pause_us(1000);
            }
        }
    }
    (void)close(stream[1]);
    EVENTUALLY(load_ended() >= some);
    check_descriptors(child);
    char name[16];
    (void)snprintf(name, sizeof name, "%d", (int)child);
    MUST(shared_mappings(name) == shared);
    MUST(kill(child, SIGKILL) == 0);
    char byte;
    ssize_t got;
    while ((got = read(stream[0], &byte, 1)) < 0 && errno == EINTR) {
    }
    MUST(got == 0); /* the reader sees the end */
    (void)close(stream[0]);
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return load_judge_killed();
}

static void nothing_stays_behind(void **state)
{
    (void)state;
    uint64_t ended = 0;
    unsigned kills = 0;
    while (ended < load_tasks()) {
        ended += kill_one(kills++);
    }
    printf("%u processes killed\n", kills);
    load_report("F16",
                "SIGKILL at random moments (tasks accepted and not run went with the process)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_stays_behind)};
    if (!LOAD_CHILDREN) {
        return load_skip("a child with threads", 0);
    }
    return FAULT_RUN(tests);
}
