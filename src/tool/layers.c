/* Layers of a configuration; see layers.h. */
#include "tool/layers.h"

#include "api/config.h"
#include "tool/setting_options.h"
#include "tool/tool.h"
#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

bool layers_init(struct layers *layers)
{
    *layers = (struct layers){0};
    numapool_config_init(&layers->asked);
    layers->said = calloc(npi_setting_count, sizeof *layers->said);
    return layers->said != NULL;
}

void layers_fini(struct layers *layers)
{
    npi_plan_free(layers->plan);
    numapool_config_fini(&layers->asked);
    for (unsigned i = 0; layers->said != NULL && i < npi_setting_count; i++)
        npi_notes_free(layers->said[i].where, layers->said[i].count);
    npi_notes_free(layers->shard_list.where, layers->shard_list.count);
    free(layers->said);
    (void)npi_mistakes_report(&layers->mistakes, NULL);
    *layers = (struct layers){0};
}

static void told(void *arg, const struct npi_setting *setting, const char *where)
{
    struct layers *layers = arg;
    struct layers_said *said =
        setting != NULL ? &layers->said[setting - npi_settings] : &layers->shard_list;
    if (!npi_notes_add(&said->where, &said->count, "%s", where))
        layers->mistakes.no_memory = true;
}

static bool begin(struct layers *layers, struct npi_config_edit *edit)
{
    if (npi_config_edit_begin(edit, &layers->asked) != NUMAPOOL_OK) {
        layers->mistakes.no_memory = true;
        return false;
    }
    edit->told = told;
    edit->told_arg = layers;
    return true;
}

static void finish(struct layers *layers, struct npi_config_edit *edit)
{
    unsigned kept = npi_mistakes_kept(&edit->mistakes);
    npi_mistakes_sort(&edit->mistakes);
    for (unsigned i = 0; i < kept; i++)
        npi_mistakes_add(&layers->mistakes, edit->mistakes.items[i].line, "%s",
                         edit->mistakes.items[i].text);
    layers->mistakes.count += edit->mistakes.count - kept;
    layers->mistakes.no_memory |= edit->mistakes.no_memory;
    if (npi_config_edit_finish(edit, NULL) == NUMAPOOL_E_NOMEM)
        layers->mistakes.no_memory = true;
}

void layers_add_file(struct layers *layers, const char *path)
{
    struct npi_config_edit edit;
    if (!begin(layers, &edit))
        return;
    npi_config_file_apply(&edit, path);
    finish(layers, &edit);
}

void layers_add_environment(struct layers *layers)
{
    struct npi_config_edit edit;
    if (!begin(layers, &edit))
        return;
    npi_config_env_apply(&edit);
    finish(layers, &edit);
}

void layers_add_option(struct layers *layers, const struct npi_setting *setting, const char *text)
{
    struct npi_config_edit edit;
    if (!begin(layers, &edit))
        return;
    setting_option_apply(&edit, setting, text);
    finish(layers, &edit);
}

int layers_settle(struct numapool_config *settled, struct npi_plan **plan,
                  const struct numapool_config *asked, struct numapool_error *error)
{
    int result = npi_config_settle(settled, asked, error);
    if (result == NUMAPOOL_OK)
        result = npi_plan_make(plan, settled, error);
    if (result == NUMAPOOL_OK)
        result = npi_config_settle_by_plan(settled, *plan, error);
    if (result == NUMAPOOL_OK)
        result = npi_plan_merge(*plan, settled->workers_max);
    return result;
}

bool layers_plan(struct layers *layers)
{
    struct numapool_error error = {0};
    if (layers->mistakes.count > 0 || layers->mistakes.no_memory)
        return false;
    int result = layers_settle(&layers->settled, &layers->plan, &layers->asked, &error);
    if (result == NUMAPOOL_OK)
        return true;
    if (result == NUMAPOOL_E_NOMEM)
        layers->mistakes.no_memory = true;
    char *rest = error.text, *line;
    while (result != NUMAPOOL_E_NOMEM && (line = strsep(&rest, "\n")) != NULL)
        npi_mistakes_add(&layers->mistakes, 0, "%s",
                         *line != '\0' ? line : numapool_strerror(result));
    npi_plan_free(layers->plan);
    layers->plan = NULL;
    return false;
}

void layers_complain(const struct layers *layers)
{
    unsigned kept = npi_mistakes_kept(&layers->mistakes);
    for (unsigned i = 0; i < kept; i++)
        tool_complain("%s", layers->mistakes.items[i].text);
    if (layers->mistakes.count > kept)
        tool_complain("and %u more mistakes", layers->mistakes.count - kept);
    if (layers->mistakes.no_memory)
        tool_complain("out of memory");
}
