/*
 * The environment: each line of the input is a variable, without the NUMAPOOL_ that makes it ours.
 * Either everything is taken, and then survives a way through a file, or nothing has changed and
 * there is something to tell. Variables that name a file are left out: files have their own target.
 */
#include "fuzz/fuzz.h"

#include "topology/placement.h"

#include <stdlib.h>
#include <string.h>

extern char **environ;

#define PREFIX "NUMAPOOL_"
enum { VARIABLES_MAX = 64 };

static unsigned split(char *text, char *variables[VARIABLES_MAX + 1])
{
    unsigned count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && count < VARIABLES_MAX;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "CONFIG=", 7) == 0)
            continue;
        size_t length = strlen(line);
        char *variable = malloc(sizeof PREFIX + length);
        fuzz_check(variable != NULL);
        memcpy(variable, PREFIX, sizeof PREFIX - 1);
        memcpy(variable + sizeof PREFIX - 1, line, length + 1);
        variables[count++] = variable;
    }
    variables[count] = NULL;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *variables[VARIABLES_MAX + 1], *text = fuzz_string(data, size);
    unsigned count = split(text, variables);
    struct numapool_config config = fuzz_config(), before = config;
    struct numapool_error error = {0};
    char **saved = environ;
    environ = variables;
    int result = numapool_config_env(&config, &error);
    environ = saved;
    if (result == NUMAPOOL_OK) {
        fuzz_check(error.count == 0);
        fuzz_config_round_trip(&config);
    } else {
        fuzz_check(result == NUMAPOOL_E_CONFIG);
        fuzz_check(error.count > 0 && error.text[0] != '\0');
        fuzz_check(memchr(error.text, '\0', sizeof error.text) != NULL);
        fuzz_check(memcmp(&config, &before, sizeof config) == 0);
    }
    fuzz_config_fini(&config);
    for (unsigned i = 0; i < count; i++)
        free(variables[i]);
    free(text);
    return 0;
}
