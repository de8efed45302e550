/*
 * fork() beside a live pool: in the child every call says so at once and none hangs, whatever the
 * parent's threads were doing at that moment; the parent goes on as if nothing had happened.
 */
#include "contract.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define GOES_ON_AFTER_FORK 0 /* the thread sanitizer ends a child that does much */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GOES_ON_AFTER_FORK 0
#endif
#endif
#ifndef GOES_ON_AFTER_FORK
#define GOES_ON_AFTER_FORK 1
#endif
/* Nor can a child start threads if another thread was in the address sanitizer's allocator. */
#define THREADS_AFTER_FORK (!SANITIZED)

#define CHILD_SECONDS 300 /* then it hangs */

struct scene {
    numapool *pool;
    numapool_group *group;
    void *memory;
};

static int wrong_line;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition) && wrong_line == 0) {                                                     \
            wrong_line = __LINE__;                                                                 \
        }                                                                                          \
    } while (0)

static void call_everything(struct scene *scene)
{
    numapool *pool = scene->pool;
    struct numapool_task task = {.run = count_run};
    EXPECT(numapool_submit(pool, count_run, NULL) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_submit_task(pool, &task) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_submit_wait(pool, &task, 0) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_submit_wait(pool, &task, FOREVER) == NUMAPOOL_E_FORKED);
    size_t accepted = 77;
    EXPECT(numapool_submit_batch(pool, &task, 1, &accepted) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_drain(pool, 0) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_drain(pool, FOREVER) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_set_budget(pool, 2) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_retry_after_ns(pool) == 0);
    numapool_group *group = NULL;
    EXPECT(numapool_group_create(&group, pool) == NUMAPOOL_E_FORKED && group == NULL);
    EXPECT(numapool_group_wait(scene->group, 0) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_group_wait(scene->group, FOREVER) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_alloc(pool, 0, 100) == NULL);
    EXPECT(numapool_alloc(pool, -1, 100000) == NULL);
    numapool_free(pool, scene->memory);
    EXPECT(numapool_node_of(pool, scene->memory) == -1);
    EXPECT(numapool_scratch(100) == NULL);
    EXPECT(numapool_scratch(1000000) == NULL);
    numapool_block_begin();
    numapool_block_end();
    struct numapool_stats stats = {.struct_size = sizeof stats};
    EXPECT(numapool_stats(pool, &stats) == NUMAPOOL_E_FORKED);
    struct numapool_shard_stats shard = {.struct_size = sizeof shard};
    EXPECT(numapool_shard_stats(pool, 0, &shard) == NUMAPOOL_E_FORKED);
    size_t needed = 0;
    EXPECT(numapool_stats_prometheus(pool, NULL, 0, &needed) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_plan_write(pool, 2) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_node_count(pool) == 2 && numapool_shard_count(pool) == 2); /* set once */
    EXPECT(numapool_distance(pool, 0, 0) == 10 && numapool_distance(pool, 0, 2) == -1);
    EXPECT(numapool_current_node() < 2);
    (void)numapool_cancelled();
    EXPECT(numapool_group_cancel(scene->group) == NUMAPOOL_OK); /* of the child's own copy */
    EXPECT(numapool_group_destroy(scene->group) == NUMAPOOL_OK);
    EXPECT(numapool_destroy(pool) == NUMAPOOL_E_FORKED);
    EXPECT(numapool_destroy(NULL) == NUMAPOOL_OK);
}

static void use_own_pool(void)
{
    struct numapool_config config;
    numapool *pool = NULL;
    config_of(&config, &(struct kind){.machine = machine_of(2), .workers_max = 4});
    atomic_int ran = 0;
    EXPECT(numapool_create(&pool, &config, NULL) == NUMAPOOL_OK);
    if (pool != NULL) {
        EXPECT(numapool_submit(pool, count_run, &ran) == NUMAPOOL_OK);
        EXPECT(numapool_drain(pool, FOREVER) == NUMAPOOL_OK);
        EXPECT(atomic_load(&ran) == 1);
        EXPECT(numapool_destroy(pool) == NUMAPOOL_OK);
    }
}

