/*
 * What threads keep of the blocks they freed, so that the next allocation of such a size takes no latch
 * and charges nobody. A layer between the callers of numapool_alloc and numapool_free and block.c.
 *
 *     thread ─ mine ─▶ cache of a space: per class an array of blocks, last in first out
 *                         │ empty: half an array at once from one heap, charged at once
 *                         │ full: half of it at once back to the heaps
 *                         ▼
 *                      block.c
 *
 * A cache belongs to one thread and one node: what it holds is at that node, whoever freed it. Blocks in
 * it stay charged to the budget, since taking them back from another thread would need what is saved
 * here. That is bounded: a space has as many caches as 1/64 of its budget can fill, so one with a
 * budget below 4 MiB has none. A thread that is refused gives its own back and asks again. Workers
 * give back what they keep before they park.
 *
 * Caches change hands under one lock of the process: a thread takes a free one at its first need, and
 * it becomes free when the thread or the space ends. So all but kept_bytes is the owner's alone.
 *
 *   word          written by   read by    why this order
 *   kept_bytes    the owner    anybody    release and acquire: carry the edge @cache-emptied
 *   node          under lock   anybody    relaxed: statistics; the owner's copy is in `mine`
 *   caches_used   under lock   anybody    release: carries the edge below
 *
 * @cache-emptied  give_back, release  ->  npi_caches_kept, acquire    what is kept no more is charged no more, so
 *                                         a pool at rest shows nothing in use while its workers go to sleep
 * @cache-laid  take_free_cache, release  ->  npi_caches_kept, acquire    the words that are read are laid out
 */
#include "memory/cache.h"

#include "memory/block.h"
#include "memory/span.h"
#include "os/os.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CACHE_BYTES ((uint64_t)64 << 10) /* kept by one thread */
#define CACHES_MAX 256
#define BUDGET_PART 64
#define CLASS_BYTES ((uint32_t)32 << 10) /* of one class, */
#define CLASS_BLOCKS 64                  /* but no more blocks than this */
#define BLOCKS_MAX 1400                  /* of all classes: checked when they are laid out */

/* Where there is no room, blocks above this go back themselves and make none: for one of them hundreds
   of small ones would have to go. */
#define ROOM_BYTES_MAX ((uint32_t)4 << 10)

/* A thread without a cache asks for one at its first call and then at every so many. */
#define ATTACH_TURNS 64

struct npi_cache {
    NPI_APART bool owned; /* under the lock */
    npi_a32 node;
    npi_a64 kept_bytes;
    uint16_t count[NPI_BLOCK_CLASSES];
    void *blocks[BLOCKS_MAX];
};

