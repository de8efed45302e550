/*
 * A pool whose node runs out of memory: what it prefers to have there comes from elsewhere, nobody is
 * killed, its own budget holds, and new memory comes from the node again once there is some. On the
 * smallest node of either machine, which another process fills.
 */
#include "flow/pool.h"
#include "vm/watch.h"

#include <linux/mempolicy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define BUDGET_BYTES (96 * MIB)
#define BLOCK_BYTES (4 * MIB)
#define BLOCKS (BUDGET_BYTES / BLOCK_BYTES)
#define LEFT_BYTES (40 * MIB) /* on the node: less than half of the budget, enough for the kernel */
#define HOG_STEP_BYTES (4 * MIB)

static unsigned node_os; /* the node that is filled */
static int node_index;   /* the pool's number of it */

/* A number from a "key value" line; 0 when there is none. */
static uint64_t number_in(const char *path, const char *key)
{
    FILE *file = fopen(path, "re");
    unsigned long long value = 0;
    char line[256];

    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *at = strstr(line, key);
        if (at != NULL && sscanf(at + strlen(key), " %llu", &value) == 1) {
            break;
        }
    }
    fclose(file);
    return value;
}

static uint64_t free_bytes(unsigned node)
{
    char path[80];

    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/meminfo", node);
    return number_in(path, "MemFree:") * 1024;
}

static uint64_t kills(void)
{
    return number_in("/proc/vmstat", "oom_kill ");
}

/* ------------------------------------------------------------- the process that fills the node */

static pid_t hog;