/* Returns in the parent only. */
static void fork_and_call(struct scene *scene, bool makes_own)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_SECONDS);
        wrong_line = 0;
        call_everything(scene);
        if (makes_own) {
            use_own_pool();
        }
        if (wrong_line != 0) {
            fprintf(stderr, "in the child, line %d: not what it should be\n", wrong_line);
        }
        _exit(wrong_line != 0);
    }
    CHECK(child > 0);
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct submitter {
    struct scene *scene;
    atomic_bool stop;
    atomic_int ran, members_ran;
    int accepted, members_accepted;
    pthread_t thread;
};

static void allocate_a_little(void *arg)
{
    struct submitter *submitter = arg;
    void *memory = numapool_alloc(submitter->scene->pool, -1, 3000);
    char *scratch = numapool_scratch(70000);
    if (scratch != NULL) {
        scratch[69999] = 1;
    }
    numapool_free(submitter->scene->pool, memory);
    atomic_fetch_add(&submitter->ran, 1);
}

static void *submit_all_the_time(void *arg)
{
    struct submitter *submitter = arg;
    while (!atomic_load(&submitter->stop)) {
        int result = numapool_submit(submitter->scene->pool, allocate_a_little, submitter);
        CHECK(result != NUMAPOOL_E_FORKED);
        submitter->accepted += result == NUMAPOOL_OK;
        struct numapool_task task = {.run = count_run,
                                     .arg = &submitter->members_ran,
                                     .group = submitter->scene->group,
                                     .bytes = 100};
        result = numapool_submit_task(submitter->scene->pool, &task);
        CHECK(result != NUMAPOOL_E_FORKED);
        submitter->members_accepted += result == NUMAPOOL_OK;
        if (result != NUMAPOOL_OK) {
            rest();
        }
    }
    return NULL;
}

static void the_child_is_told_and_the_parent_goes_on(void **state)
{
    (void)state;
    struct scene scene;
    scene.pool = make(&(struct kind){
        .machine = machine_of(2), .workers_max = 4, .memory_bytes = UINT64_C(64) << 20});
    assert_int_equal(numapool_group_create(&scene.group, scene.pool), NUMAPOOL_OK);
    scene.memory = numapool_alloc(scene.pool, 1, 1000);
    assert_non_null(scene.memory);
    struct submitter submitter = {.scene = &scene};
    assert_int_equal(pthread_create(&submitter.thread, NULL, submit_all_the_time, &submitter), 0);
    EVENTUALLY(atomic_load(&submitter.ran) > 0);
    EVENTUALLY(threads_named("np/n0/ctl") == 1); /* a new thread first has its maker's name */
    for (int i = 0; i < TIMES(200, 60); i++) {
        fork_and_call(&scene, THREADS_AFTER_FORK && i % 20 == 0);
    }
    EVENTUALLY(threads_named("np/n0/ctl") == 1);
    int ran = atomic_load(&submitter.ran);
    EVENTUALLY(atomic_load(&submitter.ran) > ran); /* still going */
    atomic_store(&submitter.stop, true);
    pthread_join(submitter.thread, NULL);
    assert_int_equal(numapool_group_wait(scene.group, FOREVER), NUMAPOOL_OK);
    assert_int_equal(numapool_drain(scene.pool, FOREVER), NUMAPOOL_OK);
    assert_int_equal(atomic_load(&submitter.ran), submitter.accepted);
    assert_int_equal(atomic_load(&submitter.members_ran), submitter.members_accepted);
    numapool_free(scene.pool, scene.memory);
    assert_int_equal(stats_of(scene.pool).bytes_in_use, 0);
    assert_int_equal(numapool_group_destroy(scene.group), NUMAPOOL_OK);
    finish(scene.pool);
}

struct inside {
    struct scene *scene;
    atomic_int forked;
};

static void fork_inside(void *arg)
{
    struct inside *inside = arg;
    char *before = numapool_scratch(1000);
    fork_and_call(inside->scene, false);
    CHECK(before != NULL && numapool_scratch(1000) != NULL); /* still a task of the parent */
    atomic_fetch_add(&inside->forked, 1);
}

