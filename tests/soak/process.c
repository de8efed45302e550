/* See process.h. */
#include "soak/process.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return -1;
    }
    int count = 0;
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count - 2;
}

struct process_holds process_read(void)
{
    struct process_holds holds = {.threads = entries("/proc/self/task"),
                                  .descriptors = entries("/proc/self/fd") - 1};
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &size, &resident) == 2) {
            holds.resident_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
        }
        (void)fclose(file);
    }
    return holds;
}

double process_slope(const double *x, const double *y, size_t count)
{
    double mean_x = 0, mean_y = 0, over = 0, under = 0;
    for (size_t i = 0; i < count; i++) {
        mean_x += x[i] / (double)count;
        mean_y += y[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        over += (x[i] - mean_x) * (y[i] - mean_y);
        under += (x[i] - mean_x) * (x[i] - mean_x);
    }
    return under > 0 ? over / under : 0;
}
