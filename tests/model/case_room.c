/* Submitters that refuse at once while everything is full, and the taker who makes room. */
#include "model/cases.h"
#include "model/rig.h"

#include "flow/admission.h"

static unsigned again; /* refusals without questions */

static void submit(unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        bool sure = npi_admission_refuses(&rig.shards[0], NPI_CLASS_NORMAL);
        again += rig_submit(first + i) != NUMAPOOL_OK && sure;
    }
}

static void submit_three(void *arg)
{
    submit((unsigned)(uintptr_t)arg, 3);
}

static void setup_relied(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 1, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    again = 0;
    (void)model_spawn("submitter 0", submit_three, (void *)0);
    (void)model_spawn("submitter 1", submit_three, (void *)3);
}

/* All is taken: nobody may go on refusing. */
static void check_relied(void)
{
    rig_check_tasks(6);
    rig_check_rest();
    MODEL_CHECK(rig.tasks[0].ran + rig.tasks[3].ran != 0);
    MODEL_CHECK(!npi_admission_refuses(&rig.shards[0], NPI_CLASS_NORMAL));
    model_reach(again != 0);
}

const struct model_case model_case_room_relied = {
    .name = "room_relied",
    .about = "who refuses because all is full asks again once a task was taken",
    .setup = setup_relied,
    .check = check_relied,
    .rescue_ns_max =
        UINT64_C(1000000), /* flow/worker.c: a sleeper's look at a claim that was held */
    .reach = 3,            /* always asked, refused at once */
};

/* ------------------------------------------------------------- a class that may fill a half only */

static void submit_four(void *arg)
{
    submit((unsigned)(uintptr_t)arg, 4);
}

static void submit_sheddable(void *arg)
{
    unsigned first = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < 3; i++) {
        struct numapool_task task = {.task_class = NUMAPOOL_SHEDDABLE};
        bool sure = npi_admission_refuses(&rig.shards[0], NPI_CLASS_SHEDDABLE);
        again += rig_submit_task(first + i, &task) != NUMAPOOL_OK && sure;
    }
}

static void setup_class(void)
{
    static const struct rig_shape shape = {
        .capacity_tasks = 4, .budget = 1, .limit = {1}, .workers = {1}};
    rig_init(&shape);
    again = 0;
    (void)model_spawn("normal", submit_four, (void *)0);
    (void)model_spawn("sheddable", submit_sheddable, (void *)4);
}

static void check_class(void)
{
    rig_check_tasks(7);
    rig_check_rest();
    MODEL_CHECK(!npi_admission_refuses(&rig.shards[0], NPI_CLASS_NORMAL));
    MODEL_CHECK(!npi_admission_refuses(&rig.shards[0], NPI_CLASS_SHEDDABLE));
    model_reach(again != 0);
}

const struct model_case model_case_room_by_class = {
    .name = "room_by_class",
    .about =
        "the same for a class that is refused while better tasks wait which a worker saw before",
    .setup = setup_class,
    .check = check_class,
    .rescue_ns_max = UINT64_C(1000000),
    .reach = 3, /* always asked, refused at once */
};

/* ------------------------------------------- the same when room is told of after several tasks */

static void setup_stream(void)
{
    setup_class();
    npi_a64_init(&rig.shards[0].spare_tasks, 4);
    npi_a64_init(&rig.shards[0].patience_ticks, UINT64_MAX);
}

const struct model_case model_case_room_in_stream = {
    .name = "room_in_stream",
    .about = "the same in a stream of short tasks, where several are taken before somebody is told",
    .setup = setup_stream,
    .check = check_class,
    .rescue_ns_max = UINT64_C(1000000),
    .reach = 3, /* always asked, refused at once */
};