/* The child is then a copy of a worker that had a task: also there nothing is taken from the pool. */
static void a_task_may_fork(void **state)
{
    (void)state;
    struct scene scene;
    scene.pool = make(&(struct kind){
        .machine = machine_of(2), .workers_max = 4, .memory_bytes = UINT64_C(64) << 20});
    assert_int_equal(numapool_group_create(&scene.group, scene.pool), NUMAPOOL_OK);
    scene.memory = numapool_alloc(scene.pool, 0, 1000);
    struct submitter submitter = {.scene = &scene};
    assert_int_equal(pthread_create(&submitter.thread, NULL, submit_all_the_time, &submitter), 0);
    struct inside inside = {.scene = &scene};
    const int count = TIMES(100, 30);
    for (int i = 0; i < count; i++) {
        struct numapool_task task = {.run = fork_inside, .arg = &inside, .bytes = 500};
        assert_int_equal(numapool_submit_wait(scene.pool, &task, FOREVER), NUMAPOOL_OK);
    }
    EVENTUALLY(atomic_load(&inside.forked) == count);
    atomic_store(&submitter.stop, true);
    pthread_join(submitter.thread, NULL);
    assert_int_equal(numapool_drain(scene.pool, FOREVER), NUMAPOOL_OK);
    assert_int_equal(atomic_load(&submitter.ran), submitter.accepted);
    assert_int_equal(numapool_group_destroy(scene.group), NUMAPOOL_OK);
    finish(scene.pool);
}

enum how { BY_RETURN, BY_EXIT, BY_DROP, HOWS };

/* In memory that parent and child share. */
struct family {
    pid_t parent;
    enum how how;
    atomic_int ran, ran_elsewhere;
    atomic_int child_status; /* as waitpid() tells it, -1 = not yet */
};

static void leave_at_once(void)
{
    _exit(0); /* whatever the program and its sanitizers have planned for the end is the parent's */
}

static void fork_and_go_on(void *arg)
{
    struct family *family = arg;
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_SECONDS);
        (void)atexit(leave_at_once);
        if (family->how == BY_EXIT) {
            pthread_exit(NULL);
        }
        return;
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    atomic_store(&family->child_status, status);
}

static void fork_in_drop(void *arg, int why)
{
    (void)why;
    fork_and_go_on(arg);
}

static void run_in_family(void *arg)
{
    struct family *family = arg;
    atomic_fetch_add(getpid() == family->parent ? &family->ran : &family->ran_elsewhere, 1);
}

/* What waits in the queue is the parent's, also when the child returns from the task that forked. */
static void a_child_takes_no_task(void **state)
{
    (void)state;
    if (!GOES_ON_AFTER_FORK) {
        skip(); /* the thread sanitizer has its own opinion of a child that goes on */
    }
    struct family *family =
        mmap(NULL, sizeof *family, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(family != MAP_FAILED);
    for (int how = BY_RETURN; how < HOWS; how++) {
        *family = (struct family){.parent = getpid(), .how = (enum how)how, .child_status = -1};
        struct blocker blocker = BLOCKER;
        numapool *pool = make_blocked(&blocker, 1, 100);
        struct numapool_task task = {.run = fork_and_go_on, .arg = family, .bytes = 100};
        if (how == BY_DROP) {
            assert_int_equal(numapool_group_create(&task.group, pool), NUMAPOOL_OK);
            assert_int_equal(
                numapool_submit_task(pool, &(struct numapool_task){.run = fork_and_go_on,
                                                                   .arg = family,
                                                                   .drop = fork_in_drop,
                                                                   .group = task.group}),
                NUMAPOOL_OK);
            assert_int_equal(numapool_group_cancel(task.group), NUMAPOOL_OK);
            assert_int_equal(numapool_group_destroy(task.group), NUMAPOOL_OK);
        } else {
            assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
        }
        for (int i = 0; i < 20; i++) {
            assert_int_equal(numapool_submit(pool, run_in_family, family), NUMAPOOL_OK);
        }
        door_open(&blocker.door);
        finish(pool);
        int status = atomic_load(&family->child_status);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(atomic_load(&family->ran_elsewhere), 0);
        assert_int_equal(atomic_load(&family->ran), 20);
    }
    munmap(family, sizeof *family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_child_is_told_and_the_parent_goes_on),
        cmocka_unit_test(a_task_may_fork),
        cmocka_unit_test(a_child_takes_no_task),
    };
    return RUN(tests);
}
