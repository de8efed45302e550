/*
 * The address range and the budget: every node has its slice, short address space is lived with, a
 * refused binding is counted, and no sum of reservations ever passes the budget.
 */
#include "unit/memory_support.h"

#include "os/os.h"
#include "topology/place.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void every_address_has_its_node(void **state)
{
    (void)state;
    struct npi_space *space = test_space(5, 100 * MIB, NPI_PAGES_SMALL);
    size_t slice_bytes = (size_t)1 << space->slice_shift;
    assert_int_equal(space->bytes, 5 * slice_bytes);
    assert_true(slice_bytes >= 200 * MIB);
    for (unsigned node = 0; node < 5; node++) {
        char *slice = space->base + node * slice_bytes;
        assert_int_equal(npi_space_node_of(space, slice), (int)node);
        assert_int_equal(npi_space_node_of(space, slice + slice_bytes / 2), (int)node);
        assert_int_equal(npi_space_node_of(space, slice + slice_bytes - 1), (int)node);
    }
    assert_int_equal(npi_space_node_of(space, NULL), -1);
    assert_int_equal(npi_space_node_of(space, space), -1);
    assert_int_equal(npi_space_node_of(space, space->base - 1), -1);
    assert_int_equal(npi_space_node_of(space, space->base + 5 * slice_bytes), -1);
    assert_int_equal(npi_space_node_of(space, (void *)UINTPTR_MAX), -1);
    assert_int_equal(npi_space_in_use_of(space, 5), 0);
    npi_space_destroy(space);
    npi_space_destroy(NULL);
}

/* Both ends of every slice's data are inaccessible: running out of it is a signal, not damage. */
static bool touch_kills(char *address)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)address = 1;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void slices_are_guarded(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, 64 * MIB, NPI_PAGES_SMALL);
    for (unsigned node = 0; node < 2; node++) {
        struct npi_slice *slice = space->slices[node];
        char *data = npi_chunk_address(slice, slice->data_first);
        assert_true(touch_kills(slice->base));
        assert_true(touch_kills(data - 1));
        assert_true(touch_kills(slice->base + ((size_t)1 << space->slice_shift) - 1));
        assert_ptr_equal(npi_block_alloc(space, node, 40 * KIB, 0), data);
        assert_false(touch_kills(data));
    }
    npi_space_destroy(space);
}

static void the_plan_says_which_pages(void **state)
{
    (void)state;
    /* A small budget has small pages unless huge ones were asked for by name. */
    const struct {
        uint64_t budget;
        enum npi_page_kind pages;
        bool may_be_huge;
    } cases[] = {
        {64 * MIB, NPI_PAGES_THP, false},     {1024 * MIB, NPI_PAGES_THP, true},
        {1024 * MIB, NPI_PAGES_SMALL, false}, {64 * MIB, NPI_PAGES_HUGE_2M, true},
        {64 * MIB, NPI_PAGES_HUGE_1G, true},
    };
    bool machine_has_them = false;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct npi_space *space = test_space(1, cases[i].budget, cases[i].pages);
        if (cases[i].may_be_huge)
            machine_has_them |= npi_space_huge(space);
        else
            assert_false(npi_space_huge(space));
        npi_space_destroy(space);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct npi_space *space = test_space(1, cases[i].budget, cases[i].pages);
        assert_int_equal(npi_space_huge(space), machine_has_them && cases[i].may_be_huge);
        npi_space_destroy(space);
    }
}

static void a_refused_binding_is_counted_and_lived_with(void **state)
{
    (void)state;
    struct test_plan test;
    struct npi_space *space = NULL;
    npi_a64 bind_denied;
    npi_a64_init(&bind_denied, 0);
    test_plan_init(&test, 3, 2, NPI_PAGES_SMALL);
    test.plan.memory_policy = NPI_MEMORY_PREFER;
    for (unsigned i = 0; i < 3; i++)
        test.nodes[i].os_index = 1000 + i; /* no machine that runs this has them */

    /* Not live: nothing is asked of the kernel, so nothing is refused. */
    assert_int_equal(npi_space_create(&space, &test.plan, 64 * MIB, &bind_denied), NUMAPOOL_OK);
    assert_int_equal(npi_a64_load_relaxed(&bind_denied), 0);
    npi_space_destroy(space);

    test.plan.live = true;
    assert_int_equal(npi_space_create(&space, &test.plan, 64 * MIB, &bind_denied), NUMAPOOL_OK);
    assert_int_equal(npi_a64_load_relaxed(&bind_denied), 3);
    char *block = npi_block_alloc(space, 2, 1000, 0);
    assert_non_null(block);
    *block = 1;
    assert_int_equal(npi_space_node_of(space, block), 2); /* where it was meant to be */
    npi_space_destroy(space);
    test_plan_fini(&test);
}

