/*
 * What commands that look at a running process have in common: which one it is, and in what words it
 * is said that it cannot be looked at.
 */
#ifndef NPI_TOOL_WATCH_H
#define NPI_TOOL_WATCH_H

#include "tool/page_reader.h"

#include <argp.h>
#include <time.h>

/* The clock of the pages. */
static inline uint64_t watch_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/*
 * The process of a number, or with NULL the only one that shows a pool. Otherwise complains, with a
 * list when there are several. Returns enum tool_exit.
 */
int watch_open(struct page_process *process, const char *pid);

/* Processes that show pools on standard error, as a table. */
void watch_list(const struct page_found *found, size_t count);

/* Why a process or its page cannot be looked at; `version` only for PAGE_NEWER. */
void watch_complain(enum page_result result, long pid, uint32_t version);

/* The value of an option: seconds from 0.01 to a day. `option` is its name in the complaint. */
void watch_parse_seconds(const char *option, const char *text, double *seconds,
                         struct argp_state *state);

/* The one process of an argument. */
void watch_parse_pid(char **pid, char *text, struct argp_state *state);

/* Waits until the next multiple of `seconds` after *next_ns, and moves it; the first time it is 0. */
void watch_pause(uint64_t *next_ns, double seconds);

#endif
