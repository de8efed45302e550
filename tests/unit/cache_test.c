/*
 * What threads keep of freed blocks: it is counted as free, it comes back when its thread sleeps or ends
 * or is refused, and nobody is given a block twice.
 */
#include "unit/memory_support.h"

#include "base/prng.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_MAX (64 * KIB)

/* A thread asks for a cache at its first call, and it may have come in vain. */
static void get_a_cache(struct npi_space *space, unsigned node)
{
    for (int i = 0; i < 200; i++)
        assert_true(npi_cache_free(space, npi_cache_alloc(space, node, 16)));
}

static uint64_t charged(const struct npi_space *space)
{
    return npi_a64_load_relaxed((npi_a64 *)&space->in_use_bytes);
}

static void what_is_kept_is_not_in_use(void **state)
{
    (void)state;
    struct npi_space *space = test_space(2, 64 * MIB, NPI_PAGES_SMALL);
    get_a_cache(space, 1);
    assert_int_equal(npi_space_in_use(space), 0);
    assert_int_equal(npi_space_in_use_of(space, 1), 0);
    assert_in_range(charged(space), 16, KEPT_MAX);
    char *block = npi_cache_alloc(space, 1, 100);
    assert_int_equal(npi_space_in_use(space), 112);
    assert_int_equal(npi_space_in_use_of(space, 1), 112);
    assert_int_equal(npi_space_in_use_of(space, 0), 0);
    assert_int_equal(npi_space_node_of(space, block), 1);
    assert_true(npi_cache_free(space, block));
    assert_int_equal(npi_space_in_use(space), 0);
    npi_cache_flush(space);
    assert_int_equal(charged(space), 0);
    npi_space_trim(space);
    assert_int_equal(test_chunks_in_use(space, 1), 0);
    npi_space_destroy(space);
}

static bool at_rest; /* nothing is in use, and nothing may show as if it were */

void __real_npi_space_unreserve(struct npi_space *space, uint64_t bytes);
void __wrap_npi_space_unreserve(struct npi_space *space, uint64_t bytes);

void __wrap_npi_space_unreserve(struct npi_space *space, uint64_t bytes)
{
    if (at_rest)
        assert_int_equal(npi_space_in_use(space), 0);
    __real_npi_space_unreserve(space, bytes);
    if (at_rest)
        assert_int_equal(npi_space_in_use(space), 0);
}

static void nor_while_it_is_given_back(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    get_a_cache(space, 0);
    assert_true(charged(space) > 0);
    at_rest = true;
    npi_cache_flush(space);
    at_rest = false;
    assert_int_equal(charged(space), 0);
    npi_space_destroy(space);
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    get_a_cache(space, 0);
    void *blocks[2000];
    for (size_t bytes = 16; bytes <= 32 * KIB; bytes *= 2) {
        size_t count = MIB / bytes < 2000 ? MIB / bytes : 2000;
        for (size_t i = 0; i < count; i++)
            assert_non_null(blocks[i] = npi_cache_alloc(space, 0, bytes));
        assert_int_equal(npi_space_in_use(space), count * bytes);
        for (size_t i = 0; i < count; i++)
            assert_true(npi_cache_free(space, blocks[i]));
        assert_int_equal(npi_space_in_use(space), 0);
        assert_true(charged(space) <= KEPT_MAX);
    }
    npi_space_destroy(space);
}

static void large_blocks_push_nothing_out(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    get_a_cache(space, 0);
    char *large = npi_cache_alloc(space, 0, 32 * KIB);
    assert_true(npi_cache_free(space, large));
    assert_true(charged(space) >= 32 * KIB); /* kept while there is room */
    assert_ptr_equal(npi_cache_alloc(space, 0, 32 * KIB), large);
    void *small[72];
    for (size_t i = 0; i < 72; i++)
        small[i] = npi_cache_alloc(space, 0, i < 64 ? 512 : 1024);
    for (size_t i = 0; i < 72; i++)
        assert_true(npi_cache_free(space, small[i]));
    uint64_t before = charged(space);
    assert_true(before - 32 * KIB > KEPT_MAX - 32 * KIB); /* a large one has no room beside */
    assert_true(npi_cache_free(space, large));
    assert_int_equal(charged(space), before - 32 * KIB);
    npi_space_destroy(space);
}

