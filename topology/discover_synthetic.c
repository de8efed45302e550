/*
 * Reads a synthetic text more strictly than hwloc does, and reckons what building it would cost.
 * See discover_synthetic.h. What is accepted:
 *
 *   text       [attributes] items              blanks between items
 *   level      [WORD:]NUMBER[attributes]       decimal, from 1
 *   memory     "[" WORD [attributes] "]"
 *   attributes "(" memory=SIZE | size=SIZE | indexes=NUMBERS ... ")"
 *
 * What hwloc would accept beyond: numbers of other bases and with signs, which it reads modulo 2^64;
 * memory-side caches as levels and indexes by the names of levels, both of which end in assertions.
 */
#include "topology/discover_synthetic.h"

#include "topology/cpuset.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* More is a slip of the finger that would cost gigabytes. */
#define CPUS_MAX 16384u
#define NODES_MAX 1024u

/* hwloc has room for 128 and writes behind it when it adds one. No machine has ten. */
#define LEVELS_MAX 64u

/* What hwloc does in about three seconds: comparisons of words of sets, see cost(). */
#define COST_MAX 1e9

/* Products of interleaving steps that hwloc's long integers hold; beyond they become 0. */
#define STEPS_MAX (UINT64_C(1) << 48)

static const char no_text[] =
    "is not an hwloc synthetic text such as \"pack:2 [numa] core:8 pu:2\"";

struct reader {
    const char *at;
    unsigned arity[LEVELS_MAX], width[LEVELS_MAX];
    unsigned level_count;
    unsigned nodes;   /* of those that are told; hwloc may add some of its own */
    unsigned objects; /* attached to levels */
    unsigned largest_index;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number up to a bound; false: none, too large, or one that hwloc reads as octal. */
static bool take_number(struct reader *reader, unsigned bound, unsigned *number)
{
    unsigned value = 0;
    if (!is_digit(*reader->at) || (*reader->at == '0' && is_digit(reader->at[1])))
        return false;
    for (; is_digit(*reader->at); reader->at++) {
        value = value * 10 + (unsigned)(*reader->at - '0');
        if (value > bound)
            return false;
    }
    *number = value;
    return true;
}

/* Letters, then also digits: "core", "l1i". hwloc compares beginnings and ignores capitals. */
static bool take_word(struct reader *reader, bool *is_node)
{
    const char *word = reader->at;
    if (!is_letter(*word) || strncasecmp(word, "mem", 3) == 0)
        return false;
    *is_node = strncasecmp(word, "nu", 2) == 0 || strncasecmp(word, "no", 2) == 0;
    while (is_letter(*reader->at) || is_digit(*reader->at))
        reader->at++;
    return true;
}

/* "3,1,2,0" or "2*8:1*2". */
static bool take_indexes(struct reader *reader)
{
    uint64_t steps = 1;
    for (;;) {
        unsigned number;
        if (!take_number(reader, NPI_CPU_ID_MAX, &number))
            return false;
        if (number > reader->largest_index)
            reader->largest_index = number;
        if (steps <= STEPS_MAX)
            steps *= number > 0 ? number : 1;
        if (*reader->at != ',' && *reader->at != '*' && *reader->at != ':')
            break;
        /* A plain list has no steps. */
        if (*reader->at == ',')
            steps = 1;
        reader->at++;
    }
    return steps <= STEPS_MAX;
}

static bool take_attributes(struct reader *reader)
{
    if (*reader->at != '(')
        return true;
    do {
        reader->at++;
        if (strncmp(reader->at, "indexes=", 8) == 0) {
            reader->at += 8;
            if (!take_indexes(reader))
                return false;
        } else if (strncmp(reader->at, "memory=", 7) == 0 || strncmp(reader->at, "size=", 5) == 0) {
            reader->at += strcspn(reader->at, "=") + 1;
            if (!is_digit(*reader->at))
                return false;
            while (is_digit(*reader->at) || is_letter(*reader->at))
                reader->at++;
        } else {
            return false;
        }
    } while (*reader->at == ' ');
    return *reader->at++ == ')';
}

static unsigned last_width(const struct reader *reader)
{
    return reader->level_count > 0 ? reader->width[reader->level_count - 1] : 1;
}

/* NULL: taken. */
static const char *take_memory(struct reader *reader)
{
    bool is_node = false;
    reader->at++;
    if (!take_word(reader, &is_node) || !is_node || !take_attributes(reader) ||
        *reader->at++ != ']')
        return no_text;
    reader->nodes += last_width(reader);
    reader->objects += last_width(reader);
    return reader->nodes > NODES_MAX ? "asks for more than 1024 memory nodes" : NULL;
}

static const char *take_level(struct reader *reader)
{
    bool is_node = false;
    if (is_letter(*reader->at) && (!take_word(reader, &is_node) || *reader->at++ != ':'))
        return no_text;
    if (!is_digit(*reader->at))
        return no_text;
    unsigned count, width = last_width(reader);
    const char *number = reader->at;
    if (!take_number(reader, CPUS_MAX, &count)) {
        bool large = *number != '0' && is_digit(*reader->at);
        return large ? "asks for more than 16384 CPUs" : no_text;
    }
    if (count == 0 || reader->level_count == LEVELS_MAX)
        return no_text;
    if (width * count > CPUS_MAX)
        return "asks for more than 16384 CPUs";
    reader->arity[reader->level_count] = count;
    reader->width[reader->level_count++] = width * count;
    if (is_node && (reader->nodes += width * count) > NODES_MAX)
        return "asks for more than 1024 memory nodes";
    if (!take_attributes(reader) ||
        (*reader->at != '\0' && *reader->at != ' ' && *reader->at != '['))
        return no_text;
    return NULL;
}

/*
 * hwloc inserts every object from the top, before those that will hold it, and compares its set with
 * those of all that are there at each level.
 */
static double cost(const struct reader *reader)
{
    double objects = reader->objects, siblings = 0;
    unsigned highest = last_width(reader);
    if (reader->largest_index > highest)
        highest = reader->largest_index;
    for (unsigned i = 0; i < reader->level_count; i++) {
        objects += reader->width[i];
        siblings += reader->arity[i] / 2.0;
    }
    unsigned words = highest / 64 + 1; /* of a set that has the highest number in it */
    return objects * siblings * words;
}

const char *npi_synthetic_unfit(const char *text)
{
    struct reader reader = {.at = text};
    const char *why = NULL;
    if (!take_attributes(&reader))
        return no_text;
    while (why == NULL && *reader.at != '\0') {
        if (*reader.at == ' ')
            reader.at++;
        else
            why = *reader.at == '[' ? take_memory(&reader) : take_level(&reader);
    }
    if (why == NULL && reader.level_count == 0)
        why = no_text;
    if (why == NULL && cost(&reader) > COST_MAX)
        why = "would take too long to build; give its CPUs more levels, or make it smaller";
    return why;
}
