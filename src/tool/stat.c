/* numapool stat: the pools of a running process, once or again and again. */
#include "tool/tool.h"

#include "tool/stat_print.h"
#include "tool/watch.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

/* The names of the columns come again after so many rows. */
#define ROWS_PER_SCREEN 20

#define AGAIN_NS UINT64_C(1000000000)

struct arguments {
    char *pid;
    double interval_s; /* 0 = once */
    unsigned long count;
    bool json, prometheus;
};

static const struct argp_option options[] = {
    {"interval", 'i', "SECONDS", 0, "Again after so long; from the second time on rates", 0},
    {"count", 'n', "N", 0, "So many times in all", 0},
    {"json", 'j', NULL, 0, "A line of JSON for each pool and time", 0},
    {"prom", 'p', NULL, 0, "Prometheus text, once", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    char *end = NULL;
    switch (key) {
    case 'i':
        watch_parse_seconds("--interval", text, &a->interval_s, state);
        return 0;
    case 'n':
        a->count = strtoul(text, &end, 10);
        if (end == text || *end != '\0' || text[0] == '-' || a->count == 0) {
            argp_error(state, "--count is a whole number from 1, not '%s'", text);
        }
        return 0;
    case 'j':
        a->json = true;
        return 0;
    case 'p':
        a->prometheus = true;
        return 0;
    case ARGP_KEY_ARG:
        watch_parse_pid(&a->pid, text, state);
        return 0;
    case ARGP_KEY_END:
        if (a->prometheus && (a->json || a->interval_s > 0.0 || a->count != 0)) {
            argp_error(state, "--prom is printed once and goes with no other option");
        }
        if (a->count > 1 && a->interval_s <= 0.0) {
            a->interval_s = 1.0;
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct run {
    const struct arguments *arguments;
    struct page_process process;
    struct stat_pool *pools;
    size_t count;
    uint64_t again_ns; /* next look for pools that are new */
    uint64_t headed;   /* the page whose heading stands above the last rows */
    unsigned rows;     /* since the names of the columns were printed */
    bool per_second;   /* what those names said */
};

/* Its pages may have moved and become more. */
static bool follow_pages(struct run *run)
{
    size_t count = run->process.count;
    if (count == 0) {
        return true;
    }
    struct stat_pool *pools = realloc(run->pools, count * sizeof *pools);
    if (pools == NULL) {
        return false;
    }
    memset(pools + run->count, 0, (count - run->count) * sizeof *pools);
    run->pools = pools;
    run->count = count;
    for (size_t i = 0; i < count; i++) {
        pools[i].process = &run->process;
        pools[i].page = &run->process.pages[i];
    }
    return true;
}

static bool all_told(const struct run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        if (!run->pools[i].closed_told) {
            return false;
        }
    }
    return true;
}

static void forget(struct run *run, size_t i)
{
    page_process_forget(&run->process, i);
    if (i < run->count) {
        pool_view_fini(&run->pools[i].view);
        page_sample_fini(&run->pools[i].sample);
        run->count--;
        memmove(&run->pools[i], &run->pools[i + 1], (run->count - i) * sizeof *run->pools);
    }
}

/* Pools made since come in. Those that were printed as closed go, as a process may make and close them for as
   long as it is looked at; they are found again until they are destroyed, and are no news then. */
static void look_again(struct run *run)
{
    uint64_t now = watch_now_ns();
    if (now >= run->again_ns || all_told(run)) {
        run->again_ns = now + AGAIN_NS;
        (void)page_process_look_again(&run->process); /* that it has ended is seen elsewhere */
    }
    for (size_t i = run->process.count; i-- > 0;) {
        if (i < run->count ? run->pools[i].closed_told
                           : page_phase(&run->process.pages[i]) == NUMAPOOL_PAGE_CLOSED) {
            forget(run, i);
        }
    }
}

static void print_table(struct run *run, struct stat_pool *pool)
{
    bool per_second = pool->view.total.seconds > 0.0;
    if (!pool->told || run->count > 1 || run->headed != pool->page->inode) {
        stat_print_heading(stdout, pool);
        run->headed = pool->page->inode;
        run->rows += !pool->told ? ROWS_PER_SCREEN : 0;
        pool->told = true;
    }
    if (run->rows >= ROWS_PER_SCREEN || per_second != run->per_second) {
        stat_print_columns(stdout, per_second);
        run->rows = 0;
        run->per_second = per_second;
    }
    stat_print_rows(stdout, pool, per_second);
    run->rows += (unsigned)pool->view.count + (pool->view.count > 1);
}

/* Prints all pools there are. PAGE_NONE: all are closed, and were printed so. */
static enum page_result print_once(struct run *run)
{
    bool any = false;
    for (size_t i = 0; i < run->count; i++) {
        struct stat_pool *pool = &run->pools[i];
        if (pool->closed_told) {
            continue;
        }
        enum page_result result = page_sample_take(&pool->sample, pool->page);
        if (result == PAGE_OK && !pool_view_update(&pool->view, pool->page, &pool->sample)) {
            result = PAGE_NO_MEMORY;
        }
        if (result != PAGE_OK) {
            return result;
        }
        any = true;
        pool->closed_told = pool->view.phase == NUMAPOOL_PAGE_CLOSED;
        if (run->arguments->json) {
            stat_print_json(stdout, pool);
        } else if (!run->arguments->prometheus) {
            print_table(run, pool);
        }
        if (pool->closed_told && !run->arguments->json) {
            tool_complain("pool %s is closed", pool->page->header.pool_name);
        }
    }
    if (run->arguments->prometheus && !stat_print_prometheus(stdout, run->pools, run->count)) {
        return PAGE_NO_MEMORY;
    }
    return any ? PAGE_OK : PAGE_NONE;
}

/* The process has ended, or all of its pools: with a number of times asked for, too early. */
static int ended(const struct run *run, const char *what)
{
    tool_complain("process %d (%s) %s", (int)run->process.pid, run->process.command, what);
    return run->arguments->count != 0 ? TOOL_FAILED : TOOL_OK;
}

static int print_all(struct run *run)
{
    const struct arguments *a = run->arguments;
    uint64_t next_ns = 0;
    run->again_ns = watch_now_ns() + AGAIN_NS;
    for (unsigned long i = 1;; i++) {
        if (!follow_pages(run)) {
            tool_complain("out of memory");
            return TOOL_FAILED;
        }
        enum page_result result = print_once(run);
        if (ferror(stdout) || fflush(stdout) != 0) {
            tool_complain("the output cannot be written");
            return TOOL_USAGE;
        }
        if (result == PAGE_HELD && page_process_alive(&run->process)) {
            tool_complain("process %d stands still", (int)run->process.pid);
        } else if (result != PAGE_OK && result != PAGE_NONE && result != PAGE_HELD) {
            watch_complain(result, run->process.pid, 0);
            return TOOL_FAILED;
        }
        if (a->interval_s <= 0.0 || i == a->count) {
            return result == PAGE_OK ? TOOL_OK : TOOL_FAILED;
        }
        watch_pause(&next_ns, a->interval_s);
        if (!page_process_alive(&run->process)) {
            return ended(run, "has ended");
        }
        look_again(run);
        if (result == PAGE_NONE && run->process.count == 0) {
            return ended(run, "has no open pool any more");
        }
    }
}

int tool_stat(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[PID]",
        .doc =
            "Prints the statistics of the pools of a process, by default of the only one of this "
            "user that has any. The process is not asked, and does not notice.\v"
            "QUEUE tasks wait. RUN, PARK and BLOCK are workers that run tasks, sleep, and wait "
            "inside a task; QUOTA is how many may run. DONE counts tasks that have run, FORW "
            "and STOLEN those of other shards that were queued or taken here. W50 and W99 are "
            "the median and the 99th percentile of the time from submit to start: since the "
            "pool was made in the first table, of the interval in those after it. --json has "
            "everything there is, unrounded.\n\n"
            "Exits with 1 if the process has no pool, or ended before --count was reached; with "
            "2 if there is no such process, it may not be looked at, or the output cannot be "
            "written.",
    };
    struct arguments arguments = {.pid = NULL};
    struct run run = {.arguments = &arguments};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return TOOL_USAGE;
    }
    int status = watch_open(&run.process, arguments.pid);
    if (status == TOOL_OK) {
        status = print_all(&run);
        page_process_close(&run.process);
    }
    for (size_t i = 0; i < run.count; i++) {
        pool_view_fini(&run.pools[i].view);
        page_sample_fini(&run.pools[i].sample);
    }
    free(run.pools);
    return status;
}
