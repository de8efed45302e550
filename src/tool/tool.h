/*
 * What main.c and the subcommands of `numapool` share. A subcommand is one row of the table in main.c
 * and one function, which parses its own arguments with argp.
 */
#ifndef NPI_TOOL_TOOL_H
#define NPI_TOOL_TOOL_H

#include <stdbool.h>

/* What scripts may rely on. */
enum tool_exit {
    TOOL_OK = 0,
    TOOL_FAILED = 1, /* what was asked for was looked at, and is not as it should be */
    TOOL_USAGE = 2, /* an argument or a file could not be used, or something could not be written */
};

struct tool_command {
    const char *name;
    const char *summary; /* for the list of commands: one line, no full stop */
    /* argv[0] is what usage messages begin with: "numapool NAME". Returns enum tool_exit. */
    int (*run)(int argc, char **argv);
};

/* The subcommands. */
int tool_plan(int argc, char **argv);
int tool_check(int argc, char **argv);
int tool_simulate(int argc, char **argv);
int tool_report(int argc, char **argv); /* only where libjansson is */
int tool_stat(int argc, char **argv);
int tool_top(int argc, char **argv); /* only where libncurses is */
int tool_agent(int argc, char **argv);

/* One line on standard error: "numapool NAME: ...". */
void tool_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
