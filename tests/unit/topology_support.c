/* See topology_support.h. */
#include "unit/topology_support.h"

#include "topology/text.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* libconfig 1.5 loses a few bytes whenever a syntax error follows a text in quotes. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

struct npi_cpuset set_of(const char *list)
{
    struct npi_cpuset set = {0};
    if (*list != '\0')
        assert_int_equal(npi_cpuset_parse(&set, list, NULL), NPI_CPUSET_PARSED);
    return set;
}

void assert_set(const struct npi_cpuset *set, const char *list)
{
    char buffer[4096];
    assert_true(npi_cpuset_print(set, buffer, sizeof buffer) < sizeof buffer);
    assert_string_equal(buffer, list);
}

static void add_domain(struct npi_machine *machine, const struct npi_cpuset *cpus)
{
    machine->domains = realloc(machine->domains, (machine->domain_count + 1) * sizeof *cpus);
    assert_non_null(machine->domains);
    struct npi_cpuset *domain = &machine->domains[machine->domain_count++];
    *domain = (struct npi_cpuset){0};
    assert_true(npi_cpuset_copy(domain, cpus));
}

void build_machine(struct npi_machine *machine, unsigned packages, unsigned nodes, unsigned caches,
                   unsigned cores, unsigned threads)
{
    unsigned core_count = packages * nodes * caches * cores;
    *machine = (struct npi_machine){.live = true};
    machine->summary = npi_text_format("a test's machine");
    machine->source = npi_text_format("a test");
    machine->cpu_count = machine->cpus_here = core_count * threads;
    machine->cpus = calloc(machine->cpu_count, sizeof *machine->cpus);
    machine->node_count = packages * nodes;
    machine->nodes = calloc(machine->node_count, sizeof *machine->nodes);
    assert_non_null(machine->cpus);
    assert_non_null(machine->nodes);
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        unsigned core = i % core_count;
        machine->cpus[i] = (struct npi_machine_cpu){
            .os_index = i,
            .core = (int)core,
            .cache = (int)(core / cores),
            .package = (int)(core / (nodes * caches * cores)),
            .kind = -1,
        };
        assert_true(npi_cpuset_add(&machine->nodes[core / (caches * cores)].cpus, i));
    }
    for (unsigned n = 0; n < machine->node_count; n++) {
        machine->nodes[n].os_index = n;
        machine->nodes[n].memory_bytes = UINT64_C(1) << 30;
    }
    for (unsigned p = 0; p < packages; p++) {
        struct npi_cpuset package = {0};
        for (unsigned n = 0; n < nodes; n++)
            assert_true(npi_cpuset_union(&package, &machine->nodes[p * nodes + n].cpus));
        add_domain(machine, &package);
        npi_cpuset_fini(&package);
    }
}

void set_distances(struct npi_machine *machine, const unsigned *table)
{
    size_t bytes = (size_t)machine->node_count * machine->node_count * sizeof *table;
    free(machine->distance);
    machine->distance = malloc(bytes);
    assert_non_null(machine->distance);
    memcpy(machine->distance, table, bytes);
}

void forbid_cpus(struct npi_machine *machine, const char *list)
{
    struct npi_cpuset gone = set_of(list);
    unsigned kept = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (!npi_cpuset_has(&gone, machine->cpus[i].os_index))
            machine->cpus[kept++] = machine->cpus[i];
    machine->cpu_count = machine->cpus_here = kept;
    for (unsigned i = 0; i < machine->node_count; i++)
        npi_cpuset_subtract(&machine->nodes[i].cpus, &gone);
    for (unsigned i = 0; i < machine->domain_count; i++)
        npi_cpuset_subtract(&machine->domains[i], &gone);
    npi_cpuset_fini(&gone);
}

