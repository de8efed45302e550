/*
 * One walk over a parsed configuration file: what config_file.c and config_shards.c share, and the
 * only place that knows libconfig. Included only where the library is there.
 */
#ifndef NPI_TOPOLOGY_CONFIG_READER_H
#define NPI_TOPOLOGY_CONFIG_READER_H

#include "topology/config_edit.h"

#include <libconfig.h>

struct npi_config_reader {
    const char *path;
    struct npi_config_edit *edit; /* NULL where another kind of file is read */
    struct npi_mistakes *mistakes;
    const config_setting_t *workers_max, *workers_min, *shards; /* where the file says them */
};

/*
 * Reads and parses a file as the configuration's are: no larger than 1 MiB, nobody else may write to
 * it, no name twice. After true the caller ends with config_destroy(); false: the mistakes say why.
 */
bool npi_reader_open(const char *path, config_t *config, struct npi_mistakes *mistakes);

int npi_reader_line(const config_setting_t *setting);

/* Names that the scan has marked as second occurrences; it has told of them. */
bool npi_reader_repeated(const char *name);

/*
 * One setting's value, checked. false: a mistake was added, or memory is out. `path` is the
 * setting's in the file, such as "pool.tick".
 */
bool npi_reader_take(struct npi_config_reader *reader, const struct npi_setting *setting,
                     const config_setting_t *at, const char *path, struct npi_value *value);

void npi_reader_wrong_type(struct npi_config_reader *reader, const config_setting_t *at,
                           const char *path, const char *wanted);

/* `prefix` is what comes before the name; `known` is said when there is no suggestion. */
void npi_reader_unknown(struct npi_config_reader *reader, const config_setting_t *at,
                        const char *prefix, const char *suggestion, const char *known);

/* The whole list `shard`. */
void npi_reader_shards(struct npi_config_reader *reader, const config_setting_t *list);

#endif
