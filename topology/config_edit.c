/* All-or-nothing changes to a configuration, and numapool_config_load(); see config_edit.h. */
#include "topology/config_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool npi_config_size_known(const struct numapool_config *config)
{
    return config != NULL && config->struct_size >= offsetof(struct numapool_config, watchdog_ns);
}

/* A caller's struct may be older and shorter, or newer with additions at its end that we leave be.
 */
static size_t shared_size(const struct numapool_config *config)
{
    return config->struct_size < sizeof *config ? config->struct_size : sizeof *config;
}

int npi_config_edit_begin(struct npi_config_edit *edit, struct numapool_config *target)
{
    if (!npi_config_size_known(target))
        return NUMAPOOL_E_INVALID;
    *edit = (struct npi_config_edit){.target = target};
    memcpy(&edit->config, target, shared_size(target));
    struct numapool_placement *placement = NULL;
    if (!npi_placement_copy(&placement, target->placement))
        return NUMAPOOL_E_NOMEM;
    if (placement == NULL)
        placement = calloc(1, sizeof *placement);
    if (placement == NULL)
        return NUMAPOOL_E_NOMEM;
    /* Strings that the old placement owns now belong to its copy; the program's own stay its own.
     */
    if (target->placement != NULL && target->machine == target->placement->machine)
        edit->config.machine = placement->machine;
    if (target->placement != NULL && target->name == target->placement->name)
        edit->config.name = placement->name;
    edit->config.placement = placement;
    return NUMAPOOL_OK;
}

void npi_config_edit_store(struct npi_config_edit *edit, const struct npi_setting *setting,
                           struct npi_value *value, const char *where)
{
    struct numapool_placement *placement = edit->config.placement;
    if (!npi_setting_store(setting, value, &edit->config, placement, where))
        edit->mistakes.no_memory = true;
    if (setting->said < 0 && setting->offset == offsetof(struct numapool_config, shards)) {
        npi_placed_shards_free(placement->shards, placement->shard_count);
        placement->shards = NULL;
        placement->shard_count = 0;
    }
    if (edit->told != NULL)
        edit->told(edit->told_arg, setting, where);
}

int npi_config_edit_finish(struct npi_config_edit *edit, struct numapool_error *error)
{
    int result = npi_mistakes_report(&edit->mistakes, error);
    if (result != NUMAPOOL_OK) {
        npi_placement_free(edit->config.placement);
        return result;
    }
    struct numapool_placement *old = edit->target->placement;
    memcpy(edit->target, &edit->config, shared_size(edit->target));
    npi_placement_free(old);
    return NUMAPOOL_OK;
}

/* Failures before there is anything to collect mistakes in. */
static int refuse(int result, const char *what, struct numapool_error *error)
{
    if (error != NULL) {
        *error = (struct numapool_error){.count = 1};
        (void)snprintf(error->text, sizeof error->text, "%s", what);
    }
    return result;
}

int numapool_config_load(struct numapool_config *config, const char *path,
                         struct numapool_error *error)
{
    struct npi_config_edit edit;
    if (path == NULL)
        return refuse(NUMAPOOL_E_INVALID, "path is NULL; name a configuration file", error);
    int result = npi_config_edit_begin(&edit, config);
    if (result == NUMAPOOL_E_INVALID)
        return refuse(result,
                      "the configuration is NULL or was not set up by "
                      "numapool_config_init()",
                      error);
    if (result != NUMAPOOL_OK)
        return refuse(result, "out of memory", error);
    npi_config_file_apply(&edit, path);
    return npi_config_edit_finish(&edit, error);
}
