/*
 * Holds an XML text against what hwloc's own exports are: which elements there are and where, and
 * that the sets of CPUs and nodes of nested objects fit into each other. See discover_xml.h; the
 * text itself is xml_scan.c's.
 */
#include "topology/discover_xml.h"

#include "topology/machine.h"
#include "topology/xml_scan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Real machines have about ten levels. */
#define DEPTH_MAX 48u

/* As for texts: more of them would take hwloc, or the planner, too long. */
#define CPUS_MAX 16384u
#define NODES_MAX 1024u
#define OBJECTS_MAX 200000u

#define SET_WORDS ((NPI_CPU_ID_MAX + 1) / 64)

struct set {
    uint64_t words[SET_WORDS];
};

enum { CPUSET, COMPLETE_CPUSET, NODESET, COMPLETE_NODESET, SETS };

static const char *const set_names[SETS] = {"cpuset", "complete_cpuset", "nodeset",
                                            "complete_nodeset"};

enum kind {
    KIND_NORMAL, /* CPUs and what holds them */
    KIND_PU,
    KIND_NODE,
    KIND_MEMORY, /* a cache before a node */
    KIND_OTHER,  /* devices and remarks: no sets */
};

/* An object whose end has not come. */
struct open_object {
    enum kind kind;
    struct set sets[SETS];
    struct set taken; /* complete CPUs of the normal children so far */
    int last;         /* the first CPU of the last of them, -1 = there was none */
};

struct reader {
    struct npi_xml_scan scan;
    struct npi_xml_tag tag;
    struct open_object open[DEPTH_MAX];
    unsigned depth;
    unsigned objects, cpus, nodes;
    bool root_seen;
    struct set nodes_seen;
    struct set scratch;
};

static const char not_hwlocs[] = "it is not written as hwloc writes XML";
static const char bad_set[] = "an object has a set that cannot be read";
static const char contradiction[] = "an object's CPUs or nodes contradict those around it";
static const char too_large[] = "it describes more than 16384 CPUs, 1024 nodes or 200000 objects";

/* ------------------------------------------------------------------------------- sets */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "0x00000001,,0xffffffff": groups of 32 bits, the highest first, empty ones are 0. */
static bool read_set(struct npi_xml_span text, struct set *set)
{
    const char *at = text.start, *end = at + text.length;
    size_t group = 1;
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < text.length; i++)
        group += at[i] == ',';
    if (text.length == 0 || group > (size_t)SET_WORDS * 2)
        return false;
    while (group-- > 0) {
        uint64_t value = 0;
        if (at < end && *at != ',') {
            if (end - at < 3 || at[0] != '0' || at[1] != 'x')
                return false;
            unsigned digits = 0;
            for (at += 2; at < end && *at != ','; at++, digits++) {
                int digit = hex_digit(*at);
                if (digit < 0 || digits == 8)
                    return false;
                value = value << 4 | (unsigned)digit;
            }
        }
        set->words[group / 2] |= value << (group % 2 * 32);
        at++; /* the comma */
    }
    return true;
}

static bool contains(const struct set *set, const struct set *part)
{
    for (size_t i = 0; i < SET_WORDS; i++)
        if (part->words[i] & ~set->words[i])
            return false;
    return true;
}

static bool intersects(const struct set *a, const struct set *b)
{
    for (size_t i = 0; i < SET_WORDS; i++)
        if (a->words[i] & b->words[i])
            return true;
    return false;
}

static int first_of(const struct set *set)
{
    for (size_t i = 0; i < SET_WORDS; i++)
        if (set->words[i] != 0)
            return (int)(i * 64) + __builtin_ctzll(set->words[i]);
    return (int)NPI_CPU_ID_MAX + 1; /* empty ones come last */
}

static bool is_only(const struct set *set, unsigned id)
{
    for (size_t i = 0; i < SET_WORDS; i++)
        if (set->words[i] != (i == id / 64 ? UINT64_C(1) << (id % 64) : 0))
            return false;
    return true;
}