struct npi_machine_node *add_node(struct npi_machine *machine, unsigned os_index, const char *cpus)
{
    unsigned at = 0;
    free(machine->distance);
    machine->distance = NULL;
    machine->nodes = realloc(machine->nodes, (machine->node_count + 1) * sizeof *machine->nodes);
    assert_non_null(machine->nodes);
    while (at < machine->node_count && machine->nodes[at].os_index < os_index)
        at++;
    memmove(machine->nodes + at + 1, machine->nodes + at,
            (machine->node_count - at) * sizeof *machine->nodes);
    machine->node_count++;
    machine->nodes[at] = (struct npi_machine_node){
        .os_index = os_index, .memory_bytes = UINT64_C(1) << 30, .cpus = set_of(cpus)};
    return &machine->nodes[at];
}

struct numapool_config plain_config(void)
{
    return (struct numapool_config){.struct_size = sizeof(struct numapool_config)};
}

struct npi_plan *plan_of(const struct npi_machine *machine, const struct numapool_config *config)
{
    struct npi_plan *plan = NULL;
    struct numapool_error error = {0};
    if (npi_plan_build(&plan, machine, config, false, &error) != NUMAPOOL_OK)
        fail_msg("no plan: %s", error.text);
    return plan;
}

/* Every CPU of the machine is owned once, workers run only where callers of the shard are. */
static void check_ownership(const struct npi_plan *plan, const struct npi_machine *machine,
                            const char *label)
{
    struct npi_cpuset all = {0}, owned = {0};
    assert_true(npi_machine_cpuset(machine, &all));
    for (unsigned s = 0; s < plan->shard_count; s++) {
        const struct npi_plan_shard *shard = &plan->shards[s];
        if (npi_cpuset_intersects(&owned, &shard->owned_cpus))
            fail_msg("%s: shard %u owns a CPU of another", label, s);
        assert_true(npi_cpuset_union(&owned, &shard->owned_cpus));
        if (!npi_cpuset_contains(&shard->owned_cpus, &shard->cpus))
            fail_msg("%s: shard %u works where it does not own", label, s);
        if (shard->cpu_count == 0 || shard->cpu_count != npi_cpuset_count(&shard->cpus))
            fail_msg("%s: shard %u counts its CPUs wrongly", label, s);
        if (!(shard->capacity > 0) || shard->capacity > shard->cpu_count + 1e-9)
            fail_msg("%s: shard %u has capacity %f", label, s, shard->capacity);
        if (shard->reason == NULL || *shard->reason == '\0')
            fail_msg("%s: shard %u has no reason", label, s);
    }
    if (!npi_cpuset_equal(&owned, &all))
        fail_msg("%s: not every CPU is owned", label);
    npi_cpuset_fini(&all);
    npi_cpuset_fini(&owned);
}

static void check_nodes(const struct npi_plan *plan, const struct npi_machine *machine,
                        const char *label)
{
    bool known = false;
    for (unsigned i = 0; i < machine->node_count; i++)
        known |= machine->nodes[i].memory_bytes > 0;
    assert_true(plan->node_count > 0);
    /* Without any memory to choose from, one node stands for all of it and is never bound to. */
    bool homeless = strstr(plan->shards[0].reason, "wherever it is first touched") != NULL;
    if (homeless) {
        assert_int_equal(plan->node_count, 1);
        assert_int_equal(plan->memory_policy, NPI_MEMORY_LOCAL);
    }
    for (unsigned n = 0; n < plan->node_count; n++) {
        const struct npi_plan_node *node = &plan->nodes[n];
        int slot = npi_machine_node_slot(machine, node->os_index);
        if (slot >= 0 && !homeless &&
            (machine->nodes[slot].memoryless || (known && machine->nodes[slot].memory_bytes == 0)))
            fail_msg("%s: home %u has no memory", label, node->os_index);
        if (slot >= 0 && !homeless && machine->nodes[slot].kind == NPI_NODE_DEVICE)
            fail_msg("%s: home %u is a device", label, node->os_index);
        if (slot < 0 && !homeless)
            fail_msg("%s: home %u is not on the machine", label, node->os_index);
        if (node->shard >= plan->shard_count)
            fail_msg("%s: node %u has no shard", label, n);
        if (n > 0 && node->os_index <= plan->nodes[n - 1].os_index)
            fail_msg("%s: nodes are not in order", label);
        for (unsigned m = 0; m < n; m++)
            if (npi_cpuset_intersects(&node->cpus, &plan->nodes[m].cpus))
                fail_msg("%s: nodes %u and %u share CPUs", label, m, n);
        for (unsigned m = 0; m < plan->node_count; m++)
            if (npi_cpuset_has(&node->far_nodes, plan->nodes[m].os_index))
                fail_msg("%s: node %u is far and a home", label, plan->nodes[m].os_index);
    }
    for (unsigned s = 0; s < plan->shard_count; s++)
        assert_true(plan->shards[s].node < plan->node_count);
}