static void bound_memory_is_on_its_node(void **state)
{
    (void)state;
    struct test_plan test;
    struct npi_space *space = NULL;
    npi_a64 bind_denied;
    char touched = 1;
    int node = npi_place_node_of(&touched);
    if (node < 0) {
        print_message("skipped: the kernel does not tell the node of a page: %s\n",
                      strerror(-node));
        skip();
    }
    npi_a64_init(&bind_denied, 0);
    test_plan_init(&test, 1, 2, NPI_PAGES_SMALL);
    test.plan.live = true;
    test.plan.memory_policy = NPI_MEMORY_BIND;
    test.nodes[0].os_index = (unsigned)node;
    assert_int_equal(npi_space_create(&space, &test.plan, 64 * MIB, &bind_denied), NUMAPOOL_OK);
    if (npi_a64_load_relaxed(&bind_denied) == 0) {
        char *block = npi_block_alloc(space, 0, 1 * MIB, 0);
        for (size_t i = 0; i < 1 * MIB; i += 64 * KIB) {
            block[i] = 1;
            assert_int_equal(npi_place_node_of(block + i), node);
        }
    }
    npi_space_destroy(space);
    test_plan_fini(&test);
}

/* With little address space the slices are smaller; with next to none creation fails and leaves
   nothing. In a child, because the limit cannot be undone everywhere. */
static size_t address_space_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%lu", &pages) != 1)
        _exit(90);
    fclose(file);
    return (size_t)pages * npi_pages_size();
}

static int child_with_little_room(void)
{
    struct test_plan test;
    npi_a64 bind_denied;
    struct npi_space *space = NULL;
    npi_a64_init(&bind_denied, 0);
    memset(&test, 0, sizeof(test));
    test.plan.memory_policy = NPI_MEMORY_LOCAL;
    test.plan.node_count = 2;
    test.plan.nodes = test.nodes;
    size_t before = address_space_bytes();
    struct rlimit limit = {before + 600 * MIB, before + 600 * MIB};
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 77;
    if (npi_space_create(&space, &test.plan, 1024 * MIB, &bind_denied) != NUMAPOOL_OK)
        return 1;
    if (space->slice_shift != 28) /* two of 256 MiB are the most that fit */
        return 2;
    /* The budget is as promised, the node is full earlier; both ways it is NULL and no more. */
    if (npi_space_budget(space) != 1024 * MIB)
        return 3;
    unsigned count = 0;
    while (npi_block_alloc(space, 0, 16 * MIB, 0))
        count++;
    if (count < 14 || count > 15 || npi_space_in_use(space) != count * 16 * MIB)
        return 4;
    if (!npi_block_alloc(space, 1, 16 * MIB, 0))
        return 5;
    npi_space_destroy(space);

    limit.rlim_cur = address_space_bytes() + 8 * MIB;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 77;
    before = address_space_bytes();
    space = NULL;
    if (npi_space_create(&space, &test.plan, 1024 * MIB, &bind_denied) != NUMAPOOL_E_NOMEM)
        return 6;
    return space == NULL && address_space_bytes() == before ? 0 : 7;
}

