/*
 * Answers of the kernel about placement; see where.h. Raw system calls, because libnuma reports
 * success in containers that refuse all of it and prints to stderr while it fails.
 */
#include "vm/where.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORD_BITS (8 * sizeof(unsigned long))
#define PAGES_PER_CALL 512 /* keeps the arrays of one move_pages call on the stack */

bool where_set_has(const struct where_set *set, unsigned index)
{
    return index < WHERE_SET_BITS && (set->word[index / WORD_BITS] >> (index % WORD_BITS) & 1) != 0;
}

void where_set_add(struct where_set *set, unsigned index)
{
    if (index < WHERE_SET_BITS) {
        set->word[index / WORD_BITS] |= 1UL << (index % WORD_BITS);
    }
}

bool where_set_equal(const struct where_set *a, const struct where_set *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

unsigned where_set_count(const struct where_set *set)
{
    unsigned count = 0;

    for (size_t i = 0; i < sizeof set->word / sizeof set->word[0]; i++) {
        count += (unsigned)__builtin_popcountl(set->word[i]);
    }
    return count;
}

int where_set_parse(struct where_set *set, const char *text)
{
    memset(set, 0, sizeof *set);
    while (*text != '\0' && *text != '\n') {
        char *end;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;

        if (end == text) {
            return -EINVAL;
        }
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            if (end == text) {
                return -EINVAL;
            }
        }
        if (last < first || last >= WHERE_SET_BITS) {
            return -ERANGE;
        }
        for (unsigned long i = first; i <= last; i++) {
            where_set_add(set, (unsigned)i);
        }
        if (*end == ',') {
            end++;
        } else if (*end != '\0' && *end != '\n') {
            return -EINVAL;
        }
        text = end;
    }
    return 0;
}

int where_read_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        return -errno;
    }
    if (fgets(line, (int)bytes, file) == NULL) {
        line[0] = '\0';
    }
    line[strcspn(line, "\n")] = '\0';
    fclose(file);
    return 0;
}

int where_set_read(struct where_set *set, const char *path)
{
    char line[8192];
    int error = where_read_line(path, line, sizeof line);

    return error != 0 ? error : where_set_parse(set, line);
}

int where_cpu_node(unsigned cpu)
{
    struct where_set online;
    struct where_set cpus;
    int error = where_set_read(&online, WHERE_NODES_ONLINE);

    if (error != 0) {
        return error;
    }
    for (unsigned node = 0; node < WHERE_NODES_MAX; node++) {
        if (where_set_has(&online, node) && where_node_cpus(node, &cpus) == 0 &&
            where_set_has(&cpus, cpu)) {
            return (int)node;
        }
    }
    return -ENOENT;
}

int where_node_cpus(unsigned node, struct where_set *cpus)
{
    char path[80];

    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/cpulist", node);
    return where_set_read(cpus, path);
}

int where_distance(unsigned from, unsigned to)
{
    struct where_set online;
    char path[80];
    char line[8192];
    char *text = line;
    int error = where_set_read(&online, WHERE_NODES_ONLINE);

    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/distance", from);
    if (error == 0) {
        error = where_read_line(path, line, sizeof line);
    }
    if (error != 0) {
        return error;
    }
    /* The row has one number per online node, in ascending order, not one per possible node. */
    for (unsigned node = 0; node < WHERE_NODES_MAX; node++) {
        if (where_set_has(&online, node)) {
            long distance = strtol(text, &text, 10);
            if (node == to) {
                return distance > 0 ? (int)distance : -EINVAL;
            }
        }
    }
    return -ENOENT;
}

int where_allowed_cpus(pid_t tid, struct where_set *cpus)
{
    memset(cpus, 0, sizeof *cpus);
    return syscall(SYS_sched_getaffinity, tid, sizeof cpus->word, cpus->word) < 0 ? -errno : 0;
}

int where_allowed_nodes(struct where_set *nodes)
{
    memset(nodes, 0, sizeof *nodes);
    return syscall(SYS_get_mempolicy, NULL, nodes->word, (unsigned long)WHERE_SET_BITS, NULL,
                   (unsigned long)MPOL_F_MEMS_ALLOWED) != 0
               ? -errno
               : 0;
}

