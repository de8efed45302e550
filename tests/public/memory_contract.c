/* Memory of tasks: scratch and its budget, blocks on every node and from every thread. */
#include "contract.h"

#include <unistd.h>

static bool aligned(const void *memory, uintptr_t to)
{
    return (uintptr_t)memory % to == 0;
}

/* ------------------------------------------------------------------------------- scratch */

struct scratch_use {
    int pieces;
    size_t step;
    atomic_bool done;
};

/* Many pieces of many sizes, each full of its own number to the end. */
static void use_scratch(void *arg)
{
    struct scratch_use *use = arg;
    enum { MOST = 64 };
    unsigned char *pieces[MOST];
    size_t sizes[MOST];
    for (int i = 0; i < use->pieces; i++) {
        sizes[i] = 1 + (size_t)i * use->step;
        pieces[i] = numapool_scratch(sizes[i]);
        CHECK(pieces[i] != NULL);
        CHECK(aligned(pieces[i], 64));
        if (pieces[i] == NULL) {
            return;
        }
        memset(pieces[i], i, sizes[i]);
    }
    for (int i = 0; i < use->pieces; i++) {
        for (size_t at = 0; at < sizes[i]; at++) {
            if (pieces[i][at] != (unsigned char)i) {
                CHECK(pieces[i][at] == (unsigned char)i);
                return;
            }
        }
    }
    CHECK(numapool_scratch(0) == NULL);
    CHECK(numapool_scratch(SIZE_MAX) == NULL);
    CHECK(numapool_scratch(SIZE_MAX / 2) == NULL);
    atomic_store(&use->done, true);
}

