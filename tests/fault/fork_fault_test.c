/*
 * F10: fork() a thousand times beside a busy pool, from outside, from producers' and from workers'
 * side. The child is told at once and never hangs; the parent does not notice.
 */
#include "fault/load.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS 1000

static unsigned forks_done;

static bool child_is_told(void)
{
    struct numapool_task task = {.run = count_run};
    struct numapool_stats stats = {.struct_size = sizeof stats};
    size_t accepted = 77;
    return numapool_submit(load_pool, count_run, NULL) == NUMAPOOL_E_FORKED &&
           numapool_submit_task(load_pool, &task) == NUMAPOOL_E_FORKED &&
           numapool_submit_wait(load_pool, &task, FOREVER) == NUMAPOOL_E_FORKED &&
           numapool_submit_batch(load_pool, &task, 1, &accepted) == NUMAPOOL_E_FORKED &&
           numapool_stats(load_pool, &stats) == NUMAPOOL_E_FORKED &&
           numapool_alloc(load_pool, -1, 100) == NULL &&
           numapool_drain(load_pool, FOREVER) == NUMAPOOL_E_FORKED &&
           numapool_destroy(load_pool) == NUMAPOOL_E_FORKED;
}

static void fork_once(void)
{
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        (void)alarm(300);
        _exit(child_is_told() ? 0 : 1);
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)__atomic_add_fetch(&forks_done, 1, __ATOMIC_RELAXED);
}

static void fork_in_task(void *arg)
{
    fork_once();
    atomic_fetch_sub((atomic_int *)arg, 1);
}

static void fork_beside(unsigned round, uint64_t tasks)
{
    atomic_int inside = 0;
    uint64_t handed = 0;
    const unsigned until = __atomic_load_n(&forks_done, __ATOMIC_RELAXED) + TIMES(FORKS / 4, 20);
    load_begin(&(struct load_shape){.nodes = 1u << round % 3, .mix = LOAD_ALL & ~LOAD_CHILD},
               tasks);
    while (__atomic_load_n(&forks_done, __ATOMIC_RELAXED) < until) {
        fork_once();
        struct numapool_task task = {
            .run = fork_in_task, .arg = &inside, .task_class = NUMAPOOL_CRITICAL};
        atomic_fetch_add(&inside, 1);
        handed++;
        MUST(numapool_submit_wait(load_pool, &task, FOREVER) == NUMAPOOL_OK);
        EVENTUALLY(atomic_load(&inside) < 2);
    }
    load_await_producers();
    EVENTUALLY(atomic_load(&inside) == 0);
    load_foreign(handed);
    load_end();
}

static void a_thousand_children(void **state)
{
    (void)state;
    load_rounds(fork_beside);
    printf("%u forks\n", forks_done);
    load_report("F10", "fork() beside and inside tasks");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_thousand_children)};
    return FAULT_RUN(tests);
}
