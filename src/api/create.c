/*
 * Building a pool, and taking it apart in reverse: plan -> memory -> shards -> limits -> threads.
 * numapool_create() is the only place that may leave half a pool, and it never does.
 */
#include "api/config.h"
#include "api/error.h"
#include "api/pool.h"
#include "api/registry.h"
#include "flow/control.h"
#include "flow/pool.h"
#include "flow/stats_page.h"
#include "flow/worker.h"
#include "os/os.h"
#include "topology/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void set_params(struct numapool *pool)
{
    npi_config_params(&pool->config, &pool->params);
    for (int rank = 0; rank < NPI_CLASS_COUNT; rank++) {
        uint64_t overdue_ns = npi_admit_overdue_ns(&pool->params, rank);
        pool->overdue_ticks[rank] =
            overdue_ns != NPI_NEVER_NS ? npi_clock_ns_to_ticks(overdue_ns) : UINT64_MAX;
    }
}

static int make_routes(struct numapool *pool)
{
    const struct npi_plan *plan = pool->plan;
    pool->routes = calloc(plan->node_count, sizeof *pool->routes);
    if (pool->routes == NULL) {
        return NUMAPOOL_E_NOMEM;
    }
    for (unsigned node = 0; node < plan->node_count; node++) {
        unsigned first, count;
        npi_plan_shards_of(plan, node, &first, &count);
        pool->routes[node] =
            (struct npi_route_node){.first_shard = (uint16_t)first, .shard_count = (uint16_t)count};
    }
    return NUMAPOOL_OK;
}

static int make_balancer(struct numapool *pool)
{
    struct npi_balancer *balancer = &pool->balancer;
    size_t n = pool->shard_count;
    balancer->shards = calloc(n, sizeof *balancer->shards);
    balancer->scratch = calloc(n, sizeof *balancer->scratch);
    balancer->quota = calloc(n, sizeof *balancer->quota);
    balancer->reach = calloc(n, sizeof *balancer->reach);
    if (balancer->shards == NULL || balancer->scratch == NULL || balancer->quota == NULL ||
        balancer->reach == NULL) {
        return NUMAPOOL_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const struct npi_plan_shard *shard = &pool->plan->shards[i];
        double cpus = shard->capacity > 1.0 ? shard->capacity : 1.0;
        balancer->shards[i].weight = shard->capacity;
        balancer->shards[i].cap_workers = (uint32_t)cpus;
    }
    return NUMAPOOL_OK;
}

static int make_shards(struct numapool *pool)
{
    pool->shards = calloc(pool->shard_count, sizeof(struct npi_shard *));
    if (pool->shards == NULL) {
        return NUMAPOOL_E_NOMEM;
    }
    for (unsigned i = 0; i < pool->shard_count; i++) {
        int result = npi_shard_create(&pool->shards[i], pool, i);
        if (result != NUMAPOOL_OK) {
            return result;
        }
    }
    return NUMAPOOL_OK;
}

/* Frees whatever exists; no thread of the pool runs any more. */
void npi_pool_free(struct numapool *pool)
{
    if (pool->shards != NULL) {
        for (unsigned i = 0; i < pool->shard_count; i++) {
            npi_shard_destroy(pool->shards[i]);
        }
    }
    free(pool->shards);
    free(pool->balancer.shards);
    free(pool->balancer.scratch);
    free(pool->balancer.quota);
    free(pool->balancer.reach);
    (void)pthread_mutex_destroy(&pool->balancer.lock);
    free(pool->routes);
    npi_stats_page_release(pool);
    npi_space_destroy(pool->space);
    npi_plan_free(pool->plan);
    if (pool->alive != NULL) {
        (void)npi_pages_release((void *)(uintptr_t)pool->alive, npi_pages_size());
    }
    free(pool);
}

/* Whether the kernel grants a short slice is tried on a thread that ends at once. */
static void *try_slice(void *arg)
{
    *(bool *)arg = npi_thread_slice(NPI_SLICE_NS) == 0;
    return NULL;
}

/* A thread's static thread-local storage lies on its stack. Where the program has much of it (the
   thread sanitizer alone has 0.9 MB) the stacks grow by as much, so that tasks have what was asked. */
#define STACK_BYTES_MOST ((size_t)64 << 20)

static int try_thread(struct numapool *pool)
{
    size_t asked = pool->config.stack_bytes, bytes = asked;
    for (;;) {
        void *stack = NULL;
        pthread_t thread;
        int error = npi_pages_reserve(&stack, bytes, 0);
        if (error != 0) {
            return error;
        }
        error = npi_pages_commit(stack, bytes);
        if (error == 0) {
            error = npi_thread_start(&thread, stack, bytes, "numapool", try_slice,
                                     &pool->slices_granted);
        }
        if (error == 0) {
            (void)pthread_join(thread, NULL);
        }
        (void)npi_pages_release(stack, bytes);
        if (error != -EINVAL || bytes >= STACK_BYTES_MOST) {
            pool->config.stack_bytes = bytes == asked ? asked : bytes + asked;
            return error;
        }
        bytes *= 2;
    }
}

static int build(struct numapool *pool, const struct numapool_config *config,
                 struct numapool_error *error)
{
    int result = npi_config_settle(&pool->config, config, error);
    if (result != NUMAPOOL_OK) {
        return result;
    }
    result = npi_plan_make(&pool->plan, &pool->config, error);
    if (result != NUMAPOOL_OK) {
        return result;
    }
    result = npi_config_settle_by_plan(&pool->config, pool->plan, error);
    if (result != NUMAPOOL_OK) {
        return result;
    }
    result = npi_plan_merge(pool->plan, pool->config.workers_max);
    if (result != NUMAPOOL_OK) {
        return npi_error(error, result, ENOMEM, "out of memory while planning");
    }
    pool->follows_quota =
        pool->config.placement == NULL || pool->config.placement->quota == NPI_QUOTA_FOLLOW;
    memcpy(pool->name, pool->config.name, strnlen(pool->config.name, sizeof pool->name - 1));
    pool->config.name = pool->name;
    pool->config.placement = NULL; /* the caller's; the plan has taken what it needs */
    pool->config.machine = NULL;

