/*
 * From a path to a run: the file as text, the text as JSON, the JSON to the reader of its format. And the
 * line of a mistake in JSON that is well formed, which the parser does not keep: the text is walked again.
 */
#include "tool/report_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A minute of overload is a megabyte; a file beyond this is something else. */
enum { FIRST_BYTES = 1 << 20, FILE_BYTES_MAX = 64 << 20, FACT_BYTES_MAX = 400 };

struct format {
    bool (*recognise)(const json_t *root);
    int (*read)(struct report_reader *reader, const json_t *root);
};

static bool is_bench(const json_t *root)
{
    return json_object_get(root, "benchmarks") != NULL;
}

static bool is_overload(const json_t *root)
{
    const char *program = json_string_value(json_object_get(root, "program"));
    return program != NULL && strcmp(program, "numapool-overload") == 0;
}

static bool is_simulation(const json_t *root)
{
    const char *program = json_string_value(json_object_get(root, "program"));
    return program != NULL && strcmp(program, "numapool simulate") == 0;
}

static const struct format formats[] = {
    {is_bench, report_read_bench},
    {is_overload, report_read_overload},
    {is_simulation, report_read_simulation},
};

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* From the opening quote to behind the closing one. */
static const char *skip_string(const char *at)
{
    for (at++; *at != '\0' && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
        }
    }
    return *at == '"' ? at + 1 : at;
}

static const char *skip_value(const char *at)
{
    size_t depth = 0;
    while (*at != '\0') {
        if (*at == '"') {
            at = skip_string(at);
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (depth == 0) {
            return at + strcspn(at, ",]} \t\r\n");
        } else {
            depth -= *at == '}' || *at == ']';
            at++;
        }
        if (depth == 0) {
            break;
        }
    }
    return at;
}

/* The next element or key of a list, or NULL. */
static const char *next_of_list(const char *at)
{
    at = skip_space(skip_value(at));
    return *at == ',' ? skip_space(at + 1) : NULL;
}

const char *report_at_next(const char *element)
{
    const char *next = next_of_list(element);
    return next != NULL ? next : element;
}

const char *report_at_key(const char *object, const char *key)
{
    const char *at = skip_space(object);
    size_t bytes = strlen(key);
    if (*at != '{') {
        return object;
    }
    for (at = skip_space(at + 1); at != NULL && *at == '"';) {
        const char *name = at + 1;
        at = skip_space(skip_string(at));
        if (*at != ':') {
            break;
        }
        at = skip_space(at + 1);
        if (strncmp(name, key, bytes) == 0 && name[bytes] == '"') {
            return at;
        }
        at = next_of_list(at);
    }
    return object;
}

const char *report_at_index(const char *array, size_t index)
{
    const char *at = skip_space(array);
    if (*at != '[') {
        return array;
    }
    at = skip_space(at + 1);
    while (index > 0 && at != NULL) {
        at = next_of_list(at);
        index--;
    }
    return at != NULL && *at != ']' ? at : array;
}

int report_fail(struct report_reader *reader, const char *at, const char *format, ...)
{
    size_t line = 1;
    at = skip_space(at);
    for (const char *c = reader->text; c < at; c++) {
        line += *c == '\n';
    }
    int used = snprintf(reader->error, sizeof reader->error, "%s:%zu: ", reader->path, line);
    if (used < 0 || (size_t)used >= sizeof reader->error) {
        return -1;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reader->error + used, sizeof reader->error - (size_t)used, format, arguments);
    va_end(arguments);
    return -1;
}

const char *report_type_name(const json_t *value)
{
    switch (value != NULL ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return value != NULL ? "null" : "missing";
}

static void add_fact(struct report_run *run, struct report_source *source, const char *prefix,
                     const char *key, const char *value)
{
    struct report_pair *fact =
        report_append(run, &source->facts, &source->fact_count, sizeof *source->facts);
    const char *name = report_print(run, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
    *fact = (struct report_pair){name, report_copy(run, value)};
}

void report_add_facts(struct report_run *run, struct report_source *source, const char *prefix,
                      const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_string(value)) {
            add_fact(run, source, prefix, key, json_string_value(value));
        } else if (!json_is_null(value)) {
            /* Lists of numbers, such as nodes and loads; the caches' long one is of no use here. */
            char *text =
                json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
            if (text != NULL && strlen(text) <= FACT_BYTES_MAX) {
                size_t bytes = strlen(text);
                if (bytes > 2 && strcmp(text + bytes - 2, ".0") == 0) {
                    text[bytes - 2] = '\0'; /* all numbers are read as reals */
                }
                add_fact(run, source, prefix, key, text);
            }
            free(text);
        }
    }
}

struct report_source *report_add_source(struct report_reader *reader)
{
    struct report_run *run = reader->run;
    struct report_source *source =
        report_append(run, &run->sources, &run->source_count, sizeof *run->sources);
    *source = (struct report_source){.path = reader->path};
    return source;
}

/* The whole file with a NUL behind it, or NULL with reader->error. */
static char *slurp(struct report_reader *reader, FILE *in, size_t *bytes)
{
    size_t room = FIRST_BYTES;
    char *text = malloc(room + 1);
    *bytes = 0;
    while (text != NULL) {
        *bytes += fread(text + *bytes, 1, room - *bytes, in);
        if (*bytes < room || *bytes > FILE_BYTES_MAX) {
            break;
        }
        room *= 2;
        char *larger = realloc(text, room + 1);
        if (larger == NULL) {
            free(text);
        }
        text = larger;
    }
    const char *reason = text == NULL              ? "no memory for it"
                         : ferror(in)              ? strerror(errno)
                         : *bytes > FILE_BYTES_MAX ? "larger than 64 MiB, which no result is"
                                                   : NULL;
    if (reason != NULL) {
        (void)snprintf(reader->error, sizeof reader->error, "%s: %s", reader->path, reason);
        free(text);
        return NULL;
    }
    text[*bytes] = '\0';
    return text;
}

static int read_root(struct report_reader *reader, const json_t *root)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (formats[i].recognise(root)) {
            return formats[i].read(reader, root);
        }
    }
    return report_fail(
        reader, reader->text,
        "neither \"benchmarks\" nor a known \"program\"; a file that "
        "numapool-bench --out, --benchmark_out, numapool-overload --json or numapool "
        "simulate --json wrote is right");
}

