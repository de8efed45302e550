/*
 * The load file. Values are read by the configuration's own reader, so that numbers, units and
 * mistakes look alike in both; what they mean together is checked here.
 */
#include "tool/load.h"

#include "sim/event.h"
#include "topology/settings.h"

#include <stdlib.h>

void load_fini(struct load *load)
{
    free(load->loads);
    free(load->changes);
    free(load->trace);
}

#ifdef NUMAPOOL_CONFIG_FILE

#include "tool/load_stream.h"
#include "topology/config_reader.h"
#include "topology/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HOUR_NS UINT64_C(3600000000000)
#define RATE_MAX 1000000000 /* a second; as thousandths below */
#define TIME(key)                                                                                  \
    {                                                                                              \
        .name = (key), .kind = NPI_SETTING_TIME, .low = 0, .high = HOUR_NS                         \
    }
#define SHARE(key, most)                                                                           \
    {                                                                                              \
        .name = (key), .kind = NPI_SETTING_SHARE, .high = UINT64_C(1000) * (most)                  \
    }
#define COUNT(key, most)                                                                           \
    {                                                                                              \
        .name = (key), .kind = NPI_SETTING_COUNT, .high = (most)                                   \
    }
#define WORD(key, list)                                                                            \
    {                                                                                              \
        .name = (key), .kind = NPI_SETTING_WORD, .words = (list)                                   \
    }
#define TEXT(key, most)                                                                            \
    {                                                                                              \
        .name = (key), .kind = NPI_SETTING_TEXT, .low = 1, .high = (most)                          \
    }

enum { TOP_DURATION, TOP_SEED, TOP_TRACE, TOP_STREAM, TOP_CHANGE, TOP_KEYS };
static const struct npi_setting top_keys[TOP_KEYS] = {
    [TOP_DURATION] = {.name = "duration",
                      .kind = NPI_SETTING_TIME,
                      .low = 10000000,
                      .high = HOUR_NS},
    [TOP_SEED] = COUNT("seed", INT64_MAX),
    [TOP_TRACE] = TEXT("trace", 4000),
    [TOP_STREAM] = {.name = "stream"}, /* these two are lists, read by read_list() */
    [TOP_CHANGE] = {.name = "change"},
};

/* The first ones are those of enum load_key. */
enum {
    STREAM_PATTERN = KEY_SHAPES,
    STREAM_HOME,
    STREAM_SKEW,
    STREAM_CLASS,
    STREAM_CPU,
    STREAM_BLOCK,
    STREAM_DEADLINE,
    STREAM_FROM,
    STREAM_UNTIL,
    STREAM_KEYS
};
static const struct npi_setting stream_keys[STREAM_KEYS] = {
    [KEY_RATE] = SHARE("rate", RATE_MAX),
    [KEY_PEAK] = SHARE("peak", RATE_MAX),
    [KEY_AT] = TIME("at"),
    [KEY_LASTS] = TIME("lasts"),
    [KEY_PERIOD] = TIME("period"),
    [STREAM_PATTERN] = WORD("pattern", load_patterns),
    [STREAM_HOME] = COUNT("home", NPI_NO_SHARD),
    [STREAM_SKEW] = SHARE("skew", 1),
    [STREAM_CLASS] = WORD("class", load_classes),
    [STREAM_CPU] = TEXT("cpu", 80),
    [STREAM_BLOCK] = TEXT("block", 80),
    [STREAM_DEADLINE] = TIME("deadline"),
    [STREAM_FROM] = TIME("from"),
    [STREAM_UNTIL] = TIME("until"),
};

enum { CHANGE_AT, CHANGE_NODE, CHANGE_CPUS, CHANGE_SPEED, CHANGE_FOREIGN, CHANGE_KEYS };
static const struct npi_setting change_keys[CHANGE_KEYS] = {
    [CHANGE_AT] = TIME("at"),
    [CHANGE_NODE] = COUNT("node", NPI_NO_SHARD),
    [CHANGE_CPUS] = SHARE("cpus", 1024),
    [CHANGE_SPEED] = SHARE("speed", 100),
    [CHANGE_FOREIGN] = SHARE("foreign", 1024),
};

#define KEYS_MAX STREAM_KEYS

/* One group of the file, read. */
struct entry {
    struct npi_config_reader *reader;
    const char *prefix; /* "stream[0]." */
    const config_setting_t *at[KEYS_MAX];
    struct npi_value values[KEYS_MAX];
    unsigned said; /* bit per key */
    int line;
    bool fine;
};