int where_run_on(unsigned cpu)
{
    struct where_set cpus = {{0}};

    where_set_add(&cpus, cpu);
    return syscall(SYS_sched_setaffinity, 0, sizeof cpus.word, cpus.word) < 0 ? -errno : 0;
}

int where_page_node(const void *address)
{
    uintptr_t page = (uintptr_t)address & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    void *pages[1] = {(void *)page};
    int status[1] = {-EINVAL};

    if (syscall(SYS_move_pages, 0, 1UL, pages, NULL, status, 0) != 0) {
        return -errno;
    }
    return status[0] == -EFAULT ? -ENOENT : status[0];
}

int where_range_spread(const void *start, size_t bytes, struct where_spread *spread)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t page = (uintptr_t)start & ~(page_bytes - 1);
    uintptr_t end = (uintptr_t)start + bytes;

    memset(spread, 0, sizeof *spread);
    while (page < end) {
        void *pages[PAGES_PER_CALL];
        int status[PAGES_PER_CALL];
        unsigned long count = 0;

        for (; count < PAGES_PER_CALL && page < end; page += page_bytes) {
            pages[count++] = (void *)page;
        }
        if (syscall(SYS_move_pages, 0, count, pages, NULL, status, 0) != 0) {
            return -errno;
        }
        for (unsigned long i = 0; i < count; i++) {
            if (status[i] >= 0 && status[i] < WHERE_NODES_MAX) {
                spread->on_node[status[i]]++;
            } else if (status[i] == -EFAULT || status[i] == -ENOENT) {
                spread->absent++;
            } else {
                return status[i] < 0 ? status[i] : -ERANGE;
            }
        }
        spread->total += count;
    }
    return 0;
}

bool where_range_is_on(const void *start, size_t bytes, unsigned node)
{
    struct where_spread spread;

    return node < WHERE_NODES_MAX && where_range_spread(start, bytes, &spread) == 0 &&
           spread.total > 0 && spread.on_node[node] == spread.total;
}

int where_policy_of(const void *address, struct where_policy *policy)
{
    memset(policy, 0, sizeof *policy);
    /* The kernel refuses a mask shorter than its own; one bit is lost to its way of counting. */
    return syscall(SYS_get_mempolicy, &policy->mode, policy->nodes.word,
                   (unsigned long)WHERE_SET_BITS, address, (unsigned long)MPOL_F_ADDR) != 0
               ? -errno
               : 0;
}

/* One word of a numa_maps line: N<node>=<pages> or kernelpagesize_kB=<size>. */
static void take_word(struct where_mapping *mapping, const char *word)
{
    unsigned node;
    size_t value;

    if (sscanf(word, "N%u=%zu", &node, &value) == 2 && node < WHERE_NODES_MAX) {
        mapping->spread.on_node[node] += value;
        mapping->spread.total += value;
    } else if (sscanf(word, "kernelpagesize_kB=%zu", &value) == 1) {
        mapping->page_bytes = value * 1024;
    }
}

int where_mapping_at(const void *start, struct where_mapping *mapping)
{
    FILE *file = fopen("/proc/self/numa_maps", "re");
    char *line = NULL;
    size_t capacity = 0;
    int error = -ENOENT;

    if (file == NULL) {
        return -errno;
    }
    memset(mapping, 0, sizeof *mapping);
    while (error != 0 && getline(&line, &capacity, file) > 0) {
        char *rest;
        char *word = strtok_r(line, " \n", &rest);

        if (word == NULL || strtoumax(word, NULL, 16) != (uintptr_t)start) {
            continue;
        }
        error = 0;
        word = strtok_r(NULL, " \n", &rest);
        if (word != NULL) {
            snprintf(mapping->policy, sizeof mapping->policy, "%s", word);
        }
        while ((word = strtok_r(NULL, " \n", &rest)) != NULL) {
            take_word(mapping, word);
        }
    }
    free(line);
    fclose(file);
    return error;
}

const char *where_guest_shape(void)
{
    static char shape[32];
    char line[2048];
    const char *found = NULL;

    /* The command line, not the environment: on a real machine nobody can set it by accident. */
    if (where_read_line("/proc/cmdline", line, sizeof line) == 0) {
        found = strstr(line, "NPVM_SHAPE=");
    }
    if (found == NULL || sscanf(found, "NPVM_SHAPE=%31s", shape) != 1) {
        return NULL;
    }
    return shape;
}
