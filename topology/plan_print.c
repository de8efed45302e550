/* A plan as text for people, and as a configuration file that gives the same plan again. */
#include "topology/plan_draft.h"
#include "topology/settings.h"
#include "topology/text.h"

#include <stdlib.h>

static const char *const shard_words[] = {"node", "l3", "package", "single"};
static const char *const pinning_words[] = {"shard", "cpu", "none"};
static const char *const smt_words[] = {"one", "all"};
static const char *const policy_words[] = {"prefer", "bind", "local"};
static const char *const page_words[] = {"thp", "small", "huge2m", "huge1g"};

static int finish(struct npi_text *text, int fd)
{
    int result = npi_text_write(text, fd);
    npi_text_fini(text);
    return result == 0 ? NUMAPOOL_OK : NUMAPOOL_E_SYSTEM;
}

static void add_node(struct npi_text *text, const struct npi_plan *plan, unsigned index)
{
    const struct npi_plan_node *node = &plan->nodes[index];
    npi_text_add(text, "node %u  OS node %u  CPUs ", index, node->os_index);
    npi_text_add_set(text, &node->cpus);
    if (node->memory_bytes > 0) {
        npi_text_add(text, "  memory ");
        npi_text_add_bytes(text, node->memory_bytes);
    }
    if (node->free_bytes > 0) {
        npi_text_add(text, ", ");
        npi_text_add_bytes(text, node->free_bytes);
        npi_text_add(text, " free");
    }
    if (npi_cpuset_count(&node->far_nodes) > 0) {
        npi_text_add(text, "  far memory (unused) on OS nodes ");
        npi_text_add_set(text, &node->far_nodes);
    }
    npi_text_add(text, "\n");
}

static void add_shard(struct npi_text *text, const struct npi_plan *plan, unsigned index)
{
    const struct npi_plan_shard *shard = &plan->shards[index];
    npi_text_add(text, "shard %u  node %u%s%s  %u CPU%s", index, shard->node,
                 shard->borrowed ? " (borrowed)" : "", shard->spans_nodes ? " (spans nodes)" : "",
                 shard->cpu_count, shard->cpu_count == 1 ? "" : "s");
    npi_text_add(text, "  capacity %.4g", shard->capacity);
    if (shard->workers_max > 0)
        npi_text_add(text, "  at most %u workers", shard->workers_max);
    if (shard->memory_bytes > 0) {
        npi_text_add(text, "  at most ");
        npi_text_add_bytes(text, shard->memory_bytes);
    }
    npi_text_add(text, "\n    %s\n", shard->reason);
    if (!npi_cpuset_equal(&shard->cpus, &shard->owned_cpus)) {
        npi_text_add(text, "    callers on CPUs ");
        npi_text_add_set(text, &shard->owned_cpus);
        npi_text_add(text, " are at home here\n");
    }
    if (plan->shard_count > 1) {
        npi_text_add(text, "    then");
        for (unsigned i = 0; i + 1 < plan->shard_count; i++)
            npi_text_add(text, " %u(%u)", shard->neighbours[i],
                         plan->distance[(size_t)index * plan->shard_count + shard->neighbours[i]]);
        npi_text_add(text, "\n");
    }
}

int npi_plan_print(const struct npi_plan *plan, int fd)
{
    struct npi_text text = {0};
    npi_text_add(&text, "machine  %s (%s)\n", plan->machine, plan->source);
    npi_text_add(&text, "shards   %u, %s; pinning %s; hardware threads %s; memory %s, pages %s\n",
                 plan->shard_count,
                 plan->shards_by < 0      ? "explicit"
                 : plan->discovery_failed ? "fallback"
                                          : shard_words[plan->shards_by],
                 pinning_words[plan->pinning], smt_words[plan->smt],
                 policy_words[plan->memory_policy], page_words[plan->pages]);
    for (unsigned i = 0; i < plan->node_count; i++)
        add_node(&text, plan, i);
    for (unsigned i = 0; i < plan->shard_count; i++)
        add_shard(&text, plan, i);
    for (unsigned i = 0; i < plan->note_count; i++)
        npi_text_add(&text, "note     %s\n", plan->notes[i]);
    return finish(&text, fd);
}

/* A sentence as comment lines, whatever it contains. */
static void add_comment(struct npi_text *text, const char *indent, const char *sentence)
{
    npi_text_add(text, "%s# ", indent);
    for (const char *at = sentence; *at != '\0'; at++)
        npi_text_add(text, "%c", *at == '\n' || *at == '\r' ? ' ' : *at);
    npi_text_add(text, "\n");
}

