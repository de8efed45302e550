/* How idle the processors of a set are, whoever uses them: the per-CPU lines of /proc/stat. */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

/* The cpu lines come first; 128 bytes is more than the longest of them. */
#define LINE_BYTES ((size_t)128)

int npi_machine_idle_ns(const uint64_t *cpu_words, size_t word_count, uint64_t *idle_ns)
{
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -ENOENT;
    }
    char buffer[8192];
    size_t kept = 0;
    uint64_t idle_clock_ticks = 0;
    unsigned found = 0;
    bool more = true;
    while (more) {
        ssize_t got = read(fd, buffer + kept, sizeof buffer - 1 - kept);
        if (got <= 0) {
            break;
        }
        size_t length = kept + (size_t)got;
        buffer[length] = '\0';
        char *line = buffer, *newline;
        while ((newline = strchr(line, '\n')) != NULL) {
            *newline = '\0';
            if (strncmp(line, "cpu", 3) != 0) {
                more = false; /* past the processors */
                break;
            }
            if (line[3] >= '0' && line[3] <= '9') {
                char *at = NULL;
                unsigned long cpu = strtoul(line + 3, &at, 10);
                if (cpu / 64 < word_count && (cpu_words[cpu / 64] >> (cpu % 64) & 1) != 0) {
                    /* user nice system idle iowait: the last two are time nobody ran */
                    uint64_t field[5] = {0};
                    for (int i = 0; i < 5; i++) {
                        field[i] = strtoull(at, &at, 10);
                    }
                    idle_clock_ticks += field[3] + field[4];
                    found++;
                }
            }
            line = newline + 1;
        }
        kept = (size_t)(buffer + length - line);
        if (kept > LINE_BYTES * 4) {
            kept = 0; /* the one very long line after the processors */
        }
        memmove(buffer, line, kept);
    }
    (void)close(fd);
    if (found == 0) {
        return -ENOENT;
    }
    long hz = sysconf(_SC_CLK_TCK);
    *idle_ns = idle_clock_ticks * (NS_PER_S / (uint64_t)(hz > 0 ? hz : 100));
    return 0;
}