    pool->shard_count = pool->plan->shard_count;
    pool->node_count = pool->plan->node_count;
    pool->adaptive = pool->config.mode == NUMAPOOL_ADAPTIVE;
    unsigned cpus = 0;
    for (unsigned i = 0; i < pool->shard_count; i++) {
        cpus += pool->plan->shards[i].cpu_count;
    }
    uint32_t twice = 2 * (cpus * 8 > 512 ? cpus * 8 : 512);
    pool->budget_max = pool->config.workers_max > twice ? pool->config.workers_max : twice;
    npi_a32_init(&pool->budget, pool->config.workers_max);
    set_params(pool);
    int failed = try_thread(pool);
    if (failed != 0) {
        return npi_error(error, failed == -ENOMEM ? NUMAPOOL_E_NOMEM : NUMAPOOL_E_SYSTEM, -failed,
                         "no thread with a stack of %zu bytes could be started: %s",
                         /* NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number */
                         pool->config.stack_bytes, strerror(-failed));
    }

    void *mark = NULL;
    failed = npi_pages_fork_mark(&mark);
    if (failed != 0) {
        return npi_error(error, NUMAPOOL_E_SYSTEM, -failed, "no page for the fork mark: %s",
                         /* NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number */
                         strerror(-failed));
    }
    *(uint64_t *)mark = NPI_ALIVE;
    pool->alive = mark;

    result =
        npi_space_create(&pool->space, pool->plan, pool->config.memory_bytes, &pool->bind_denied);
    if (result == NUMAPOOL_OK) {
        result = make_routes(pool);
    }
    if (result == NUMAPOOL_OK) {
        result = make_balancer(pool);
    }
    if (result == NUMAPOOL_OK) {
        result = make_shards(pool);
    }
    if (result == NUMAPOOL_OK && pool->shard_count == 1) {
        pool->only = pool->shards[0];
    }
    if (result != NUMAPOOL_OK) {
        return npi_error(error, result, ENOMEM, "out of memory while building the shards");
    }
    npi_balancer_apply_budget(pool);
    return NUMAPOOL_OK;
}

/* A pool runs as well without one. */
static void share_page(struct numapool *pool)
{
    if (pool->config.stats_page == NUMAPOOL_STATS_PAGE_OFF) {
        return;
    }
    int failed = npi_stats_page_create(pool);
    if (failed != 0) {
        npi_pool_log(
            pool, NUMAPOOL_LOG_WARNING,
            "no stats page (%s): other processes, as numapool top, will not find this pool",
            /* NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number */
            strerror(-failed));
    }
}

static int start(struct numapool *pool, struct numapool_error *error)
{
    share_page(pool);
    for (unsigned i = 0; i < pool->shard_count; i++) {
        int failed = npi_control_start(pool->shards[i]);
        if (failed != 0) {
            npi_pool_stop(pool);
            return npi_error(error, failed == -ENOMEM ? NUMAPOOL_E_NOMEM : NUMAPOOL_E_SYSTEM,
                             -failed, "shard %u: its first threads could not be started: %s", i,
                             /* NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number */
                             strerror(-failed));
        }
    }
    npi_stats_page_show(pool);
    uint64_t denied = npi_a64_load_relaxed(&pool->bind_denied);
    if (denied != 0) {
        npi_pool_log(
            pool, NUMAPOOL_LOG_WARNING,
            "the kernel refused %llu placements; that memory goes where it is first touched "
            "(in a container: allow mbind, or give CAP_SYS_NICE)",
            (unsigned long long)denied);
    }
    return NUMAPOOL_OK;
}

static int create_with(numapool **out, const struct numapool_config *config,
                       struct numapool_error *error)
{
    static npi_a64 last_id;
    (void)npi_clock_init();
    struct numapool *pool = NULL;
    if (posix_memalign((void **)&pool, NPI_APART_BYTES, sizeof *pool) != 0) {
        return npi_error(error, NUMAPOOL_E_NOMEM, ENOMEM, "out of memory");
    }
    memset(pool, 0, sizeof *pool);
    pool->id = npi_a64_add_relaxed(&last_id, 1) + 1;
    (void)pthread_mutex_init(&pool->balancer.lock, NULL);
    int result = build(pool, config, error);
    if (result == NUMAPOOL_OK) {
        pool->registry_slot = npi_registry_show(&npi_registry, pool);
        result = start(pool, error);
        if (result != NUMAPOOL_OK) {
            npi_registry_hide(&npi_registry, pool->registry_slot);
        }
    }
    if (result != NUMAPOOL_OK) {
        npi_pool_free(pool);
        return result;
    }
    *out = pool;
    return NUMAPOOL_OK;
}

int numapool_create(numapool **pool, const struct numapool_config *config,
                    struct numapool_error *error)
{
    if (pool == NULL) {
        return npi_error(error, NUMAPOOL_E_INVALID, 0, "numapool_create: pool is NULL");
    }
    if (config != NULL) {
        return create_with(pool, config, error);
    }
    struct numapool_config own;
    numapool_config_init(&own);
    int result = numapool_config_env(&own, error);
    if (result == NUMAPOOL_OK) {
        result = create_with(pool, &own, error);
    }
    numapool_config_fini(&own);
    return result;
}
