/* See inject.h. */
#include "fault/inject.h"

#include "fault/clock.h"
#include "fault/halt.h"
#include "fault/must.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------- deciding */

static struct {
    uint64_t kth; /* 0 = none */
    bool from;
    uint64_t permille;
    uint64_t calls, failed;
} plans[INJECT_KINDS];

static __thread bool memory_forbidden;

const char *inject_name(enum inject_kind kind)
{
    static const char *const names[INJECT_KINDS] = {"memory", "map",   "bind", "affinity",
                                                    "thread", "share", "futex"};
    return names[kind];
}

static void arm(enum inject_kind kind, uint64_t kth, uint64_t permille)
{
    __atomic_store_n(&plans[kind].calls, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&plans[kind].failed, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&plans[kind].kth, kth, __ATOMIC_SEQ_CST);
    __atomic_store_n(&plans[kind].permille, permille, __ATOMIC_SEQ_CST);
}

void inject_kth(enum inject_kind kind, uint64_t k)
{
    arm(kind, k, 0);
}

void inject_from_kth(enum inject_kind kind, uint64_t k)
{
    __atomic_store_n(&plans[kind].from, true, __ATOMIC_SEQ_CST);
    arm(kind, k, 0);
}

void inject_share(enum inject_kind kind, unsigned permille)
{
    arm(kind, 0, permille);
}

void inject_nothing(void)
{
    for (int kind = 0; kind < INJECT_KINDS; kind++) {
        __atomic_store_n(&plans[kind].kth, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&plans[kind].permille, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&plans[kind].from, false, __ATOMIC_SEQ_CST);
    }
}

uint64_t inject_calls(enum inject_kind kind)
{
    return __atomic_load_n(&plans[kind].calls, __ATOMIC_SEQ_CST);
}

uint64_t inject_failed(enum inject_kind kind)
{
    return __atomic_load_n(&plans[kind].failed, __ATOMIC_SEQ_CST);
}

static bool fails(enum inject_kind kind)
{
    uint64_t kth = __atomic_load_n(&plans[kind].kth, __ATOMIC_RELAXED);
    uint64_t permille = __atomic_load_n(&plans[kind].permille, __ATOMIC_RELAXED);
    if (kth == 0 && permille == 0) {
        return false;
    }
    uint64_t call = __atomic_add_fetch(&plans[kind].calls, 1, __ATOMIC_RELAXED);
    static __thread uint64_t random;
    if (random == 0) {
        uint64_t *here = &random;
        __asm__("" : "+r"(here)); /* an address per thread, which the compiler must not fold */
        random = (uintptr_t)here;
    }
    random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    bool its_turn = call == kth || (call > kth && kth != 0 &&
                                    __atomic_load_n(&plans[kind].from, __ATOMIC_RELAXED));
    if (!its_turn && (random >> 33) % 1000 >= permille) {
        return false;
    }
    (void)__atomic_add_fetch(&plans[kind].failed, 1, __ATOMIC_RELAXED);
    return true;
}

void inject_forbid_memory(bool forbidden)
{
    memory_forbidden = forbidden;
}

/* -------------------------------------------------------------------------- what is held */

#define HELD_SLOTS (1u << 16)

static struct {
    char lock;
    bool watching;
    int64_t blocks, mapped_bytes;
    struct {
        uintptr_t block, caller;
    } slot[HELD_SLOTS];
} held;

static void held_lock(void)
{
    while (__atomic_test_and_set(&held.lock, __ATOMIC_ACQUIRE)) {
        sched_yield();
    }
}

static void held_unlock(void)
{
    __atomic_clear(&held.lock, __ATOMIC_RELEASE);
}

#define GONE ((uintptr_t)1) /* a slot that was used: searching goes on behind it */

static size_t held_first(uintptr_t block)
{
    return (size_t)((block * UINT64_C(0x9e3779b97f4a7c15)) >> 48) & (HELD_SLOTS - 1);
}

static void *hold(void *block, void *caller)
{
    if (block != NULL && __atomic_load_n(&held.watching, __ATOMIC_RELAXED)) {
        held_lock();
        size_t at = held_first((uintptr_t)block), tries = 0;
        while (held.slot[at].block > GONE && tries++ < HELD_SLOTS) {
            at = (at + 1) & (HELD_SLOTS - 1);
        }
        MUST(tries < HELD_SLOTS);
        held.slot[at].block = (uintptr_t)block;
        held.slot[at].caller = (uintptr_t)caller;
        held.blocks++;
        held_unlock();
    }
    return block;
}

