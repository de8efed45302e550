/* A picture of a machine by lstopo, another program; see lstopo.h. */
#include "tool/lstopo.h"

#include "tool/program.h"
#include "topology/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

/* A thousand CPUs take some seconds; a program of that name that never ends is ended. */
#define SECONDS_MAX 60

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

static bool run(char *const *arguments, const char *format, FILE *in, FILE *out, char **why)
{
    struct program_files files = {.in = in, .out = out, .errors = tmpfile()};
    char **clean = clean_environment();
    int status = -1, error = clean == NULL || files.errors == NULL ? errno : 0;
    if (error != 0) {
        *why = npi_text_format("there is no room for lstopo to draw in: %s", strerror(error));
    } else {
        error = program_run(arguments, clean, &files, SECONDS_MAX, &status);
        if (error == ENOENT)
            *why = npi_text_format("pictures are drawn by lstopo, which is not installed; on "
                                   "Debian: apt install hwloc-nox");
        else if (error != 0)
            *why = npi_text_format("lstopo could not be started: %s", strerror(error));
        else if (status != 0)
            *why = explain(status, format, files.errors);
    }
    if (files.errors != NULL)
        (void)fclose(files.errors);
    free(clean);
    return error == 0 && status == 0;
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
    bool done = in != NULL && fwrite(xml, 1, xml_bytes, in) == xml_bytes;
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