static __thread struct {
    uint64_t space_id; /* 0 = no cache */
    struct npi_space *space;
    struct npi_cache *cache;
    unsigned node;
    unsigned turns;  /* calls until it asks for a cache, or for one of another space */
    unsigned spread; /* its number, 0 = not dealt */
    pid_t process;
} mine __attribute__((tls_model("initial-exec")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct npi_space *living; /* spaces with caches */
static uint64_t ids;
static pthread_key_t key; /* tells of a thread's end */
static bool key_made;

/* ------------------------------------------------------------------------ giving back */

/* The first `count` blocks of a class: those that were used longest ago. */
static void give_back(struct npi_space *space, struct npi_cache *cache, uint32_t class,
                      unsigned count)
{
    const struct npi_class *what = &space->classes[class];
    void **blocks = &cache->blocks[what->cache_first];
    for (unsigned i = 0; i < count; i++)
        NPI_UNPOISON(blocks[i], sizeof(struct npi_freed));
    npi_block_give(space->slices[npi_a32_load_relaxed(&cache->node)], blocks, count);
    cache->count[class] = (uint16_t)(cache->count[class] - count);
    memmove(blocks, blocks + count, cache->count[class] * sizeof(*blocks));
    uint64_t bytes = (uint64_t)count * what->bytes;
    uint64_t left = npi_a64_load_relaxed(&cache->kept_bytes) - bytes;
    NPI_MUTANT(charged_beyond_kept, (void)0, npi_a64_store_release(&cache->kept_bytes, left));
    npi_space_unreserve(space, bytes);
    npi_a64_store_release(&cache->kept_bytes, left); /* @cache-emptied */
}

static void give_all_back(struct npi_space *space, struct npi_cache *cache)
{
    for (uint32_t class = 0; class < NPI_BLOCK_CLASSES; class ++) {
        if (cache->count[class] != 0)
            give_back(space, cache, class, cache->count[class]);
    }
}

void npi_cache_flush(const struct npi_space *space)
{
    if (mine.space_id == space->id && mine.space_id != 0 &&
        npi_a64_load_relaxed(&mine.cache->kept_bytes) != 0)
        give_all_back(mine.space, mine.cache);
}

/* ---------------------------------------------------------------------- changing hands */

/* Under the lock: the caller's cache becomes free, if its space lives. */
static void detach(void)
{
    for (struct npi_space *space = living; space != NULL; space = space->next_living) {
        if (space->id == mine.space_id) {
            give_all_back(space, mine.cache);
            mine.cache->owned = false;
        }
    }
    mine.space_id = 0;
    mine.cache = NULL;
}

/* A thread ends. In a child of fork() the lock may be held for ever, and its memory is left to exit. */
static void at_thread_end(void *unused)
{
    (void)unused;
    if (mine.space_id == 0 || mine.process != getpid())
        return;
    (void)pthread_mutex_lock(&lock);
    detach();
    (void)pthread_mutex_unlock(&lock);
}

/* The library may be unloaded before the threads that used it end. */
__attribute__((destructor)) static void forget_threads(void)
{
    if (key_made)
        (void)pthread_key_delete(key);
}

/* Under the lock. */
static struct npi_cache *take_free_cache(struct npi_space *space, unsigned node)
{
    uint32_t used = npi_a32_load_relaxed(&space->caches_used);
    struct npi_cache *cache = NULL;
    for (uint32_t i = 0; i < used && cache == NULL; i++)
        cache = space->caches[i].owned ? NULL : &space->caches[i];
    if (cache == NULL && used < space->cache_count) {
        cache = &space->caches[used];
        memset(cache->count, 0, sizeof(cache->count));
        npi_a64_init(&cache->kept_bytes, 0);
        npi_a32_init(&cache->node, node);
        npi_a32_store_release(&space->caches_used, used + 1); /* @cache-laid */
    }
    if (cache != NULL) {
        cache->owned = true;
        npi_a32_store_relaxed(&cache->node, node);
    }
    return cache;
}

/* The calling thread gets a cache of this space, if there is one for it and nobody is in the way. */
static NPI_APART_FROM_PATH bool attach(struct npi_space *space, unsigned node)
{
    if (mine.turns != 0) {
        mine.turns--;
        return false;
    }
    mine.turns = ATTACH_TURNS;
    if (space->cache_count == 0 || node >= space->node_count || pthread_mutex_trylock(&lock) != 0)
        return false;
    pid_t process = getpid();
    if (mine.process == process)
        detach();
    /* Also what a child of fork() has from its parent, whose locks may be held. */
    mine.space_id = 0;
    mine.cache = NULL;
    struct npi_cache *cache = take_free_cache(space, node);
    if (cache != NULL && pthread_setspecific(key, cache) != 0) {
        cache->owned = false; /* nobody would tell of the thread's end */
        cache = NULL;
    }
    if (cache != NULL) {
        mine.space_id = space->id;
        mine.space = space;
        mine.cache = cache;
        mine.node = node;
        mine.process = process;
    }
    (void)pthread_mutex_unlock(&lock);
    return cache != NULL;
}

/* ------------------------------------------------------------------------- the calls */

static inline struct npi_cache *cache_of_caller(const struct npi_space *space, unsigned node)
{
    /* A space without caches has the id of a thread without one, whose cache is NULL. */
    return NPI_LIKELY(mine.space_id == space->id && mine.node == node) ? mine.cache : NULL;
}

/* Threads that allocate at the same time should use different heaps. */
static unsigned spread_of_caller(void)
{
    static npi_a32 next;
    if (mine.spread == 0)
        mine.spread = npi_a32_add_relaxed(&next, 1) + 1;
    return mine.spread;
}

/* An empty array is filled by half, at least by the block that is asked for. */
static void *refill(struct npi_space *space, struct npi_cache *cache, uint32_t class)
{
    const struct npi_class *what = &space->classes[class];
    unsigned wanted = what->cache_max / 2 + 1u;
    if (npi_a64_load_relaxed(&cache->kept_bytes) + (uint64_t)wanted * what->bytes > CACHE_BYTES ||
        !npi_space_reserve(space, (uint64_t)wanted * what->bytes))
        return NULL;
    void *blocks[CLASS_BLOCKS / 2 + 1];
    unsigned taken =
        npi_block_take(space->slices[mine.node], class, spread_of_caller(), blocks, wanted);
    if (taken < wanted)
        npi_space_unreserve(space, (uint64_t)(wanted - taken) * what->bytes);
    if (taken == 0)
        return NULL;
    /* The first goes to the caller, the second is next. */
    for (unsigned i = 1; i < taken; i++) {
        (void)npi_span_mark_freed(space->slices[mine.node], blocks[i], what);
        NPI_POISON(blocks[i], what->bytes);
        cache->blocks[what->cache_first + taken - 1 - i] = blocks[i];
    }
    cache->count[class] = (uint16_t)(taken - 1);
    npi_a64_store_relaxed(&cache->kept_bytes, npi_a64_load_relaxed(&cache->kept_bytes) +
                                                  (uint64_t)(taken - 1) * what->bytes);
    return blocks[0];
}

static NPI_APART_FROM_PATH void *alloc_at_length(struct npi_space *space, unsigned node,
                                                 size_t bytes)
{
    void *block = NULL;
    if (bytes - 1 < NPI_BLOCK_BYTES_MAX &&
        (cache_of_caller(space, node) != NULL || attach(space, node)))
        block = refill(space, mine.cache, npi_class_of(bytes));
    if (block == NULL)
        block = npi_block_alloc(space, node, bytes, spread_of_caller());
    if (block == NULL && space->id != 0 && mine.space_id == space->id &&
        npi_a64_load_relaxed(&mine.cache->kept_bytes) != 0) {
        give_all_back(space, mine.cache);
        block = npi_block_alloc(space, node, bytes, spread_of_caller());
    }
    return block;
}

void *npi_cache_alloc(struct npi_space *space, unsigned node, size_t bytes)
{
    struct npi_cache *cache = cache_of_caller(space, node);
    if (NPI_LIKELY(cache != NULL && bytes - 1 < NPI_BLOCK_BYTES_MAX)) {
        uint32_t class = npi_class_of(bytes);
        unsigned count = cache->count[class];
        if (NPI_LIKELY(count != 0)) {
            const struct npi_class *what = &space->classes[class];
            void *block = cache->blocks[what->cache_first + count - 1];
            cache->count[class] = (uint16_t)(count - 1);
            npi_a64_store_relaxed(&cache->kept_bytes,
                                  npi_a64_load_relaxed(&cache->kept_bytes) - what->bytes);
            npi_span_open(block, what);
            ((struct npi_freed *)block)->key = 0;
            return block;
        }
    }
    return alloc_at_length(space, node, bytes);
}

/* A thread that only frees wants a cache as well: it gives back many at once. */
static NPI_APART_FROM_PATH struct npi_cache *attach_to_free(struct npi_space *space,
                                                            const void *block)
{
    int node = npi_space_node_of(space, block);
    return node >= 0 && attach(space, (unsigned)node) ? mine.cache : NULL;
}

static inline bool keep(struct npi_cache *cache, const struct npi_class *what, uint32_t class,
                        void *block)
{
    NPI_POISON(block, what->bytes);
    cache->blocks[what->cache_first + cache->count[class]++] = block;
    npi_a64_store_relaxed(&cache->kept_bytes,
                          npi_a64_load_relaxed(&cache->kept_bytes) + what->bytes);
    return true;
}

/* A block that is not kept, marked as freed. */
static bool give_one(struct npi_space *space, uint32_t class, void *block)
{
    npi_block_give(space->slices[mine.node], &block, 1);
    npi_space_unreserve(space, space->classes[class].bytes);
    return true;
}

static NPI_APART_FROM_PATH bool make_room_and_keep(struct npi_space *space, struct npi_cache *cache,
                                                   uint32_t class, void *block)
{
    const struct npi_class *what = &space->classes[class];
    if (cache->count[class] == what->cache_max)
        give_back(space, cache, class, (what->cache_max + 1u) / 2);
    if (npi_a64_load_relaxed(&cache->kept_bytes) + what->bytes > CACHE_BYTES) {
        if (what->bytes > ROOM_BYTES_MAX)
            return give_one(space, class, block);
        give_all_back(space, cache);
    }
    return keep(cache, what, class, block);
}

bool npi_cache_free(struct npi_space *space, void *block)
{
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)space->base);
    unsigned node = (unsigned)(offset >> space->slice_shift);
    struct npi_cache *cache = offset < space->bytes ? cache_of_caller(space, node) : NULL;
    if (NPI_UNLIKELY(cache == NULL)) {
        cache = attach_to_free(space, block);
        if (cache == NULL)
            return npi_block_free(space, block);
    }
    struct npi_slice *slice = space->slices[node];
    struct npi_span span;
    if (NPI_UNLIKELY(!npi_span_find(slice, block, &span)))
        return npi_block_free(space, block);
    const struct npi_class *what = &space->classes[span.class];
    if (NPI_UNLIKELY(!npi_span_mark_freed(slice, block, what)))
        return false;
    if (NPI_UNLIKELY(cache->count[span.class] == what->cache_max ||
                     npi_a64_load_relaxed(&cache->kept_bytes) + what->bytes > CACHE_BYTES))
        return make_room_and_keep(space, cache, span.class, block);
    return keep(cache, what, span.class, block);
}

