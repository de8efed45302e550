/* The process behind an agent; see agent_watch.h. */
#include "tool/agent_watch.h"

#include "tool/agent_find.h"
#include "tool/tool.h"
#include "tool/watch.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AGAIN_NS UINT64_C(1000000000)
#define SEARCH_NS UINT64_C(500000000)
/* A search asks every process of the machine: it may take one part in so many of a CPU. */
#define SEARCH_PARTS 20u

/* So many closed pools are let go of together. */
#define CLOSED_MOST 16u

const char *agent_state_name(enum agent_state state)
{
    static const char *const names[] = {"none", "up", "stalled", "draining", "stopped", "down"};
    return names[state];
}

/* ---------------------------------------------------------------------------------- state */

static void tell(const struct agent_watch *watch)
{
    int pid = (int)watch->last_pid;
    const char *command = watch->command;
    if (!watch->tells) {
        return;
    }
    switch (watch->state) {
    case AGENT_NONE:
        tool_complain("waiting: %s", watch->reason);
        break;
    case AGENT_UP:
        tool_complain("process %d (%s) is up, %u%%", pid, command, agent_watch_percent(watch));
        break;
    case AGENT_STALLED:
        tool_complain("process %d (%s) stands still, or finds no time to run", pid, command);
        break;
    case AGENT_DRAINING:
        tool_complain("process %d (%s) drains", pid, command);
        break;
    case AGENT_STOPPED:
        tool_complain("process %d (%s) has stopped", pid, command);
        break;
    case AGENT_DOWN:
        if (command[0] == '\0') { /* never seen with a pool */
            tool_complain("process %d has ended", pid);
        } else {
            tool_complain("process %d (%s) has ended without draining", pid, command);
        }
        break;
    }
}

static void become(struct agent_watch *watch, enum agent_state state, bool process_changed)
{
    bool changed = state != watch->state || process_changed;
    watch->state = state;
    if (changed) {
        tell(watch);
    }
}

static void drop_pools(struct agent_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        pool_view_fini(&watch->pools[i].view);
        page_sample_fini(&watch->pools[i].sample);
    }
    free(watch->pools);
    watch->pools = NULL;
    watch->count = 0;
}

static void drop(struct agent_watch *watch)
{
    drop_pools(watch);
    if (watch->open) {
        page_process_close(&watch->process);
        if (watch->pidfd >= 0) {
            (void)close(watch->pidfd);
        }
    }
    watch->open = false;
}

static bool is_alive(const struct agent_watch *watch)
{
    struct pollfd end = {.fd = watch->pidfd, .events = POLLIN};
    return watch->pidfd >= 0 ? poll(&end, 1, 0) <= 0 : page_process_alive(&watch->process);
}

/* Takes the process over. */
static void adopt(struct agent_watch *watch, struct page_process *process)
{
    drop(watch);
    watch->process = *process;
    watch->open = true;
    watch->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (watch->pidfd >= 0 &&
        !page_process_alive(process)) { /* maybe it is of one that came after it */
        (void)close(watch->pidfd);
        watch->pidfd = -1;
    }
    watch->looked_ns = 0;
    watch->again_ns = watch_now_ns() + AGAIN_NS;
    watch->several_told = false;
    watch->last_pid = process->pid;
    (void)snprintf(watch->command, sizeof watch->command, "%s", process->command);
}

/* ---------------------------------------------------------------------------------- pools */

static bool counts(const struct agent_watch *watch, const struct page *page)
{
    return watch->target.pool == NULL || strcmp(watch->target.pool, page->header.pool_name) == 0;
}

static bool follow_pages(struct agent_watch *watch)
{
    size_t count = watch->process.count;
    if (count == watch->count) {
        return true;
    }
    struct agent_pool *pools = realloc(watch->pools, count * sizeof *pools);
    if (pools == NULL) {
        return false;
    }
    memset(pools + watch->count, 0, (count - watch->count) * sizeof *pools);
    watch->pools = pools;
    watch->count = count;
    return true;
}

/* Pools that were made since, and those that are gone. */
static void look_again(struct agent_watch *watch, uint64_t now)
{
    if (now < watch->again_ns) {
        return;
    }
    watch->again_ns = now + AGAIN_NS;
    unsigned closed = 0;
    for (size_t i = 0; i < watch->process.count; i++) {
        closed += page_phase(&watch->process.pages[i]) == NUMAPOOL_PAGE_CLOSED;
    }
    struct page_process fresh;
    if (closed >= CLOSED_MOST && page_process_open(&fresh, watch->process.pid, NULL) == PAGE_OK) {
        drop_pools(watch);
        page_process_close(&watch->process);
        watch->process = fresh;
        return;
    }
    (void)page_process_look_again(&watch->process); /* that it has ended is seen elsewhere */
}

