/* The ends of things: permits that move between shards, threads that end and begin, destroy. */
#include "model/cases.h"
#include "model/rig.h"

#define CLAIM_WAIT_NS                                                                              \
    UINT64_C(1000000)               /* flow/worker.c: a sleeper's look at a claim that was held */
#define REAP_NS UINT64_C(100000000) /* flow/control.c: looks for threads that end, tries starts */

static npi_a32 met;
static uint32_t meeting;

static void meet(void *task)
{
    (void)task;
    if (npi_a32_add_acq_rel(&met, 1) + 1 == meeting) {
        npi_park_wake(&met, UINT32_MAX);
    }
    uint32_t seen;
    while ((seen = npi_a32_load_acquire(&met)) < meeting) {
        (void)npi_park_wait(&met, seen, UINT64_MAX);
    }
}

static void submit_two(void *arg)
{
    unsigned first = (unsigned)(uintptr_t)arg;
    MODEL_CHECK(rig_submit(first) == NUMAPOOL_OK);
    MODEL_CHECK(rig_submit(first + 1) == NUMAPOOL_OK);
}

/* -------------------------------------------------------- the balancer's permit hand-over */

#define BUDGET 3

static void demand(double first, double second)
{
    rig.balance[0].need_workers = rig.balance[0].mean_workers = first;
    rig.balance[1].need_workers = rig.balance[1].mean_workers = second;
}

static npi_a32 point_of_preemption;

static void run_within_budget(void)
{
    rig.running++;
    MODEL_CHECK(rig.running <= BUDGET);
    (void)npi_a32_add_relaxed(&point_of_preemption, 1);
    rig.running--;
}

/* Has a permit of the first shard, and obeys its limit between two tasks. */
static void give_up_permit(void *arg)
{
    struct npi_gate *gate = &rig.shards[0].gate;
    (void)arg;
    for (int task = 0; task < 2; task++) {
        run_within_budget();
        if (npi_gate_leave_if_over(gate)) {
            model_reach(1);
            return;
        }
    }
    npi_gate_leave(gate, false);
}

static void want_permit(void *arg)
{
    struct npi_gate *gate = &rig.shards[1].gate;
    (void)arg;
    while (!npi_gate_reserve(gate, false)) {
        model_yield();
    }
    run_within_budget();
    npi_gate_leave(gate, true);
}

static void move_budget(void *arg)
{
    (void)arg;
    demand(1.0, 2.0);
    for (;;) { /* as each tick does */
        npi_balancer_apply_budget(&rig.pool);
        if (npi_permits_limit(npi_gate_permits(&rig.shards[1].gate)) == 2) {
            return;
        }
        model_reach(0);
        model_yield();
    }
}

static void setup_hand_over(void)
{
    static const struct rig_shape shape = {
        .shards = 2, .capacity_tasks = 4, .budget = BUDGET, .limit = {2, 1}};
    rig_init(&shape);
    rig.pool.adaptive = true;
    rig.pool.params.dead_band_share = 0.0;
    rig.pool.params.dead_band_workers = 0;
    rig.balance[0].cap_workers = rig.balance[1].cap_workers = 2;
    demand(2.0, 1.0);
    npi_balancer_apply_budget(&rig.pool);
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(npi_gate_reserve(&rig.shards[0].gate, false));
        (void)npi_gate_found(&rig.shards[0].gate);
        (void)model_spawn("worker", give_up_permit, NULL);
    }
    (void)model_spawn("other 0", want_permit, NULL);
    (void)model_spawn("other 1", want_permit, NULL);
    (void)model_spawn("dial", move_budget, NULL);
}

static void check_hand_over(void)
{
    rig_check_rest();
    MODEL_CHECK(npi_permits_limit(npi_gate_permits(&rig.shards[0].gate)) == 1);
    MODEL_CHECK(npi_permits_limit(npi_gate_permits(&rig.shards[1].gate)) == 2);
}

const struct model_case model_case_permit_hand_over = {
    .name = "permit_hand_over",
    .about = "the balancer moves a permit between shards while all are held; never too many run",
    .setup = setup_hand_over,
    .check = check_hand_over,
    .reach = 3, /* its worker still ran under it, so it moved later; a worker obeyed */
};

/* ------------------------------------------------------------ destroy against a late wake */

static int helper;

static void submit_with_drop(void *arg)
{
    struct numapool_task task = {0};
    MODEL_CHECK(rig_submit_task((unsigned)(uintptr_t)arg, &task) == NUMAPOOL_OK);
}

