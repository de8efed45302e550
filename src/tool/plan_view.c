/*
 * What a pool begins with on each shard, from the policy's own functions, and the words and colours
 * that all outputs of a plan share.
 */
#include "tool/plan.h"

#include "api/config.h"
#include "policy/balance.h"
#include "policy/scale.h"
#include "topology/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A described machine has the CPUs it is described with, however few are here. */
static double cpus_of(const struct npi_plan *plan, unsigned shard)
{
    return plan->live ? plan->shards[shard].capacity : plan->shards[shard].cpu_count;
}

/* As in flow/balancer.c: what is dealt out at the start. */
static bool deal(struct plan_view *view)
{
    const struct npi_plan *plan = view->plan;
    uint32_t budget = view->config->workers_max;
    unsigned count = plan->shard_count;
    struct npi_policy_params params;
    struct npi_balance_result result;
    struct npi_balance_shard *shards = calloc(count, sizeof *shards);
    struct npi_balance_scratch *scratch = calloc(count, sizeof *scratch);
    uint32_t *quota = calloc(count, sizeof *quota), *reach = calloc(count, sizeof *reach);
    bool done = shards != NULL && scratch != NULL && quota != NULL && reach != NULL;
    npi_config_params(view->config, &params);
    for (unsigned i = 0; done && i < count; i++) {
        double cpus = cpus_of(plan, i);
        uint32_t most = plan->shards[i].workers_max;
        shards[i].weight = cpus;
        shards[i].cap_workers = cpus > 1.0 ? (uint32_t)cpus : 1;
        if (most != 0 && shards[i].cap_workers > most)
            shards[i].cap_workers = most;
        shards[i].min_workers = npi_balance_min(budget, count, cpus);
    }
    if (done)
        npi_balance(&params, budget, shards, count, scratch, quota, reach, &result);
    for (unsigned i = 0; done && i < count; i++) {
        uint32_t most = plan->shards[i].workers_max, least = shards[i].min_workers;
        view->parts[i].quota_workers = quota[i];
        view->parts[i].least_workers = most != 0 && most < least ? most : least;
        view->parts[i].most_workers = most != 0 && most < reach[i] ? most : reach[i];
        view->parts[i].start_workers = npi_scale_limit(shards[i].cap_workers, quota[i]);
    }
    free(shards);
    free(scratch);
    free(quota);
    free(reach);
    return done;
}

static void split_evenly(struct plan_view *view)
{
    unsigned count = view->plan->shard_count;
    for (unsigned i = 0; i < count; i++) {
        uint32_t part = view->config->workers_max / count + (i < view->config->workers_max % count);
        uint32_t most = view->plan->shards[i].workers_max;
        part = most != 0 && part > most ? most : part;
        view->parts[i].quota_workers = view->parts[i].least_workers = part;
        view->parts[i].start_workers = view->parts[i].most_workers = part;
    }
}

bool plan_view_init(struct plan_view *view, const struct layers *layers)
{
    const struct npi_plan *plan = layers->plan;
    const struct numapool_config *config = &layers->settled;
    unsigned count = plan->shard_count;
    *view = (struct plan_view){.layers = layers, .plan = plan, .config = config};
    view->parts = calloc(count, sizeof *view->parts);
    if (view->parts == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        uint32_t kept = config->workers_min / count + (i < config->workers_min % count);
        view->parts[i].kept_workers = kept > 0 ? kept : 1;
        view->parts[i].queue_tasks =
            config->queue_tasks / count + (config->queue_tasks % count != 0);
    }
    if (config->mode == NUMAPOOL_ADAPTIVE)
        return deal(view);
    split_evenly(view);
    return true;
}

void plan_view_fini(struct plan_view *view)
{
    free(view->parts);
    view->parts = NULL;
}

/* Adds the longest even run that begins at `first`; returns its last. */
static int add_run(struct npi_text *text, const struct npi_cpuset *set, int first)
{
    int second = npi_cpuset_next(set, first);
    if (second < 0) {
        npi_text_add(text, "%d", first);
        return first;
    }
    int step = second - first, last = second, count = 2;
    for (int next; (next = npi_cpuset_next(set, last)) - last == step && next >= 0; last = next)
        count++;
    if (step == 1) {
        npi_text_add(text, "%d-%d", first, last);
    } else if (count >= 3) {
        /* Where the next would begin a dense run, it is left to that: 0,2,4-9 and not 0-4:2,5-9. */
        int after = npi_cpuset_next(set, last);
        if (after == last + 1 && count > 3)
            last -= step;
        else if (after == last + 1) {
            npi_text_add(text, "%d", first);
            return first;
        }
        npi_text_add(text, "%d-%d:%d", first, last, step);
    } else {
        npi_text_add(text, "%d", first);
        return first;
    }
    return last;
}

