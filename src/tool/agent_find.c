/* Where an agent finds its process; see agent_find.h. */
#include "tool/agent_find.h"

#include "tool/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kernel keeps so many characters of a name. */
#define COMMAND_LENGTH 15u

pid_t agent_parse_pid(const char *text)
{
    char *end = NULL;
    errno = 0;
    long number = strtol(text, &end, 10);
    end += strspn(end, " \n");
    return end == text || *end != '\0' || errno != 0 || number <= 0 || number > INT_MAX
               ? 0
               : (pid_t)number;
}

static bool is_same(const struct page_process *a, const struct page_process *b)
{
    return b != NULL && a->pid == b->pid && a->started == b->started;
}

static enum agent_found find_pid(pid_t pid, const struct page_process *current,
                                 struct page_process *found, char reason[AGENT_REASON_BYTES],
                                 enum page_result *result)
{
    *result = page_process_open(found, pid, NULL);
    if (*result == PAGE_OK && is_same(found, current)) {
        page_process_close(found);
        return AGENT_FOUND_NONE;
    }
    (void)snprintf(reason, AGENT_REASON_BYTES,
                   *result == PAGE_NO_PROCESS ? "there is no process %d"
                   : *result == PAGE_DENIED   ? "process %d may not be looked at"
                   : *result == PAGE_NONE     ? "process %d shows no pool"
                                              : "the stats page of process %d cannot be used",
                   (int)pid);
    return *result == PAGE_OK ? AGENT_FOUND_ONE : AGENT_FOUND_NONE;
}

static enum agent_found find_in_file(const char *name, const struct page_process *current,
                                     struct page_process *found, char reason[AGENT_REASON_BYTES],
                                     enum page_result *result)
{
    char line[32] = "";
    FILE *file = fopen(name, "re");
    if (file == NULL) {
        (void)snprintf(reason, AGENT_REASON_BYTES, "%s: %s", name, strerror(errno));
        return AGENT_FOUND_NONE;
    }
    bool read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    pid_t pid = read ? agent_parse_pid(line) : 0;
    if (pid == 0) {
        (void)snprintf(reason, AGENT_REASON_BYTES, "%s holds no number of a process", name);
        return AGENT_FOUND_NONE;
    }
    return find_pid(pid, current, found, reason, result);
}

/* ----------------------------------------------------------------------------------- lists */

static bool is_called(const char *command, const char *name)
{
    return name[0] == '\0' || strncmp(command, name, COMMAND_LENGTH) == 0;
}

static const char *wanted(const struct agent_target *target, const char *command)
{
    return target->command != NULL ? target->command : command;
}

/* Leaves those of a name in the list. */
static enum page_result find_called(const char *name, struct page_found **list, size_t *count)
{
    size_t all = 0, kept = 0;
    enum page_result result = page_find_all(list, &all);
    for (size_t i = 0; result == PAGE_OK && i < all; i++) {
        if (is_called((*list)[i].command, name)) {
            (*list)[kept++] = (*list)[i];
        }
    }
    *count = kept;
    return result;
}

static bool takes_tasks(const struct page_process *process, const char *pool)
{
    bool open = false;
    for (size_t i = 0; i < process->count; i++) {
        const struct page *page = &process->pages[i];
        if (pool != NULL && strcmp(pool, page->header.pool_name) != 0) {
            continue;
        }
        enum numapool_page_phase phase = page_phase(page);
        if (phase == NUMAPOOL_PAGE_DRAINING) {
            return false;
        }
        open |= phase == NUMAPOOL_PAGE_OPEN;
    }
    return open;
}

static bool has_pool(const struct page_process *process, const char *pool)
{
    for (size_t i = 0; i < process->count; i++) {
        if (pool == NULL || strcmp(pool, process->pages[i].header.pool_name) == 0) {
            return true;
        }
    }
    return false;
}

/* What has come out so far: the processes that take tasks, or else those that do not. */
struct choice {
    struct page_process process;
    size_t count;
    bool takes;
};

/* Takes the process over, or closes it. */
static void consider(struct choice *choice, struct page_process *process, bool takes)
{
    bool better = choice->count == 0 || (takes && !choice->takes);
    if (!better) {
        choice->count += takes == choice->takes;
        page_process_close(process);
        return;
    }
    if (choice->count != 0) {
        page_process_close(&choice->process);
    }
    *choice = (struct choice){*process, 1, takes};
}

static enum agent_found find_in_list(const struct agent_target *target, const char *name,
                                     const struct page_process *current, struct page_process *found,
                                     char reason[AGENT_REASON_BYTES])
{
    struct page_found *list = NULL;
    size_t count = 0;
    struct choice choice = {.count = 0};
    if (find_called(name, &list, &count) != PAGE_OK) {
        (void)snprintf(reason, AGENT_REASON_BYTES,
                       "the processes of this machine cannot be listed");
        return AGENT_FOUND_NONE;
    }
    for (size_t i = 0; i < count; i++) {
        struct page_process process;
        if (page_process_open(&process, list[i].pid, NULL) != PAGE_OK) {
            continue;
        }
        bool takes = takes_tasks(&process, target->pool);
        /* Who has a process already only leaves it for one that is better. */
        if (!is_same(&process, current) && has_pool(&process, target->pool) &&
            (takes || current == NULL)) {
            consider(&choice, &process, takes);
        } else {
            page_process_close(&process);
        }
    }
    free(list);
    if (choice.count == 1) {
        *found = choice.process;
        return AGENT_FOUND_ONE;
    }
    bool several = choice.count != 0;
    if (several) {
        page_process_close(&choice.process);
    }
    (void)snprintf(reason, AGENT_REASON_BYTES, "%s%s%.15s %s%s%.7s",
                   several ? "several processes" : "no process", name[0] != '\0' ? " called " : "",
                   name, several ? "show a pool" : "shows a pool", target->pool != NULL ? " " : "",
                   target->pool != NULL ? target->pool : "");
    return several ? AGENT_FOUND_SEVERAL : AGENT_FOUND_NONE;
}

enum agent_found agent_find(const struct agent_target *target, const char *command,
                            const struct page_process *current, struct page_process *found,
                            char reason[AGENT_REASON_BYTES], enum page_result *result)
{
    *result = PAGE_OK;
    if (target->pid != NULL) {
        return find_pid(agent_parse_pid(target->pid), current, found, reason, result);
    }
    if (target->pid_file != NULL) {
        return find_in_file(target->pid_file, current, found, reason, result);
    }
    return find_in_list(target, wanted(target, command), current, found, reason);
}

void agent_find_list(const struct agent_target *target, const char *command)
{
    struct page_found *list = NULL;
    size_t count = 0;
    if (find_called(wanted(target, command), &list, &count) == PAGE_OK) {
        watch_list(list, count);
        free(list);
    }
}
