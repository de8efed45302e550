/* A page once it is found: mapping it, judging it, copying from it. */
#include "tool/page_reader.h"

#include "base/snapshot.h"
#include "tool/page_find.h"
#include "tool/watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The writer is done after less than a microsecond, unless it was stopped there: by the scheduler for
   some milliseconds, by a signal for good. */
#define TRIES_AT_ONCE 16
#define TRIES 2000
#define TRY_AGAIN_NS 100000L

#define SHARDS_MOST 65536u /* the library makes 1024 */

static const npi_a64 *word_at(const struct page *page, size_t offset)
{
    return (const npi_a64 *)(const void *)(page->start + offset);
}

static const npi_a32 *half_at(const struct page *page, size_t offset)
{
    return (const npi_a32 *)(const void *)(page->start + offset);
}

/* Copies `theirs` bytes of a block at most, the rest of `ours` stays zero. Both begin with the sequence. */
static bool copy_block(const struct page *page, size_t offset, size_t theirs, void *copy,
                       size_t ours)
{
    size_t bytes = theirs < ours ? theirs : ours;
    const npi_a64 *sequence = word_at(page, offset);
    uint64_t *words = copy;
    memset(copy, 0, ours);
    for (int i = 0; i < TRIES; i++) {
        if (npi_snapshot_read(sequence, sequence + 1, words + 1, bytes / sizeof *words - 1)) {
            words[0] = npi_a64_load_relaxed(sequence);
            return true;
        }
        if (i >= TRIES_AT_ONCE) {
            struct timespec pause = {0, TRY_AGAIN_NS};
            (void)nanosleep(&pause, NULL);
        }
    }
    return false;
}

/* An array of blocks within the page, each a whole number of words and no shorter than version 1 has it. */
static bool lies_within(const struct numapool_page_header *header, uint64_t offset, uint64_t stride,
                        uint64_t bytes, uint64_t least)
{
    uint64_t most = header->page_bytes;
    return offset % sizeof(uint64_t) == 0 && stride % sizeof(uint64_t) == 0 &&
           bytes % sizeof(uint64_t) == 0 && bytes >= least && bytes <= stride && stride <= most &&
           offset >= header->header_bytes && offset <= most &&
           header->shard_count <= (most - offset) / stride;
}

/* As the setting has it. The page is another user's for root, and its name goes to terminals. */
static bool is_name(const char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] == '\0') {
            return true;
        }
        if (name[i] <= 0x20 || name[i] >= 0x7f) {
            return false;
        }
    }
    return false;
}

/* What version 1 began with; what came later is zero where it is not. */
#define HEADER_BYTES_LEAST 256u
#define SHARD_BYTES_LEAST (offsetof(struct numapool_page_shard, tasks_stuck) + sizeof(uint64_t))
#define TIMES_BYTES_LEAST                                                                          \
    (offsetof(struct numapool_page_times, run) + sizeof(struct numapool_page_histogram))

static enum page_result judge(struct page *page, uint32_t *version)
{
    struct numapool_page_header *header = &page->header;
    if (page->bytes < HEADER_BYTES_LEAST) {
        return PAGE_NONE; /* not there yet */
    }
    uint64_t magic = npi_a64_load_relaxed(word_at(page, 0));
    size_t second = offsetof(struct numapool_page_header, version);
    header->version = npi_a32_load_relaxed(half_at(page, second));
    header->header_bytes = npi_a32_load_relaxed(half_at(page, second + sizeof(uint32_t)));
    if (magic == 0 || header->version == 0) {
        return PAGE_NONE;
    }
    if (magic != NUMAPOOL_PAGE_MAGIC) {
        return PAGE_BAD;
    }
    if (header->version != NUMAPOOL_PAGE_VERSION) {
        *version = header->version;
        return PAGE_NEWER;
    }
    uint32_t header_bytes = header->header_bytes;
    if (header_bytes < HEADER_BYTES_LEAST || header_bytes > page->bytes ||
        header_bytes % sizeof(uint64_t) != 0) {
        return PAGE_BAD;
    }
    size_t sequence = offsetof(struct numapool_page_header, sequence);
    if (!copy_block(page, sequence, header_bytes - sequence, &header->sequence,
                    sizeof *header - sequence)) {
        return PAGE_HELD;
    }
    if (header->sequence == 0) {
        return PAGE_NONE;
    }
    bool sound = header->page_bytes <= page->bytes && header->shard_count != 0 &&
                 header->shard_count <= SHARDS_MOST &&
                 is_name(header->pool_name, sizeof header->pool_name) &&
                 header->library[sizeof header->library - 1] == '\0' &&
                 lies_within(header, header->shard_offset, header->shard_stride,
                             header->shard_bytes, SHARD_BYTES_LEAST) &&
                 lies_within(header, header->times_offset, header->times_stride,
                             header->times_bytes, TIMES_BYTES_LEAST);
    return sound ? PAGE_OK : PAGE_BAD;
}

