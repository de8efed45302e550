/* A plan, and the settings it was made from, as tables for people. */
#include "tool/plan.h"

#include "tool/columns.h"
#include "topology/quantity.h"
#include "topology/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of a line that is not a terminal's. */
#define WIDTH 120u

/* Shards named in the order of overflow; JSON has all. */
#define ORDER_SHOWN 16u

static const char *const shards_by[] = {"one per node", "one per last-level cache",
                                        "one per package", "one for the whole machine"};

static unsigned line_width(FILE *out)
{
    unsigned width = columns_width(out);
    return width > 0 ? width : WIDTH;
}

static void print_line(FILE *out, const char *head, const char *sentence)
{
    (void)fprintf(out, "%s%-9s%s", columns_colour(out) ? "\033[1m" : "", head,
                  columns_colour(out) ? "\033[0m" : "");
    columns_wrap(out, sentence, 9, line_width(out));
}

static bool add_source(struct npi_text *text, char *const *seen, unsigned seen_count,
                       const char *source)
{
    for (unsigned i = 0; i < seen_count; i++)
        if (strcmp(seen[i], source) == 0)
            return false;
    npi_text_add(text, ", %s", source);
    return true;
}

/* "built-in, my.conf, NUMAPOOL_TICK, --reserve": everything that said something, in order. */
static char *list_sources(const struct layers *layers)
{
    struct npi_text text = {0};
    char **seen = NULL;
    unsigned seen_count = 0, room = layers->shard_list.count;
    for (unsigned i = 0; i < npi_setting_count; i++)
        room += layers->said[i].count;
    seen = calloc(room + 1u, sizeof *seen);
    npi_text_add(&text, "built-in");
    /* Files have ":line" at their end; three rounds put files before variables before options. */
    for (int layer = 0; seen != NULL && layer < 3; layer++) {
        for (unsigned i = 0; i <= npi_setting_count; i++) {
            const struct layers_said *said =
                i < npi_setting_count ? &layers->said[i] : &layers->shard_list;
            for (unsigned k = 0; k < said->count; k++) {
                const char *where = said->where[k];
                bool option = strncmp(where, "--", 2) == 0;
                bool variable = strncmp(where, "environment: ", 13) == 0;
                if (layer != (option ? 2 : variable ? 1 : 0))
                    continue;
                const char *end = option || variable ? NULL : strrchr(where, ':');
                char *source = variable      ? strdup(where + 13)
                               : end != NULL ? strndup(where, (size_t)(end - where))
                                             : strdup(where);
                if (source != NULL && add_source(&text, seen, seen_count, source))
                    seen[seen_count++] = source;
                else
                    free(source);
            }
        }
    }
    for (unsigned i = 0; i < seen_count; i++)
        free(seen[i]);
    text.failed |= seen == NULL;
    free(seen);
    return npi_text_take(&text);
}

static char *describe_memory(const struct plan_view *view)
{
    static const char *const policies[] = {
        "preferred on the shard's node", "bound to the shard's node", "where it is first touched"};
    /* huge2m and huge1g: src/memory/README.md says why they ask for the same. */
    static const char *const pages[] = {"huge pages where the kernel offers them", "small pages",
                                        "huge pages wherever the kernel has them",
                                        "huge pages wherever the kernel has them"};
    /* Of a described machine as it will be there: here nothing is bound. */
    int policy =
        view->plan->live ? (int)view->plan->memory_policy : view->config->placement->memory_policy;
    const struct npi_setting *memory = npi_setting_find(NPI_GROUP_POOL, "memory");
    struct npi_text text = {0};
    if (view->plan->live || view->layers->said[memory - npi_settings].count > 0)
        npi_text_add_bytes(&text, view->config->memory_bytes);
    else
        npi_text_add(&text, "a quarter of what is free");
    npi_text_add(&text, " for tasks, %s, %s", policies[policy], pages[view->plan->pages]);
    return npi_text_take(&text);
}

static const char *describe_workers(const struct plan_view *view)
{
    static const char *const where[][2] = {
        {"on any CPU of their shard, one hardware thread of each core",
         "on any CPU of their shard, all hardware threads of each core"},
        {"each on one CPU, one hardware thread of each core",
         "each on one CPU, all hardware threads of each core"},
        {"wherever the kernel puts them; counted by one hardware thread of each core",
         "wherever the kernel puts them; counted by all hardware threads"},
    };
    return where[view->config->pinning][view->plan->smt == NUMAPOOL_SMT_ALL];
}

