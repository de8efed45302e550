/* Sleeping and waking: the shipped workers, gate and submit on one shard. */
#include "model/cases.h"
#include "model/rig.h"

#define CLAIM_WAIT_NS                                                                              \
    UINT64_C(1000000) /* flow/worker.c: a sleeper's look at a claim that was held */

static void submit_range(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        MODEL_CHECK(rig_submit(i) == NUMAPOOL_OK);
    }
}

static void submit_two(void *arg)
{
    submit_range((unsigned)(uintptr_t)arg, 2);
}

static void submit_one(void *arg)
{
    submit_range((unsigned)(uintptr_t)arg, 1);
}

/* --- the worker goes to sleep while tasks are submitted */
static void setup_park_submit(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    (void)model_spawn_late("submitter", submit_two, NULL);
}

static void check_two(void)
{
    rig_check_tasks(2);
    rig_check_rest();
}

const struct model_case model_case_park_submit = {
    .name = "park_submit",
    .about = "a worker parks while tasks are submitted",
    .setup = setup_park_submit,
    .check = check_two,
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* --- tasks that are published together, beside another submitter */
static void submit_batch(void *arg)
{
    (void)arg;
    MODEL_CHECK(rig_submit_batch(0, 2) == 2);
}

/* A claim counts for its tasks until it is given up, so for a moment four seem to wait here. */
static void submit_beside_batch(void *arg)
{
    (void)arg;
    int result = rig_submit(2);
    MODEL_CHECK(result == NUMAPOOL_OK || result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED);
}

static void setup_batch_submit(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    (void)model_spawn_late("batch", submit_batch, NULL);
    (void)model_spawn_late("submitter", submit_beside_batch, NULL);
}

static void check_three(void)
{
    rig_check_tasks(3);
    rig_check_rest();
}

const struct model_case model_case_batch_submit = {
    .name = "batch_submit",
    .about = "a worker parks while a batch of two and one task more are submitted",
    .setup = setup_batch_submit,
    .check = check_three,
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* --- the same in what passes for a stream: who submits leaves tasks to the worker that runs */
static void setup_patient_submit(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 2, .limit = {2}, .workers = {2}};
    rig_init(&shape);
    npi_a64_init(&rig.shards[0].spare_tasks, 4);
    npi_a64_init(&rig.shards[0].patience_ticks, UINT64_MAX);
    (void)model_spawn_late("submitter", submit_two, NULL);
}

const struct model_case model_case_patient_submit = {
    .name = "patient_submit",
    .about = "workers park while tasks are submitted that wake nobody beside a running worker",
    .setup = setup_patient_submit,
    .check = check_two,
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* --- two sleepers, and tasks that go on only when both run */
static npi_a32 met;

static void meet(void *task)
{
    (void)task;
    if (npi_a32_add_acq_rel(&met, 1) + 1 == 2) {
        npi_park_wake(&met, UINT32_MAX);
    }
    uint32_t seen;
    while ((seen = npi_a32_load_acquire(&met)) < 2) {
        (void)npi_park_wait(&met, seen, UINT64_MAX);
    }
}

static void let_meet(const struct rig_shape *shape)
{
    rig_init(shape);
    npi_a32_init(&met, 0);
    rig.tasks[0].inside = rig.tasks[1].inside = meet;
}

static void setup_two_parkers(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 2, .limit = {2}, .workers = {2}};
    let_meet(&shape);
    (void)model_spawn_late("submitter", submit_two, NULL);
}

const struct model_case model_case_two_parkers_one_waker = {
    .name = "two_parkers_one_waker",
    .about = "two workers sleep, one thread submits two tasks that need both",
    .setup = setup_two_parkers,
    .check = check_two,
    .rescue_ns_max = CLAIM_WAIT_NS,
};

static void setup_two_wakers(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 2, .limit = {2}, .workers = {2}};
    let_meet(&shape);
    (void)model_spawn_late("submitter 0", submit_one, (void *)0);
    (void)model_spawn_late("submitter 1", submit_one, (void *)1);
}

const struct model_case model_case_two_parkers_two_wakers = {
    .name = "two_parkers_two_wakers",
    .about = "two workers sleep, two threads submit one task each",
    .setup = setup_two_wakers,
    .check = check_two,
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* --- the limit is lowered and raised while tasks come */
static void lower_and_raise(void *arg)
{
    (void)arg;
    MODEL_CHECK(numapool_set_budget(&rig.pool, 1) == NUMAPOOL_OK);
    MODEL_CHECK(numapool_set_budget(&rig.pool, 2) == NUMAPOOL_OK);
}

static void setup_grow_shrink(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 2, .limit = {2}, .workers = {2}};
    let_meet(&shape);
    (void)model_spawn_late("submitter", submit_two, NULL);
    (void)model_spawn_late("dial", lower_and_raise, NULL);
}

const struct model_case model_case_grow_against_shrink = {
    .name = "grow_against_shrink",
    .about = "the budget falls to 1 and rises to 2 while tasks are submitted that need two workers",
    .setup = setup_grow_shrink,
    .check = check_two,
    .rescue_ns_max = CLAIM_WAIT_NS,
};

static void lower(void *arg)
{
    (void)arg;
    MODEL_CHECK(numapool_set_budget(&rig.pool, 1) == NUMAPOOL_OK);
}

static void setup_shrink(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 2, .limit = {2}, .workers = {2}};
    rig_init(&shape);
    (void)model_spawn_late("submitter", submit_two, NULL);
    (void)model_spawn_late("dial", lower, NULL);
}

const struct model_case model_case_shrink_against_work = {
    .name = "shrink_against_work",
    .about = "the budget falls to 1 while two workers take tasks",
    .setup = setup_shrink,
    .check = check_two,
    .rescue_ns_max = CLAIM_WAIT_NS,
};
