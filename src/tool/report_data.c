/*
 * A run in memory: the arena and the lists in it.
 */
#include "tool/report_data.h"

#include "tool/tool.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t bytes;
    max_align_t memory[];
};

enum { CHUNK_BYTES = 64 * 1024 };

static const char beside[] = "beside_";

void *report_alloc(struct report_run *run, size_t bytes)
{
    size_t align = sizeof(max_align_t);
    bytes = (bytes + align - 1) / align * align;
    struct arena_chunk *chunk = run->chunks;
    if (chunk == NULL || chunk->bytes - chunk->used < bytes) {
        size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + room);
        if (chunk == NULL) {
            (void)fputs("numapool report: out of memory\n", stderr);
            exit(TOOL_USAGE);
        }
        chunk->bytes = room;
        chunk->next = run->chunks;
        run->chunks = chunk;
    }
    void *memory = (char *)chunk->memory + chunk->used;
    chunk->used += bytes;
    return memory;
}

void report_run_fini(struct report_run *run)
{
    while (run->chunks != NULL) {
        struct arena_chunk *next = run->chunks->next;
        free(run->chunks);
        run->chunks = next;
    }
    *run = (struct report_run){0};
}

static char *copy_bytes(struct report_run *run, const char *text, size_t bytes)
{
    char *copy = report_alloc(run, bytes + 1);
    memcpy(copy, text, bytes);
    return copy;
}

char *report_copy(struct report_run *run, const char *text)
{
    return copy_bytes(run, text, strlen(text));
}

char *report_print(struct report_run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = report_alloc(run, bytes > 0 ? (size_t)bytes + 1 : 1);
    if (bytes > 0) {
        va_start(arguments, format);
        (void)vsnprintf(text, (size_t)bytes + 1, format, arguments);
        va_end(arguments);
    }
    return text;
}

/* Doubles at powers of two, so that no list needs a word for its capacity. */
void *report_append(struct report_run *run, void *list, size_t *count, size_t element_bytes)
{
    char *elements;
    memcpy(&elements, list, sizeof elements);
    if ((*count & (*count - 1)) == 0) {
        size_t capacity = *count > 0 ? 2 * *count : 1;
        char *moved = report_alloc(run, capacity * element_bytes);
        if (*count > 0) {
            memcpy(moved, elements, *count * element_bytes);
        }
        elements = moved;
        memcpy(list, &elements, sizeof elements);
    }
    return elements + (*count)++ * element_bytes;
}

/* What the benchmark library appends to a name to say how it measured. */
static bool says_how_timed(const char *part, size_t bytes)
{
    static const char *const words[] = {"manual_time", "real_time", "process_time"};
    static const char *const beginnings[] = {
        "iterations:", "repeats:", "min_time:", "min_warmup_time:"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i]) == bytes && memcmp(words[i], part, bytes) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        size_t length = strlen(beginnings[i]);
        if (length <= bytes && memcmp(beginnings[i], part, length) == 0) {
            return true;
        }
    }
    return false;
}

static void split_name(struct report_run *run, struct report_measurement *m, const char *name)
{
    char *kept = report_alloc(run, strlen(name) + 1);
    char *end = kept;
    for (const char *at = name; *at != '\0';) {
        size_t bytes = strcspn(at, "/");
        if (at == name) {
            m->question = copy_bytes(run, at, bytes);
            end = stpcpy(end, m->question);
        } else if (bytes > 0 && !says_how_timed(at, bytes)) {
            char *part = copy_bytes(run, at, bytes);
            *end++ = '/';
            end = stpcpy(end, part);
            char *colon = strchr(part, ':');
            if (colon != NULL) {
                *colon = '\0';
            }
            struct report_pair *pair =
                report_append(run, &m->parts, &m->part_count, sizeof *m->parts);
            *pair =
                (struct report_pair){colon != NULL ? part : "", colon != NULL ? colon + 1 : part};
            if (strcmp(pair->key, "pool") == 0) {
                m->pool = pair->value;
            }
        }
        at += bytes;
        at += *at == '/';
    }
    m->name = kept;
}

