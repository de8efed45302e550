/*
 * The configuration file: finding it fit to be read, and taking every setting out of it. Built
 * without libconfig, every file is one mistake that says so.
 *
 * libconfig gives types and lines. What it does not, config_scan.c finds first.
 */
#include "topology/config_edit.h"

#ifdef NUMAPOOL_CONFIG_FILE

#include "topology/config_reader.h"
#include "topology/config_scan.h"
#include "topology/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file for a thousand shards has some hundred kilobytes. */
#define FILE_BYTES_MAX ((size_t)1 << 20)

/* An exported machine, most likely: read on, it would be hundreds of mistakes. */
static bool is_markup(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length &&
           (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n'))
        at++;
    return at < length && text[at] == '<';
}

/* The whole file, or NULL with a mistake. */
static char *read_file(const char *path, size_t *length, struct npi_mistakes *mistakes)
{
    /* Not to hang on a pipe that nobody writes to. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat file;
    if (fd < 0 || fstat(fd, &file) != 0) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number */
        npi_mistakes_add(mistakes, 0, "%s: the file cannot be opened: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    const char *unfit = NULL;
    if (!S_ISREG(file.st_mode))
        unfit = "it is not an ordinary file; name one";
    else if (file.st_mode & S_IWOTH)
        unfit = "anybody may write to it; use chmod o-w";
    else if (file.st_size > (off_t)FILE_BYTES_MAX)
        unfit = "it is larger than 1 MiB; this is not a configuration file";
    char *text = unfit == NULL ? malloc(FILE_BYTES_MAX + 1) : NULL;
    if (unfit == NULL && text == NULL)
        mistakes->no_memory = true;
    *length = 0;
    while (text != NULL && *length < FILE_BYTES_MAX) {
        ssize_t count = read(fd, text + *length, FILE_BYTES_MAX - *length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            unfit = "it cannot be read";
        if (count <= 0)
            break;
        *length += (size_t)count;
    }
    close(fd);
    if (unfit == NULL && text != NULL && memchr(text, '\0', *length) != NULL)
        unfit = "it has bytes of value 0; a configuration file is text";
    else if (unfit == NULL && text != NULL && is_markup(text, *length))
        unfit = "it is XML; pool.machine names a machine, a configuration file is NAME = VALUE;";
    if (unfit != NULL) {
        npi_mistakes_add(mistakes, 0, "%s: %s", path, unfit);
        free(text);
        return NULL;
    }
    if (text != NULL)
        text[*length] = '\0';
    return text;
}

int npi_reader_line(const config_setting_t *setting)
{
    return (int)config_setting_source_line(setting);
}

/* The digits of a number that no integer holds; NULL = it is something else. */
static const char *huge_digits(const config_setting_t *setting)
{
    const char *text = config_setting_type(setting) == CONFIG_TYPE_STRING
                           ? config_setting_get_string(setting)
                           : "";
    return text[0] == NPI_CONFIG_HUGE ? text + 1 : NULL;
}

static const char *type_name(const config_setting_t *setting)
{
    if (huge_digits(setting) != NULL)
        return "a number";
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a number";
    case CONFIG_TYPE_FLOAT:
        return "a fraction";
    case CONFIG_TYPE_STRING:
        return "a text";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_GROUP:
        return "a group in { }";
    case CONFIG_TYPE_LIST:
        return "a list in ( )";
    default:
        return "an array in [ ]";
    }
}

static bool is_integer(const config_setting_t *setting)
{
    int type = config_setting_type(setting);
    return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
}

/* Names the scan has marked as second occurrences; it has told of them. */
bool npi_reader_repeated(const char *name)
{
    size_t length = strlen(name);
    return length > 1 && name[length - 1] == '*';
}

void npi_reader_wrong_type(struct npi_config_reader *reader, const config_setting_t *at,
                           const char *path, const char *wanted)
{
    npi_mistakes_add(reader->mistakes, npi_reader_line(at),
                     "%s:%d: %s: it is %s; what is wanted is %s", reader->path, npi_reader_line(at),
                     path, type_name(at), wanted);
}

/* Numbers arrive in several dresses; false: one that this setting does not take. */
static bool take_number(const struct npi_setting *setting, const config_setting_t *at,
                        struct npi_value *value, bool *negative)
{
    if (setting->kind == NPI_SETTING_SHARE && config_setting_type(at) == CONFIG_TYPE_FLOAT) {
        value->share = config_setting_get_float(at);
        return true;
    }
    if (!is_integer(at))
        return false;
    long long number = config_setting_get_int64(at);
    *negative = number < 0;
    value->number = (uint64_t)number;
    value->share = (double)number;
    return setting->kind == NPI_SETTING_COUNT || setting->kind == NPI_SETTING_BYTES ||
           setting->kind == NPI_SETTING_SHARE;
}

/*
 * One setting's value, checked. false: a mistake was added (or memory is out). Counts in quotes are
 * refused: a file has numbers for them.
 */
bool npi_reader_take(struct npi_config_reader *reader, const struct npi_setting *setting,
                     const config_setting_t *at, const char *path, struct npi_value *value)
{
    char *what = NULL, *wants = npi_setting_wants(setting);
    bool fine = false, negative = false;
    *value = (struct npi_value){0};
    const char *huge = huge_digits(at);
    bool text = config_setting_type(at) == CONFIG_TYPE_STRING && huge == NULL;
    if (huge != NULL &&
        (setting->kind == NPI_SETTING_COUNT || setting->kind == NPI_SETTING_BYTES)) {
        what = npi_setting_outside(setting, huge);
    } else if (text && setting->kind != NPI_SETTING_COUNT && setting->kind != NPI_SETTING_SHARE) {
        fine = npi_setting_parse(setting, config_setting_get_string(at), value, &what);
    } else if (take_number(setting, at, value, &negative)) {
        if (negative)
            what = wants != NULL ? npi_text_format("%lld is negative; what is wanted is %s",
                                                   (long long)config_setting_get_int64(at), wants)
                                 : NULL;
        else
            fine = npi_setting_check(setting, value, &what);
    } else if (setting->kind == NPI_SETTING_TIME && is_integer(at)) {
        long long number = config_setting_get_int64(at);
        what = npi_text_format("the number %lld has no unit; write \"%lldns\", \"%lldus\" or "
                               "\"%lldms\"",
                               number, number, number, number);
    } else {
        if (wants != NULL)
            npi_reader_wrong_type(reader, at, path, wants);
        else
            reader->mistakes->no_memory = true;
        free(wants);
        return false;
    }
    if (!fine && what == NULL)
        reader->mistakes->no_memory = true;
    else if (!fine)
        npi_mistakes_add(reader->mistakes, npi_reader_line(at), "%s:%d: %s: %s", reader->path,
                         npi_reader_line(at), path, what);
    free(what);
    free(wants);
    return fine;
}

void npi_reader_unknown(struct npi_config_reader *reader, const config_setting_t *at,
                        const char *prefix, const char *suggestion, const char *known)
{
    const char *name = config_setting_name(at);
    struct npi_text text = {0};
    npi_text_add(&text, "%s:%d: %s%s: there is no such setting; ", reader->path,
                 npi_reader_line(at), prefix, name);
    if (suggestion != NULL)
        npi_text_add(&text, "did you mean \"%s\"?", suggestion);
    else
        npi_text_add(&text, "%s", known);
    char *message = npi_text_take(&text);
    npi_mistakes_add(reader->mistakes, npi_reader_line(at), "%s", message != NULL ? message : name);
    free(message);
}

/* The groups `pool` and `expect`. */
static void read_group(struct npi_config_reader *reader, const config_setting_t *group,
                       enum npi_setting_group which)
{
    const char *group_name = which == NPI_GROUP_POOL ? "pool" : "expect";
    if (config_setting_type(group) != CONFIG_TYPE_GROUP) {
        npi_reader_wrong_type(reader, group, group_name, "a group in { }");
        return;
    }
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(at);
        if (npi_reader_repeated(name))
            continue;
        const struct npi_setting *setting = npi_setting_find(which, name);
        if (setting == NULL) {
            npi_reader_unknown(reader, at, which == NPI_GROUP_POOL ? "pool." : "expect.",
                               npi_setting_suggest(which, name),
                               which == NPI_GROUP_POOL
                                   ? "a dump of any configuration lists all there are"
                                   : "possible: \"nodes\", \"packages\" and \"cpus\"");
            continue;
        }
        if (which == NPI_GROUP_POOL && strcmp(name, "workers_max") == 0)
            reader->workers_max = at;
        if (which == NPI_GROUP_POOL && strcmp(name, "workers_min") == 0)
            reader->workers_min = at;
        if (which == NPI_GROUP_POOL && strcmp(name, "shards") == 0)
            reader->shards = at;
        struct npi_value value;
        char *path = npi_text_format("%s.%s", group_name, name);
        char *where = npi_text_format("%s:%d", reader->path, npi_reader_line(at));
        if (path == NULL || where == NULL)
            reader->mistakes->no_memory = true;
        else if (npi_reader_take(reader, setting, at, path, &value)) {
            npi_config_edit_store(reader->edit, setting, &value, where);
            npi_value_fini(&value);
        }
        free(path);
        free(where);
    }
}

static void read_version(struct npi_config_reader *reader, const config_setting_t *root)
{
    const config_setting_t *version = config_setting_get_member(root, "version");
    if (version == NULL) {
        npi_mistakes_add(reader->mistakes, 1,
                         "%s:1: version: it is missing; begin the file with version = 1;",
                         reader->path);
        return;
    }
    if (!is_integer(version))
        npi_reader_wrong_type(reader, version, "version", "the number 1");
    else if (config_setting_get_int64(version) != 1)
        npi_mistakes_add(reader->mistakes, npi_reader_line(version),
                         "%s:%d: version: %lld is not known to this library; 1 is", reader->path,
                         npi_reader_line(version), (long long)config_setting_get_int64(version));
}

/* What settings say about each other. Only of this file: a later source may still change them. */
static void check_together(struct npi_config_reader *reader, const config_setting_t *shard_list)
{
    const struct numapool_config *config = &reader->edit->config;
    if (reader->shards != NULL && shard_list != NULL)
        npi_mistakes_add(reader->mistakes, npi_reader_line(reader->shards),
                         "%s:%d: pool.shards: shard in line %d lists the shards one by one; keep "
                         "one of the two",
                         reader->path, npi_reader_line(reader->shards),
                         npi_reader_line(shard_list));
    if (reader->workers_max != NULL && reader->workers_min != NULL && config->workers_max > 0 &&
        config->workers_min > config->workers_max)
        npi_mistakes_add(reader->mistakes, npi_reader_line(reader->workers_min),
                         "%s:%d: pool.workers_min: %u is more than workers_max in line %d; at most "
                         "%u",
                         reader->path, npi_reader_line(reader->workers_min), config->workers_min,
                         npi_reader_line(reader->workers_max), config->workers_max);
}

static void read_root(struct npi_config_reader *reader, const config_setting_t *root)
{
    static const char *const known[] = {"version", "pool", "expect", "shard"};
    const config_setting_t *shard_list = NULL;
    read_version(reader, root);
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *at = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(at);
        if (npi_reader_repeated(name) || strcmp(name, "version") == 0)
            continue;
        if (strcmp(name, "pool") == 0)
            read_group(reader, at, NPI_GROUP_POOL);
        else if (strcmp(name, "expect") == 0)
            read_group(reader, at, NPI_GROUP_EXPECT);
        else if (strcmp(name, "shard") == 0)
            shard_list = at;
        else if (npi_setting_find(NPI_GROUP_POOL, name) != NULL)
            npi_mistakes_add(reader->mistakes, npi_reader_line(at),
                             "%s:%d: %s: this setting belongs into the group pool; write "
                             "pool = { %s = ...; };",
                             reader->path, npi_reader_line(at), name, name);
        else {
            const char *nearest = NULL;
            for (size_t k = 0; k < sizeof known / sizeof *known && nearest == NULL; k++)
                if (npi_word_distance(name, known[k], 2) <= 2)
                    nearest = known[k];
            npi_reader_unknown(
                reader, at, "", nearest,
                "at the top there are \"version\", \"pool\", \"expect\" and \"shard\"");
        }
    }
    /* After the pool, for a setting of `shards` there forgets shards of an earlier file. */
    if (shard_list != NULL)
        npi_reader_shards(reader, shard_list);
    check_together(reader, shard_list);
}

