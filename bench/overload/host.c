/*
 * Readers of /proc and /sys. Everything is optional: what cannot be read stays empty or 0, and the
 * report says so by showing it.
 */
#include "host.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Room for 8192 CPUs; the kernel refuses sets smaller than its own. */
#define CPU_SETS 8
#define SET_BYTES (CPU_SETS * sizeof(cpu_set_t))

static bool read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool got = fgets(line, (int)size, file) != NULL;
    fclose(file);
    if (got)
        line[strcspn(line, "\n")] = '\0';
    return got;
}

/* The value after "key" and a colon, the first time it occurs in the file. */
static bool read_value(const char *path, const char *key, char *value, size_t size)
{
    char line[4096];
    size_t key_length = strlen(key);
    bool found = false;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, key, key_length) != 0)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        found = true;
    }
    fclose(file);
    return found;
}

static uint64_t meminfo_bytes(const char *key)
{
    char value[64];
    return read_value("/proc/meminfo", key, value, sizeof value) ? strtoull(value, NULL, 10) * 1024
                                                                 : 0;
}

static bool allowed_cpus(cpu_set_t *set)
{
    return sched_getaffinity(0, SET_BYTES, set) == 0;
}

/* Reads "0-3,8" into a set. */
static void parse_cpu_list(const char *text, cpu_set_t *set)
{
    CPU_ZERO_S(SET_BYTES, set);
    while (*text >= '0' && *text <= '9') {
        char *end = NULL;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        for (unsigned long cpu = first; cpu <= last && cpu < SET_BYTES * 8; cpu++)
            CPU_SET_S(cpu, SET_BYTES, set);
        text = *end == ',' ? end + 1 : end;
    }
}

static bool node_cpus(int node_os_index, cpu_set_t *set)
{
    char path[96];
    char line[4096];
    cpu_set_t allowed[CPU_SETS];
    cpu_set_t of_node[CPU_SETS];

    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node_os_index);
    if (!read_line(path, line, sizeof line) || !allowed_cpus(allowed))
        return false;
    parse_cpu_list(line, of_node);
    CPU_AND_S(SET_BYTES, set, of_node, allowed);
    return CPU_COUNT_S(SET_BYTES, set) > 0;
}

static int ascending(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void read_nodes(struct host *host)
{
    cpu_set_t set[CPU_SETS];
    struct dirent *entry;
    DIR *folder = opendir("/sys/devices/system/node");

    while (folder != NULL && (entry = readdir(folder)) != NULL &&
           host->node_count < HOST_NODES_MAX) {
        char *end = NULL;
        if (strncmp(entry->d_name, "node", 4) != 0)
            continue;
        long index = strtol(entry->d_name + 4, &end, 10);
        if (end != entry->d_name + 4 && *end == '\0' && node_cpus((int)index, set))
            host->node_os_index[host->node_count++] = (int)index;
    }
    if (folder != NULL)
        closedir(folder);
    if (host->node_count == 0)
        host->node_os_index[host->node_count++] = 0;
    qsort(host->node_os_index, host->node_count, sizeof host->node_os_index[0], ascending);
}

/* Walks from this process's control group (version 2) to the root; the tightest limit counts. */
static void read_control_group(struct host *host)
{
    char group[1024];
    char path[1200];
    char line[256];

    if (!read_value("/proc/self/cgroup", "0:", group, sizeof group))
        return;
    /* The line is "0::/path": the value begins after the first colon. */
    memmove(group, group + (group[0] == ':'), strlen(group) + (group[0] != ':'));
    for (;;) {
        unsigned long long limit = 0, period = 0, used = 0;
        const char *under = strcmp(group, "/") == 0 ? "" : group;

        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", under);
        if (read_line(path, line, sizeof line) && sscanf(line, "%llu %llu", &limit, &period) == 2 &&
            period > 0 && (double)limit / (double)period < host->cpus_usable)
            host->cpus_usable = (double)limit / (double)period;

        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", under);
        if (read_line(path, line, sizeof line) && sscanf(line, "%llu", &limit) == 1) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", under);
            if (read_line(path, line, sizeof line) && sscanf(line, "%llu", &used) == 1) {
                uint64_t room = limit > used ? limit - used : 0;
                if (room < host->memory_available_bytes)
                    host->memory_available_bytes = room;
            }
        }

        char *slash = strrchr(group, '/');
        if (slash == NULL || *under == '\0')
            return;
        slash[slash == group] = '\0';
    }
}

void host_read(struct host *host)
{
    struct utsname names;
    cpu_set_t set[CPU_SETS];
    char line[256];

    *host = (struct host){.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
    if (uname(&names) == 0) {
        snprintf(host->kernel, sizeof host->kernel, "%s %s", names.sysname, names.release);
        snprintf(host->architecture, sizeof host->architecture, "%s", names.machine);
    }
    if (!read_value("/proc/cpuinfo", "model name", host->cpu_model, sizeof host->cpu_model))
        snprintf(host->cpu_model, sizeof host->cpu_model, "unknown %s", host->architecture);
    char flags[4096];
    host->virtual_machine = read_value("/proc/cpuinfo", "flags", flags, sizeof flags) &&
                            strstr(flags, " hypervisor") != NULL;
    read_line("/sys/kernel/mm/transparent_hugepage/enabled", host->huge_pages,
              sizeof host->huge_pages);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    host->cpus_online = online > 0 ? (unsigned)online : 1;
    host->cpus_allowed =
        allowed_cpus(set) ? (unsigned)CPU_COUNT_S(SET_BYTES, set) : host->cpus_online;
    host->cpus_usable = host->cpus_allowed;
    host->memory_total_bytes = meminfo_bytes("MemTotal");
    host->memory_available_bytes = meminfo_bytes("MemAvailable");
    if (read_line("/proc/loadavg", line, sizeof line))
        host->load_1min = strtod(line, NULL);
    read_nodes(host);
    read_control_group(host);
}

bool host_pin_to_node(int node_os_index)
{
    cpu_set_t set[CPU_SETS];
    return node_cpus(node_os_index, set) && sched_setaffinity(0, SET_BYTES, set) == 0;
}

void host_cpu_read(struct host_cpu *cpu)
{
    char line[512];
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0,
                       stolen = 0;

    *cpu = (struct host_cpu){0};
    if (!read_line("/proc/stat", line, sizeof line) ||
        sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
               &wait, &irq, &soft, &stolen) < 8)
        return;
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    cpu->busy_ns = (user + nice + system + irq + soft) * tick_ns;
    cpu->stolen_ns = stolen * tick_ns;
}
