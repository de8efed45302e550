/*
 * Reading files into a run. A format is a row of the table in report_read.c: how it is recognised, and a
 * function that puts what it finds into the run.
 */
#ifndef NPI_TOOL_REPORT_READ_H
#define NPI_TOOL_REPORT_READ_H

#include "tool/report_data.h"

#include <jansson.h>
#include <stdio.h>

struct report_reader {
    struct report_run *run;
    const char *path;
    char *text;       /* the file, NUL-terminated; once it is read, valid JSON */
    char error[1024]; /* "FILE:LINE: what, and what would be right" */
};

/* 0, or -1 with reader->error. `path`, and all memory of the run, must outlive the run. */
int report_read(struct report_reader *reader, struct report_run *run, const char *path);

/* The formats. */
int report_read_bench(struct report_reader *reader, const json_t *root);
int report_read_overload(struct report_reader *reader, const json_t *root);
int report_read_simulation(struct report_reader *reader, const json_t *root);

/* A list of numbers of an object, times a factor; as many as there are, 0 or -1. */
int report_read_numbers(struct report_reader *reader, const char *object_at, const json_t *object,
                        const char *key, double factor, double **values, size_t *count);

/* "/KEY:VALUE" of a measurement's name. A slash would part the value, so it becomes a space. */
void report_name_part(FILE *out, const char *key, const char *value);

/* Where in the text something is, for messages: the value of a key in the object, or of an element in the
 * array, that `at` points to; `at` itself when there is no such thing. */
const char *report_at_key(const char *at, const char *key);
const char *report_at_index(const char *at, size_t index);
const char *
report_at_next(const char *element); /* in a list; the element itself if it is the last */

/* Always -1. `at` is in the text. */
int report_fail(struct report_reader *reader, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "a string", with its article. */
const char *report_type_name(const json_t *value);

/* What an object says in words, numbers and truth values, as facts of a source; "PREFIX.key" when there
 * is a prefix. */
void report_add_facts(struct report_run *run, struct report_source *source, const char *prefix,
                      const json_t *object);

struct report_source *report_add_source(struct report_reader *reader);

#endif
