/*
 * The child reads the XML from a file without a name and writes the picture to another, so nothing has
 * to be read and written at the same time, and a picture that is not finished never gets anywhere.
 */
#include "tool/lstopo.h"

#include "topology/text.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* A thousand CPUs take some seconds; a program of that name that never ends is ended. */
enum { TRIES = 6000, TRY_NS = 10 * 1000 * 1000 };

/* Numbers as the operating system has them; every object, as equal ones may have other colours. */
static const char *const fixed[] = {
    "lstopo", "--if", "xml", "-i", "-", "-p", "--no-factorize", "--no-default-legend"};
enum { FIXED = sizeof fixed / sizeof *fixed };

/* hwloc's variables could make the child read or draw something else. */
static char **clean_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **clean = calloc(count + 1, sizeof *clean);
    for (size_t i = 0; clean != NULL && i < count; i++)
        if (strncmp(environ[i], "HWLOC_", 6) != 0)
            clean[kept++] = environ[i];
    return clean;
}

static int start(char **arguments, FILE *in, FILE *out, FILE *errors, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    char **clean = clean_environment();
    int error = clean == NULL ? ENOMEM : posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(&actions, fileno(in), STDIN_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&actions, fileno(errors), STDERR_FILENO);
        if (error == 0)
            error = posix_spawnp(child, arguments[0], &actions, NULL, arguments, clean);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    free(clean);
    return error;
}

/* Its exit status, or -1 when it had to be ended, or ended by a signal. */
static int wait_for(pid_t child)
{
    int status = 0;
    for (int i = 0; i < TRIES; i++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        (void)nanosleep(&(struct timespec){.tv_nsec = TRY_NS}, NULL);
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    return -1;
}

/* What it complained of, in its first line. */
static char *first_line(FILE *errors)
{
    char line[200] = "";
    rewind(errors);
    if (fgets(line, sizeof line, errors) != NULL)
        line[strcspn(line, "\n")] = '\0';
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            *at = '?';
    return strdup(line);
}

static char *explain(int status, const char *format, FILE *errors)
{
    char *line = first_line(errors), *why = NULL;
    if (line == NULL)
        return NULL;
    if (strstr(line, "not supported") != NULL && strcmp(format, "png") == 0)
        why = npi_text_format(
            "this lstopo draws no PNG, as it is built without cairo; draw --svg, or "
            "on Debian: apt install hwloc (in place of hwloc-nox)");
    else if (status < 0)
        why = npi_text_format("lstopo did not finish");
    else
        why = npi_text_format("lstopo did not draw it (exit status %d)%s%s", status,
                              *line != '\0' ? ": " : "", line);
    free(line);
    return why;
}

static bool run(char **arguments, const char *format, FILE *in, FILE *out, char **why)
{
    pid_t child = -1;
    FILE *errors = tmpfile();
    if (errors == NULL) {
        *why = npi_text_format("there is no room for a temporary file: %s", strerror(errno));
        return false;
    }
    int error = start(arguments, in, out, errors, &child);
    int status = error == 0 ? wait_for(child) : -1;
    if (error == ENOENT)
        *why = npi_text_format("pictures are drawn by lstopo, which is not installed; on Debian: "
                               "apt install hwloc-nox");
    else if (error != 0)
        *why = npi_text_format("lstopo could not be started: %s", strerror(error));
    else if (status != 0)
        *why = explain(status, format, errors);
    (void)fclose(errors);
    return status == 0;
}

bool lstopo_draw(const char *format, const char *xml, size_t xml_bytes, char *const *legend,
                 FILE *out, char **why)
{
    size_t lines = 0, count = 0;
    while (legend[lines] != NULL)
        lines++;
    *why = NULL;
    char **arguments = calloc(FIXED + 2 * lines + 4, sizeof *arguments);
    FILE *in = arguments != NULL ? tmpfile() : NULL;
    bool done = in != NULL && fwrite(xml, 1, xml_bytes, in) == xml_bytes && fflush(in) == 0 &&
                lseek(fileno(in), 0, SEEK_SET) == 0;
    if (arguments != NULL && !done)
        *why = npi_text_format("there is no room for a temporary file: %s", strerror(errno));
    if (done) {
        /* posix_spawn() takes them as they are in C, without const; it changes nothing. */
        for (size_t i = 0; i < FIXED; i++)
            arguments[count++] = (char *)(uintptr_t)fixed[i];
        for (size_t i = 0; i < lines; i++) {
            arguments[count++] = (char *)(uintptr_t) "--append-legend";
            arguments[count++] = legend[i];
        }
        arguments[count++] = (char *)(uintptr_t) "--of";
        arguments[count++] = (char *)(uintptr_t)format;
        arguments[count++] = (char *)(uintptr_t) "-";
        done = run(arguments, format, in, out, why);
    }
    if (in != NULL)
        (void)fclose(in);
    free(arguments);
    return done;
}
