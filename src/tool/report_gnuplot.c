/* Pictures by gnuplot, another program; see report_gnuplot.h. */
#include "tool/report_gnuplot.h"

#include "tool/program.h"

#include <stdio.h>
#include <stdlib.h>

extern char **environ;

/* A picture takes a tenth of a second; a program of that name that never ends must not hold up the page. */
#define SECONDS_MAX 10

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
    /* -d: what a user has in a start-up file would change the picture. */
    static char name[] = "gnuplot", option[] = "-d";
    char *const arguments[] = {name, option, NULL};
    struct program_files files = {.in = tmpfile(), .out = tmpfile()};
    char *text = NULL;
    int status = -1;
    if (files.in != NULL && files.out != NULL && fputs(script, files.in) >= 0 &&
        program_run(arguments, environ, &files, SECONDS_MAX, &status) == 0 && status == 0) {
        text = read_all(files.out);
    }
    if (files.in != NULL) {
        (void)fclose(files.in);
    }
    if (files.out != NULL) {
        (void)fclose(files.out);
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