static void add_config_shard(struct npi_text *text, const struct npi_plan *plan, unsigned index)
{
    const struct npi_plan_shard *shard = &plan->shards[index];
    add_comment(text, "    ", shard->reason);
    npi_text_add(text, "    { cpus = \"");
    npi_text_add_set(text, &shard->cpus);
    npi_text_add(text, "\";");
    if (!npi_cpuset_equal(&shard->cpus, &shard->owned_cpus)) {
        npi_text_add(text, " callers = \"");
        npi_text_add_set(text, &shard->owned_cpus);
        npi_text_add(text, "\";");
    }
    if (plan->draft->groups[index].home >= 0)
        npi_text_add(text, " node = %u;", plan->nodes[shard->node].os_index);
    if (shard->workers_max > 0)
        npi_text_add(text, " workers = %u;", shard->workers_max);
    if (shard->memory_bytes > 0)
        npi_text_add(text, " memory = \"%llu\";", (unsigned long long)shard->memory_bytes);
    npi_text_add(text, " }%s\n", index + 1 < plan->shard_count ? "," : "");
}

static void add_said(struct npi_text *text, const struct npi_setting *setting,
                     const struct numapool_config *config)
{
    bool no_memory;
    char *value = npi_setting_text(setting, config, &no_memory);
    text->failed |= no_memory;
    if (value != NULL)
        npi_text_add(text, "    %s = %s;\n", setting->name, value);
    free(value);
}

/* What was said about CPUs, nodes and time still holds beside explicit shards. */
static void add_restrictions(struct npi_text *text, const struct npi_plan *plan)
{
    struct numapool_config said = {.placement = plan->draft->placement};
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        bool repeated = setting->said == NPI_SAID_MEMORY_POLICY ||
                        setting->said == NPI_SAID_PAGES || setting->said == NPI_SAID_SHARD_MEMORY;
        if (setting->said >= 0 && !repeated && setting->group == NPI_GROUP_POOL)
            add_said(text, setting, &said);
    }
}

/* Fields of the configuration that the plan does not say by itself. */
static void add_fields(struct npi_text *text, const struct npi_plan *plan,
                       const struct numapool_config *asked)
{
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        size_t at = setting->offset;
        bool planned = at == offsetof(struct numapool_config, machine) ||
                       at == offsetof(struct numapool_config, shards) ||
                       at == offsetof(struct numapool_config, smt) ||
                       (at == offsetof(struct numapool_config, pinning) && plan->live);
        if (setting->said < 0 && !planned)
            add_said(text, setting, asked);
    }
    if (!plan->live)
        add_said(text, npi_setting_said(NPI_SAID_MEMORY_POLICY), asked);
}

static void add_expectations(struct npi_text *text, const struct numapool_config *asked)
{
    struct npi_text said = {0};
    for (unsigned i = 0; i < npi_setting_count; i++)
        if (npi_settings[i].group == NPI_GROUP_EXPECT)
            add_said(&said, &npi_settings[i], asked);
    text->failed |= said.failed;
    if (said.length > 0)
        npi_text_add(text, "expect = {\n%s};\n", said.bytes);
    npi_text_fini(&said);
}

int npi_plan_print_config(const struct npi_plan *plan, int fd)
{
    return npi_plan_print_whole_config(plan, NULL, fd);
}

int npi_plan_print_whole_config(const struct npi_plan *plan, const struct numapool_config *asked,
                                int fd)
{
    struct npi_text text = {0};
    add_comment(&text, "", plan->machine);
    for (unsigned i = 0; i < plan->note_count; i++)
        add_comment(&text, "", plan->notes[i]);
    npi_text_add(&text, "version = 1;\npool = {\n");
    if (!plan->live) {
        npi_text_add(&text, "    machine = ");
        npi_text_add_quoted(&text, plan->source);
        npi_text_add(&text, "; # stands in for it; on the machine itself remove this line\n");
    }
    npi_text_add(&text, "    smt = \"%s\";\n", smt_words[plan->smt]);
    if (plan->live) /* elsewhere nothing is pinned or bound, and saying so here would outlive that
                     */
        npi_text_add(&text, "    pinning = \"%s\";\n    memory_policy = \"%s\";\n",
                     pinning_words[plan->pinning], policy_words[plan->memory_policy]);
    npi_text_add(&text, "    pages = \"%s\";\n", page_words[plan->pages]);
    add_restrictions(&text, plan);
    if (asked != NULL)
        add_fields(&text, plan, asked);
    npi_text_add(&text, "};\n");
    if (asked != NULL)
        add_expectations(&text, asked);
    npi_text_add(&text, "shard = (\n");
    for (unsigned i = 0; i < plan->shard_count; i++)
        add_config_shard(&text, plan, i);
    npi_text_add(&text, ");\n");
    return finish(&text, fd);
}
