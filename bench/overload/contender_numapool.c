/*
 * numapool as its users call it. Unless --plain, a task says how much memory it takes, so that a
 * request is refused at the door rather than run without memory; nothing else is set, but the node
 * on a machine that exists only as text.
 */
#include "contender.h"

#include "clock.h"
#include "request.h"
#include "run.h"

#include <numapool/numapool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Far beyond any backlog the bounds allow; a pool that needs longer has lost tasks. */
#define DRAIN_NS UINT64_C(60000000000)

struct pool_state {
    numapool *pool;
    size_t bytes;
    bool plain;
    bool on_node;
};

/* A task learns its request from its argument alone. */
static size_t request_bytes;

static void serve(void *argument)
{
    uint64_t begin_ns = clock_now_ns();
    void *memory = numapool_scratch(request_bytes > 0 ? request_bytes : 1);
    request_serve((uint64_t)(uintptr_t)argument, begin_ns, memory);
}

static void drop(void *argument, int why)
{
    (void)why;
    request_dropped((uint64_t)(uintptr_t)argument);
}

static bool shard_stats(numapool *pool, size_t shard, struct numapool_shard_stats *stats)
{
    *stats = (struct numapool_shard_stats){.struct_size = sizeof *stats};
    return numapool_shard_stats(pool, shard, stats) == NUMAPOOL_OK;
}

/* Load is offered on every node that has a shard. */
static void find_nodes(struct run *run, numapool *pool)
{
    size_t shards = numapool_shard_count(pool);

    for (size_t shard = 0; shard < shards; shard++) {
        struct numapool_shard_stats stats;
        bool known = false;

        if (!shard_stats(pool, shard, &stats))
            continue;
        for (unsigned i = 0; i < run->node_count; i++)
            known = known || run->nodes[i].index == (int)stats.node;
        if (known || run->node_count == HOST_NODES_MAX)
            continue;
        run->nodes[run->node_count++] = (struct run_node){
            .index = (int)stats.node,
            .os_index = run->options->machine != NULL ? -1 : (int)stats.node_os_index,
        };
    }
}

static bool open_pool(struct run *run)
{
    const struct options *options = run->options;
    struct numapool_config config;
    struct numapool_error error = {.text = ""};
    struct pool_state *state = calloc(1, sizeof *state);

    if (state == NULL) {
        run_note(run, "out of memory");
        return false;
    }
    numapool_config_init(&config);
    config.workers_max = options->workers_max;
    config.queue_tasks = options->queue_tasks;
    config.memory_bytes = options->memory_bytes;
    config.machine = options->machine;
    int result = numapool_create(&state->pool, &config, &error);
    numapool_config_fini(&config);
    if (result != NUMAPOOL_OK) {
        run_note(run, "%s: %s", numapool_strerror(result), error.text);
        free(state);
        return false;
    }
    state->bytes = options->touch_bytes;
    state->plain = options->plain;
    state->on_node = options->machine != NULL;
    request_bytes = options->touch_bytes;
    run->state = state;
    run->result->shard_count = numapool_shard_count(state->pool);
    find_nodes(run, state->pool);
    return true;
}

static void hand_over(struct generator *generator, uint64_t first, unsigned count,
                      struct handed *handed)
{
    const struct pool_state *state = generator->run->state;
    uint64_t id = request_id(generator->index, first);
    unsigned refused = 0;

    if (state->plain) {
        for (unsigned i = 0; i < count; i++)
            refused += numapool_submit(state->pool, serve, (void *)(uintptr_t)(id + i)) != 0;
    } else {
        struct numapool_task task = {
            .run = serve,
            .drop = drop,
            .bytes = state->bytes,
            .node = generator->node,
            .flags = state->on_node ? NUMAPOOL_ON_NODE : 0,
        };
        for (unsigned i = 0; i < count; i++) {
            task.arg = (void *)(uintptr_t)(id + i);
            refused += numapool_submit_task(state->pool, &task) != 0;
        }
    }
    handed->refused = refused;
    handed->accepted = count - refused;
}