static void a_freed_block_is_freed_once(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    get_a_cache(space, 0);
    char *block = npi_cache_alloc(space, 0, 1000);
    char outside[16];
    assert_false(npi_cache_free(space, block + 16));
    assert_false(npi_cache_free(space, outside));
    assert_true(npi_cache_free(space, block));
    assert_false(npi_cache_free(space, block));
    assert_false(npi_block_free(space, block));               /* as another thread would */
    assert_ptr_equal(npi_cache_alloc(space, 0, 1000), block); /* the last is the first */
    assert_true(npi_block_free(space, block));
    assert_false(npi_cache_free(space, block));
    char *large = npi_cache_alloc(space, 0, 40 * KIB);
    assert_true(npi_cache_free(space, large));
    assert_false(npi_cache_free(space, large));
    assert_int_equal(npi_space_in_use(space), 0);
    npi_space_destroy(space);
}

static void small_budgets_are_exact(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 2 * MIB, NPI_PAGES_SMALL);
    assert_int_equal(space->cache_count, 0);
    get_a_cache(space, 0);
    assert_int_equal(charged(space), 0);
    npi_space_destroy(space);
}

static void who_is_refused_gives_back_first(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 8 * MIB, NPI_PAGES_SMALL);
    get_a_cache(space, 0);
    for (size_t i = 0; i < 64; i++)
        assert_true(npi_cache_free(space, npi_cache_alloc(space, 0, 16 + 16 * i)));
    assert_true(charged(space) > 0);
    void *all = npi_cache_alloc(space, 0, 8 * MIB);
    assert_non_null(all);
    assert_int_equal(charged(space), 8 * MIB);
    assert_null(npi_cache_alloc(space, 0, 16));
    assert_true(npi_cache_free(space, all));
    npi_space_destroy(space);
}

static struct {
    struct npi_space *space;
    npi_a32 turn; /* odd: the thread gives back what it keeps */
} sleeper;

#define SLEEPS 20000

static void *fall_asleep(void *unused)
{
    get_a_cache(sleeper.space, 0);
    for (uint32_t turn = 0; turn < 2 * SLEEPS; turn += 2) {
        (void)npi_cache_free(sleeper.space, npi_cache_alloc(sleeper.space, 0, 16));
        npi_a32_store_release(&sleeper.turn, turn + 1);
        npi_cache_flush(sleeper.space);
        while (npi_a32_load_acquire(&sleeper.turn) != turn + 2)
            sched_yield();
    }
    return unused;
}

/* The same, seen by another thread at any moment. */
static void nor_seen_from_outside(void **state)
{
    (void)state;
    pthread_t thread;
    sleeper.space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    npi_a32_init(&sleeper.turn, 0);
    assert_int_equal(pthread_create(&thread, NULL, fall_asleep, NULL), 0);
    for (uint32_t turn = 0; turn < 2 * SLEEPS; turn += 2) {
        while (npi_a32_load_acquire(&sleeper.turn) != turn + 1)
            sched_yield();
        for (unsigned look = 0; look < 20; look++)
            assert_int_equal(npi_space_in_use(sleeper.space), 0);
        npi_a32_store_release(&sleeper.turn, turn + 2);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(charged(sleeper.space), 0);
    npi_space_destroy(sleeper.space);
}

static void *use_and_end(void *arg)
{
    struct npi_space *space = arg;
    get_a_cache(space, 0);
    assert_true(charged(space) > 0);
    return NULL;
}

/* More threads than caches, one after the other. */
static void a_thread_that_ends_leaves_nothing(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 16 * MIB, NPI_PAGES_SMALL);
    assert_int_equal(space->cache_count, 4);
    for (int i = 0; i < 12; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, use_and_end, space), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(charged(space), 0);
    }
    assert_int_equal(npi_a32_load_relaxed(&space->caches_used), 1); /* handed on */
    npi_space_destroy(space);
}

/* A destructor of somebody else's that runs after the cache was given back. */
static void allocate_late(void *arg)
{
    struct npi_space **spaces = arg;
    for (int i = 0; i < 2; i++)
        assert_true(npi_cache_free(spaces[i], npi_cache_alloc(spaces[i], 0, 16)));
}

static pthread_key_t late_key;

static void *end_with_destructors(void *arg)
{
    struct npi_space **spaces = arg;
    get_a_cache(spaces[0], 0);
    assert_int_equal(pthread_setspecific(late_key, arg), 0);
    return NULL;
}

static void destructors_may_allocate(void **state)
{
    (void)state;
    struct npi_space *spaces[2] = {test_space(1, 16 * MIB, NPI_PAGES_SMALL),
                                   test_space(1, 2 * MIB, NPI_PAGES_SMALL)};
    assert_int_equal(pthread_key_create(&late_key, allocate_late), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_with_destructors, spaces), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_key_delete(late_key), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(charged(spaces[i]), 0);
        npi_space_destroy(spaces[i]);
    }
}

