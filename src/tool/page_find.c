/* Which processes have pages, and a process's pages: what /proc tells. */
#include "tool/page_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_PREFIX "/memfd:" NUMAPOOL_PAGE_PREFIX

/* The first line of a file below /proc/PID that begins with a word; the rest of it, without the newline. */
static bool read_line(pid_t pid, const char *name, const char *word, char *line, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool found = false;
    while (!found && fgets(line, (int)size, file) != NULL) {
        found = strncmp(line, word, strlen(word)) == 0;
    }
    (void)fclose(file);
    if (found) {
        line[strcspn(line, "\n")] = '\0';
        memmove(line, line + strlen(word), strlen(line + strlen(word)) + 1);
    }
    return found;
}

/* When a process began, one more than the kernel's number; 0 = there is none, or it has ended and is not reaped. */
static uint64_t started(pid_t pid)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    const char *at = strrchr(text, ')'); /* the name before it may hold anything, newlines too */
    char state = 0;
    if (at == NULL || sscanf(at + 1, " %c", &state) != 1 || state == 'Z' || state == 'X') {
        return 0;
    }
    at += 1;
    for (int field = 3; at != NULL && field < 22; field++) { /* starttime is the 22nd */
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? strtoull(at, NULL, 10) + 1 : 0;
}

/* The number a process knows itself by: the last in the list of its namespaces. */
static uint64_t own_number(pid_t pid)
{
    char line[256];
    if (!read_line(pid, "status", "NSpid:", line, sizeof line)) {
        return (uint64_t)pid;
    }
    const char *last = strrchr(line, '\t');
    return strtoull(last != NULL ? last : line, NULL, 10);
}

static void name_of(pid_t pid, char *name, size_t size)
{
    if (!read_line(pid, "comm", "", name, size)) {
        (void)snprintf(name, size, "?");
    }
    for (char *at = name; *at != '\0'; at++) { /* it goes to terminals */
        if ((unsigned char)*at < ' ' || (unsigned char)*at == 0x7f) {
            *at = '?';
        }
    }
}

static bool has(const struct page_process *process, uint64_t inode)
{
    for (size_t i = 0; i < process->count; i++) {
        if (process->pages[i].inode == inode) {
            return true;
        }
    }
    return false;
}

/* Takes over the page, or unmaps it. */
static enum page_result add(struct page_process *process, struct page *page)
{
    if (page->header.pid != own_number(process->pid)) {
        page_unmap(page); /* inherited, the parent's */
        return PAGE_NONE;
    }
    struct page *pages = realloc(process->pages, (process->count + 1) * sizeof *pages);
    if (pages == NULL) {
        page_unmap(page);
        return PAGE_NO_MEMORY;
    }
    process->pages = pages;
    process->pages[process->count++] = *page;
    return PAGE_OK;
}

static int by_pool(const void *a, const void *b)
{
    uint64_t left = ((const struct page *)a)->header.pool_id;
    uint64_t right = ((const struct page *)b)->header.pool_id;
    return (left > right) - (left < right);
}

/* Only what one search has found: a pool is numbered when it begins to be made and shown when it is made, so that
   one found later may have the lower number, and whoever holds the places of those before is not to lose them. */
static void sort_from(struct page_process *process, size_t first)
{
    if (process->count > first) {
        qsort(process->pages + first, process->count - first, sizeof *process->pages, by_pool);
    }
}

/* Calls `each` for every descriptor that is a page, until it does not return PAGE_OK. */
static enum page_result
for_each(pid_t pid, enum page_result (*each)(void *context, int directory, const char *name),
         void *context)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return errno == EACCES || errno == EPERM ? PAGE_DENIED
               : errno == ENOENT                 ? PAGE_NO_PROCESS
                                                 : PAGE_NO_MEMORY;
    }
    enum page_result result = PAGE_OK;
    bool denied = false;
    struct dirent *entry;
    while (result == PAGE_OK && (entry = readdir(directory)) != NULL) {
        char link[128];
        if (entry->d_name[0] == '.') {
            continue;
        }
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, link, sizeof link - 1);
        if (length < 0) {
            denied |= errno == EACCES || errno == EPERM;
            continue;
        }
        link[length] = '\0';
        if (strncmp(link, LINK_PREFIX, sizeof LINK_PREFIX - 1) == 0) {
            result = each(context, dirfd(directory), entry->d_name);
        }
    }
    (void)closedir(directory);
    return result == PAGE_OK && denied ? PAGE_DENIED : result;
}

