/* numapool-model: the cases by name, one or all of them, to a bound; or one execution again. */
#include "model/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_COUNT 2000

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
        "                      [--random N] [--seed S] [--seconds-max S]\n"
        "       numapool-model --case NAME --replay STRING [--trace]\n"
        "Without --case all cases run, without --memory in both memories, without --bound\n"
        "to each case's own. --bound N goes to N or to the deepest bound of the case.\n"
        "--seconds-max S stops the search of a case after S seconds of processor time in each\n"
        "memory, and says so.\n"
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

/* Both memories unless one was asked for. */
static bool run_case(const struct model_case *program, struct model_options options, int bound,
                     const char *memory)
{
    bool failed = false;
    unsigned own = program->gate_bound != 0 ? program->gate_bound : 2;
    options.bound = bound < 0 ? own : (unsigned)bound;
    if (program->deep_bound != 0 && options.bound > program->deep_bound) {
        options.bound = program->deep_bound;
    }
    for (int i = MODEL_C11; i <= MODEL_TSO; i++) {
        if (memory == NULL || memory_of(memory) == (enum model_memory)i) {
            struct model_result result;
            options.memory = (enum model_memory)i;
            model_run(program, &options, &result);
            print(program, options.memory, options.bound, &result);
            failed = failed || result.failed;
        }
    }
    return failed;
}

int main(int argc, char **argv)
{
    const struct model_case *chosen[CASES];
    size_t count = 0;
    int bound = -1;
    const char *memory = NULL, *again = NULL;
    struct model_options options = {.random_count = RANDOM_COUNT, .seed = 1};
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
        if (strcmp(name, "--case") == 0 && count < CASES) {
            chosen[count++] = find_case(value);
        } else if (strcmp(name, "--bound") == 0) {
            bound = atoi(value);
        } else if (strcmp(name, "--memory") == 0) {
            memory = value;
        } else if (strcmp(name, "--replay") == 0) {
            again = value;
        } else if (strcmp(name, "--random") == 0) {
            options.random_count = strtoull(value, NULL, 0);
        } else if (strcmp(name, "--seed") == 0) {
            options.seed = strtoull(value, NULL, 0);
        } else if (strcmp(name, "--seconds-max") == 0) {
            options.seconds_max = strtod(value, NULL);
        } else {
            usage(stderr);
            return 2;
        }
    }
    if (again != NULL) {
        if (count != 1) {
            usage(stderr);
            return 2;
        }
        return replay(chosen[0], again, trace);
    }
    for (size_t i = 0; count == 0 && i < CASES; i++) {
        chosen[i] = all[i];
    }
    bool failed = false;
    for (size_t i = 0; i < (count != 0 ? count : CASES); i++) {
        failed = run_case(chosen[i], options, bound, memory) || failed;
    }
    return failed;
}