/* "1 2 3 (20), 4 (32)": where overflow goes, nearest first. */
static char *order_of(const struct npi_plan *plan, unsigned index)
{
    struct npi_text text = {0};
    unsigned last = 0, others = plan->shard_count - 1;
    unsigned shown = others > ORDER_SHOWN ? ORDER_SHOWN : others;
    const unsigned *row = plan->distance + (size_t)index * plan->shard_count;
    for (unsigned i = 0; i < shown; i++) {
        unsigned other = plan->shards[index].neighbours[i];
        if (i > 0 && row[other] != last)
            npi_text_add(&text, " (%u), ", last);
        else if (i > 0)
            npi_text_add(&text, " ");
        npi_text_add(&text, "%u", other);
        last = row[other];
    }
    if (shown > 0)
        npi_text_add(&text, " (%u)", last);
    if (others > shown)
        npi_text_add(&text, ", %u more", others - shown);
    if (others == 0)
        npi_text_add(&text, "-");
    return npi_text_take(&text);
}

static bool print_nodes(const struct plan_view *view, FILE *out)
{
    static const struct column heads[] = {
        {"node", true, false}, {"OS node", true, false}, {"memory", true, false},
        {"free", true, false}, {"CPUs", false, true},    {"far memory, unused", false, true},
    };
    const struct npi_plan *plan = view->plan;
    struct columns table = {.columns = heads,
                            .column_count = 5,
                            .width = line_width(out),
                            .colour = columns_colour(out)};
    for (unsigned i = 0; i < plan->node_count; i++)
        if (npi_cpuset_count(&plan->nodes[i].far_nodes) > 0)
            table.column_count = 6;
    for (unsigned i = 0; i < plan->node_count; i++) {
        const struct npi_plan_node *node = &plan->nodes[i];
        struct npi_text memory = {0}, spare = {0};
        char *cpus = plan_set_text(&node->cpus), *far = plan_set_text(&node->far_nodes);
        npi_text_add_bytes(&memory, node->memory_bytes);
        npi_text_add_bytes(&spare, node->free_bytes);
        columns_add(&table, "%u", i);
        columns_add(&table, "%u", node->os_index);
        columns_add(&table, "%s", node->memory_bytes > 0 ? memory.bytes : "?");
        columns_add(&table, "%s", node->free_bytes > 0 ? spare.bytes : "?");
        columns_add(&table, "%s", cpus);
        if (table.column_count == 6)
            columns_add(&table, "%s%s", far != NULL && *far != '\0' ? "OS node " : "", far);
        table.failed |= memory.failed || spare.failed || cpus == NULL || far == NULL;
        npi_text_fini(&memory);
        npi_text_fini(&spare);
        free(cpus);
        free(far);
    }
    return columns_print(&table, out);
}

/* A shard's number, in its colour of the picture where there are colours. */
static void print_name(FILE *out, unsigned shard)
{
    unsigned rgb = plan_colour(shard, false);
    if (columns_colour(out))
        (void)fprintf(out, "\033[48;2;%u;%u;%um\033[30mshard %u\033[0m", rgb >> 16, rgb >> 8 & 0xff,
                      rgb & 0xff, shard);
    else
        (void)fprintf(out, "shard %u", shard);
}

static bool print_shards(const struct plan_view *view, FILE *out)
{
    static const struct column heads[] = {
        {"shard", true, false},
        {"node", true, false},
        {"workers on", false, true},
        {"callers on", false, true},
        {"starts", true, false},
        {"least", true, false},
        {"most", true, false},
        {"queue", true, false},
        {"overflow to (distance)", false, true},
        {"memory", true, false},
    };
    const struct npi_plan *plan = view->plan;
    struct columns table = {.columns = heads,
                            .column_count = 9,
                            .width = line_width(out),
                            .colour = columns_colour(out)};
    for (unsigned i = 0; i < plan->shard_count; i++)
        if (plan->shards[i].memory_bytes > 0)
            table.column_count = 10;
    for (unsigned i = 0; i < plan->shard_count; i++) {
        const struct npi_plan_shard *shard = &plan->shards[i];
        const struct plan_part *part = &view->parts[i];
        struct npi_text memory = {0};
        char *cpus = plan_set_text(&shard->cpus), *owned = plan_set_text(&shard->owned_cpus);
        char *order = order_of(plan, i);
        npi_text_add_bytes(&memory, shard->memory_bytes);
        columns_add(&table, "%u", i);
        columns_add(&table, "%u", shard->node);
        columns_add(&table, "%s", cpus);
        columns_add(&table, "%s", owned);
        columns_add(&table, "%u", part->start_workers);
        columns_add(&table, "%u", part->least_workers);
        columns_add(&table, "%u", part->most_workers);
        columns_add(&table, "%" PRIu64, part->queue_tasks);
        columns_add(&table, "%s", order);
        if (table.column_count == 10)
            columns_add(&table, "%s", shard->memory_bytes > 0 ? memory.bytes : "-");
        table.failed |= cpus == NULL || owned == NULL || order == NULL || memory.failed;
        npi_text_fini(&memory);
        free(cpus);
        free(owned);
        free(order);
    }
    return columns_print(&table, out);
}

