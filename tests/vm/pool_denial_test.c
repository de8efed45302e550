/*
 * A pool inside a container whose filter refuses the NUMA system calls: it works, counts and says once
 * what was refused, and its memory is where its first user ran. The pool is in a filtered process; a
 * process that is not filtered asks the kernel where that one's pages are. Machine with four sockets.
 */
#include "topology/placement.h"
#include "vm/denial.h"
#include "vm/watch.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES 4
#define SCRATCH_BYTES 200000
#define STACK_BYTES 65536

/* What the filtered process has, by node, and leaves in place until it has been looked at. */
struct seen {
    numapool *pool;
    char *scratch[NODES]; /* of a task that runs on that node */
    char *stack[NODES];   /* of the same task, the half far from its thread's beginning */
    char
        *by_task[NODES]; /* allocated for the node by node 0, first written by a task of the node */
    char *by_other[NODES]; /* allocated for the node and first written by node 0 */
    char *foreign;         /* not the pool's, on node 0 */
    sem_t ready, looked;
};

static struct seen *seen;

static bool is_on(pid_t process, const char *start, size_t bytes, unsigned node)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t page = (uintptr_t)start & ~(page_bytes - 1);

    for (; page < (uintptr_t)start + bytes; page += page_bytes) {
        void *pages[1] = {(void *)page};
        int status[1] = {-EINVAL};
        CHECK_EQUAL(syscall(SYS_move_pages, process, 1UL, pages, NULL, status, 0), 0);
        if (status[0] != (int)node) {
            printf("the page at %#lx of the range at %p is on %d, not on %u\n", (unsigned long)page,
                   (const void *)start, status[0], node);
            return false;
        }
    }
    return true;
}

static struct watch_hold hold = WATCH_HOLD;

static void use_memory(void *arg)
{
    size_t node = (size_t)(uintptr_t)arg;
    volatile char room[STACK_BYTES];

    CHECK_EQUAL(numapool_current_node(), node);
    memset((char *)room, 1, sizeof room);
    seen->stack[node] = (char *)room;
    seen->scratch[node] = numapool_scratch(SCRATCH_BYTES);
    CHECK(seen->scratch[node] != NULL);
    memset(seen->scratch[node], 1, SCRATCH_BYTES);
    memset(seen->by_task[node], 1, SCRATCH_BYTES);
    watch_hold_task(&hold); /* scratch and stack are there as long as the task is */
}

static numapool *make_pool(enum npi_memory_policy policy)
{
    struct numapool_placement placement;
    struct numapool_config config;

    memset(&placement, 0, sizeof placement);
    placement.memory_policy = (int)policy;
    watch_config(&config);
    config.placement = &placement;
    return watch_create(&config);
}

static void use_pool(numapool *pool)
{
    CHECK_EQUAL(numapool_node_count(pool), NODES);
    CHECK_EQUAL(numapool_shard_count(pool), NODES);
    CHECK_EQUAL(where_run_on(0), 0);
    seen->pool = pool;
    seen->foreign = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(seen->foreign != MAP_FAILED);
    *seen->foreign = 1;
    for (int node = 0; node < NODES; node++) {
        seen->by_task[node] = numapool_alloc(pool, node, SCRATCH_BYTES);
        seen->by_other[node] = numapool_alloc(pool, node, SCRATCH_BYTES);
        CHECK(seen->by_task[node] != NULL && seen->by_other[node] != NULL);
        CHECK_EQUAL(numapool_node_of(pool, seen->by_other[node]), node);
        memset(seen->by_other[node], 1, SCRATCH_BYTES);
        watch_on_node(pool, node, use_memory, (void *)(uintptr_t)node);
    }
    AWAIT(watch_inside(&hold) == NODES);
    sem_post(&seen->ready);
    while (sem_wait(&seen->looked) != 0) {
    }
    watch_let_go(&hold);
    for (int i = 0; i < 400; i++) {
        CHECK_EQUAL(numapool_submit(pool, watch_nothing, NULL), NUMAPOOL_OK);
    }
    AWAIT(watch_pool(pool).run == NODES + 400);
}

static void filtered(enum denial denial, enum npi_memory_policy policy)
{
    numapool *pool;

    CHECK_EQUAL(denial_install(denial), 0);
    pool = make_pool(policy);
    use_pool(pool);
    if (denial == DENIAL_ALL) {
        CHECK(watch_pool(pool).bind_denied > 0);
        CHECK_EQUAL(watch_logged("refused"), 1);
        CHECK_EQUAL(watch_logged(""), 1);
        CHECK_EQUAL(numapool_node_of(pool, seen->foreign), -1);
    } else {
        CHECK_EQUAL(watch_pool(pool).bind_denied, 0);
        CHECK_EQUAL(watch_logged(""), 0);
        CHECK_EQUAL(numapool_node_of(pool, seen->foreign), 0);
    }
    watch_destroy(pool);
}

static void look_at(pid_t process, enum denial denial)
{
    bool bound = denial == DENIAL_MOVE_ONLY;

    CHECK(is_on(process, seen->foreign, 1, 0));
    for (unsigned node = 0; node < NODES; node++) {
        CHECK(is_on(process, seen->scratch[node], SCRATCH_BYTES, node));
        /* The other half begins in the page that the thread's starter wrote to. */
        CHECK(is_on(process, seen->stack[node], STACK_BYTES / 2, node));
        CHECK(is_on(process, seen->by_task[node], SCRATCH_BYTES, node));
        CHECK(is_on(process, seen->by_other[node], SCRATCH_BYTES, bound ? node : 0));
    }
}

static void in_filter(enum denial denial, enum npi_memory_policy policy)
{
    int status = -1;
    pid_t child;

    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(seen != MAP_FAILED);
    CHECK_EQUAL(sem_init(&seen->ready, 1, 0), 0);
    CHECK_EQUAL(sem_init(&seen->looked, 1, 0), 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        filtered(denial, policy);
        _exit(0);
    }
    AWAIT(sem_trywait(&seen->ready) == 0 || waitpid(child, &status, WNOHANG) == child);
    CHECK_EQUAL(status, -1); /* it has not ended before its time */
    look_at(child, denial);
    sem_post(&seen->looked);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}

static void docker_refuses_all_and_the_pool_works(void)
{
    in_filter(DENIAL_ALL, NPI_MEMORY_PREFER);
}

/* Bound memory is a wish that the container denies: not a reason to have no pool. */
static void docker_refuses_bound_memory_too(void)
{
    in_filter(DENIAL_ALL, NPI_MEMORY_BIND);
}

static void podman_lets_memory_be_placed(void)
{
    in_filter(DENIAL_MOVE_ONLY, NPI_MEMORY_PREFER);
}

/*
 * While the kernel watches for who uses a page next it says that there is none, to whoever asks, and
 * memory without a policy is what it watches. Who asks here cannot touch the page.
 */
static int watch_pages(bool on)
{
    FILE *file = fopen("/proc/sys/kernel/numa_balancing", "we");

    if (file == NULL) {
        return -1; /* a kernel that never does it */
    }
    fputs(on ? "1" : "0", file);
    return fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(docker_refuses_all_and_the_pool_works),
        WATCH_TEST(docker_refuses_bound_memory_too),
        WATCH_TEST(podman_lets_memory_be_placed),
    };
    int status = watch_shape("square");

    if (status != 0) {
        return status;
    }
    (void)watch_pages(false);
    status = cmocka_run_group_tests(tests, NULL, NULL);
    (void)watch_pages(true);
    return status;
}
