/*
 * Finds what hwloc's XML reader cannot stand, without being an XML reader: it looks at start tags
 * of `topology` and `object` and at nothing else. See discover_xml.h.
 */
#include "topology/discover_xml.h"

#include <stdbool.h>
#include <string.h>

/* A value between quotes. */
struct value {
    const char *start;
    size_t length;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is(struct value value, const char *text)
{
    return value.length == strlen(text) && memcmp(value.start, text, value.length) == 0;
}

/*
 * Reads name="value" at a cursor and moves it behind. false: there is no further attribute, and the
 * cursor is at what ends the tag, or at what is no attribute.
 */
static bool next_attribute(const char **cursor, struct value *name, struct value *value)
{
    const char *at = *cursor;
    while (is_blank(*at))
        at++;
    *cursor = at;
    name->start = at;
    while (*at != '\0' && *at != '=' && *at != '>' && *at != '<' && *at != '/' && !is_blank(*at))
        at++;
    name->length = (size_t)(at - name->start);
    if (name->length == 0 || at[0] != '=' || at[1] != '"')
        return false;
    value->start = at + 2;
    const char *end = strchr(value->start, '"');
    if (end == NULL)
        return false;
    value->length = (size_t)(end - value->start);
    *cursor = end + 1;
    return true;
}

/* The sets that objects with CPUs or memory carry, as flags. */
enum { CPUSET = 1, COMPLETE_CPUSET = 2, NODESET = 4, COMPLETE_NODESET = 8, ALL_SETS = 15 };

static unsigned set_of_name(struct value name)
{
    return is(name, "cpuset")             ? CPUSET
           : is(name, "complete_cpuset")  ? COMPLETE_CPUSET
           : is(name, "nodeset")          ? NODESET
           : is(name, "complete_nodeset") ? COMPLETE_NODESET
                                          : 0;
}

/* Commas, blanks of the text form and hexadecimal numbers; anything else would be read as empty. */
static bool is_set(struct value value)
{
    for (size_t i = 0; i < value.length; i++)
        if (strchr("0123456789abcdefABCDEFx,", value.start[i]) == NULL)
            return false;
    return value.length > 0;
}

static bool has_sets(struct value type)
{
    static const char *const without[] = {"Misc", "Bridge", "PCIDev", "OSDev"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (is(type, without[i]))
            return false;
    return true;
}

static const char *object_unfit(const char *cursor)
{
    struct value name, value, type = {"", 0};
    unsigned found = 0;
    while (next_attribute(&cursor, &name, &value)) {
        unsigned set = set_of_name(name);
        if (set != 0 && !is_set(value))
            return "an object has a set that cannot be read";
        if ((found & set) != 0)
            return "an object has a set twice";
        found |= set;
        if (is(name, "type"))
            type = value;
    }
    if (*cursor != '>' && !(cursor[0] == '/' && cursor[1] == '>'))
        return "an object's attributes cannot be read";
    if (type.length == 0)
        return "an object has no type";
    if (has_sets(type) && found != ALL_SETS)
        return "an object lacks one of its four sets of CPUs and nodes";
    return NULL;
}

static const char *topology_unfit(const char *cursor)
{
    struct value name, value;
    while (next_attribute(&cursor, &name, &value))
        if (is(name, "version") && value.length > 1 && value.start[0] >= '2' &&
            value.start[0] <= '9' && value.start[1] == '.')
            return NULL;
    return "it was not made by hwloc 2 or later";
}

const char *npi_xml_unfit(const char *text, int *line)
{
    bool topology_seen = false;
    *line = 1;
    for (const char *at = text; *at != '\0'; at++) {
        const char *why = NULL;
        *line += *at == '\n';
        if (*at != '<')
            continue;
        if (strncmp(at + 1, "topology", 8) == 0 && (is_blank(at[9]) || at[9] == '>')) {
            topology_seen = true;
            why = topology_unfit(at + 9);
        } else if (strncmp(at + 1, "object", 6) == 0 && is_blank(at[7])) {
            why = topology_seen ? object_unfit(at + 7) : "there is an object before the topology";
        }
        if (why != NULL)
            return why;
    }
    return topology_seen ? NULL : "there is no topology in it";
}
