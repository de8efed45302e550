/* The list `shard` of a configuration file: explicit shards. See config_reader.h. */
#ifdef NUMAPOOL_CONFIG_FILE

#include "topology/config_reader.h"
#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

/* What an entry of `shard` may say; bounds as in the table of settings. */
enum { SHARD_CPUS, SHARD_CALLERS, SHARD_NODE, SHARD_WORKERS, SHARD_MEMORY, SHARD_SETTINGS };

static const struct npi_setting shard_settings[SHARD_SETTINGS] = {
    [SHARD_CPUS] = {.name = "cpus", .kind = NPI_SETTING_LIST},
    [SHARD_CALLERS] = {.name = "callers", .kind = NPI_SETTING_LIST},
    [SHARD_NODE] = {.name = "node", .kind = NPI_SETTING_COUNT, .low = 0, .high = 1023},
    [SHARD_WORKERS] = {.name = "workers", .kind = NPI_SETTING_COUNT, .low = 1, .high = 32768},
    [SHARD_MEMORY] = {.name = "memory",
                      .kind = NPI_SETTING_BYTES,
                      .low = UINT64_C(64) * 1024,
                      .high = UINT64_C(1) << 50},
};

/* As in the planner. Each is compared with every other, which takes minutes for what fits a file. */
enum { SHARDS_MAX = 1024 };

static int find_shard_setting(const char *name)
{
    for (int i = 0; i < SHARD_SETTINGS; i++)
        if (strcmp(shard_settings[i].name, name) == 0)
            return i;
    return -1;
}

static const char *suggest_shard_setting(const char *name)
{
    const char *nearest = NULL;
    unsigned best = 3;
    for (int i = 0; i < SHARD_SETTINGS; i++) {
        unsigned distance = npi_word_distance(name, shard_settings[i].name, 2);
        if (distance < best) {
            best = distance;
            nearest = shard_settings[i].name;
        }
    }
    return nearest;
}

static void store_shard_value(struct npi_placed_shard *shard, int which, struct npi_value *value)
{
    struct npi_cpuset *list = which == SHARD_CPUS      ? &shard->cpus
                              : which == SHARD_CALLERS ? &shard->callers
                                                       : NULL;
    if (list != NULL) {
        *list = value->set;
        value->set = (struct npi_cpuset){0};
    } else if (which == SHARD_NODE)
        shard->node = (int)value->number;
    else if (which == SHARD_WORKERS)
        shard->workers_max = (unsigned)value->number;
    else
        shard->memory_bytes = value->number;
}

/* One entry of `shard`. false: no memory. */
static bool read_shard(struct npi_config_reader *reader, const config_setting_t *entry,
                       unsigned index, struct npi_placed_shard *shard)
{
    bool has_cpus = false;
    shard->node = -1;
    shard->where = npi_text_format("%s:%d", reader->path, npi_reader_line(entry));
    char *prefix = npi_text_format("shard[%u].", index);
    bool done = shard->where != NULL && prefix != NULL;
    if (done && config_setting_type(entry) != CONFIG_TYPE_GROUP) {
        prefix[strlen(prefix) - 1] = '\0';
        npi_reader_wrong_type(reader, entry, prefix,
                              "a group such as { cpus = \"0-3\"; node = 0; }");
        free(prefix);
        return true;
    }
    for (int i = 0; done && i < config_setting_length(entry); i++) {
        const config_setting_t *at = config_setting_get_elem(entry, (unsigned)i);
        const char *name = config_setting_name(at);
        if (npi_reader_repeated(name))
            continue;
        int which = find_shard_setting(name);
        has_cpus |= which == SHARD_CPUS;
        if (which < 0) {
            npi_reader_unknown(
                reader, at, prefix, suggest_shard_setting(name),
                "possible: \"cpus\", \"callers\", \"node\", \"workers\" and \"memory\"");
            continue;
        }
        struct npi_value value;
        char *path = npi_text_format("%s%s", prefix, name);
        done = path != NULL;
        if (done && npi_reader_take(reader, &shard_settings[which], at, path, &value)) {
            store_shard_value(shard, which, &value);
            npi_value_fini(&value);
        }
        free(path);
    }
    if (done && !has_cpus)
        npi_mistakes_add(reader->mistakes, npi_reader_line(entry),
                         "%s: %scpus: it is missing; say which CPUs this shard has, such as "
                         "cpus = \"0-3\"",
                         shard->where, prefix);
    free(prefix);
    return done;
}

