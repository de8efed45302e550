/*
 * Chooses where the machine model comes from, guards against what hwloc cannot stand, and adds what
 * it does not know: the caller's affinity, nodes without memory or CPUs, free memory, cpu.max.
 *
 * Live discovery has no way to fail but for memory: whatever goes wrong, the model then holds the
 * allowed CPUs, and the note says why there is no more.
 */
#include "topology/discover.h"
#include "topology/cgroup.h"
#include "topology/discover_hwloc.h"
#include "topology/discover_synthetic.h"
#include "topology/discover_xml.h"
#include "topology/place.h"
#include "topology/sysfs.h"
#include "topology/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODE_DIRECTORY "/sys/devices/system/node"
#define CPU_DIRECTORY "/sys/devices/system/cpu"

/*
 * Whether hwloc may be let loose on this /sys. It stops the process by an assertion when the node
 * directory exists and is empty, and prints to stderr when the CPUs are hidden. NULL = it may.
 */
static const char *sysfs_unfit(const char *root)
{
    struct npi_cpuset found = {0};
    const char *why = NULL;
    int result = npi_sysfs_numbers(root, NODE_DIRECTORY, "node", &found);
    if (result == 0 && npi_cpuset_count(&found) == 0)
        why = NODE_DIRECTORY " is there but names no node";
    else if (result != 0 && result != -ENOENT)
        why = NODE_DIRECTORY " cannot be read";
    npi_cpuset_fini(&found);
    if (why != NULL)
        return why;
    if (npi_sysfs_numbers(root, CPU_DIRECTORY, "cpu", &found) != 0 || npi_cpuset_count(&found) == 0)
        why = CPU_DIRECTORY " is hidden";
    npi_cpuset_fini(&found);
    return why;
}

static int compare_cpus(const void *a, const void *b)
{
    unsigned x = ((const struct npi_machine_cpu *)a)->os_index;
    unsigned y = ((const struct npi_machine_cpu *)b)->os_index;
    return (x > y) - (x < y);
}

/* Leaves exactly the allowed CPUs: drops others, adds those hwloc did not see. */
static int restrict_to(struct npi_machine *machine, const struct npi_cpuset *allowed)
{
    size_t allowed_count = npi_cpuset_count(allowed);
    struct npi_machine_cpu *cpus = calloc(allowed_count, sizeof *cpus);
    if (cpus == NULL)
        return -ENOMEM;
    unsigned kept = 0;
    for (int id = npi_cpuset_next(allowed, -1); id >= 0; id = npi_cpuset_next(allowed, id)) {
        int slot = npi_machine_cpu_slot(machine, (unsigned)id);
        if (slot >= 0)
            /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it was found there */
            cpus[kept++] = machine->cpus[slot];
        else
            cpus[kept++] = (struct npi_machine_cpu){(unsigned)id, -1, -1, -1, -1};
    }
    free(machine->cpus);
    machine->cpus = cpus;
    machine->cpu_count = kept;
    qsort(cpus, kept, sizeof *cpus, compare_cpus);
    for (unsigned i = 0; i < machine->node_count; i++)
        npi_cpuset_intersect(&machine->nodes[i].cpus, allowed);
    for (unsigned i = 0; i < machine->domain_count; i++)
        npi_cpuset_intersect(&machine->domains[i], allowed);
    return 0;
}

/* Reads a list file of /sys. false: no such file; an empty file is an empty set. */
static bool read_list(const char *root, unsigned node, const char *file, struct npi_cpuset *set)
{
    char *text = npi_sysfs_read(root, NODE_DIRECTORY "/node%u/%s", node, file);
    bool read =
        text != NULL && (*text == '\0' || npi_cpuset_parse(set, text, NULL) == NPI_CPUSET_PARSED);
    free(text);
    return read;
}

/*
 * A node's sizes. Free is what it can give without taking it from anybody: free, or clean and cold
 * page cache. A node the kernel knows to have nothing is without memory, whatever hwloc made of it.
 */
