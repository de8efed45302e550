/*
 * From hwloc's tree to the plain machine model. The only file of the library that includes hwloc.h.
 * It judges nothing: which node becomes a home is the planner's business.
 *
 * The caller's affinity is never touched (DONT_CHANGE_BINDING), no I/O devices and no instruction
 * or first-level caches are read, and the tree is destroyed before returning.
 */
#include "topology/discover_hwloc.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool copy_bitmap(struct npi_cpuset *set, hwloc_const_bitmap_t bitmap)
{
    if (bitmap == NULL || hwloc_bitmap_weight(bitmap) < 0)
        return bitmap == NULL;
    for (int id = hwloc_bitmap_next(bitmap, -1); id >= 0; id = hwloc_bitmap_next(bitmap, id))
        if (!npi_cpuset_add(set, (unsigned)id))
            return false;
    return true;
}

static unsigned long load_flags(enum npi_hwloc_source source, bool want_kinds)
{
    unsigned long flags = 0;
#if HWLOC_API_VERSION >= 0x00020500
    if (source == NPI_HWLOC_LIVE)
        flags |= HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
#endif
#if HWLOC_API_VERSION >= 0x00020800
    if (!want_kinds)
        flags |= HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
    if (source == NPI_HWLOC_XML) /* of no use here, and more that might not be well */
        flags |= HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS;
#endif
    (void)source;
    (void)want_kinds;
    return flags;
}

/* Only what the model has a place for. L2 stays for machines whose last level it is. */
static int set_filters(hwloc_topology_t topology)
{
    static const hwloc_obj_type_t unwanted[] = {
        HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L1ICACHE, HWLOC_OBJ_L2ICACHE,   HWLOC_OBJ_L3ICACHE,
        HWLOC_OBJ_MISC,    HWLOC_OBJ_BRIDGE,   HWLOC_OBJ_PCI_DEVICE, HWLOC_OBJ_OS_DEVICE,
    };
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
        if (hwloc_topology_set_type_filter(topology, unwanted[i], HWLOC_TYPE_FILTER_KEEP_NONE) != 0)
            return -1;
    return 0;
}

/* A fresh topology, loaded; NULL with *failure set. */
static hwloc_topology_t load(enum npi_hwloc_source source, const char *text, bool want_kinds,
                             int *failure)
{
    hwloc_topology_t topology = NULL;
    if (hwloc_topology_init(&topology) != 0) {
        *failure = -ENOMEM;
        return NULL;
    }
    *failure = -EIO;
    if (set_filters(topology) != 0 ||
        hwloc_topology_set_flags(topology, load_flags(source, want_kinds)) != 0)
        goto fail;
#if HWLOC_API_VERSION < 0x00020500 && HWLOC_API_VERSION >= 0x00020100
    /* Before the flag existed, this back end walked the caller over all CPUs. */
    if (source == NPI_HWLOC_LIVE)
        hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
#endif
    if (source != NPI_HWLOC_LIVE)
        *failure = -EINVAL;
    if (source == NPI_HWLOC_SYNTHETIC && hwloc_topology_set_synthetic(topology, text) != 0)
        goto fail;
    if (source == NPI_HWLOC_XML &&
        hwloc_topology_set_xmlbuffer(topology, text, (int)strlen(text)) != 0)
        goto fail;
    if (hwloc_topology_load(topology) != 0)
        goto fail;
    if (source == NPI_HWLOC_LIVE && !hwloc_topology_is_thissystem(topology)) {
        *failure = -ENOTSUP;
        goto fail;
    }
    *failure = 0;
    return topology;

fail:
    hwloc_topology_destroy(topology);
    return NULL;
}

static int compare_cpus(const void *a, const void *b)
{
    unsigned x = ((const struct npi_machine_cpu *)a)->os_index;
    unsigned y = ((const struct npi_machine_cpu *)b)->os_index;
    return (x > y) - (x < y);
}

