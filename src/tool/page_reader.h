/*
 * Reads the stats pages of pools in other processes: finds them, maps them, takes consistent copies. The
 * page is numapool/stats_page.h; nothing is ever written to it, and the process does not notice.
 *
 *     struct page_process process;
 *     if (page_process_open(&process, pid) == PAGE_OK) {
 *         struct page_sample sample = {0};
 *         while (page_process_alive(&process) &&
 *                page_sample_take(&sample, &process.pages[0]) == PAGE_OK) ...
 *         page_sample_fini(&sample);
 *         page_process_close(&process);
 *     }
 *
 * Not thread-safe; a process or a sample has one user.
 */
#ifndef NPI_TOOL_PAGE_READER_H
#define NPI_TOOL_PAGE_READER_H

#include <numapool/stats_page.h>

#include <stdbool.h>
#include <sys/types.h>

enum page_result {
    PAGE_OK,
    PAGE_NO_PROCESS, /* or it has ended */
    PAGE_DENIED,     /* of another user, or privileged */
    PAGE_NONE,       /* no pool, or none with a page */
    PAGE_NEWER,      /* of a version that this program does not know */
    PAGE_BAD,        /* it contradicts itself */
    PAGE_HELD,       /* its process stands still in the middle of writing it */
    PAGE_NO_MEMORY,
};

/* One pool's page, mapped. */
struct page {
    const char *start;
    size_t bytes;
    uint64_t inode;
    struct numapool_page_header header; /* but for its phase, which changes */
};

struct page_process {
    pid_t pid;
    char command[64]; /* its name, as ps shows it */
    uint64_t started; /* tells it from a later process of the same number */
    struct page *pages;
    size_t count;
};

/* Finds a process's pools, in the order they were made. Anything but PAGE_OK leaves nothing to close,
   and the version of a page that is too new in *version (may be NULL). */
enum page_result page_process_open(struct page_process *process, pid_t pid, uint32_t *version);

/* Looks for pools that were made since. Those there are keep their place in `pages`, which may move; what is
   found comes behind them. */
enum page_result page_process_look_again(struct page_process *process);

/* Lets go of one; those behind it move up. */
void page_process_forget(struct page_process *process, size_t i);

bool page_process_alive(const struct page_process *process);
void page_process_close(struct page_process *process);

/* Whether a pool takes tasks. That of a process that was killed stays as it was. */
enum numapool_page_phase page_phase(const struct page *page);

/* All numbers of a pool, each shard's at one moment. Begin with zeros; it may be taken again and again. */
struct page_sample {
    uint64_t taken_ns; /* CLOCK_MONOTONIC */
    enum numapool_page_phase phase;
    size_t shard_count;
    struct numapool_page_shard *shards;
    struct numapool_page_times *times;
};

/* Leaves the sample alone unless it returns PAGE_OK. */
enum page_result page_sample_take(struct page_sample *sample, const struct page *page);
void page_sample_fini(struct page_sample *sample);

/* When a shard's numbers were true: until now, if it sleeps. */
uint64_t page_shard_time_ns(const struct page_sample *sample, size_t shard);

/* A process that shows a page, for lists. */
struct page_found {
    pid_t pid;
    char command[64];
    char pools[64]; /* names, separated by blanks; "..." when they are more */
};

/* All processes that may be looked at, by number. *found is the caller's to free. */
enum page_result page_find_all(struct page_found **found, size_t *count);

#endif