/* ------------------------------------------------------------------------ a space's own */

static void lay_out(struct npi_class *classes)
{
    unsigned first = 0;
    for (uint32_t i = 0; i < NPI_BLOCK_CLASSES; i++) {
        uint32_t most = CLASS_BYTES / classes[i].bytes;
        classes[i].cache_max = (uint16_t)(most < CLASS_BLOCKS ? most : CLASS_BLOCKS);
        classes[i].cache_first = (uint16_t)first;
        first += classes[i].cache_max;
    }
    NPI_DEBUG_CHECK(first <= BLOCKS_MAX);
}

void npi_caches_init(struct npi_space *space)
{
    lay_out(space->classes);
    uint64_t count = space->budget_bytes / BUDGET_PART / CACHE_BYTES;
    count = count < CACHES_MAX ? count : CACHES_MAX;
    if (count == 0)
        return;
    /* Laid out one by one when they are taken: what nobody needs takes no memory. */
    struct npi_cache *caches = aligned_alloc(NPI_APART_BYTES, count * sizeof(*caches));
    if (caches == NULL)
        return;
    /* In a child of fork() it may be held for ever. */
    for (int turn = 0; pthread_mutex_trylock(&lock) != 0; turn++) {
        if (turn == 1000) {
            free(caches);
            return;
        }
        npi_thread_yield();
    }
    if (!key_made)
        key_made = pthread_key_create(&key, at_thread_end) == 0;
    if (key_made) {
        space->id = ++ids;
        space->caches = caches;
        space->cache_count = (uint32_t)count;
        space->next_living = living;
        living = space;
    }
    (void)pthread_mutex_unlock(&lock);
    if (space->id == 0)
        free(caches);
}

void npi_caches_fini(struct npi_space *space)
{
    if (space->id == 0)
        return;
    (void)pthread_mutex_lock(&lock);
    struct npi_space **link = &living;
    while (*link != space)
        link = &(*link)->next_living;
    *link = space->next_living;
    (void)pthread_mutex_unlock(&lock);
    free(space->caches);
}

uint64_t npi_caches_kept(const struct npi_space *space, unsigned node)
{
    uint64_t kept = 0;
    uint32_t used = npi_a32_load_acquire(&space->caches_used); /* @cache-laid */
    for (uint32_t i = 0; i < used; i++) {
        if (npi_a32_load_relaxed(&space->caches[i].node) == node)
            kept += npi_a64_load_acquire(&space->caches[i].kept_bytes); /* @cache-emptied */
    }
    return kept;
}