/* Blocks that came from inside other libraries are not in the table. */
static void let_go(void *block)
{
    if (block != NULL && __atomic_load_n(&held.watching, __ATOMIC_RELAXED)) {
        held_lock();
        size_t at = held_first((uintptr_t)block);
        for (size_t tries = 0; held.slot[at].block != 0 && tries < HELD_SLOTS; tries++) {
            if (held.slot[at].block == (uintptr_t)block) {
                held.slot[at].block = GONE;
                held.blocks--;
                break;
            }
            at = (at + 1) & (HELD_SLOTS - 1);
        }
        held_unlock();
    }
}

void inject_watch_begin(void)
{
    held_lock();
    memset(held.slot, 0, sizeof held.slot);
    held.blocks = 0;
    __atomic_store_n(&held.mapped_bytes, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&held.watching, true, __ATOMIC_SEQ_CST);
    held_unlock();
}

struct inject_held inject_watch_end(void)
{
    held_lock();
    __atomic_store_n(&held.watching, false, __ATOMIC_SEQ_CST);
    struct inject_held now = {held.blocks, __atomic_load_n(&held.mapped_bytes, __ATOMIC_RELAXED)};
    held_unlock();
    return now;
}

void inject_print_held(void)
{
    for (size_t i = 0; i < HELD_SLOTS; i++) {
        if (held.slot[i].block > GONE) {
            fprintf(stderr, "held: a block asked for near %#lx\n",
                    (unsigned long)held.slot[i].caller);
        }
    }
}

/* --------------------------------------------------------------------------------- memory */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
int __real_posix_memalign(void **block, size_t align, size_t bytes);
char *__real_strdup(const char *text);
int __real_vasprintf(char **text, const char *format, va_list arguments);
int __real___vasprintf_chk(char **text, int flag, const char *format, va_list arguments);
cpu_set_t *__real___sched_cpualloc(size_t count);
void __real___sched_cpufree(cpu_set_t *set);
void __real_free(void *block);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
int __wrap_posix_memalign(void **block, size_t align, size_t bytes);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **text, const char *format, va_list arguments);
int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list arguments);
cpu_set_t *__wrap___sched_cpualloc(size_t count);
void __wrap___sched_cpufree(cpu_set_t *set);
void __wrap_free(void *block);

static bool no_memory(void)
{
    MUST(!memory_forbidden);
    if (fails(INJECT_MEMORY)) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

#define CALLER __builtin_return_address(0)

void *__wrap_malloc(size_t bytes)
{
    return no_memory() ? NULL : hold(__real_malloc(bytes), CALLER);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return no_memory() ? NULL : hold(__real_calloc(count, bytes), CALLER);
}

void *__wrap_realloc(void *block, size_t bytes)
{
    if (no_memory()) {
        return NULL;
    }
    let_go(block);
    return hold(__real_realloc(block, bytes), CALLER);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return no_memory() ? NULL : hold(__real_aligned_alloc(align, bytes), CALLER);
}

int __wrap_posix_memalign(void **block, size_t align, size_t bytes)
{
    if (no_memory()) {
        return ENOMEM;
    }
    int error = __real_posix_memalign(block, align, bytes);
    if (error == 0) {
        (void)hold(*block, CALLER);
    }
    return error;
}

char *__wrap_strdup(const char *text)
{
    return no_memory() ? NULL : hold(__real_strdup(text), CALLER);
}

int __wrap_vasprintf(char **text, const char *format, va_list arguments)
{
    int length = no_memory() ? -1 : __real_vasprintf(text, format, arguments);
    if (length >= 0) {
        (void)hold(*text, CALLER);
    }
    return length;
}

int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list arguments)
{
    int length = no_memory() ? -1 : __real___vasprintf_chk(text, flag, format, arguments);
    if (length >= 0) {
        (void)hold(*text, CALLER);
    }
    return length;
}

cpu_set_t *__wrap___sched_cpualloc(size_t count)
{
    return no_memory() ? NULL : hold(__real___sched_cpualloc(count), CALLER);
}

void __wrap___sched_cpufree(cpu_set_t *set)
{
    let_go(set);
    __real___sched_cpufree(set);
}

void __wrap_free(void *block)
{
    let_go(block);
    __real_free(block);
}

/* ---------------------------------------------------------------------------------- pages */

void *__real_mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *start, size_t bytes);
int __real_mprotect(void *start, size_t bytes, int protection);
int __real_madvise(void *start, size_t bytes, int advice);
long __real_mbind(void *start, unsigned long bytes, int mode, const unsigned long *nodes,
                  unsigned long most, unsigned flags);
int __real_sched_setaffinity(pid_t tid, size_t bytes, const cpu_set_t *cpus);