bool npi_reader_open(const char *path, config_t *config, struct npi_mistakes *mistakes)
{
    size_t length = 0;
    char *text = read_file(path, &length, mistakes);
    if (text == NULL)
        return false;
    struct npi_text safe = {0};
    bool fine = npi_config_scan(path, text, length, &safe, mistakes);
    if (fine) {
        config_init(config);
        fine = config_read_string(config, safe.bytes);
        if (!fine) {
            int line = config_error_line(config), last = 1;
            for (size_t i = 0; i < length; i++)
                last += text[i] == '\n';
            line = line < last ? line : last;
            const char *what = config_error_text(config);
            npi_mistakes_add(mistakes, line,
                             "%s:%d: %s here or just before; a setting is NAME = VALUE; and a text "
                             "is in double quotes",
                             path, line, what != NULL ? what : "error");
            config_destroy(config);
        }
    }
    npi_text_fini(&safe);
    free(text);
    return fine;
}

void npi_config_file_apply(struct npi_config_edit *edit, const char *path)
{
    struct npi_mistakes *mistakes = &edit->mistakes;
    config_t config;
    if (!npi_reader_open(path, &config, mistakes))
        return;
    struct npi_config_reader reader = {.path = path, .edit = edit, .mistakes = mistakes};
    read_root(&reader, config_root_setting(&config));
    config_destroy(&config);
}

#else

void npi_config_file_apply(struct npi_config_edit *edit, const char *path)
{
    npi_mistakes_add(&edit->mistakes, 0,
                     "%s: this build of numapool reads no configuration files; build it with "
                     "NUMAPOOL_CONFIG_FILE=ON, or use NUMAPOOL_ variables",
                     path);
}

#endif
