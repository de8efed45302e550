/*
 * The table of settings. Order is that of struct numapool_config, then placement, then expectations;
 * dumps keep it. Where bounds come from is said at the bounds.
 */
#include "topology/settings.h"

#define US UINT64_C(1000)
#define MS (1000 * US)
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

/* Threads: what a kernel gives by default on a small machine (pid_max 32768). */
#define WORKERS_MAX 32768
/* Waiting tasks: some gigabytes of queue. */
#define QUEUE_MAX (UINT64_C(1) << 26)

static const char *const shards_words[] = {"node", "l3", "package", "single", NULL};
static const char *const pinning_words[] = {"shard", "cpu", "none", NULL};
static const char *const smt_words[] = {"one", "all", NULL};
static const char *const mode_words[] = {"adaptive", "fixed", NULL};
static const char *const cpu_kind_words[] = {"any", "fastest", NULL};
static const char *const quota_words[] = {"follow", "ignore", NULL};
static const char *const missing_words[] = {"warn", "fail", NULL};
static const char *const policy_words[] = {"prefer", "bind", "local", NULL};
static const char *const page_words[] = {"thp", "small", "huge2m", "huge1g", NULL};

#define IN_CONFIG(f)                                                                               \
    .field = #f, .group = NPI_GROUP_POOL, .said = -1,                                              \
    .offset = offsetof(struct numapool_config, f),                                                 \
    .width = sizeof(((struct numapool_config *)0)->f)
#define IN_PLACEMENT(g, s, f)                                                                      \
    .group = (g), .said = (s), .offset = offsetof(struct numapool_placement, f),                   \
    .width = sizeof(((struct numapool_placement *)0)->f)
#define BETWEEN(a, b) .low = (a), .high = (b)