/* One pool; false: its figures are old, or cannot be had. */
static bool sample_pool(struct agent_pool *pool, const struct page *page)
{
    if (page_sample_take(&pool->sample, page) != PAGE_OK ||
        !pool_view_update(&pool->view, page, &pool->sample)) {
        return false;
    }
    pool->headroom = headroom_of(&pool->view);
    return !pool->view.total.stale;
}

static void smooth(struct agent_watch *watch, double room, uint64_t now)
{
    if (watch->looked_ns == 0) {
        watch->room = room;
    } else {
        double seconds = (double)(now - watch->looked_ns) / 1e9;
        watch->room += (room - watch->room) * (1.0 - exp(-seconds / watch->smooth_s));
    }
    watch->looked_ns = now;
}

static enum agent_state look_at_pools(struct agent_watch *watch)
{
    uint64_t now = watch_now_ns();
    look_again(watch, now);
    if (!follow_pages(watch)) {
        return AGENT_STALLED;
    }
    bool any = false, open = false, draining = false, fresh = true;
    double room = 1.0;
    for (size_t i = 0; i < watch->count; i++) {
        struct agent_pool *pool = &watch->pools[i];
        const struct page *page = &watch->process.pages[i];
        pool->phase = page_phase(page);
        pool->counts = counts(watch, page);
        any |= pool->counts;
        draining |= pool->counts && pool->phase == NUMAPOOL_PAGE_DRAINING;
        if (!pool->counts || pool->phase != NUMAPOOL_PAGE_OPEN) {
            continue;
        }
        open = true;
        fresh &= sample_pool(pool, page);
        room = pool->headroom.room < room ? pool->headroom.room : room;
    }
    if (!any) {
        (void)snprintf(watch->reason, sizeof watch->reason, "process %d has no pool %s",
                       (int)watch->process.pid, watch->target.pool);
        return AGENT_NONE;
    }
    if (draining || !open) {
        watch->looked_ns = 0;
        return draining ? AGENT_DRAINING : AGENT_STOPPED;
    }
    if (fresh) {
        smooth(watch, room, now);
    }
    return fresh ? AGENT_UP : AGENT_STALLED;
}

/* --------------------------------------------------------------------------------- search */

/* Whether another process than the one there is may take its place. */
static bool may_search(const struct agent_watch *watch)
{
    const struct agent_target *target = &watch->target;
    if (target->pid != NULL) {
        return !watch->open && watch->last_pid == 0; /* later it is another process's number */
    }
    return !watch->open || target->pid_file != NULL ||
           (watch->state != AGENT_UP && watch->state != AGENT_STALLED);
}

/* Returns whether there is another process now. */
static bool search(struct agent_watch *watch, uint64_t now)
{
    if (now < watch->search_ns || !may_search(watch)) {
        return false;
    }
    struct page_process found;
    enum page_result why;
    enum agent_found result =
        agent_find(&watch->target, watch->command, watch->open ? &watch->process : NULL, &found,
                   watch->reason, &why);
    uint64_t took = watch_now_ns() - now;
    watch->search_ns = now + (took * SEARCH_PARTS > SEARCH_NS ? took * SEARCH_PARTS : SEARCH_NS);
    if (result == AGENT_FOUND_ONE) {
        adopt(watch, &found);
        return true;
    }
    pid_t pid = watch->target.pid != NULL ? agent_parse_pid(watch->target.pid) : 0;
    /* It waited for a first pool and has ended. That /proc cannot be read may be for want of descriptors. */
    if (pid != 0 && why == PAGE_NO_PROCESS && kill(pid, 0) != 0 && errno == ESRCH) {
        watch->last_pid = pid;
        become(watch, AGENT_DOWN, false);
    }
    if (result == AGENT_FOUND_SEVERAL && !watch->several_told) {
        tool_complain("%s: none of them is taken", watch->reason);
        watch->several_told = true;
    }
    return false;
}

/* A process that has ended: whether it had stopped taking tasks before. Its last word may have come after our
   last look. */