static void read_sizes(struct npi_machine_node *node, const char *root)
{
    uint64_t total_bytes = 0, free_bytes = 0, cold_bytes = 0;
    char *text = npi_sysfs_read(root, NODE_DIRECTORY "/node%u/meminfo", node->os_index);
    if (text == NULL)
        return;
    bool known = npi_sysfs_kilobytes(text, "MemTotal:", &total_bytes);
    npi_sysfs_kilobytes(text, "MemFree:", &free_bytes);
    npi_sysfs_kilobytes(text, "Inactive(file):", &cold_bytes);
    free(text);
    node->free_bytes = free_bytes + cold_bytes;
    if (node->memory_bytes == 0)
        node->memory_bytes = total_bytes;
    if (known && node->memory_bytes == 0)
        node->memoryless = true;
}

/* Inserts an empty node at its place and widens the table of distances with unknown entries. */
static struct npi_machine_node *insert_node(struct npi_machine *machine, unsigned os_index)
{
    unsigned count = machine->node_count, at = 0;
    struct npi_machine_node *nodes = realloc(machine->nodes, (count + 1) * sizeof *nodes);
    if (nodes == NULL)
        return NULL;
    machine->nodes = nodes;
    unsigned *wider = NULL;
    while (at < count && nodes[at].os_index < os_index)
        at++;
    if (machine->distance != NULL) {
        wider = calloc((size_t)(count + 1) * (count + 1), sizeof *wider);
        if (wider == NULL)
            return NULL;
        for (unsigned i = 0; i < count; i++)
            for (unsigned j = 0; j < count; j++)
                wider[(size_t)(i + (i >= at)) * (count + 1) + j + (j >= at)] =
                    npi_machine_distance(machine, i, j);
        free(machine->distance);
        machine->distance = wider;
    }
    memmove(nodes + at + 1, nodes + at, (count - at) * sizeof *nodes);
    nodes[at] = (struct npi_machine_node){.os_index = os_index};
    machine->node_count++;
    return &nodes[at];
}

/*
 * Adds the online nodes that have CPUs of ours and no memory, or none that our control group
 * allows. hwloc leaves them out, and with them the only statement of which memory is near those
 * CPUs.
 */
static int add_memoryless_nodes(struct npi_machine *machine, const char *root,
                                const struct npi_cpuset *online, const struct npi_cpuset *allowed)
{
    for (int id = npi_cpuset_next(online, -1); id >= 0; id = npi_cpuset_next(online, id)) {
        struct npi_cpuset cpus = {0};
        if (npi_machine_node_slot(machine, (unsigned)id) >= 0 ||
            !read_list(root, (unsigned)id, "cpulist", &cpus))
            continue;
        npi_cpuset_intersect(&cpus, allowed);
        struct npi_machine_node *node = NULL;
        bool ours = npi_cpuset_count(&cpus) > 0;
        if (ours)
            node = insert_node(machine, (unsigned)id);
        if (node == NULL) {
            npi_cpuset_fini(&cpus);
            if (ours)
                return -ENOMEM;
            continue;
        }
        node->memoryless = true;
        node->cpus = cpus;
    }
    return 0;
}

/* The numbers of a row; false when there are not `wanted` of them. */
static bool read_row(const char *root, unsigned node, unsigned *row, size_t wanted)
{
    char *text = npi_sysfs_read(root, NODE_DIRECTORY "/node%u/distance", node);
    char *at = text;
    size_t count = 0;
    while (text != NULL && count <= wanted) {
        char *end;
        unsigned long value = strtoul(at, &end, 10);
        if (end == at)
            break;
        if (count < wanted)
            row[count] = value >= 10 && value <= 65535 ? (unsigned)value : 0;
        count++;
        at = end;
    }
    free(text);
    return count == wanted;
}

