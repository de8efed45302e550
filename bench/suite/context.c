/* The facts that decide what a figure means: machine, kernel, its switches, build, versions. */
#include "overload/host.h"
#include "suite/bench.h"

#include <numapool/numapool.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*add)(const char *name, const char *value);

static void add_file(const char *name, const char *path)
{
    char line[256] = "unknown";
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(line, sizeof line, file) != NULL) {
            line[strcspn(line, "\n")] = '\0';
        }
        (void)fclose(file);
    }
    add(name, line);
}

static void add_number(const char *name, double value)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%g", value);
    add(name, text);
}

/* The plan of a pool with defaults: who runs where. */
static void add_plan(void)
{
    numapool *pool = NULL;
    struct numapool_config config;
    numapool_config_init(&config);
    char text[2048] = "no pool";
    FILE *file = tmpfile();
    if (file != NULL && numapool_create(&pool, &config, NULL) == NUMAPOOL_OK) {
        if (numapool_plan_write(pool, fileno(file)) == NUMAPOOL_OK) {
            rewind(file);
            text[fread(text, 1, sizeof text - 1, file)] = '\0';
        }
        add_number("nodes", (double)numapool_node_count(pool));
        (void)numapool_destroy(pool);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    numapool_config_fini(&config);
    add("plan", text);
}

void bench_context(void (*add_fact)(const char *name, const char *value))
{
    static struct host host;
    add = add_fact;
    host_read(&host);
    add("numapool", numapool_version());
    add("numapool_build_type", BENCH_BUILD_TYPE);
    add("compiler", BENCH_COMPILER " " __VERSION__);
    add("peers", BENCH_PEERS);
    add("cpu", host.cpu_model);
    add("virtual_machine", host.virtual_machine ? "yes" : "no");
    add("kernel", host.kernel);
    add_number("cpus_allowed", host.cpus_allowed);
    add_number("cpus_usable", host.cpus_usable);
    add_number("memory_bytes", (double)host.memory_total_bytes);
    add_file("governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    add_file("numa_balancing", "/proc/sys/kernel/numa_balancing");
    add("transparent_hugepage", host.huge_pages);
    add_plan();
}
