/*
 * numapool_dump_state(): what it says, and that it may be called at any moment: from a signal handler in any thread,
 * while pools are made, used and ended, and when its descriptor takes nothing.
 */
#include "contract.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM ((size_t)64 * 1024) /* of a pipe */

static char text[ROOM + 1];

static const char *dump(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    errno = 1234;
    assert_int_equal(numapool_dump_state(ends[1]), NUMAPOOL_OK);
    assert_int_equal(errno, 1234);
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], text + used, ROOM - used)) > 0) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(ends[0]);
    return text;
}

static unsigned count_of(const char *words)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++) {
        count++;
    }
    return count;
}

static void test_no_pool(void **state)
{
    (void)state;
    char expected[64];
    (void)snprintf(expected, sizeof expected, "numapool %s, process %d\n", numapool_version(),
                   (int)getpid());
    assert_string_equal(dump(), expected);
}

static void test_what_it_says(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make_blocked(&blocker, 2, 100);
    struct fate fate = {0};
    struct numapool_task task = fate_task(&fate);
    for (int i = 0; i < 5; i++) {
        task.task_class = i == 0 ? NUMAPOOL_CRITICAL : NUMAPOOL_NORMAL;
        assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    }
    char line[160];
    dump();
    assert_int_equal(count_of("\npool "), 1);
    assert_non_null(strstr(text, ": open, "));
    assert_int_equal(count_of("\n shard "), 1);
    (void)snprintf(line, sizeof line,
                   "shard 0, node 0: waiting 5 of 100 (critical 1, normal 4, sheddable 0)");
    assert_non_null(strstr(text, line));
    assert_non_null(strstr(text, "submitted 7, accepted 7, run 0, dropped 0,"));
    (void)snprintf(line, sizeof line, "function %p, run 0, dropped 0\n", (void *)(uintptr_t)block);
    assert_int_equal(count_of(line), 2);
    assert_int_equal(count_of(": in a task, begun "), 2);

    /* Two pools, and one that drains. */
    numapool *other = make(&(struct kind){.machine = machine_of(4), .workers_max = 4});
    assert_int_equal(numapool_drain(pool, 0), NUMAPOOL_E_TIMEDOUT);
    dump();
    assert_int_equal(count_of("\npool "), 2);
    assert_int_equal(count_of("\n shard "), 1 + numapool_shard_count(other));
    assert_int_equal(count_of(": draining, "), 1);
    finish(other);
    dump();
    assert_int_equal(count_of("\npool "), 1);
    door_open(&blocker.door);
    finish(pool);
    test_no_pool(state);
    assert_int_equal(atomic_load(&fate.run), 5);
}

/* A task that waits and says so, and a drop. */
static struct door drop_door = DOOR;
static atomic_int dropping;

static void drop_slowly(void *arg, int why)
{
    (void)arg;
    (void)why;
    atomic_store(&dropping, 1);
    door_wait(&drop_door);
}

static void wait_and_say_so(void *arg)
{
    numapool_block_begin();
    block(arg);
    numapool_block_end();
}

static void test_waits_and_drops(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make(&(struct kind){.workers_max = 2});
    assert_int_equal(numapool_submit(pool, wait_and_say_so, &blocker), NUMAPOOL_OK);
    EVENTUALLY(atomic_load(&blocker.inside) == 1);
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    struct blocker workers = BLOCKER;
    block_workers(pool, &workers, 2);
    struct numapool_task task = {.run = count_run, .drop = drop_slowly, .group = group};
    assert_int_equal(numapool_submit_task(pool, &task), NUMAPOOL_OK);
    assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
    door_open(&workers.door);
    EVENTUALLY(atomic_load(&dropping) == 1);
    dump();
    char line[160];
    (void)snprintf(line, sizeof line, ": in the drop of a task, function %p,",
                   (void *)(uintptr_t)drop_slowly);
    assert_non_null(strstr(text, line));
    assert_int_equal(count_of(": waits inside a task, begun "), 1);
    assert_non_null(strstr(text, "waiting inside tasks 1,"));
    door_open(&drop_door);
    door_open(&blocker.door);
    assert_int_equal(numapool_group_wait(group, FOREVER), NUMAPOOL_OK);
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
    finish(pool);
}

static void test_mistakes(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    close(ends[1]);
    errno = 4321;
    assert_int_equal(numapool_dump_state(-1), NUMAPOOL_E_INVALID);
    assert_int_equal(numapool_dump_state(ends[1]), NUMAPOOL_E_SYSTEM);
    assert_int_equal(errno, 4321);
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        assert_int_equal(numapool_dump_state(fd), NUMAPOOL_E_SYSTEM);
        close(fd);
    }
}

/* --------------------------------------------------------------- a descriptor that takes nothing */

static void *dump_into(void *arg)
{
    (void)numapool_dump_state(*(int *)arg);
    return NULL;
}

static int bytes_in(int fd)
{
    int bytes = 0;
    (void)ioctl(fd, FIONREAD, &bytes);
    return bytes;
}

static void test_full_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int room = fcntl(ends[1], F_SETPIPE_SZ, 4096);
    assert_true(room >= 4096 && (size_t)room <= ROOM);
    /* The lines before the first shard's find room; those do not. */
    static char fill[ROOM];
    int filled = room - 400;
    assert_int_equal(write(ends[1], fill, (size_t)filled), filled);
    numapool *pool = make(&(struct kind){.workers_max = 4});
    pthread_t dumper;
    assert_int_equal(pthread_create(&dumper, NULL, dump_into, &ends[1]), 0);
    EVENTUALLY(bytes_in(ends[0]) >= filled + 100);
    finish(pool); /* returns, although nobody reads what is written of it */
    (void)memset(text, 0, sizeof text);
    size_t used = 0;
    while (strstr(text, "(ended meanwhile)\n") == NULL) {
        ssize_t got = read(ends[0], used == 0 ? fill : text, used == 0 ? (size_t)filled : ROOM);
        assert_true(got > 0);
        used += (size_t)got;
    }
    pthread_join(dumper, NULL);
    close(ends[0]);
    close(ends[1]);
}