int report_read(struct report_reader *reader, struct report_run *run, const char *path)
{
    *reader = (struct report_reader){.run = run, .path = path};
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        (void)snprintf(reader->error, sizeof reader->error, "%s: %s", path, strerror(errno));
        return -1;
    }
    size_t bytes = 0;
    reader->text = slurp(reader, in, &bytes);
    (void)fclose(in);
    if (reader->text == NULL) {
        return -1;
    }
    int result = -1;
    json_error_t error;
    json_t *root = json_loadb(reader->text, bytes, JSON_DECODE_INT_AS_REAL, &error);
    if (root == NULL) {
        (void)snprintf(reader->error, sizeof reader->error,
                       "%s:%d: %s; JSON as the program wrote it is right", path,
                       error.line > 0 ? error.line : 1, error.text);
    } else {
        result = read_root(reader, root);
    }
    json_decref(root);
    free(reader->text);
    reader->text = NULL;
    return result;
}

int report_read_numbers(struct report_reader *reader, const char *object_at, const json_t *object,
                        const char *key, double factor, double **values, size_t *count)
{
    const json_t *list = json_object_get(object, key);
    const char *at = report_at_key(object_at, key);
    if (!json_is_array(list)) {
        return report_fail(reader, at, "\"%s\" is %s; a list of numbers is right", key,
                           report_type_name(list));
    }
    *count = json_array_size(list);
    *values = report_alloc(reader->run, *count * sizeof **values + 1);
    for (size_t i = 0; i < *count; i++) {
        const json_t *number = json_array_get(list, i);
        if (!json_is_number(number)) {
            return report_fail(reader, report_at_index(at, i),
                               "\"%s\" has %s in it; numbers are right", key,
                               report_type_name(number));
        }
        (*values)[i] = json_number_value(number) * factor;
    }
    return 0;
}

void report_name_part(FILE *out, const char *key, const char *value)
{
    (void)fprintf(out, "/%s:", key);
    for (; *value != '\0'; value++) {
        (void)fputc(*value == '/' ? ' ' : *value, out);
    }
}
