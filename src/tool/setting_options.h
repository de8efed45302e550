/*
 * The settings of a pool as options of a subcommand, from the same table as the keys of a
 * configuration file: --queue-tasks for pool.queue_tasks.
 */
#ifndef NPI_TOOL_SETTING_OPTIONS_H
#define NPI_TOOL_SETTING_OPTIONS_H

#include "topology/config_edit.h"

#include <argp.h>

/* Keys of these options begin here; a subcommand's own are below. */
#define SETTING_OPTION 0x1000

/* The subcommand's own options (the last one {0}) and one for each setting. NULL: no memory. */
const struct argp_option *setting_options(const struct argp_option *own);

/* NULL: not the key of a setting. */
const struct npi_setting *setting_of_option(int key);

/* What such an option says; mistakes are collected in the edit. */
void setting_option_apply(struct npi_config_edit *edit, const struct npi_setting *setting,
                          const char *text);

#endif
