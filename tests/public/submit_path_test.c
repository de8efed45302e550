/*
 * What a submit does not do: no system call, no allocation, no lock, unless it has to wake a worker.
 *
 * The submitting thread installs a seccomp filter by which the kernel kills it at its first system call
 * other than exit; the allocator and the mutex are replaced by ones that count. All workers are busy meanwhile, so nobody has to be woken; some submits are accepted, most
 * are refused, with every kind of task.
 */
#include <numapool/numapool.h>

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
int main(void)
{
    print_message("skip: the sanitizer makes system calls of its own\n");
    return 77;
}
#else

#define WORKERS 2
#define QUEUE 64
#define SUBMITS 1000

static _Thread_local bool watched;
static atomic_uint allocations, locks;

void *malloc(size_t bytes)
{
    static void *(*real)(size_t);
    if (real == NULL) {
        real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    }
    if (watched) {
        atomic_fetch_add(&allocations, 1);
    }
    return real(bytes);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*real)(pthread_mutex_t *);
    if (real == NULL) {
        real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
    }
    if (watched) {
        atomic_fetch_add(&locks, 1);
    }
    return real(mutex);
}

struct scene {
    numapool *pool;
    numapool_group *group;
    const char *machine;
    sem_t go_on;
    atomic_uint started, finished;
    unsigned accepted, refused;
    int strange; /* a code nobody expects */
};

static void hold(void *arg)
{
    struct scene *scene = arg;
    atomic_fetch_add(&scene->started, 1);
    (void)sem_wait(&scene->go_on);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void nothing_dropped(void *arg, int why)
{
    (void)arg;
    (void)why;
}

static void note(struct scene *scene, int result)
{
    if (result == NUMAPOOL_OK) {
        scene->accepted++;
    } else if (result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED) {
        scene->refused++;
    } else {
        scene->strange = result;
    }
}

/* From here on the calling thread may only end. (The strict mode would also take the time stamp counter
   away.) */
static bool forbid_system_calls(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the call's number */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
    };
    struct sock_fprog filter = {sizeof program / sizeof program[0], program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static void *submit_strictly(void *arg)
{
    struct scene *scene = arg;
    struct numapool_task plain = {.run = nothing};
    struct numapool_task full = {.run = nothing,
                                 .drop = nothing_dropped,
                                 .group = scene->group,
                                 .bytes = 1000,
                                 .task_class = NUMAPOOL_CRITICAL};
    struct numapool_task batch[4] = {plain, plain, plain, plain};
    size_t taken = 0;
    /* Binds the symbols before the kernel listens. */
    bool refused = numapool_submit(NULL, NULL, NULL) != NUMAPOOL_OK &&
                   numapool_submit_task(NULL, NULL) != NUMAPOOL_OK &&
                   numapool_submit_batch(NULL, NULL, 0, NULL) != NUMAPOOL_OK &&
                   numapool_retry_after_ns(scene->pool) == 0;
    if (!refused || !forbid_system_calls()) {
        return NULL;
    }
    watched = true;
    for (int i = 0; i < SUBMITS; i++) {
        note(scene, numapool_submit(scene->pool, nothing, NULL));
        note(scene, numapool_submit_task(scene->pool, &plain));
        note(scene, numapool_submit_task(scene->pool, &full));
        note(scene, numapool_submit_batch(scene->pool, batch, 4, &taken));
        (void)numapool_retry_after_ns(scene->pool);
    }
    watched = false;
    atomic_store(&scene->finished, 1);
    for (;;) {
        syscall(SYS_exit, 0); /* returning would unmap and unlock */
    }
}

static void no_system_call(const char *machine)
{
    static struct scene scene;
    memset(&scene, 0, sizeof scene);
    (void)sem_init(&scene.go_on, 0, 0);
    struct numapool_config config;
    struct numapool_error error;
    numapool_config_init(&config);
    config.machine = machine;
    config.mode = NUMAPOOL_FIXED;
    config.workers_max = WORKERS;
    config.queue_tasks = QUEUE;
    assert_int_equal(numapool_create(&scene.pool, &config, &error), NUMAPOOL_OK);
    assert_int_equal(numapool_group_create(&scene.group, scene.pool), NUMAPOOL_OK);
    for (int i = 0; i < WORKERS; i++) {
        struct numapool_task task = {.run = hold,
                                     .arg = &scene,
                                     .flags = NUMAPOOL_ON_NODE,
                                     .node = i % (int)numapool_node_count(scene.pool)};
        assert_int_equal(numapool_submit_wait(scene.pool, &task, UINT64_MAX), NUMAPOOL_OK);
    }
    while (atomic_load(&scene.started) < WORKERS) {
        (void)usleep(1000);
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, submit_strictly, &scene), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_int_equal(atomic_load(&scene.finished), 1); /* else the kernel killed it */
    assert_int_equal(scene.strange, 0);
    assert_true(scene.accepted > 0);
    assert_true(scene.refused > 0);
    assert_int_equal(atomic_load(&allocations), 0);
    assert_int_equal(atomic_load(&locks), 0);

    for (int i = 0; i < WORKERS; i++) {
        (void)sem_post(&scene.go_on);
    }
    assert_int_equal(numapool_drain(scene.pool, UINT64_MAX), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(scene.group), NUMAPOOL_OK);
    assert_int_equal(numapool_destroy(scene.pool), NUMAPOOL_OK);
    (void)sem_destroy(&scene.go_on);
}

static void on_this_machine(void **state)
{
    (void)state;
    no_system_call(NULL);
}

static void with_two_shards(void **state)
{
    (void)state;
    no_system_call("pack:2 [numa] core:1 pu:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(on_this_machine),
                                       cmocka_unit_test(with_two_shards)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