/* Neighbours: everybody else once, nearest first, equally near ones from the next one on. */
static void check_neighbours(const struct npi_plan *plan, const char *label)
{
    unsigned count = plan->shard_count;
    bool *seen = calloc(count, sizeof *seen);
    assert_non_null(seen);
    for (unsigned s = 0; s < count; s++) {
        const unsigned *order = plan->shards[s].neighbours;
        const unsigned *row = plan->distance + (size_t)s * count;
        memset(seen, 0, count * sizeof *seen);
        seen[s] = true;
        for (unsigned i = 0; i + 1 < count; i++) {
            if (order[i] >= count || seen[order[i]])
                fail_msg("%s: neighbours of shard %u are no permutation", label, s);
            seen[order[i]] = true;
            if (row[order[i]] < 10)
                fail_msg("%s: shards %u and %u are nearer than near", label, s, order[i]);
            if (i == 0)
                continue;
            unsigned before = order[i - 1];
            if (row[before] > row[order[i]])
                fail_msg("%s: neighbours of shard %u are not by distance", label, s);
            if (row[before] == row[order[i]] &&
                (before + count - s) % count > (order[i] + count - s) % count)
                fail_msg("%s: ties of shard %u are not rotated", label, s);
        }
        if (row[s] != 10)
            fail_msg("%s: shard %u is not local to itself", label, s);
    }
    free(seen);
}

static void check_map(const struct npi_plan *plan, const char *label)
{
    for (unsigned cpu = 0; cpu < plan->cpu_slots; cpu++) {
        unsigned owner = NPI_NO_SHARD;
        for (unsigned s = 0; plan->live && s < plan->shard_count; s++)
            if (npi_cpuset_has(&plan->shards[s].owned_cpus, cpu))
                owner = s;
        if (plan->shard_of_cpu[cpu] != owner)
            fail_msg("%s: CPU %u is mapped to %u, not %u", label, cpu, plan->shard_of_cpu[cpu],
                     owner);
    }
    for (unsigned s = 0; s < plan->shard_count; s++)
        for (int id = npi_cpuset_next(&plan->shards[s].owned_cpus, -1); id >= 0;
             id = npi_cpuset_next(&plan->shards[s].owned_cpus, id))
            if ((unsigned)id >= plan->cpu_slots)
                fail_msg("%s: CPU %d is not mapped", label, id);
}

void check_plan(const struct npi_plan *plan, const struct npi_machine *machine, const char *label)
{
    assert_true(plan->shard_count > 0);
    check_ownership(plan, machine, label);
    check_nodes(plan, machine, label);
    check_neighbours(plan, label);
    check_map(plan, label);
    if (!plan->live)
        assert_true(plan->pinning == NUMAPOOL_PIN_NONE && plan->memory_policy == NPI_MEMORY_LOCAL);
    double capacity = 0;
    for (unsigned s = 0; s < plan->shard_count; s++)
        capacity += plan->shards[s].capacity;
    if (plan->cpu_limit > 0 && capacity > plan->cpu_limit + 1e-6)
        fail_msg("%s: capacity %f is more than cpu.max grants (%f)", label, capacity,
                 plan->cpu_limit);
}