enum page_result page_map(struct page *page, int fd, uint32_t *version)
{
    struct stat status;
    /* Unless its size is sealed, whoever made it can have us sent SIGBUS. */
    int seals = fcntl(fd, F_GET_SEALS);
    if (fstat(fd, &status) != 0 || seals < 0 || status.st_size < 0) {
        return PAGE_BAD;
    }
    if ((seals & F_SEAL_SHRINK) == 0) {
        return PAGE_NONE; /* just being made */
    }
    memset(page, 0, sizeof *page);
    page->bytes = (size_t)status.st_size;
    page->inode = status.st_ino;
    if (page->bytes == 0) {
        return PAGE_NONE;
    }
    void *start = mmap(NULL, page->bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) {
        return PAGE_NO_MEMORY;
    }
    page->start = start;
    enum page_result result = judge(page, version);
    if (result != PAGE_OK) {
        page_unmap(page);
    }
    return result;
}

void page_unmap(struct page *page)
{
    (void)munmap((void *)(uintptr_t)page->start, page->bytes);
    page->start = NULL;
}

enum numapool_page_phase page_phase(const struct page *page)
{
    uint64_t phase =
        npi_a64_load_relaxed(word_at(page, offsetof(struct numapool_page_header, phase)));
    return phase <= NUMAPOOL_PAGE_CLOSED ? (enum numapool_page_phase)phase : NUMAPOOL_PAGE_CLOSED;
}

enum page_result page_sample_take(struct page_sample *sample, const struct page *page)
{
    const struct numapool_page_header *header = &page->header;
    size_t count = header->shard_count;
    struct page_sample taken = {.shard_count = count,
                                .shards = calloc(count, sizeof *taken.shards),
                                .times = calloc(count, sizeof *taken.times)};
    enum page_result result =
        taken.shards != NULL && taken.times != NULL ? PAGE_OK : PAGE_NO_MEMORY;
    for (size_t i = 0; result == PAGE_OK && i < count; i++) {
        if (!copy_block(page, header->shard_offset + i * header->shard_stride, header->shard_bytes,
                        &taken.shards[i], sizeof taken.shards[i]) ||
            !copy_block(page, header->times_offset + i * header->times_stride, header->times_bytes,
                        &taken.times[i], sizeof taken.times[i])) {
            result = PAGE_HELD;
        }
    }
    if (result != PAGE_OK) {
        page_sample_fini(&taken);
        return result;
    }
    taken.phase = page_phase(page);
    taken.taken_ns = watch_now_ns();
    page_sample_fini(sample);
    *sample = taken;
    return PAGE_OK;
}

void page_sample_fini(struct page_sample *sample)
{
    free(sample->shards);
    free(sample->times);
    memset(sample, 0, sizeof *sample);
}

uint64_t page_shard_time_ns(const struct page_sample *sample, size_t shard)
{
    const struct numapool_page_shard *block = &sample->shards[shard];
    return block->state == NUMAPOOL_PAGE_ASLEEP && sample->phase != NUMAPOOL_PAGE_CLOSED
               ? sample->taken_ns
               : block->published_ns;
}