static void scratch_lasts_as_long_as_the_task(void **state)
{
    (void)state;
    assert_null(numapool_scratch(100)); /* no task */
    static struct scratch_use uses[200];
    memset(uses, 0, sizeof uses);
    numapool *pool = make(&(struct kind){
        .machine = machine_of(2), .workers_max = 4, .memory_bytes = UINT64_C(256) << 20});
    const size_t steps[] = {0, 1, 63, 64, 1000, 4096, 9000, 17000};
    const int count = TIMES(200, 40);
    for (int i = 0; i < count; i++) {
        uses[i].pieces = 1 + i % TIMES(64, 16);
        uses[i].step = steps[i % 8];
        struct numapool_task task = {.run = use_scratch,
                                     .arg = &uses[i],
                                     .node = i % 2,
                                     .flags = NUMAPOOL_ON_NODE,
                                     .bytes = i % 3 == 0 ? 10000 : 0};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
    assert_int_equal(stats_of(pool).bytes_in_use, 0);
    for (int i = 0; i < count; i++) {
        assert_true(atomic_load(&uses[i].done));
    }
    finish(pool);
}

struct scratch_bound {
    numapool *pool;
    uint64_t budget;
    size_t brought;
};

/* What the task brought is taken first: it costs nothing more, however full the budget is. */
static void take_what_was_brought(void *arg)
{
    struct scratch_bound *bound = arg;
    uint64_t before = stats_of(bound->pool).bytes_in_use;
    char *first = numapool_scratch(bound->brought / 2);
    char *second = numapool_scratch(bound->brought / 2 - 64);
    CHECK(first != NULL && second != NULL);
    CHECK(stats_of(bound->pool).bytes_in_use == before);
    if (first != NULL && second != NULL) {
        memset(first, 1, bound->brought / 2);
        memset(second, 2, bound->brought / 2 - 64);
    }
    /* Beyond it every byte is asked for, and refused when there is none. */
    CHECK(numapool_scratch((size_t)bound->budget) == NULL);
    CHECK(stats_of(bound->pool).bytes_in_use == before);
    uint64_t left = bound->budget - before;
    if (left >= 1024) {
        CHECK(numapool_scratch(1024) != NULL);
        CHECK(stats_of(bound->pool).bytes_in_use > before);
        CHECK(stats_of(bound->pool).bytes_in_use <= bound->budget);
    } else {
        CHECK(numapool_scratch(1024) == NULL);
    }
}

static void scratch_draws_on_the_tasks_bytes_first(void **state)
{
    (void)state;
    const uint64_t budget = UINT64_C(4) << 20;
    numapool *pool = make(&(struct kind){.workers_max = 1, .memory_bytes = budget});
    const size_t brought[] = {4096, 65536, 1 << 20, (size_t)budget};
    for (size_t i = 0; i < sizeof brought / sizeof brought[0]; i++) {
        struct scratch_bound bound = {pool, budget, brought[i]};
        struct numapool_task task = {
            .run = take_what_was_brought, .arg = &bound, .bytes = brought[i]};
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        EVENTUALLY(at_rest(pool));
        assert_int_equal(stats_of(pool).bytes_in_use, 0);
    }
    finish(pool);
}

static void find_nothing_left(void *arg)
{
    CHECK(numapool_scratch(1) == NULL);
    CHECK(numapool_scratch(4096) == NULL);
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void scratch_is_refused_over_the_budget(void **state)
{
    (void)state;
    const uint64_t budget = UINT64_C(1) << 20;
    struct blocker blocker = BLOCKER;
    atomic_int found = 0;
    numapool *pool =
        make(&(struct kind){.workers_max = 2, .mode = NUMAPOOL_FIXED, .memory_bytes = budget});
    struct numapool_task hold = {.run = block, .arg = &blocker, .bytes = (size_t)budget};
    assert_int_equal(numapool_submit_task(pool, &hold), NUMAPOOL_OK);
    assert_int_equal(numapool_submit(pool, find_nothing_left, &found), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&found) == 1);
    assert_int_equal(stats_of(pool).bytes_in_use, budget);
    door_open(&blocker.door);
    finish(pool);
}

/* -------------------------------------------------------------------------------- blocks */

static void blocks_live_where_they_were_asked_for(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 15, 16, 17, 100, 4096, 32767, 32768, 32769, 65536, 3 << 20};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    for (unsigned nodes = 1; nodes <= 16; nodes *= 4) {
        numapool *pool = make(&(struct kind){
            .machine = machine_of(nodes), .workers_max = 16, .memory_bytes = UINT64_C(256) << 20});
        unsigned char *blocks[16][SIZES];
        uint64_t asked = 0;
        for (unsigned node = 0; node < nodes; node++) {
            for (size_t s = 0; s < SIZES; s++) {
                unsigned char *block = numapool_alloc(pool, (int)node, sizes[s]);
                assert_non_null(block);
                assert_true(aligned(block, 16));
                assert_int_equal(numapool_node_of(pool, block), node);
                assert_int_equal(numapool_node_of(pool, block + sizes[s] - 1), node);
                memset(block, (int)(node + s), sizes[s]);
                blocks[node][s] = block;
                asked += sizes[s];
            }
        }
        uint64_t in_use = stats_of(pool).bytes_in_use;
        assert_true(in_use >= asked);
        uint64_t sum = 0;
        for (unsigned node = 0; node < nodes; node++) {
            sum += shard_stats_of(pool, node).bytes_in_use;
        }
        assert_int_equal(sum, in_use);
        for (unsigned node = 0; node < nodes; node++) {
            for (size_t s = 0; s < SIZES; s++) {
                for (size_t at = 0; at < sizes[s]; at++) {
                    if (blocks[node][s][at] != (unsigned char)(node + s)) {
                        fail_msg("block of %zu on node %u was overwritten", sizes[s], node);
                    }
                }
                numapool_free(pool, blocks[node][s]);
            }
        }
        assert_int_equal(stats_of(pool).bytes_in_use, 0);
        finish(pool);
    }
}

