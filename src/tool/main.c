/*
 * numapool: the command. Finds the subcommand and hands it its arguments; what a subcommand does is in
 * the file of its name.
 */
#include "tool/tool.h"

#include <numapool/numapool.h>

#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct tool_command commands[] = {
    {"plan", "Who runs where and why, as text, picture or configuration file", tool_plan},
    {"check", "Finds all mistakes of configuration files", tool_check},
#ifdef NUMAPOOL_TOOL_REPORT
    {"report", "A page with pictures from measurements, or two runs compared", tool_report},
#endif
    {"simulate", "Predicts what a pool does on a machine under a load", tool_simulate},
    {"stat", "Prints the statistics of a running process's pools", tool_stat},
#ifdef NUMAPOOL_TOOL_TOP
    {"top", "Shows the pools of a running process, live", tool_top},
#endif
    {"agent", "Tells HAProxy how much room a running process has", tool_agent},
    {NULL, NULL, NULL},
};

static char command_name[64] = "numapool";

void tool_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "%s: ", command_name);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

/* The list of commands, before the options in --help. */
static char *list_commands(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_PRE_DOC) {
        return (char *)text;
    }
    char *list = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&list, &bytes);
    if (out == NULL) {
        return (char *)text;
    }
    (void)fprintf(out, "%s\n\nCommands:\n", text);
    for (const struct tool_command *command = commands; command->name != NULL; command++) {
        (void)fprintf(out, "  %-10s %s\n", command->name, command->summary);
    }
    (void)fprintf(out, "\nnumapool COMMAND --help tells more.");
    (void)fclose(out);
    return list; /* argp frees it */
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    int *at = state->input;
    if (key == ARGP_KEY_ARG) {
        (void)argument;
        *at = state->next - 1;
        state->next = state->argc; /* the rest is the command's */
        return 0;
    }
    if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "a command is missing");
    }
    return ARGP_ERR_UNKNOWN;
}

static void print_version(FILE *out, struct argp_state *state)
{
    (void)state;
    (void)fprintf(out, "numapool %s\n", numapool_version());
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .parser = parse,
        .args_doc = "COMMAND [ARGUMENT...]",
        .doc = "Plans, measures and watches pools of libnumapool.",
        .help_filter = list_commands,
    };
    argp_program_version_hook = print_version;
    argp_err_exit_status = TOOL_USAGE;

    int at = 0;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &at) != 0) {
        return TOOL_USAGE;
    }
    for (const struct tool_command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, argv[at]) == 0) {
            (void)snprintf(command_name, sizeof command_name, "numapool %s", command->name);
            argv[at] = command_name;
            return command->run(argc - at, argv + at);
        }
    }
    tool_complain("no command '%s'; numapool --help lists them", argv[at]);
    return TOOL_USAGE;
}
