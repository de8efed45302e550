/*
 * What a subcommand's pool is configured with, in the library's own order: built-in values, files,
 * the environment, options; the last to say something wins. Keeps who said what, and all mistakes
 * of all layers.
 */
#ifndef NPI_TOOL_LAYERS_H
#define NPI_TOOL_LAYERS_H

#include "topology/config_edit.h"
#include "topology/plan.h"

/* Who said a setting: "file:line", "environment: NUMAPOOL_X" or "--x"; the last is in force. */
struct layers_said {
    char **where;
    unsigned count;
};

struct layers {
    struct numapool_config asked;   /* what was said; all else is 0, for the default */
    struct numapool_config settled; /* after layers_plan(): what a pool would have */
    struct npi_plan *plan;          /* after layers_plan(); else NULL */
    struct layers_said *said;       /* per setting, in the order of the table */
    struct layers_said shard_list;  /* the list `shard` of a file; in force if there are any */
    struct npi_mistakes mistakes;   /* in the order of finding */
};

/* Nothing said yet. false: no memory. */
bool layers_init(struct layers *layers);
void layers_fini(struct layers *layers);

/* Each layer changes `asked`, unless it has a mistake. */
void layers_add_file(struct layers *layers, const char *path);
void layers_add_environment(struct layers *layers);
void layers_add_option(struct layers *layers, const struct npi_setting *setting, const char *text);

/* Settles the configuration and makes the plan. false: there are mistakes, or memory is out. */
bool layers_plan(struct layers *layers);

/* What numapool_create() does before it makes anything. *plan is to be freed also after a failure. */
int layers_settle(struct numapool_config *settled, struct npi_plan **plan,
                  const struct numapool_config *asked, struct numapool_error *error);

/* One line on standard error for each mistake. */
void layers_complain(const struct layers *layers);

#endif