/* Everything a shard claims for itself. */
static bool claim(const struct npi_placed_shard *shard, struct npi_cpuset *claimed)
{
    return npi_cpuset_copy(claimed, &shard->cpus) && npi_cpuset_union(claimed, &shard->callers);
}

/* CPUs that two shards claim, with the lines of both. */
static void check_pair(struct npi_config_reader *reader, const config_setting_t *list,
                       const struct npi_placed_shard *shards, unsigned a, unsigned b)
{
    struct npi_cpuset both = {0}, other = {0};
    struct npi_text text = {0};
    bool done = claim(&shards[b], &both) && claim(&shards[a], &other);
    npi_cpuset_intersect(&both, &other);
    size_t count = npi_cpuset_count(&both);
    if (done && count > 0) {
        npi_text_add(&text, "%s: shard[%u].%s: CPU%s ", shards[b].where, b,
                     npi_cpuset_intersects(&shards[b].cpus, &both) ? "cpus" : "callers",
                     count == 1 ? "" : "s");
        npi_text_add_set(&text, &both);
        npi_text_add(&text,
                     " already belong%s to shard[%u] in line %d; a CPU can be in one shard "
                     "only",
                     count == 1 ? "s" : "", a, npi_reader_line(config_setting_get_elem(list, a)));
        char *message = npi_text_take(&text);
        done = message != NULL;
        if (done)
            npi_mistakes_add(reader->mistakes, npi_reader_line(config_setting_get_elem(list, b)),
                             "%s", message);
        free(message);
    }
    if (!done)
        reader->mistakes->no_memory = true;
    npi_cpuset_fini(&both);
    npi_cpuset_fini(&other);
}

static void check_overlaps(struct npi_config_reader *reader, const config_setting_t *list,
                           const struct npi_placed_shard *shards, unsigned count)
{
    for (unsigned b = 1; b < count; b++)
        for (unsigned a = 0; a < b; a++)
            check_pair(reader, list, shards, a, b);
}

void npi_reader_shards(struct npi_config_reader *reader, const config_setting_t *list)
{
    struct numapool_placement *placement = reader->edit->config.placement;
    int type = config_setting_type(list);
    int length = type == CONFIG_TYPE_LIST ? config_setting_length(list) : 0;
    if (type != CONFIG_TYPE_LIST) {
        npi_reader_wrong_type(reader, list, "shard",
                              "a list of groups: shard = ( { cpus = \"0-3\"; } );");
        return;
    }
    if (length == 0) {
        npi_mistakes_add(reader->mistakes, npi_reader_line(list),
                         "%s:%d: shard: the list is empty; describe at least one shard, or leave "
                         "it out",
                         reader->path, npi_reader_line(list));
        return;
    }
    if (length > SHARDS_MAX) {
        npi_mistakes_add(reader->mistakes, npi_reader_line(list),
                         "%s:%d: shard: the list has %d shards; at most %d are possible",
                         reader->path, npi_reader_line(list), length, SHARDS_MAX);
        return;
    }
    struct npi_placed_shard *shards = calloc((size_t)length, sizeof *shards);
    unsigned count = 0;
    bool done = shards != NULL;
    while (done && count < (unsigned)length) {
        done = read_shard(reader, config_setting_get_elem(list, count), count, &shards[count]);
        count++;
    }
    if (!done) {
        reader->mistakes->no_memory = true;
        npi_placed_shards_free(shards, shards != NULL ? count : 0);
        return;
    }
    check_overlaps(reader, list, shards, count);
    npi_placed_shards_free(placement->shards, placement->shard_count);
    placement->shards = shards;
    placement->shard_count = count;
    char *where = npi_text_format("%s:%d", reader->path, npi_reader_line(list));
    if (where == NULL)
        reader->mistakes->no_memory = true;
    else if (reader->edit->told != NULL)
        reader->edit->told(reader->edit->told_arg, NULL, where);
    free(where);
}

#else

/* ISO C wants a file to declare something. */
extern int npi_config_shards_left_out;

#endif