static void sample_shards(struct run *run, uint64_t time_ns)
{
    struct pool_state *state = run->state;
    struct result *result = run->result;
    struct shard_sample *row =
        &result->shard_samples[result->shard_sample_count * result->shard_count];

    for (size_t shard = 0; shard < result->shard_count; shard++) {
        struct numapool_shard_stats stats;
        if (!shard_stats(state->pool, shard, &stats))
            continue;
        row[shard] = (struct shard_sample){
            .time_ns = time_ns,
            .quota = stats.quota,
            .cap = stats.cap,
            .workers = stats.workers,
            .workers_running = stats.workers_running,
            .queue_depth = stats.queue_depth,
            .run = stats.run,
            .forwarded_out = stats.forwarded_out,
            .stolen_out = stats.stolen_out,
        };
    }
}

static void finish(struct run *run)
{
    struct pool_state *state = run->state;
    int result = numapool_drain(state->pool, DRAIN_NS);
    if (result != NUMAPOOL_OK)
        run_note(run, "drain: %s", numapool_strerror(result));
}

/* The plan goes to a descriptor; a file in memory hands it back as text. */
static void keep_plan(struct result *result, numapool *pool)
{
    int fd = memfd_create("plan", MFD_CLOEXEC);

    if (fd < 0)
        return;
    if (numapool_plan_write(pool, fd) == NUMAPOOL_OK) {
        off_t bytes = lseek(fd, 0, SEEK_END);
        char *text = bytes > 0 ? calloc((size_t)bytes + 1, 1) : NULL;
        if (text != NULL && pread(fd, text, (size_t)bytes, 0) == bytes) {
            result->plan = text;
            result->plan_bytes = (size_t)bytes + 1;
        } else {
            free(text);
        }
    }
    close(fd);
}

/* The pool counts for itself; at rest it must have seen what we have seen. */
static bool disagrees(struct run *run, const struct numapool_stats *pool)
{
    struct request_totals totals;
    uint64_t handed_over = 0, refused = 0;

    request_read_totals(&totals);
    for (size_t i = 0; i < run->generator_count; i++) {
        handed_over += atomic_load(&run->generators[i].handed_over);
        refused += atomic_load(&run->generators[i].refused);
    }
    return pool->submitted != handed_over || pool->accepted != handed_over - refused ||
           pool->run != totals.completed + totals.no_memory || pool->dropped != totals.dropped ||
           pool->refused_full + pool->refused_shed + pool->refused_deadline + pool->refused_bytes +
                   pool->refused_other !=
               refused;
}

static void close_pool(struct run *run)
{
    struct pool_state *state = run->state;
    struct result *result = run->result;
    struct figures *figures = &result->figures;

    figures->pool.struct_size = sizeof figures->pool;
    result->shards = calloc(result->shard_count, sizeof *result->shards);
    figures->has_pool =
        result->shards != NULL && numapool_stats(state->pool, &figures->pool) == NUMAPOOL_OK;
    for (size_t shard = 0; figures->has_pool && shard < result->shard_count; shard++)
        figures->has_pool = shard_stats(state->pool, shard, &result->shards[shard]);
    figures->pool_disagrees = figures->has_pool && disagrees(run, &figures->pool);
    figures->emulated = state->on_node;
    if (!figures->has_pool)
        run_note(run, "the pool gave no statistics");
    keep_plan(result, state->pool);

    int destroyed = numapool_destroy(state->pool);
    if (destroyed != NUMAPOOL_OK)
        run_note(run, "destroy: %s", numapool_strerror(destroyed));
    free(state);
}

const struct contender contender_numapool = {
    .name = "numapool",
    .open = open_pool,
    .hand_over = hand_over,
    .sample = sample_shards,
    .finish = finish,
    .close = close_pool,
};