/*
 * Fills unknown distances from the nodes' own rows. Their columns are the online nodes in order; a
 * row of another length means something else and is left alone.
 */
static int read_distance_rows(struct npi_machine *machine, const char *root,
                              const struct npi_cpuset *listed)
{
    size_t count = machine->node_count;
    struct npi_cpuset online = {0};
    char *text = npi_sysfs_read(root, NODE_DIRECTORY "/online");
    if (text == NULL || npi_cpuset_parse(&online, text, NULL) != NPI_CPUSET_PARSED)
        npi_cpuset_copy(&online, listed);
    free(text);
    size_t columns = npi_cpuset_count(&online);
    unsigned *row = calloc(columns + 1, sizeof *row);
    if (machine->distance == NULL)
        machine->distance = calloc(count * count, sizeof *machine->distance);
    bool done = row != NULL && machine->distance != NULL;
    for (unsigned from = 0; done && from < count; from++) {
        size_t column = 0;
        if (!read_row(root, machine->nodes[from].os_index, row, columns))
            continue;
        for (int id = npi_cpuset_next(&online, -1); id >= 0; id = npi_cpuset_next(&online, id)) {
            int to = npi_machine_node_slot(machine, (unsigned)id);
            unsigned *entry = to >= 0 ? &machine->distance[from * count + (size_t)to] : NULL;
            if (entry != NULL && *entry == 0)
                *entry = row[column];
            column++;
        }
    }
    free(row);
    npi_cpuset_fini(&online);
    return done ? 0 : -ENOMEM;
}

/* What /sys says about nodes beyond hwloc. Files that are missing leave things unknown. */
static int complete_nodes(struct npi_machine *machine, const char *root,
                          const struct npi_cpuset *allowed)
{
    struct npi_cpuset online = {0};
    int result = npi_sysfs_numbers(root, NODE_DIRECTORY, "node", &online);
    if (result == 0)
        result = add_memoryless_nodes(machine, root, &online, allowed);
    else if (result != -ENOMEM)
        result = 0; /* a kernel without NUMA */
    for (unsigned i = 0; result == 0 && i < machine->node_count; i++) {
        struct npi_machine_node *node = &machine->nodes[i];
        struct npi_cpuset cpus = {0};
        if (read_list(root, node->os_index, "cpulist", &cpus))
            node->cpuless = npi_cpuset_count(&cpus) == 0;
        npi_cpuset_fini(&cpus);
        if (!node->memoryless)
            read_sizes(node, root);
    }
    if (result == 0 && machine->node_count > 0)
        result = read_distance_rows(machine, root, &online);
    npi_cpuset_fini(&online);
    return result;
}

/* One line about a machine, from its own contents. */
static char *summarize(const struct npi_machine *machine)
{
    struct npi_text text = {0};
    struct npi_cpuset packages = {0}, cores = {0};
    unsigned lone_cores = 0, memory_nodes = 0;
    uint64_t memory_bytes = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        const struct npi_machine_cpu *cpu = &machine->cpus[i];
        if (cpu->package >= 0 && cpu->package <= (int)NPI_CPU_ID_MAX)
            text.failed |= !npi_cpuset_add(&packages, (unsigned)cpu->package);
        if (cpu->core >= 0 && cpu->core <= (int)NPI_CPU_ID_MAX)
            text.failed |= !npi_cpuset_add(&cores, (unsigned)cpu->core);
        else
            lone_cores++;
    }
    for (unsigned i = 0; i < machine->node_count; i++) {
        memory_nodes += !machine->nodes[i].memoryless;
        memory_bytes += machine->nodes[i].memory_bytes;
    }
    size_t package_count = npi_cpuset_count(&packages);
    size_t core_count = npi_cpuset_count(&cores) + lone_cores;
    npi_text_add(&text, "%u CPU%s on %zu core%s", machine->cpu_count,
                 machine->cpu_count == 1 ? "" : "s", core_count, core_count == 1 ? "" : "s");
    if (package_count > 0)
        npi_text_add(&text, " in %zu package%s", package_count, package_count == 1 ? "" : "s");
    npi_text_add(&text, ", %u memory node%s", memory_nodes, memory_nodes == 1 ? "" : "s");
    if (memory_bytes > 0) {
        npi_text_add(&text, " with ");
        npi_text_add_bytes(&text, memory_bytes);
    }
    npi_cpuset_fini(&packages);
    npi_cpuset_fini(&cores);
    return npi_text_take(&text);
}

