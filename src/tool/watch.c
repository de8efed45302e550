/* Choosing the process; see watch.h. */
#include "tool/watch.h"

#include "tool/tool.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

void watch_complain(enum page_result result, long pid, uint32_t version)
{
    switch (result) {
    case PAGE_NO_PROCESS:
        tool_complain("there is no process %ld", pid);
        break;
    case PAGE_DENIED:
        tool_complain("process %ld may not be looked at: it is another user's, or privileged; its "
                      "own user may, and root",
                      pid);
        break;
    case PAGE_NONE:
        tool_complain(
            "process %ld shows no pool: it has none, or its setting stats_page is off, or "
            "its library is older than 0.1",
            pid);
        break;
    case PAGE_NEWER:
        tool_complain(
            "the stats page of process %ld has version %u, this program knows %u; use the "
            "numapool command that came with its library",
            pid, version, NUMAPOOL_PAGE_VERSION);
        break;
    case PAGE_BAD:
        tool_complain("the stats page of process %ld contradicts itself", pid);
        break;
    case PAGE_HELD:
        tool_complain("process %ld stands still in the middle of writing its stats page", pid);
        break;
    case PAGE_NO_MEMORY:
        tool_complain("out of memory");
        break;
    case PAGE_OK:
        break;
    }
}

void watch_list(const struct page_found *found, size_t count)
{
    (void)fprintf(stderr, "%8s  %-16s %s\n", "PID", "COMMAND", "POOLS");
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(stderr, "%8d  %-16s %s\n", (int)found[i].pid, found[i].command,
                      found[i].pools);
    }
}

static int open_only(struct page_process *process)
{
    struct page_found *found = NULL;
    size_t count = 0;
    enum page_result result = page_find_all(&found, &count);
    if (result != PAGE_OK) {
        tool_complain(result == PAGE_DENIED ? "/proc cannot be read" : "out of memory");
        return TOOL_FAILED;
    }
    int status = TOOL_FAILED;
    if (count == 0) {
        tool_complain("no process that may be looked at shows a pool");
    } else if (count > 1) {
        status = TOOL_USAGE;
        tool_complain("several processes show pools; name one of them:");
        watch_list(found, count);
    } else {
        uint32_t version = 0;
        result = page_process_open(process, found[0].pid, &version);
        if (result == PAGE_OK) {
            status = TOOL_OK;
        } else {
            watch_complain(result, found[0].pid, version);
        }
    }
    free(found);
    return status;
}

int watch_open(struct page_process *process, const char *pid)
{
    if (pid == NULL) {
        return open_only(process);
    }
    char *end = NULL;
    errno = 0;
    long number = strtol(pid, &end, 10);
    if (end == pid || *end != '\0' || errno != 0 || number <= 0 || number > INT_MAX) {
        tool_complain("'%s' is not the number of a process", pid);
        return TOOL_USAGE;
    }
    uint32_t version = 0;
    enum page_result result = page_process_open(process, (pid_t)number, &version);
    if (result == PAGE_OK) {
        return TOOL_OK;
    }
    watch_complain(result, number, version);
    return result == PAGE_NO_PROCESS || result == PAGE_DENIED ? TOOL_USAGE : TOOL_FAILED;
}

void watch_parse_seconds(const char *option, const char *text, double *seconds,
                         struct argp_state *state)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0.01 && value <= 86400.0)) {
        argp_error(state, "%s is seconds from 0.01 to 86400, not '%s'", option, text);
    }
    *seconds = value;
}

void watch_parse_pid(char **pid, char *text, struct argp_state *state)
{
    if (*pid != NULL) {
        argp_error(state, "one process at a time: '%s' is too many", text);
    }
    *pid = text;
}

void watch_pause(uint64_t *next_ns, double seconds)
{
    uint64_t now_ns = watch_now_ns();
    uint64_t step_ns = (uint64_t)(seconds * 1e9);
    if (*next_ns == 0) {
        *next_ns = now_ns;
    }
    *next_ns += step_ns;
    if (*next_ns < now_ns) { /* whoever reads us was slow: no burst afterwards */
        *next_ns = now_ns + step_ns;
    }
    struct timespec until = {(time_t)(*next_ns / UINT64_C(1000000000)),
                             (long)(*next_ns % UINT64_C(1000000000))};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}