static void add_all(struct set *set, const struct set *more)
{
    for (size_t i = 0; i < SET_WORDS; i++)
        set->words[i] |= more->words[i];
}

/* ---------------------------------------------------------------------------- objects */

static bool find_kind(struct npi_xml_span type, enum kind *kind)
{
    static const struct {
        const char *name;
        enum kind kind;
    } types[] = {
        {"Machine", KIND_NORMAL},  {"Package", KIND_NORMAL},  {"Die", KIND_NORMAL},
        {"Group", KIND_NORMAL},    {"L5Cache", KIND_NORMAL},  {"L4Cache", KIND_NORMAL},
        {"L3Cache", KIND_NORMAL},  {"L2Cache", KIND_NORMAL},  {"L1Cache", KIND_NORMAL},
        {"L3iCache", KIND_NORMAL}, {"L2iCache", KIND_NORMAL}, {"L1iCache", KIND_NORMAL},
        {"Core", KIND_NORMAL},     {"PU", KIND_PU},           {"NUMANode", KIND_NODE},
        {"MemCache", KIND_MEMORY}, {"Misc", KIND_OTHER},      {"Bridge", KIND_OTHER},
        {"PCIDev", KIND_OTHER},    {"OSDev", KIND_OTHER},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (npi_xml_is(type, types[i].name)) {
            *kind = types[i].kind;
            return true;
        }
    return false;
}

static const char *read_sets(const struct npi_xml_tag *tag, struct open_object *object)
{
    unsigned found = 0;
    for (unsigned i = 0; i < SETS; i++) {
        const struct npi_xml_span *text = npi_xml_value(tag, set_names[i]);
        if (text != NULL && !read_set(*text, &object->sets[i]))
            return bad_set;
        found += text != NULL;
    }
    if (object->kind == KIND_OTHER)
        return found == 0 ? NULL : contradiction;
    if (found != SETS)
        return "an object lacks one of its four sets of CPUs and nodes";
    if (!contains(&object->sets[COMPLETE_CPUSET], &object->sets[CPUSET]) ||
        !contains(&object->sets[COMPLETE_NODESET], &object->sets[NODESET]))
        return contradiction;
    return NULL;
}

/* What the root says in addition: which CPUs and nodes the exporting process was allowed. */
static const char *read_allowed(struct reader *reader, const struct open_object *root)
{
    static const struct {
        const char *name;
        int within;
    } sets[] = {{"allowed_cpuset", COMPLETE_CPUSET}, {"allowed_nodeset", COMPLETE_NODESET}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const struct npi_xml_span *text = npi_xml_value(&reader->tag, sets[i].name);
        if (text == NULL)
            continue;
        if (!read_set(*text, &reader->scratch))
            return bad_set;
        if (!contains(&root->sets[sets[i].within], &reader->scratch))
            return contradiction;
    }
    return NULL;
}

/* A PU's number is its only CPU, a node's its only node, and nobody else's. */
static const char *check_number(struct reader *reader, const struct open_object *object)
{
    const struct npi_xml_span *text = npi_xml_value(&reader->tag, "os_index");
    uint64_t number = 0;
    bool own = object->kind == KIND_PU || object->kind == KIND_NODE;
    uint64_t bound = object->kind == KIND_PU     ? NPI_CPU_ID_MAX
                     : object->kind == KIND_NODE ? NPI_NODE_ID_MAX
                                                 : INT32_MAX;
    if (text != NULL && !npi_xml_number(*text, bound, &number))
        return "an object has a number that cannot be used";
    if (!own)
        return NULL;
    if (text == NULL)
        return "a CPU or node has no number";
    if (object->kind == KIND_PU)
        return is_only(&object->sets[COMPLETE_CPUSET], (unsigned)number) ? NULL : contradiction;
    if (!is_only(&object->sets[COMPLETE_NODESET], (unsigned)number) ||
        intersects(&reader->nodes_seen, &object->sets[COMPLETE_NODESET]))
        return contradiction;
    add_all(&reader->nodes_seen, &object->sets[COMPLETE_NODESET]);
    return NULL;
}

/* Inside its parent and, where it holds CPUs, beside and after its siblings. */
static const char *check_place(struct open_object *parent, const struct open_object *object)
{
    if (object->kind == KIND_OTHER)
        return NULL;
    if (parent->kind == KIND_OTHER || parent->kind == KIND_PU || parent->kind == KIND_NODE)
        return contradiction;
    for (unsigned i = 0; i < SETS; i++)
        if (!contains(&parent->sets[i], &object->sets[i]))
            return contradiction;
    if (object->kind == KIND_NODE || object->kind == KIND_MEMORY)
        return NULL;
    const struct set *cpus = &object->sets[COMPLETE_CPUSET];
    int first = first_of(cpus);
    if (parent->kind == KIND_MEMORY || intersects(&parent->taken, cpus) || first < parent->last)
        return contradiction;
    parent->last = first;
    add_all(&parent->taken, cpus);
    return NULL;
}

static const char *take_object(struct reader *reader)
{
    const struct npi_xml_tag *tag = &reader->tag;
    if (reader->depth == DEPTH_MAX)
        return "its objects are nested too deep";
    struct open_object *object = &reader->open[reader->depth];
    const struct npi_xml_span *number = npi_xml_value(tag, "gp_index");
    uint64_t ignored;
    *object = (struct open_object){.last = -1};
    /* hwloc reads other attributes by the type. */
    if (tag->count == 0 || !npi_xml_is(tag->attributes[0].name, "type") ||
        !find_kind(tag->attributes[0].value, &object->kind))
        return "an object's type is missing or not known";
    if (number != NULL && !npi_xml_number(*number, UINT64_MAX, &ignored))
        return "an object has a number that cannot be used";
    bool machine = npi_xml_is(tag->attributes[0].value, "Machine");
    if (machine == (reader->depth > 0) || (machine && reader->root_seen))
        return "it is not one machine with everything inside";
    const char *why = read_sets(tag, object);
    if (why == NULL)
        why = check_number(reader, object);
    if (why == NULL)
        why = machine ? read_allowed(reader, object)
                      : check_place(&reader->open[reader->depth - 1], object);
    reader->root_seen |= machine;
    reader->cpus += object->kind == KIND_PU;
    reader->nodes += object->kind == KIND_NODE;
    if (why == NULL &&
        (++reader->objects > OBJECTS_MAX || reader->cpus > CPUS_MAX || reader->nodes > NODES_MAX))
        why = too_large;
    reader->depth += !tag->closed;
    return why;
}

/* ------------------------------------------------------------------ what is not an object */

/* The numbers in an element that has nothing inside. hwloc compares the length it says. */
static const char *take_numbers(struct reader *reader)
{
    const struct npi_xml_span *length = npi_xml_value(&reader->tag, "length");
    struct npi_xml_span name = reader->tag.name;
    uint64_t said = 0;
    if (length == NULL || !npi_xml_number(*length, 1 << 20, &said) || reader->tag.closed)
        return not_hwlocs;
    if (!npi_xml_next(&reader->scan, &reader->tag) || !reader->tag.end ||
        reader->tag.name.length != name.length ||
        memcmp(reader->tag.name.start, name.start, name.length) != 0 ||
        reader->tag.before.length != said)
        return not_hwlocs;
    for (size_t i = 0; i < said; i++)
        if (strchr("0123456789 ", reader->tag.before.start[i]) == NULL)
            return not_hwlocs;
    return NULL;
}

static const char *check_table(const struct npi_xml_tag *tag)
{
    const struct npi_xml_span *count = npi_xml_value(tag, "nbobjs");
    uint64_t number;
    if (count == NULL || !npi_xml_number(*count, NODES_MAX, &number) || number == 0)
        return "a table of distances has no size, or one too large";
    return NULL;
}

static const char *check_kind_of_cpus(struct reader *reader)
{
    const struct npi_xml_span *cpus = npi_xml_value(&reader->tag, "cpuset");
    return cpus == NULL || !read_set(*cpus, &reader->scratch) ? bad_set : NULL;
}

static const char *check_initiator(struct reader *reader)
{
    const struct npi_xml_span *cpus = npi_xml_value(&reader->tag, "initiator_cpuset");
    return cpus != NULL && !read_set(*cpus, &reader->scratch) ? bad_set : NULL;
}

/* Everything up to the end of an element that is not an object, and is not nested deep. */
/* NOLINTNEXTLINE(misc-no-recursion): once, as depth says */
static const char *take_element(struct reader *reader, unsigned depth)
{
    static const char *const plain[] = {"info", "page_type", "support", "memattr"};
    struct npi_xml_span name = reader->tag.name;
    bool closed = reader->tag.closed, known = false;
    const char *why = NULL;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        known |= npi_xml_is(name, plain[i]);
    if (npi_xml_is(name, "indexes") || npi_xml_is(name, "u64values"))
        return depth == 1 ? take_numbers(reader) : not_hwlocs;
    if (npi_xml_is(name, "distances2"))
        why = check_table(&reader->tag);
    else if (npi_xml_is(name, "cpukind"))
        why = check_kind_of_cpus(reader);
    else if (npi_xml_is(name, "memattr_value"))
        why = check_initiator(reader);
    else if (!known)
        why = "it has an element that lstopo does not write";
    while (why == NULL && !closed) {
        if (!npi_xml_next(&reader->scan, &reader->tag))
            return not_hwlocs;
        if (reader->tag.end)
            closed = reader->tag.name.length == name.length &&
                     memcmp(reader->tag.name.start, name.start, name.length) == 0;
        if (reader->tag.end && !closed)
            why = not_hwlocs;
        else if (!closed)
            why = depth == 0 ? take_element(reader, 1) : not_hwlocs;
    }
    return why;
}

static const char *take_topology(struct reader *reader)
{
    const struct npi_xml_span *version;
    if (!npi_xml_next(&reader->scan, &reader->tag) || reader->tag.end ||
        !npi_xml_is(reader->tag.name, "topology"))
        return "there is no topology in it";
    version = npi_xml_value(&reader->tag, "version");
    if (version == NULL || reader->tag.count != 1 || version->length != 3 ||
        version->start[0] < '2' || version->start[0] > '9' || version->start[1] != '.' ||
        hex_digit(version->start[2]) < 0)
        return "it was not made by hwloc 2 or later";
    return reader->tag.closed ? not_hwlocs : NULL;
}

static const char *take_all(struct reader *reader)
{
    if (!npi_xml_header(&reader->scan))
        return not_hwlocs;
    const char *why = take_topology(reader);
    while (why == NULL) {
        if (!npi_xml_next(&reader->scan, &reader->tag))
            return not_hwlocs;
        bool object = npi_xml_is(reader->tag.name, "object");
        if (!reader->tag.end) {
            why = object ? take_object(reader) : take_element(reader, 0);
        } else if (reader->depth > 0 && object) {
            reader->depth--;
        } else if (reader->depth == 0 && npi_xml_is(reader->tag.name, "topology")) {
            if (reader->root_seen && (reader->cpus == 0 || reader->nodes == 0))
                return "it describes no CPU or no memory node";
            return npi_xml_over(&reader->scan) ? NULL : not_hwlocs;
        } else {
            return not_hwlocs;
        }
    }
    return why;
}

const char *npi_xml_unfit(const char *text, int *line, bool *no_memory)
{
    /* Some hundred kilobytes: too many for a stack. */
    struct reader *reader = calloc(1, sizeof *reader);
    *line = 1;
    *no_memory = reader == NULL;
    if (reader == NULL)
        return NULL;
    reader->scan = (struct npi_xml_scan){.at = text, .line = 1};
    const char *why = take_all(reader);
    *line = reader->scan.line;
    free(reader);
    return why;
}
