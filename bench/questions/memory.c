/*
 * Small blocks of memory: allocated, first word written, freed. One iteration is BATCH blocks of so many
 * bytes. remote:0, by the thread that allocated them; remote:1, by another thread that gets them
 * through a ring. Every allocator is asked in this process, the foreign ones loaded beside the C library's.
 */
#include "questions/questions.h"
#include "suite/measure.h"

#include <numapool/numapool.h>

#include <dlfcn.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BATCH 64
#define SLOTS 1024

static struct numapool *pool;

struct allocator {
    const char *name, *library, *alloc_name, *free_name;
    void *(*alloc)(size_t bytes);
    void (*free)(void *block);
};

static void *pool_alloc(size_t bytes)
{
    return numapool_alloc(pool, -1, bytes);
}

static void pool_free(void *block)
{
    numapool_free(pool, block);
}

static struct allocator allocators[] = {
    {"malloc", NULL, NULL, NULL, malloc, free},
    {"numapool", NULL, NULL, NULL, pool_alloc, pool_free},
    {"jemalloc", "libjemalloc.so.2", "malloc", "free", NULL, NULL},
    {"mimalloc", "libmimalloc.so.2", "mi_malloc", "mi_free", NULL, NULL},
};
#define ALLOCATORS (sizeof allocators / sizeof allocators[0])

static const char *name_of(size_t index)
{
    return index < ALLOCATORS ? allocators[index].name : NULL;
}

/* Private to us: the rest of the process keeps the C library's. */
static bool load(struct allocator *allocator, struct bench_run *run)
{
    if (allocator->alloc != NULL) {
        return true;
    }
    void *library = dlopen(allocator->library, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == NULL) {
        bench_not_measured(run, "%s", dlerror());
        return false;
    }
    *(void **)&allocator->alloc = dlsym(library, allocator->alloc_name);
    *(void **)&allocator->free = dlsym(library, allocator->free_name);
    if (allocator->alloc == NULL || allocator->free == NULL) {
        allocator->alloc = NULL;
        bench_not_measured(run, "%s has no %s", allocator->library, allocator->alloc_name);
        return false;
    }
    return true;
}

struct asked {
    const struct allocator *allocator;
    uint64_t blocks;
    size_t bytes;
    atomic_bool failed;
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) _Atomic uint64_t tail;
    void *slots[SLOTS];
};

static void local(void *arg, unsigned index)
{
    struct asked *asked = arg;
    void *blocks[BATCH];
    (void)index;
    for (uint64_t done = 0; done < asked->blocks; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            blocks[i] = asked->allocator->alloc(asked->bytes);
            if (blocks[i] == NULL) {
                atomic_store(&asked->failed, true);
                return;
            }
            *(volatile char *)blocks[i] = 1;
        }
        for (unsigned i = 0; i < BATCH; i++) {
            asked->allocator->free(blocks[i]);
        }
    }
}

static void allocate(struct asked *asked)
{
    for (uint64_t i = 0; i < asked->blocks; i++) {
        for (unsigned turn = 1; i - atomic_load(&asked->head) == SLOTS; turn++) {
            relax();
            if (turn % 256 == 0) {
                sched_yield();
            }
        }
        void *block = asked->allocator->alloc(asked->bytes);
        if (block == NULL) {
            atomic_store(&asked->failed, true);
        } else {
            *(volatile char *)block = 1;
        }
        asked->slots[i % SLOTS] = block;
        atomic_store_explicit(&asked->tail, i + 1, memory_order_release);
    }
}

static void release(struct asked *asked)
{
    for (uint64_t i = 0; i < asked->blocks; i++) {
        for (unsigned turn = 1; atomic_load_explicit(&asked->tail, memory_order_acquire) == i;
             turn++) {
            relax();
            if (turn % 256 == 0) {
                sched_yield();
            }
        }
        asked->allocator->free(asked->slots[i % SLOTS]);
        atomic_store_explicit(&asked->head, i + 1, memory_order_release);
    }
}

static void remote(void *arg, unsigned index)
{
    if (index == 0) {
        allocate(arg);
    } else {
        release(arg);
    }
}

static void run(struct bench_run *run)
{
    struct numapool_error error = {0};
    static struct asked asked;
    asked = (struct asked){.allocator = &allocators[run->contender],
                           .blocks = (uint64_t)run->iterations * BATCH,
                           .bytes = (size_t)run->values[0]};
    if (!load(&allocators[run->contender], run)) {
        return;
    }
    if (pool == NULL && numapool_create(&pool, NULL, &error) != NUMAPOOL_OK) {
        bench_not_measured(run, "no pool: %s", error.text);
        return;
    }
    bool is_remote = run->values[1] != 0;
    uint64_t begin = crew_run(is_remote ? 2 : 1, is_remote ? remote : local, &asked, NULL);
    run->seconds = ticks_ns(ticks_now() - begin) / 1e9;
    if (atomic_load(&asked.failed)) {
        bench_not_measured(run, "no memory was given");
    }
    bench_figure(run, "block_ns", run->seconds * 1e9 / (double)asked.blocks);
}

static void leave(void)
{
    (void)numapool_destroy(pool);
    pool = NULL;
}

static const int64_t variants[][BENCH_KEYS_MAX] = {{64, 0},    {512, 0}, {4096, 0},
                                                   {32768, 0}, {64, 1},  {4096, 1}};

const struct bench_question question_memory = {
    .name = "memory",
    .asks = "a block allocated, touched and freed, by the same thread or by another",
    .contender = name_of,
    .contender_key = "allocator",
    .keys = {"bytes", "remote"},
    .variants = variants,
    .variant_count = sizeof variants / sizeof variants[0],
    .run = run,
    .compared = {"block_ns"},
    .leave = leave,
};