struct search {
    struct page_process *process;
    enum page_result worst; /* of pages that could not be used */
    uint32_t version;
};

static enum page_result take(void *context, int directory, const char *name)
{
    struct search *search = context;
    struct page page;
    /* A name proves nothing: a pipe that nobody writes to is not waited for, a terminal does not become ours. */
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return PAGE_OK; /* closed meanwhile */
    }
    enum page_result result = page_map(&page, fd, &search->version);
    (void)close(fd);
    if (result == PAGE_OK && has(search->process, page.inode)) {
        page_unmap(&page);
        return PAGE_OK;
    }
    if (result == PAGE_OK) {
        result = add(search->process, &page);
    }
    if (result != PAGE_OK && result != PAGE_NONE) {
        search->worst = result;
    }
    return result == PAGE_NO_MEMORY ? result : PAGE_OK;
}

enum page_result page_process_look_again(struct page_process *process)
{
    struct search search = {process, PAGE_OK, 0};
    if (started(process->pid) != process->started) {
        return PAGE_NO_PROCESS;
    }
    size_t before = process->count;
    enum page_result result = for_each(process->pid, take, &search);
    sort_from(process, before);
    return result;
}

enum page_result page_process_open(struct page_process *process, pid_t pid, uint32_t *version)
{
    struct search search = {process, PAGE_NONE, 0};
    memset(process, 0, sizeof *process);
    process->pid = pid;
    process->started = pid > 0 ? started(pid) : 0;
    if (process->started == 0) {
        return PAGE_NO_PROCESS;
    }
    name_of(pid, process->command, sizeof process->command);
    enum page_result result = for_each(pid, take, &search);
    sort_from(process, 0);
    if (result == PAGE_OK && process->count == 0) {
        result = search.worst;
    }
    if (result != PAGE_OK) {
        page_process_close(process);
        if (version != NULL) {
            *version = search.version;
        }
    }
    return result;
}

void page_process_forget(struct page_process *process, size_t i)
{
    page_unmap(&process->pages[i]);
    process->count--;
    memmove(&process->pages[i], &process->pages[i + 1],
            (process->count - i) * sizeof *process->pages);
}

bool page_process_alive(const struct page_process *process)
{
    return started(process->pid) == process->started;
}

void page_process_close(struct page_process *process)
{
    for (size_t i = 0; i < process->count; i++) {
        page_unmap(&process->pages[i]);
    }
    free(process->pages);
    process->pages = NULL;
    process->count = 0;
}

/* ---------------------------------------------------------------------------- everybody */

static int by_number(const void *a, const void *b)
{
    const struct page_found *left = a, *right = b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

static void describe(struct page_found *found, const struct page_process *process)
{
    size_t length = 0;
    found->pid = process->pid;
    memcpy(found->command, process->command, sizeof found->command);
    found->pools[0] = '\0';
    for (size_t i = 0; i < process->count; i++) {
        const char *name = process->pages[i].header.pool_name;
        bool fits = length + strlen(name) + sizeof " ..." < sizeof found->pools;
        length += (size_t)snprintf(found->pools + length, sizeof found->pools - length, "%s%s",
                                   i != 0 ? " " : "", fits ? name : "...");
        if (!fits) {
            break;
        }
    }
}

enum page_result page_find_all(struct page_found **found, size_t *count)
{
    DIR *directory = opendir("/proc");
    struct page_found *list = NULL;
    size_t length = 0;
    enum page_result result = directory != NULL ? PAGE_OK : PAGE_DENIED;
    struct dirent *entry;
    while (result == PAGE_OK && (entry = readdir(directory)) != NULL) {
        struct page_process process = {.pid = 0};
        char *end = NULL;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid <= 0 || *end != '\0' || page_process_open(&process, (pid_t)pid, NULL) != PAGE_OK) {
            continue;
        }
        struct page_found *longer = realloc(list, (length + 1) * sizeof *list);
        if (longer != NULL) {
            list = longer;
            describe(&list[length++], &process);
        } else {
            result = PAGE_NO_MEMORY;
        }
        page_process_close(&process);
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    if (result != PAGE_OK) {
        free(list);
        return result;
    }
    if (length != 0) {
        qsort(list, length, sizeof *list, by_number);
    }
    *found = list;
    *count = length;
    return PAGE_OK;
}
