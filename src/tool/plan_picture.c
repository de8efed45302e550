/*
 * A plan as a picture. hwloc reads the machine once more, with all that a picture shows; CPUs, cores
 * and memory get the colour and the number of their shard as infos in an exported XML, and hwloc's own
 * lstopo, another program, draws that. Grey is what the pool leaves alone.
 */
#include "tool/plan.h"

#include "tool/lstopo.h"
#include "tool/tool.h"
#include "topology/discover.h"
#include "topology/text.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines below the picture; more shards than this are told apart by their labels. */
#define LEGEND_MAX 40u

static const char unused[] = "#c8c8c8";

static int set_filters(hwloc_topology_t topology)
{
    int result = hwloc_topology_set_icache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (result == 0)
        result = hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (result == 0)
        result =
            hwloc_topology_set_type_filter(topology, HWLOC_OBJ_MISC, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (result == 0)
        result = hwloc_topology_set_type_filter(topology, HWLOC_OBJ_L1CACHE,
                                                HWLOC_TYPE_FILTER_KEEP_NONE);
    if (result == 0)
        result = hwloc_topology_set_type_filter(topology, HWLOC_OBJ_L2CACHE,
                                                HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    return result;
}

/* The plan's machine for hwloc, by the same rules as discover.c. NULL: *why, or memory is out. */
static hwloc_topology_t load(const struct npi_plan *plan, char **why)
{
    hwloc_topology_t topology = NULL;
    char *xml = NULL;
    bool path = !plan->live && npi_discover_is_path(plan->source);
    if (path && (xml = npi_discover_read_xml(plan->source, why)) == NULL)
        return NULL;
    bool done = hwloc_topology_init(&topology) == 0 && set_filters(topology) == 0;
    unsigned long flags = 0;
#if HWLOC_API_VERSION >= 0x00020500
    if (plan->live)
        flags |= HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
#endif
    done = done && hwloc_topology_set_flags(topology, flags) == 0;
    if (path)
        done = done && hwloc_topology_set_xmlbuffer(topology, xml, (int)strlen(xml)) == 0;
    else if (!plan->live)
        done = done && hwloc_topology_set_synthetic(topology, plan->source) == 0;
    done = done && hwloc_topology_load(topology) == 0;
    if (done && plan->live && !hwloc_topology_is_thissystem(topology))
        done = false;
    free(xml);
    if (done)
        return topology;
    if (topology != NULL)
        hwloc_topology_destroy(topology);
    *why = npi_text_format("hwloc could not read the machine for a picture");
    return NULL;
}

static void paint(hwloc_obj_t object, const char *colour)
{
    char style[64];
    (void)snprintf(style, sizeof style, "Background=%s", colour);
    (void)hwloc_obj_add_info(object, "lstopoStyle", style);
}

static void paint_shard(hwloc_obj_t object, unsigned shard, bool pale)
{
    char colour[8];
    (void)snprintf(colour, sizeof colour, "#%06x", plan_colour(shard, pale));
    paint(object, colour);
}

/* What lstopo writes in place of the type. hwloc frees it. */
static void name(hwloc_obj_t object, const char *text)
{
    free(object->subtype);
    object->subtype = strdup(text);
}

static int shard_of(const struct npi_plan *plan, unsigned cpu, bool *works)
{
    for (unsigned i = 0; i < plan->shard_count; i++) {
        *works = npi_cpuset_has(&plan->shards[i].cpus, cpu);
        if (*works || npi_cpuset_has(&plan->shards[i].owned_cpus, cpu))
            return (int)i;
    }
    *works = false;
    return -1;
}

static void paint_cpus(hwloc_topology_t topology, const struct npi_plan *plan)
{
    for (hwloc_obj_t pu = NULL;
         (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL;) {
        bool works;
        int shard = shard_of(plan, pu->os_index, &works);
        char label[40] = "unused";
        if (shard >= 0)
            (void)snprintf(label, sizeof label, "s%d %s", shard, works ? "worker" : "caller");
        name(pu, label);
        if (shard >= 0)
            paint_shard(pu, (unsigned)shard, !works);
        else
            paint(pu, unused);
    }
    for (hwloc_obj_t core = NULL;
         (core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != NULL;)
        paint(core, "#ffffff"); /* grey by default, which means unused here */
    for (hwloc_obj_t package = NULL;
         (package = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PACKAGE, package)) != NULL;)
        paint(package, "#f6f1e4"); /* by default the green that a shard may have */
}

/* Who lives in a node's memory; false: no shard. */
static bool dwellers(const struct npi_plan *plan, unsigned os_index, unsigned *first,
                     unsigned *count)
{
    *count = 0;
    for (unsigned i = 0; i < plan->shard_count; i++)
        if (plan->nodes[plan->shards[i].node].os_index == os_index && (*count)++ == 0)
            *first = i;
    return *count > 0;
}

static bool is_planned(const struct npi_plan *plan, unsigned os_index)
{
    for (unsigned i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].os_index == os_index)
            return true;
    return false;
}

static void paint_memory(hwloc_topology_t topology, const struct npi_plan *plan)
{
    for (hwloc_obj_t memory = NULL;
         (memory = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, memory)) != NULL;) {
        char label[64] = "unused memory";
        unsigned first = 0, count = 0;
        if (dwellers(plan, memory->os_index, &first, &count)) {
            int length = snprintf(label, sizeof label, "memory of s%u", first);
            if (count > 1)
                (void)snprintf(label + length, sizeof label - (size_t)length, " and %u more",
                               count - 1);
            paint_shard(memory, first, count > 1);
        } else if (is_planned(plan, memory->os_index)) {
            (void)snprintf(label, sizeof label, "memory on request"); /* numapool_alloc() */
            paint(memory, "#ffffff");
        } else {
            paint(memory, unused);
        }
        name(memory, label);
    }
}

/* hwloc 2.9 leaves a group without sets that takes the place of an equal one, and then falls over it. */
static hwloc_obj_t find_group(hwloc_topology_t topology, hwloc_const_bitmap_t cpus)
{
    int depths = hwloc_topology_get_depth(topology);
    for (int depth = 1; depth < depths; depth++) {
        if (hwloc_get_depth_type(topology, depth) != HWLOC_OBJ_GROUP)
            continue;
        for (hwloc_obj_t group = NULL;
             (group = hwloc_get_next_obj_by_depth(topology, depth, group)) != NULL;)
            if (hwloc_bitmap_isequal(group->cpuset, cpus))
                return group;
    }
    return NULL;
}

static hwloc_obj_t insert_group(hwloc_topology_t topology, hwloc_const_bitmap_t cpus)
{
    hwloc_obj_t box = hwloc_topology_alloc_group_object(topology);
    if (box == NULL)
        return NULL;
    box->cpuset = hwloc_bitmap_dup(cpus);
    box->attr->group.dont_merge = 1;
    return hwloc_topology_insert_group_object(topology, box);
}

/* A box around a shard, where its CPUs are a part of the machine's tree; else colours have to do. */
static void frame_shard(hwloc_topology_t topology, const struct npi_plan *plan, unsigned index)
{
    const struct npi_cpuset *cpus = &plan->shards[index].owned_cpus;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    char label[40];
    for (int id = npi_cpuset_next(cpus, -1); set != NULL && id >= 0; id = npi_cpuset_next(cpus, id))
        (void)hwloc_bitmap_set(set, (unsigned)id);
    hwloc_obj_t box = set != NULL ? find_group(topology, set) : NULL;
    if (box == NULL && set != NULL)
        box = insert_group(topology, set);
    if (box != NULL && box->type == HWLOC_OBJ_GROUP) {
        (void)snprintf(label, sizeof label, "shard %u", index);
        name(box, label);
        paint_shard(box, index, true);
    }
    if (set != NULL)
        hwloc_bitmap_free(set);
}

/* A line that may be part of XML and of a command line, whatever a machine is called. */
static char *legend_line(const char *text)
{
    char *line = strdup(text);
    for (char *at = line; at != NULL && *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e || strchr("<>&\"'", *at) != NULL)
            *at = ' ';
    return line;
}

static char *shard_line(const struct npi_plan *plan, unsigned index)
{
    const struct npi_plan_shard *shard = &plan->shards[index];
    char *cpus = plan_set_text(&shard->cpus), *line = NULL;
    if (cpus != NULL)
        line = npi_text_format("s%u: workers on CPUs %.80s%s, memory of OS node %u%s", index, cpus,
                               strlen(cpus) > 80 ? "..." : "", plan->nodes[shard->node].os_index,
                               shard->borrowed ? " (borrowed)" : "");
    free(cpus);
    return line;
}

/* Ends with NULL. NULL: no memory. */
static char **make_legend(const struct npi_plan *plan)
{
    unsigned shown = plan->shard_count < LEGEND_MAX ? plan->shard_count : LEGEND_MAX, count = 0;
    char **legend = calloc(shown + 3u, sizeof *legend);
    if (legend == NULL)
        return NULL;
    char *machine = npi_text_format("%s: %s", plan->source, plan->machine);
    legend[count++] = machine != NULL ? legend_line(machine) : NULL;
    free(machine);
    for (unsigned i = 0; i < shown; i++) {
        char *line = shard_line(plan, i);
        legend[count++] = line != NULL ? legend_line(line) : NULL;
        free(line);
    }
    legend[count++] = legend_line("worker: workers run there. caller: only at home there. Grey: "
                                  "not used.");
    for (unsigned i = 0; i < count; i++)
        if (legend[i] == NULL) {
            for (unsigned k = 0; k < count; k++)
                free(legend[k]);
            free(legend);
            return NULL;
        }
    return legend;
}

/* hwloc 2.9 writes viewBox='0 0 647px 351px', where only numbers may be; some viewers then show
   nothing. */
static void mend_view_box(char *bytes, size_t count)
{
    char *at = memmem(bytes, count < 1024 ? count : 1024, "viewBox='", 9);
    char *end = at != NULL ? memchr(at + 9, '\'', (size_t)(bytes + count - at - 9)) : NULL;
    for (; end != NULL && at < end; at++)
        if (strncmp(at, "px", 2) == 0)
            at[0] = at[1] = ' ';
}

static bool copy(FILE *from, FILE *to)
{
    char bytes[65536];
    size_t count;
    rewind(from);
    for (bool first = true; (count = fread(bytes, 1, sizeof bytes, from)) > 0; first = false) {
        if (first)
            mend_view_box(bytes, count);
        if (fwrite(bytes, 1, count, to) != count)
            return false;
    }
    return ferror(from) == 0;
}

/* From the file without a name to where it was wanted. enum tool_exit. */
static int deliver(FILE *picture, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *out = standard ? stdout : fopen(path, "we");
    if (out == NULL) {
        tool_complain("%s: the file cannot be written: %s", path, strerror(errno));
        return TOOL_USAGE;
    }
    bool failed = !copy(picture, out);
    failed = (standard ? fflush(out) : fclose(out)) != 0 || failed;
    if (failed)
        tool_complain("%s: the file could not be written to its end", path);
    return failed ? TOOL_USAGE : TOOL_OK;
}

static int draw(hwloc_topology_t topology, const struct npi_plan *plan, const char *format,
                const char *path)
{
    char *xml = NULL, *why = NULL, **legend = make_legend(plan);
    int bytes = 0, status = TOOL_USAGE;
    FILE *picture = tmpfile();
    bool drawn = false;
    if (picture == NULL)
        why = npi_text_format("there is no room for a temporary file: %s", strerror(errno));
    else if (legend != NULL && hwloc_topology_export_xmlbuffer(topology, &xml, &bytes, 0) == 0)
        drawn = lstopo_draw(format, xml, (size_t)bytes - 1, legend, picture, &why);
    if (drawn && (fseek(picture, 0, SEEK_END) != 0 || ftell(picture) <= 0)) {
        why = npi_text_format("lstopo drew nothing");
        drawn = false;
    }
    if (drawn)
        status = deliver(picture, path);
    else
        tool_complain("%s: %s", path, why != NULL ? why : "out of memory");
    for (unsigned i = 0; legend != NULL && legend[i] != NULL; i++)
        free(legend[i]);
    free(legend);
    free(why);
    if (xml != NULL)
        hwloc_free_xmlbuffer(topology, xml);
    if (picture != NULL)
        (void)fclose(picture);
    return status;
}

int plan_draw(const struct plan_view *view, const char *format, const char *path)
{
    const struct npi_plan *plan = view->plan;
    char *why = NULL;
    hwloc_topology_t topology = NULL;
    if (plan->discovery_failed)
        why = npi_text_format("there is nothing to draw, as the machine could not be looked at");
    else
        topology = load(plan, &why);
    if (topology == NULL) {
        tool_complain("%s: %s", path, why != NULL ? why : "out of memory");
        free(why);
        return TOOL_USAGE;
    }
    paint_cpus(topology, plan);
    paint_memory(topology, plan);
    for (unsigned i = 0; plan->shard_count > 1 && i < plan->shard_count; i++)
        frame_shard(topology, plan, i);
    int status = draw(topology, plan, format, path);
    hwloc_topology_destroy(topology);
    return status;
}