static int compare_nodes(const void *a, const void *b)
{
    unsigned x = ((const struct npi_machine_node *)a)->os_index;
    unsigned y = ((const struct npi_machine_node *)b)->os_index;
    return (x > y) - (x < y);
}

/* The type whose objects are the last level of cache that several cores may share; L2 without L3.
 */
static hwloc_obj_type_t last_level(hwloc_topology_t topology)
{
    return hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_L3CACHE) > 0 ? HWLOC_OBJ_L3CACHE
                                                                     : HWLOC_OBJ_L2CACHE;
}

static int ancestor_index(hwloc_topology_t topology, hwloc_obj_t pu, hwloc_obj_type_t type)
{
    hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(topology, type, pu);
    return object != NULL ? (int)object->logical_index : -1;
}

static int kind_of(hwloc_topology_t topology, hwloc_const_cpuset_t cpuset)
{
#if HWLOC_API_VERSION >= 0x00020400
    int kind_count = hwloc_cpukinds_get_nr(topology, 0);
    int kind = kind_count > 1 ? hwloc_cpukinds_get_by_cpuset(topology, cpuset, 0) : -1;
    int efficiency = -1;
    if (kind >= 0 &&
        hwloc_cpukinds_get_info(topology, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0) == 0)
        return efficiency;
#else
    (void)topology;
    (void)cpuset;
#endif
    return -1;
}

static int read_cpus(struct npi_machine *machine, hwloc_topology_t topology)
{
    hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_cpuset(topology);
    hwloc_obj_type_t cache = last_level(topology);
    int count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    if (count <= 0)
        return -EINVAL;
    machine->cpus = calloc((size_t)count, sizeof *machine->cpus);
    if (machine->cpus == NULL)
        return -ENOMEM;
    for (hwloc_obj_t pu = NULL;
         (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL;) {
        if (!hwloc_bitmap_isset(allowed, pu->os_index))
            continue;
        if (pu->os_index > NPI_CPU_ID_MAX)
            return -EINVAL;
        hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, pu);
        int package_id = -1;
        if (package != NULL)
            package_id = package->os_index != HWLOC_UNKNOWN_INDEX ? (int)package->os_index
                                                                  : (int)package->logical_index;
        machine->cpus[machine->cpu_count++] = (struct npi_machine_cpu){
            .os_index = pu->os_index,
            .core = ancestor_index(topology, pu, HWLOC_OBJ_CORE),
            .cache = ancestor_index(topology, pu, cache),
            .package = package_id,
            .kind = kind_of(topology, pu->cpuset),
        };
    }
    qsort(machine->cpus, machine->cpu_count, sizeof *machine->cpus, compare_cpus);
    return 0;
}

static enum npi_node_kind node_kind(hwloc_obj_t node)
{
    const char *subtype = node->subtype;
    if (subtype == NULL || strcasecmp(subtype, "DRAM") == 0)
        return NPI_NODE_DRAM;
    if (strcasecmp(subtype, "HBM") == 0 || strcasecmp(subtype, "MCDRAM") == 0)
        return NPI_NODE_HBM;
    if (strncasecmp(subtype, "GPU", 3) == 0)
        return NPI_NODE_DEVICE;
    return NPI_NODE_OTHER;
}