static void short_address_space_is_lived_with(void **state)
{
    (void)state;
    if (TEST_SANITIZED) {
        print_message("skipped: a sanitizer's shadow needs the address space\n");
        skip();
    }
    pid_t child = fork();
    if (child == 0)
        _exit(child_with_little_room());
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_budget_cannot_be_wrapped(void **state)
{
    (void)state;
    const uint64_t budget = 10 * MIB + 1;
    struct npi_space *space = test_space(1, budget, NPI_PAGES_SMALL);
    assert_int_equal(npi_space_budget(space), budget);
    assert_true(npi_space_reserve(space, 0));
    assert_false(npi_space_reserve(space, budget + 1));
    assert_false(npi_space_reserve(space, UINT64_MAX));
    assert_true(npi_space_reserve(space, 1));
    assert_false(npi_space_reserve(space, budget));
    assert_false(npi_space_reserve(space, UINT64_MAX));
    assert_false(npi_space_reserve(space, UINT64_MAX - budget + 1));
    assert_int_equal(npi_space_in_use(space), 1);
    assert_true(npi_space_reserve(space, budget - 1));
    assert_false(npi_space_reserve(space, 1));
    assert_true(npi_space_reserve(space, 0));
    npi_space_unreserve(space, budget);
    assert_int_equal(npi_space_in_use(space), 0);
    npi_space_destroy(space);
}

/* Enormous budgets are promises nobody can keep, but no reason to fail. */
static void an_enormous_budget_is_accepted(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, UINT64_MAX, NPI_PAGES_SMALL);
    assert_true(npi_space_reserve(space, UINT64_MAX));
    assert_false(npi_space_reserve(space, 1));
    npi_space_unreserve(space, UINT64_MAX);
    assert_null(npi_block_alloc(space, 0, SIZE_MAX, 0));
    assert_null(npi_block_alloc(space, 0, SIZE_MAX / 2, 0));
    assert_int_equal(npi_space_in_use(space), 0);
    void *block = npi_block_alloc(space, 1, 1 * MIB, 0);
    assert_non_null(block);
    assert_true(npi_block_free(space, block));
    npi_space_destroy(space);
}

/* Threads that reserve until they are refused get all of the budget, whoever gets how much, and the
   refusals are true: an odd byte is left over for nobody. */
enum { HANDS = 6, TRIES = 40000 };

struct counter {
    struct npi_space *space;
    npi_a64 got, refused_with_room;
    pthread_barrier_t start, end;
};

static void *reserve_all(void *arg)
{
    struct counter *counter = arg;
    uint64_t got = 0;
    pthread_barrier_wait(&counter->start);
    for (uint64_t size = 4096; size > 0; size /= 2) {
        while (npi_space_reserve(counter->space, size))
            got += size;
    }
    npi_a64_add_relaxed(&counter->got, got);
    pthread_barrier_wait(&counter->end);
    pthread_barrier_wait(&counter->start);
    npi_space_unreserve(counter->space, got);
    pthread_barrier_wait(&counter->end);
    /* Each holds at most a sixth: nobody may ever be refused, whatever oversized requests others
       make meanwhile. An add that is undone later would refuse some. */
    uint64_t share = npi_space_budget(counter->space) / HANDS;
    for (unsigned i = 0; i < TRIES; i++) {
        if (!npi_space_reserve(counter->space, share)) {
            npi_a64_add_relaxed(&counter->refused_with_room, 1);
            continue;
        }
        if (npi_space_reserve(counter->space, npi_space_budget(counter->space)))
            npi_a64_add_relaxed(&counter->refused_with_room, 1);
        npi_space_unreserve(counter->space, share);
    }
    return NULL;
}

static void the_budget_is_exact_among_threads(void **state)
{
    (void)state;
    const uint64_t budget = 3 * MIB + 12345;
    struct counter counter;
    memset(&counter, 0, sizeof(counter));
    counter.space = test_space(1, budget, NPI_PAGES_SMALL);
    pthread_barrier_init(&counter.start, NULL, HANDS + 1);
    pthread_barrier_init(&counter.end, NULL, HANDS + 1);
    pthread_t threads[HANDS];
    for (unsigned i = 0; i < HANDS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reserve_all, &counter), 0);
    pthread_barrier_wait(&counter.start);
    pthread_barrier_wait(&counter.end);
    assert_int_equal(npi_a64_load_relaxed(&counter.got), budget);
    assert_int_equal(npi_space_in_use(counter.space), budget);
    pthread_barrier_wait(&counter.start);
    pthread_barrier_wait(&counter.end);
    for (unsigned i = 0; i < HANDS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(npi_a64_load_relaxed(&counter.refused_with_room), 0);
    assert_int_equal(npi_space_in_use(counter.space), 0);
    pthread_barrier_destroy(&counter.start);
    pthread_barrier_destroy(&counter.end);
    npi_space_destroy(counter.space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_has_its_node),
        cmocka_unit_test(slices_are_guarded),
        cmocka_unit_test(the_plan_says_which_pages),
        cmocka_unit_test(a_refused_binding_is_counted_and_lived_with),
        cmocka_unit_test(bound_memory_is_on_its_node),
        cmocka_unit_test(short_address_space_is_lived_with),
        cmocka_unit_test(the_budget_cannot_be_wrapped),
        cmocka_unit_test(an_enormous_budget_is_accepted),
        cmocka_unit_test(the_budget_is_exact_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
