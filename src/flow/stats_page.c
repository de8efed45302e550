/* Publishing; see stats_page.h. */
#include "flow/stats_page.h"

#include "base/snapshot.h"
#include "flow/stats.h"
#include "os/os.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How often at most: stats_page.h says why. */
#define WORKER_NS UINT64_C(20000)
#define HISTOGRAM_NS UINT64_C(1500000)
#define TIMES_NS_MIN UINT64_C(250000000)

_Static_assert(NUMAPOOL_PAGE_BOUND_NS(NUMAPOOL_PAGE_BOUNDS - 1) == UINT64_C(1) << 34,
               "as stats_page.h says");
_Static_assert(sizeof(struct numapool_page_header) == 256, "no hole, and room");
_Static_assert(sizeof(struct numapool_stats) <= sizeof(struct numapool_page_shard),
               "all statistics are in a block");

static size_t stride_of(size_t bytes)
{
    return npi_round_up(bytes, NPI_APART_BYTES);
}

#define SHARD_STRIDE stride_of(sizeof(struct numapool_page_shard))
#define TIMES_STRIDE stride_of(sizeof(struct numapool_page_times))
#define SHARD_OFFSET stride_of(sizeof(struct numapool_page_header))

static size_t times_offset(unsigned shard_count)
{
    return SHARD_OFFSET + shard_count * SHARD_STRIDE;
}

static npi_a64 *word_at(const struct numapool *pool, size_t offset)
{
    return (npi_a64 *)(void *)((char *)pool->page.start + offset);
}

/* A block of the page from a copy of it, whose first word is the sequence. */
static void write_block(const struct numapool *pool, size_t offset, const void *copy, size_t bytes)
{
    npi_a64 *sequence = word_at(pool, offset);
    npi_snapshot_write(sequence, sequence + 1, (const char *)copy + sizeof(uint64_t),
                       bytes / sizeof(uint64_t) - 1);
}

int npi_stats_page_create(struct numapool *pool)
{
    char name[sizeof NUMAPOOL_PAGE_PREFIX + sizeof pool->name];
    (void)snprintf(name, sizeof name, NUMAPOOL_PAGE_PREFIX "%s", pool->name);
    size_t bytes = times_offset(pool->shard_count) + pool->shard_count * TIMES_STRIDE;
    return npi_share_create(&pool->page, name, npi_round_up(bytes, npi_pages_size()));
}

void npi_stats_page_release(struct numapool *pool)
{
    npi_share_release(&pool->page);
}

void npi_stats_page_show(struct numapool *pool)
{
    if (pool->page.start == NULL) {
        return;
    }
    struct numapool_page_header header = {
        .magic = NUMAPOOL_PAGE_MAGIC,
        .version = NUMAPOOL_PAGE_VERSION,
        .header_bytes = sizeof header,
        .page_bytes = pool->page.bytes,
        .shard_offset = SHARD_OFFSET,
        .shard_stride = SHARD_STRIDE,
        .shard_bytes = sizeof(struct numapool_page_shard),
        .times_offset = times_offset(pool->shard_count),
        .times_stride = TIMES_STRIDE,
        .times_bytes = sizeof(struct numapool_page_times),
        .shard_count = pool->shard_count,
        .node_count = pool->node_count,
        .pid = (uint64_t)getpid(),
        .pool_id = pool->id,
        .created_ns = npi_clock_now_ns(),
        .tick_ns = pool->params.tick_ns,
        .memory_bytes = pool->config.memory_bytes,
        .mode = (uint64_t)pool->config.mode,
    };
    memcpy(header.pool_name, pool->name, sizeof pool->name);
    (void)snprintf(header.library, sizeof header.library, "%d.%d.%d", NUMAPOOL_VERSION_MAJOR,
                   NUMAPOOL_VERSION_MINOR, NUMAPOOL_VERSION_PATCH);
    /* A reader looks at magic and version before it trusts the rest, so they may come first. */
    size_t sequence = offsetof(struct numapool_page_header, sequence);
    for (size_t at = 0; at < offsetof(struct numapool_page_header, phase); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, (const char *)&header + at, sizeof word);
        npi_a64_store_relaxed(word_at(pool, at), word);
    }
    write_block(pool, sequence, (const char *)&header + sequence, sizeof header - sequence);
}

static void put_times(struct npi_publisher *publisher, struct npi_shard *shard,
                      const struct npi_histogram_sum *wait, const struct npi_histogram_sum *run)
{
    struct numapool_page_times block = {.published_ns = npi_clock_now_ns()};
    npi_stats_times(&publisher->times, wait, run);
    npi_stats_spread(wait, &block.wait);
    npi_stats_spread(run, &block.run);
    write_block(shard->pool, times_offset(shard->pool->shard_count) + shard->index * TIMES_STRIDE,
                &block, sizeof block);
}

static void put_counters(struct npi_publisher *publisher, const struct npi_shard *shard,
                         const struct numapool_shard_stats *stats, double cpus, bool last)
{
    const struct numapool *pool = shard->pool;
    struct numapool_page_shard block = {
        .updates = ++publisher->updates,
        .published_ns = npi_clock_now_ns(),
        .state = last ? NUMAPOOL_PAGE_ASLEEP : NUMAPOOL_PAGE_TICKING,
        .cpus_milli = (uint64_t)(cpus * 1000.0 + 0.5),
        .budget = npi_a32_load_relaxed(&pool->budget),
        .pool_bytes = npi_space_in_use(pool->space),
        .node = stats->node,
        .node_os_index = stats->node_os_index,
#define FIELD(name, kind, text) .name = stats->name,
        NUMAPOOL_STATS_FIELDS(FIELD)
#undef FIELD
    };
    write_block(pool, SHARD_OFFSET + shard->index * SHARD_STRIDE, &block, sizeof block);
}

void npi_stats_page_put(struct npi_publisher *publisher, struct npi_shard *shard, double cpus,
                        uint64_t now_ns, bool last)
{
    struct numapool_shard_stats stats;
    uint32_t slots = npi_a32_load_relaxed(&shard->slots_used);
    publisher->next_ns = now_ns + slots * WORKER_NS;
    if (last || now_ns >= publisher->times_next_ns) {
        struct npi_histogram_sum wait, run;
        uint32_t histograms = slots < shard->times_count ? slots : shard->times_count;
        uint64_t period_ns = histograms * HISTOGRAM_NS;
        publisher->times_next_ns = now_ns + (period_ns > TIMES_NS_MIN ? period_ns : TIMES_NS_MIN);
        npi_stats_of(shard, &stats, &wait, &run);
        put_times(publisher, shard, &wait, &run);
    } else {
        npi_stats_of(shard, &stats, NULL, NULL);
    }
    if (shard->index == 0) {
        stats.bind_denied = npi_a64_load_relaxed(&shard->pool->bind_denied);
    }
    const struct numapool_shard_stats *times = &publisher->times;
    stats.wait_p50_ns = times->wait_p50_ns;
    stats.wait_p99_ns = times->wait_p99_ns;
    stats.wait_p999_ns = times->wait_p999_ns;
    stats.wait_max_ns = times->wait_max_ns;
    stats.run_p50_ns = times->run_p50_ns;
    stats.run_p99_ns = times->run_p99_ns;
    stats.run_p999_ns = times->run_p999_ns;
    stats.run_max_ns = times->run_max_ns;
    put_counters(publisher, shard, &stats, cpus, last);
}
