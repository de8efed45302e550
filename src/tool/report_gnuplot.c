/*
 * Script and output go through files without a name rather than through pipes, which would have to be
 * written and read at the same time.
 */
#include "tool/report_gnuplot.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* A picture takes a tenth of a second; a program of that name that never ends must not hold up the page. */
enum { TRIES = 1000, TRY_NS = 10 * 1000 * 1000 };

static int start(FILE *script, FILE *output, pid_t *child)
{
    /* -d: what a user has in a start-up file would change the picture. */
    static char name[] = "gnuplot";
    static char option[] = "-d";
    char *arguments[] = {name, option, NULL};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return -1;
    }
    int result = posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
    if (result == 0) {
        result = posix_spawn_file_actions_adddup2(&actions, fileno(output), STDOUT_FILENO);
    }
    if (result == 0) {
        result = posix_spawnp(child, name, &actions, NULL, arguments, environ);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return result;
}

static bool ended_well(pid_t child)
{
    int status = 0;
    for (int i = 0; i < TRIES; i++) {
        if (waitpid(child, &status, WNOHANG) == child) {
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = TRY_NS}, NULL);
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    return false;
}

static char *read_all(FILE *in)
{
    if (fseek(in, 0, SEEK_END) != 0) {
        return NULL;
    }
    long bytes = ftell(in);
    char *text = bytes >= 0 ? calloc(1, (size_t)bytes + 1) : NULL;
    rewind(in);
    if (text != NULL && fread(text, 1, (size_t)bytes, in) != (size_t)bytes) {
        free(text);
        text = NULL;
    }
    return text;
}

char *report_gnuplot(const char *script)
{
    char *text = NULL;
    FILE *input = tmpfile();
    FILE *output = tmpfile();
    pid_t child;
    if (input != NULL && output != NULL && fputs(script, input) >= 0 && fflush(input) == 0 &&
        lseek(fileno(input), 0, SEEK_SET) == 0 && start(input, output, &child) == 0 &&
        ended_well(child)) {
        text = read_all(output);
    }
    if (input != NULL) {
        (void)fclose(input);
    }
    if (output != NULL) {
        (void)fclose(output);
    }
    return text;
}

bool report_gnuplot_there(void)
{
    char *nothing = report_gnuplot("");
    bool there = nothing != NULL;
    free(nothing);
    return there;
}