void *__wrap_mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *start, size_t bytes);
int __wrap_mprotect(void *start, size_t bytes, int protection);
int __wrap_madvise(void *start, size_t bytes, int advice);
long __wrap_mbind(void *start, unsigned long bytes, int mode, const unsigned long *nodes,
                  unsigned long most, unsigned flags);
int __wrap_sched_setaffinity(pid_t tid, size_t bytes, const cpu_set_t *cpus);

void *__wrap_mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (fails(INJECT_MAP)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *range = __real_mmap(start, bytes, protection, flags, fd, offset);
    if (range != MAP_FAILED) {
        (void)__atomic_add_fetch(&held.mapped_bytes, (int64_t)bytes, __ATOMIC_RELAXED);
    }
    return range;
}

int __wrap_munmap(void *start, size_t bytes)
{
    int error = __real_munmap(start, bytes);
    if (error == 0) {
        (void)__atomic_sub_fetch(&held.mapped_bytes, (int64_t)bytes, __ATOMIC_RELAXED);
    }
    return error;
}

int __wrap_mprotect(void *start, size_t bytes, int protection)
{
    if (fails(INJECT_MAP)) {
        errno = ENOMEM;
        return -1;
    }
    return __real_mprotect(start, bytes, protection);
}

int __wrap_madvise(void *start, size_t bytes, int advice)
{
    if (fails(INJECT_MAP)) {
        errno = ENOMEM;
        return -1;
    }
    return __real_madvise(start, bytes, advice);
}

long __wrap_mbind(void *start, unsigned long bytes, int mode, const unsigned long *nodes,
                  unsigned long most, unsigned flags)
{
    if (fails(INJECT_BIND)) {
        errno = inject_failed(INJECT_BIND) % 2 == 0 ? EPERM : ENOSYS;
        return -1;
    }
    return __real_mbind(start, bytes, mode, nodes, most, flags);
}

int __wrap_sched_setaffinity(pid_t tid, size_t bytes, const cpu_set_t *cpus)
{
    if (fails(INJECT_AFFINITY)) {
        errno = EPERM;
        return -1;
    }
    return __real_sched_setaffinity(tid, bytes, cpus);
}

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __real_fallocate(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes);

int __wrap_memfd_create(const char *name, unsigned flags)
{
    if (fails(INJECT_SHARE)) {
        errno = EMFILE;
        return -1;
    }
    return __real_memfd_create(name, flags);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    if (fails(INJECT_SHARE)) {
        errno = ENOSPC;
        return -1;
    }
    return __real_fallocate(fd, mode, offset, bytes);
}

/* ------------------------------------------------------------------------ threads, futexes */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*body)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*body)(void *), void *arg);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static uint64_t refused_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*body)(void *), void *arg)
{
    if (fails(INJECT_THREAD)) {
        return EAGAIN;
    }
    struct halt_start *start = halt_enrol_start(body, arg);
    int error = __real_pthread_create(thread, attributes, halt_thread_main, start);
    if (error != 0) {
        (void)__atomic_add_fetch(&refused_threads, 1, __ATOMIC_RELAXED);
        halt_forget_start(start);
    }
    return error;
}

uint64_t inject_refused_threads(void)
{
    return __atomic_load_n(&refused_threads, __ATOMIC_RELAXED);
}

int inject_thread(pthread_t *thread, void *(*body)(void *), void *arg)
{
    return __real_pthread_create(thread, NULL, body, arg);
}

static long futex_wait(uint32_t *word, long operation, uint32_t value, const struct timespec *until)
{
    if (fails(INJECT_FUTEX)) {
        if (inject_failed(INJECT_FUTEX) % 2 == 0) {
            return 0;
        }
        errno = EINTR;
        return -1;
    }
    return clock_futex_wait(word, (int)operation, value, until);
}

/* As libc does: six words, whatever the call takes. What lies behind those given is not looked at. */
__attribute__((no_sanitize("address"))) long __wrap_syscall(long number, ...)
{
    long argument[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++) {
        argument[i] = va_arg(arguments, long);
    }
    va_end(arguments);
    if (number == SYS_futex) {
        long operation = argument[1] & FUTEX_CMD_MASK;
        if (operation == FUTEX_WAIT_BITSET) {
            return futex_wait((uint32_t *)argument[0], argument[1], (uint32_t)argument[2],
                              (const struct timespec *)argument[3]);
        }
        if (operation == FUTEX_WAKE && fails(INJECT_FUTEX)) {
            (void)__real_syscall(number, argument[0], argument[1], argument[2], NULL, NULL, 0);
            errno = EFAULT;
            return -1;
        }
    }
    return __real_syscall(number, argument[0], argument[1], argument[2], argument[3], argument[4],
                          argument[5]);
}
