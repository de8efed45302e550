/*
 * Another program that draws for us, as a child that is waited for.
 *
 * Its input and output go through files, as a rule files without a name, rather than through pipes, which
 * would have to be written and read at the same time; and what it has not finished never gets anywhere.
 */
#ifndef NPI_TOOL_PROGRAM_H
#define NPI_TOOL_PROGRAM_H

#include <stdio.h>

/* What the program is to read from and write to; NULL = ours. `in` is read from its start. */
struct program_files {
    FILE *in, *out, *errors;
};

/*
 * Runs arguments[0], found by PATH, with the environment given. Returns 0, or an errno when it could not be
 * started (ENOENT = not installed). *status: its exit status; -1 when a signal ended it, or we did after
 * seconds_max.
 */
int program_run(char *const *arguments, char *const *environment, const struct program_files *files,
                unsigned seconds_max, int *status);

#endif
