/* Starting threads on our own stacks, naming them, asking for a short scheduler slice. */
#include "os/os.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int npi_thread_start(pthread_t *thread, void *stack, size_t stack_bytes, const char *name,
                     void *(*body)(void *), void *arg)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) {
        return -error;
    }
    error = pthread_attr_setstack(&attributes, stack, stack_bytes);

    /* The application's signals are the application's threads' business. Those that report a fault
       of the thread itself stay open, so that a crash in a task is reported as one. */
    sigset_t blocked, before;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGTRAP);
    sigdelset(&blocked, SIGABRT);
    if (error == 0) {
        error = pthread_sigmask(SIG_SETMASK, &blocked, &before);
    }
    if (error == 0) {
        error = pthread_create(thread, &attributes, body, arg);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (error == 0) {
        (void)pthread_setname_np(*thread, name);
    }
    (void)pthread_attr_destroy(&attributes);
    return -error;
}

pid_t npi_thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

int npi_thread_cpu(void)
{
    return sched_getcpu();
}

void npi_thread_yield(void)
{
    (void)sched_yield();
}

/* The kernel's struct, which glibc 2.36 does not have. */
struct slice_attributes {
    uint32_t size;
    uint32_t sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t sched_runtime;
    uint64_t sched_deadline;
    uint64_t sched_period;
    uint32_t sched_util_min;
    uint32_t sched_util_max;
};

int npi_thread_slice(uint64_t slice_ns)
{
#ifdef SYS_sched_setattr
    struct slice_attributes attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) {
        return -errno;
    }
    if (attributes.sched_policy != SCHED_OTHER && attributes.sched_policy != SCHED_BATCH) {
        return -ENOSYS; /* the application chose another policy; it knows why */
    }
    attributes.sched_flags = 0;
    attributes.sched_runtime = slice_ns;
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
        return -errno;
    }
    /* Kernels without custom slices accept the call and ignore the number: ask. */
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 ||
        attributes.sched_runtime != slice_ns) {
        return -ENOSYS;
    }
    return 0;
#else
    (void)slice_ns;
    return -ENOSYS;
#endif
}
