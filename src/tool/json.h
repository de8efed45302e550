/*
 * Writes JSON, one member a line, arrays of numbers on one, or all of it on one. It keeps commas, indentation and
 * escapes right; whether objects are closed in order is the caller's affair.
 */
#ifndef NPI_TOOL_JSON_H
#define NPI_TOOL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    unsigned depth;
    bool first; /* nothing was written into the innermost object or array */
    bool line;  /* without line breaks but for the last */
};

/* In every function a NULL key means an element of an array, or the outermost value. */
void json_begin_object(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_begin_array(struct json *json, const char *key);
void json_end_array(struct json *json);

void json_string(struct json *json, const char *key, const char *value); /* NULL = null */
void json_unsigned(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
void json_double(struct json *json, const char *key, double value); /* not finite = null */
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* An array of numbers: begin, any number of elements, end. */
void json_begin_row(struct json *json, const char *key);
void json_element(struct json *json, double value);
void json_end_row(struct json *json);

#endif