const struct npi_setting npi_settings[] = {
    {.name = "name", IN_CONFIG(name), .kind = NPI_SETTING_TEXT, BETWEEN(1, 4),
     .one_word = true, .default_text = "\"np\"", .help = "begins the names of the pool's threads"},
    {.name = "mode", IN_CONFIG(mode), .kind = NPI_SETTING_WORD, .words = mode_words,
     .default_text = "\"adaptive\"", .help = "who decides how many workers run"},
    {.name = "workers_max", IN_CONFIG(workers_max), .kind = NPI_SETTING_COUNT,
     BETWEEN(1, WORKERS_MAX), .default_text = "# the larger of 512 and 8 per CPU",
     .help = "budget: tasks that may run at once in the whole pool"},
    {.name = "workers_min", IN_CONFIG(workers_min), .kind = NPI_SETTING_COUNT,
     BETWEEN(1, WORKERS_MAX), .default_text = "# the smaller of 4 and its CPUs, per shard",
     .help = "threads kept alive in the whole pool"},
    {.name = "queue_tasks", IN_CONFIG(queue_tasks), .kind = NPI_SETTING_COUNT,
     BETWEEN(1, QUEUE_MAX), .default_text = "# 1024 per CPU",
     .help = "bound on waiting tasks in the whole pool"},
    {.name = "queue_delay", IN_CONFIG(queue_delay_ns), .kind = NPI_SETTING_TIME,
     BETWEEN(US, HOUR), .may_be_off = true, .default_text = "\"100ms\"",
     .help = "bound on the predicted wait of a task"},
    {.name = "memory", IN_CONFIG(memory_bytes), .kind = NPI_SETTING_BYTES,
     BETWEEN(64 * KIB, 1024 * TIB),
     .default_text = "# a quarter of the free memory or of the control group's room",
     .help = "bound on task bytes in the whole pool"},
    {.name = "idle_exit", IN_CONFIG(idle_exit_ns), .kind = NPI_SETTING_TIME,
     BETWEEN(MS, 24 * HOUR), .may_be_off = true, .default_text = "\"10s\"",
     .help = "a parked worker's thread ends after this"},
    {.name = "spin", IN_CONFIG(spin_ns), .kind = NPI_SETTING_TIME, BETWEEN(1, 10 * MS),
     .may_be_off = true, .default_text = "\"10us\"", .help = "longest spin before a worker parks"},
    {.name = "tick", IN_CONFIG(tick_ns), .kind = NPI_SETTING_TIME, BETWEEN(MS, SECOND),
     .default_text = "\"10ms\"", .help = "period of the control loop"},
    {.name = "latency_bias", IN_CONFIG(latency_bias), .kind = NPI_SETTING_SHARE, BETWEEN(10, 500),
     .default_text = "0.15",
     .help = "share of busy time lost waiting for a CPU before the pool shrinks"},
    {.name = "codel_target", IN_CONFIG(codel_target_ns), .kind = NPI_SETTING_TIME,
     BETWEEN(US, 10 * SECOND), .may_be_off = true, .default_text = "\"5ms\"",
     .help = "standing queue delay that begins shedding"},
    {.name = "codel_interval", IN_CONFIG(codel_interval_ns), .kind = NPI_SETTING_TIME,
     BETWEEN(100 * US, 100 * SECOND), .default_text = "\"100ms\"",
     .help = "... when it has stood this long"},
    {.name = "stack", IN_CONFIG(stack_bytes), .kind = NPI_SETTING_BYTES, BETWEEN(32 * KIB, GIB),
     .default_text = "\"256K\"", .help = "stack of a worker"},
    {.name = "machine", IN_CONFIG(machine), .kind = NPI_SETTING_TEXT, BETWEEN(1, 4096),
     .default_text = "# this machine",
     .help = "hwloc synthetic text or XML file of a machine to stand in for this one"},
    {.name = "shards", IN_CONFIG(shards), .kind = NPI_SETTING_WORD, .words = shards_words,
     .default_text = "\"node\"", .help = "what one shard covers; not beside explicit shards"},
    {.name = "pinning", IN_CONFIG(pinning), .kind = NPI_SETTING_WORD, .words = pinning_words,
     .default_text = "\"shard\"", .help = "where a worker may run: its shard's CPUs, one, any"},
    {.name = "smt", IN_CONFIG(smt), .kind = NPI_SETTING_WORD, .words = smt_words,
     .default_text = "\"one\"", .help = "hardware threads of a core that workers use"},

    {.name = "cpus_only", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_CPUS_ONLY, cpus_only),
     .kind = NPI_SETTING_LIST, .default_text = "# every allowed CPU",
     .help = "workers run on no others"},
    {.name = "cpus_drop", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_CPUS_DROP, cpus_drop),
     .kind = NPI_SETTING_LIST, .default_text = "# none", .help = "workers do not run on these"},
    {.name = "reserve", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_RESERVE, reserve),
     .kind = NPI_SETTING_LIST, .default_text = "# none",
     .help = "CPUs left to interrupts and to the application's own threads"},
    {.name = "nodes_only", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_NODES_ONLY, nodes_only),
     .kind = NPI_SETTING_LIST, .default_text = "# every node",
     .help = "memory and CPUs of no other nodes are used"},
    {.name = "nodes_drop", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_NODES_DROP, nodes_drop),
     .kind = NPI_SETTING_LIST, .default_text = "# none",
     .help = "memory and CPUs of these nodes are not used"},
    {.name = "cpu_kind", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_CPU_KIND, cpu_kind),
     .kind = NPI_SETTING_WORD, .words = cpu_kind_words, .default_text = "\"any\"",
     .help = "cores to use where they are of several kinds"},
    {.name = "quota", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_QUOTA, quota),
     .kind = NPI_SETTING_WORD, .words = quota_words, .default_text = "\"follow\"",
     .help = "whether cpu.max of the control group bounds the workers"},
    {.name = "on_missing", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_ON_MISSING, on_missing),
     .kind = NPI_SETTING_WORD, .words = missing_words, .default_text = "\"warn\"",
     .help = "when CPUs or nodes named here do not exist: use what is left, or fail"},
    {.name = "memory_policy", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_MEMORY_POLICY, memory_policy),
     .kind = NPI_SETTING_WORD, .words = policy_words, .default_text = "\"prefer\"",
     .help = "prefer the home node, bind to it (out of memory kills), or first touch"},
    {.name = "pages", IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_PAGES, pages),
     .kind = NPI_SETTING_WORD, .words = page_words, .default_text = "\"thp\"",
     .help = "size of the pages behind node-local memory"},
    {.name = "shard_memory",
     IN_PLACEMENT(NPI_GROUP_POOL, NPI_SAID_SHARD_MEMORY, shard_memory_bytes),
     .kind = NPI_SETTING_BYTES, BETWEEN(64 * KIB, 1024 * TIB), .default_text = "# no bound of its own",
     .help = "bound on task bytes of each shard"},

    {.name = "nodes", IN_PLACEMENT(NPI_GROUP_EXPECT, NPI_SAID_EXPECT_NODES, expect_nodes),
     .kind = NPI_SETTING_COUNT, BETWEEN(1, 1024), .default_text = "# any",
     .help = "memory nodes that CPUs call home"},
    {.name = "packages", IN_PLACEMENT(NPI_GROUP_EXPECT, NPI_SAID_EXPECT_PACKAGES, expect_packages),
     .kind = NPI_SETTING_COUNT, BETWEEN(1, 1024), .default_text = "# any", .help = "sockets"},
    {.name = "cpus", IN_PLACEMENT(NPI_GROUP_EXPECT, NPI_SAID_EXPECT_CPUS, expect_cpus),
     .kind = NPI_SETTING_COUNT, BETWEEN(1, NPI_CPU_ID_MAX + 1), .default_text = "# any",
     .help = "hardware threads that may be used"},
};

const unsigned npi_setting_count = sizeof npi_settings / sizeof *npi_settings;
