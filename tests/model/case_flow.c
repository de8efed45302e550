/* Tasks that cross somebody's plans: cancelled, late, drained, forwarded, stolen, waited for. */
#include "model/cases.h"
#include "model/rig.h"

#define CLAIM_WAIT_NS                                                                              \
    UINT64_C(1000000) /* flow/worker.c: a sleeper's look at a claim that was held */

static numapool_group *group;
static int waited, cancelled_result;

static void submit_grouped(unsigned n)
{
    struct numapool_task task = {.group = group};
    (void)rig_submit_task(n, &task);
}

/* ----------------------------------------------------------------- cancel against take */

static void grouped_pair_and_wait(void *arg)
{
    (void)arg;
    submit_grouped(0);
    submit_grouped(1);
    waited = numapool_group_wait(group, UINT64_MAX);
    MODEL_CHECK(waited == NUMAPOOL_OK);
    for (unsigned i = 0; i < 2; i++) { /* what members wrote is visible */
        model_plain_read(&rig.tasks[i].payload);
        MODEL_CHECK(rig.tasks[i].result != NUMAPOOL_OK ||
                    rig.tasks[i].ran + rig.tasks[i].dropped == 1);
    }
}

static void cancel(void *arg)
{
    (void)arg;
    cancelled_result = numapool_group_cancel(group);
}

static void mark_end(void *arg)
{
    model_plain_write(&((struct rig_task *)arg)->payload);
}

static void setup_cancel(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    MODEL_CHECK(numapool_group_create(&group, &rig.pool) == NUMAPOOL_OK);
    rig.tasks[0].inside = rig.tasks[1].inside = mark_end;
    (void)model_spawn_late("submitter", grouped_pair_and_wait, NULL);
    (void)model_spawn_late("canceller", cancel, NULL);
}

static void check_cancel(void)
{
    rig_check_tasks(2);
    rig_check_rest();
    for (unsigned i = 0; i < 2; i++) {
        const struct rig_task *task = &rig.tasks[i];
        MODEL_CHECK(task->result == NUMAPOOL_OK || task->result == NUMAPOOL_E_CANCELLED);
        MODEL_CHECK(task->dropped == 0 || task->why == NUMAPOOL_E_CANCELLED);
        model_reach(task->dropped != 0 ? 0 : task->ran != 0 ? 1 : 2);
    }
    MODEL_CHECK(npi_a64_load_sc(&group->counts) == NPI_GROUP_HOLD); /* the creator's */
}

