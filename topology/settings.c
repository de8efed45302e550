/* Reading, checking, storing and writing single settings; see settings.h. */
#include "topology/settings.h"
#include "topology/quantity.h"
#include "topology/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct npi_setting *npi_setting_find(enum npi_setting_group group, const char *name)
{
    for (unsigned i = 0; i < npi_setting_count; i++)
        if (npi_settings[i].group == group && strcmp(npi_settings[i].name, name) == 0)
            return &npi_settings[i];
    return NULL;
}

const struct npi_setting *npi_setting_said(enum npi_said said)
{
    unsigned i = 0;
    while (npi_settings[i].said != (int)said) /* every one is there, as the tests see to */
        i++;
    return &npi_settings[i];
}

unsigned npi_word_distance(const char *a, const char *b, unsigned limit)
{
    /* Optimal string alignment over three rows; words longer than the rows are simply far. */
    enum { WORD_MAX = 40 };
    size_t length_a = strlen(a), length_b = strlen(b);
    if (length_a > WORD_MAX || length_b > WORD_MAX)
        return limit + 1;
    unsigned rows[3][WORD_MAX + 1];
    for (unsigned j = 0; j <= length_b; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= length_a; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *over = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= length_b; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            unsigned best = above[j - 1] + (x != y);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]) && over[j - 2] + 1 < best)
                best = over[j - 2] + 1;
            row[j] = best;
        }
    }
    unsigned distance = rows[length_a % 3][length_b];
    return distance > limit ? limit + 1 : distance;
}

const char *npi_setting_suggest(enum npi_setting_group group, const char *name)
{
    const char *nearest = NULL;
    /* A third of the word may be wrong: enough for slips, too little to guess. */
    unsigned limit = (unsigned)strlen(name) / 3 + 1;
    unsigned best = limit + 1;
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        if (setting->group != group)
            continue;
        if (setting->field != NULL && strcmp(setting->field, name) == 0)
            return setting->name;
        unsigned distance = npi_word_distance(name, setting->name, limit);
        if (distance < best) {
            best = distance;
            nearest = setting->name;
        }
    }
    return nearest;
}

void npi_value_fini(struct npi_value *value)
{
    npi_cpuset_fini(&value->set);
    *value = (struct npi_value){0};
}

/* `"node", "l3" or "single"` */
static void add_words(struct npi_text *text, const char *const *words)
{
    for (unsigned i = 0; words[i] != NULL; i++)
        npi_text_add(text, "%s\"%s\"",
                     i == 0                 ? ""
                     : words[i + 1] == NULL ? " or "
                                            : ", ",
                     words[i]);
}

static const char *wants(const struct npi_setting *setting)
{
    switch (setting->kind) {
    case NPI_SETTING_COUNT:
        return "a whole number";
    case NPI_SETTING_TIME:
        return setting->may_be_off ? "a time such as \"10ms\", or \"off\""
                                   : "a time such as \"10ms\"";
    case NPI_SETTING_BYTES:
        return "a size such as \"4G\"";
    case NPI_SETTING_SHARE:
        return "a decimal fraction such as 0.15";
    case NPI_SETTING_TEXT:
        return "a text in quotes";
    case NPI_SETTING_LIST:
        return "a list in quotes such as \"0-3,8\"";
    case NPI_SETTING_WORD:
        break;
    }
    return "a word";
}

char *npi_setting_wants(const struct npi_setting *setting)
{
    struct npi_text text = {0};
    if (setting->kind == NPI_SETTING_WORD)
        add_words(&text, setting->words);
    else
        npi_text_add(&text, "%s", wants(setting));
    return npi_text_take(&text);
}

/* "1ms" for the bounds of a setting. */
static void bound_text(const struct npi_setting *setting, uint64_t bound,
                       char text[NPI_QUANTITY_TEXT])
{
    if (setting->kind == NPI_SETTING_TIME)
        npi_time_text(bound, text);
    else if (setting->kind == NPI_SETTING_BYTES)
        npi_bytes_text(bound, text);
    else if (setting->kind == NPI_SETTING_SHARE)
        npi_share_text((double)bound / 1000, text);
    else
        (void)snprintf(text, NPI_QUANTITY_TEXT, "%llu", (unsigned long long)bound);
}