/* --------------------------------------------------------------------------------- handlers */

static volatile sig_atomic_t null_fd;
static atomic_int dumps;

static void on_signal(int number)
{
    (void)number;
    if (numapool_dump_state(null_fd) == NUMAPOOL_OK) {
        atomic_fetch_add(&dumps, 1);
    }
}

static atomic_bool enough;

/* Makes, uses and ends pools, interrupted wherever it is. */
static void *make_and_end(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    while (!atomic_load(&enough)) {
        numapool *pool = NULL;
        struct numapool_config config;
        config_of(&config, &(struct kind){.machine = machine_of(2), .workers_max = 4});
        int created = numapool_create(&pool, &config, NULL);
        CHECK(created == NUMAPOOL_OK);
        if (created != NUMAPOOL_OK) {
            break;
        }
        atomic_int ran = 0;
        int accepted = 0;
        for (uint32_t i = draw(&seed) % 200; i != 0; i--) {
            accepted += numapool_submit(pool, count_run, &ran) == NUMAPOOL_OK;
        }
        if (draw(&seed) % 2 == 0) {
            CHECK(numapool_drain(pool, FOREVER) == NUMAPOOL_OK);
            CHECK(atomic_load(&ran) == accepted);
        }
        CHECK(numapool_destroy(pool) == NUMAPOOL_OK);
        CHECK(atomic_load(&ran) <= accepted);
    }
    return NULL;
}

static void *submit_for_long(void *arg)
{
    numapool *pool = arg;
    atomic_int ran = 0;
    int accepted = 0;
    while (!atomic_load(&enough)) {
        accepted += numapool_submit(pool, count_run, &ran) == NUMAPOOL_OK;
    }
    EVENTUALLY(atomic_load(&ran) == accepted);
    return NULL;
}

static void test_handlers(void **state)
{
    (void)state;
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    numapool *pool = make(&(struct kind){.machine = machine_of(2), .workers_max = 4});
    pthread_t threads[3];
    for (uintptr_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_end, (void *)(i + 1)), 0);
    }
    assert_int_equal(pthread_create(&threads[2], NULL, submit_for_long, pool), 0);

    /* At the process by a clock that knows nothing of us, and at the three in turn. */
    struct itimerval every = {{0, 1700}, {0, 1700}}, never = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
    uint64_t seed = seed_of_run();
    for (unsigned i = 0; atomic_load(&dumps) < TIMES(4000, 600); i++) {
        assert_int_equal(pthread_kill(threads[i % 3], SIGUSR1), 0);
        for (volatile uint32_t turn = draw(&seed) % 20000; turn != 0; turn--) {
        }
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    atomic_store(&enough, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    finish(pool);
    close(null_fd);
}

/* ---------------------------------------------------------------------------------- a crash */

static volatile sig_atomic_t crash_fd;

static void on_crash(int number)
{
    (void)number;
    (void)numapool_dump_state(crash_fd);
    _exit(33);
}

static void crash(void *arg)
{
    (void)arg;
    static _Alignas(16) char small[16 * 1024];
    stack_t stack = {.ss_sp = small, .ss_size = SANITIZED ? sizeof small : 8 * 1024};
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
    if (sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0) {
        (void)raise(SIGSEGV); /* as a bad pointer would: in the worker's thread */
    }
}

/* As a program of its own: the thread sanitizer starts no threads in a child of fork() alone. */
static int crash_into(const char *fd)
{
    crash_fd = atoi(fd);
    numapool *pool = NULL;
    struct numapool_config config;
    config_of(&config, &(struct kind){.workers_max = 2});
    bool drained = numapool_create(&pool, &config, NULL) == NUMAPOOL_OK &&
                   numapool_submit(pool, crash, NULL) == NUMAPOOL_OK &&
                   numapool_drain(pool, FOREVER) == NUMAPOOL_OK;
    return drained ? 1 : 2; /* it did not crash */
}

static void test_crash(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char fd[16];
    (void)snprintf(fd, sizeof fd, "%d", ends[1]);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "dump_contract", fd, (char *)NULL);
        _exit(3);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], text + used, ROOM - used)) > 0) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 33);
    assert_int_equal(count_of("\npool "), 1);
    assert_int_equal(count_of(": in a task, begun "), 1);
}

/* In a child the pools are still the parent's. */
static void test_forked(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 2});
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int ends[2];
        if (pipe(ends) != 0 || numapool_dump_state(ends[1]) != NUMAPOOL_OK) {
            _exit(1);
        }
        ssize_t got = read(ends[0], text, ROOM);
        text[got > 0 ? got : 0] = '\0';
        _exit(count_of("\npool ") == 1 && count_of("of the process that forked this one") == 1 &&
                      count_of("shard ") == 0
                  ? 0
                  : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    finish(pool);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return crash_into(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_pool),      cmocka_unit_test(test_crash),
        cmocka_unit_test(test_what_it_says), cmocka_unit_test(test_waits_and_drops),
        cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_full_pipe),
        cmocka_unit_test(test_handlers),     cmocka_unit_test(test_forked),
    };
    return RUN(tests);
}