/* Without "CPUs 0-3: " at its beginning: the table has them. */
static const char *without_cpus(const char *reason)
{
    const char *colon = strncmp(reason, "CPU", 3) == 0 ? strstr(reason, ": ") : NULL;
    return colon != NULL ? colon + 2 : reason;
}

static void print_reasons(const struct plan_view *view, FILE *out)
{
    for (unsigned i = 0; i < view->plan->shard_count; i++) {
        char number[16];
        int indent = 2 + snprintf(number, sizeof number, "shard %u", i);
        print_name(out, i);
        (void)fputs("  ", out);
        columns_wrap(out, without_cpus(view->plan->shards[i].reason), (unsigned)indent,
                     line_width(out));
    }
}

static bool print_head(const struct plan_view *view, FILE *out)
{
    const struct npi_plan *plan = view->plan;
    const struct numapool_config *config = view->config;
    char *sources = list_sources(view->layers), *memory = describe_memory(view);
    char *machine = npi_text_format("%s: %s", plan->source, plan->machine);
    char *pool = npi_text_format(
        "\"%s\", %s; at most %u tasks run at once and %" PRIu64 " wait; %u thread%s kept",
        config->name, config->mode == NUMAPOOL_FIXED ? "fixed" : "adaptive", config->workers_max,
        config->queue_tasks, config->workers_min, config->workers_min == 1 ? " is" : "s are");
    char *shards = npi_text_format("%u, %s", plan->shard_count,
                                   plan->discovery_failed ? "as nothing is known of the machine"
                                   : plan->shards_by < 0  ? "as listed one by one"
                                                          : shards_by[plan->shards_by]);
    bool done =
        sources != NULL && memory != NULL && machine != NULL && pool != NULL && shards != NULL;
    if (done) {
        print_line(out, "machine", machine);
        print_line(out, "settings", sources);
        print_line(out, "pool", pool);
        print_line(out, "workers", describe_workers(view));
        print_line(out, "memory", memory);
        print_line(out, "shards", shards);
    }
    free(sources);
    free(memory);
    free(machine);
    free(pool);
    free(shards);
    return done;
}

bool plan_print(const struct plan_view *view, FILE *out)
{
    const struct npi_plan *plan = view->plan;
    bool done = print_head(view, out);
    (void)fputc('\n', out);
    done = done && print_nodes(view, out);
    (void)fputc('\n', out);
    done = done && print_shards(view, out);
    columns_wrap(
        out,
        "(starts, least, most: workers at the start, never lent to other shards, while all "
        "others are idle)",
        0, line_width(out));
    (void)fputc('\n', out);
    print_reasons(view, out);
    if (plan->note_count > 0)
        (void)fputc('\n', out);
    for (unsigned i = 0; i < plan->note_count; i++)
        print_line(out, "note", plan->notes[i]);
    return done;
}

bool plan_explain(const struct plan_view *view, FILE *out)
{
    static const struct column heads[] = {
        {"setting", false, false}, {"value", false, true}, {"from", false, true}};
    struct columns table = {.columns = heads,
                            .column_count = 3,
                            .width = line_width(out),
                            .colour = columns_colour(out)};
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        char *value = plan_setting_value(view, setting);
        char *source = plan_setting_source(view, setting);
        columns_add(&table, "%s%s", setting->group == NPI_GROUP_EXPECT ? "expect." : "",
                    setting->name);
        columns_add(&table, "%s", value);
        columns_add(&table, "%s", source);
        table.failed |= value == NULL || source == NULL;
        free(value);
        free(source);
    }
    return columns_print(&table, out);
}