/* The CPUs this process may use; the whole of them by number when even that cannot be asked. */
static int find_allowed(struct npi_cpuset *allowed, const struct npi_discover_options *options)
{
    if (options->allowed != NULL)
        return npi_cpuset_copy(allowed, options->allowed) ? 0 : -ENOMEM;
    int result = npi_place_allowed_cpus(allowed);
    if (result == 0 || result == -ENOMEM)
        return result;
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    for (unsigned id = 0; id < (count > 0 ? (unsigned long)count : 1) && id <= NPI_CPU_ID_MAX; id++)
        if (!npi_cpuset_add(allowed, id))
            return -ENOMEM;
    return 0;
}

/* Drops what a failed attempt may have left and keeps the CPUs alone. */
static int keep_cpus_only(struct npi_machine *machine, const struct npi_cpuset *allowed)
{
    char *source = machine->source;
    char **notes = machine->notes;
    unsigned note_count = machine->note_count;
    machine->source = NULL;
    machine->notes = NULL;
    machine->note_count = 0;
    npi_machine_fini(machine);
    *machine = (struct npi_machine){
        .live = true, .source = source, .notes = notes, .note_count = note_count};
    return restrict_to(machine, allowed);
}

/* The usual way. NULL = done; else why not, and *result < 0 only for want of memory. */
static const char *look_at_machine(struct npi_machine *machine,
                                   const struct npi_discover_options *options,
                                   const struct npi_cpuset *allowed, int *result)
{
    const char *why = sysfs_unfit(options->root);
    *result = 0;
    if (why != NULL)
        return why;
    int loaded = npi_hwloc_load(machine, NPI_HWLOC_LIVE, NULL, options->want_kinds);
    if (loaded == -ENOTSUP)
        return "hwloc's own environment variables make it describe another machine";
    if (loaded != 0) {
        *result = loaded == -ENOMEM ? loaded : 0;
        return "hwloc could not read the machine";
    }
    *result = restrict_to(machine, allowed);
    if (*result == 0)
        *result = complete_nodes(machine, options->root, allowed);
    if (*result == 0)
        npi_machine_valid(machine, &why);
    return why;
}

int npi_discover_live(struct npi_machine *machine, const struct npi_discover_options *options,
                      bool *failed)
{
    struct npi_machine fresh = {.live = true};
    struct npi_cpuset allowed = {0};
    int result = find_allowed(&allowed, options);
    const char *why = NULL;
    *failed = false;
    if (result == 0)
        fresh.source = npi_text_format("this machine");
    if (result == 0)
        why = look_at_machine(&fresh, options, &allowed, &result);
    if (result == 0 && why != NULL) {
        *failed = true;
        result = keep_cpus_only(&fresh, &allowed);
        if (!npi_notes_add(&fresh.notes, &fresh.note_count,
                           "the machine could not be looked at: %s", why))
            result = -ENOMEM;
    }
    npi_cpuset_fini(&allowed);
    fresh.cpu_limit = npi_cgroup_cpu_limit(options->root);
    fresh.cpus_here = fresh.cpu_count;
    if (result == 0)
        fresh.summary = summarize(&fresh);
    if (result == 0 && (fresh.summary == NULL || fresh.source == NULL))
        result = -ENOMEM;
    if (result != 0) {
        npi_machine_fini(&fresh);
        return result;
    }
    *machine = fresh;
    return 0;
}

