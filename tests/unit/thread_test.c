/* Threads as a pool starts them: on a given stack, named, with the application's signals kept away.
 */
#include "unit/core_support.h"

#include "os/os.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define STACK_BYTES ((size_t)2 << 20) /* sanitizers need more than a task does */

static void *new_stack(void)
{
    void *stack =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    return stack;
}

/* What a thread found out about itself. */
struct facts {
    sigset_t blocked;
    char name[32];
    pid_t id;
    int cpu;
    char *frame;
    npi_a32 may_look;
    int policy;
    uint64_t slice_wanted_ns;
    int slice;
    uint64_t slice_after_ns;
};

static void run_and_join(struct facts *facts, const char *name, void *(*body)(void *))
{
    char *stack = new_stack();
    pthread_t thread;
    assert_int_equal(npi_thread_start(&thread, stack, STACK_BYTES, name, body, facts), 0);
    npi_a32_store_release(&facts->may_look, 1); /* the name is set by now */
    void *result = NULL;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, facts);
    if (facts->frame != NULL) {
        assert_true(facts->frame > stack && facts->frame < stack + STACK_BYTES);
    }
    assert_int_equal(munmap(stack, STACK_BYTES), 0);
}

static void *find_out(void *arg)
{
    struct facts *facts = arg;
    test_await(&facts->may_look, 1);
    thread_assert(pthread_sigmask(SIG_SETMASK, NULL, &facts->blocked) == 0);
    thread_assert(pthread_getname_np(pthread_self(), facts->name, sizeof facts->name) == 0);
    facts->id = npi_thread_id();
    facts->cpu = npi_thread_cpu();
    facts->frame = __builtin_frame_address(0);
    npi_thread_yield();
    return facts;
}

static void a_thread_runs_named_on_its_stack(void **state)
{
    (void)state;
    struct facts facts = {0};
    run_and_join(&facts, "np/n12/w345-end", find_out);
    assert_string_equal(facts.name, "np/n12/w345-end");
    assert_int_equal(npi_thread_id(), (pid_t)syscall(SYS_gettid));
    assert_int_not_equal(facts.id, npi_thread_id());
    assert_non_null(facts.frame);
}

static void a_name_that_is_too_long_does_not_matter(void **state)
{
    (void)state;
    struct facts facts = {0};
    run_and_join(&facts, "sixteen letters!", find_out);
    assert_string_not_equal(facts.name, "sixteen letters!");
}

static void only_faults_reach_a_thread(void **state)
{
    (void)state;
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    static const int closed[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
                                 SIGPIPE, SIGCHLD, SIGPROF, SIGTSTP, SIGTTIN, SIGWINCH};
    sigset_t mine, after;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    sigaddset(&mine, SIGSEGV); /* ours, and none of the new thread's business */
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mine, NULL), 0);
    struct facts facts = {0};
    run_and_join(&facts, "np/signals", find_out);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        assert_int_equal(sigismember(&facts.blocked, open[i]), 0);
    }
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        assert_int_equal(sigismember(&facts.blocked, closed[i]), 1);
    }
    assert_int_equal(sigismember(&facts.blocked, SIGRTMAX), 1);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int number = 1; number < NSIG; number++) {
        assert_int_equal(sigismember(&after, number), sigismember(&mine, number));
    }
    sigemptyset(&mine);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mine, NULL), 0);
}

static void a_stack_that_cannot_be_used_is_refused(void **state)
{
    (void)state;
    char *stack = new_stack();
    struct facts facts = {0};
    pthread_t thread;
    sigset_t before, after;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    assert_int_equal(npi_thread_start(&thread, stack, 64, "np/tiny", find_out, &facts), -EINVAL);
    assert_int_equal(facts.id, 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    assert_int_equal(sigismember(&after, SIGUSR1), sigismember(&before, SIGUSR1));
    assert_int_equal(munmap(stack, STACK_BYTES), 0);
}

static void the_processor_is_one_we_may_use(void **state)
{
    (void)state;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        skip(); /* more processors than the set holds */
    }
    for (int i = 0; i < 100; i++) {
        int cpu = npi_thread_cpu();
        assert_true(cpu >= 0 && CPU_ISSET((size_t)cpu, &allowed));
        npi_thread_yield();
    }
}

/* -------------------------------------------------------------------------------- slice */

/* As much of the kernel's struct as is asked for here. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static void *ask_for_slice(void *arg)
{
    struct facts *facts = arg;
    struct sched_param none = {0};
    if (facts->policy != SCHED_OTHER) {
        thread_assert(sched_setscheduler(0, facts->policy, &none) == 0);
    }
    thread_assert(setpriority(PRIO_PROCESS, (id_t)npi_thread_id(), 3) == 0);
    facts->slice = npi_thread_slice(facts->slice_wanted_ns);
    struct attributes attributes = {0};
    thread_assert(syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0);
    facts->slice_after_ns = attributes.runtime;
    thread_assert(attributes.policy == (uint32_t)facts->policy);
    thread_assert(attributes.nice == 3);
    return facts;
}

static void a_slice_is_granted_or_said_not_to_be(void **state)
{
    (void)state;
    struct facts facts = {.policy = SCHED_OTHER, .slice_wanted_ns = 300000};
    run_and_join(&facts, "np/slice", ask_for_slice);
    if (facts.slice == 0) {
        assert_int_equal(facts.slice_after_ns, 300000);
    } else {
        assert_true(facts.slice == -ENOSYS || facts.slice == -EPERM || facts.slice == -EINVAL);
    }
    printf("slice: %d\n", facts.slice);
}

static void another_policy_is_left_alone(void **state)
{
    (void)state;
    struct facts facts = {.policy = SCHED_IDLE, .slice_wanted_ns = 300000};
    run_and_join(&facts, "np/idle", ask_for_slice);
    assert_int_equal(facts.slice, -ENOSYS);
    assert_int_not_equal(facts.slice_after_ns, 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_runs_named_on_its_stack),
        cmocka_unit_test(a_name_that_is_too_long_does_not_matter),
        cmocka_unit_test(only_faults_reach_a_thread),
        cmocka_unit_test(a_stack_that_cannot_be_used_is_refused),
        cmocka_unit_test(the_processor_is_one_we_may_use),
        cmocka_unit_test(a_slice_is_granted_or_said_not_to_be),
        cmocka_unit_test(another_policy_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