__attribute__((format(printf, 3, 4))) static void mistake(struct entry *entry, int key,
                                                          const char *format, ...)
{
    char what[300];
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start() is right above */
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    int line = key >= 0 && entry->at[key] != NULL ? npi_reader_line(entry->at[key]) : entry->line;
    npi_mistakes_add(entry->reader->mistakes, line, "%s:%d: %s%s", entry->reader->path, line,
                     entry->prefix, what);
    entry->fine = false;
}

static bool said(const struct entry *entry, int key)
{
    return (entry->said & 1u << key) != 0;
}

static double seconds(const struct entry *entry, int key)
{
    return (double)entry->values[key].number * 1e-9;
}

static const char *nearest(const char *name, const struct npi_setting *keys, int count)
{
    const char *best = NULL;
    unsigned least = 3;
    for (int i = 0; i < count; i++) {
        unsigned distance = npi_word_distance(name, keys[i].name, 2);
        if (distance < least) {
            least = distance;
            best = keys[i].name;
        }
    }
    return best;
}

/* "even" for home is what is meant without it. */
static bool is_even(const config_setting_t *at, const char *name)
{
    return strcmp(name, "home") == 0 && config_setting_type(at) == CONFIG_TYPE_STRING &&
           strcmp(config_setting_get_string(at), "even") == 0;
}

static void read_key(struct entry *entry, const config_setting_t *at,
                     const struct npi_setting *keys, int count)
{
    const char *name = config_setting_name(at);
    int key = 0;
    while (key < count && strcmp(keys[key].name, name) != 0)
        key++;
    if (key == count) {
        char known[300] = "possible:";
        for (int i = 0; i < count; i++)
            (void)snprintf(known + strlen(known), sizeof known - strlen(known), " %s",
                           keys[i].name);
        npi_reader_unknown(entry->reader, at, entry->prefix, nearest(name, keys, count), known);
        entry->fine = false;
        return;
    }
    entry->at[key] = at;
    if (is_even(at, name))
        return;
    char path[64];
    (void)snprintf(path, sizeof path, "%s%s", entry->prefix, name);
    if (npi_reader_take(entry->reader, &keys[key], at, path, &entry->values[key]))
        entry->said |= 1u << key;
    else
        entry->fine = false;
}

/* One group of a list. false: it is none, and a mistake was added. */
static bool read_entry(struct entry *entry, struct npi_config_reader *reader,
                       const config_setting_t *group, const char *prefix,
                       const struct npi_setting *keys, int count)
{
    *entry = (struct entry){.reader = reader, .prefix = prefix, .fine = true};
    entry->line = npi_reader_line(group);
    if (config_setting_type(group) != CONFIG_TYPE_GROUP) {
        npi_reader_wrong_type(reader, group, prefix, "a group in { }");
        return false;
    }
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
        if (!npi_reader_repeated(config_setting_name(at)))
            read_key(entry, at, keys, count);
    }
    return true;
}

static bool is_node(struct entry *entry, int key, const struct npi_plan *plan)
{
    uint64_t node = entry->values[key].number;
    if (node < plan->node_count)
        return true;
    mistake(entry, key, "%s: there is no node %llu; the machine has 0 to %u",
            key == STREAM_HOME ? "home" : "node", (unsigned long long)node, plan->node_count - 1);
    return false;
}

static void set_home(struct entry *entry, const struct npi_plan *plan, struct sim_load *common)
{
    if (!said(entry, STREAM_HOME)) {
        if (said(entry, STREAM_SKEW))
            mistake(entry, STREAM_SKEW, "skew: it is the share of one node; name it by home");
        common->home_count = plan->shard_count;
        return;
    }
    unsigned first, count;
    if (!is_node(entry, STREAM_HOME, plan))
        return;
    npi_plan_shards_of(plan, (unsigned)entry->values[STREAM_HOME].number, &first, &count);
    common->home = first;
    common->home_count = count;
    common->elsewhere = said(entry, STREAM_SKEW) ? 1.0 - entry->values[STREAM_SKEW].share : 0.0;
}

static void set_time(struct entry *entry, int key, struct sim_time *time)
{
    if (said(entry, key) && !load_parse_time(entry->values[key].text, time))
        mistake(entry, key,
                "%s: it is \"%s\"; what is wanted is \"2ms\", \"exponential 2ms\", \"lognormal 2ms "
                "1.5\" (mean, spread up to 5) or \"bimodal 2ms 50ms 0.1\" (usual, other, share of "
                "the other)",
                stream_keys[key].name, entry->values[key].text);
}

