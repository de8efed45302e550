/*
 * Makes the kernel refuse the NUMA system calls with EPERM, as container engines do by their
 * default seccomp filters. A stand-in for a container: real calls, really refused, on any Linux
 * machine. It cannot be undone, and children inherit it, so tests call it in a forked child.
 */
#ifndef NUMAPOOL_TESTS_VM_DENIAL_H
#define NUMAPOOL_TESTS_VM_DENIAL_H

enum denial {
    /* Docker and containerd without CAP_SYS_NICE: nothing of NUMA is allowed. */
    DENIAL_ALL,
    /* Podman: memory can be bound and policies read, but pages can be neither found nor moved. */
    DENIAL_MOVE_ONLY,
};

/* For all threads of the process. 0 or a negative errno; -ENOSYS for an unknown architecture. */
int denial_install(enum denial denial);

#endif
