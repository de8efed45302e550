/* First pass over a configuration file; see config_scan.h. */
#include "topology/config_scan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A shard has 5 settings: room for more shards than there can be, and an end to the search. */
#define NAMES_MAX 8192u

/* The deepest our schema goes is shard = ( { cpus = ... } ): three. */
#define DEPTH_MAX 16u

struct name {
    const char *start;
    size_t length;
    int line;
    unsigned scope; /* number of the group it is in */
};

struct scope {
    unsigned number;
    char closer;
    int line;
    const char *name; /* of the setting it is the value of; NULL in a list */
    size_t name_length;
    unsigned children; /* elements seen so far, for paths such as shard[1] */
};

struct scan {
    const char *path;
    const char *at, *end;
    int line;
    struct npi_text *out;
    struct npi_mistakes *mistakes;
    struct name *names; /* owned */
    size_t name_count, name_room;
    struct scope scopes[DEPTH_MAX];
    unsigned depth;
    unsigned scope_count;
    const char *last_name; /* seen before the value that comes next; NULL = none */
    size_t last_length;
    bool hopeless;
};

static bool name_begins(char c)
{
    return isalpha((unsigned char)c) || c == '*';
}

static bool name_goes_on(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '*';
}

/* Copies up to a position, counting lines. */
static void copy_until(struct scan *scan, const char *end)
{
    for (const char *at = scan->at; at < end; at++)
        scan->line += *at == '\n';
    npi_text_add(scan->out, "%.*s", (int)(end - scan->at), scan->at);
    scan->at = end;
}

static void skip_line_comment(struct scan *scan)
{
    const char *end = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));
    copy_until(scan, end != NULL ? end : scan->end);
}

static void skip_block_comment(struct scan *scan)
{
    const char *end = memmem(scan->at + 2, (size_t)(scan->end - scan->at - 2), "*/", 2);
    if (end == NULL) {
        npi_mistakes_add(scan->mistakes, scan->line,
                         "%s:%d: a comment begins here and is never closed; close it with */",
                         scan->path, scan->line);
        scan->hopeless = true;
        copy_until(scan, scan->end);
        return;
    }
    copy_until(scan, end + 2);
}

static void skip_string(struct scan *scan)
{
    const char *at = scan->at + 1;
    while (at < scan->end && *at != '"' && *at != '\n')
        at += *at == '\\' && at + 1 < scan->end && at[1] != '\n' ? 2 : 1;
    if (at >= scan->end || *at != '"') {
        npi_mistakes_add(scan->mistakes, scan->line,
                         "%s:%d: a text in quotes is not closed on its line; end it with \"",
                         scan->path, scan->line);
        scan->hopeless = true;
        copy_until(scan, at < scan->end ? at : scan->end);
        return;
    }
    copy_until(scan, at + 1);
}

/* Digits, perhaps with sign, point, exponent or L: as long as they hang together. */
static void take_number(struct scan *scan)
{
    const char *at = scan->at;
    if (*at == '+' || *at == '-')
        at++;
    bool hex = at + 1 < scan->end && at[0] == '0' && (at[1] == 'x' || at[1] == 'X');
    const char *digits = hex ? at + 2 : at;
    bool whole = true;
    for (at = digits; at < scan->end &&
                      (isalnum((unsigned char)*at) || *at == '.' ||
                       ((*at == '+' || *at == '-') && !hex && (at[-1] == 'e' || at[-1] == 'E')));
         at++)
        whole = whole && (hex ? isxdigit((unsigned char)*at) : isdigit((unsigned char)*at));
    uint64_t value = 0;
    bool large = false;
    for (const char *digit = digits; whole && digit < at; digit++) {
        unsigned base = hex ? 16 : 10;
        unsigned number = isdigit((unsigned char)*digit)
                              ? (unsigned)(*digit - '0')
                              : (unsigned)(tolower((unsigned char)*digit) - 'a' + 10);
        large = large || value > ((uint64_t)INT64_MAX - number) / base;
        value = value * base + number;
    }
    if (large) {
        npi_text_add(scan->out, "\"%c%.*s\"", NPI_CONFIG_HUGE, (int)(at - scan->at), scan->at);
        scan->at = at;
        return;
    }
    copy_until(scan, at);
    /* libconfig cuts plain integers to 32 bits without a word. */
    if (whole && at > digits && value > (uint64_t)INT32_MAX)
        npi_text_add(scan->out, "L");
}

/* "pool.tick" or "shard[1].cpus": where we are, and a name in it. */
static void add_path(const struct scan *scan, struct npi_text *text, const char *name,
                     size_t length)
{
    bool first = true;
    for (unsigned i = 1; i < scan->depth; i++) {
        const struct scope *scope = &scan->scopes[i];
        if (scope->name != NULL) {
            npi_text_add(text, "%s%.*s", first ? "" : ".", (int)scope->name_length, scope->name);
            first = false;
        } else if (scan->scopes[i - 1].closer == ')')
            npi_text_add(text, "[%u]", scan->scopes[i - 1].children);
    }
    npi_text_add(text, "%s%.*s", first ? "" : ".", (int)length, name);
}