static void a_space_may_end_before_its_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct npi_space *one = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
        struct npi_space *other = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
        get_a_cache(one, 0);
        get_a_cache(other, 0); /* one has its cache back */
        assert_int_equal(charged(one), 0);
        assert_true(charged(other) > 0);
        npi_space_destroy(other);
        get_a_cache(one, 0);
        assert_true(charged(one) > 0);
        npi_space_destroy(one);
    }
}

static void a_child_of_fork_keeps_off(void **state)
{
    (void)state;
    struct npi_space *space = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
    get_a_cache(space, 0);
    uint64_t before = charged(space);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct npi_space *own = test_space(1, 64 * MIB, NPI_PAGES_SMALL);
        get_a_cache(own, 0);
        bool kept_off = charged(space) == before && charged(own) > 0;
        npi_space_destroy(own);
        _exit(kept_off ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    npi_space_destroy(space);
}

/* --- threads that allocate, and others that free */

#define PASSERS 4
#define PARCELS 60000

struct passing {
    struct npi_space *space;
    pthread_mutex_t lock;
    uint64_t *parcels[64];
    unsigned count;
    uint64_t received, damaged, refused;
};

static void receive(struct passing *passing, uint64_t *parcel)
{
    size_t words = npi_block_size(passing->space, parcel) / 8;
    bool sound = parcel[0] == (uint64_t)(uintptr_t)parcel && parcel[words - 1] == parcel[0];
    if (!npi_cache_free(passing->space, parcel))
        __atomic_add_fetch(&passing->refused, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(sound ? &passing->received : &passing->damaged, 1, __ATOMIC_RELAXED);
}

static void *pass_on(void *arg)
{
    struct passing *passing = arg;
    struct npi_prng prng;
    npi_prng_seed(&prng, (uint64_t)(uintptr_t)&prng);
    for (unsigned i = 0; i < PARCELS; i++) {
        size_t bytes = 16 + npi_prng_below(&prng, i % 16 == 0 ? 20000 : 600);
        uint64_t *parcel = npi_cache_alloc(passing->space, npi_prng_below(&prng, 2), bytes);
        if (parcel != NULL) {
            parcel[0] = (uint64_t)(uintptr_t)parcel;
            parcel[npi_block_size(passing->space, parcel) / 8 - 1] = parcel[0];
        }
        (void)pthread_mutex_lock(&passing->lock);
        unsigned slot = npi_prng_below(&prng, 64);
        uint64_t *other = passing->parcels[slot];
        passing->parcels[slot] = parcel;
        (void)pthread_mutex_unlock(&passing->lock);
        if (other != NULL)
            receive(passing, other);
        if (i % 5000 == 0)
            npi_cache_flush(passing->space);
    }
    return NULL;
}

static void blocks_cross_threads(void **state)
{
    (void)state;
    static struct passing passing;
    passing.space = test_space(2, 64 * MIB, NPI_PAGES_SMALL);
    (void)pthread_mutex_init(&passing.lock, NULL);
    pthread_t threads[PASSERS];
    for (unsigned i = 0; i < PASSERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pass_on, &passing), 0);
    for (unsigned i = 0; i < PASSERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < 64; i++) {
        if (passing.parcels[i] != NULL)
            receive(&passing, passing.parcels[i]);
    }
    npi_cache_flush(passing.space);
    assert_int_equal(passing.received, PASSERS * PARCELS);
    assert_int_equal(passing.damaged, 0);
    assert_int_equal(passing.refused, 0);
    assert_int_equal(charged(passing.space), 0);
    assert_int_equal(npi_space_in_use_of(passing.space, 0), 0);
    assert_int_equal(npi_space_in_use_of(passing.space, 1), 0);
    npi_space_trim(passing.space);
    assert_int_equal(test_chunks_in_use(passing.space, 0), 0);
    assert_int_equal(test_chunks_in_use(passing.space, 1), 0);
    npi_space_destroy(passing.space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_not_in_use),
        cmocka_unit_test(nor_while_it_is_given_back),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(large_blocks_push_nothing_out),
        cmocka_unit_test(a_freed_block_is_freed_once),
        cmocka_unit_test(small_budgets_are_exact),
        cmocka_unit_test(who_is_refused_gives_back_first),
        cmocka_unit_test(nor_seen_from_outside),
        cmocka_unit_test(a_thread_that_ends_leaves_nothing),
        cmocka_unit_test(destructors_may_allocate),
        cmocka_unit_test(a_space_may_end_before_its_threads),
        cmocka_unit_test(a_child_of_fork_keeps_off),
        cmocka_unit_test(blocks_cross_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
