/*
 * The JSON writer. Strings are taken as UTF-8; bytes that are not are passed on escaped as if they
 * were Latin-1, so that the file is always valid.
 */
#include "tool/json.h"

#include <inttypes.h>
#include <math.h>

/* Length of the valid UTF-8 sequence that begins here, 0 = none does. */
static unsigned sequence_length(const unsigned char *text)
{
    unsigned length = text[0] < 0x80                      ? 1
                      : text[0] >= 0xc2 && text[0] < 0xe0 ? 2
                      : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                      : text[0] >= 0xf0 && text[0] < 0xf5 ? 4
                                                          : 0;
    for (unsigned i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies above the last code point. */
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

static void write_string(FILE *out, const char *value)
{
    const unsigned char *next = (const unsigned char *)value;

    (void)fputc('"', out);
    while (*next != '\0') {
        unsigned length = sequence_length(next);
        if (*next == '"' || *next == '\\')
            (void)fprintf(out, "\\%c", *next);
        else if (*next == '\n')
            (void)fputs("\\n", out);
        else if (*next < 0x20 || *next == 0x7f || length == 0)
            (void)fprintf(out, "\\u%04x", *next);
        else
            (void)fwrite(next, 1, length, out);
        next += length > 0 ? length : 1;
    }
    (void)fputc('"', out);
}

/* Everything that stands before a value. */
static void begin_value(struct json *json, const char *key)
{
    if (!json->first)
        (void)fputc(',', json->out);
    if (json->depth > 0 && !json->line)
        (void)fprintf(json->out, "\n%*s", (int)(2 * json->depth), "");
    json->first = false;
    if (key != NULL) {
        write_string(json->out, key);
        (void)fputs(": ", json->out);
    }
}

static void begin(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    (void)fputc(bracket, json->out);
    json->depth++;
    json->first = true;
}

static void end(struct json *json, char bracket)
{
    json->depth--;
    if (!json->first && !json->line)
        (void)fprintf(json->out, "\n%*s", (int)(2 * json->depth), "");
    (void)fputc(bracket, json->out);
    json->first = false;
    if (json->depth == 0)
        (void)fputc('\n', json->out);
}

void json_begin_object(struct json *json, const char *key)
{
    begin(json, key, '{');
}

void json_end_object(struct json *json)
{
    end(json, '}');
}

void json_begin_array(struct json *json, const char *key)
{
    begin(json, key, '[');
}

void json_end_array(struct json *json)
{
    end(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
    if (value == NULL) {
        json_null(json, key);
        return;
    }
    begin_value(json, key);
    write_string(json->out, value);
}

void json_unsigned(struct json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    (void)fprintf(json->out, "%" PRIu64, value);
}

void json_signed(struct json *json, const char *key, int64_t value)
{
    begin_value(json, key);
    (void)fprintf(json->out, "%" PRId64, value);
}

static void write_number(FILE *out, double value)
{
    /* As many digits as every double keeps: seconds since 1970 to the microsecond. */
    if (isfinite(value))
        (void)fprintf(out, "%.15g", value);
    else
        (void)fputs("null", out);
}

void json_double(struct json *json, const char *key, double value)
{
    begin_value(json, key);
    write_number(json->out, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    (void)fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *key)
{
    begin_value(json, key);
    (void)fputs("null", json->out);
}

void json_begin_row(struct json *json, const char *key)
{
    begin_value(json, key);
    (void)fputc('[', json->out);
    json->first = true;
}

void json_element(struct json *json, double value)
{
    if (!json->first)
        (void)fputs(", ", json->out);
    json->first = false;
    write_number(json->out, value);
}

void json_end_row(struct json *json)
{
    (void)fputc(']', json->out);
    json->first = false;
}
