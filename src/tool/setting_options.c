/* Options from the table of settings; see setting_options.h. */
#include "tool/setting_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 32u /* of an option, and more than its longest */

/* "queue-tasks" of queue_tasks. */
static void name_option(const char *name, char option[NAME_BYTES])
{
    (void)snprintf(option, NAME_BYTES, "%s", name);
    for (char *at = option; *at != '\0'; at++)
        if (*at == '_')
            *at = '-';
}

const struct argp_option *setting_options(const struct argp_option *own)
{
    unsigned own_count = 0;
    while (own[own_count].name != NULL || own[own_count].doc != NULL)
        own_count++;
    /* argp reads them as long as the command runs, so they are never freed. */
    static char(*names)[NAME_BYTES];
    static struct argp_option *options;
    names = calloc(npi_setting_count, sizeof *names);
    options = calloc(own_count + 1 + npi_setting_count + 1, sizeof *options);
    if (names == NULL || options == NULL)
        return NULL;
    memcpy(options, own, own_count * sizeof *own);
    unsigned count = own_count;
    options[count++] = (struct argp_option){
        .doc = "Settings of the pool, as in a configuration file:", .group = 2};
    for (unsigned i = 0; i < npi_setting_count; i++) {
        if (npi_settings[i].group != NPI_GROUP_POOL)
            continue;
        name_option(npi_settings[i].name, names[i]);
        options[count++] = (struct argp_option){.name = names[i],
                                                .key = SETTING_OPTION + (int)i,
                                                .arg = "VALUE",
                                                .doc = npi_settings[i].help,
                                                .group = 2};
    }
    return options;
}

const struct npi_setting *setting_of_option(int key)
{
    return key >= SETTING_OPTION && key < SETTING_OPTION + (int)npi_setting_count
               ? &npi_settings[key - SETTING_OPTION]
               : NULL;
}

void setting_option_apply(struct npi_config_edit *edit, const struct npi_setting *setting,
                          const char *text)
{
    struct npi_value value = {0};
    char *what = NULL, where[2 + NAME_BYTES] = "--";
    name_option(setting->name, where + 2);
    if (npi_setting_parse(setting, text, &value, &what)) {
        npi_config_edit_store(edit, setting, &value, where);
        npi_value_fini(&value);
    } else {
        npi_mistakes_add(&edit->mistakes, 0, "%s: %s", where,
                         what != NULL ? what : "out of memory");
    }
    free(what);
}
