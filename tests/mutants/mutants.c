/*
 * Runs every planted bug of list.inc against the program that has to find it, and prints the table.
 * Fails when one survives, or when a program finds a bug where none is planted.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A finder that takes longer has not found it; the slow ones take minutes. */
#define SECONDS_MAX 1800
/* So long a case of the checker has to find nothing where nothing is; all of bound 2 is the gate's. */
#define SOUND_SECONDS_MAX "120"
#define OUTPUT_BYTES 65536
#define SLOW "slow "

struct mutant {
    const char *name, *place, *killer, *what;
};

static const struct mutant mutants[] = {
#define MUTANT(name, place, killer, what) {#name, place, killer, what},
#include "mutants/list.inc"
#undef MUTANT
};

#define MUTANTS (sizeof mutants / sizeof mutants[0])

struct outcome {
    int status; /* exit status, -1 = ended by a signal, -2 = no end */
    double seconds;
    char executions[32]; /* until found, by the checker */
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool is_slow(const char *killer)
{
    return strncmp(killer, SLOW, strlen(SLOW)) == 0;
}

/* The killer of list.inc as a command, in the child. */
static void execute(const char *killer, const char *mutant)
{
    char text[128], path[512];
    (void)snprintf(text, sizeof text, "%s", killer + (is_slow(killer) ? strlen(SLOW) : 0));
    char *rest = text, *word[4] = {NULL};
    for (size_t i = 0; i < 4; i++) {
        word[i] = strsep(&rest, ":");
    }
    if (mutant != NULL) {
        (void)setenv("NPI_MUTANT", mutant, 1);
    } else {
        (void)unsetenv("NPI_MUTANT");
    }
    (void)alarm(SECONDS_MAX);
    if (word[1] != NULL && strcmp(word[0], "unit") == 0) {
        (void)snprintf(path, sizeof path, "%s/%s_mutants", MUTANTS_DIR, word[1]);
        (void)execl(path, path, (char *)NULL);
    } else if (word[2] != NULL) {
        (void)snprintf(path, sizeof path, "%s/numapool-model-mutants", MUTANTS_DIR);
        (void)execl(path, path, "--case", word[1], "--bound", word[2], "--memory",
                    word[3] != NULL ? word[3] : "c11", "--random", "0", "--seconds-max",
                    mutant != NULL ? "0" : SOUND_SECONDS_MAX, (char *)NULL);
    }
    _exit(126);
}

static void read_executions(const char *output, struct outcome *outcome)
{
    const char *failed = strstr(output, "FAILED"), *word = NULL;
    if (failed != NULL) {
        for (const char *at = output; (at = strstr(at, " executions")) != NULL && at < failed;
             at++) {
            word = at;
        }
    }
    if (word != NULL) {
        const char *begin = word;
        while (begin > output && begin[-1] >= '0' && begin[-1] <= '9') {
            begin--;
        }
        (void)snprintf(outcome->executions, sizeof outcome->executions, "%.*s", (int)(word - begin),
                       begin);
    }
}

static bool run(const char *killer, const char *mutant, struct outcome *outcome)
{
    int ends[2];
    *outcome = (struct outcome){.executions = "-"};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    double begin = now_s();
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        execute(killer, mutant);
    }
    (void)close(ends[1]);
    static char output[OUTPUT_BYTES];
    size_t length = 0;
    char rest[4096];
    for (;;) {
        bool room = length < sizeof output - 1;
        ssize_t got = read(ends[0], room ? output + length : rest,
                           room ? sizeof output - 1 - length : sizeof rest);
        if (got > 0) {
            length += room ? (size_t)got : 0;
        } else if (got == 0 || errno != EINTR) {
            break;
        }
    }
    output[length] = '\0';
    (void)close(ends[0]);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return false;
    }
    outcome->seconds = now_s() - begin;
    outcome->status = WIFEXITED(status)             ? WEXITSTATUS(status)
                      : WTERMSIG(status) == SIGALRM ? -2
                                                    : -1;
    read_executions(output, outcome);
    return outcome->status != 126;
}