/* Notes a name and says whether it is new in its group. */
static bool note_name(struct scan *scan, const char *start, size_t length)
{
    unsigned scope = scan->scopes[scan->depth - 1].number;
    for (size_t i = 0; i < scan->name_count; i++) {
        const struct name *other = &scan->names[i];
        if (other->scope != scope || other->length != length ||
            memcmp(other->start, start, length) != 0)
            continue;
        struct npi_text path = {0};
        add_path(scan, &path, start, length);
        char *taken = npi_text_take(&path);
        npi_mistakes_add(scan->mistakes, scan->line,
                         "%s:%d: %s: it was already set in line %d; keep one of them", scan->path,
                         scan->line, taken != NULL ? taken : "", other->line);
        free(taken);
        return false;
    }
    if (scan->name_count == NAMES_MAX) {
        npi_mistakes_add(scan->mistakes, scan->line,
                         "%s:%d: more than %u settings; this is not a configuration of ours",
                         scan->path, scan->line, NAMES_MAX);
        scan->hopeless = true;
        return true;
    }
    if (scan->name_count == scan->name_room) {
        size_t room = scan->name_room != 0 ? 2 * scan->name_room : 32;
        struct name *names = realloc(scan->names, room * sizeof *names);
        if (names == NULL) {
            scan->mistakes->no_memory = true;
            return true;
        }
        scan->names = names;
        scan->name_room = room;
    }
    scan->names[scan->name_count++] = (struct name){start, length, scan->line, scope};
    return true;
}

static void take_name(struct scan *scan)
{
    const char *start = scan->at, *end = start;
    while (end < scan->end && name_goes_on(*end))
        end++;
    const char *after = end;
    while (after < scan->end && (*after == ' ' || *after == '\t'))
        after++;
    copy_until(scan, end);
    if (after >= scan->end || (*after != '=' && *after != ':'))
        return; /* true, false, or something that libconfig will refuse */
    scan->last_name = start;
    scan->last_length = (size_t)(end - start);
    /* Numbered, for a third occurrence must differ from the second. */
    if (!note_name(scan, start, scan->last_length))
        npi_text_add(scan->out, "*%zu*", scan->mistakes->count + (size_t)scan->line);
}

static void open_scope(struct scan *scan, char closer)
{
    if (scan->depth == DEPTH_MAX) {
        npi_mistakes_add(scan->mistakes, scan->line,
                         "%s:%d: brackets are nested deeper than %u; no setting needs more than 3",
                         scan->path, scan->line, DEPTH_MAX);
        scan->hopeless = true;
        return;
    }
    scan->scopes[scan->depth++] = (struct scope){
        .number = ++scan->scope_count,
        .closer = closer,
        .line = scan->line,
        .name = scan->last_name,
        .name_length = scan->last_length,
    };
    scan->last_name = NULL;
    copy_until(scan, scan->at + 1);
}

static void close_scope(struct scan *scan)
{
    const struct scope *scope = &scan->scopes[scan->depth - 1];
    char closer = *scan->at;
    if (scan->depth == 1 || scope->closer != closer) {
        if (scan->depth == 1)
            npi_mistakes_add(scan->mistakes, scan->line,
                             "%s:%d: there is a %c too many here; remove it", scan->path,
                             scan->line, closer);
        else
            npi_mistakes_add(scan->mistakes, scan->line,
                             "%s:%d: %c does not close what line %d opened; %c would", scan->path,
                             scan->line, closer, scope->line, scope->closer);
        scan->hopeless = true;
        return;
    }
    scan->depth--;
    copy_until(scan, scan->at + 1);
}

/* libconfig reads "@include" where it begins a line. */
static bool take_include(struct scan *scan)
{
    static const char word[] = "@include";
    size_t length = sizeof word - 1;
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return false;
    npi_mistakes_add(scan->mistakes, scan->line,
                     "%s:%d: @include is not allowed; put everything into one file, or load "
                     "several one after the other",
                     scan->path, scan->line);
    const char *end = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));
    scan->at = end != NULL ? end : scan->end;
    return true;
}

static void take_one(struct scan *scan)
{
    char c = *scan->at;
    char next = '\0';
    if (scan->at + 1 < scan->end)
        next = scan->at[1];
    if (c == '#' || (c == '/' && next == '/'))
        skip_line_comment(scan);
    else if (c == '/' && next == '*')
        skip_block_comment(scan);
    else if (c == '"')
        skip_string(scan);
    else if (isdigit((unsigned char)c) || ((c == '-' || c == '+') && isdigit((unsigned char)next)))
        take_number(scan);
    else if (name_begins(c))
        take_name(scan);
    else if (c == '{' || c == '(' || c == '[')
        open_scope(scan, (char)(c == '{' ? '}' : c == '(' ? ')' : ']'));
    else if (c == '}' || c == ')' || c == ']')
        close_scope(scan);
    else if (c != '@' || !take_include(scan)) {
        if (c == ',' && scan->scopes[scan->depth - 1].closer == ')')
            scan->scopes[scan->depth - 1].children++;
        if (c == ';' || c == ',')
            scan->last_name = NULL;
        copy_until(scan, scan->at + 1);
    }
}

bool npi_config_scan(const char *path, const char *text, size_t length, struct npi_text *out,
                     struct npi_mistakes *mistakes)
{
    struct scan scan = {
        .path = path,
        .at = text,
        .end = text + length,
        .line = 1,
        .out = out,
        .mistakes = mistakes,
        .depth = 1,
    };
    while (scan.at < scan.end && !scan.hopeless)
        take_one(&scan);
    if (!scan.hopeless && scan.depth > 1) {
        const struct scope *scope = &scan.scopes[scan.depth - 1];
        npi_mistakes_add(mistakes, scope->line,
                         "%s:%d: what is opened here is never closed; close it with %c", path,
                         scope->line, scope->closer);
        scan.hopeless = true;
    }
    npi_text_add(out, "\n"); /* libconfig stumbles over a comment at the very end */
    free(scan.names);
    if (out->failed)
        mistakes->no_memory = true;
    return !scan.hopeless && !mistakes->no_memory;
}