static void submit_and_destroy(void *arg)
{
    (void)arg;
    MODEL_CHECK(rig_submit(0) == NUMAPOOL_OK);
    submit_with_drop((void *)1);
    model_join(helper); /* nobody else uses the pool any more, but for its own threads */
    MODEL_CHECK(numapool_destroy(&rig.pool) == NUMAPOOL_OK);
    MODEL_CHECK(rig.freed);
    for (unsigned i = 0; i < 3; i++) {
        model_plain_read(&rig.tasks[i].payload); /* what tasks and drops wrote is visible */
    }
}

static void write_in_task(void *task)
{
    model_plain_write(&((struct rig_task *)task)->payload);
}

static void setup_destroy(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}, .control = true};
    rig_init(&shape);
    for (unsigned i = 0; i < 3; i++) {
        rig.tasks[i].inside = write_in_task;
    }
    helper = model_spawn_late("submitter", submit_with_drop, (void *)2);
    (void)model_spawn_late("owner", submit_and_destroy, NULL);
}

/* A task without a drop that was not run is dropped in silence. */
static void check_destroyed(void)
{
    unsigned dropped = 0;
    for (unsigned i = 0; i < 3; i++) {
        const struct rig_task *task = &rig.tasks[i];
        MODEL_CHECK(task->result == NUMAPOOL_OK);
        MODEL_CHECK(task->ran + task->dropped <= 1);
        MODEL_CHECK(task->ran + task->dropped == 1 || i == 0);
        MODEL_CHECK(task->dropped == 0 || task->why == NUMAPOOL_E_CLOSED);
        dropped += task->dropped;
    }
    MODEL_CHECK(rig.running == 0);
    model_reach(dropped);
    for (int thread = 0; thread < 2; thread++) { /* its control and its worker */
        MODEL_CHECK(model_ended(thread));
    }
}

const struct model_case model_case_destroy_late_wake = {
    .name = "destroy_late_wake",
    .about = "a pool with tasks, a waking worker and its control thread is destroyed",
    .setup = setup_destroy,
    .check = check_destroyed,
    .reach = 7, /* none, one, both dropped */
    .rescue_ns_max = CLAIM_WAIT_NS,
    .steps_max = 20000,
};

/* ------------------------------------------------------- an idle thread ends against a wake */

static void setup_idle_exit(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 2, .limit = {2}, .workers = {2}, .control = true};
    rig_init(&shape);
    rig.shards[0].workers_kept = 1;
    rig.pool.config.idle_exit_ns = 1000;
    npi_a32_init(&met, 0);
    meeting = 2;
    rig.tasks[0].inside = rig.tasks[1].inside = meet;
    (void)model_spawn_late("submitter", submit_two, (void *)0);
}

static void check_met(void)
{
    rig_check_tasks(2);
    const struct npi_shard *shard = &rig.shards[0];
    MODEL_CHECK(npi_permits_active(npi_gate_permits(&shard->gate)) == 0);
    MODEL_CHECK(npi_shard_quiet(shard));
    model_reach(npi_a64_load_sc(&shard->threads_exited) != 0);
    if (npi_a64_load_sc(&shard->threads_started) > 2) {
        model_reach(2);
    }
}

const struct model_case model_case_idle_exit_against_wake = {
    .name = "idle_exit_against_wake",
    .about = "a worker that slept too long ends while tasks come that need two",
    .setup = setup_idle_exit,
    .check = check_met,
    .reach = 6, /* one ended, another was started */
    .rescue_ns_max = REAP_NS,
    .timeouts = true,
    .steps_max = 20000,
};

/* ----------------------------------------------- a thread that cannot be started at first */

static void setup_start_refused(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 2, .limit = {2}, .workers = {1}, .control = true};
    rig_init(&shape);
    rig.threads_refused = 1;
    npi_a32_init(&met, 0);
    meeting = 2;
    rig.tasks[0].inside = rig.tasks[1].inside = meet;
    (void)model_spawn_late("submitter", submit_two, (void *)0);
}

static void check_started(void)
{
    rig_check_tasks(2);
    rig_check_rest();
    MODEL_CHECK(rig.threads_refused == 0);
    MODEL_CHECK(npi_a64_load_sc(&rig.shards[0].threads_started) == 2);
}

const struct model_case model_case_start_refused = {
    .name = "start_refused",
    .about = "a second worker cannot be started, then can; both tasks need two",
    .setup = setup_start_refused,
    .check = check_started,
    .rescue_ns_max = REAP_NS,
    .steps_max = 20000,
};
