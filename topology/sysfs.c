/* Reading small kernel files; see sysfs.h. */
#include "topology/sysfs.h"
#include "topology/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An export of a machine with thousands of CPUs is the largest we read: some megabytes. */
#define FILE_BYTES_MAX ((size_t)64 << 20)

char *npi_sysfs_read(const char *root, const char *format, ...)
{
    char name[4096];
    int prefix = snprintf(name, sizeof name, "%s", root != NULL ? root : "");
    if (prefix < 0 || (size_t)prefix >= sizeof name)
        return NULL;
    va_list arguments;
    va_start(arguments, format);
    int rest = vsnprintf(name + prefix, sizeof name - (size_t)prefix, format, arguments);
    va_end(arguments);
    if (rest < 0 || (size_t)rest >= sizeof name - (size_t)prefix)
        return NULL;

    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    int failure = ENOMEM;
    size_t room = 4096, length = 0;
    char *bytes = malloc(room);
    while (bytes != NULL) {
        ssize_t count = read(fd, bytes + length, room - length - 1);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 || length > FILE_BYTES_MAX) {
            failure = count < 0 ? errno : EFBIG;
            free(bytes);
            bytes = NULL;
            break;
        }
        if (count == 0)
            break;
        length += (size_t)count;
        if (room - length < 2) {
            char *grown = realloc(bytes, room *= 2);
            if (grown == NULL)
                free(bytes);
            bytes = grown;
        }
    }
    close(fd);
    if (bytes == NULL) {
        errno = failure;
        return NULL;
    }
    bytes[length] = '\0';
    if (length > 0 && bytes[length - 1] == '\n')
        bytes[length - 1] = '\0';
    return bytes;
}

int npi_sysfs_numbers(const char *root, const char *directory, const char *prefix,
                      struct npi_cpuset *numbers)
{
    char *name = npi_text_format("%s%s", root != NULL ? root : "", directory);
    if (name == NULL)
        return -ENOMEM;
    DIR *stream = opendir(name);
    int result = stream != NULL ? 0 : -errno;
    free(name);
    size_t prefix_length = strlen(prefix);
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        const char *digits = entry->d_name + prefix_length;
        if (strncmp(entry->d_name, prefix, prefix_length) != 0 || *digits < '0' || *digits > '9')
            continue;
        char *end;
        unsigned long number = strtoul(digits, &end, 10);
        if (*end == '\0' && number <= NPI_CPU_ID_MAX && !npi_cpuset_add(numbers, (unsigned)number))
            result = -ENOMEM;
    }
    if (stream != NULL)
        closedir(stream);
    return result;
}

bool npi_sysfs_kilobytes(const char *text, const char *label, uint64_t *bytes)
{
    const char *at = strstr(text, label);
    if (at == NULL)
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(at + strlen(label), &end, 10);
    if (errno != 0 || end == at + strlen(label) || value > UINT64_MAX / 1024)
        return false;
    *bytes = (uint64_t)value * 1024;
    return true;
}
