/*
 * Prints where every field of the public structs lies and what every public number is, one per
 * line. layout.txt keeps what was published; lines may be added to it, never changed.
 */
#include <numapool/numapool.h>
#include <numapool/stats_page.h>
#include <stdio.h>

#define SIZE(type) printf(#type " %zu\n", sizeof(struct type))
#define FIELD(type, field)                                                                         \
    printf(#type "." #field " %zu+%zu\n", offsetof(struct type, field),                            \
           sizeof(((struct type *)0)->field))
#define NUMBER(name) printf(#name " %lld\n", (long long)(name))

static void results(void)
{
    NUMBER(NUMAPOOL_OK);
    NUMBER(NUMAPOOL_E_FULL);
    NUMBER(NUMAPOOL_E_SHED);
    NUMBER(NUMAPOOL_E_DEADLINE);
    NUMBER(NUMAPOOL_E_TIMEDOUT);
    NUMBER(NUMAPOOL_E_CANCELLED);
    NUMBER(NUMAPOOL_E_CLOSED);
    NUMBER(NUMAPOOL_E_INVALID);
    NUMBER(NUMAPOOL_E_DEADLOCK);
    NUMBER(NUMAPOOL_E_FORKED);
    NUMBER(NUMAPOOL_E_CONFIG);
    NUMBER(NUMAPOOL_E_NOMEM);
    NUMBER(NUMAPOOL_E_SYSTEM);
}

static void choices(void)
{
    NUMBER(NUMAPOOL_OFF);
    NUMBER(NUMAPOOL_PER_NODE);
    NUMBER(NUMAPOOL_PER_L3);
    NUMBER(NUMAPOOL_PER_PACKAGE);
    NUMBER(NUMAPOOL_SINGLE);
    NUMBER(NUMAPOOL_PIN_SHARD);
    NUMBER(NUMAPOOL_PIN_CPU);
    NUMBER(NUMAPOOL_PIN_NONE);
    NUMBER(NUMAPOOL_SMT_ONE);
    NUMBER(NUMAPOOL_SMT_ALL);
    NUMBER(NUMAPOOL_ADAPTIVE);
    NUMBER(NUMAPOOL_FIXED);
    NUMBER(NUMAPOOL_LOG_ERROR);
    NUMBER(NUMAPOOL_LOG_WARNING);
    NUMBER(NUMAPOOL_LOG_INFO);
    NUMBER(NUMAPOOL_LOG_DEBUG);
    NUMBER(NUMAPOOL_STATS_PAGE_ON);
    NUMBER(NUMAPOOL_STATS_PAGE_OFF);
    NUMBER(NUMAPOOL_NORMAL);
    NUMBER(NUMAPOOL_CRITICAL);
    NUMBER(NUMAPOOL_SHEDDABLE);
    NUMBER(NUMAPOOL_CLASSES);
    NUMBER(NUMAPOOL_ON_NODE);
    NUMBER(NUMAPOOL_STRICT_NODE);
    NUMBER(NUMAPOOL_DROP_OK);
}

static void config(void)
{
    SIZE(numapool_config);
    FIELD(numapool_config, struct_size);
    FIELD(numapool_config, workers_max);
    FIELD(numapool_config, workers_min);
    FIELD(numapool_config, queue_tasks);
    FIELD(numapool_config, queue_delay_ns);
    FIELD(numapool_config, memory_bytes);
    FIELD(numapool_config, idle_exit_ns);
    FIELD(numapool_config, spin_ns);
    FIELD(numapool_config, tick_ns);
    FIELD(numapool_config, latency_bias);
    FIELD(numapool_config, codel_target_ns);
    FIELD(numapool_config, codel_interval_ns);
    FIELD(numapool_config, shards);
    FIELD(numapool_config, pinning);
    FIELD(numapool_config, smt);
    FIELD(numapool_config, mode);
    FIELD(numapool_config, machine);
    FIELD(numapool_config, name);
    FIELD(numapool_config, stack_bytes);
    FIELD(numapool_config, log);
    FIELD(numapool_config, log_arg);
    FIELD(numapool_config, placement);
    FIELD(numapool_config, watchdog_ns);
    FIELD(numapool_config, stats_page);
    FIELD(numapool_config, spare);
    FIELD(numapool_config, reserved);
}