/* Each program once without a bug: it has to find none. */
static unsigned baseline(const char *only)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < MUTANTS; i++) {
        const char *killer = mutants[i].killer;
        bool seen = only != NULL && strcmp(only, mutants[i].name) != 0;
        for (size_t k = 0; k < i && only == NULL; k++) {
            seen = seen || strcmp(mutants[k].killer, killer) == 0;
        }
        struct outcome outcome;
        if (seen) {
            continue;
        }
        if (!run(killer, NULL, &outcome) || (outcome.status != 0 && outcome.status != 77)) {
            printf("%s says %d without a bug\n", killer, outcome.status);
            wrong++;
        }
    }
    return wrong;
}

/* A row of the table in README.md. The killer without what it is called by: kind, and "slow". */
static void print_markdown(const struct mutant *mutant, const struct outcome *outcome, bool killed)
{
    char text[128];
    (void)snprintf(text, sizeof text, "%s",
                   mutant->killer + (is_slow(mutant->killer) ? strlen(SLOW) : 0));
    char *rest = text;
    const char *kind = strsep(&rest, ":"), *finder = strsep(&rest, ":");
    const char *bound = strsep(&rest, ":"), *memory = strsep(&rest, ":");
    printf("| %s (`%s`) | `%s` | %s", mutant->what, mutant->name, mutant->place,
           finder != NULL ? finder : kind);
    if (bound != NULL) {
        printf(", bound %s%s%s", bound, memory != NULL ? ", " : "", memory != NULL ? memory : "");
    }
    printf(" | %s | %.2f%s |\n", outcome->executions, outcome->seconds, killed ? "" : " SURVIVED");
}

int main(int argc, char **argv)
{
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    bool markdown = argc == 2 && strcmp(argv[1], "--markdown") == 0;
    const char *only = argc == 3 && strcmp(argv[1], "--only") == 0 ? argv[2] : NULL;
    if (argc != 1 && !quick && !markdown && only == NULL) {
        (void)fprintf(stderr, "usage: numapool-mutants [--quick | --only NAME | --markdown]\n"
                              "--quick: what takes a second or less, without running each program "
                              "first on the sources as they are\n"
                              "--markdown: the rows as README.md has them\n");
        return 2;
    }
    unsigned wrong = quick ? 0 : baseline(only), count = 0;
    if (!markdown) {
        printf("%-23s %-20s %-33s %10s %8s  %s\n", "mutant", "place", "killer", "executions",
               "seconds", "planted");
    }
    for (size_t i = 0; i < MUTANTS; i++) {
        const struct mutant *mutant = &mutants[i];
        if ((only != NULL && strcmp(only, mutant->name) != 0) ||
            (quick && is_slow(mutant->killer))) {
            continue;
        }
        struct outcome outcome;
        bool ran = run(mutant->killer, mutant->name, &outcome);
        /* Found: the finder says so, or dies of it. Usage, skipped and no end are not; a unit test
           says how many of its tests failed. */
        bool unit = strncmp(mutant->killer, "unit:", 5) == 0;
        bool killed = ran && outcome.status != 0 && outcome.status != -2 && outcome.status != 77 &&
                      (unit || outcome.status != 2);
        if (markdown) {
            print_markdown(mutant, &outcome, killed);
        } else {
            printf("%-23s %-20s %-33s %10s %8.2f  %s%s\n", mutant->name, mutant->place,
                   mutant->killer, outcome.executions, outcome.seconds, mutant->what,
                   killed ? "" : "   SURVIVED");
        }
        (void)fflush(stdout);
        wrong += !killed;
        count++;
    }
    printf("%u mutants, %u survived or not to be told\n", count, wrong);
    return wrong != 0 || count == 0;
}