static void check_pattern(struct entry *entry, const struct load_stream *stream)
{
    const char *pattern = load_patterns[stream->pattern];
    for (int key = 0; key < KEY_SHAPES; key++) {
        bool there = entry->at[key] != NULL;
        if (!there && (load_pattern_needs(stream->pattern) & KEY_BIT(key)) != 0)
            mistake(entry, -1, "%s: it is missing; the pattern \"%s\" needs it",
                    load_key_names[key], pattern);
        if (there && (load_pattern_takes(stream->pattern) & KEY_BIT(key)) == 0)
            mistake(entry, key, "%s: the pattern \"%s\" does not have it; leave it out",
                    load_key_names[key], pattern);
    }
    if (stream->pattern == LOAD_BURST && said(entry, KEY_PEAK) && stream->peak < stream->rate)
        mistake(entry, KEY_PEAK, "peak: it is below rate; a burst goes up");
    if (stream->pattern == LOAD_BURST && said(entry, KEY_PERIOD) && stream->period < stream->lasts)
        mistake(entry, KEY_PERIOD,
                "period: it is shorter than lasts; a burst ends before the next");
    if (stream->pattern == LOAD_DIURNAL && said(entry, KEY_PERIOD) && stream->period <= 0.0)
        mistake(entry, KEY_PERIOD, "period: it is 0; a wave has a length");
}

static void read_stream(struct load *load, struct npi_config_reader *reader,
                        const config_setting_t *group, const char *prefix,
                        const struct npi_plan *plan)
{
    struct entry entry;
    struct load_stream stream = {.pattern = LOAD_POISSON};
    if (!read_entry(&entry, reader, group, prefix, stream_keys, STREAM_KEYS))
        return;
    if (said(&entry, STREAM_PATTERN))
        stream.pattern = (enum load_pattern)entry.values[STREAM_PATTERN].number;
    stream.rate = entry.values[KEY_RATE].share;
    stream.peak = entry.values[KEY_PEAK].share;
    stream.at = seconds(&entry, KEY_AT);
    stream.lasts = seconds(&entry, KEY_LASTS);
    stream.period = seconds(&entry, KEY_PERIOD);
    stream.from = seconds(&entry, STREAM_FROM);
    stream.until = seconds(&entry, STREAM_UNTIL);
    if (entry.at[STREAM_PATTERN] == NULL || said(&entry, STREAM_PATTERN))
        check_pattern(&entry, &stream);
    if (said(&entry, STREAM_UNTIL) && stream.until <= stream.from)
        mistake(&entry, STREAM_UNTIL, "until: it is not after from; the stream would be empty");

    struct sim_load *common = &stream.common;
    set_home(&entry, plan, common);
    if (entry.at[STREAM_CPU] == NULL && entry.at[STREAM_BLOCK] == NULL)
        mistake(&entry, -1, "cpu: it is missing; say what a task does, with cpu, block or both");
    set_time(&entry, STREAM_CPU, &common->cpu);
    set_time(&entry, STREAM_BLOCK, &common->block);
    common->deadline_ms = seconds(&entry, STREAM_DEADLINE) * 1e3;
    int class =
        said(&entry, STREAM_CLASS) ? (int)entry.values[STREAM_CLASS].number : NPI_CLASS_NORMAL;
    common->mix[class] = 1.0;
    if (entry.fine)
        load_add_stream(load, &stream);
}

/* A node's part for each of its shards. */
static void add_changes(struct load *load, const struct npi_plan *plan, unsigned node,
                        struct sim_change change, bool divided)
{
    unsigned first, count;
    npi_plan_shards_of(plan, node, &first, &count);
    for (unsigned i = 0; i < count; i++) {
        struct sim_change one = change;
        one.shard = first + i;
        one.value = divided ? change.value / count : change.value;
        load->changes =
            sim_grow(load->changes, load->change_count, &load->change_space, sizeof *load->changes);
        load->changes[load->change_count++] = one;
    }
}

