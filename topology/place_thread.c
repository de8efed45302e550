/*
 * Where threads may run: sched_setaffinity and its counterpart, for any number of CPUs.
 * The C library's cpu_set_t stops at 1024; the system calls themselves take any length.
 */
#include "topology/place.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Twice what NPI_CPU_ID_MAX needs: growth stops with -EINVAL instead of running away. */
#define MASK_BYTES_MAX ((NPI_CPU_ID_MAX + 1) / 4)

static size_t mask_bytes(unsigned cpu_count)
{
    return CPU_ALLOC_SIZE(cpu_count);
}

int npi_place_thread_get(pid_t tid, struct npi_cpuset *cpus)
{
    /* The kernel answers EINVAL while the buffer is smaller than its own mask and tells no size. */
    for (unsigned capacity = 1024; mask_bytes(capacity) <= MASK_BYTES_MAX; capacity *= 2) {
        size_t bytes = mask_bytes(capacity);
        cpu_set_t *mask = CPU_ALLOC(capacity);
        if (mask == NULL)
            return -ENOMEM;
        CPU_ZERO_S(bytes, mask);
        int failure = sched_getaffinity(tid, bytes, mask) == 0 ? 0 : errno;
        if (failure == EINVAL) {
            CPU_FREE(mask);
            continue;
        }
        struct npi_cpuset fresh = {0};
        for (unsigned id = 0; failure == 0 && id < capacity; id++)
            if (CPU_ISSET_S(id, bytes, mask) && !npi_cpuset_add(&fresh, id))
                failure = ENOMEM;
        CPU_FREE(mask);
        if (failure != 0) {
            npi_cpuset_fini(&fresh);
            return -failure;
        }
        npi_cpuset_fini(cpus);
        *cpus = fresh;
        return 0;
    }
    return -EINVAL;
}

int npi_place_allowed_cpus(struct npi_cpuset *allowed)
{
    return npi_place_thread_get(0, allowed);
}

int npi_place_thread(pid_t tid, const struct npi_cpuset *cpus)
{
    if (npi_cpuset_next(cpus, -1) < 0)
        return -EINVAL;
    unsigned capacity = (unsigned)cpus->word_count * 64;
    size_t bytes = mask_bytes(capacity);
    cpu_set_t *mask = CPU_ALLOC(capacity);
    if (mask == NULL)
        return -ENOMEM;
    CPU_ZERO_S(bytes, mask);
    for (int id = npi_cpuset_next(cpus, -1); id >= 0; id = npi_cpuset_next(cpus, id))
        CPU_SET_S((unsigned)id, bytes, mask);
    int failure = sched_setaffinity(tid, bytes, mask) == 0 ? 0 : errno;
    CPU_FREE(mask);
    return -failure;
}