static void blocks_that_cannot_be_are_null(void **state)
{
    (void)state;
    const uint64_t budget = UINT64_C(1) << 20;
    numapool *pool =
        make(&(struct kind){.machine = machine_of(2), .workers_max = 2, .memory_bytes = budget});
    assert_null(numapool_alloc(NULL, 0, 10));
    assert_null(numapool_alloc(pool, 2, 10));
    assert_null(numapool_alloc(pool, -2, 10));
    assert_null(numapool_alloc(pool, 1 << 30, 10));
    assert_null(numapool_alloc(pool, 0, 0));
    assert_null(numapool_alloc(pool, 0, SIZE_MAX));
    assert_null(numapool_alloc(pool, 0, SIZE_MAX - 4096));
    assert_null(numapool_alloc(pool, 0, (size_t)budget + 1));
    assert_int_equal(stats_of(pool).bytes_in_use, 0);
    void *all = numapool_alloc(pool, 0, (size_t)budget);
    assert_non_null(all);
    assert_null(numapool_alloc(pool, 1, 1)); /* the budget is the pool's, not the node's */
    numapool_free(pool, all);
    void *some = numapool_alloc(pool, -1, 1000);
    assert_non_null(some);
    int node = numapool_node_of(pool, some);
    assert_true(node == 0 || node == 1);
    assert_ptr_not_equal(numapool_alloc(pool, -1, 1000), some);
    numapool_free(pool, some);
    numapool_free(pool, NULL);
    numapool_free(NULL, NULL);
    assert_int_equal(numapool_node_of(pool, NULL), -1);
    assert_int_equal(numapool_node_of(NULL, pool), -1);
    int here = 0;
    assert_int_equal(numapool_node_of(pool, &here), -1); /* that machine is not this one */
    finish(pool); /* with a block still out: destroy frees it */
}

static void the_kernel_knows_other_memory(void **state)
{
    (void)state;
    struct numapool_config config;
    numapool_config_init(&config);
    numapool *pool = make_with(&config);
    int here = 1;
    int node = numapool_node_of(pool, &here);
    assert_true(node >= -1 && node < (int)numapool_node_count(pool));
    assert_int_equal(numapool_node_of(pool, (const void *)(uintptr_t)4096), -1);
    void *block = numapool_alloc(pool, 0, 100);
    assert_int_equal(numapool_node_of(pool, block), 0);
    numapool_free(pool, block);
    finish(pool);
}

/* ----------------------------------------------------------------- every thread, every node */

struct parcel {
    numapool *pool;
    atomic_int *bad;
    int from;
    size_t bytes;
    unsigned char fill;
};

/* Runs on a node that is not the block's, and frees it there. */
static void open_parcel(void *arg)
{
    struct parcel *parcel = arg;
    unsigned char *body = (unsigned char *)(parcel + 1);
    bool good = numapool_node_of(parcel->pool, parcel) == parcel->from;
    for (size_t i = 0; i < parcel->bytes; i++) {
        good = good && body[i] == parcel->fill;
    }
    if (!good) {
        atomic_fetch_add(parcel->bad, 1);
    }
    memset(body, 0xee, parcel->bytes);
    numapool_free(parcel->pool, parcel);
}

static void lose_parcel(void *arg, int why)
{
    (void)why;
    open_parcel(arg);
}

struct sender {
    numapool *pool;
    unsigned nodes;
    int count;
    uint64_t seed;
    atomic_int *bad;
    atomic_int *sent;
};

static void send_one(struct sender *sender)
{
    int node = (int)(draw(&sender->seed) % sender->nodes);
    size_t bytes = draw(&sender->seed) % (draw(&sender->seed) % 50 == 0 ? 200000 : 2000);
    struct parcel *parcel = numapool_alloc(sender->pool, node, sizeof *parcel + bytes);
    if (parcel == NULL) {
        return; /* over the budget just now */
    }
    *parcel =
        (struct parcel){sender->pool, sender->bad, node, bytes, (unsigned char)draw(&sender->seed)};
    memset(parcel + 1, parcel->fill, bytes);
    struct numapool_task task = {.run = open_parcel, .arg = parcel, .drop = lose_parcel};
    if (draw(&sender->seed) % 2 == 0) {
        task.near_data = parcel;
    } else {
        task.flags = NUMAPOOL_ON_NODE;
        task.node = (int)(draw(&sender->seed) % sender->nodes);
    }
    if (numapool_submit_task(sender->pool, &task) == NUMAPOOL_OK) {
        atomic_fetch_add(sender->sent, 1);
    } else {
        numapool_free(sender->pool, parcel);
    }
}

