/* numapool-model: the cases by name, one or all of them, to a bound; or one execution again. */
#include "model/cases.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANDOM_COUNT 2000
#define JOBS_MAX 64

static const struct model_case *const all[] = {
#define MODEL_CASE(name) &model_case_##name,
#include "model/cases.inc"
#undef MODEL_CASE
};

#define CASES (sizeof all / sizeof all[0])

static void usage(FILE *to)
{
    (void)fputs(
        "usage: numapool-model --list\n"
        "       numapool-model [--case NAME]... [--bound N] [--memory c11|tso]\n"
        "                      [--random N] [--seed S] [--seconds-max S] [--jobs N]\n"
        "       numapool-model --case NAME --replay STRING [--trace]\n"
        "Without --case all cases run, without --memory in both memories, without --bound\n"
        "to each case's own. --bound N goes to N or to the deepest bound of the case.\n"
        "--seconds-max S stops the search of a case after S seconds of processor time in each\n"
        "memory, and says so. --jobs N searches in so many processes at once.\n"
        "Exit status: 0 no rule is broken, 1 one is, 2 usage.\n",
        to);
}

static void print(const struct model_case *program, enum model_memory memory, unsigned bound,
                  const struct model_result *result)
{
    double rate = result->seconds > 0.0 ? (double)result->executions / result->seconds : 0.0;
    printf("%-28s %s  bound %u  %10llu executions %12llu steps %8.2f s %5.2f M/s  %s\n",
           program->name, memory == MODEL_C11 ? "c11" : "tso", bound,
           (unsigned long long)result->executions, (unsigned long long)result->steps,
           result->seconds, rate * 1e-6,
           result->failed      ? "FAILED"
           : result->exhausted ? "exhausted"
                               : "stopped");
    if (result->failed) {
        printf("    %s\n    again: numapool-model --case %s --replay %s\n", result->message,
               program->name, result->replay);
    }
    (void)fflush(stdout);
}

static const struct model_case *find_case(const char *name)
{
    for (size_t i = 0; i < CASES; i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    (void)fprintf(stderr, "numapool-model: no case '%s'; see --list\n", name);
    exit(2);
}

static enum model_memory memory_of(const char *name)
{
    if (strncmp(name, "c11", 3) != 0 && strncmp(name, "tso", 3) != 0) {
        (void)fprintf(stderr, "numapool-model: memory is c11 or tso, not '%s'\n", name);
        exit(2);
    }
    return name[0] == 'c' ? MODEL_C11 : MODEL_TSO;
}

static int replay(const struct model_case *program, const char *text, bool trace)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL) {
        usage(stderr);
        return 2;
    }
    struct model_options options = {.memory = memory_of(text), .replay = colon + 1, .trace = trace};
    struct model_result result;
    model_run(program, &options, &result);
    printf("%s: %s\n", program->name, result.failed ? result.message : "no rule is broken");
    return result.failed;
}

/* What was asked for: each case in each memory is a search of its own. */
struct searches {
    const struct model_case *cases[CASES];
    size_t count;
    int bound; /* -1: each case's own */
    bool memories[2];
    unsigned jobs;
    struct model_options options;
};

static bool search(const struct searches *asked, const struct model_case *program,
                   enum model_memory memory)
{
    struct model_options options = asked->options;
    struct model_result result;
    options.memory = memory;
    options.bound = program->gate_bound != 0 ? program->gate_bound : 2;
    if (asked->bound >= 0) {
        options.bound = (unsigned)asked->bound;
    }
    if (program->deep_bound != 0 && options.bound > program->deep_bound) {
        options.bound = program->deep_bound;
    }
    model_run(program, &options, &result);
    print(program, memory, options.bound, &result);
    return !result.failed;
}

/* Takes one search after the other until all are taken. */
static bool search_on(const struct searches *asked, atomic_size_t *taken)
{
    bool passed = true;
    for (;;) {
        size_t i = atomic_fetch_add(taken, 1);
        if (i / 2 >= asked->count) {
            return passed;
        }
        if (asked->memories[i % 2]) {
            enum model_memory memory = i % 2 == 0 ? MODEL_C11 : MODEL_TSO;
            passed = search(asked, asked->cases[i / 2], memory) && passed;
        }
    }
}

/* The engine's state is one per process, so searches at once are processes: this one and its children. */
static bool search_all(const struct searches *asked)
{
    atomic_size_t *taken =
        mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (taken == MAP_FAILED) {
        perror("numapool-model: mmap");
        return false;
    }
    atomic_init(taken, 0);
    for (unsigned i = 1; i < asked->jobs; i++) {
        pid_t child = fork();
        if (child == 0) {
            _exit(!search_on(asked, taken));
        }
        if (child < 0) {
            perror("numapool-model: fork"); /* fewer at once, and all are searched */
        }
    }
    bool passed = search_on(asked, taken);
    int status;
    while (wait(&status) > 0) {
        if (WIFSIGNALED(status)) {
            (void)fprintf(stderr, "numapool-model: signal %d ended a search\n", WTERMSIG(status));
        }
        passed = passed && status == 0;
    }
    (void)munmap(taken, sizeof *taken);
    return passed;
}

int main(int argc, char **argv)
{
    struct searches asked = {.bound = -1,
                             .memories = {true, true},
                             .jobs = 1,
                             .options = {.random_count = RANDOM_COUNT, .seed = 1}};
    const char *again = NULL;
    bool trace = false;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(name, "--list") == 0) {
            for (size_t n = 0; n < CASES; n++) {
                printf("%-28s %s\n", all[n]->name, all[n]->about);
            }
            return 0;
        }
        if (strcmp(name, "--help") == 0) {
            usage(stdout);
            return 0;
        }
        if (strcmp(name, "--trace") == 0) {
            trace = true;
            continue;
        }
        if (value == NULL) {
            usage(stderr);
            return 2;
        }
        i++;
        if (strcmp(name, "--case") == 0 && asked.count < CASES) {
            asked.cases[asked.count++] = find_case(value);
        } else if (strcmp(name, "--bound") == 0) {
            asked.bound = atoi(value);
        } else if (strcmp(name, "--memory") == 0) {
            enum model_memory memory = memory_of(value);
            asked.memories[0] = memory == MODEL_C11;
            asked.memories[1] = memory == MODEL_TSO;
        } else if (strcmp(name, "--replay") == 0) {
            again = value;
        } else if (strcmp(name, "--random") == 0) {
            asked.options.random_count = strtoull(value, NULL, 0);
        } else if (strcmp(name, "--seed") == 0) {
            asked.options.seed = strtoull(value, NULL, 0);
        } else if (strcmp(name, "--seconds-max") == 0) {
            asked.options.seconds_max = strtod(value, NULL);
        } else if (strcmp(name, "--jobs") == 0 && atoi(value) >= 1 && atoi(value) <= JOBS_MAX) {
            asked.jobs = (unsigned)atoi(value);
        } else {
            usage(stderr);
            return 2;
        }
    }
    if (again != NULL) {
        if (asked.count != 1) {
            usage(stderr);
            return 2;
        }
        return replay(asked.cases[0], again, trace);
    }
    if (asked.count == 0) {
        memcpy(asked.cases, all, sizeof all);
        asked.count = CASES;
    }
    (void)setvbuf(stdout, NULL, _IOFBF, BUFSIZ); /* a search's lines come out together */
    return !search_all(&asked);
}
