/* Memory that can be freed: handed out from one piece, which is forgotten between executions, so that a
   pointer to what was freed leads to nothing else. */
#include "model/internal.h"

#include <string.h>

#define RETIRED 16
#define ARENA_BYTES 8192

unsigned freed_count;
static struct {
    const char *begin, *end;
} retired[RETIRED];
static _Alignas(64) char arena[ARENA_BYTES];
static size_t arena_used;

void freed_begin(void)
{
    freed_count = 0;
    arena_used = 0;
}

void freed_check(const void *word)
{
    for (unsigned i = 0; i < freed_count; i++) {
        if ((const char *)word >= retired[i].begin && (const char *)word < retired[i].end) {
            model_fail("%s uses freed memory", run.threads[run.current].name);
        }
    }
}

void *model_calloc(size_t count, size_t bytes)
{
    size_t size = (count * bytes + 63) & ~(size_t)63;
    if (size > ARENA_BYTES - arena_used) {
        return NULL;
    }
    void *memory = arena + arena_used;
    arena_used += size;
    memset(memory, 0, size);
    return memory;
}

void model_retire(const void *memory, size_t bytes)
{
    if (freed_count < RETIRED) {
        retired[freed_count].begin = memory;
        retired[freed_count].end = (const char *)memory + bytes;
        freed_count++;
    }
}

void model_free(void *memory)
{
    if (memory != NULL) {
        freed_check(memory);
        model_retire(memory, 64);
    }
}