static void *send_from_thread(void *arg)
{
    struct sender *sender = arg;
    for (int i = 0; i < sender->count; i++) {
        send_one(sender);
    }
    return NULL;
}

static void send_from_task(void *arg)
{
    struct sender own = *(struct sender *)arg;
    own.seed ^= (uint64_t)numapool_current_node() * 977 + now_ns();
    for (int i = 0; i < 20; i++) {
        send_one(&own);
    }
}

static void blocks_travel_between_nodes(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                             .workers_max = 8,
                                             .queue_tasks = 4000,
                                             .memory_bytes = UINT64_C(8) << 20});
        atomic_int bad = 0, sent = 0;
        struct sender senders[3];
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            senders[i] = (struct sender){
                pool, nodes, TIMES(15000, 1000), seed_of_run() + (uint64_t)i, &bad, &sent};
            assert_int_equal(pthread_create(&threads[i], NULL, send_from_thread, &senders[i]), 0);
        }
        struct sender inner = {pool, nodes, 0, ~seed_of_run(), &bad, &sent};
        for (int i = 0; i < 100; i++) {
            (void)!numapool_submit(pool, send_from_task, &inner);
        }
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
        }
        EVENTUALLY(at_rest(pool));
        assert_int_equal(atomic_load(&bad), 0);
        assert_true(atomic_load(&sent) > 0);
        assert_int_equal(stats_of(pool).bytes_in_use, 0);
        finish(pool);
    }
}

/* Everything at once against one small budget: never over it, and all of it back at the end. */
static void press_on_budget(void *arg)
{
    struct sender *sender = arg;
    char *mine = numapool_scratch(20000);
    if (mine != NULL) {
        memset(mine, 3, 20000);
    }
    void *block = numapool_alloc(sender->pool, numapool_current_node(), 9000);
    if (block != NULL) {
        memset(block, 4, 9000);
    }
    CHECK(stats_of(sender->pool).bytes_in_use <= UINT64_C(1) << 20);
    numapool_free(sender->pool, block);
    char *more = numapool_scratch(100000);
    if (more != NULL) {
        memset(more, 5, 100000);
    }
}

static void the_budget_holds_under_pressure(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(4),
                                         .workers_max = 16,
                                         .queue_tasks = 500,
                                         .memory_bytes = UINT64_C(1) << 20});
    struct sender sender = {.pool = pool};
    for (int i = 0; i < TIMES(20000, 2000); i++) {
        struct numapool_task task = {.run = press_on_budget,
                                     .arg = &sender,
                                     .bytes = (size_t)(i % 5) * 10000,
                                     .node = i % 4,
                                     .flags = NUMAPOOL_ON_NODE};
        (void)!numapool_submit_task(pool, &task);
    }
    assert_int_equal(numapool_drain(pool, FOREVER), NUMAPOOL_OK);
    assert_int_equal(stats_of(pool).bytes_in_use, 0);
    finish(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scratch_lasts_as_long_as_the_task),
        cmocka_unit_test(scratch_draws_on_the_tasks_bytes_first),
        cmocka_unit_test(scratch_is_refused_over_the_budget),
        cmocka_unit_test(blocks_live_where_they_were_asked_for),
        cmocka_unit_test(blocks_that_cannot_be_are_null),
        cmocka_unit_test(the_kernel_knows_other_memory),
        cmocka_unit_test(blocks_travel_between_nodes),
        cmocka_unit_test(the_budget_holds_under_pressure),
    };
    return RUN(tests);
}