static int read_nodes(struct npi_machine *machine, hwloc_topology_t topology)
{
    hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_nodeset(topology);
    hwloc_const_bitmap_t allowed_cpus = hwloc_topology_get_allowed_cpuset(topology);
    int count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
    if (count <= 0)
        return 0;
    machine->nodes = calloc((size_t)count, sizeof *machine->nodes);
    if (machine->nodes == NULL)
        return -ENOMEM;
    struct npi_cpuset usable = {0};
    int result = copy_bitmap(&usable, allowed_cpus) ? 0 : -ENOMEM;
    for (hwloc_obj_t node = NULL;
         result == 0 &&
         (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != NULL;) {
        if (!hwloc_bitmap_isset(allowed, node->os_index))
            continue;
        if (node->os_index > NPI_CPU_ID_MAX) {
            result = -EINVAL;
            break;
        }
        struct npi_machine_node *to = &machine->nodes[machine->node_count++];
        to->os_index = node->os_index;
        to->kind = node_kind(node);
        to->memory_bytes = node->attr != NULL ? node->attr->numanode.local_memory : 0;
        if (!copy_bitmap(&to->cpus, node->cpuset))
            result = -ENOMEM;
        npi_cpuset_intersect(&to->cpus, &usable);
    }
    npi_cpuset_fini(&usable);
    if (result == 0)
        qsort(machine->nodes, machine->node_count, sizeof *machine->nodes, compare_nodes);
    return result;
}

/*
 * The table of latencies between nodes: the one called NUMALatency where it has a name, else the
 * first that the operating system gave. It covers only nodes that hwloc kept.
 */
static struct hwloc_distances_s *latency_table(hwloc_topology_t topology)
{
    struct hwloc_distances_s *table = NULL;
    unsigned count = 1;
    if (hwloc_distances_get_by_name(topology, "NUMALatency", &count, &table, 0) == 0 && count == 1)
        return table;
    count = 1;
    table = NULL;
    if (hwloc_distances_get_by_type(topology, HWLOC_OBJ_NUMANODE, &count, &table,
                                    HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) == 0 &&
        count >= 1)
        return table;
    return NULL;
}

static int read_distances(struct npi_machine *machine, hwloc_topology_t topology)
{
    struct hwloc_distances_s *table = latency_table(topology);
    if (table == NULL || machine->node_count == 0)
        return 0;
    size_t count = machine->node_count;
    machine->distance = calloc(count * count, sizeof *machine->distance);
    for (unsigned i = 0; machine->distance != NULL && i < table->nbobjs; i++) {
        int from =
            table->objs[i] != NULL ? npi_machine_node_slot(machine, table->objs[i]->os_index) : -1;
        for (unsigned j = 0; from >= 0 && j < table->nbobjs; j++) {
            int to = table->objs[j] != NULL
                         ? npi_machine_node_slot(machine, table->objs[j]->os_index)
                         : -1;
            hwloc_uint64_t value = table->values[(size_t)i * table->nbobjs + j];
            /* Below 10 is below "local": another unit than the kernel's, so of no use here. */
            if (to >= 0 && value >= 10)
                machine->distance[(size_t)from * count + (size_t)to] =
                    value > 65535 ? 65535u : (unsigned)value;
        }
    }
    hwloc_distances_release(topology, table);
    return machine->distance != NULL ? 0 : -ENOMEM;
}

static int read_domains(struct npi_machine *machine, hwloc_topology_t topology)
{
    int depth_count = hwloc_topology_get_depth(topology);
    for (int depth = 1; depth < depth_count; depth++) {
        hwloc_obj_type_t type = hwloc_get_depth_type(topology, depth);
        if (type == HWLOC_OBJ_CORE || type == HWLOC_OBJ_PU)
            continue;
        unsigned count = hwloc_get_nbobjs_by_depth(topology, depth);
        struct npi_cpuset *grown =
            realloc(machine->domains, (machine->domain_count + count) * sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        machine->domains = grown;
        for (unsigned i = 0; i < count; i++) {
            struct npi_cpuset *domain = &machine->domains[machine->domain_count++];
            *domain = (struct npi_cpuset){0};
            if (!copy_bitmap(domain, hwloc_get_obj_by_depth(topology, depth, i)->cpuset))
                return -ENOMEM;
        }
    }
    return 0;
}

int npi_hwloc_load(struct npi_machine *machine, enum npi_hwloc_source source, const char *text,
                   bool want_kinds)
{
    int result = 0;
    hwloc_topology_t topology = load(source, text, want_kinds, &result);
    if (topology == NULL)
        return result;
    result = read_cpus(machine, topology);
    if (result == 0)
        result = read_nodes(machine, topology);
    if (result == 0)
        result = read_distances(machine, topology);
    if (result == 0)
        result = read_domains(machine, topology);
    hwloc_topology_destroy(topology);
    return result;
}