char *npi_setting_outside(const struct npi_setting *setting, const char *given)
{
    char low[NPI_QUANTITY_TEXT], high[NPI_QUANTITY_TEXT];
    bound_text(setting, setting->low, low);
    bound_text(setting, setting->high, high);
    return npi_text_format("%s is out of range; %s to %s%s", given, low, high,
                           setting->may_be_off ? ", or \"off\"" : "");
}

static bool check_text(const struct npi_setting *setting, const char *given, char **what)
{
    size_t length = strlen(given);
    if (length < setting->low || length > setting->high) {
        *what = npi_text_format("\"%.40s%s\" has %zu characters; %llu to %llu are possible", given,
                                length > 40 ? "..." : "", length, (unsigned long long)setting->low,
                                (unsigned long long)setting->high);
        return false;
    }
    for (const char *at = given; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if (setting->one_word ? c > 0x20 && c < 0x7f && c != '/' : c >= 0x20 && c != 0x7f)
            continue;
        *what = npi_text_format("it has a character that cannot be used here; %s",
                                setting->one_word ? "letters, digits and signs but \"/\" can"
                                                  : "all but control characters can");
        return false;
    }
    return true;
}

bool npi_setting_check(const struct npi_setting *setting, const struct npi_value *value,
                       char **what)
{
    char given[NPI_QUANTITY_TEXT];
    uint64_t number = value->number;
    switch (setting->kind) {
    case NPI_SETTING_TEXT:
        return check_text(setting, value->text, what);
    case NPI_SETTING_LIST:
    case NPI_SETTING_WORD:
        return true;
    case NPI_SETTING_SHARE:
        if (value->share * 1000 >= (double)setting->low &&
            value->share * 1000 <= (double)setting->high)
            return true;
        if (isnan(value->share))
            (void)snprintf(given, sizeof given, "not a number");
        else
            npi_share_text(value->share, given);
        *what = npi_setting_outside(setting, given);
        return false;
    default:
        if ((setting->may_be_off && number == NUMAPOOL_OFF) ||
            (number >= setting->low && number <= setting->high))
            return true;
        bound_text(setting, number, given);
        *what = npi_setting_outside(setting, number == NUMAPOOL_OFF ? "\"off\"" : given);
        return false;
    }
}

/* What is wrong with a time or size, in words. */
static char *bad_quantity(const struct npi_setting *setting, enum npi_quantity problem,
                          const char *given)
{
    bool time = setting->kind == NPI_SETTING_TIME;
    const char *units = time ? "ns, us, ms, s, min or h" : "nothing, K, M, G or T (or KiB ...)";
    switch (problem) {
    case NPI_QUANTITY_NO_UNIT:
        return npi_text_format("\"%.40s\" has no unit; write \"%.40sns\", \"%.40sus\" or "
                               "\"%.40sms\"",
                               given, given, given, given);
    case NPI_QUANTITY_BAD_UNIT:
        return npi_text_format("\"%.40s\" has an unknown unit; after the number comes %s", given,
                               units);
    case NPI_QUANTITY_TOO_FINE:
        return npi_text_format("\"%.40s\" is not a whole number of %s; write a whole one", given,
                               time ? "nanoseconds" : "bytes");
    case NPI_QUANTITY_TOO_LARGE: {
        char quoted[64];
        (void)snprintf(quoted, sizeof quoted, "\"%.40s\"", given);
        return npi_setting_outside(setting, quoted);
    }
    default:
        return npi_text_format("\"%.40s\" is not %s", given, wants(setting));
    }
}

