/* A plan as JSON, everything of it: lists of CPUs and nodes as the kernel writes them ("0-3,8"). */
#include "tool/plan.h"

#include "tool/json.h"
#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

static bool put_set(struct json *json, const char *key, const struct npi_cpuset *set)
{
    struct npi_text text = {0};
    npi_text_add_set(&text, set);
    char *list = npi_text_take(&text);
    if (list != NULL)
        json_string(json, key, list);
    free(list);
    return list != NULL;
}

/* Who said it, by kind. */
static const char *layer_of(const struct layers_said *said)
{
    if (said->count == 0)
        return "built-in";
    const char *where = said->where[said->count - 1];
    return strncmp(where, "--", 2) == 0               ? "option"
           : strncmp(where, "environment: ", 13) == 0 ? "environment"
                                                      : "file";
}

static void put_said(struct json *json, const struct layers_said *said)
{
    json_begin_array(json, "said_by");
    for (unsigned i = 0; i < said->count; i++) {
        const char *where = said->where[i];
        json_string(json, NULL, strncmp(where, "environment: ", 13) == 0 ? where + 13 : where);
    }
    json_end_array(json);
}

static bool put_settings(const struct plan_view *view, struct json *json)
{
    bool done = true;
    json_begin_array(json, "settings");
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        const struct layers_said *said = plan_setting_said(view, setting);
        char *value = plan_setting_value(view, setting);
        json_begin_object(json, NULL);
        json_string(json, "group", setting->group == NPI_GROUP_POOL ? "pool" : "expect");
        json_string(json, "name", setting->name);
        json_string(json, "value", value);
        json_string(json, "layer", layer_of(said));
        put_said(json, said);
        json_end_object(json);
        done = done && value != NULL;
        free(value);
    }
    json_end_array(json);
    return done;
}

static void put_pool(const struct plan_view *view, struct json *json)
{
    static const char *const modes[] = {"adaptive", "fixed"};
    static const char *const pinnings[] = {"shard", "cpu", "none"};
    static const char *const smts[] = {"one", "all"};
    static const char *const policies[] = {"prefer", "bind", "local"};
    static const char *const pages[] = {"thp", "small", "huge2m", "huge1g"};
    static const char *const by[] = {"node", "l3", "package", "single"};
    const struct numapool_config *config = view->config;
    const struct npi_plan *plan = view->plan;
    json_begin_object(json, "pool");
    json_string(json, "name", config->name);
    json_string(json, "mode", modes[config->mode]);
    json_unsigned(json, "workers_max", config->workers_max);
    json_unsigned(json, "workers_min", config->workers_min);
    json_unsigned(json, "queue_tasks", config->queue_tasks);
    json_unsigned(json, "memory_bytes", config->memory_bytes);
    json_string(json, "shards_by", plan->shards_by < 0 ? "list" : by[plan->shards_by]);
    /* As it will be here; on a machine that is only described nothing is pinned or bound. */
    json_string(json, "pinning", pinnings[plan->pinning]);
    json_string(json, "smt", smts[plan->smt]);
    json_string(json, "memory_policy", policies[plan->memory_policy]);
    json_string(json, "pages", pages[plan->pages]);
    json_end_object(json);
}

static bool put_nodes(const struct npi_plan *plan, struct json *json)
{
    bool done = true;
    json_begin_array(json, "nodes");
    for (unsigned i = 0; i < plan->node_count; i++) {
        const struct npi_plan_node *node = &plan->nodes[i];
        json_begin_object(json, NULL);
        json_unsigned(json, "index", i);
        json_unsigned(json, "os_index", node->os_index);
        json_unsigned(json, "shard", node->shard);
        if (node->memory_bytes > 0)
            json_unsigned(json, "memory_bytes", node->memory_bytes);
        else
            json_null(json, "memory_bytes");
        if (node->free_bytes > 0)
            json_unsigned(json, "free_bytes", node->free_bytes);
        else
            json_null(json, "free_bytes");
        done = put_set(json, "cpus", &node->cpus) && done;
        done = put_set(json, "far_os_nodes", &node->far_nodes) && done;
        json_end_object(json);
    }
    json_end_array(json);
    return done;
}

static bool put_shard(const struct plan_view *view, unsigned index, struct json *json)
{
    const struct npi_plan *plan = view->plan;
    const struct npi_plan_shard *shard = &plan->shards[index];
    const struct plan_part *part = &view->parts[index];
    char colour[8];
    (void)snprintf(colour, sizeof colour, "#%06x", plan_colour(index, false));
    json_begin_object(json, NULL);
    json_unsigned(json, "index", index);
    json_unsigned(json, "node", shard->node);
    json_unsigned(json, "os_node", plan->nodes[shard->node].os_index);
    if (shard->package >= 0)
        json_unsigned(json, "package", (unsigned)shard->package);
    else
        json_null(json, "package");
    json_bool(json, "spans_nodes", shard->spans_nodes);
    json_bool(json, "borrowed_memory", shard->borrowed);
    bool done = put_set(json, "cpus", &shard->cpus);
    done = put_set(json, "callers", &shard->owned_cpus) && done;
    json_unsigned(json, "cpu_count", shard->cpu_count);
    json_double(json, "capacity", shard->capacity);
    json_unsigned(json, "start_workers", part->start_workers);
    json_unsigned(json, "quota_workers", part->quota_workers);
    json_unsigned(json, "least_workers", part->least_workers);
    json_unsigned(json, "most_workers", part->most_workers);
    json_unsigned(json, "kept_workers", part->kept_workers);
    json_unsigned(json, "queue_tasks", part->queue_tasks);
    if (shard->workers_max > 0)
        json_unsigned(json, "workers_max", shard->workers_max);
    else
        json_null(json, "workers_max");
    if (shard->memory_bytes > 0)
        json_unsigned(json, "memory_bytes", shard->memory_bytes);
    else
        json_null(json, "memory_bytes");
    json_begin_row(json, "overflow_to");
    for (unsigned i = 0; i + 1 < plan->shard_count; i++)
        json_element(json, shard->neighbours[i]);
    json_end_row(json);
    json_begin_row(json, "distance");
    for (unsigned i = 0; i < plan->shard_count; i++)
        json_element(json, plan->distance[(size_t)index * plan->shard_count + i]);
    json_end_row(json);
    json_string(json, "colour", colour);
    json_string(json, "reason", shard->reason);
    json_end_object(json);
    return done;
}

bool plan_write_json(const struct plan_view *view, FILE *out)
{
    const struct npi_plan *plan = view->plan;
    struct json json = {.out = out, .first = true};
    json_begin_object(&json, NULL);
    json_begin_object(&json, "machine");
    json_string(&json, "source", plan->source);
    json_string(&json, "summary", plan->machine);
    json_bool(&json, "live", plan->live);
    json_bool(&json, "discovery_failed", plan->discovery_failed);
    json_bool(&json, "distance_measured", plan->distance_measured);
    if (plan->cpu_limit > 0)
        json_double(&json, "cpu_limit", plan->cpu_limit);
    else
        json_null(&json, "cpu_limit");
    json_end_object(&json);
    put_pool(view, &json);
    bool done = put_settings(view, &json);
    done = put_nodes(plan, &json) && done;
    json_begin_array(&json, "shards");
    for (unsigned i = 0; i < plan->shard_count; i++)
        done = put_shard(view, i, &json) && done;
    json_end_array(&json);
    json_begin_array(&json, "notes");
    for (unsigned i = 0; i < plan->note_count; i++)
        json_string(&json, NULL, plan->notes[i]);
    json_end_array(&json);
    json_end_object(&json);
    return done;
}
