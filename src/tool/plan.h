/*
 * numapool plan: shared by its files. A view is what the layers of a configuration gave, with what
 * each shard of the plan begins with.
 */
#ifndef NPI_TOOL_PLAN_H
#define NPI_TOOL_PLAN_H

#include "tool/layers.h"

#include <stdio.h>

/* What a pool gives a shard before it has measured anything. */
struct plan_part {
    uint32_t start_workers; /* may run at once in the beginning */
    uint32_t quota_workers; /* its part of the budget without any load */
    uint32_t least_workers; /* never lent to others */
    uint32_t most_workers;  /* while all others are idle */
    uint32_t kept_workers;  /* threads kept alive */
    uint64_t queue_tasks;   /* may wait */
};

struct plan_view {
    const struct layers *layers;
    const struct npi_plan *plan;
    const struct numapool_config *config; /* settled */
    struct plan_part *parts;              /* per shard */
};

/* false: no memory. */
bool plan_view_init(struct plan_view *view, const struct layers *layers);
void plan_view_fini(struct plan_view *view);

/* A set as a configuration file may say it, strides included: "0-30:2". NULL: no memory. */
char *plan_set_text(const struct npi_cpuset *set);

/* The colour of a shard, as 0xrrggbb; pale: of CPUs whose callers are at home there, but no workers. */
unsigned plan_colour(unsigned shard, bool pale);

/* Who said a setting, the last one in force: of the granularity of shards, when a file lists them one by one, whoever
   did. */
const struct layers_said *plan_setting_said(const struct plan_view *view,
                                            const struct npi_setting *setting);

/* A setting as it is in force, as a file would write it, or in words; and who said it. Owned by the
   caller, NULL: no memory. */
char *plan_setting_value(const struct plan_view *view, const struct npi_setting *setting);
char *plan_setting_source(const struct plan_view *view, const struct npi_setting *setting);

/* false: no memory. */
bool plan_print(const struct plan_view *view, FILE *out);
bool plan_explain(const struct plan_view *view, FILE *out);
bool plan_write_json(const struct plan_view *view, FILE *out);

/* Draws by lstopo; `format` is "svg", "png" or "ascii". enum tool_exit. */
int plan_draw(const struct plan_view *view, const char *format, const char *path);

#endif