static bool had_stopped(const struct agent_watch *watch)
{
    bool any = false, open = false;
    bool draining = watch->state == AGENT_DRAINING || watch->state == AGENT_STOPPED;
    for (size_t i = 0; i < watch->process.count; i++) {
        const struct page *page = &watch->process.pages[i];
        enum numapool_page_phase phase = page_phase(page);
        any |= counts(watch, page);
        open |= counts(watch, page) && phase == NUMAPOOL_PAGE_OPEN;
        draining |= counts(watch, page) && phase == NUMAPOOL_PAGE_DRAINING;
    }
    return draining || (any && !open);
}

void agent_watch_look(struct agent_watch *watch)
{
    if (watch->open && !is_alive(watch)) {
        bool stopped = had_stopped(watch);
        drop(watch);
        watch->search_ns = 0;
        become(watch, stopped ? AGENT_STOPPED : AGENT_DOWN, false);
    }
    bool other = search(watch, watch_now_ns());
    if (watch->open) {
        become(watch, look_at_pools(watch), other);
    }
}

void agent_watch_glance(struct agent_watch *watch)
{
    if (!watch->open) {
        return;
    }
    bool changed = !is_alive(watch);
    for (size_t i = 0; !changed && i < watch->count; i++) {
        changed = page_phase(&watch->process.pages[i]) != watch->pools[i].phase;
    }
    if (changed) {
        agent_watch_look(watch);
    }
}

/* ---------------------------------------------------------------------------------- begin */

int agent_watch_begin(struct agent_watch *watch, const struct agent_target *target,
                      double percent_least, double smooth_s, bool tells)
{
    memset(watch, 0, sizeof *watch);
    watch->tells = tells;
    watch->smooth_s = smooth_s;
    watch->target = *target;
    watch->percent_least = percent_least;
    struct page_process found;
    enum page_result why;
    enum agent_found result = agent_find(target, "", NULL, &found, watch->reason, &why);
    if (result == AGENT_FOUND_SEVERAL) {
        tool_complain("%s; name one of them:", watch->reason);
        agent_find_list(target, "");
        return TOOL_USAGE;
    }
    if (result == AGENT_FOUND_ONE) {
        adopt(watch, &found);
        become(watch, look_at_pools(watch), true);
        return TOOL_OK;
    }
    /* A file or a name may come to mean a process later. So may a process make its first pool. */
    if (target->pid != NULL && why != PAGE_NONE) {
        uint32_t version = 0;
        pid_t pid = agent_parse_pid(target->pid);
        why = page_process_open(&found, pid, &version);
        if (why == PAGE_OK) {
            page_process_close(&found);
        }
        watch_complain(why, pid, version);
        return why == PAGE_NO_PROCESS || why == PAGE_DENIED ? TOOL_USAGE : TOOL_FAILED;
    }
    tell(watch);
    return TOOL_OK;
}

void agent_watch_end(struct agent_watch *watch)
{
    drop(watch);
}

/* --------------------------------------------------------------------------------- answer */

/* One that stands still has no room, but whether it serves is for health checks to tell: on a machine that is
   overloaded all of a fleet may look so, and must not be taken out for it. */
unsigned agent_watch_percent(const struct agent_watch *watch)
{
    double percent = watch->state == AGENT_STALLED ? 0.0 : watch->room * 100.0;
    return (unsigned)(percent > watch->percent_least ? percent + 0.5 : watch->percent_least + 0.5);
}

/*
 * Every answer says all there is to say, since HAProxy leaves alone what an answer does not name: "up" takes
 * back a "down", and "ready" a "drain". What follows a # is shown on HAProxy's page; without the blank
 * before it the answer would not be understood.
 */
void agent_watch_answer(const struct agent_watch *watch, char line[AGENT_LINE_BYTES])
{
    switch (watch->state) {
    case AGENT_UP:
    case AGENT_STALLED:
        (void)snprintf(line, AGENT_LINE_BYTES, "up ready %u%%\n", agent_watch_percent(watch));
        break;
    case AGENT_DRAINING:
        (void)snprintf(line, AGENT_LINE_BYTES, "up drain\n");
        break;
    case AGENT_STOPPED:
        (void)snprintf(line, AGENT_LINE_BYTES, "stopped #process %d has drained\n",
                       (int)watch->last_pid);
        break;
    case AGENT_DOWN:
        (void)snprintf(line, AGENT_LINE_BYTES, "down #process %d has ended\n",
                       (int)watch->last_pid);
        break;
    case AGENT_NONE:
        (void)snprintf(line, AGENT_LINE_BYTES, "down #%s\n", watch->reason);
        break;
    }
}
