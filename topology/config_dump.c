/*
 * A configuration as a file that loads back equal. Settings at their default are written too, as
 * comments, so that a dump of a fresh configuration is the list of everything that can be set.
 * What a file cannot hold (the log hook) is left out.
 */
#include "topology/config_edit.h"
#include "topology/quantity.h"
#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

/* Column at which the explanations begin. */
#define HELP_COLUMN 36

static void pad(struct npi_text *text, size_t line_start)
{
    size_t width = text->length - line_start;
    npi_text_add(text, "%*s", width < HELP_COLUMN ? (int)(HELP_COLUMN - width) : 1, "");
}

static void add_setting(struct npi_text *text, const struct npi_setting *setting,
                        const struct numapool_config *config)
{
    bool no_memory;
    size_t line_start = text->length;
    char *value = npi_setting_text(setting, config, &no_memory);
    text->failed |= no_memory;
    if (value != NULL) {
        npi_text_add(text, "    %s = %s;", setting->name, value);
        pad(text, line_start);
        npi_text_add(text, "# %s\n", setting->help);
    } else if (setting->default_text[0] == '#') {
        npi_text_add(text, "    # %s", setting->name);
        pad(text, line_start);
        npi_text_add(text, "# %s; default: %s\n", setting->help, setting->default_text + 2);
    } else {
        npi_text_add(text, "    # %s = %s;", setting->name, setting->default_text);
        pad(text, line_start);
        npi_text_add(text, "# %s\n", setting->help);
    }
    free(value);
}

static void add_group(struct npi_text *text, enum npi_setting_group group, const char *name,
                      const struct numapool_config *config)
{
    npi_text_add(text, "%s = {\n", name);
    for (unsigned i = 0; i < npi_setting_count; i++)
        if (npi_settings[i].group == group)
            add_setting(text, &npi_settings[i], config);
    npi_text_add(text, "};\n");
}

static void add_shards(struct npi_text *text, const struct numapool_placement *placement)
{
    if (placement == NULL || placement->shard_count == 0)
        return;
    npi_text_add(text, "\nshard = (\n");
    for (unsigned i = 0; i < placement->shard_count; i++) {
        const struct npi_placed_shard *shard = &placement->shards[i];
        npi_text_add(text, "    { cpus = \"");
        npi_text_add_set(text, &shard->cpus);
        npi_text_add(text, "\";");
        if (npi_cpuset_count(&shard->callers) > 0) {
            npi_text_add(text, " callers = \"");
            npi_text_add_set(text, &shard->callers);
            npi_text_add(text, "\";");
        }
        if (shard->node >= 0)
            npi_text_add(text, " node = %d;", shard->node);
        if (shard->workers_max > 0)
            npi_text_add(text, " workers = %u;", shard->workers_max);
        if (shard->memory_bytes > 0) {
            char bytes[NPI_QUANTITY_TEXT];
            npi_bytes_text(shard->memory_bytes, bytes);
            npi_text_add(text, " memory = \"%s\";", bytes);
        }
        npi_text_add(text, " }%s\n", i + 1 < placement->shard_count ? "," : "");
    }
    npi_text_add(text, ");\n");
}

/* A copy of our size. Explicit shards leave no room for `shards`: together they would not load. */
static struct numapool_config shown_of(const struct numapool_config *config)
{
    struct numapool_config copy = {0};
    memcpy(&copy, config, config->struct_size < sizeof copy ? config->struct_size : sizeof copy);
    if (config->placement != NULL && config->placement->shard_count > 0)
        copy.shards = NUMAPOOL_PER_NODE;
    return copy;
}

int numapool_config_dump(const struct numapool_config *config, int fd)
{
    struct npi_text text = {0};
    if (!npi_config_size_known(config) ||
        npi_settings_validate(config, NULL) == NUMAPOOL_E_CONFIG ||
        (config->workers_max > 0 && config->workers_min > config->workers_max))
        return NUMAPOOL_E_INVALID;
    struct numapool_config shown = shown_of(config);
    npi_text_add(&text, "version = 1;\n\n");
    add_group(&text, NPI_GROUP_POOL, "pool", &shown);
    npi_text_add(&text, "\n# Refuse this file on another machine.\n");
    add_group(&text, NPI_GROUP_EXPECT, "expect", &shown);
    add_shards(&text, config->placement);
    int result = npi_text_write(&text, fd);
    npi_text_fini(&text);
    return result == 0 ? NUMAPOOL_OK : NUMAPOOL_E_SYSTEM;
}
