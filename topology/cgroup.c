/*
 * Limits of control groups; see cgroup.h.
 *
 * Where they are: /proc/self/cgroup names our group per hierarchy, /proc/self/mountinfo where each
 * hierarchy is mounted and which of its groups is the mount's top. In a container both may be cut
 * off at the container's own group; then the top of the mount is all there is to see, and it holds
 * the container's limit. Nothing is assumed about /sys/fs/cgroup.
 */
#include "topology/cgroup.h"
#include "topology/sysfs.h"
#include "topology/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One hierarchy as mounted: the directory of our group and where climbing ends. */
struct group {
    char *directory;
    size_t top_length; /* of directory: the mount point */
    bool unified;      /* version 2 */
};

/* Whether a comma-separated list has a word. */
static bool has_word(const char *list, size_t length, const char *word)
{
    size_t word_length = strlen(word);
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && list[end] != ',')
            end++;
        if (end - at == word_length && memcmp(list + at, word, word_length) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

/*
 * Our group's path in the hierarchy with a controller (NULL: the unified one), from the text of
 * /proc/self/cgroup: lines "ID:controllers:path". Owned by the caller.
 */
static char *path_in_hierarchy(const char *text, const char *controller)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        const char *list = strchr(line, ':');
        const char *path = list != NULL ? strchr(list + 1, ':') : NULL;
        if (path != NULL && (end == NULL || path < end)) {
            size_t list_length = (size_t)(path - list - 1);
            bool wanted = controller != NULL ? has_word(list + 1, list_length, controller)
                                             : list_length == 0 && line[0] == '0';
            if (wanted) {
                path++;
                return strndup(path, end != NULL ? (size_t)(end - path) : strlen(path));
            }
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return NULL;
}

/* mountinfo writes blanks and backslashes in octal. In place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
            at[3] >= '0' && at[3] <= '7') {
            *to++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 3;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
}

/*
 * The part of a group's path below the group that is mounted, "" for that group itself. A path that
 * leaves the mount ("/..", or another container's) is seen as its top.
 */
static const char *below_mount(const char *path, const char *mounted)
{
    size_t length = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
    if (strncmp(path, "/..", 3) == 0 || strncmp(path, mounted, length) != 0 ||
        (path[length] != '/' && path[length] != '\0'))
        return "";
    return strcmp(path + length, "/") == 0 ? "" : path + length;
}

/* Looks one line of mountinfo over; true when it mounts the hierarchy and the group was set. */
static bool match_mount(const char *line, const char *controller, const char *path,
                        struct group *group)
{
    char *top = NULL, *point = NULL, *type = NULL, *options = NULL;
    bool found = false;
    const char *separator = strstr(line, " - ");
    if (separator != NULL && sscanf(line, "%*s %*s %*s %ms %ms", &top, &point) == 2 &&
        sscanf(separator + 3, "%ms %*s %ms", &type, &options) == 2) {
        bool wanted = controller != NULL ? strcmp(type, "cgroup") == 0 &&
                                               has_word(options, strlen(options), controller)
                                         : strcmp(type, "cgroup2") == 0;
        if (wanted) {
            unescape(top);
            unescape(point);
            group->directory = npi_text_format("%s%s", point, below_mount(path, top));
            group->top_length = strlen(point);
            group->unified = controller == NULL;
            found = group->directory != NULL;
        }
    }
    free(top);
    free(point);
    free(type);
    free(options);
    return found;
}

static bool find_group(const char *root, const char *controller, struct group *group)
{
    char *groups = npi_sysfs_read(root, "/proc/self/cgroup");
    char *path = groups != NULL ? path_in_hierarchy(groups, controller) : NULL;
    char *mounts = path != NULL ? npi_sysfs_read(root, "/proc/self/mountinfo") : NULL;
    bool found = false;
    char *rest = NULL;
    for (char *line = mounts != NULL ? strtok_r(mounts, "\n", &rest) : NULL; line != NULL && !found;
         line = strtok_r(NULL, "\n", &rest))
        found = match_mount(line, controller, path, group);
    free(groups);
    free(path);
    free(mounts);
    return found;
}

/* Cuts the last part of the directory off; false at the mount point. */
static bool climb(struct group *group)
{
    char *slash = strrchr(group->directory, '/');
    if (slash == NULL || strlen(group->directory) <= group->top_length ||
        (size_t)(slash - group->directory) < group->top_length)
        return false;
    *slash = '\0';
    return true;
}

/* A decimal number that fills its text, up to `limit`; "max" and -1 are none. */
static bool read_number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    if (text == NULL || *text < '0' || *text > '9')
        return false;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || (*end != '\0' && *end != ' ' && *end != '\n'))
        return false;
    *value = number;
    return true;
}

/* quota / period of one group, 0 = none. */
static double cpu_limit_of(const char *root, const struct group *group)
{
    uint64_t quota = 0, period = 0;
    bool limited = false;
    if (group->unified) {
        char *text = npi_sysfs_read(root, "%s/cpu.max", group->directory);
        const char *blank = text != NULL ? strchr(text, ' ') : NULL;
        limited = blank != NULL && read_number(text, &quota) && read_number(blank + 1, &period);
        free(text);
    } else {
        char *quota_text = npi_sysfs_read(root, "%s/cpu.cfs_quota_us", group->directory);
        char *period_text = npi_sysfs_read(root, "%s/cpu.cfs_period_us", group->directory);
        limited = read_number(quota_text, &quota) && read_number(period_text, &period);
        free(quota_text);
        free(period_text);
    }
    return limited && quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

double npi_cgroup_cpu_limit(const char *root)
{
    static const char *const controllers[] = {NULL, "cpu"};
    double smallest = 0;
    for (size_t i = 0; i < 2; i++) {
        struct group group;
        if (!find_group(root, controllers[i], &group))
            continue;
        do {
            double limit = cpu_limit_of(root, &group);
            if (limit > 0 && (smallest <= 0 || limit < smallest))
                smallest = limit;
        } while (climb(&group));
        free(group.directory);
    }
    return smallest;
}

/* Limit minus use of one group. false: no limit, or nothing that can be read. */
static bool memory_room_of(const char *root, const struct group *group, uint64_t *room)
{
    char *limit_text = npi_sysfs_read(root, "%s/%s", group->directory,
                                      group->unified ? "memory.max" : "memory.limit_in_bytes");
    char *used_text = npi_sysfs_read(root, "%s/%s", group->directory,
                                     group->unified ? "memory.current" : "memory.usage_in_bytes");
    uint64_t limit = 0, used = 0;
    /* Version 1 says "no limit" with a number near 2^63 rounded to pages. */
    bool limited = read_number(limit_text, &limit) && read_number(used_text, &used) &&
                   limit < UINT64_C(1) << 62;
    free(limit_text);
    free(used_text);
    *room = limit > used ? limit - used : 0;
    return limited;
}

bool npi_cgroup_memory_room(const char *root, uint64_t *bytes)
{
    static const char *const controllers[] = {NULL, "memory"};
    bool found = false;
    for (size_t i = 0; i < 2; i++) {
        struct group group;
        if (!find_group(root, controllers[i], &group))
            continue;
        do {
            uint64_t room;
            if (memory_room_of(root, &group, &room) && (!found || room < *bytes)) {
                *bytes = room;
                found = true;
            }
        } while (climb(&group));
        free(group.directory);
    }
    return found;
}