static void task(void)
{
    SIZE(numapool_task);
    FIELD(numapool_task, run);
    FIELD(numapool_task, arg);
    FIELD(numapool_task, drop);
    FIELD(numapool_task, group);
    FIELD(numapool_task, deadline_ns);
    FIELD(numapool_task, near_data);
    FIELD(numapool_task, bytes);
    FIELD(numapool_task, node);
    FIELD(numapool_task, task_class);
    FIELD(numapool_task, flags);
    FIELD(numapool_task, reserved);
}

static void error(void)
{
    SIZE(numapool_error);
    FIELD(numapool_error, text);
    FIELD(numapool_error, sys_errno);
    FIELD(numapool_error, count);
}

static void stats(void)
{
#define FIELD_OF_STATS(name, kind, text) FIELD(numapool_stats, name);
    FIELD(numapool_stats, struct_size);
    NUMAPOOL_STATS_FIELDS(FIELD_OF_STATS)
#define FIELD_OF_SHARD(name, kind, text) FIELD(numapool_shard_stats, name);
    FIELD(numapool_shard_stats, struct_size);
    NUMAPOOL_STATS_FIELDS(FIELD_OF_SHARD)
    FIELD(numapool_shard_stats, node);
    FIELD(numapool_shard_stats, node_os_index);
}

/* What other processes read: these lie where they lie within a version of the page. */
static void page(void)
{
    NUMBER(NUMAPOOL_PAGE_MAGIC);
    NUMBER(NUMAPOOL_PAGE_VERSION);
    NUMBER(NUMAPOOL_PAGE_OPEN);
    NUMBER(NUMAPOOL_PAGE_DRAINING);
    NUMBER(NUMAPOOL_PAGE_CLOSED);
    NUMBER(NUMAPOOL_PAGE_TICKING);
    NUMBER(NUMAPOOL_PAGE_ASLEEP);
    FIELD(numapool_page_header, magic);
    FIELD(numapool_page_header, version);
    FIELD(numapool_page_header, header_bytes);
    FIELD(numapool_page_header, phase);
    FIELD(numapool_page_header, sequence);
    FIELD(numapool_page_header, page_bytes);
    FIELD(numapool_page_header, shard_offset);
    FIELD(numapool_page_header, shard_stride);
    FIELD(numapool_page_header, shard_bytes);
    FIELD(numapool_page_header, times_offset);
    FIELD(numapool_page_header, times_stride);
    FIELD(numapool_page_header, times_bytes);
    FIELD(numapool_page_header, shard_count);
    FIELD(numapool_page_header, node_count);
    FIELD(numapool_page_header, pid);
    FIELD(numapool_page_header, pool_id);
    FIELD(numapool_page_header, created_ns);
    FIELD(numapool_page_header, tick_ns);
    FIELD(numapool_page_header, memory_bytes);
    FIELD(numapool_page_header, mode);
    FIELD(numapool_page_header, pool_name);
    FIELD(numapool_page_header, library);
    FIELD(numapool_page_shard, sequence);
    FIELD(numapool_page_shard, updates);
    FIELD(numapool_page_shard, published_ns);
    FIELD(numapool_page_shard, state);
    FIELD(numapool_page_shard, cpus_milli);
    FIELD(numapool_page_shard, budget);
    FIELD(numapool_page_shard, pool_bytes);
    FIELD(numapool_page_shard, node);
    FIELD(numapool_page_shard, node_os_index);
#define FIELD_OF_PAGE(name, kind, text) FIELD(numapool_page_shard, name);
    NUMAPOOL_STATS_FIELDS(FIELD_OF_PAGE)
    FIELD(numapool_page_times, sequence);
    FIELD(numapool_page_times, published_ns);
    FIELD(numapool_page_times, wait);
    FIELD(numapool_page_times, run);
    FIELD(numapool_page_histogram, count);
    FIELD(numapool_page_histogram, sum_ns);
    FIELD(numapool_page_histogram, max_ns);
    FIELD(numapool_page_histogram, bucket);
}

int main(void)
{
    results();
    choices();
    error();
    config();
    task();
    stats();
    page();
    return 0;
}