struct report_measurement *report_find(const struct report_run *run, const char *name)
{
    for (size_t i = 0; i < run->measurement_count; i++) {
        if (strcmp(run->measurements[i]->name, name) == 0) {
            return run->measurements[i];
        }
    }
    return NULL;
}

struct report_measurement *report_measurement(struct report_run *run, const char *name)
{
    struct report_measurement fresh = {.question = "", .pool = ""};
    split_name(run, &fresh, name);
    struct report_measurement *known = report_find(run, fresh.name);
    if (known != NULL || run->measurement_count == REPORT_MEASUREMENTS_MAX) {
        return known;
    }
    struct report_measurement *m = report_alloc(run, sizeof *m);
    *m = fresh;
    struct report_measurement **slot = report_append(
        run, &run->measurements, &run->measurement_count, sizeof(struct report_measurement *));
    *slot = m;
    return m;
}

bool report_add_round(struct report_run *run, struct report_measurement *m)
{
    if (m->round_count == REPORT_ROUNDS_MAX) {
        return false;
    }
    if (m->round_count == m->round_capacity) {
        size_t capacity = m->round_capacity > 0 ? 2 * m->round_capacity : 8;
        for (size_t i = 0; i < m->figure_count; i++) {
            double *moved = report_alloc(run, capacity * sizeof *moved);
            memcpy(moved, m->figures[i].values, m->round_count * sizeof *moved);
            m->figures[i].values = moved;
        }
        m->round_capacity = capacity;
    }
    for (size_t i = 0; i < m->figure_count; i++) {
        m->figures[i].values[m->round_count] = NAN;
    }
    m->round_count++;
    return true;
}

bool report_set(struct report_run *run, struct report_measurement *m, const char *key, double value)
{
    size_t at = 0;
    while (at < m->figure_count && strcmp(m->figures[at].key, key) != 0) {
        at++;
    }
    if (at == m->figure_count) {
        if (at == REPORT_FIGURES_MAX) {
            return false;
        }
        struct report_figure *figure =
            report_append(run, &m->figures, &m->figure_count, sizeof *m->figures);
        figure->key = report_copy(run, key);
        figure->values = report_alloc(run, m->round_capacity * sizeof *figure->values);
        for (size_t round = 0; round < m->round_count; round++) {
            figure->values[round] = NAN;
        }
    }
    m->figures[at].values[m->round_count - 1] = value;
    return true;
}

const double *report_values(const struct report_measurement *m, const char *key)
{
    for (size_t i = 0; i < m->figure_count; i++) {
        if (strcmp(m->figures[i].key, key) == 0) {
            return m->figures[i].values;
        }
    }
    return NULL;
}

const char *report_part(const struct report_measurement *m, const char *key)
{
    for (size_t i = 0; i < m->part_count; i++) {
        if (strcmp(m->parts[i].key, key) == 0) {
            return m->parts[i].value;
        }
    }
    return NULL;
}

const char *report_name_without(struct report_run *run, const struct report_measurement *m,
                                const char *key, const char *other_key)
{
    char *name = report_alloc(run, strlen(m->name) + 1);
    char *end = stpcpy(name, m->question);
    for (size_t i = 0; i < m->part_count; i++) {
        const struct report_pair *part = &m->parts[i];
        if (strcmp(part->key, key) != 0 && strcmp(part->key, other_key) != 0) {
            *end++ = '/';
            end = stpcpy(end, part->key);
            if (part->key[0] != '\0') {
                *end++ = ':';
            }
            end = stpcpy(end, part->value);
        }
    }
    return name;
}

bool report_is_beside(const char *key)
{
    return strncmp(key, beside, sizeof beside - 1) == 0;
}

const double *report_beside(const struct report_measurement *m, const char *key)
{
    for (size_t i = 0; i < m->figure_count; i++) {
        const char *other = m->figures[i].key;
        if (report_is_beside(other) && strcmp(other + sizeof beside - 1, key) == 0) {
            return m->figures[i].values;
        }
    }
    return NULL;
}
