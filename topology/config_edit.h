/*
 * A change to a configuration that happens as a whole or not at all. Loading and the environment
 * work on the copy in here; only npi_config_edit_finish() touches the caller's struct.
 */
#ifndef NPI_TOPOLOGY_CONFIG_EDIT_H
#define NPI_TOPOLOGY_CONFIG_EDIT_H

#include "topology/mistakes.h"
#include "topology/placement.h"
#include "topology/settings.h"

struct npi_config_edit {
    struct numapool_config *target;
    struct numapool_config config; /* the copy; its placement is always set */
    struct npi_mistakes mistakes;
    /* Told of every setting that is stored, and of the list of shards (setting NULL). May be NULL. */
    void (*told)(void *arg, const struct npi_setting *setting, const char *where);
    void *told_arg;
};

/* Not NULL, and long enough to have all fields of version 0.1. */
bool npi_config_size_known(const struct numapool_config *config);

/* OK, _E_INVALID (not a configuration), _E_NOMEM. After OK finish must be called. */
int npi_config_edit_begin(struct npi_config_edit *edit, struct numapool_config *target);

/* Stores one value; forgets explicit shards when `shards` now says something else. */
void npi_config_edit_store(struct npi_config_edit *edit, const struct npi_setting *setting,
                           struct npi_value *value, const char *where);

/* Makes the change if there were no mistakes and releases the edit. OK, _E_CONFIG, _E_NOMEM. */
int npi_config_edit_finish(struct npi_config_edit *edit, struct numapool_error *error);

/* Reads a file into the edit; mistakes are collected there. */
void npi_config_file_apply(struct npi_config_edit *edit, const char *path);

/* The same with the environment: the file that NUMAPOOL_CONFIG names, then the variables. */
void npi_config_env_apply(struct npi_config_edit *edit);

#endif