static void fill_node(void)
{
    struct where_set node = {{0}};
    int ready[2];
    char word = 0;

    CHECK_EQUAL(pipe(ready), 0);
    hog = fork();
    CHECK(hog >= 0);
    if (hog == 0) {
        CHECK_EQUAL(prctl(PR_SET_PDEATHSIG, SIGKILL), 0); /* a test that fails leaves none behind */
        where_set_add(&node, node_os);
        while (free_bytes(node_os) > LEFT_BYTES) {
            char *step = mmap(NULL, HOG_STEP_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(step != MAP_FAILED);
            CHECK_EQUAL(syscall(SYS_mbind, step, HOG_STEP_BYTES, MPOL_BIND, node.word,
                                (unsigned long)WHERE_NODES_MAX + 1, 0),
                        0);
            memset(step, 1, HOG_STEP_BYTES);
        }
        CHECK_EQUAL(write(ready[1], "r", 1), 1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    CHECK_EQUAL(read(ready[0], &word, 1), 1);
    close(ready[0]);
    CHECK(free_bytes(node_os) <= LEFT_BYTES);
}

static void empty_node(void)
{
    int status = 0;

    CHECK_EQUAL(kill(hog, SIGKILL), 0);
    CHECK_EQUAL(waitpid(hog, &status, 0), hog);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ------------------------------------------------------------------------------- the pool */

static numapool *create(void)
{
    struct numapool_config config;
    numapool *pool;

    watch_config(&config);
    config.memory_bytes = BUDGET_BYTES;
    pool = watch_create(&config);
    node_index = -1;
    for (size_t shard = 0; shard < numapool_shard_count(pool); shard++) {
        if (watch_node_of(pool, shard) == node_os) {
            node_index = (int)watch_shard(pool, shard).node;
        }
    }
    CHECK(node_index >= 0);
    return pool;
}

/* Adds the pages of a range to a count of those on the node and those elsewhere. */
struct count {
    size_t here, elsewhere;
};

static void count_pages(struct count *count, const char *start, size_t bytes)
{
    struct where_spread spread;

    CHECK_EQUAL(where_range_spread(start, bytes, &spread), 0);
    CHECK_EQUAL(spread.absent, 0);
    count->here += spread.on_node[node_os];
    count->elsewhere += spread.total - spread.on_node[node_os];
}

static void blocks_spill_and_the_budget_holds(void)
{
    uint64_t kills_before = kills();
    numapool *pool = create();
    char *block[BLOCKS];
    struct count full = {0, 0};
    struct count freed = {0, 0};

    fill_node();
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = numapool_alloc(pool, node_index, BLOCK_BYTES);
        CHECK(block[i] != NULL);
        memset(block[i], (int)i, BLOCK_BYTES);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        count_pages(&full, block[i], BLOCK_BYTES);
        CHECK_EQUAL(block[i][0], (char)i);
        CHECK_EQUAL(block[i][BLOCK_BYTES - 1], (char)i);
        /* Where it is meant to be; the kernel knows where it is. */
        CHECK_EQUAL(numapool_node_of(pool, block[i]), node_index);
    }
    CHECK_EQUAL(full.here + full.elsewhere, BUDGET_BYTES / (size_t)sysconf(_SC_PAGESIZE));
    CHECK(full.here > 0); /* as long as there was some */
    CHECK(full.elsewhere >= (BUDGET_BYTES - LEFT_BYTES) / (size_t)sysconf(_SC_PAGESIZE) / 2);

    /* Room elsewhere is no reason to go over the budget. */
    CHECK_EQUAL(watch_pool(pool).bytes_in_use, BUDGET_BYTES);
    for (int node = 0; node < (int)numapool_node_count(pool); node++) {
        CHECK(numapool_alloc(pool, node, 16) == NULL);
    }
    CHECK_EQUAL(
        numapool_submit_task(pool, &(struct numapool_task){.run = watch_nothing, .bytes = 1}),
        NUMAPOOL_E_FULL);
    CHECK_EQUAL(watch_pool(pool).refused_bytes, 1);

    empty_node();
    for (size_t i = 0; i < BLOCKS; i++) {
        numapool_free(pool, block[i]);
    }
    CHECK_EQUAL(watch_pool(pool).bytes_in_use, 0);
    npi_space_trim(pool->space);
    AWAIT(free_bytes(node_os) > BUDGET_BYTES + LEFT_BYTES);
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = numapool_alloc(pool, node_index, BLOCK_BYTES);
        CHECK(block[i] != NULL);
        memset(block[i], 1, BLOCK_BYTES);
        count_pages(&freed, block[i], BLOCK_BYTES);
    }
    CHECK_EQUAL(freed.elsewhere, 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        numapool_free(pool, block[i]);
    }
    CHECK_EQUAL(kills(), kills_before);
    watch_destroy(pool);
}

static struct watch_hold hold = WATCH_HOLD;

static void hold_scratch(void *arg)
{
    struct count *count = arg;
    char *scratch = numapool_scratch(BUDGET_BYTES / 8);

    CHECK(scratch != NULL);
    memset(scratch, 1, BUDGET_BYTES / 8);
    CHECK_EQUAL(numapool_current_node(), node_index);
    count_pages(count, scratch, BUDGET_BYTES / 8);
    watch_hold_task(&hold);
}

/* Tasks on a node without memory: new threads, stacks and scratch are had from elsewhere. */
static void tasks_go_on_on_a_full_node(void)
{
    uint64_t kills_before = kills();
    static struct count counts[8];
    struct count sum = {0, 0};
    numapool *pool;

    fill_node();
    pool = create(); /* its queue and records spill too, if they have to */
    for (unsigned i = 0; i < 8; i++) {
        const struct numapool_task task = {.run = hold_scratch,
                                           .arg = &counts[i],
                                           .bytes = BUDGET_BYTES / 8,
                                           .node = node_index,
                                           .flags = NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE};
        CHECK_EQUAL(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        AWAIT(watch_inside(&hold) == i + 1);
    }
    CHECK_EQUAL(watch_pool(pool).bytes_in_use, BUDGET_BYTES);
    for (unsigned i = 0; i < 8; i++) {
        sum.here += counts[i].here;
        sum.elsewhere += counts[i].elsewhere;
    }
    CHECK_EQUAL(sum.here + sum.elsewhere, BUDGET_BYTES / (size_t)sysconf(_SC_PAGESIZE));
    CHECK(sum.elsewhere > 0);
    watch_let_go(&hold);
    AWAIT(watch_pool(pool).run == 8);
    CHECK_EQUAL(watch_pool(pool).bytes_in_use, 0);
    empty_node();
    CHECK_EQUAL(kills(), kills_before);
    watch_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(blocks_spill_and_the_budget_holds),
        WATCH_TEST(tasks_go_on_on_a_full_node),
    };
    const char *shape = where_guest_shape();

    if (shape == NULL || (strcmp(shape, "square") != 0 && strcmp(shape, "lopsided") != 0)) {
        printf("skip: fills a node, so only in the emulated machines square and lopsided\n");
        return 77;
    }
    node_os = strcmp(shape, "square") == 0 ? 3 : 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