const struct model_case model_case_cancel_against_take = {
    .name = "cancel_against_take",
    .about = "a group is cancelled while its tasks are submitted, taken and waited for",
    .setup = setup_cancel,
    .check = check_cancel,
    .reach = 7, /* dropped, run, refused */
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* ------------------------------------------- the last member and the owner free a group */

static void grouped_wait_destroy(void *arg)
{
    (void)arg;
    submit_grouped(0);
    MODEL_CHECK(numapool_group_wait(group, UINT64_MAX) == NUMAPOOL_OK);
    MODEL_CHECK(numapool_group_destroy(group) == NUMAPOOL_OK);
}

static void setup_group_free(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    MODEL_CHECK(numapool_group_create(&group, &rig.pool) == NUMAPOOL_OK);
    (void)model_spawn_late("owner", grouped_wait_destroy, NULL);
}

static void check_one(void)
{
    rig_check_tasks(1);
    rig_check_rest();
    MODEL_CHECK(rig.tasks[0].ran == 1);
}

const struct model_case model_case_group_free = {
    .name = "group_free",
    .about = "a group is waited for and destroyed while its last member parts",
    .setup = setup_group_free,
    .check = check_one,
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* ------------------------------------------------------- two waiters, one of them with a date */

static void submit_member(void *arg)
{
    (void)arg;
    submit_grouped(0);
}

static void wait_for_group(void *arg)
{
    unsigned n = (unsigned)(uintptr_t)arg;
    int waited_for = numapool_group_wait(group, n == 0 ? UINT64_MAX : 1000);
    MODEL_CHECK(waited_for == NUMAPOOL_OK || (n == 1 && waited_for == NUMAPOOL_E_TIMEDOUT));
    model_reach(waited_for != NUMAPOOL_OK);
}

static void setup_group_waiters(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    MODEL_CHECK(numapool_group_create(&group, &rig.pool) == NUMAPOOL_OK);
    (void)model_spawn_late("submitter", submit_member, NULL);
    (void)model_spawn_late("waiter 0", wait_for_group, (void *)0);
    (void)model_spawn_late("waiter 1", wait_for_group, (void *)1);
}

const struct model_case model_case_group_waiters = {
    .name = "group_waiters",
    .about = "two threads wait for a group, one of them with a date, while it fills and empties",
    .reach = 3, /* emptied, timed out */
    .setup = setup_group_waiters,
    .check = check_one,
    .rescue_ns_max = CLAIM_WAIT_NS,
    .timeouts = true,
};

/* --------------------------------------------------------- deadline drop against run */

#define SHORT_NS UINT64_C(100000)

static void submit_deadline(void *arg)
{
    (void)arg;
    struct numapool_task task = {.deadline_ns = npi_clock_now_ns() + SHORT_NS};
    (void)rig_submit_task(0, &task);
    (void)rig_submit(1);
}

static void pass_time(void *arg)
{
    (void)arg;
    model_pass_time(2 * SHORT_NS);
}

static void setup_deadline(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    (void)model_spawn_late("submitter", submit_deadline, NULL);
    (void)model_spawn_late("time", pass_time, NULL);
}

static void check_deadline(void)
{
    rig_check_tasks(2);
    rig_check_rest();
    const struct rig_task *task = &rig.tasks[0];
    MODEL_CHECK(task->result == NUMAPOOL_OK || task->result == NUMAPOOL_E_DEADLINE);
    MODEL_CHECK(task->dropped == 0 || task->why == NUMAPOOL_E_DEADLINE);
    MODEL_CHECK(rig.tasks[1].ran == 1);
    model_reach(task->dropped != 0 ? 0 : 1);
}

const struct model_case model_case_deadline_against_run = {
    .name = "deadline_against_run",
    .about = "a task's deadline passes while it is submitted and taken",
    .setup = setup_deadline,
    .check = check_deadline,
    .reach = 3, /* dropped, run */
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* ------------------------------------------------------------------ drain against submit */

static void submit_its_own(void *arg)
{
    (void)rig_submit((unsigned)(uintptr_t)arg);
}

static void drain(void *arg)
{
    (void)arg;
    MODEL_CHECK(numapool_drain(&rig.pool, UINT64_MAX) == NUMAPOOL_OK);
    uint64_t accepted = 0, ended = 0;
    for (unsigned i = 0; i < rig.pool.shard_count; i++) {
        accepted += npi_shard_accepted(&rig.shards[i], NPI_CLASS_NORMAL);
    }
    for (unsigned i = 0; i < RIG_TASKS; i++) {
        if (rig.tasks[i].ran + rig.tasks[i].dropped != 0) {
            model_plain_read(&rig.tasks[i].payload); /* and what they wrote is visible */
            ended++;
        }
    }
    MODEL_CHECK(accepted == ended);
}

static void check_drained(void)
{
    rig_check_tasks(RIG_TASKS);
    rig_check_rest();
    for (unsigned i = 0; i < RIG_TASKS; i++) {
        MODEL_CHECK(rig.tasks[i].result == NUMAPOOL_OK || rig.tasks[i].result == NUMAPOOL_E_CLOSED);
    }
    model_reach(rig.tasks[0].ran + rig.tasks[1].ran);
}

/* Those that a case does not submit. */
static void init_unused(unsigned used)
{
    for (unsigned i = used; i < RIG_TASKS; i++) {
        rig.tasks[i].result = NUMAPOOL_E_CLOSED;
    }
    for (unsigned i = 0; i < used; i++) {
        rig.tasks[i].inside = mark_end;
    }
}

static void setup_drain(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    init_unused(2);
    (void)model_spawn_late("submitter 0", submit_its_own, (void *)0);
    (void)model_spawn_late("submitter 1", submit_its_own, (void *)1);
    (void)model_spawn_late("drainer", drain, NULL);
}

const struct model_case model_case_drain_against_submit = {
    .name = "drain_against_submit",
    .about = "two threads submit while a third drains; after drain all accepted tasks have ended",
    .setup = setup_drain,
    .check = check_drained,
    .reach = 7, /* none, one and both accepted */
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* ---------------------------------------------------------- forward into a closing shard */

static void submit_two_home(void *arg)
{
    (void)arg;
    (void)rig_submit(0);
    (void)rig_submit(1); /* the home has one place: forwarded, or refused */
}

static void setup_forward(void)
{
    static const struct rig_shape shape = {
        .shards = 2, .capacity_tasks = 1, .budget = 2, .limit = {1, 1}, .workers = {1, 1}};
    rig_init(&shape);
    init_unused(2);
    (void)model_spawn_late("submitter", submit_two_home, NULL);
    (void)model_spawn_late("drainer", drain, NULL);
}

static void check_forward(void)
{
    rig_check_tasks(RIG_TASKS);
    rig_check_rest();
    const struct npi_shard *other = &rig.shards[1];
    MODEL_CHECK(npi_a64_load_sc(&other->guests_ever) == npi_a64_load_sc(&other->forwarded_in));
    MODEL_CHECK(npi_a64_load_sc(&other->forwarded_in) ==
                npi_a64_load_sc(&rig.shards[0].forwarded_out));
    MODEL_CHECK(npi_a32_load_sc(&other->lent_in) == 0);
    MODEL_CHECK(npi_a32_load_sc(&rig.shards[0].lent_out) == 0);
    model_reach(npi_a64_load_sc(&other->forwarded_in) != 0 ? 0
                : rig.tasks[1].result != NUMAPOOL_OK       ? 1
                                                           : 2);
}

const struct model_case model_case_forward_into_closing = {
    .name = "forward_into_closing",
    .about = "tasks overflow into another shard while the pool drains",
    .setup = setup_forward,
    .check = check_forward,
    .reach = 7, /* forwarded, refused, at home after all */
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* -------------------------------------------------------------------- a thief and the owner */

static void setup_steal(void)
{
    static const struct rig_shape shape = {
        .shards = 2, .capacity_tasks = 4, .budget = 2, .limit = {1, 1}, .workers = {1, 1}};
    rig_init(&shape);
    for (unsigned i = 0; i < 2; i++) { /* as the tick finds it: processors are free */
        struct npi_shard_view view = {0};
        npi_shard_view_read(&rig.shards[i], &view);
        view.cpu_free = 1;
        view.forward.wait_ns_per_task = 1e9;
        npi_shard_view_publish(&rig.shards[i], &view);
    }
    init_unused(4);
    (void)model_spawn_late("submitter", submit_two_home, NULL);
    int other = model_spawn_late("other submitter", submit_its_own, (void *)2);
    rig.cpu_of_thread[other] = 1;
    rig.tasks[3].result = NUMAPOOL_E_CLOSED;
}

static void check_steal(void)
{
    rig_check_tasks(3);
    rig_check_rest();
    for (unsigned i = 0; i < 3; i++) {
        MODEL_CHECK(rig.tasks[i].ran == 1);
    }
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(npi_a32_load_sc(&rig.shards[i].lent_in) == 0);
        MODEL_CHECK(npi_a32_load_sc(&rig.shards[i].lent_out) == 0);
        MODEL_CHECK(npi_a64_load_sc(&rig.shards[i].stolen_in) ==
                    npi_a64_load_sc(&rig.shards[1 - i].stolen_out));
        model_reach(npi_a64_load_sc(&rig.shards[i].stolen_in) != 0);
    }
}

const struct model_case model_case_steal_against_take = {
    .name = "steal_against_take",
    .about = "workers of two shards take from their own queue and from each other's",
    .setup = setup_steal,
    .check = check_steal,
    .reach = 2, /* stolen */
    .rescue_ns_max = CLAIM_WAIT_NS,
};

/* --------------------------------------------------- a task that waits for its own group's others */

static void wait_inside(void *arg)
{
    (void)arg;
    struct numapool_task task = {.group = group};
    (void)rig_submit_task(1, &task);
    MODEL_CHECK(numapool_group_wait(group, UINT64_MAX) == NUMAPOOL_OK);
    MODEL_CHECK(rig.tasks[1].ran == 1);
}

static void setup_wait_inside(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {2}, .workers = {2}};
    rig_init(&shape);
    (void)npi_gate_set_limit(&rig.shards[0].gate, 1); /* the second is there to stand in */
    MODEL_CHECK(numapool_group_create(&group, &rig.pool) == NUMAPOOL_OK);
    rig.tasks[0].inside = wait_inside;
    (void)model_spawn_late("submitter", submit_its_own, (void *)0);
}

static void check_wait_inside(void)
{
    rig_check_tasks(2);
    rig_check_rest();
    MODEL_CHECK(rig.tasks[0].ran == 1 && rig.tasks[1].ran == 1);
}

const struct model_case model_case_wait_inside_task = {
    .name = "wait_inside_task",
    .about = "a task lends its permit while it waits for another one",
    .setup = setup_wait_inside,
    .check = check_wait_inside,
    .rescue_ns_max = CLAIM_WAIT_NS,
};