static bool parse_word(const struct npi_setting *setting, const char *text, uint64_t *number,
                       char **what)
{
    const char *nearest = NULL;
    unsigned limit = strlen(text) / 3 > 1 ? (unsigned)strlen(text) / 3 : 1;
    unsigned best = limit + 1;
    for (unsigned i = 0; setting->words[i] != NULL; i++) {
        if (strcmp(setting->words[i], text) == 0) {
            *number = i;
            return true;
        }
        unsigned distance = npi_word_distance(text, setting->words[i], limit);
        if (distance < best && distance < strlen(setting->words[i])) {
            best = distance;
            nearest = setting->words[i];
        }
    }
    struct npi_text message = {0};
    npi_text_add(&message, "\"%.40s\" is not known here; ", text);
    if (nearest != NULL)
        npi_text_add(&message, "did you mean \"%s\"? ", nearest);
    npi_text_add(&message, "possible: ");
    add_words(&message, setting->words);
    *what = npi_text_take(&message);
    return false;
}

static bool parse_list(const char *text, struct npi_cpuset *set, char **what)
{
    size_t where = 0;
    if (text[strspn(text, " \t\r\n")] == '\0') {
        *what = npi_text_format("the list is empty; name at least one number, such as \"0\", or "
                                "leave the setting out");
        return false;
    }
    switch (npi_cpuset_parse(set, text, &where)) {
    case NPI_CPUSET_PARSED:
        return true;
    case NPI_CPUSET_BACKWARDS:
        *what = npi_text_format("the range at \"%.20s\" ends before it begins; write the smaller "
                                "number first",
                                text + where);
        return false;
    case NPI_CPUSET_MALFORMED:
        if (text[where] == '\0') {
            *what = npi_text_format("\"%.40s\" ends in a comma; remove it, or add a number", text);
            return false;
        }
        *what = npi_text_format("\"%.20s\" cannot be read; a list is numbers up to %u and ranges "
                                "such as \"0-3,8,16-30:2\"",
                                text + where, NPI_CPU_ID_MAX);
        return false;
    case NPI_CPUSET_NO_MEMORY:
        break;
    }
    *what = NULL;
    return false;
}

bool npi_setting_parse(const struct npi_setting *setting, const char *text, struct npi_value *value,
                       char **what)
{
    enum npi_quantity problem = NPI_QUANTITY_READ;
    *value = (struct npi_value){0};
    switch (setting->kind) {
    case NPI_SETTING_TEXT:
        value->text = text;
        break;
    case NPI_SETTING_LIST:
        return parse_list(text, &value->set, what);
    case NPI_SETTING_WORD:
        return parse_word(setting, text, &value->number, what);
    case NPI_SETTING_SHARE:
        problem = npi_share_parse(text, &value->share) ? problem : NPI_QUANTITY_NO_NUMBER;
        break;
    case NPI_SETTING_COUNT:
        problem = npi_count_parse(text, &value->number) ? problem : NPI_QUANTITY_NO_NUMBER;
        break;
    case NPI_SETTING_TIME:
    case NPI_SETTING_BYTES:
        if (setting->may_be_off && strcmp(text, "off") == 0)
            value->number = NUMAPOOL_OFF;
        else
            problem = setting->kind == NPI_SETTING_TIME ? npi_time_parse(text, &value->number)
                                                        : npi_bytes_parse(text, &value->number);
        break;
    }
    if (problem != NPI_QUANTITY_READ) {
        *what = bad_quantity(setting, problem, text);
        return false;
    }
    return npi_setting_check(setting, value, what);
}

static void *target_of(const struct npi_setting *setting, struct numapool_config *config,
                       struct numapool_placement *placement)
{
    return (setting->said < 0 ? (char *)config : (char *)placement) + setting->offset;
}

static bool replace_string(char **to, const char *from)
{
    char *copy = strdup(from);
    if (copy == NULL)
        return false;
    free(*to);
    *to = copy;
    return true;
}