static void read_change(struct load *load, struct npi_config_reader *reader,
                        const config_setting_t *group, const char *prefix,
                        const struct npi_plan *plan)
{
    static const struct {
        int key;
        enum sim_change_kind kind;
        bool divided;
    } kinds[] = {
        {CHANGE_CPUS, SIM_CHANGE_CPUS, true},
        {CHANGE_SPEED, SIM_CHANGE_SPEED, false},
        {CHANGE_FOREIGN, SIM_CHANGE_FOREIGN, true},
    };
    struct entry entry;
    if (!read_entry(&entry, reader, group, prefix, change_keys, CHANGE_KEYS))
        return;
    if (entry.at[CHANGE_NODE] == NULL)
        mistake(&entry, -1, "node: it is missing; say which node changes");
    else if (said(&entry, CHANGE_NODE) && is_node(&entry, CHANGE_NODE, plan) &&
             plan->shards[plan->nodes[entry.values[CHANGE_NODE].number].shard].spans_nodes)
        mistake(&entry, CHANGE_NODE,
                "node: its shard spans nodes and changes only as a whole; use "
                "shards that do not");
    int things = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        things += entry.at[kinds[i].key] != NULL;
    if (things != 1)
        mistake(&entry, -1, "cpus: %s of cpus, speed and foreign changes here; say exactly one",
                things == 0 ? "none" : "more than one");
    for (int key = CHANGE_CPUS; key <= CHANGE_SPEED; key++)
        if (said(&entry, key) && entry.values[key].share <= 0.0)
            mistake(&entry, key, "%s: it is 0, and the node would stand still; more than 0",
                    change_keys[key].name);
    for (size_t i = 0; entry.fine && i < sizeof kinds / sizeof *kinds; i++) {
        if (!said(&entry, kinds[i].key))
            continue;
        struct sim_change change = {.at_s = seconds(&entry, CHANGE_AT),
                                    .kind = kinds[i].kind,
                                    .value = entry.values[kinds[i].key].share};
        add_changes(load, plan, (unsigned)entry.values[CHANGE_NODE].number, change,
                    kinds[i].divided);
    }
}

typedef void read_one(struct load *load, struct npi_config_reader *reader,
                      const config_setting_t *group, const char *prefix,
                      const struct npi_plan *plan);

static void read_list(struct load *load, struct npi_config_reader *reader,
                      const config_setting_t *list, const struct npi_plan *plan, read_one *read)
{
    const char *name = config_setting_name(list);
    if (config_setting_type(list) != CONFIG_TYPE_LIST) {
        npi_reader_wrong_type(reader, list, name, "a list of groups in ( )");
        return;
    }
    for (int i = 0; i < config_setting_length(list); i++) {
        char prefix[32];
        (void)snprintf(prefix, sizeof prefix, "%.12s[%d].", name, i);
        read(load, reader, config_setting_get_elem(list, (unsigned)i), prefix, plan);
    }
}

/* A trace lies beside the file that names it. */
static void read_trace(struct load *load, struct npi_config_reader *reader, const char *name,
                       const struct npi_plan *plan)
{
    const char *slash = strrchr(reader->path, '/');
    int folder = name[0] == '/' || slash == NULL ? 0 : (int)(slash - reader->path) + 1;
    char *path = npi_text_format("%.*s%s", folder, reader->path, name);
    if (path == NULL)
        reader->mistakes->no_memory = true;
    else
        load_read_trace(load, path, plan, reader->mistakes);
    free(path);
}

static void read_root(struct load *load, struct npi_config_reader *reader,
                      const config_setting_t *root, const struct npi_plan *plan)
{
    struct entry top = {.reader = reader, .prefix = "", .line = 1, .fine = true};
    const config_setting_t *streams = NULL, *changes = NULL;
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *at = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(at);
        if (strcmp(name, "stream") == 0)
            streams = at;
        else if (strcmp(name, "change") == 0)
            changes = at;
        else if (!npi_reader_repeated(name))
            read_key(&top, at, top_keys, TOP_KEYS);
    }
    load->seed = said(&top, TOP_SEED) ? top.values[TOP_SEED].number : 1;
    load->seconds = seconds(&top, TOP_DURATION);
    if (top.at[TOP_DURATION] == NULL)
        mistake(&top, -1, "duration: it is missing; write for example duration = \"10s\";");
    if ((streams != NULL) == (top.at[TOP_TRACE] != NULL))
        mistake(&top, TOP_TRACE,
                "stream: %s; give either stream = ( { ... } ); or trace = \"FILE\";",
                streams != NULL ? "there is a trace, too" : "it is missing");
    if (streams != NULL)
        read_list(load, reader, streams, plan, read_stream);
    if (changes != NULL)
        read_list(load, reader, changes, plan, read_change);
    if (said(&top, TOP_TRACE))
        read_trace(load, reader, top.values[TOP_TRACE].text, plan);
}

void load_read(struct load *load, const char *path, const struct npi_plan *plan,
               struct npi_mistakes *mistakes)
{
    config_t config;
    *load = (struct load){0};
    if (!npi_reader_open(path, &config, mistakes))
        return;
    struct npi_config_reader reader = {.path = path, .mistakes = mistakes};
    read_root(load, &reader, config_root_setting(&config), plan);
    config_destroy(&config);
}

#else

void load_read(struct load *load, const char *path, const struct npi_plan *plan,
               struct npi_mistakes *mistakes)
{
    (void)plan;
    *load = (struct load){0};
    npi_mistakes_add(mistakes, 0,
                     "%s: this build of numapool reads no load files; build it with "
                     "NUMAPOOL_CONFIG_FILE=ON",
                     path);
}

#endif