void assert_same_plan(const struct npi_plan *a, const struct npi_plan *b, const char *label)
{
    if (a->shard_count != b->shard_count || a->node_count != b->node_count)
        fail_msg("%s: %u shards on %u nodes became %u on %u", label, a->shard_count, a->node_count,
                 b->shard_count, b->node_count);
    assert_int_equal(a->live, b->live);
    assert_int_equal(a->smt, b->smt);
    assert_int_equal(a->pinning, b->pinning);
    assert_int_equal(a->memory_policy, b->memory_policy);
    assert_int_equal(a->pages, b->pages);
    assert_int_equal(a->distance_measured, b->distance_measured);
    for (unsigned n = 0; n < a->node_count; n++) {
        const struct npi_plan_node *x = &a->nodes[n], *y = &b->nodes[n];
        if (x->os_index != y->os_index || x->shard != y->shard ||
            !npi_cpuset_equal(&x->cpus, &y->cpus) ||
            !npi_cpuset_equal(&x->far_nodes, &y->far_nodes))
            fail_msg("%s: node %u differs: OS %u/%u shard %u/%u", label, n, x->os_index,
                     y->os_index, x->shard, y->shard);
    }
    for (unsigned s = 0; s < a->shard_count; s++) {
        const struct npi_plan_shard *x = &a->shards[s], *y = &b->shards[s];
        if (!npi_cpuset_equal(&x->cpus, &y->cpus) ||
            !npi_cpuset_equal(&x->owned_cpus, &y->owned_cpus))
            fail_msg("%s: shard %u has other CPUs", label, s);
        if (x->node != y->node || x->spans_nodes != y->spans_nodes || x->borrowed != y->borrowed ||
            x->package != y->package || x->workers_max != y->workers_max ||
            x->memory_bytes != y->memory_bytes || x->cpu_count != y->cpu_count)
            fail_msg("%s: shard %u differs: node %u/%u spans %d/%d borrowed %d/%d package %d/%d",
                     label, s, x->node, y->node, x->spans_nodes, y->spans_nodes, x->borrowed,
                     y->borrowed, x->package, y->package);
        if (x->capacity > y->capacity + 1e-9 || x->capacity < y->capacity - 1e-9)
            fail_msg("%s: shard %u has another capacity", label, s);
        for (unsigned i = 0; i + 1 < a->shard_count; i++)
            if (x->neighbours[i] != y->neighbours[i])
                fail_msg("%s: shard %u has other neighbours", label, s);
        for (unsigned t = 0; t < a->shard_count; t++)
            if (a->distance[s * a->shard_count + t] != b->distance[s * a->shard_count + t])
                fail_msg("%s: shards %u and %u are elsewhere", label, s, t);
    }
}

char *make_tree(void)
{
    const char *base = getenv("TMPDIR");
    char *root = npi_text_format("%s/topology_test_XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(root);
    assert_non_null(mkdtemp(root));
    return root;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void remove_tree(char *root)
{
    assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(root);
}

void write_file(const char *root, const char *path, const char *format, ...)
{
    char *name = npi_text_format("%s%s", root, path);
    assert_non_null(name);
    for (char *slash = strchr(name + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(name, 0755);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    assert_int_equal(fclose(file), 0);
    free(name);
}

char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return NULL;
    size_t used = 0, room = 1 << 16;
    char *text = malloc(room);
    assert_non_null(text);
    for (size_t count; (count = fread(text + used, 1, room - used - 1, file)) > 0;) {
        used += count;
        if (room - used < 2) {
            text = realloc(text, room *= 2);
            assert_non_null(text);
        }
    }
    fclose(file);
    text[used] = '\0';
    if (length != NULL)
        *length = used;
    return text;
}

char *capture(int (*writer)(const void *subject, int fd), const void *subject)
{
    char name[] = "/tmp/topology_capture_XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(writer(subject, fd), NUMAPOOL_OK);
    close(fd);
    char *text = read_file(name, NULL);
    assert_non_null(text);
    unlink(name);
    return text;
}

uint32_t next_random(uint64_t *state)
{
    /* splitmix64 */
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}
