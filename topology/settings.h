/*
 * The one table of everything that can be set: its name, what it takes, its bounds and its default.
 * The configuration file, the environment, the dump and the check of a program's own values all
 * read it, so none of them can disagree.
 *
 * A setting is called `tick` in the group `pool` of a file, NUMAPOOL_TICK in the environment and
 * `tick_ns` in struct numapool_config. The unit is part of the value in a text, of the name in C.
 */
#ifndef NPI_TOPOLOGY_SETTINGS_H
#define NPI_TOPOLOGY_SETTINGS_H

#include "topology/mistakes.h"
#include "topology/placement.h"

enum npi_setting_kind {
    NPI_SETTING_COUNT, /* a whole number */
    NPI_SETTING_TIME,  /* nanoseconds; "10ms" */
    NPI_SETTING_BYTES, /* "4G" */
    NPI_SETTING_SHARE, /* a decimal fraction */
    NPI_SETTING_WORD,  /* one of a few words, stored as their index */
    NPI_SETTING_TEXT,
    NPI_SETTING_LIST, /* a list of CPU or node numbers */
};

enum npi_setting_group { NPI_GROUP_POOL, NPI_GROUP_EXPECT };

struct npi_setting {
    const char *name;
    const char *field; /* of struct numapool_config, NULL when it is in the placement */
    enum npi_setting_group group;
    enum npi_setting_kind kind;
    int said;                 /* enum npi_said, -1 when it is a field of struct numapool_config */
    size_t offset;            /* in struct numapool_config or struct numapool_placement */
    size_t width;             /* bytes of a number: 4 or 8 */
    uint64_t low, high;       /* bounds of numbers, for SHARE in thousandths; of TEXT: length */
    bool may_be_off;          /* NUMAPOOL_OFF, "off" */
    bool one_word;            /* TEXT without blanks or slashes, ASCII: it becomes part of a name */
    const char *const *words; /* of WORD, ends with NULL */
    const char *default_text; /* as a file would write it, or in words after '#' */
    const char *help;         /* one line */
};

extern const struct npi_setting npi_settings[];
extern const unsigned npi_setting_count;

/* By its name in a file; NULL = no such setting. */
const struct npi_setting *npi_setting_find(enum npi_setting_group group, const char *name);

const struct npi_setting *npi_setting_said(enum npi_said said);

/*
 * The name in a group that a mistyped one was probably meant to be; also knows names of C fields
 * ("tick_ns"). NULL = nothing is near.
 */
const char *npi_setting_suggest(enum npi_setting_group group, const char *name);

/* How different two words are, capitals aside; for suggestions. At most `limit` + 1 is returned. */
unsigned npi_word_distance(const char *a, const char *b, unsigned limit);

/* A value on its way from a text to a setting. */
struct npi_value {
    uint64_t number; /* COUNT, TIME, BYTES, WORD */
    double share;
    const char *text;      /* TEXT: borrowed */
    struct npi_cpuset set; /* LIST: owned */
};

void npi_value_fini(struct npi_value *value);

/*
 * Reads a text and checks the bounds. On false *what is what is wrong and what would be right
 * (owned by the caller, NULL without memory).
 */
bool npi_setting_parse(const struct npi_setting *setting, const char *text, struct npi_value *value,
                       char **what);

/* The bounds alone, for a value that came as a number. */
bool npi_setting_check(const struct npi_setting *setting, const struct npi_value *value,
                       char **what);

/* That a value, as given, is outside the bounds, and what they are. Owned by the caller. */
char *npi_setting_outside(const struct npi_setting *setting, const char *given);

/* "a time such as "10ms"", or the words: what this setting wants. Owned by the caller. */
char *npi_setting_wants(const struct npi_setting *setting);

/*
 * Stores a checked value; `where` ("file:line") is copied. Lists are moved out of the value.
 * false: no memory.
 */
bool npi_setting_store(const struct npi_setting *setting, struct npi_value *value,
                       struct numapool_config *config, struct numapool_placement *placement,
                       const char *where);

/*
 * The value in a configuration as a file would write it, quotes included. NULL: it is the default
 * or was not said; *no_memory tells it from want of memory. The caller frees it.
 */
char *npi_setting_text(const struct npi_setting *setting, const struct numapool_config *config,
                       bool *no_memory);

/*
 * Checks the fields a program may have set itself: 0 and NULL are defaults and always fine. All
 * mistakes are collected, each "config: field: what, and what would be right". OK, _E_CONFIG,
 * _E_NOMEM.
 */
int npi_settings_validate(const struct numapool_config *config, struct numapool_error *error);

#endif
