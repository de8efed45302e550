/* Builds and installs the seccomp filter of denial.h. */
#include "vm/denial.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define OUR_ARCHITECTURE AUDIT_ARCH_PPC64LE
#else
#define OUR_ARCHITECTURE 0
#endif

#define HOME_NODE 450 /* set_mempolicy_home_node, newer than the headers of some distributions */

static const unsigned refused[] = {SYS_move_pages,    SYS_migrate_pages, SYS_mbind,
                                   SYS_set_mempolicy, SYS_get_mempolicy, HOME_NODE};
#define REFUSED_COUNT (sizeof refused / sizeof refused[0])
#define MOVE_COUNT 2 /* the first of them, all that DENIAL_MOVE_ONLY refuses */

int denial_install(enum denial denial)
{
    const size_t count = denial == DENIAL_ALL ? REFUSED_COUNT : MOVE_COUNT;
    struct sock_filter filter[REFUSED_COUNT + 6];
    size_t length = 0;
    struct sock_fprog program;

    if (OUR_ARCHITECTURE == 0) {
        return -ENOSYS;
    }
    /* Calls of another architecture (32-bit ones) have other numbers: let them pass unjudged. */
    filter[length++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[length++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCHITECTURE, 1, 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++) {
        /* A match jumps over the remaining comparisons and the allowing return. */
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i],
                                                        (unsigned char)(count - i), 0);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);

    program = (struct sock_fprog){.len = (unsigned short)length, .filter = filter};
    /* Without this promise the kernel lets only a privileged process filter itself. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -errno;
    }
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        return -errno;
    }
    return 0;
}