char *plan_set_text(const struct npi_cpuset *set)
{
    struct npi_text text = {0};
    const char *comma = "";
    for (int id = npi_cpuset_next(set, -1); id >= 0; id = npi_cpuset_next(set, id)) {
        npi_text_add(&text, "%s", comma);
        id = add_run(&text, set, id);
        comma = ",";
    }
    return npi_text_take(&text);
}

unsigned plan_colour(unsigned shard, bool pale)
{
    /* Hues a golden angle apart, beginning with blue: neighbours differ, however many there are.
       Light enough for black text. */
    double hue = fmod(210.0 + 137.508 * shard, 360.0) / 60.0;
    double light = pale ? 0.91 : 0.72, chroma = (1.0 - fabs(2.0 * light - 1.0)) * 0.75;
    double second = chroma * (1.0 - fabs(fmod(hue, 2.0) - 1.0)), base = light - chroma / 2.0;
    double mix[6][3] = {{chroma, second, 0}, {second, chroma, 0}, {0, chroma, second},
                        {0, second, chroma}, {second, 0, chroma}, {chroma, 0, second}};
    unsigned colour = 0;
    for (int i = 0; i < 3; i++)
        colour = colour << 8 | (unsigned)lround((mix[(int)hue % 6][i] + base) * 255.0);
    return colour;
}

/* What is said of a setting that nobody set. */
static char *default_value(const struct plan_view *view, const struct npi_setting *setting)
{
    if (setting->default_text[0] != '#')
        return npi_text_format("%s", setting->default_text);
    bool no_memory = false;
    /* The larger of this and that: settling has found it, but for what only that machine has. */
    bool elsewhere =
        !view->plan->live && setting->offset == offsetof(struct numapool_config, memory_bytes);
    char *value = setting->said < 0 && !elsewhere
                      ? npi_setting_text(setting, view->config, &no_memory)
                      : NULL;
    if (value != NULL || no_memory)
        return value;
    return npi_text_format("%s", setting->default_text + 2);
}

/* The granularity of shards, which a list of them sets aside. */
static bool is_set_aside(const struct plan_view *view, const struct npi_setting *setting)
{
    return setting->said < 0 && setting->offset == offsetof(struct numapool_config, shards) &&
           view->plan->shards_by < 0 && view->layers->shard_list.count > 0;
}

const struct layers_said *plan_setting_said(const struct plan_view *view,
                                            const struct npi_setting *setting)
{
    return is_set_aside(view, setting) ? &view->layers->shard_list
                                       : &view->layers->said[setting - npi_settings];
}

char *plan_setting_value(const struct plan_view *view, const struct npi_setting *setting)
{
    bool no_memory;
    if (is_set_aside(view, setting))
        return npi_text_format("one by one");
    const struct layers_said *said = &view->layers->said[setting - npi_settings];
    char *value = said->count > 0 ? npi_setting_text(setting, view->config, &no_memory) : NULL;
    return value != NULL ? value : default_value(view, setting);
}

static const char *plain(const char *where)
{
    static const char prefix[] = "environment: ";
    size_t length = sizeof prefix - 1;
    return strncmp(where, prefix, length) == 0 ? where + length : where;
}

char *plan_setting_source(const struct plan_view *view, const struct npi_setting *setting)
{
    const struct layers *layers = view->layers;
    const struct layers_said *said = plan_setting_said(view, setting);
    struct npi_text text = {0};
    bool no_memory = false;
    if (is_set_aside(view, setting))
        return npi_text_format("%s", plain(said->where[said->count - 1]));
    if (said->count == 0) {
        npi_text_add(&text, "built-in");
        char *value = plan_setting_value(view, setting);
        if (setting->default_text[0] == '#' && value != NULL &&
            strcmp(value, setting->default_text + 2) != 0)
            npi_text_add(&text, ": %s", setting->default_text + 2);
        text.failed |= value == NULL;
        free(value);
        return npi_text_take(&text);
    }
    npi_text_add(&text, "%s", plain(said->where[said->count - 1]));
    char *asked = npi_setting_text(setting, &layers->asked, &no_memory);
    char *value = npi_setting_text(setting, view->config, &no_memory);
    if (asked != NULL && value != NULL && strcmp(asked, value) != 0)
        npi_text_add(&text, " (%s there)", asked);
    free(asked);
    free(value);
    for (unsigned i = said->count - 1; i-- > 0;)
        npi_text_add(&text, "%s%s", i + 2 == said->count ? ", not " : ", ", plain(said->where[i]));
    text.failed |= no_memory;
    return npi_text_take(&text);
}
