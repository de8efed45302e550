/* Further lanes: a producer that stops inside its claim, the order of one thread, the exact bound. */
#include "model/cases.h"
#include "model/rig.h"

#define CLAIM_WAIT_NS                                                                              \
    UINT64_C(1000000) /* flow/worker.c: a sleeper's look at a claim that was held */

static void submit_two(void *arg)
{
    unsigned first = (unsigned)(uintptr_t)arg;
    MODEL_CHECK(rig_submit(first) == NUMAPOOL_OK);
    MODEL_CHECK(rig_submit(first + 1) == NUMAPOOL_OK);
}

static void submit_one(void *arg)
{
    (void)rig_submit((unsigned)(uintptr_t)arg);
}

static bool any_in_lane(unsigned lane)
{
    const struct npi_ring *ring = &rig.shards[0].lanes[lane];
    return npi_a64_load_sc(&ring->tail[NPI_CLASS_NORMAL]) != 0;
}

/* ----------------------------------------------------------------------- frozen producer */

static int frozen;

static void submit_and_stop(void *arg)
{
    struct rig_task *task = &rig.tasks[0];
    struct npi_item item = {{0}, {0}};
    model_plain_write(&task->payload);
    task->payload = 1;
    item.hot[NPI_TASK_RUN] = (uint64_t)(uintptr_t)rig_run;
    item.hot[NPI_TASK_ARG] = (uint64_t)(uintptr_t)task;
    item.hot[NPI_TASK_STAMP] = npi_clock_ticks();
    (void)arg;
    model_may_freeze(true);
    int pushed = npi_shard_push(&rig.shards[0], NPI_CLASS_NORMAL, &item, 1, 4);
    model_may_freeze(false);
    MODEL_CHECK(pushed == 1);
    task->result = NUMAPOOL_OK;
    npi_shard_notify(&rig.shards[0], npi_clock_ticks());
}

static void setup_frozen(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}, .claim_turns = 1};
    rig_init(&shape);
    frozen = model_spawn_late("frozen", submit_and_stop, (void *)0);
    (void)model_spawn_late("submitter", submit_two, (void *)1);
}

/* It stands somewhere in its submit; everybody else's tasks have run all the same. */
static void check_beside_frozen(void)
{
    MODEL_CHECK(rig.tasks[1].ran == 1 && rig.tasks[2].ran == 1);
    MODEL_CHECK(rig.tasks[1].number < rig.tasks[2].number);
    model_reach(!npi_shard_claims_free(&rig.shards[0]) ? 0 : 1);
    if (any_in_lane(1)) {
        model_reach(2);
    }
}

static void check_three(void)
{
    rig_check_tasks(3);
    rig_check_rest();
    for (unsigned i = 0; i < 3; i++) {
        MODEL_CHECK(rig.tasks[i].ran == 1);
    }
}

const struct model_case model_case_frozen_producer = {
    .name = "frozen_producer",
    .about = "a submitter stops around and inside its claim; all others go on without it",
    .setup = setup_frozen,
    .check = check_three,
    .beside = check_beside_frozen,
    .reach = 7, /* inside its claim, outside, a further lane was used */
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* ----------------------------------------------------------- the order of one thread */

static void setup_order(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}, .claim_turns = 1};
    rig_init(&shape);
    (void)model_spawn_late("submitter 0", submit_one, (void *)0);
    (void)model_spawn_late("submitter 1", submit_two, (void *)1);
}

static void check_order(void)
{
    check_three();
    MODEL_CHECK(rig.tasks[1].number < rig.tasks[2].number);
    model_reach(any_in_lane(1));
}

const struct model_case model_case_lane_order = {
    .name = "lane_order",
    .about = "one thread's tasks run in their order whatever lanes they went through",
    .setup = setup_order,
    .check = check_order,
    .reach = 3, /* one lane, several */
    .rescue_ns_max = CLAIM_WAIT_NS,
};

static void close_lanes(void *arg)
{
    (void)arg;
    npi_shard_close_lanes(&rig.shards[0]);
    npi_shard_close_lanes(&rig.shards[0]);
}

static void setup_close(void)
{
    setup_order();
    (void)model_spawn_late("control", close_lanes, NULL);
}

static void check_close(void)
{
    check_order();
    if (any_in_lane(1) && npi_a64_load_sc(&rig.shards[0].lanes_used) == 0) {
        model_reach(2);
    }
}

const struct model_case model_case_lane_close = {
    .name = "lane_close",
    .about = "the same while further lanes are closed",
    .setup = setup_close,
    .check = check_close,
    .reach = 7, /* one lane, several, closed again */
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* ------------------------------------------------------------------------- the exact bound */

#define BOUND 2

static unsigned accepted;

static void push_one(void *arg)
{
    struct npi_item item = {{0}, {0}};
    item.hot[NPI_TASK_STAMP] = npi_clock_ticks();
    item.hot[NPI_TASK_ARG] = (uint64_t)(uintptr_t)arg;
    int pushed = npi_shard_push(&rig.shards[0], NPI_CLASS_NORMAL, &item, 1, BOUND);
    MODEL_CHECK(pushed == 1 || pushed == NPI_PUSH_NO_ROOM || pushed == NPI_PUSH_BUSY);
    accepted += pushed == 1;
    MODEL_CHECK(accepted <= BOUND);
}

static void setup_bound(void)
{
    static const struct rig_shape shape = {.capacity_tasks = BOUND, .budget = 1, .claim_turns = 1};
    rig_init(&shape);
    accepted = 0;
    push_one((void *)0);
    for (uintptr_t i = 1; i < 3; i++) {
        (void)model_spawn("submitter", push_one, (void *)i);
    }
    (void)model_spawn("control", close_lanes, NULL);
}

static void check_bound(void)
{
    MODEL_CHECK(accepted >= 1 && accepted <= BOUND);
    MODEL_CHECK(npi_shard_waiting(&rig.shards[0]) == accepted);
    unsigned taken = 0, seen = 0;
    struct npi_item item;
    while (npi_shard_take(&rig.shards[0], 0, &item, 1) != 0) {
        taken++;
        MODEL_CHECK((seen & 1u << item.hot[NPI_TASK_ARG]) == 0);
        seen |= 1u << item.hot[NPI_TASK_ARG];
    }
    MODEL_CHECK(taken == accepted);
    model_reach(any_in_lane(1));
}

const struct model_case model_case_lane_bound = {
    .name = "lane_bound",
    .about = "two submitters on whatever lanes want the last of two places, while lanes are closed",
    .setup = setup_bound,
    .check = check_bound,
    .reach = 3, /* one lane, several */
};