bool npi_discover_is_path(const char *text)
{
    size_t length = strlen(text);
    return strchr(text, '/') != NULL || (length > 4 && strcmp(text + length - 4, ".xml") == 0);
}

char *npi_discover_read_xml(const char *path, char **why)
{
    *why = NULL;
    struct stat file;
    if (stat(path, &file) != 0) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number */
        *why = npi_text_format("%s: %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(file.st_mode)) {
        *why = npi_text_format("%s is not a file", path);
        return NULL;
    }
    char *text = npi_sysfs_read(NULL, "%s", path);
    if (text == NULL) {
        if (errno != ENOMEM)
            /* NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number */
            *why = npi_text_format("%s: %s", path, strerror(errno));
        return NULL;
    }
    int line;
    bool no_memory;
    const char *unfit = npi_xml_unfit(text, &line, &no_memory);
    if (unfit == NULL && !no_memory)
        return text;
    free(text);
    if (unfit != NULL)
        *why = npi_text_format("%s:%d: %s; make such a file with `lstopo FILE.xml`", path, line,
                               unfit);
    return NULL;
}

static bool synthetic_fits(const char *text, char **why)
{
    const char *unfit = npi_synthetic_unfit(text);
    bool plain = true;
    for (const char *at = text; *at != '\0'; at++)
        plain = plain && (unsigned char)*at >= 0x20 && (unsigned char)*at <= 0x7e;
    if (!plain)
        *why = npi_text_format("a machine text is plain ASCII on one line");
    else if (strlen(text) > 4096)
        *why = npi_text_format("a machine text has at most 4096 characters");
    else if (unfit != NULL)
        *why = npi_text_format("\"%s\" %s", text, unfit);
    else
        return true;
    return false;
}

/* How large this machine is, so that a text of a larger one can be scaled to it. */
static int find_size_here(struct npi_machine *machine, const struct npi_discover_options *options)
{
    struct npi_cpuset allowed = {0};
    int result = find_allowed(&allowed, options);
    machine->cpus_here = (unsigned)npi_cpuset_count(&allowed);
    machine->cpu_limit = npi_cgroup_cpu_limit(options->root);
    npi_cpuset_fini(&allowed);
    return result;
}

int npi_discover_text(struct npi_machine *machine, const char *text,
                      const struct npi_discover_options *options, char **why)
{
    struct npi_machine fresh = {0};
    bool path = npi_discover_is_path(text);
    *why = NULL;
    char *xml = path ? npi_discover_read_xml(text, why) : NULL;
    if (path ? xml == NULL : !synthetic_fits(text, why))
        return *why != NULL ? -EINVAL : -ENOMEM;
    int result = npi_hwloc_load(&fresh, path ? NPI_HWLOC_XML : NPI_HWLOC_SYNTHETIC,
                                path ? xml : text, options->want_kinds);
    free(xml);
    const char *wrong = NULL;
    if (result == 0 && !npi_machine_valid(&fresh, &wrong)) {
        *why = npi_text_format("\"%s\" is not a usable machine: %s", text, wrong);
        result = -EINVAL;
    } else if (result != 0 && result != -ENOMEM) {
        *why = path ? npi_text_format("%s is not a machine that hwloc can load; make one with "
                                      "`lstopo FILE.xml`",
                                      text)
                    : npi_text_format("\"%s\" is not an hwloc synthetic text such as "
                                      "\"pack:2 [numa] core:8 pu:2\"",
                                      text);
        result = -EINVAL;
    }
    if (result == 0)
        result = find_size_here(&fresh, options);
    if (result == 0) {
        fresh.source = npi_text_format("%s", text);
        fresh.summary = summarize(&fresh);
        if (fresh.source == NULL || fresh.summary == NULL)
            result = -ENOMEM;
    }
    if (result != 0) {
        npi_machine_fini(&fresh);
        return result;
    }
    *machine = fresh;
    return 0;
}