bool npi_setting_store(const struct npi_setting *setting, struct npi_value *value,
                       struct numapool_config *config, struct numapool_placement *placement,
                       const char *where)
{
    void *target = target_of(setting, config, placement);
    if (setting->said >= 0 && !replace_string(&placement->where[setting->said], where))
        return false;
    if (setting->kind == NPI_SETTING_TEXT) {
        /* The placement owns the string; there are two of them, known by their fields. */
        bool machine = setting->offset == offsetof(struct numapool_config, machine);
        char **owned = machine ? &placement->machine : &placement->name;
        if (!replace_string(owned, value->text) ||
            (machine && !replace_string(&placement->machine_where, where)))
            return false;
        *(const char **)target = *owned;
    } else if (setting->kind == NPI_SETTING_LIST) {
        struct npi_cpuset *set = target;
        npi_cpuset_fini(set);
        *set = value->set;
        value->set = (struct npi_cpuset){0};
    } else if (setting->kind == NPI_SETTING_SHARE) {
        *(double *)target = value->share;
    } else if (setting->width == sizeof(uint64_t)) {
        *(uint64_t *)target = value->number;
    } else {
        *(unsigned *)target = (unsigned)value->number;
    }
    return true;
}

/* The value as it is stored. Lists are borrowed: do not free them. */
static struct npi_value load_value(const struct npi_setting *setting,
                                   const struct numapool_config *config)
{
    struct npi_value value = {0};
    const char *base = setting->said < 0 ? (const char *)config : (const char *)config->placement;
    const void *source = base + setting->offset;
    if (setting->kind == NPI_SETTING_TEXT)
        value.text = *(const char *const *)source;
    else if (setting->kind == NPI_SETTING_LIST)
        value.set = *(const struct npi_cpuset *)source;
    else if (setting->kind == NPI_SETTING_SHARE)
        value.share = *(const double *)source;
    else if (setting->width == sizeof(uint64_t))
        value.number = *(const uint64_t *)source;
    else
        value.number = *(const unsigned *)source;
    return value;
}

static bool is_default(const struct npi_setting *setting, const struct numapool_config *config)
{
    if (setting->said >= 0)
        return config->placement == NULL || config->placement->where[setting->said] == NULL;
    struct npi_value value = load_value(setting, config);
    return value.number == 0 && value.text == NULL && value.share == 0;
}

char *npi_setting_text(const struct npi_setting *setting, const struct numapool_config *config,
                       bool *no_memory)
{
    *no_memory = false;
    if (is_default(setting, config))
        return NULL;
    struct npi_value value = load_value(setting, config);
    struct npi_text text = {0};
    char quantity[NPI_QUANTITY_TEXT];
    switch (setting->kind) {
    case NPI_SETTING_TEXT:
        npi_text_add_quoted(&text, value.text);
        break;
    case NPI_SETTING_LIST:
        npi_text_add(&text, "\"");
        npi_text_add_set(&text, &value.set);
        npi_text_add(&text, "\"");
        break;
    case NPI_SETTING_WORD:
        npi_text_add(&text, "\"%s\"", setting->words[value.number]);
        break;
    case NPI_SETTING_SHARE:
        npi_share_text(value.share, quantity);
        npi_text_add(&text, "%s", quantity);
        break;
    case NPI_SETTING_COUNT:
        npi_text_add(&text, "%llu", (unsigned long long)value.number);
        break;
    default:
        bound_text(setting, value.number, quantity);
        npi_text_add(&text, "\"%s\"", value.number == NUMAPOOL_OFF ? "off" : quantity);
    }
    char *result = npi_text_take(&text);
    *no_memory = result == NULL;
    return result;
}

int npi_settings_validate(const struct numapool_config *config, struct numapool_error *error)
{
    struct npi_mistakes mistakes = {0};
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        char *what = NULL;
        /* What is in the placement came through npi_setting_parse() and has been checked there. */
        if (setting->said >= 0 || is_default(setting, config))
            continue;
        struct npi_value value = load_value(setting, config);
        bool fine = true;
        if (setting->kind == NPI_SETTING_WORD) {
            unsigned count = 0;
            while (setting->words[count] != NULL)
                count++;
            fine = value.number < count;
            if (!fine)
                what = npi_text_format("%d is not one of its values; 0 to %u are",
                                       (int)value.number, count - 1);
        } else {
            fine = npi_setting_check(setting, &value, &what);
        }
        if (!fine)
            npi_mistakes_add(&mistakes, 0, "config: %s: %s", setting->field,
                             what != NULL ? what : "it cannot be used");
        free(what);
    }
    return npi_mistakes_report(&mistakes, error);
}
